//! The canonical encoding: fixed-width little-endian numbers, affine points, vectors whose length is known or bounded.

use crate::curve::CycleCurve;
use crate::error::Error;
use crate::limits::{MAX_CONSTRAINTS, MAX_NNZ};
use crate::r1cs::{Shape, SparseMatrix};
use ff::PrimeField;
use rayon::prelude::*;

/// Bytes of a field element.
pub(crate) const SCALAR_BYTES: usize = 32;
/// Bytes of a point.
pub(crate) const POINT_BYTES: usize = 2 * SCALAR_BYTES;

/// Collects an encoding.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.u64(value.len() as u64);
        self.bytes(value.as_bytes());
    }

    pub(crate) fn scalar<F: PrimeField>(&mut self, value: &F) {
        self.bytes(value.to_repr().as_ref());
    }

    pub(crate) fn scalars<F: PrimeField>(&mut self, values: &[F]) {
        self.bytes.reserve(values.len() * SCALAR_BYTES);
        values.iter().for_each(|value| self.scalar(value));
    }

    /// A point that is not the identity.
    pub(crate) fn point<C: CycleCurve>(&mut self, point: &C) {
        let coordinates = Option::<halo2curves::Coordinates<C>>::from(point.coordinates());
        let (x, y) = coordinates.map_or_else(Default::default, |c| (*c.x(), *c.y()));
        self.scalar(&x);
        self.scalar(&y);
    }

    pub(crate) fn shape<F: PrimeField>(&mut self, shape: &Shape<F>) {
        for size in [shape.num_cons, shape.num_vars, shape.num_io] {
            self.u64(size as u64);
        }
        for matrix in &shape.matrices {
            self.u64(matrix.coefficients.len() as u64);
            self.scalars(&matrix.coefficients);
            self.u64(matrix.entries.len() as u64);
            matrix.row_ends.iter().for_each(|end| self.u32(*end));
            for (column, coefficient) in &matrix.entries {
                self.u32(*column);
                self.u32(*coefficient);
            }
        }
    }
}

