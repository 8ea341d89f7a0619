//! Rows and values recorded together, for tests of circuits.
//!
//! A circuit's test synthesises it with a [`Recorder`], changes values as a dishonest prover could, and looks which
//! rows notice.

use crate::r1cs::Shape;
use ff::PrimeField;
use nova_snark::frontend::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use std::collections::{BTreeMap, BTreeSet};

/// A constraint system that keeps both rows and assignment.
pub struct Recorder<F: PrimeField> {
    /// The constant one, then public inputs.
    pub inputs: Vec<F>,
    /// Witness variables.
    pub aux: Vec<F>,
    rows: Vec<(LinearCombination<F>, LinearCombination<F>, LinearCombination<F>)>,
    /// Name of each row: its namespaces and its own, joined by `/`.
    names: Vec<String>,
    /// The namespaces that are open.
    open: Vec<String>,
}

impl<F: PrimeField> std::fmt::Debug for Recorder<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("rows", &self.rows.len()).field("aux", &self.aux.len()).finish_non_exhaustive()
    }
}

impl<F: PrimeField> ConstraintSystem<F> for Recorder<F> {
    type Root = Self;

    fn new() -> Self {
        Self { inputs: vec![F::ONE], aux: Vec::new(), rows: Vec::new(), names: Vec::new(), open: Vec::new() }
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

    fn enforce<A, AR, LA, LB, LC>(&mut self, name: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        let zero = LinearCombination::zero;
        self.rows.push((a(zero()), b(zero()), c(zero())));
        let name = name().into();
        let parts = self.open.iter().chain(Some(&name)).filter(|part| !part.is_empty());
        self.names.push(parts.map(String::as_str).collect::<Vec<_>>().join("/"));
    }

    fn push_namespace<NR, N>(&mut self, name: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
        self.open.push(name().into());
    }

    fn pop_namespace(&mut self) {
        self.open.pop();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

impl<F: PrimeField> Recorder<F> {
    /// Rows so far.
    pub fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// Gives a variable another value, and no other one.
    pub fn set(&mut self, var: Variable, value: F) {
        match var.get_unchecked() {
            Index::Input(i) => self.inputs[i] = value,
            Index::Aux(i) => self.aux[i] = value,
        }
    }

    /// The value of a variable.
    pub fn get(&self, var: Variable) -> F {
        match var.get_unchecked() {
            Index::Input(i) => self.inputs[i],
            Index::Aux(i) => self.aux[i],
        }
    }

    /// The shape of all rows, made as for parameters.
    fn shape(&self) -> Shape<F> {
        Shape::from_rows(&self.rows, self.aux.len(), self.inputs.len() - 1)
    }

    /// Whether the shape accepts the assignment, as verification decides it.
    pub fn is_satisfied(&self) -> bool {
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
    pub fn unsatisfied(&self) -> Vec<usize> {
        let holds = |(a, b, c): &(_, _, _)| self.eval(a) * self.eval(b) == self.eval(c);
        self.rows.iter().enumerate().filter(|(_, row)| !holds(row)).map(|(i, _)| i).collect()
    }

    /// The names of the rows that the assignment does not satisfy, each once, in the order of the rows. A row is named
    /// by its namespaces and its own annotation, joined by `/`.
    pub fn unsatisfied_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in self.unsatisfied() {
            if !names.contains(&self.names[row].as_str()) {
                names.push(&self.names[row]);
            }
        }
        names
    }

    /// Rows under each name that starts with one of the prefixes; the last number counts all others.
    pub fn rows_under(&self, prefixes: &[&str]) -> Vec<usize> {
        let mut counts = vec![0; prefixes.len() + 1];
        for name in &self.names {
            let at = prefixes.iter().position(|prefix| name.starts_with(prefix)).unwrap_or(prefixes.len());
            counts[at] += 1;
        }
        counts
    }

    /// Witness variables that can change alone, by one of some amounts, without a row noticing.
    pub fn free_variables(&self) -> Vec<usize> {
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

    /// Directions in which the witness variables other than `fixed` can move together, to first order, with all rows
    /// still satisfied: unknowns less the rank of the rows' Jacobian. None means that no other solution is near.
    pub fn freedom(&self, fixed: &[Variable]) -> usize {
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
///
/// # Panics
/// If the gadget returns an error.
pub fn record<F: PrimeField, T>(
    gadget: impl FnOnce(&mut Recorder<F>) -> Result<T, SynthesisError>,
) -> (Recorder<F>, T) {
    let mut cs = Recorder::new();
    let out = gadget(&mut cs).expect("synthesis does not fail");
    (cs, out)
}
