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

    pub(crate) fn error(&self, what: &'static str, reason: &'static str) -> Error {
        Error::Decode { what, at: self.at, reason }
    }

    fn take(&mut self, what: &'static str, n: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.error(what, "the input ends too early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// Whether nothing is left to read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Refuses bytes after the end.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.is_at_end() { Ok(()) } else { Err(self.error("the end", "there are bytes after it")) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Fq, Fr, G1, G1Affine, Gk, GkAffine};
    use crate::gadgets::testing::{integer, rng};
    use ff::Field;
    use group::{Curve, Group};
    use nova_snark::frontend::{Index, LinearCombination, Variable};
    use num_bigint::BigUint;

    fn decodes<T>(bytes: &[u8], read: impl Fn(&mut Reader<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut reader = Reader::new(bytes);
        let value = read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// Reads the encoding, and refuses all shorter ones and a longer one.
    fn reads_just<T>(bytes: &[u8], read: impl Fn(&mut Reader<'_>) -> Result<T, Error>) -> T {
        for n in 0..bytes.len() {
            match decodes(&bytes[..n], &read) {
                Err(Error::Decode { at, .. }) => assert!(at <= n),
                Err(other) => panic!("{n} bytes: {other}"),
                Ok(_) => panic!("{n} of {} bytes decode", bytes.len()),
            }
        }
        for extra in [0, 1, 255] {
            let longer = [bytes, &[extra]].concat();
            assert!(matches!(decodes(&longer, &read), Err(Error::Decode { what: "the end", .. })));
        }
        decodes(bytes, read).expect("decodes")
    }

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut out = Writer::default();
        write(&mut out);
        out.into_bytes()
    }

    fn is_decode_error<T>(result: &Result<T, Error>, expected: &str) -> bool {
        matches!(result, Err(Error::Decode { reason, .. }) if *reason == expected)
    }

    #[test]
    fn numbers_and_strings_round_trip() {
        let bytes = written(|out| {
            out.u8(1);
            out.u8(0);
            out.u32(0x0403_0201);
            out.u64(0x0807_0605_0403_0201);
            out.bytes(&[9, 8, 7]);
            out.string("grüße");
        });
        // Little-endian, in order, with an eight-byte length before a string.
        let expected =
            [&[1, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 7, 0, 0, 0, 0, 0, 0, 0], "grüße".as_bytes()];
        assert_eq!(bytes, expected.concat());
        let read = |reader: &mut Reader<'_>| {
            Ok((
                reader.bool("a")?,
                reader.bool("b")?,
                u32::from_le_bytes(reader.array("c")?),
                reader.u64("d")?,
                reader.array::<3>("e")?,
                reader.string("f", 7)?,
            ))
        };
        let found = reads_just(&bytes, read);
        assert_eq!(found, (true, false, 0x0403_0201, 0x0807_0605_0403_0201, [9, 8, 7], "grüße".into()));
    }

    #[test]
    fn flags_strings_and_lengths_are_canonical() {
        for byte in 2..=255 {
            assert!(is_decode_error(&decodes(&[byte], |r| r.bool("flag")), "a flag is 0 or 1"));
        }
        let bytes = written(|out| {
            out.u64(2);
            out.bytes(&[0xff, 0xfe]);
        });
        assert!(is_decode_error(&decodes(&bytes, |r| r.string("name", 10)), "it is not UTF-8"));
        for found in [11, u64::from(u32::MAX), u64::MAX] {
            let bytes = written(|out| out.u64(found));
            for result in
                [decodes(&bytes, |r| r.length("n", 10)).map(drop), decodes(&bytes, |r| r.string("n", 10)).map(drop)]
            {
                assert!(matches!(result, Err(Error::Limit { limit: 10, found: f, .. }) if f == found));
            }
        }
        assert_eq!(decodes(&written(|out| out.u64(10)), |r| r.length("n", 10)).expect("at the limit"), 10);
    }

    #[test]
    fn the_mark_must_match() {
        let bytes = written(|out| out.bytes(b"CFRANGE1"));
        reads_just(&bytes, |r| r.magic(b"CFRANGE1", "range proof"));
        for i in 0..8 {
            let mut wrong = bytes.clone();
            wrong[i] ^= 1;
            let result = decodes(&wrong, |r| r.magic(b"CFRANGE1", "range proof"));
            assert!(matches!(result, Err(Error::Decode { what: "range proof", at: 0, .. })));
        }
    }

    /// x + p in 32 bytes, where it fits.
    fn above_modulus<F: PrimeField>(x: &F) -> Vec<u8> {
        let mut bytes = (integer(x) + integer(&-F::ONE) + 1u8).to_bytes_le();
        assert!(bytes.len() <= SCALAR_BYTES);
        bytes.resize(SCALAR_BYTES, 0);
        bytes
    }

    fn scalars_are_canonical<F: PrimeField>() {
        let mut rng = rng(1);
        let values = [F::ZERO, F::ONE, -F::ONE, F::random(&mut rng)];
        let bytes = written(|out| out.scalars(&values));
        assert_eq!(bytes.len(), values.len() * SCALAR_BYTES);
        assert_eq!(reads_just(&bytes, |r| r.scalars::<F>("values", values.len())), values);
        for (value, chunk) in values.iter().zip(bytes.chunks(SCALAR_BYTES)) {
            assert_eq!(BigUint::from_bytes_le(chunk), integer(value));
            assert_eq!(reads_just(chunk, |r| r.scalar::<F>("value")), *value);
        }
        let reason = "a number is not below its modulus";
        for wrong in [above_modulus(&F::ZERO), above_modulus(&F::ONE), above_modulus(&-F::ONE), vec![0xff; 32]] {
            assert!(is_decode_error(&decodes(&wrong, |r| r.scalar::<F>("value")), reason));
            for i in 0..values.len() {
                let mut many = bytes.clone();
                many[i * SCALAR_BYTES..][..SCALAR_BYTES].copy_from_slice(&wrong);
                assert!(is_decode_error(&decodes(&many, |r| r.scalars::<F>("values", values.len())), reason));
            }
        }
        assert!(decodes(&bytes, |r| r.scalars::<F>("values", usize::MAX)).is_err());
    }

    #[test]
    fn scalars_at_and_above_the_modulus_are_refused() {
        scalars_are_canonical::<Fr>();
        scalars_are_canonical::<Fq>();
    }

    fn points_are_canonical<C: CycleCurve>(points: &[C]) {
        let reason = "a point is not on its curve";
        let many = written(|out| {
            out.u64(points.len() as u64);
            points.iter().for_each(|p| out.point(p));
        });
        assert_eq!(reads_just(&many, |r| r.points::<C>("points", points.len())), points);
        let short = decodes(&many, |r| r.points::<C>("points", points.len() - 1));
        assert!(matches!(short, Err(Error::Limit { .. })));
        for (i, p) in points.iter().enumerate() {
            let bytes = written(|out| out.point(p));
            assert_eq!(reads_just(&bytes, |r| r.point::<C>("point")), *p);
            let coordinates = Option::<halo2curves::Coordinates<C>>::from(p.coordinates()).expect("not the identity");
            let (x, y) = (*coordinates.x(), *coordinates.y());
            let raw = |x: &C::Base, y: &C::Base| written(|out| out.scalars(&[*x, *y]));
            assert_eq!(raw(&x, &y), bytes);
            let zero = C::Base::ZERO;
            let mut wrongs = vec![
                raw(&x, &(y + C::Base::ONE)),
                raw(&(x + C::Base::ONE), &y),
                raw(&y, &x),
                raw(&zero, &zero),
                raw(&x, &zero),
                raw(&zero, &y),
                [above_modulus(&x), bytes[32..].to_vec()].concat(),
                [bytes[..32].to_vec(), above_modulus(&y)].concat(),
                [above_modulus(&zero), above_modulus(&zero)].concat(),
                vec![0xff; POINT_BYTES],
            ];
            // Spare bits are no flags.
            wrongs.extend([31, 63].into_iter().flat_map(|at| {
                [0x40, 0x80].map(|flag| {
                    let mut flagged = bytes.clone();
                    flagged[at] |= flag;
                    flagged
                })
            }));
            for wrong in wrongs {
                assert!(is_decode_error(&decodes(&wrong, |r| r.point::<C>("point")), reason));
                let mut all = many.clone();
                all[8 + i * POINT_BYTES..][..POINT_BYTES].copy_from_slice(&wrong);
                assert!(is_decode_error(&decodes(&all, |r| r.points::<C>("points", points.len())), reason));
            }
        }
        // The identity has no encoding that is read.
        let identity = written(|out| out.point(&C::identity()));
        assert!(is_decode_error(&decodes(&identity, |r| r.point::<C>("point")), reason));
    }

    #[test]
    fn points_off_the_curve_and_identities_are_refused() {
        let mut rng = rng(2);
        points_are_canonical::<G1Affine>(&[(); 3].map(|()| G1::random(&mut rng).to_affine()));
        points_are_canonical::<GkAffine>(&[(); 3].map(|()| Gk::random(&mut rng).to_affine()));
    }

    fn small_shape() -> Shape<Fr> {
        let var = |i| Variable(Index::Aux(i));
        let one = Variable(Index::Input(0));
        let lc = LinearCombination::<Fr>::zero;
        let rows = [
            (lc() + var(0), lc() + var(1) - one, lc() + (Fr::from(7), var(2))),
            (lc() + var(2) + (Fr::from(9), var(0)), lc() + one, lc() + Variable(Index::Input(1))),
            (lc(), lc(), lc()),
        ];
        Shape::from_rows(&rows, 3, 1)
    }

    #[test]
    fn shapes_round_trip() {
        let shape = small_shape();
        let bytes = written(|out| out.shape(&shape));
        assert_eq!(reads_just(&bytes, |r| r.shape::<Fr>()), shape);
    }

    #[test]
    fn shapes_that_would_read_outside_are_refused() {
        let wrong = |change: fn(&mut Shape<Fr>)| {
            let mut shape = small_shape();
            change(&mut shape);
            decodes(&written(|out| out.shape(&shape)), |r| r.shape::<Fr>())
        };
        assert!(wrong(|_| ()).is_ok());
        let rise = "they must rise to the number of entries";
        let outside = "an entry is outside its matrix";
        let start = "they start with one and minus one";
        assert!(is_decode_error(&wrong(|s| s.matrices[0].row_ends[0] = 9), rise));
        assert!(is_decode_error(&wrong(|s| s.matrices[1].row_ends.swap(0, 1)), rise));
        assert!(is_decode_error(&wrong(|s| *s.matrices[2].row_ends.last_mut().expect("rows") -= 1), rise));
        assert!(is_decode_error(&wrong(|s| *s.matrices[2].row_ends.last_mut().expect("rows") += 1), rise));
        assert!(is_decode_error(&wrong(|s| s.matrices[0].entries[0].0 = 5), outside));
        assert!(wrong(|s| s.matrices[0].entries[0].0 = 4).is_ok());
        assert!(is_decode_error(&wrong(|s| s.matrices[2].entries[0].1 = 3), outside));
        assert!(is_decode_error(&wrong(|s| s.num_vars = 1), outside));
        assert!(is_decode_error(&wrong(|s| s.matrices[0].coefficients[0] = Fr::from(2)), start));
        assert!(is_decode_error(&wrong(|s| s.matrices[0].coefficients[1] = Fr::ONE), start));
        assert!(is_decode_error(&wrong(|s| s.matrices[1].coefficients.truncate(1)), start));
        for (change, limit) in [
            ((|s| s.num_cons = MAX_CONSTRAINTS + 1) as fn(&mut Shape<Fr>), MAX_CONSTRAINTS),
            (|s| s.num_vars = MAX_CONSTRAINTS + 1, MAX_CONSTRAINTS),
            (|s| s.num_io = 65, 64),
        ] {
            assert!(matches!(wrong(change), Err(Error::Limit { limit: l, .. }) if l == limit as u64));
        }
        // Lengths that the input cannot hold are refused before anything of that size is allocated.
        for nnz in [MAX_NNZ as u64, MAX_NNZ as u64 + 1, u64::MAX] {
            let bytes = written(|out| [3, 3, 1, nnz].into_iter().for_each(|n| out.u64(n)));
            assert!(decodes(&bytes, |r| r.shape::<Fr>()).is_err());
        }
    }
}
