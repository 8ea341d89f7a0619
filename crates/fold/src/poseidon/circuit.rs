//! Poseidon as R1CS: three rows per S-box and no other row, `3 (8 t + R_P) - 3` rows for width `t`.
//!
//! An S-box `x -> o = x^5` costs the rows `x * x = x2`, `x2 * x2 = x4`, `x4 * x = o`. Before the last round
//! `o` is not a variable: it is written as an affine combination of *later* variables, so that its row defines one of them.
//! Nothing else needs a row, and S-box inputs stay short. The capacity element's S-box in the first round has a
//! constant input and costs nothing.
//!
//! # Variables
//!
//! - First round of [`hash_from_first_sboxes`]: its outputs, given. Those of the S-boxes that follow are as below, except that the
//!   second round's inputs are combinations of them.
//! - Full rounds: the S-box inputs `s` of the round that follows (after the MDS matrix and the round constants `c`). The
//!   outputs are `M^-1 (s - c)`. Into the second round there are only `t - 1` outputs to define `t` inputs, hence input 0
//!   is the affine combination of the others that the constant first output implies.
//! - Partial rounds: `R_P + t` variables, which the `t` outputs of the full round before and the `R_P` partial outputs define.
//!   See `Basis` for the two choices.
//! - Last round: S-box outputs `o_1..`, and the hash `h = M_0 o`, with `o_0 = (h - sum_{j>0} M_0j o_j) / M_00`.
//!
//! # Soundness
//!
//! For given inputs every variable has exactly one satisfying value. Go through the S-boxes in order. Once the input
//! `x` of one is determined, its first two rows determine `x2` and `x4`, and the third the value of the combination
//! that stands for `o`. Those values determine what comes next:
//!
//! - Between full rounds the combinations are the inverse of `o -> s = M o + c`, an invertible map, so the `t` values of
//!   one round give the `t` variables `s`. Out of the first round the map is `A o + c` with `A` the matrix `M` without its first
//!   row and column, also Cauchy and so invertible. In the last round the outputs are variables, and `M_00 != 0`.
//! - In the partial rounds the combinations of the variables that stand for `x_k`, `o_k` and the rest of the state `u_k`
//!   satisfy `x_{k+1} = m o_k + v u_k + c`, `u_{k+1} = w o_k + A u_k + c'` as identities. The values of the full round before
//!   give `x_0` and `u_0`; then `x_k` gives `o_k`, and `x_k, u_k, o_k` give `x_{k+1}, u_{k+1}`, up to the inputs of the
//!   full round after. The `t + R_P` outputs fix all variables, as the change from either basis to them is invertible: each
//!   `y_{k+n}` is `o_k` minus a combination of earlier ones, and the variables of `Basis::Backward` are S-box inputs.

use std::sync::OnceLock;

use ff::Field;
use nova_snark::frontend::{ConstraintSystem, LinearCombination, SynthesisError, Variable};

use super::constants::{FULL_ROUNDS, Matrix, Params};
use super::dot::dot;
use super::{MAX_INPUTS, Observer, permute, permute_from};
use crate::curve::Fr;
use crate::gadgets::num::{Lc, Num, ONE};

/// [`super::hash`] in the circuit. The output is an allocated variable.
///
/// Each input's terms enter three rows, so long combinations are better allocated before.
///
/// # Errors
/// Those of the constraint system.
///
/// # Panics
/// If there is no input, or more than [`MAX_INPUTS`].
pub fn hash<CS: ConstraintSystem<Fr>>(cs: &mut CS, inputs: &[Lc<Fr>]) -> Result<Num<Fr>, SynthesisError> {
    let params = Params::get(inputs.len() + 1);
    let values: Vec<Fr> = inputs.iter().map(|input| input.value).collect();
    let mut witness = Witness::new(params);
    let value = permute(params, &values, &mut witness);
    witness.allocate(cs, value, |rows, mut linear, var| {
        let second = take(&mut linear, params.t - 1);
        let state = rows.first_round(params, inputs, second);
        rows.permutation_from(params, state, linear, var);
    })
}

