//! Rows and values recorded together, for tests that then change values.

use crate::r1cs::Shape;
use ff::PrimeField;
use nova_snark::frontend::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};

/// A constraint system that keeps both rows and assignment.
pub(crate) struct Recorder<F: PrimeField> {
    /// The constant one, then public inputs.
    pub(crate) inputs: Vec<F>,
    /// Witness variables.
    pub(crate) aux: Vec<F>,
    rows: Vec<(LinearCombination<F>, LinearCombination<F>, LinearCombination<F>)>,
}

impl<F: PrimeField> ConstraintSystem<F> for Recorder<F> {
    type Root = Self;

    fn new() -> Self {
        Self { inputs: vec![F::ONE], aux: Vec::new(), rows: Vec::new() }
    }

    fn alloc<V, A, AR>(&mut self, _: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux.push(value()?);
        Ok(Variable(Index::Aux(self.aux.len() - 1)))
    }

    fn alloc_input<V, A, AR>(&mut self, _: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs.push(value()?);
        Ok(Variable(Index::Input(self.inputs.len() - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        let zero = LinearCombination::zero;
        self.rows.push((a(zero()), b(zero()), c(zero())));
    }

    fn push_namespace<NR, N>(&mut self, _: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
    }

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

impl<F: PrimeField> Recorder<F> {
    /// Rows so far.
    pub(crate) fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// Gives a variable another value, and no other one.
    pub(crate) fn set(&mut self, var: Variable, value: F) {
        match var.get_unchecked() {
            Index::Input(i) => self.inputs[i] = value,
            Index::Aux(i) => self.aux[i] = value,
        }
    }

    /// The value of a variable.
    pub(crate) fn get(&self, var: Variable) -> F {
        match var.get_unchecked() {
            Index::Input(i) => self.inputs[i],
            Index::Aux(i) => self.aux[i],
        }
    }

    /// The shape of all rows, made as for parameters.
    pub(crate) fn shape(&self) -> Shape<F> {
        Shape::from_rows(&self.rows, self.aux.len(), self.inputs.len() - 1)
    }

    /// Whether the shape accepts the assignment, as verification decides it.
    pub(crate) fn is_satisfied(&self) -> bool {
        let shape = self.shape();
        let e = vec![F::ZERO; shape.num_cons];
        let first = shape.first_unsatisfied(&self.aux, &e, F::ONE, &self.inputs[1..]);
        assert_eq!(first, self.unsatisfied().first().copied());
        first.is_none()
    }

    fn eval(&self, lc: &LinearCombination<F>) -> F {
        lc.iter().map(|(var, coeff)| self.get(Variable(var.get_unchecked())) * coeff).sum()
    }

    /// All rows that the assignment does not satisfy.
    pub(crate) fn unsatisfied(&self) -> Vec<usize> {
        let holds = |(a, b, c): &(_, _, _)| self.eval(a) * self.eval(b) == self.eval(c);
        self.rows.iter().enumerate().filter(|(_, row)| !holds(row)).map(|(i, _)| i).collect()
    }

    /// Witness variables that can change alone, by one of some amounts, without a row noticing.
    pub(crate) fn free_variables(&self) -> Vec<usize> {
        let mut rows_of = vec![Vec::new(); self.aux.len()];
        let mut values = Vec::new();
        for (i, (a, b, c)) in self.rows.iter().enumerate() {
            values.push([self.eval(a), self.eval(b), self.eval(c)]);
            for (k, lc) in [a, b, c].into_iter().enumerate() {
                for (var, coeff) in lc.iter() {
                    if let Index::Aux(j) = var.get_unchecked() {
                        rows_of[j].push((i, k, *coeff));
                    }
                }
            }
        }
        let amounts = [F::ONE, -F::ONE, F::from(2), F::MULTIPLICATIVE_GENERATOR.pow_vartime([1 << 40])];
        let unnoticed = |entries: &[(usize, usize, F)], amount: F| {
            let mut changed = BTreeMap::new();
            for (i, k, coeff) in entries {
                changed.entry(*i).or_insert(values[*i])[*k] += amount * coeff;
            }
            changed.values().all(|[a, b, c]| *a * b == *c)
        };
        let is_free = |entries: &Vec<_>| amounts.iter().any(|amount| unnoticed(entries, *amount));
        rows_of.iter().enumerate().filter(|(_, entries)| is_free(entries)).map(|(j, _)| j).collect()
    }

    /// Directions in which the witness variables other than `fixed` can move together, to first order, with all rows still
    /// satisfied: unknowns less the rank of the rows' Jacobian. None means that no other solution is near.
    pub(crate) fn freedom(&self, fixed: &[Variable]) -> usize {
        let fixed: BTreeSet<usize> = fixed.iter().filter_map(|var| aux_index(*var)).collect();
        // By the last unknown of each reduced row.
        let mut pivots: BTreeMap<usize, BTreeMap<usize, F>> = BTreeMap::new();
        for (a, b, c) in &self.rows {
            let mut row = BTreeMap::new();
            for (lc, factor) in [(a, self.eval(b)), (b, self.eval(a)), (c, -F::ONE)] {
                for (var, coeff) in lc.iter() {
                    if let Some(j) = aux_index(Variable(var.get_unchecked())).filter(|j| !fixed.contains(j)) {
                        *row.entry(j).or_insert(F::ZERO) += factor * coeff;
                    }
                }
            }
            row.retain(|_, value| *value != F::ZERO);
            while let Some((j, value)) = row.pop_last() {
                let Some(pivot) = pivots.get(&j) else {
                    let scale = -value.invert().expect("not zero");
                    row.values_mut().for_each(|entry| *entry *= scale);
                    pivots.insert(j, row);
                    break;
                };
                for (k, coeff) in pivot {
                    *row.entry(*k).or_insert(F::ZERO) += value * coeff;
                }
                row.retain(|_, value| *value != F::ZERO);
            }
        }
        self.aux.len() - fixed.len() - pivots.len()
    }
}

fn aux_index(var: Variable) -> Option<usize> {
    match var.get_unchecked() {
        Index::Aux(j) => Some(j),
        Index::Input(_) => None,
    }
}

/// Records what a gadget does and returns its result too.
pub(crate) fn record<F: PrimeField, T>(
    gadget: impl FnOnce(&mut Recorder<F>) -> Result<T, SynthesisError>,
) -> (Recorder<F>, T) {
    let mut cs = Recorder::new();
    let out = gadget(&mut cs).expect("synthesis does not fail");
    (cs, out)
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The integer of a field element.
pub(crate) fn integer<F: PrimeField>(x: &F) -> BigUint {
    BigUint::from_bytes_le(x.to_repr().as_ref())
}

/// The field element of an integer of any size.
pub(crate) fn element<F: PrimeField>(x: &BigUint) -> F {
    x.to_bytes_be().iter().fold(F::ZERO, |acc, byte| acc * F::from(256) + F::from(u64::from(*byte)))
}

/// `2^exponent`.
pub(crate) fn power(exponent: usize) -> BigUint {
    BigUint::from(1u8) << exponent
}