/// Reads an encoding; every length is checked against its limit and against what is left before anything is allocated.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn error(&self, what: &'static str, reason: &'static str) -> Error {
        Error::Decode { what, at: self.at, reason }
    }

    fn take(&mut self, what: &'static str, n: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.error(what, "the input ends too early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// Refuses bytes after the end.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.error("the end", "there are bytes after it")) }
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        Ok(self.take(what, N)?.try_into().expect("took N bytes"))
    }

    pub(crate) fn magic(&mut self, magic: &[u8; 8], what: &'static str) -> Result<(), Error> {
        if self.array::<8>(what)? == *magic {
            Ok(())
        } else {
            self.at = 0;
            Err(self.error(what, "it does not start with the mark of its kind and version"))
        }
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn bool(&mut self, what: &'static str) -> Result<bool, Error> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error(what, "a flag is 0 or 1")),
        }
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn length(&mut self, what: &'static str, limit: usize) -> Result<usize, Error> {
        let found = self.u64(what)?;
        if found <= limit as u64 { Ok(found as usize) } else { Err(Error::Limit { what, limit: limit as u64, found }) }
    }

    pub(crate) fn string(&mut self, what: &'static str, limit: usize) -> Result<String, Error> {
        let n = self.length(what, limit)?;
        let bytes = self.take(what, n)?.to_vec();
        String::from_utf8(bytes).map_err(|_| self.error(what, "it is not UTF-8"))
    }

    pub(crate) fn scalar<F: PrimeField>(&mut self, what: &'static str) -> Result<F, Error> {
        let bytes: [u8; SCALAR_BYTES] = self.array(what)?;
        read_scalar(&bytes).ok_or_else(|| self.error(what, "a number is not below its modulus"))
    }

    pub(crate) fn scalars<F: PrimeField>(&mut self, what: &'static str, n: usize) -> Result<Vec<F>, Error> {
        let bytes = self.take(what, n.saturating_mul(SCALAR_BYTES))?;
        bytes
            .par_chunks_exact(SCALAR_BYTES)
            .with_min_len(1024)
            .map(|chunk| read_scalar(chunk.try_into().expect("chunks of 32 bytes")))
            .collect::<Option<_>>()
            .ok_or_else(|| self.error(what, "a number is not below its modulus"))
    }

    pub(crate) fn point<C: CycleCurve>(&mut self, what: &'static str) -> Result<C, Error> {
        let bytes: [u8; POINT_BYTES] = self.array(what)?;
        read_point(&bytes).ok_or_else(|| self.error(what, "a point is not on its curve"))
    }

    pub(crate) fn points<C: CycleCurve>(&mut self, what: &'static str, limit: usize) -> Result<Vec<C>, Error> {
        let n = self.length(what, limit)?;
        let bytes = self.take(what, n * POINT_BYTES)?;
        bytes
            .par_chunks_exact(POINT_BYTES)
            .with_min_len(256)
            .map(|chunk| read_point(chunk.try_into().expect("chunks of 64 bytes")))
            .collect::<Option<_>>()
            .ok_or_else(|| self.error(what, "a point is not on its curve"))
    }

    pub(crate) fn shape<F: PrimeField>(&mut self) -> Result<Shape<F>, Error> {
        let num_cons = self.length("rows", MAX_CONSTRAINTS)?;
        let num_vars = self.length("variables", MAX_CONSTRAINTS)?;
        let num_io = self.length("public inputs", 64)?;
        let columns = (num_vars + 1 + num_io) as u32;
        let mut matrix = || {
            let n = self.length("coefficients", MAX_NNZ)?;
            let coefficients = self.scalars::<F>("coefficients", n)?;
            let nnz = self.length("entries", MAX_NNZ)?;
            if coefficients.len() < 2 || coefficients[0] != F::ONE || coefficients[1] != -F::ONE {
                return Err(self.error("coefficients", "they start with one and minus one"));
            }
            let words = |bytes: &[u8]| -> Vec<u32> {
                bytes.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().expect("4 bytes"))).collect()
            };
            let row_ends = words(self.take("row ends", 4 * num_cons)?);
            if !row_ends.is_sorted() || row_ends.last().map_or(0, |end| *end as usize) != nnz {
                return Err(self.error("row ends", "they must rise to the number of entries"));
            }
            let entries: Vec<(u32, u32)> = self
                .take("entries", 8 * nnz)?
                .chunks_exact(8)
                .map(|pair| {
                    let [column, coefficient] =
                        [0, 4].map(|i| u32::from_le_bytes(pair[i..i + 4].try_into().expect("4 bytes")));
                    (column, coefficient)
                })
                .collect();
            let fits = |(column, index): &(u32, u32)| *column < columns && (*index as usize) < coefficients.len();
            if !entries.iter().all(fits) {
                return Err(self.error("entries", "an entry is outside its matrix"));
            }
            Ok(SparseMatrix { row_ends, entries, coefficients })
        };
        let matrices = [matrix()?, matrix()?, matrix()?];
        Ok(Shape { num_cons, num_vars, num_io, matrices })
    }
}

fn read_scalar<F: PrimeField>(bytes: &[u8; SCALAR_BYTES]) -> Option<F> {
    let mut repr = F::Repr::default();
    repr.as_mut().copy_from_slice(bytes);
    F::from_repr(repr).into()
}

/// A point on the curve. The identity has no encoding: (0, 0) is not on either curve.
fn read_point<C: CycleCurve>(bytes: &[u8; POINT_BYTES]) -> Option<C> {
    let (x, y) = bytes.split_at(SCALAR_BYTES);
    let x: C::Base = read_scalar(x.try_into().ok()?)?;
    let y: C::Base = read_scalar(y.try_into().ok()?)?;
    let point: Option<C> = C::from_xy(x, y).into();
    point.filter(|p| !bool::from(p.is_identity()))
}
