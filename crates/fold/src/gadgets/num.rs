//! Variables and linear combinations that know their value.

use ff::PrimeField;
use nova_snark::frontend::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable, num::AllocatedNum};

/// The constant-one variable of every constraint system.
pub const ONE: Variable = Variable(Index::Input(0));

/// An allocated variable together with its value, which is always known.
#[derive(Clone, Copy, Debug)]
pub struct Num<F> {
    /// The variable.
    pub var: Variable,
    /// Its value in the assignment being built.
    pub value: F,
}

impl<F: PrimeField> Num<F> {
    /// Allocates an unconstrained witness variable.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc<CS: ConstraintSystem<F>>(cs: &mut CS, value: F) -> Result<Self, SynthesisError> {
        let var = cs.alloc(|| "", || Ok(value))?;
        Ok(Self { var, value })
    }

    /// Allocates a public input.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc_input<CS: ConstraintSystem<F>>(cs: &mut CS, value: F) -> Result<Self, SynthesisError> {
        let var = cs.alloc_input(|| "", || Ok(value))?;
        Ok(Self { var, value })
    }

    /// Allocates `a * b` and enforces the product (one row).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn product<CS: ConstraintSystem<F>>(cs: &mut CS, a: &Lc<F>, b: &Lc<F>) -> Result<Self, SynthesisError> {
        let out = Self::alloc(cs, a.value * b.value)?;
        enforce(cs, a, b, &out.into());
        Ok(out)
    }

    /// Allocates `if bit { yes } else { no }` for a boolean `bit` (one row).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn select<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        bit: &Lc<F>,
        yes: &Lc<F>,
        no: &Lc<F>,
    ) -> Result<Self, SynthesisError> {
        let value = if bit.value == F::ZERO { no.value } else { yes.value };
        let out = Self::alloc(cs, value)?;
        enforce(cs, bit, &(yes.clone() - no), &(Lc::from(out) - no));
        Ok(out)
    }

    /// The same variable as nova-snark's gadgets see it.
    pub fn to_allocated(self) -> AllocatedNum<F> {
        AllocatedNum::from_parts(self.var, Some(self.value))
    }

    /// Takes over a variable of nova-snark's gadgets. While a shape is made its value is unknown and read as zero.
    pub fn from_allocated(num: &AllocatedNum<F>) -> Self {
        Self { var: num.get_variable(), value: num.get_value().unwrap_or(F::ZERO) }
    }
}

/// A linear combination of variables together with its value.
#[derive(Clone, Debug)]
pub struct Lc<F> {
    /// Variables with their coefficients; a variable may occur more than once.
    pub terms: Vec<(Variable, F)>,
    /// The value of the whole combination.
    pub value: F,
}

impl<F: PrimeField> Lc<F> {
    /// The empty combination.
    pub fn zero() -> Self {
        Self { terms: Vec::new(), value: F::ZERO }
    }

    /// A constant.
    pub fn constant(value: F) -> Self {
        Self { terms: vec![(ONE, value)], value }
    }

    /// The constant one.
    pub fn one() -> Self {
        Self::constant(F::ONE)
    }

    /// Adds `coeff * num`.
    #[must_use]
    pub fn plus(mut self, coeff: F, num: &Num<F>) -> Self {
        self.terms.push((num.var, coeff));
        self.value += coeff * num.value;
        self
    }

    /// Adds `coeff * other`.
    #[must_use]
    pub fn plus_lc(mut self, coeff: F, other: &Self) -> Self {
        self.terms.extend(other.terms.iter().map(|(var, c)| (*var, *c * coeff)));
        self.value += coeff * other.value;
        self
    }

    /// Multiplies by a constant.
    #[must_use]
    pub fn scale(mut self, coeff: F) -> Self {
        for (_, c) in &mut self.terms {
            *c *= coeff;
        }
        self.value *= coeff;
        self
    }