/// The output of the first round's S-box for input `x` plus `constant`, which is [`super::first_constant`] of its place
/// (three rows).
///
/// # Errors
/// Those of the constraint system.
pub fn first_sbox<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    x: &Lc<Fr>,
    constant: &Lc<Fr>,
) -> Result<Num<Fr>, SynthesisError> {
    let x = x.clone() + constant;
    let x2 = Num::product(cs, &x, &x)?;
    let x4 = Num::product(cs, &x2.into(), &x2.into())?;
    Num::product(cs, &x4.into(), &x)
}

/// [`hash`] of the inputs whose [`first_sbox`] has these outputs: three rows less for each input.
///
/// The S-box is a bijection, so an output that is a free witness stands for exactly one free input. That makes siblings
/// on a Merkle path cheaper, and hashes that share inputs at the same places.
///
/// # Errors
/// Those of the constraint system.
///
/// # Panics
/// If there is no output, or more than [`MAX_INPUTS`].
pub fn hash_from_first_sboxes<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    outputs: &[Lc<Fr>],
) -> Result<Num<Fr>, SynthesisError> {
    let params = Params::get(outputs.len() + 1);
    let values: Vec<Fr> = outputs.iter().map(|output| output.value).collect();
    let mut witness = Witness::after_first_sboxes(params);
    let value = permute_from(params, &values, &mut witness);
    witness.allocate(cs, value, |rows, linear, var| {
        let state = rows.second_inputs(params, outputs);
        rows.permutation_from(params, state, linear, var);
    })
}

/// [`super::hash_long`] in the circuit, under the same condition: the first input is a domain tag that fixes the number
/// of inputs.
///
/// # Errors
/// Those of the constraint system.
///
/// # Panics
/// If there is no input.
pub fn hash_long<CS: ConstraintSystem<Fr>>(cs: &mut CS, inputs: &[Lc<Fr>]) -> Result<Num<Fr>, SynthesisError> {
    let (first, rest) = inputs.split_at(inputs.len().min(MAX_INPUTS));
    let mut h = hash(cs, first)?;
    for chunk in rest.chunks(MAX_INPUTS - 1) {
        let block: Vec<Lc<Fr>> = std::iter::once(h.into()).chain(chunk.iter().cloned()).collect();
        h = hash(cs, &block)?;
    }
    Ok(h)
}

fn alloc_all<CS: ConstraintSystem<Fr>>(cs: &mut CS, values: &[Fr]) -> Result<Vec<Variable>, SynthesisError> {
    values.iter().map(|value| cs.alloc(|| "", || Ok(*value))).collect()
}

/// The variables of the partial rounds. Both give the same rows; they differ in the number of nonzero coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    /// `x_0` and the companion coordinates `y_0, ..., y_{R_P+n-1}` (see [`super::constants`]): each input and output of an
    /// S-box is a combination of `t` neighbours, about `4 t` coefficients per S-box.
    Companion,
    /// The S-box inputs `x_0, ..., x_{R_P}` and the other S-box inputs `u` of the next full round. Running the rounds
    /// backward with `(o_k, u_k) = M^-1 ((x_{k+1}, u_{k+1}) - c)` gives each output as a combination of all later
    /// inputs and `u`, on average `t + R_P / 2` coefficients.
    Backward,
}

impl Basis {
    /// Widest state for which the companion basis has fewer coefficients.
    const COMPANION_MAX_WIDTH: usize = 14;

    fn of_width(t: usize) -> Self {
        if t <= Self::COMPANION_MAX_WIDTH { Self::Companion } else { Self::Backward }
    }
}

/// Values of the variables, in the order of the rows that use them.
struct Witness {
    basis: Basis,
    /// `x2, x4` per S-box.
    squares: Vec<Fr>,
    /// All the other variables except the hash.
    linear: Vec<Fr>,
    /// How many of the second round's S-box inputs are combinations of other variables.
    implied: usize,
}

impl Witness {
    fn new(params: &Params) -> Self {
        let sboxes = FULL_ROUNDS * params.t + params.rp - 1;
        Self {
            basis: Basis::of_width(params.t),
            squares: Vec::with_capacity(2 * sboxes),
            linear: Vec::with_capacity(sboxes),
            implied: 1,
        }
    }

