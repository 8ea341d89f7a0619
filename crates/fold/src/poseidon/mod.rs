//! Poseidon: circomlib's hash over the BN254 scalar field, natively and as a circuit.
//!
//! One instance serves the whole project: x^5, 8 full rounds, widths t = 2..=17 with the state `[0, inputs...]` and the
//! output `state[0]`, constants of the Poseidon paper (Grassi, Khovratovich, Rechberger, Roy, Schofnegger, USENIX
//! Security 2021) for a 254-bit field. Equal to `poseidon-lite` and to circomlib's Solidity contracts.

pub mod circuit;
mod constants;
mod dot;

use ff::Field;

use self::constants::{FULL_ROUNDS, Params};
use self::dot::{dot, dot_plus};
use crate::curve::Fr;

/// Most inputs that one permutation absorbs.
pub const MAX_INPUTS: usize = 16;

const MAX_WIDTH: usize = MAX_INPUTS + 1;

/// More than the `rp + t - 1` coordinates of the partial rounds of any width.
const MAX_COORDINATES: usize = 96;

/// circomlib's Poseidon of 1 to 16 inputs.
///
/// # Panics
/// If there is no input, or more than [`MAX_INPUTS`].
pub fn hash(inputs: &[Fr]) -> Fr {
    permute(Params::get(inputs.len() + 1), inputs, &mut ())
}

/// Poseidon of any positive number of inputs: [`hash`] up to 16 of them, beyond that the Merkle-Damgard chain
/// `h = hash(first 16)`, then `h = hash(h, next up to 15 inputs)` until none is left.
///
/// The chain carries no padding and no length, so by itself it can be extended. Callers guarantee a prefix-free
/// encoding, under which the plain chain is as good as a random oracle (Coron, Dodis, Malinaud, Puniya, "Merkle-Damgard
/// Revisited", CRYPTO 2005): the first input is a domain tag that fixes the number of inputs.
///
/// # Panics
/// If there is no input.
pub fn hash_long(inputs: &[Fr]) -> Fr {
    let (first, rest) = inputs.split_at(inputs.len().min(MAX_INPUTS));
    rest.chunks(MAX_INPUTS - 1).fold(hash(first), |h, chunk| {
        let mut block = [h; MAX_INPUTS];
        block[1..=chunk.len()].copy_from_slice(chunk);
        hash(&block[..=chunk.len()])
    })
}

/// What the first round of [`hash`] adds to input `position` of `inputs` inputs before its S-box.
///
/// # Panics
/// If `inputs` is not from 1 to [`MAX_INPUTS`] or `position` not below it.
pub fn first_constant(inputs: usize, position: usize) -> Fr {
    Params::get(inputs + 1).constants(0)[1..][position]
}

/// `(x + first_constant)^5`: all that [`hash`] takes from the input `x` at `position`. A bijection of Fr.
///
/// # Panics
/// As [`first_constant`].
pub fn first_sbox(inputs: usize, position: usize, x: Fr) -> Fr {
    sbox(x + first_constant(inputs, position), &mut ())
}

/// Sees the intermediate values of a permutation, in this order of its phases; within each, S-boxes come before the
/// state they lead to. The circuit's witness is made this way.
trait Observer {
    /// Square and fourth power of an S-box input. The capacity element's constant S-box in the first round is left out.
    fn sbox(&mut self, _x2: Fr, _x4: Fr) {}
    /// All S-box inputs of a full round that follows a full round.
    fn full(&mut self, _inputs: &[Fr]) {}
    /// `x_0` and `y_0, ..., y_{n-1}`, where the partial rounds begin.
    fn enter(&mut self, _x: Fr, _y: &[Fr]) {}
    /// `x_{k+1}` and `y_{k+n}`, made by partial round `k`.
    fn partial(&mut self, _x: Fr, _y: Fr) {}
    /// S-box inputs 1.. of the first full round after the partial rounds; input 0 is the last `x`.
    fn exit(&mut self, _inputs: &[Fr]) {}
    /// The S-box outputs of the last round.
    fn last(&mut self, _outputs: &[Fr]) {}
}

impl Observer for () {}

fn sbox(x: Fr, observer: &mut impl Observer) -> Fr {
    let x2 = x.square();
    let x4 = x2.square();
    observer.sbox(x2, x4);
    x4 * x
}

