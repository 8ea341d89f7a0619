//! Coordinates in limbs that are not canonical, or out of range.

use super::*;
use crate::circuit::instance::{CfVar, RelaxedVar};
use crate::circuit::merge::ChildWitness;
use crate::curve::{Fq, G1Affine, LIMB_WIDTHS, LIMBS, to_limbs};
use crate::gadgets::foreign::{ForeignNum, ForeignPoint};
use crate::gadgets::num::Num;
use crate::instance::FreshInstance;
use nova_snark::frontend::{Index, LinearCombination, Variable};
use num_bigint::BigUint;

/// Checks rows as they come.
struct Rows {
    inputs: Vec<Fr>,
    aux: Vec<Fr>,
    failing: usize,
}

impl Rows {
    fn value(&self, lc: &LinearCombination<Fr>) -> Fr {
        lc.iter()
            .map(|(variable, coefficient)| match variable.get_unchecked() {
                Index::Input(i) => self.inputs[i] * coefficient,
                Index::Aux(i) => self.aux[i] * coefficient,
            })
            .sum()
    }
}

impl ConstraintSystem<Fr> for Rows {
    type Root = Self;

    fn new() -> Self {
        Self { inputs: vec![Fr::ONE], aux: Vec::new(), failing: 0 }
    }

    fn alloc<F, A, AR>(&mut self, _: A, f: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux.push(f()?);
        Ok(Variable::new_unchecked(Index::Aux(self.aux.len() - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, f: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs.push(f()?);
        Ok(Variable::new_unchecked(Index::Input(self.inputs.len() - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        let [a, b, c] = [a(LinearCombination::zero()), b(LinearCombination::zero()), c(LinearCombination::zero())];
        if self.value(&a) * self.value(&b) != self.value(&c) {
            self.failing += 1;
        }
    }

    fn push_namespace<NR, N>(&mut self, _: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
    }

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self {
        self
    }
}

fn integer<F: PrimeField>(x: &F) -> BigUint {
    BigUint::from_bytes_le(x.to_repr().as_ref())
}

/// The limbs of an integer of at most 254 bits.
fn limbs_of(x: &BigUint) -> [Fr; LIMBS] {
    let mask = (BigUint::from(1u8) << 85) - 1u8;
    std::array::from_fn(|i| {
        let limb = (x >> (85 * i)) & &mask;
        let digits = limb.to_u64_digits();
        digits.iter().rev().fold(Fr::ZERO, |acc, digit| acc * Fr::from_u128(1 << 64) + Fr::from(*digit))
    })
}

/// The limbs of `x + q`, where they still fit 254 bits.
fn unreduced(x: &Fq) -> Option<[Fr; LIMBS]> {
    let sum = integer(x) + integer(&-Fq::ONE) + 1u8;
    (sum.bits() <= 254).then(|| limbs_of(&sum))
}

fn failing_range(limbs: &[Fr; LIMBS]) -> usize {
    let mut cs = Rows::new();
    ForeignNum::alloc_trusted(&mut cs, limbs).expect("alloc").check(&mut cs).expect("check");
    cs.failing
}

/// A child of M folded by the gadget alone, with the limbs of its last commitment and of the first result given.
struct Folded {
    failing: usize,
    state: Fr,
    elements: Vec<Fr>,
}

fn fold_with(child: &ChildWitness, x: Fr, w: &G1Affine, limbs: &[[Fr; LIMBS]; 2]) -> Folded {
    let mut cs = Rows::new();
    let running = RelaxedVar::alloc(&mut cs, &child.running_s).expect("alloc");
    let mut cf = CfVar::alloc(&mut cs, &child.cf).expect("alloc");
    let [wx, wy] = limbs.map(|limbs| ForeignNum::alloc_trusted(&mut cs, &limbs).expect("alloc"));
    wx.check(&mut cs).expect("check");
    wy.check(&mut cs).expect("check");
    let fresh_w = ForeignPoint { x: wx, y: wy };
    let t = ForeignPoint::alloc_checked(&mut cs, &child.t).expect("alloc");
    let x = Num::alloc(&mut cs, x).expect("alloc");
    assert_eq!(limbs.map(|limbs| crate::curve::from_limbs(&limbs)), [w.x, w.y]);
    let (folded, state) = running.fold(&mut cs, (&fresh_w, &x), &t, &mut cf, &child.ops).expect("fold");
    let elements = folded.lcs().iter().chain(&cf.lcs()).map(|lc| lc.value).collect();
    Folded { failing: cs.failing, state: state.value, elements }
}

#[test]
fn limbs_out_of_range_are_refused() {
    let honest = to_limbs(&stray_point(0).x);
    assert_eq!(failing_range(&honest), 0);
    for (i, width) in LIMB_WIDTHS.iter().enumerate() {
        for bad in [Fr::from_u128(1 << width), -Fr::ONE, Fr::from_u128(u128::MAX)] {
            let mut limbs = honest;
            limbs[i] = bad;
            assert_eq!(failing_range(&limbs), 1, "limb {i}");
        }
        let mut limbs = honest;
        limbs[i] = Fr::from_u128((1 << width) - 1);
        assert_eq!(failing_range(&limbs), 0, "limb {i}");
    }
    // The same number with a borrow: one limb too large, or one negative and the next made up for.
    let mut limbs = honest;
    limbs[0] += Fr::from_u128(1 << 85);
    limbs[1] -= Fr::ONE;
    assert_eq!(failing_range(&limbs), 1);
    let mut limbs = honest;
    limbs[0] -= Fr::from_u128(1 << 85);
    limbs[1] += Fr::ONE;
    assert_eq!(failing_range(&limbs), 1);
}

#[test]
fn unreduced_coordinates_pass_the_circuit_and_not_the_native_hash() {
    let child = OPEN_SEGMENTS[0].enter().witness;
    let x = model::child_x(PARAMS.prover().digest().element(), &child);
    // A point one of whose coordinates leaves room for q below 2^254.
    let (w, at, long) = (0..)
        .find_map(|n| {
            let w = stray_point(n);
            let [x, y] = [unreduced(&w.x), unreduced(&w.y)];
            x.map(|limbs| (w, 0, limbs)).or(y.map(|limbs| (w, 1, limbs)))
        })
        .expect("some point");
    let canonical = [to_limbs(&w.x), to_limbs(&w.y)];
    let mut limbs = canonical;
    limbs[at] = long;
    assert_eq!(failing_range(&long), 0);

    let honest = fold_with(&child, x, &w, &canonical);
    let lying = fold_with(&child, x, &w, &limbs);
    assert_eq!((honest.failing, lying.failing), (0, 0));
    // The native transcript knows canonical limbs only: it draws another challenge, which folds to another instance.
    let instance = FreshInstance { comm_w: w, x };
    let mut cf = child.cf;
    let (native, state) = model::fold(&child.running_s, &instance, &child.t, &mut cf, &child.ops);
    let native: Vec<Fr> = native.elements().into_iter().chain(cf.elements()).collect();
    assert_eq!((&honest.elements, honest.state), (&native, state));
    assert_ne!(lying.state, state);
    assert_ne!(lying.elements, native);
}

#[test]
fn an_accumulator_in_unreduced_limbs_is_another_to_the_hash() {
    // The result of an operation in limbs of v + q satisfies the rows that follow, and is hashed as it stands: no
    // native instance has that hash, so a proof that ends in one cannot be written down.
    let p = (0..).map(stray_point).find(|p| unreduced(&p.x).is_some()).expect("some point");
    let long = unreduced(&p.x).expect("fits");
    assert_eq!(crate::curve::from_limbs(&long), p.x);
    assert_ne!(long, to_limbs(&p.x));
    let child = OPEN_SEGMENTS[0].enter().witness;
    let hash = |limbs: &[Fr; LIMBS]| {
        let mut elements = child.running_s.elements();
        elements[..LIMBS].copy_from_slice(limbs);
        crate::transcript::hash(crate::transcript::Tag::Step, &elements)
    };
    assert_ne!(hash(&long), hash(&to_limbs(&p.x)));
    // Decoding gives canonical limbs, whatever the point.
    let native = crate::instance::RelaxedInstance { comm_w: p, ..child.running_s };
    assert_eq!(native.elements()[..LIMBS], to_limbs(&p.x));
}