    /// The combination in nova-snark's form.
    pub fn lc(&self) -> LinearCombination<F> {
        self.terms.iter().fold(LinearCombination::zero(), |lc, (var, coeff)| lc + (*coeff, *var))
    }
}

impl<F: PrimeField> From<Num<F>> for Lc<F> {
    fn from(num: Num<F>) -> Self {
        Self { terms: vec![(num.var, F::ONE)], value: num.value }
    }
}

impl<F: PrimeField> From<&Num<F>> for Lc<F> {
    fn from(num: &Num<F>) -> Self {
        (*num).into()
    }
}

impl<F: PrimeField> std::ops::Add<&Lc<F>> for Lc<F> {
    type Output = Self;
    fn add(self, other: &Self) -> Self {
        self.plus_lc(F::ONE, other)
    }
}

impl<F: PrimeField> std::ops::Sub<&Lc<F>> for Lc<F> {
    type Output = Self;
    fn sub(self, other: &Self) -> Self {
        self.plus_lc(-F::ONE, other)
    }
}

/// Enforces `a * b = c` (one row).
pub fn enforce<F: PrimeField, CS: ConstraintSystem<F>>(cs: &mut CS, a: &Lc<F>, b: &Lc<F>, c: &Lc<F>) {
    cs.enforce(|| "", |_| a.lc(), |_| b.lc(), |_| c.lc());
}

/// Enforces `a = b` (one row).
pub fn enforce_equal<F: PrimeField, CS: ConstraintSystem<F>>(cs: &mut CS, a: &Lc<F>, b: &Lc<F>) {
    cs.enforce(|| "", |_| a.clone().plus_lc(-F::ONE, b).lc(), |lc| lc + ONE, |lc| lc);
}

/// Enforces `a != 0` by exhibiting its inverse (one row, one variable).
///
/// # Errors
/// Those of the constraint system. A zero `a` gives an unsatisfied row, not an error.
pub fn enforce_nonzero<F: PrimeField, CS: ConstraintSystem<F>>(cs: &mut CS, a: &Lc<F>) -> Result<(), SynthesisError> {
    let inverse = Num::alloc(cs, a.value.invert().unwrap_or(F::ZERO))?;
    enforce(cs, a, &inverse.into(), &Lc::one());
    Ok(())
}

