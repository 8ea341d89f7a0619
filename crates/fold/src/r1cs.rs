//! Relaxed R1CS over one curve of the cycle: shapes, witnesses, cross-terms and folds (Nova, eprint 2021/370, section 4).
//!
//! A shape's full assignment is `z = (w, u, x)`; a relaxed instance with error vector e is satisfied when
//! `A z o B z = u C z + e`, with o the entrywise product.

use crate::curve::{CommitmentKey, CycleCurve};
use crate::error::Error;
use ff::{Field, PrimeField};
use nova_snark::frontend::{Index, LinearCombination};
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Rows that one parallel task takes.
const ROWS_PER_TASK: usize = 2048;

/// A sparse matrix by rows. Coefficients are kept once each: R1CS matrices have few distinct ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseMatrix<F> {
    /// `row_ends[i]` is the end of row i in `entries`.
    pub(crate) row_ends: Vec<u32>,
    /// Column and index into `coefficients`.
    pub(crate) entries: Vec<(u32, u32)>,
    /// Distinct coefficients; the first two are one and minus one.
    pub(crate) coefficients: Vec<F>,
}

impl<F: PrimeField> SparseMatrix<F> {
    fn new() -> Self {
        Self { row_ends: Vec::new(), entries: Vec::new(), coefficients: vec![F::ONE, -F::ONE] }
    }

    /// Number of non-zero entries.
    pub fn nnz(&self) -> usize {
        self.entries.len()
    }

    fn row(&self, i: usize) -> &[(u32, u32)] {
        let start = if i == 0 { 0 } else { self.row_ends[i - 1] as usize };
        &self.entries[start..self.row_ends[i] as usize]
    }

    /// The product of row i with z.
    fn multiply_row(&self, i: usize, z: &[F]) -> F {
        self.row(i).iter().fold(F::ZERO, |sum, (column, coefficient)| {
            let value = z[*column as usize];
            match coefficient {
                0 => sum + value,
                1 => sum - value,
                other => sum + self.coefficients[*other as usize] * value,
            }
        })
    }
}

/// The matrices of a circuit and their sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape<F> {
    /// Number of rows.
    pub num_cons: usize,
    /// Length of the witness.
    pub num_vars: usize,
    /// Number of public inputs.
    pub num_io: usize,
    /// A, B and C.
    pub(crate) matrices: [SparseMatrix<F>; 3],
}

/// A row as nova-snark's frontend records it: the combinations of A, B and C.
pub type Row<F> = (LinearCombination<F>, LinearCombination<F>, LinearCombination<F>);

impl<F: PrimeField> Shape<F> {
    /// The shape of recorded rows; `num_io` does not count the constant one.
    ///
    /// # Panics
    /// If a row names a variable beyond the given numbers, or there are more than 2^32 entries.
    pub fn from_rows(rows: &[Row<F>], num_vars: usize, num_io: usize) -> Self {
        let column = |index: Index| match index {
            Index::Aux(i) => {
                assert!(i < num_vars);
                i
            }
            Index::Input(i) => {
                assert!(i <= num_io);
                num_vars + i
            }
        };
        let build = |pick: fn(&Row<F>) -> &LinearCombination<F>| {
            let mut matrix = SparseMatrix::<F>::new();
            let mut known: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
            for (i, c) in matrix.coefficients.iter().enumerate() {
                known.insert(c.to_repr().as_ref().to_vec(), i as u32);
            }
            for row in rows {
                for (variable, coefficient) in pick(row).iter() {
                    if bool::from(coefficient.is_zero()) {
                        continue;
                    }
                    let index = *known.entry(coefficient.to_repr().as_ref().to_vec()).or_insert_with(|| {
                        matrix.coefficients.push(*coefficient);
                        (matrix.coefficients.len() - 1) as u32
                    });
                    matrix.entries.push((column(variable.get_unchecked()) as u32, index));
                }
                matrix.row_ends.push(u32::try_from(matrix.entries.len()).expect("fewer than 2^32 entries"));
            }
            matrix
        };
        Self {
            num_cons: rows.len(),
            num_vars,
            num_io,
            matrices: [build(|row| &row.0), build(|row| &row.1), build(|row| &row.2)],
        }
    }

