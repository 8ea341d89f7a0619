//! Poseidon parameters, generated on first use with the Grain LFSR of the Poseidon paper.
//!
//! # Companion form of the partial rounds
//!
//! Split the state after the round constants into the S-box input `x` and the other `n = t - 1` elements `u`, and the
//! MDS matrix into `[[m, v], [w, A]]`. With `o` the S-box output, a partial round is the linear system
//! `x' = m o + v u`, `u' = w o + A u` with one input and one output. Let `a(z) = z^n + a_{n-1} z^{n-1} + ... + a_0` be the
//! characteristic polynomial of `A`, and `b_i` the vectors of `adj(z I - A) w = sum_i b_i z^i`. In the coordinates
//! `u_k = sum_i b_i y_{k+i}` (the controllable canonical form of linear systems theory) the round becomes
//!
//! ```text
//! y_{k+n} = o_k - sum_{i<n} a_i y_{k+i}        x_{k+1} = sum_{i<=n} c_i y_{k+i},   c_n = m, c_i = m a_i + v b_i
//! ```
//!
//! so `2t - 1` products a round, as with the sparse matrices of the paper's appendix B, but with the same coefficients
//! in every round. The change to these coordinates is merged with the matrix of the full round before, the change back
//! (`n^2` products) comes after the last partial round. Round constants are gone from `x` and `u`: the coordinates are
//! relative to the one trajectory whose S-box inputs are all zero, so only a constant per S-box output remains.

use std::sync::OnceLock;

use ff::{BatchInvert, Field, FromUniformBytes, PrimeField};

use super::MAX_INPUTS;
use super::dot::dot;
use crate::curve::Fr;

/// Full rounds, half of them before the partial rounds and half after.
pub(crate) const FULL_ROUNDS: usize = 8;

/// Partial rounds for t = 2..=17, as circomlib has them.
pub(crate) const PARTIAL_ROUNDS: [usize; MAX_INPUTS] = [56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68];

/// Bits of the field's modulus.
const FIELD_BITS: u32 = 254;

/// A dense matrix, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    cols: usize,
    data: Vec<Fr>,
}

impl Matrix {
    fn from_fn(rows: usize, cols: usize, entry: impl Fn(usize, usize) -> Fr) -> Self {
        let data = (0..rows * cols).map(|k| entry(k / cols, k % cols)).collect();
        Self { cols, data }
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[Fr]> {
        self.data.chunks_exact(self.cols)
    }

    /// Row `i`.
    pub(crate) fn row(&self, i: usize) -> &[Fr] {
        &self.data[i * self.cols..][..self.cols]
    }

    /// The product with a column vector.
    pub(crate) fn apply(&self, vector: &[Fr]) -> Vec<Fr> {
        self.rows().map(|row| dot(row, vector)).collect()
    }

    /// The product of a row vector with this matrix.
    pub(crate) fn apply_left(&self, vector: &[Fr]) -> Vec<Fr> {
        let mut out = vec![Fr::ZERO; self.cols];
        for (v, row) in vector.iter().zip(self.rows()) {
            for (o, r) in out.iter_mut().zip(row) {
                *o += v * r;
            }
        }
        out
    }

    /// `diag(1, self)`.
    fn bordered(&self) -> Self {
        Self::from_fn(self.rows().len() + 1, self.cols + 1, |i, j| match (i, j) {
            (0, 0) => Fr::ONE,
            (0, _) | (_, 0) => Fr::ZERO,
            _ => self.row(i - 1)[j - 1],
        })
    }

    fn product(&self, other: &Self) -> Self {
        Self { cols: other.cols, data: self.rows().flat_map(|row| other.apply_left(row)).collect() }
    }

    /// Inverts a matrix whose leading minors are nonzero (Gauss-Jordan in place, without pivoting).
    ///
    /// # Panics
    /// If a leading minor is zero. The matrices are fixed, so tests over all widths exclude it.
    fn inverse(mut self) -> Self {
        let n = self.cols;
        for k in 0..n {
            let pivot = self.data[k * n + k].invert().expect("the leading minors of Poseidon's matrices are nonzero");
            self.data[k * n + k] = Fr::ONE;
            let scaled: Vec<Fr> = self.row(k).iter().map(|e| e * pivot).collect();
            for (i, row) in self.data.chunks_exact_mut(n).enumerate() {
                if i == k {
                    row.copy_from_slice(&scaled);
                    continue;
                }
                let factor = std::mem::replace(&mut row[k], Fr::ZERO);
                for (e, s) in row.iter_mut().zip(&scaled) {
                    *e -= factor * s;
                }
            }
        }
        self
    }
}

/// Everything fixed about one width. The module's docs name the coordinates.
#[derive(Debug)]
pub(crate) struct Params {
    /// State width: inputs plus the capacity element.
    pub(crate) t: usize,
    /// Partial rounds.
    pub(crate) rp: usize,
    /// Round constants, `t` a round.
    pub(crate) round_constants: Vec<Fr>,
    /// The Cauchy MDS matrix.
    pub(crate) mds: Matrix,
    /// Its inverse.
    pub(crate) mds_inv: Matrix,
    /// Inverse of `A`, the MDS matrix without its first row and column.
    pub(crate) tail_inv: Matrix,
    /// S-box output of the capacity element in the first round, where its input is a constant.
    pub(crate) capacity_sbox: Fr,
    /// From the S-box outputs of the last full round before the partial rounds to `(x_0, y_0, ..., y_{n-1})`.
    pub(crate) entry: Matrix,
    /// Its inverse.
    pub(crate) entry_inv: Matrix,
    /// Constants of that change: minus `entry` times `entry_offsets`.
    pub(crate) entry_constants: Vec<Fr>,
    /// The reference trajectory's S-box outputs in the last full round before the partial rounds.
    pub(crate) entry_offsets: Vec<Fr>,
    /// The reference trajectory's S-box outputs in the partial rounds.
    pub(crate) partial_offsets: Vec<Fr>,
    /// `a_0, ..., a_{n-1}, 1`.
    pub(crate) feedback: Vec<Fr>,
    /// `c_0, ..., c_n`.
    pub(crate) output: Vec<Fr>,
    /// Column `i` is `b_i`: from `(y_rp, ..., y_{rp+n-1})` to the other S-box inputs of the next full round.
    pub(crate) exit: Matrix,
}

impl Params {
    /// Parameters of width `t`, generated once.
    ///
    /// # Panics
    /// If `t` is not in 2..=17.
    pub(crate) fn get(t: usize) -> &'static Self {
        static PARAMS: [OnceLock<Params>; MAX_INPUTS] = [const { OnceLock::new() }; MAX_INPUTS];
        assert!(
            (2..=MAX_INPUTS + 1).contains(&t),
            "Poseidon takes 1 to {MAX_INPUTS} inputs, got {}",
            t.wrapping_sub(1)
        );
        PARAMS[t - 2].get_or_init(|| Self::generate(t))
    }

