//! Relaxed R1CS over one curve of the cycle: shapes, witnesses, cross-terms and folds (Nova, eprint 2021/370, section
//! 4).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Fq, Fr, G1Affine, GkAffine};
    use crate::gadgets::testing::rng;
    use group::{Curve, Group};
    use nova_snark::frontend::Variable;
    use rand_chacha::ChaCha20Rng;

    const VARS: usize = 7;
    const IO: usize = 2;
    const ROWS: usize = 11;

    type Dense<F> = [Vec<Vec<F>>; 3];
    type Row<F> = (LinearCombination<F>, LinearCombination<F>, LinearCombination<F>);

    /// Column j of `z = (w, u, x)` as the frontend names it.
    fn variable(column: usize) -> Variable {
        Variable(if column < VARS { Index::Aux(column) } else { Index::Input(column - VARS) })
    }

    /// Rows of few random terms, some of them twice, zero, one or minus one, and the same matrices written out.
    fn random_rows<F: PrimeField>(rng: &mut ChaCha20Rng) -> (Vec<Row<F>>, Dense<F>) {
        let columns = VARS + 1 + IO;
        let mut dense: Dense<F> = std::array::from_fn(|_| vec![vec![F::ZERO; columns]; ROWS]);
        let mut combination = |matrix: usize, row: usize| {
            let mut lc = LinearCombination::zero();
            for _ in 0..rng.next_u32() % 5 {
                let column = rng.next_u32() as usize % columns;
                let coeff = match rng.next_u32() % 5 {
                    0 => F::ZERO,
                    1 => F::ONE,
                    2 => -F::ONE,
                    3 => F::from(3),
                    _ => F::random(&mut *rng),
                };
                for _ in 0..1 + rng.next_u32() % 2 {
                    lc = lc + (coeff, variable(column));
                    dense[matrix][row][column] += coeff;
                }
            }
            lc
        };
        let rows = (0..ROWS).map(|i| (combination(0, i), combination(1, i), combination(2, i))).collect();
        (rows, dense)
    }

    fn multiply<F: PrimeField>(matrix: &[Vec<F>], z: &[F]) -> Vec<F> {
        matrix.iter().map(|row| row.iter().zip(z).map(|(a, b)| *a * b).sum()).collect()
    }

    /// `A z o B z - u C z`, from the matrices written out.
    fn error_of<F: PrimeField>(dense: &Dense<F>, w: &[F], u: F, x: &[F]) -> Vec<F> {
        let z = [w, &[u], x].concat();
        let [a, b, c] = dense.each_ref().map(|matrix| multiply(matrix, &z));
        (0..ROWS).map(|i| a[i] * b[i] - u * c[i]).collect()
    }

    fn random_vec<F: Field>(n: usize, rng: &mut ChaCha20Rng) -> Vec<F> {
        (0..n).map(|_| F::random(&mut *rng)).collect()
    }

    /// A relaxed assignment that is satisfied, as its error vector makes it.
    struct Relaxed<F> {
        witness: RelaxedWitness<F>,
        u: F,
        x: Vec<F>,
    }

    fn random_relaxed<F: PrimeField>(dense: &Dense<F>, rng: &mut ChaCha20Rng) -> Relaxed<F> {
        let (w, x, u) = (random_vec(VARS, rng), random_vec(IO, rng), F::random(&mut *rng));
        let e = error_of(dense, &w, u, &x);
        Relaxed { witness: RelaxedWitness { w, e, blind_w: F::random(&mut *rng), blind_e: F::random(rng) }, u, x }
    }

    impl<F: PrimeField> Relaxed<F> {
        fn is_satisfied(&self, shape: &Shape<F>) -> bool {
            shape.first_unsatisfied(&self.witness.w, &self.witness.e, self.u, &self.x).is_none()
        }

        fn fold_scalars(&mut self, (u, x): (F, &[F]), r: F) {
            self.u += r * u;
            self.x.iter_mut().zip(x).for_each(|(a, b)| *a += r * b);
        }
    }

    fn random_key<C: CycleCurve>(rng: &mut ChaCha20Rng) -> CommitmentKey<C> {
        let mut point = || C::CurveExt::random(&mut *rng).to_affine();
        CommitmentKey { bases: (0..ROWS).map(|_| point()).collect(), h: point() }
    }

    /// A shape whose rows a random fresh assignment satisfies: `C z` corrected by the constant.
    fn satisfiable<F: PrimeField>(rng: &mut ChaCha20Rng) -> (Shape<F>, Dense<F>, Vec<F>, Vec<F>) {
        let (mut rows, mut dense) = random_rows::<F>(rng);
        let (w, x) = (random_vec(VARS, rng), random_vec(IO, rng));
        for (i, miss) in error_of(&dense, &w, F::ONE, &x).into_iter().enumerate() {
            rows[i].2 = rows[i].2.clone() + (miss, variable(VARS));
            dense[2][i][VARS] += miss;
        }
        (Shape::from_rows(&rows, VARS, IO), dense, w, x)
    }

    fn from_rows_equals_dense<F: PrimeField>() {
        let mut rng = rng(1);
        for _ in 0..50 {
            let (rows, dense) = random_rows::<F>(&mut rng);
            let shape = Shape::from_rows(&rows, VARS, IO);
            assert_eq!((shape.num_cons, shape.num_vars, shape.num_io), (ROWS, VARS, IO));
            let z = random_vec(VARS + 1 + IO, &mut rng);
            for (matrix, dense) in shape.matrices.iter().zip(&dense) {
                assert_eq!(matrix.row_ends.len(), ROWS);
                for (i, product) in multiply(dense, &z).into_iter().enumerate() {
                    assert_eq!(matrix.multiply_row(i, &z), product);
                    // Each column once, and none with a zero.
                    let mut columns: Vec<_> = matrix.row(i).iter().map(|(column, _)| *column).collect();
                    columns.sort_unstable();
                    let expected: Vec<u32> = (0..z.len() as u32).filter(|j| dense[i][*j as usize] != F::ZERO).collect();
                    assert_eq!(columns, expected);
                }
                let distinct: std::collections::BTreeSet<_> =
                    matrix.coefficients.iter().map(|c| c.to_repr().as_ref().to_vec()).collect();
                assert_eq!(distinct.len(), matrix.coefficients.len());
                assert_eq!(matrix.coefficients[..2], [F::ONE, -F::ONE]);
            }
            let nonzero = dense.iter().flatten().flatten().filter(|c| **c != F::ZERO).count();
            assert_eq!(shape.nnz(), nonzero);
        }
    }

    #[test]
    fn from_rows_equals_matrices_written_out() {
        from_rows_equals_dense::<Fr>();
        from_rows_equals_dense::<Fq>();
    }

    #[test]
    #[should_panic(expected = "i < num_vars")]
    fn from_rows_refuses_unknown_variables() {
        let lc = LinearCombination::<Fr>::zero() + Variable(Index::Aux(VARS));
        Shape::from_rows(&[(lc, LinearCombination::zero(), LinearCombination::zero())], VARS, IO);
    }

    #[test]
    #[should_panic(expected = "i <= num_io")]
    fn from_rows_refuses_unknown_inputs() {
        let lc = LinearCombination::<Fr>::zero() + Variable(Index::Input(IO + 1));
        Shape::from_rows(&[(lc, LinearCombination::zero(), LinearCombination::zero())], VARS, IO);
    }

    #[test]
    fn the_first_unsatisfied_row_is_found() {
        let mut rng = rng(2);
        let (shape, dense, ..) = satisfiable::<Fr>(&mut rng);
        let mut relaxed = random_relaxed(&dense, &mut rng);
        assert!(relaxed.is_satisfied(&shape));
        for i in (0..ROWS).rev() {
            relaxed.witness.e[i] += Fr::ONE;
            let Relaxed { witness, u, x } = &relaxed;
            assert_eq!(shape.first_unsatisfied(&witness.w, &witness.e, *u, x), Some(i));
        }
    }

    #[test]
    fn every_number_of_an_assignment_counts() {
        let mut rng = rng(3);
        let (shape, dense, ..) = satisfiable::<Fr>(&mut rng);
        let used = |j: usize| dense.iter().flatten().any(|row| row[j] != Fr::ZERO);
        let change = Fr::random(&mut rng);
        for j in 0..VARS {
            let mut relaxed = random_relaxed(&dense, &mut rng);
            relaxed.witness.w[j] += change;
            assert_eq!(relaxed.is_satisfied(&shape), !used(j));
        }
        for j in 0..IO {
            let mut relaxed = random_relaxed(&dense, &mut rng);
            relaxed.x[j] += change;
            assert_eq!(relaxed.is_satisfied(&shape), !used(VARS + 1 + j));
        }
        let mut relaxed = random_relaxed(&dense, &mut rng);
        relaxed.u += change;
        assert!(!relaxed.is_satisfied(&shape));
        assert!((0..VARS + 1 + IO).all(used));
    }

    fn folds_stay_satisfied<C: CycleCurve>() {
        let mut rng = rng(4);
        for _ in 0..10 {
            let (shape, dense, w, x2) = satisfiable::<C::ScalarExt>(&mut rng);
            let key = random_key::<C>(&mut rng);
            let fresh = FreshWitness::new(w, &mut rng);
            let mut one = random_relaxed(&dense, &mut rng);
            let commit = |w: &RelaxedWitness<C::ScalarExt>| {
                [key.commit(&w.w, &w.blind_w), key.commit(&w.e, &w.blind_e)].map(C::CurveExt::from)
            };

            // A fresh one.
            let t = one.witness.cross_term(&shape, &key, (one.u, &one.x), (&fresh, &x2), &mut rng);
            assert_eq!(t.commitment, key.commit(&t.t, &t.blind));
            let r = C::ScalarExt::random(&mut rng);
            let [comm_w, comm_e] = commit(&one.witness);
            one.witness.fold(&fresh, &t, r);
            one.fold_scalars((C::ScalarExt::ONE, &x2), r);
            assert!(one.is_satisfied(&shape));
            let fresh_w = key.commit(&fresh.w, &fresh.blind_w);
            let expected = [comm_w + fresh_w * r, comm_e + t.commitment * r];
            assert_eq!(commit(&one.witness), expected);

            // A relaxed one.
            let two = random_relaxed(&dense, &mut rng);
            let t =
                one.witness.cross_term_relaxed(&shape, &key, (one.u, &one.x), &two.witness, (two.u, &two.x), &mut rng);
            let r = C::ScalarExt::random(&mut rng);
            let [w1, e1] = commit(&one.witness);
            let [w2, e2] = commit(&two.witness);
            one.witness.fold_relaxed(&two.witness, &t, r);
            one.fold_scalars((two.u, &two.x), r);
            assert!(one.is_satisfied(&shape));
            assert_eq!(commit(&one.witness), [w1 + w2 * r, e1 + (e2 * r + t.commitment) * r]);
        }
    }

    #[test]
    fn folds_of_satisfied_assignments_are_satisfied() {
        folds_stay_satisfied::<G1Affine>();
        folds_stay_satisfied::<GkAffine>();
    }

    #[test]
    fn a_wrong_cross_term_or_witness_is_refused() {
        let mut rng = rng(5);
        let (shape, dense, w, x2) = satisfiable::<Fr>(&mut rng);
        let key = random_key::<G1Affine>(&mut rng);
        let r = Fr::random(&mut rng);
        let fold = |change: fn(&mut FreshWitness<Fr>, &mut CrossTerm<G1Affine>), late: bool, rng: &mut ChaCha20Rng| {
            let mut fresh = FreshWitness { w: w.clone(), blind_w: Fr::ONE };
            let mut one = random_relaxed(&dense, rng);
            let mut t = commit_cross_term(&key, vec![Fr::ZERO; ROWS], rng);
            if !late {
                change(&mut fresh, &mut t);
            }
            t = one.witness.cross_term(&shape, &key, (one.u, &one.x), (&fresh, &x2), rng);
            if late {
                change(&mut fresh, &mut t);
            }
            one.witness.fold(&fresh, &t, r);
            one.fold_scalars((Fr::ONE, &x2), r);
            one.is_satisfied(&shape)
        };
        assert!(fold(|_, _| (), true, &mut rng));
        assert!(!fold(|_, t| t.t[0] += Fr::ONE, true, &mut rng));
        assert!(!fold(|_, t| t.t[ROWS - 1] = Fr::ZERO, true, &mut rng));
        assert!(!fold(|fresh, _| fresh.w[VARS - 1] += Fr::ONE, true, &mut rng));
        // A fresh witness that is false from the start gives no cross-term that saves it.
        assert!(!fold(|fresh, _| fresh.w[0] += Fr::ONE, false, &mut rng));

        let (one, two) = (random_relaxed(&dense, &mut rng), random_relaxed(&dense, &mut rng));
        for (row, false_error) in [(0, false), (ROWS - 1, false), (0, true)] {
            let mut one = Relaxed { witness: one.witness.clone(), u: one.u, x: one.x.clone() };
            let mut second = two.witness.clone();
            if false_error {
                second.e[row] += Fr::ONE;
            }
            let mut t =
                one.witness.cross_term_relaxed(&shape, &key, (one.u, &one.x), &second, (two.u, &two.x), &mut rng);
            if !false_error {
                t.t[row] += Fr::ONE;
            }
            one.witness.fold_relaxed(&second, &t, r);
            one.fold_scalars((two.u, &two.x), r);
            assert!(!one.is_satisfied(&shape));
        }
    }

    #[test]
    fn the_default_is_satisfied_and_has_the_blinding_base_as_commitments() {
        let mut rng = rng(6);
        let (shape, ..) = satisfiable::<Fr>(&mut rng);
        let key = random_key::<G1Affine>(&mut rng);
        let default = RelaxedWitness::default_for(&shape);
        assert_eq!(shape.first_unsatisfied(&default.w, &default.e, Fr::ZERO, &[Fr::ZERO; IO]), None);
        assert_eq!(key.commit(&default.w, &default.blind_w), key.h);
        assert_eq!(key.commit(&default.e, &default.blind_e), key.h);
    }

    #[test]
    fn lengths_are_checked() {
        let (shape, ..) = satisfiable::<Fr>(&mut rng(7));
        let right = RelaxedWitness::default_for(&shape);
        right.check_lengths(&shape).expect("the default has the right lengths");
        for (dw, de, expected, found) in
            [(1i32, 0i32, VARS, VARS + 1), (-1, 0, VARS, VARS - 1), (0, 1, ROWS, ROWS + 1), (0, -1, ROWS, ROWS - 1)]
        {
            let mut wrong = right.clone();
            wrong.w.resize((VARS as i32 + dw) as usize, Fr::ZERO);
            wrong.e.resize((ROWS as i32 + de) as usize, Fr::ZERO);
            match wrong.check_lengths(&shape) {
                Err(Error::Length { expected: e, found: f, .. }) => assert_eq!((e, f), (expected, found)),
                other => panic!("{other:?}"),
            }
        }
    }
}