    /// When the first round's S-boxes are somebody else's, all inputs of the second are combinations of their outputs.
    fn after_first_sboxes(params: &Params) -> Self {
        Self { implied: params.t, ..Self::new(params) }
    }

    /// Allocates all variables, the hash last, and has the rows made where they are wanted.
    fn allocate<CS: ConstraintSystem<Fr>>(
        self,
        cs: &mut CS,
        hash: Fr,
        rows: impl FnOnce(&mut Rows<'_, CS>, &[Variable], Variable),
    ) -> Result<Num<Fr>, SynthesisError> {
        let squares = alloc_all(cs, &self.squares)?;
        let linear = alloc_all(cs, &self.linear)?;
        let hash = Num::alloc(cs, hash)?;
        if !cs.is_witness_generator() {
            rows(&mut Rows { cs, squares: squares.chunks_exact(2) }, &linear, hash.var);
        }
        Ok(hash)
    }
}

impl Observer for Witness {
    fn sbox(&mut self, x2: Fr, x4: Fr) {
        self.squares.extend([x2, x4]);
    }

    fn full(&mut self, inputs: &[Fr]) {
        self.linear.extend_from_slice(&inputs[std::mem::take(&mut self.implied)..]);
    }

    fn enter(&mut self, x: Fr, y: &[Fr]) {
        self.linear.push(x);
        if self.basis == Basis::Companion {
            self.linear.extend_from_slice(y);
        }
    }

    fn partial(&mut self, x: Fr, y: Fr) {
        self.linear.push(if self.basis == Basis::Companion { y } else { x });
    }

    fn exit(&mut self, inputs: &[Fr]) {
        if self.basis == Basis::Backward {
            self.linear.extend_from_slice(inputs);
        }
    }

    fn last(&mut self, outputs: &[Fr]) {
        self.linear.extend_from_slice(&outputs[1..]);
    }
}

/// An affine combination of consecutive variables.
struct Affine {
    start: usize,
    coeffs: Vec<Fr>,
    constant: Fr,
}

impl Affine {
    fn single(start: usize) -> Self {
        Self { start, coeffs: vec![Fr::ONE], constant: Fr::ZERO }
    }

    fn over(&self, vars: &[Variable]) -> LinearCombination<Fr> {
        affine(&self.coeffs, &vars[self.start..], self.constant)
    }
}

fn affine(coeffs: &[Fr], vars: &[Variable], constant: Fr) -> LinearCombination<Fr> {
    let constant_term =
        if constant == Fr::ZERO { LinearCombination::zero() } else { LinearCombination::from_coeff(ONE, constant) };
    coeffs.iter().zip(vars).fold(constant_term, |lc, (coeff, var)| lc + (*coeff, *var))
}

/// The partial rounds in terms of their `R_P + t` variables.
struct Wiring {
    /// S-box outputs of the full round before.
    entry: Vec<Affine>,
    /// S-box inputs of the partial rounds, then those of the full round after.
    inputs: Vec<Affine>,
    /// S-box outputs of the partial rounds.
    outputs: Vec<Affine>,
}

impl Wiring {
    fn get(params: &Params) -> &'static Self {
        static WIRINGS: [OnceLock<Wiring>; MAX_INPUTS] = [const { OnceLock::new() }; MAX_INPUTS];
        WIRINGS[params.t - 2].get_or_init(|| match Basis::of_width(params.t) {
            Basis::Companion => Self::companion(params),
            Basis::Backward => Self::backward(params),
        })
    }

    fn companion(params: &Params) -> Self {
        let entry = params.entry_inv.rows().zip(&params.entry_offsets);
        let window = |k: usize, coeffs: &[Fr], constant| Affine { start: 1 + k, coeffs: coeffs.to_vec(), constant };
        let partial = (0..params.rp).map(|k| window(k, &params.output, Fr::ZERO));
        let exit = params.exit.rows().map(|row| window(params.rp, row, Fr::ZERO));
        let offsets = params.partial_offsets.iter().enumerate();
        Self {
            entry: entry.map(|(row, c)| Affine { start: 0, coeffs: row.to_vec(), constant: *c }).collect(),
            inputs: std::iter::once(Affine::single(0)).chain(partial).chain(exit).collect(),
            outputs: offsets.map(|(k, c)| window(k, &params.feedback, *c)).collect(),
        }
    }