    /// The constants of round `r`.
    pub(crate) fn constants(&self, r: usize) -> &[Fr] {
        &self.round_constants[r * self.t..][..self.t]
    }

    fn generate(t: usize) -> Self {
        let (n, rp) = (t - 1, PARTIAL_ROUNDS[t - 2]);
        let (round_constants, mds) = grain(t, rp);
        let mds_inv = mds.clone().inverse();
        // Block inversion: the inverse of A is the Schur complement of the inverse's first element.
        let corner = mds_inv.row(0)[0].invert().expect("A is a Cauchy matrix, so it is invertible");
        let tail_inv = Matrix::from_fn(n, n, |i, j| {
            mds_inv.row(i + 1)[j + 1] - mds_inv.row(i + 1)[0] * mds_inv.row(0)[j + 1] * corner
        });

        let (feedback, exit) = companion(&mds);
        let v = &mds.row(0)[1..];
        let vb = exit.apply_left(v);
        let m = mds.row(0)[0];
        let mut output: Vec<Fr> = feedback.iter().zip(&vb).map(|(a, vb)| m * a + vb).collect();
        output.push(m);

        let first_partial = FULL_ROUNDS / 2;
        let mut partial_offsets = vec![Fr::ZERO; rp];
        let mut after = vec![Fr::ZERO; t];
        for k in (0..=rp).rev() {
            after[0] = Fr::ZERO;
            for (a, c) in after.iter_mut().zip(&round_constants[(first_partial + k) * t..]) {
                *a -= c;
            }
            after = mds_inv.apply(&after);
            if k > 0 {
                partial_offsets[k - 1] = after[0];
            }
        }
        let entry = exit.clone().inverse().bordered().product(&mds);
        let entry_inv = mds_inv.product(&exit.bordered());
        let entry_constants = entry.apply(&after).iter().map(|e| -e).collect();

        Self {
            t,
            rp,
            capacity_sbox: round_constants[0].square().square() * round_constants[0],
            round_constants,
            mds,
            mds_inv,
            tail_inv,
            entry,
            entry_inv,
            entry_constants,
            entry_offsets: after,
            partial_offsets,
            feedback,
            output,
            exit,
        }
    }
}