    /// Non-zero entries of A, B and C together.
    pub fn nnz(&self) -> usize {
        self.matrices.iter().map(SparseMatrix::nnz).sum()
    }

    /// `z = (w, u, x)`.
    fn assignment(&self, w: &[F], u: F, x: &[F]) -> Vec<F> {
        let mut z = Vec::with_capacity(w.len() + 1 + x.len());
        z.extend_from_slice(w);
        z.push(u);
        z.extend_from_slice(x);
        z
    }

    /// The first row that the relaxed assignment does not satisfy.
    ///
    /// # Panics
    /// If a length does not fit the shape.
    pub fn first_unsatisfied(&self, w: &[F], e: &[F], u: F, x: &[F]) -> Option<usize> {
        assert_eq!((w.len(), e.len(), x.len()), (self.num_vars, self.num_cons, self.num_io));
        let z = self.assignment(w, u, x);
        let [a, b, c] = &self.matrices;
        (0..self.num_cons)
            .into_par_iter()
            .with_min_len(ROWS_PER_TASK)
            .find_first(|&i| a.multiply_row(i, &z) * b.multiply_row(i, &z) != u * c.multiply_row(i, &z) + e[i])
    }

    /// The cross-term of two satisfied relaxed assignments, from the sum of both (Mova, eprint 2024/1220, section 5.2):
    /// `T = A z o B z - u C z - e1 - e2` with `z = z1 + z2`, `u = u1 + u2`.
    fn cross_term(&self, one: &Assignment<'_, F>, two: &Assignment<'_, F>) -> Vec<F> {
        let mut z = Vec::with_capacity(self.num_vars + 1 + self.num_io);
        z.par_extend(one.w.par_iter().zip(two.w).with_min_len(ROWS_PER_TASK).map(|(a, b)| *a + b));
        let u = one.u + two.u;
        z.push(u);
        z.extend(one.x.iter().zip(two.x).map(|(a, b)| *a + b));
        let [a, b, c] = &self.matrices;
        let mut t = Vec::with_capacity(self.num_cons);
        t.par_extend((0..self.num_cons).into_par_iter().with_min_len(ROWS_PER_TASK).map(|i| {
            let errors = one.e.map_or(F::ZERO, |e| e[i]) + two.e.map_or(F::ZERO, |e| e[i]);
            a.multiply_row(i, &z) * b.multiply_row(i, &z) - u * c.multiply_row(i, &z) - errors
        }));
        t
    }
}

/// A relaxed assignment by reference; no error vector means zero.
struct Assignment<'a, F> {
    w: &'a [F],
    e: Option<&'a [F]>,
    u: F,
    x: &'a [F],
}

/// The witness of a fresh instance (u = 1, no error).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshWitness<F> {
    /// The variables.
    pub w: Vec<F>,
    /// Blind of the commitment to them.
    pub blind_w: F,
}

impl<F: PrimeField> FreshWitness<F> {
    /// A witness with a random blind.
    pub fn new(w: Vec<F>, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        Self { w, blind_w: F::random(rng) }
    }
}

/// The witness of a relaxed instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaxedWitness<F> {
    /// The variables.
    pub w: Vec<F>,
    /// The error vector, one entry for each row.
    pub e: Vec<F>,
    /// Blind of the commitment to `w`.
    pub blind_w: F,
    /// Blind of the commitment to `e`.
    pub blind_e: F,
}

/// A committed cross-term.
pub struct CrossTerm<C: CycleCurve> {
    /// The vector, one entry for each row.
    pub t: Vec<C::ScalarExt>,
    /// Blind of its commitment.
    pub blind: C::ScalarExt,
    /// The commitment.
    pub commitment: C,
}

impl<F: PrimeField> RelaxedWitness<F> {
    /// The default: zero vectors with blinds of one, so that both commitments equal the blinding base and no identity
    /// point ever occurs (`docs/spec/folding.md`, section 2).
    pub fn default_for(shape: &Shape<F>) -> Self {
        Self { w: vec![F::ZERO; shape.num_vars], e: vec![F::ZERO; shape.num_cons], blind_w: F::ONE, blind_e: F::ONE }
    }