/// Allocates the boolean `a == 0` (two rows, two variables).
///
/// # Errors
/// Those of the constraint system.
pub fn is_zero<F: PrimeField, CS: ConstraintSystem<F>>(cs: &mut CS, a: &Lc<F>) -> Result<Num<F>, SynthesisError> {
    let inverse = a.value.invert();
    let zero = Num::alloc(cs, if inverse.is_some().into() { F::ZERO } else { F::ONE })?;
    let hint = Num::alloc(cs, inverse.unwrap_or(F::ZERO))?;
    // a * hint = 1 - zero and a * zero = 0: for a = 0 the first row forces zero = 1,
    // otherwise the second forces zero = 0.
    enforce(cs, a, &hint.into(), &Lc::one().plus(-F::ONE, &zero));
    enforce(cs, a, &zero.into(), &Lc::zero());
    Ok(zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Fr;
    use crate::gadgets::testing::{Recorder, record, rng};
    use ff::Field;

    fn numbers(cs: &mut Recorder<Fr>, values: &[Fr]) -> Vec<Lc<Fr>> {
        values.iter().map(|v| Num::alloc(cs, *v).expect("allocates").into()).collect()
    }

    fn arb_values() -> Vec<Fr> {
        let mut rng = rng(1);
        let mut values = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2)];
        values.extend((0..4).map(|_| Fr::random(&mut rng)));
        values
    }

    #[test]
    fn product_is_the_only_one() {
        for a in arb_values() {
            for b in arb_values() {
                let (mut cs, out) = record(|cs| {
                    let lcs = numbers(cs, &[a, b]);
                    Num::product(cs, &lcs[0], &lcs[1])
                });
                assert_eq!((out.value, cs.num_rows()), (a * b, 1));
                assert!(cs.is_satisfied());
                for wrong in [a * b + Fr::ONE, a * b - Fr::ONE, a + b + Fr::from(7)] {
                    cs.set(out.var, wrong);
                    assert_eq!(cs.is_satisfied(), wrong == a * b);
                }
            }
        }
    }

    #[test]
    fn select_takes_the_chosen_one_only() {
        let [yes, no] = [Fr::from(5), Fr::from(9)];
        for (bit, chosen, other) in [(Fr::ONE, yes, no), (Fr::ZERO, no, yes)] {
            let (mut cs, out) = record(|cs| {
                let lcs = numbers(cs, &[bit, yes, no]);
                Num::select(cs, &lcs[0], &lcs[1], &lcs[2])
            });
            assert_eq!((out.value, cs.num_rows()), (chosen, 1));
            assert!(cs.is_satisfied());
            for wrong in [other, Fr::ZERO, chosen + Fr::ONE] {
                cs.set(out.var, wrong);
                assert!(!cs.is_satisfied());
            }
        }
    }

    #[test]
    fn is_zero_has_one_answer() {
        for a in arb_values() {
            let (mut cs, (a_lc, zero)) = record(|cs| {
                let a = numbers(cs, &[a])[0].clone();
                let zero = is_zero(cs, &a)?;
                Ok((a, zero))
            });
            let answer = if a == Fr::ZERO { Fr::ONE } else { Fr::ZERO };
            assert_eq!((zero.value, cs.num_rows(), a_lc.value), (answer, 2, a));
            assert!(cs.is_satisfied());
            // With every hint that could help: the inverse, that of the negation, zero, one and (1 - wrong) / a.
            for wrong in [Fr::ONE - answer, Fr::from(2), -Fr::ONE, Fr::from(2).invert().expect("a unit")] {
                let inverse = a.invert().unwrap_or(Fr::ZERO);
                for hint in [inverse, -inverse, Fr::ZERO, Fr::ONE, (Fr::ONE - wrong) * inverse] {
                    cs.aux[1] = wrong;
                    cs.aux[2] = hint;
                    assert!(!cs.is_satisfied(), "is_zero({a:?}) = {wrong:?}");
                }
            }
        }
    }

    #[test]
    fn nonzero_needs_its_inverse() {
        for a in arb_values() {
            let (mut cs, ()) = record(|cs| {
                let a = numbers(cs, &[a])[0].clone();
                enforce_nonzero(cs, &a)
            });
            assert_eq!(cs.num_rows(), 1);
            assert_eq!(cs.is_satisfied(), a != Fr::ZERO);
            for hint in [Fr::ZERO, Fr::from(3), -Fr::from(5)] {
                cs.aux[1] = hint;
                assert!(!cs.is_satisfied());
            }
        }
    }

    #[test]
    fn equalities_and_combinations() {
        let [a, b] = [Fr::from(11), Fr::from(4)];
        for (sum, fits) in [(a + a + Fr::from(3) * b - Fr::from(2), true), (a, false), (Fr::ZERO, false)] {
            let (cs, lc) = record(|cs| {
                let lcs = numbers(cs, &[a, b, sum]);
                let num = Num { var: lcs[1].terms[0].0, value: b };
                // a occurs twice, the constant too.
                let lc = (lcs[0].clone() + &lcs[0]).plus(Fr::from(3), &num) - &Lc::one() - &Lc::one();
                enforce_equal(cs, &lc, &lcs[2]);
                enforce_equal(cs, &lcs[2].clone().scale(Fr::from(5)), &lc.clone().scale(Fr::from(5)));
                Ok(lc)
            });
            assert_eq!(lc.value, a + a + Fr::from(3) * b - Fr::from(2));
            assert_eq!(cs.unsatisfied().is_empty(), fits);
            assert_eq!(cs.is_satisfied(), fits);
            assert_eq!(cs.num_rows(), 2);
        }
    }
}
