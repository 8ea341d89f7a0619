//! The data of a batch, and what a contract does with it (`docs/spec/rollup.md`, section 5).

use super::input::SLOTS;
use super::transaction::Words;
use crowdfold_fold::{Error, Fr, poseidon};
use ff::{Field, FromUniformBytes};
use sha3::{Digest, Keccak256};

/// Bytes of a word.
const WORD_BYTES: usize = 32;
/// Words of a step.
const STEP_WORDS: usize = 3 * SLOTS;

/// The words of all slots of a batch: a positive number of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchData {
    words: Vec<Fr>,
}

impl BatchData {
    /// The data of slots in their order; the last is the seal, so they fill up steps.
    pub(super) fn of_slots(slots: impl IntoIterator<Item = Words>) -> Self {
        Self { words: slots.into_iter().flatten().collect() }
    }

    /// The words.
    pub fn words(&self) -> &[Fr] {
        &self.words
    }

    /// The words in order, 32 bytes each, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(big_endian).collect()
    }

    /// Reads what [`Self::to_bytes`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`Error::Decode`] for a number of bytes that is no positive number of steps, and for a word that is not below r.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let what = "data of a batch";
        let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
        if !rest.is_empty() || words.is_empty() || words.len() % STEP_WORDS != 0 {
            return Err(Error::Decode { what, at: bytes.len(), reason: "it is not a positive number of steps" });
        }
        let word = |(i, word): (usize, &[u8; WORD_BYTES])| {
            let mut little_endian = *word;
            little_endian.reverse();
            let reason = "a word is not below its modulus";
            Option::from(Fr::from_bytes(&little_endian)).ok_or(Error::Decode { what, at: i * WORD_BYTES, reason })
        };
        let words = words.iter().enumerate().map(word).collect::<Result<_, Error>>()?;
        Ok(Self { words })
    }

    /// The data hash: one Poseidon link a step.
    pub fn hash(&self) -> Fr {
        self.words.chunks(STEP_WORDS).fold(Fr::ZERO, |hash, step| {
            let mut inputs = [hash; STEP_WORDS + 1];
            inputs[1..=step.len()].copy_from_slice(step);
            poseidon::hash(&inputs)
        })
    }

    /// The point that the data is evaluated at, given its hash.
    pub fn point(&self, hash: Fr) -> Fr {
        point(&self.to_bytes(), hash)
    }

    /// The value at a point: `x^n + sum w_i x^(n-1-i)`.
    pub fn evaluate(&self, point: Fr) -> Fr {
        self.words.iter().fold(Fr::ONE, |value, word| value * point + word)
    }

    /// What a contract does: whether the batch with this data, whose hash it is told, takes the state's `sealed` from
    /// `before` to
    /// `after`.
    pub fn check(&self, hash: Fr, before: Fr, after: Fr) -> bool {
        let point = self.point(hash);
        poseidon::hash(&[before, hash, point, self.evaluate(point)]) == after
    }
}

/// `keccak256(keccak256(data) || hash) mod r`, or 1 where that is 0.
pub fn point(data: &[u8], hash: Fr) -> Fr {
    let mut keccak = Keccak256::new();
    keccak.update(Keccak256::digest(data));
    keccak.update(big_endian(&hash));
    let mut wide = [0; 64];
    wide[..WORD_BYTES].copy_from_slice(&keccak.finalize());
    wide[..WORD_BYTES].reverse();
    let point = Fr::from_uniform_bytes(&wide);
    if point == Fr::ZERO { Fr::ONE } else { point }
}

fn big_endian(element: &Fr) -> [u8; WORD_BYTES] {
    let mut bytes = element.to_bytes();
    bytes.reverse();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::PrimeField;

    fn data(steps: u64) -> BatchData {
        BatchData { words: (0..9 * steps).map(|i| Fr::from(i).square() - Fr::from(5)).collect() }
    }

    #[test]
    fn bytes_round_trip_strictly() {
        let bytes = data(2).to_bytes();
        assert_eq!(bytes[63], 0xfd, "the second word is r - 4");
        assert_eq!(BatchData::from_bytes(&bytes).expect("it was just encoded"), data(2));
        for length in [0, 1, 287, 289, 320, 575] {
            assert!(BatchData::from_bytes(&bytes[..length.min(bytes.len())]).is_err(), "{length}");
        }
        let mut beyond = bytes;
        beyond[32..64].fill(0xff);
        assert!(matches!(BatchData::from_bytes(&beyond), Err(Error::Decode { at: 32, .. })));
    }

    #[test]
    fn the_value_is_that_of_the_monic_polynomial() {
        let (data, x) = (data(1), Fr::from(7));
        let power = |n: u64| x.pow_vartime([n]);
        let sum: Fr = data.words().iter().zip(0..9).map(|(word, i)| *word * power(8 - i)).sum();
        assert_eq!(data.evaluate(x), power(9) + sum);
    }

    #[test]
    fn the_point_depends_on_bytes_and_hash() {
        let (one, two) = (data(1), data(2));
        assert_ne!(one.point(Fr::ONE), one.point(Fr::ZERO));
        assert_ne!(one.point(Fr::ONE), two.point(Fr::ONE));
    }

    #[test]
    fn the_point_is_the_remainder_of_a_big_endian_number() {
        // keccak256("") is a known value; of it and 32 zero bytes the rest follows.
        let empty = Keccak256::digest([]);
        assert_eq!((empty[0], empty[31]), (0xc5, 0x70));
        let digest = Keccak256::digest([&empty[..], &[0; 32]].concat());
        let number = digest.iter().fold(Fr::ZERO, |n, byte| n * Fr::from(256) + Fr::from(u64::from(*byte)));
        assert_eq!(point(&[], Fr::ZERO), number);
        assert!(number.to_repr().as_ref().iter().any(|byte| *byte != 0));
    }

    #[test]
    fn a_contract_accepts_just_its_data() {
        let (data, before) = (data(3), Fr::from(42));
        let hash = data.hash();
        let point = data.point(hash);
        let after = poseidon::hash(&[before, hash, point, data.evaluate(point)]);
        assert!(data.check(hash, before, after));
        assert!(!data.check(hash + Fr::ONE, before, after));
        assert!(!data.check(hash, after, before));
        for i in 0..data.words.len() {
            let mut other = data.clone();
            other.words[i] += Fr::ONE;
            assert!(!other.check(hash, before, after), "word {i}");
        }
    }
}