/// The coefficients `a_0, ..., a_{n-1}, 1` of the characteristic polynomial of `A`, and the matrix of columns `b_i`.
fn companion(mds: &Matrix) -> (Vec<Fr>, Matrix) {
    let n = mds.cols - 1;
    let a = Matrix::from_fn(n, n, |i, j| mds.row(i + 1)[j + 1]);
    let w: Vec<Fr> = mds.rows().skip(1).map(|row| row[0]).collect();
    // Cayley-Hamilton: sum_i a_i A^i w = 0 with a_n = 1 determines the a_i.
    let mut powers = vec![w.clone()];
    for i in 0..n {
        powers.push(a.apply(&powers[i]));
    }
    let krylov = Matrix::from_fn(n, n, |i, j| powers[j][i]);
    let mut feedback: Vec<Fr> = krylov.inverse().apply(&powers[n]).iter().map(|e| -e).collect();
    // (z I - A) adj(z I - A) = a(z) I, coefficient by coefficient.
    let mut columns = vec![w.clone()];
    for i in (1..n).rev() {
        let shifted = a.apply(&columns[columns.len() - 1]);
        columns.push(shifted.iter().zip(&w).map(|(s, w)| s + feedback[i] * w).collect());
    }
    columns.reverse();
    feedback.push(Fr::ONE);
    (feedback, Matrix::from_fn(n, n, |i, j| columns[j][i]))
}

/// Round constants and the Cauchy matrix as `generate_parameters_grain.sage` makes them (field 1, S-box 0).
fn grain(t: usize, rp: usize) -> (Vec<Fr>, Matrix) {
    let mut grain = Grain::new(t, rp);
    let constants = (0..(FULL_ROUNDS + rp) * t).map(|_| grain.element_by_rejection()).collect();
    let points = loop {
        let points: Vec<Fr> = (0..2 * t).map(|_| grain.element_by_reduction()).collect();
        if points.iter().enumerate().all(|(i, p)| !points[..i].contains(p)) {
            break points;
        }
    };
    let mut mds = Matrix::from_fn(t, t, |i, j| points[i] + points[t + j]);
    mds.data.iter_mut().batch_invert();
    (constants, mds)
}

/// The Grain LFSR in self-shrinking mode: of each pair of bits, the second counts if the first is one.
struct Grain {
    /// The register; bit `i` of the number is `b_i` of the specification.
    state: u128,
    /// Output bits not taken yet, the last one lowest.
    pool: u128,
    pool_bits: u32,
}

/// For a byte of raw bits, earliest lowest: how many bits survive the shrinking, and those bits, earliest highest.
const SHRINK: [(u32, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut byte = 0;
    while byte < 256 {
        let mut pair = 0;
        while pair < 8 {
            if byte >> pair & 1 == 1 {
                table[byte].0 += 1;
                table[byte].1 = table[byte].1 << 1 | (byte >> (pair + 1) & 1) as u8;
            }
            pair += 2;
        }
        byte += 1;
    }
    table
};

impl Grain {
    /// Raw bits made at a time. The taps reach 62 of 80 bits, so up to 18 depend on the register alone.
    const STEP: u32 = 16;

    fn new(t: usize, rp: usize) -> Self {
        let fields =
            [(1, 2), (0, 4), (FIELD_BITS as usize, 12), (t, 12), (FULL_ROUNDS, 10), (rp, 10), ((1 << 30) - 1, 30)];
        let bits = fields.iter().flat_map(|&(value, width)| (0..width).rev().map(move |bit| value >> bit & 1));
        let state = bits.enumerate().fold(0, |state, (i, bit)| state | (bit as u128) << i);
        let mut grain = Self { state, pool: 0, pool_bits: 0 };
        for _ in 0..160 / Self::STEP {
            grain.step();
        }
        grain
    }

    fn step(&mut self) -> u16 {
        let s = self.state;
        let new = (s ^ s >> 13 ^ s >> 23 ^ s >> 38 ^ s >> 51 ^ s >> 62) as u16;
        self.state = s >> Self::STEP | u128::from(new) << (80 - Self::STEP);
        new
    }

    fn bits(&mut self, count: u32) -> u64 {
        while self.pool_bits < count {
            for byte in self.step().to_le_bytes() {
                let (len, bits) = SHRINK[usize::from(byte)];
                self.pool = self.pool << len | u128::from(bits);
                self.pool_bits += len;
            }
        }
        self.pool_bits -= count;
        (self.pool >> self.pool_bits) as u64 & (u64::MAX >> (64 - count))
    }

    /// The next 254-bit integer, little endian.
    fn integer(&mut self) -> [u8; 32] {
        let mut repr = [0; 32];
        for (i, chunk) in repr.chunks_exact_mut(8).enumerate().rev() {
            let width = if i == 3 { FIELD_BITS - 192 } else { 64 };
            chunk.copy_from_slice(&self.bits(width).to_le_bytes());
        }
        repr
    }

    fn element_by_rejection(&mut self) -> Fr {
        loop {
            if let Some(element) = Fr::from_repr(self.integer().into()).into_option() {
                return element;
            }
        }
    }

    fn element_by_reduction(&mut self) -> Fr {
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&self.integer());
        Fr::from_uniform_bytes(&wide)
    }
}