    fn backward(params: &Params) -> Self {
        let mut unrolled = Unrolled::new(&params.mds_inv, 0);
        let mut outputs = Vec::with_capacity(params.rp);
        for k in (0..params.rp).rev() {
            outputs.push(Affine { start: k + 1, coeffs: unrolled.coeffs(), constant: params.partial_offsets[k] });
            unrolled.step(&params.mds_inv);
        }
        outputs.reverse();
        let entry = params.entry_offsets.iter().enumerate().map(|(i, constant)| {
            let mut unrolled = Unrolled::new(&params.mds_inv, i);
            (0..params.rp).for_each(|_| unrolled.step(&params.mds_inv));
            Affine { start: 0, coeffs: unrolled.coeffs(), constant: *constant }
        });
        Self { entry: entry.collect(), inputs: (0..params.rp + params.t).map(Affine::single).collect(), outputs }
    }
}

/// One element of the state before a round as a combination of the `x` after each of the rounds unrolled so far, and of
/// the state after the last of them.
struct Unrolled {
    inputs: Vec<Fr>,
    state: Vec<Fr>,
}

impl Unrolled {
    fn new(mds_inv: &Matrix, element: usize) -> Self {
        Self { inputs: Vec::new(), state: mds_inv.row(element).to_vec() }
    }

    /// Replaces `u` by what one more round makes of it.
    fn step(&mut self, mds_inv: &Matrix) {
        self.inputs.push(std::mem::replace(&mut self.state[0], Fr::ZERO));
        self.state = mds_inv.apply_left(&self.state);
    }

    fn coeffs(&self) -> Vec<Fr> {
        [self.inputs.as_slice(), &self.state].concat()
    }
}

/// Takes the first `n` variables off the list.
fn take<'a>(vars: &mut &'a [Variable], n: usize) -> &'a [Variable] {
    let (head, tail) = vars.split_at(n);
    *vars = tail;
    head
}

fn singles(vars: &[Variable]) -> Vec<LinearCombination<Fr>> {
    vars.iter().map(|var| LinearCombination::from_variable(*var)).collect()
}

/// Makes the rows, S-box by S-box.
struct Rows<'a, CS> {
    cs: &'a mut CS,
    squares: std::slice::ChunksExact<'a, Variable>,
}