/// `dst = matrix * src + constants`.
fn mix<'a>(dst: &mut [Fr], rows: impl Iterator<Item = &'a [Fr]>, src: &[Fr], constants: &[Fr]) {
    for ((d, row), c) in dst.iter_mut().zip(rows).zip(constants) {
        *d = dot_plus(row, src, c);
    }
}

/// `state[0]` after the permutation of `[0, inputs...]`.
fn permute(params: &Params, inputs: &[Fr], observer: &mut impl Observer) -> Fr {
    let mut outputs = [Fr::ZERO; MAX_INPUTS];
    for ((o, input), c) in outputs.iter_mut().zip(inputs).zip(&params.constants(0)[1..]) {
        *o = sbox(input + c, observer);
    }
    permute_from(params, &outputs[..inputs.len()], observer)
}

/// The permutation from the outputs of the first round's S-boxes on, without that of the capacity element, with the
/// partial rounds in companion form (see [`constants`]).
fn permute_from(params: &Params, first: &[Fr], observer: &mut impl Observer) -> Fr {
    let (t, rp) = (params.t, params.rp);
    let n = t - 1;
    let half = FULL_ROUNDS / 2;
    let (mut state, mut outputs) = ([Fr::ZERO; MAX_WIDTH], [Fr::ZERO; MAX_WIDTH]);
    let (state, outputs) = (&mut state[..t], &mut outputs[..t]);

    outputs[0] = params.capacity_sbox;
    outputs[1..].copy_from_slice(first);
    for r in 1..half {
        mix(state, params.mds.rows(), outputs, params.constants(r));
        observer.full(state);
        full_sboxes(state, outputs, observer);
    }

    mix(state, params.entry.rows(), outputs, &params.entry_constants);
    let mut x = state[0];
    let mut y = [Fr::ZERO; MAX_COORDINATES];
    y[..n].copy_from_slice(&state[1..]);
    observer.enter(x, &y[..n]);
    for (k, offset) in params.partial_offsets.iter().enumerate() {
        let o = sbox(x, observer) - offset;
        y[k + n] = o - dot(&params.feedback[..n], &y[k..k + n]);
        x = dot(&params.output, &y[k..=k + n]);
        observer.partial(x, y[k + n]);
    }
    state[0] = x;
    for (s, row) in state[1..].iter_mut().zip(params.exit.rows()) {
        *s = dot(row, &y[rp..rp + n]);
    }
    observer.exit(&state[1..]);

    full_sboxes(state, outputs, observer);
    for r in half + rp + 1..FULL_ROUNDS + rp {
        mix(state, params.mds.rows(), outputs, params.constants(r));
        observer.full(state);
        full_sboxes(state, outputs, observer);
    }
    observer.last(outputs);
    dot(params.mds.row(0), outputs)
}

fn full_sboxes(state: &[Fr], outputs: &mut [Fr], observer: &mut impl Observer) {
    for (o, x) in outputs.iter_mut().zip(state) {
        *o = sbox(*x, observer);
    }
}

#[cfg(test)]
mod tests {
    use ff::PrimeField;
    use proptest::prelude::*;

    use super::constants::PARTIAL_ROUNDS;
    use super::*;