    /// Checks the lengths against a shape.
    ///
    /// # Errors
    /// [`Error::Length`] when a vector has another length.
    pub fn check_lengths(&self, shape: &Shape<F>) -> Result<(), Error> {
        for (what, expected, found) in
            [("witness vector", shape.num_vars, self.w.len()), ("error vector", shape.num_cons, self.e.len())]
        {
            if expected != found {
                return Err(Error::Length { what, expected, found });
            }
        }
        Ok(())
    }

    /// The committed cross-term of this witness for `(u, x)` and a fresh one for public inputs `x2`.
    ///
    /// # Panics
    /// If lengths do not fit the shape or the key.
    pub fn cross_term<C: CycleCurve<ScalarExt = F>>(
        &self,
        shape: &Shape<F>,
        key: &CommitmentKey<C>,
        (u, x): (F, &[F]),
        (fresh, x2): (&FreshWitness<F>, &[F]),
        rng: &mut (impl CryptoRng + RngCore),
    ) -> CrossTerm<C> {
        let one = Assignment { w: &self.w, e: Some(&self.e), u, x };
        let two = Assignment { w: &fresh.w, e: None, u: F::ONE, x: x2 };
        commit_cross_term(key, shape.cross_term(&one, &two), rng)
    }

    /// The committed cross-term of two relaxed witnesses for `(u, x)` and `(u2, x2)`.
    ///
    /// # Panics
    /// If lengths do not fit the shape or the key.
    pub fn cross_term_relaxed<C: CycleCurve<ScalarExt = F>>(
        &self,
        shape: &Shape<F>,
        key: &CommitmentKey<C>,
        (u, x): (F, &[F]),
        other: &Self,
        (u2, x2): (F, &[F]),
        rng: &mut (impl CryptoRng + RngCore),
    ) -> CrossTerm<C> {
        let one = Assignment { w: &self.w, e: Some(&self.e), u, x };
        let two = Assignment { w: &other.w, e: Some(&other.e), u: u2, x: x2 };
        commit_cross_term(key, shape.cross_term(&one, &two), rng)
    }

    /// Folds a fresh witness in: `w + r w2`, `e + r t`.
    pub fn fold<C: CycleCurve<ScalarExt = F>>(&mut self, fresh: &FreshWitness<F>, t: &CrossTerm<C>, r: F) {
        add_scaled(&mut self.w, &fresh.w, r);
        add_scaled(&mut self.e, &t.t, r);
        self.blind_w += r * fresh.blind_w;
        self.blind_e += r * t.blind;
    }

    /// Folds a relaxed witness in: `w + r w2`, `e + r (t + r e2)`.
    pub fn fold_relaxed<C: CycleCurve<ScalarExt = F>>(&mut self, other: &Self, t: &CrossTerm<C>, r: F) {
        add_scaled(&mut self.w, &other.w, r);
        self.e
            .par_iter_mut()
            .zip(&t.t)
            .zip(&other.e)
            .with_min_len(ROWS_PER_TASK)
            .for_each(|((e, t), e2)| *e += r * (*t + r * e2));
        self.blind_w += r * other.blind_w;
        self.blind_e += r * (t.blind + r * other.blind_e);
    }
}

fn commit_cross_term<C: CycleCurve>(
    key: &CommitmentKey<C>,
    t: Vec<C::ScalarExt>,
    rng: &mut (impl CryptoRng + RngCore),
) -> CrossTerm<C> {
    let blind = C::ScalarExt::random(rng);
    let commitment = key.commit(&t, &blind);
    CrossTerm { t, blind, commitment }
}

/// `v += r w`, entry by entry.
fn add_scaled<F: PrimeField>(v: &mut [F], w: &[F], r: F) {
    v.par_iter_mut().zip(w).with_min_len(ROWS_PER_TASK).for_each(|(a, b)| *a += r * b);
}