impl<CS: ConstraintSystem<Fr>> Rows<'_, CS> {
    /// All rounds after the first; `state` are the S-box inputs of the second.
    fn permutation_from(
        &mut self,
        params: &Params,
        mut state: Vec<LinearCombination<Fr>>,
        mut linear: &[Variable],
        hash: Variable,
    ) {
        let (t, rp) = (params.t, params.rp);
        let half = FULL_ROUNDS / 2;
        for r in 2..half {
            state = self.full_round(params, &state, take(&mut linear, t), r);
        }

        let wiring = Wiring::get(params);
        let vars = take(&mut linear, rp + t);
        for (x, output) in state.iter().zip(&wiring.entry) {
            self.sbox(x, output.over(vars));
        }
        for (x, output) in wiring.inputs.iter().zip(&wiring.outputs) {
            self.sbox(&x.over(vars), output.over(vars));
        }
        state = wiring.inputs[rp..].iter().map(|x| x.over(vars)).collect();

        for r in half + rp + 1..FULL_ROUNDS + rp {
            state = self.full_round(params, &state, take(&mut linear, t), r);
        }
        self.last_round(params, &state, linear, hash);
    }

    fn sbox(&mut self, x: &LinearCombination<Fr>, output: LinearCombination<Fr>) {
        let squares = self.squares.next().expect("a pair was allocated for each S-box");
        let (x2, x4) = (squares[0], squares[1]);
        self.cs.enforce(|| "", |_| x.clone(), |_| x.clone(), |lc| lc + x2);
        self.cs.enforce(|| "", |lc| lc + x2, |lc| lc + x2, |lc| lc + x4);
        self.cs.enforce(|| "", |lc| lc + x4, |_| x.clone(), |_| output);
    }

    /// The round whose S-box inputs are those of the hash plus constants. `next` are the S-box inputs 1.. of the second
    /// round, all of which are returned.
    fn first_round(&mut self, params: &Params, inputs: &[Lc<Fr>], next: &[Variable]) -> Vec<LinearCombination<Fr>> {
        let mds = &params.mds;
        // next = A o + shift, with the capacity's output in the shift.
        let columns = mds.rows().zip(params.constants(1));
        let shifts: Vec<Fr> = columns.map(|(row, c)| row[0] * params.capacity_sbox + c).collect();
        for ((input, c), row) in inputs.iter().zip(&params.constants(0)[1..]).zip(params.tail_inv.rows()) {
            self.sbox(&(input.lc() + (*c, ONE)), affine(row, next, -dot(row, &shifts[1..])));
        }
        let coeffs = params.tail_inv.apply_left(&mds.row(0)[1..]);
        let implied = affine(&coeffs, next, shifts[0] - dot(&coeffs, &shifts[1..]));
        std::iter::once(implied).chain(singles(next)).collect()
    }

    /// The S-box inputs of the second round for given outputs of the first.
    fn second_inputs(&mut self, params: &Params, outputs: &[Lc<Fr>]) -> Vec<LinearCombination<Fr>> {
        let outputs: Vec<LinearCombination<Fr>> = outputs.iter().map(Lc::lc).collect();
        let input = |(row, c): (&[Fr], &Fr)| {
            let constant = LinearCombination::from_coeff(ONE, row[0] * params.capacity_sbox + c);
            row[1..].iter().zip(&outputs).fold(constant, |lc, (coeff, output)| lc + (*coeff, output))
        };
        params.mds.rows().zip(params.constants(1)).map(input).collect()
    }

    /// A full round between full rounds; `next` are the S-box inputs of round `r`, the one after.
    fn full_round(
        &mut self,
        params: &Params,
        state: &[LinearCombination<Fr>],
        next: &[Variable],
        r: usize,
    ) -> Vec<LinearCombination<Fr>> {
        for (x, row) in state.iter().zip(params.mds_inv.rows()) {
            self.sbox(x, affine(row, next, -dot(row, params.constants(r))));
        }
        singles(next)
    }

    /// The last round; `outputs` are those of its S-boxes except the first.
    fn last_round(&mut self, params: &Params, state: &[LinearCombination<Fr>], outputs: &[Variable], hash: Variable) {
        let row = params.mds.row(0);
        let scale = row[0].invert().expect("an entry of a Cauchy matrix is not zero");
        let others: Vec<Fr> = row[1..].iter().map(|e| -*e * scale).collect();
        self.sbox(&state[0], affine(&others, outputs, Fr::ZERO) + (scale, hash));
        for (x, output) in state[1..].iter().zip(outputs) {
            self.sbox(x, LinearCombination::from_variable(*output));
        }
    }
}

#[cfg(test)]
mod tests {
    use ff::PrimeField;
    use nova_snark::frontend::r1cs::NovaShape;
    use nova_snark::frontend::shape_cs::ShapeCS;
    use nova_snark::frontend::util_cs::witness_cs::WitnessCS;
    use nova_snark::provider::Bn256EngineKZG;
    use nova_snark::r1cs::{R1CSShape, SparseMatrix};

    use super::super::constants::PARTIAL_ROUNDS;
    use super::*;

    type Gadget<CS> = fn(&mut CS, &[Lc<Fr>]) -> Result<Num<Fr>, SynthesisError>;
    type Shape = R1CSShape<Bn256EngineKZG>;

    /// Rows and nonzero coefficients of A, B and C together, for t = 2..=17 and allocated inputs.
    const SIZES: [(usize, usize); MAX_INPUTS] = [
        (213, 951),
        (240, 1311),
        (261, 1655),
        (297, 2141),
        (321, 2559),
        (354, 3099),
        (381, 3607),
        (402, 4059),
        (417, 4431),
        (459, 5249),
        (465, 5487),
        (504, 6335),
        (543, 7243),
        (537, 6825),
        (573, 7649),
        (609, 8519),
    ];