    /// `poseidon-lite` of n = 1..=16 inputs: of 1, 2, ..., n and of -1, -2, ..., -n.
    const VECTORS: [(&str, &str); MAX_INPUTS] = [
        (
            "18586133768512220936620570745912940619677854269274689475585506675881198879027",
            "3366645945435192953002076803303112651887535928162668198103357554665518664470",
        ),
        (
            "7853200120776062878684798364095072458815029376092732009249414926327459813530",
            "6149179154952470170078400310622041627793456726695327690341847329306121599910",
        ),
        (
            "6542985608222806190361240322586112750744169038454362455181422643027100751666",
            "20133197287301041945818928843432871492701166386418821647132231623255907241873",
        ),
        (
            "18821383157269793795438455681495246036402687001665670618754263018637548127333",
            "1600226338661258867773135178948901161771826415426494760737987633288080075054",
        ),
        (
            "6183221330272524995739186171720101788151706631170188140075976616310159254464",
            "21114110134654027945979568917342954732994702179875160006836402013753920548839",
        ),
        (
            "20400040500897583745843009878988256314335038853985262692600694741116813247201",
            "16325342260494017668076510966261805737279452815711533758687116124985373877350",
        ),
        (
            "12748163991115452309045839028154629052133952896122405799815156419278439301912",
            "18680167046451237191589624047637541978150381432388869411011252074539198881113",
        ),
        (
            "18604317144381847857886385684060986177838410221561136253933256952257712543953",
            "9342052913489841743058620073984187375962719467586455256350481489535884266796",
        ),
        (
            "13589767895268936107593642967621470491511464502761040466226072462545218539640",
            "21377787756945379155660059727199270645557311312190881589137574386798465299698",
        ),
        (
            "3657500514307717306974218405144578736633140001277925127187636780142269815841",
            "2853342319976166521621676180986141806739597208095948811175666960302353228358",
        ),
        (
            "3572015662710076994097916907865950486270383304442561406230608893458731714472",
            "16647290316459969381715681735992867201976966741627952978731708392562441642935",
        ),
        (
            "2501997477381648492950318384533644783248002172679259592360114615426357826485",
            "4421399374474283198140146710763424929846934913423949766341159078889160400167",
        ),
        (
            "7041832639553862712666971417715061873827921493498355005117622707743491651590",
            "20043759804186563301245428319025840536042684555223394990760128701276469799731",
        ),
        (
            "8354478399926161176778659061636406690034081872658507739535256090879947077494",
            "4552887737700604700820531758126453064592384354836508285960307404986201784720",
        ),
        (
            "4203130618016961831408770638653325366880478848856764494148034853759773445968",
            "14873856230522556228581247876140792632355032829673557502686485009237003795344",
        ),
        (
            "9989051620750914585850546081941653841776809718687451684622678807385399211877",
            "99499630963254749814016964952365936973065525867896180521140527729914368166",
        ),
    ];

    fn from_decimal(decimal: &str) -> Fr {
        Fr::from_str_vartime(decimal).expect("a decimal number")
    }

    fn counting(n: usize) -> Vec<Fr> {
        (1..=n as u64).map(Fr::from).collect()
    }

    fn arb_fr() -> impl Strategy<Value = Fr> {
        any::<[u64; 4]>().prop_map(Fr::from_raw)
    }

    /// The permutation as the paper defines it.
    fn plain_permutation(inputs: &[Fr]) -> Fr {
        let params = Params::get(inputs.len() + 1);
        let mut state = [&[Fr::ZERO], inputs].concat();
        for (r, constants) in params.round_constants.chunks_exact(params.t).enumerate() {
            let half = FULL_ROUNDS / 2;
            let partial = (half..half + params.rp).contains(&r);
            for (i, (s, c)) in state.iter_mut().zip(constants).enumerate() {
                *s += c;
                if i == 0 || !partial {
                    *s = s.pow([5]);
                }
            }
            state = params.mds.apply(&state);
        }
        state[0]
    }

    #[test]
    fn equals_poseidon_lite() {
        for (i, (small, large)) in VECTORS.iter().enumerate() {
            let inputs = counting(i + 1);
            assert_eq!(hash(&inputs), from_decimal(small), "{} small inputs", i + 1);
            let negated: Vec<Fr> = inputs.iter().map(|input| -input).collect();
            assert_eq!(hash(&negated), from_decimal(large), "{} large inputs", i + 1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn companion_form_equals_plain_permutation(inputs in prop::collection::vec(arb_fr(), 1..=MAX_INPUTS)) {
            prop_assert_eq!(hash(&inputs), plain_permutation(&inputs));
        }
    }

    #[test]
    fn coordinates_fit() {
        for (i, rp) in PARTIAL_ROUNDS.iter().enumerate() {
            assert!(rp + i < MAX_COORDINATES);
        }
    }

    #[test]
    fn long_hash_is_the_chain() {
        let inputs = counting(50);
        for len in 1..=MAX_INPUTS {
            assert_eq!(hash_long(&inputs[..len]), hash(&inputs[..len]));
        }
        for len in MAX_INPUTS + 1..=50 {
            let blocks = (len - MAX_INPUTS).div_ceil(MAX_INPUTS - 1);
            let cut = MAX_INPUTS + (blocks - 1) * (MAX_INPUTS - 1);
            let head = hash_long(&inputs[..cut]);
            assert_eq!(hash_long(&inputs[..len]), hash(&[&[head], &inputs[cut..len]].concat()), "{len} inputs");
        }
    }

    #[test]
    #[should_panic(expected = "1 to 16 inputs, got 17")]
    fn refuses_too_many_inputs() {
        hash(&counting(17));
    }

    #[test]
    #[should_panic(expected = "1 to 16 inputs, got 0")]
    fn refuses_no_input() {
        hash_long(&[]);
    }
}