    fn synthesize<CS: ConstraintSystem<Fr>>(cs: &mut CS, inputs: usize, gadget: Gadget<CS>) -> Num<Fr> {
        let inputs: Vec<Lc<Fr>> = (0..inputs)
            .map(|i| Num::alloc(cs, Fr::MULTIPLICATIVE_GENERATOR.pow([1000 + i as u64])).expect("no error").into())
            .collect();
        gadget(cs, &inputs).expect("no error")
    }

    fn shape_of(inputs: usize, gadget: Gadget<ShapeCS<Bn256EngineKZG>>) -> Shape {
        let mut cs = ShapeCS::new();
        synthesize(&mut cs, inputs, gadget);
        cs.r1cs_shape().expect("a valid shape")
    }

    /// The assignment as nova-snark orders it: witness variables, then one.
    fn assignment_of(inputs: usize, gadget: Gadget<WitnessCS<Fr>>) -> (Vec<Fr>, Num<Fr>) {
        let mut cs = WitnessCS::new();
        let out = synthesize(&mut cs, inputs, gadget);
        ([cs.aux_assignment(), &[Fr::ONE]].concat(), out)
    }

    fn is_satisfied(shape: &Shape, z: &[Fr]) -> bool {
        let (az, bz, cz) = shape.multiply_vec(z).expect("the assignment has the shape's length");
        az.iter().zip(&bz).zip(&cz).all(|((a, b), c)| *a * b == *c)
    }

    fn row(matrix: &SparseMatrix<Fr>, i: usize) -> impl Iterator<Item = (usize, Fr)> {
        (matrix.indptr[i]..matrix.indptr[i + 1]).map(|k| (matrix.indices[k], matrix.data[k]))
    }

    #[test]
    fn equals_native_and_is_satisfied() {
        for n in 1..=MAX_INPUTS {
            let shape = shape_of(n, hash);
            let (z, out) = assignment_of(n, hash);
            assert_eq!(out.value, super::super::hash(&z[..n]));
            assert_eq!(z[z.len() - 2], out.value);
            assert_eq!(shape.num_vars() + 1, z.len());
            assert!(is_satisfied(&shape, &z), "{n} inputs");
        }
    }

    #[test]
    fn long_hash_equals_native() {
        for n in 1..=50 {
            let shape = shape_of(n, hash_long);
            let (z, out) = assignment_of(n, hash_long);
            assert_eq!(out.value, super::super::hash_long(&z[..n]));
            assert_eq!(shape.num_vars() + 1, z.len());
            assert!(is_satisfied(&shape, &z), "{n} inputs");
        }
    }

    #[test]
    fn combinations_and_constants_as_inputs() {
        fn gadget<CS: ConstraintSystem<Fr>>(cs: &mut CS, inputs: &[Lc<Fr>]) -> Result<Num<Fr>, SynthesisError> {
            let sum = inputs[0].clone().plus_lc(Fr::from(3), &inputs[1]).plus_lc(Fr::ONE, &Lc::one());
            hash(cs, &[Lc::constant(Fr::from(7)), sum])
        }
        let (z, out) = assignment_of(2, gadget);
        assert_eq!(out.value, super::super::hash(&[Fr::from(7), z[0] + Fr::from(3) * z[1] + Fr::ONE]));
        assert!(is_satisfied(&shape_of(2, gadget), &z));
    }

    fn hash_in_two_parts<CS: ConstraintSystem<Fr>>(cs: &mut CS, inputs: &[Lc<Fr>]) -> Result<Num<Fr>, SynthesisError> {
        let n = inputs.len();
        let constant = |i| Lc::constant(super::super::first_constant(n, i));
        let outputs: Vec<Lc<Fr>> = inputs
            .iter()
            .enumerate()
            .map(|(i, input)| Ok(first_sbox(cs, input, &constant(i))?.into()))
            .collect::<Result<_, SynthesisError>>()?;
        hash_from_first_sboxes(cs, &outputs)
    }

    #[test]
    fn the_first_round_can_be_taken_apart() {
        for n in 1..=MAX_INPUTS {
            let shape = shape_of(n, hash_in_two_parts);
            let (mut z, out) = assignment_of(n, hash_in_two_parts);
            assert_eq!(out.value, super::super::hash(&z[..n]));
            for i in 0..n {
                assert_eq!(z[n + 3 * i + 2], super::super::first_sbox(n, i, z[i]));
            }
            assert_eq!((shape.num_vars(), shape.num_cons()), (z.len() - 1, SIZES[n - 1].0));
            assert!(is_satisfied(&shape, &z), "{n} inputs");
            for i in 0..z.len() - 1 {
                z[i] += Fr::ONE;
                assert!(!is_satisfied(&shape, &z), "variable {i} of {n} inputs");
                z[i] -= Fr::ONE;
            }
        }
    }

    #[test]
    fn sizes_are_pinned() {
        let sizes: Vec<(usize, usize)> = (1..=MAX_INPUTS)
            .map(|n| {
                let shape = shape_of(n, hash);
                assert_eq!(shape.num_vars(), n + shape.num_cons());
                assert_eq!(shape.num_cons(), 3 * (8 * (n + 1) + PARTIAL_ROUNDS[n - 1]) - 3);
                (shape.num_cons(), [shape.A(), shape.B(), shape.C()].iter().map(|m| m.data.len()).sum())
            })
            .collect();
        assert_eq!(sizes, SIZES);
    }

    #[test]
    fn every_changed_variable_is_noticed() {
        for n in [2, 5, 14] {
            let shape = shape_of(n, hash);
            let (mut z, _) = assignment_of(n, hash);
            for i in 0..z.len() - 1 {
                z[i] += Fr::ONE;
                assert!(!is_satisfied(&shape, &z), "variable {i} of {n} inputs");
                z[i] -= Fr::ONE;
            }
            assert!(is_satisfied(&shape, &z));
        }
    }

    /// With the inputs fixed there is one equation per variable; where their Jacobian is invertible, no other solution
    /// is near, so no set of variables can move together.
    #[test]
    fn jacobian_is_invertible() {
        for n in [1, 2, 5, 14] {
            jacobian_is_invertible_for(n, hash, hash);
        }
        jacobian_is_invertible_for(8, hash_in_two_parts, hash_in_two_parts);
    }

    fn jacobian_is_invertible_for(n: usize, shape: Gadget<ShapeCS<Bn256EngineKZG>>, witness: Gadget<WitnessCS<Fr>>) {
        let shape = shape_of(n, shape);
        let (z, _) = assignment_of(n, witness);
        let (az, bz, _) = shape.multiply_vec(&z).expect("the assignment has the shape's length");
        let size = shape.num_cons();
        let mut jacobian = vec![vec![Fr::ZERO; size]; size];
        for (i, gradient) in jacobian.iter_mut().enumerate() {
            let terms = row(shape.A(), i)
                .map(|(j, a)| (j, a * bz[i]))
                .chain(row(shape.B(), i).map(|(j, b)| (j, b * az[i])))
                .chain(row(shape.C(), i).map(|(j, c)| (j, -c)));
            for (j, term) in terms.filter(|(j, _)| (n..n + size).contains(j)) {
                gradient[j - n] += term;
            }
        }
        assert_eq!(rank(jacobian), size, "{n} inputs");
    }

    fn rank(mut rows: Vec<Vec<Fr>>) -> usize {
        let mut rank = 0;
        for column in 0..rows[0].len() {
            let Some(pivot) = (rank..rows.len()).find(|i| rows[*i][column] != Fr::ZERO) else { continue };
            rows.swap(rank, pivot);
            let (done, rest) = rows.split_at_mut(rank + 1);
            let pivot_row = &done[rank];
            let inverse = pivot_row[column].invert().expect("not zero");
            for row in rest.iter_mut().filter(|row| row[column] != Fr::ZERO) {
                let factor = row[column] * inverse;
                for (e, p) in row[column..].iter_mut().zip(&pivot_row[column..]).filter(|(_, p)| **p != Fr::ZERO) {
                    *e -= factor * p;
                }
            }
            rank += 1;
        }
        rank
    }
}
