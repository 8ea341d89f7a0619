//! Fast arithmetic on Baby Jubjub's image under `x -> sqrt(-a) x`, the twisted Edwards curve `-x^2 + y^2 = 1 + k x^2
//! y^2` with `k = -d/a`, in extended coordinates (Hisil, Wong, Carter, Dawson, "Twisted Edwards curves revisited",
//! ASIACRYPT 2008).
//!
//! `-1` is a square and `d/a` is none, so `k` is none and the formulas are complete: no case is special.

use std::sync::OnceLock;

use crowdfold_fold::Fr;
use ff::{BatchInvert, Field};

use super::point::Point;
use super::scalar::Scalar;

/// A square root of `-a`.
const SCALE: Fr = Fr::from_raw([0x6c7be2c1d8b2d768, 0x74a5f6ca321ea117, 0x2c7ac0ce84e61177, 0x0e0ff35005d6e54b]);
const SCALE_INVERSE: Fr =
    Fr::from_raw([0x21f598c00ff68abf, 0x660441e60da751f7, 0x58fa569cbc475e19, 0x2c2a29993f684b42]);
/// `2 k`.
const TWICE_K: Fr = Fr::from_raw([0x5d099f85f9afd71b, 0xdf026a6b5db6203e, 0xc3909ff8b278cb9a, 0x0578d36fdd1172a8]);

/// Digits of the table of multiples of `B8`: 32 rows of 128 points, 384 KiB.
const BASE_WIDTH: usize = 8;
/// Digits of a scalar that multiplies any other point.
const POINT_WIDTH: usize = 5;

/// The point `(x/z, y/z)` of the image, with `x y = z t`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extended {
    x: Fr,
    y: Fr,
    z: Fr,
    t: Fr,
}

/// [`Extended`] without `t`, which doubling doesn't need.
#[derive(Clone, Copy)]
struct Projective {
    x: Fr,
    y: Fr,
    z: Fr,
}

/// The point `(e/g, h/f)` of the image, which the formulas yield before the last multiplications.
struct Completed {
    e: Fr,
    f: Fr,
    g: Fr,
    h: Fr,
}

/// An affine point of the image, prepared to be added: `y + x`, `y - x`, `2 k x y`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Niels {
    plus: Fr,
    minus: Fr,
    product: Fr,
}

/// An [`Extended`] point prepared to be added: `y + x`, `y - x`, `2 z`, `2 k t`.
#[derive(Clone, Copy)]
struct ExtendedNiels {
    plus: Fr,
    minus: Fr,
    double_z: Fr,
    product: Fr,
}

impl Completed {
    fn extended(&self) -> Extended {
        let Self { e, f, g, h } = self;
        Extended { x: e * f, y: g * h, z: f * g, t: e * h }
    }

    fn projective(&self) -> Projective {
        let Self { e, f, g, h } = self;
        Projective { x: e * f, y: g * h, z: f * g }
    }
}

impl Projective {
    fn double(&self) -> Completed {
        let (x2, y2, z2) = (self.x.square(), self.y.square(), self.z.square());
        let g = y2 - x2;
        Completed { e: (self.x + self.y).square() - x2 - y2, f: g - z2.double(), g, h: -(x2 + y2) }
    }

    /// `2^times` times the point.
    fn double_repeatedly(self, times: usize) -> Extended {
        let last = (1..times).fold(self, |point, _| point.double().projective());
        last.double().extended()
    }
}

impl Extended {
    pub(super) const IDENTITY: Self = Self { x: Fr::ZERO, y: Fr::ONE, z: Fr::ONE, t: Fr::ZERO };

    fn projective(&self) -> Projective {
        Projective { x: self.x, y: self.y, z: self.z }
    }

    /// `2^times` times the point, for a positive number of times.
    pub(super) fn double_repeatedly(&self, times: usize) -> Self {
        self.projective().double_repeatedly(times)
    }

    /// Eight times the point.
    pub(super) fn times8(&self) -> Self {
        self.double_repeatedly(3)
    }

    pub(super) fn is_identity(&self) -> bool {
        self.x == Fr::ZERO && self.y == self.z
    }

    /// Whether both are the same point.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.x * other.z == other.x * self.z && self.y * other.z == other.y * self.z
    }

    fn prepared(&self) -> ExtendedNiels {
        ExtendedNiels {
            plus: self.y + self.x,
            minus: self.y - self.x,
            double_z: self.z.double(),
            product: self.t * TWICE_K,
        }
    }

    fn plus_prepared(&self, other: &ExtendedNiels) -> Self {
        self.sum(other.plus, other.minus, other.product, self.z * other.double_z)
    }

    fn minus_prepared(&self, other: &ExtendedNiels) -> Self {
        self.sum(other.minus, other.plus, -other.product, self.z * other.double_z)
    }

    /// `self + other`.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.plus_prepared(&other.prepared())
    }

    /// `self + other`.
    pub(super) fn plus_affine(&self, other: &Niels) -> Self {
        self.sum(other.plus, other.minus, other.product, self.z.double())
    }

    /// `self - other`.
    pub(super) fn minus_affine(&self, other: &Niels) -> Self {
        self.sum(other.minus, other.plus, -other.product, self.z.double())
    }

    fn sum(&self, plus: Fr, minus: Fr, product: Fr, double_z: Fr) -> Self {
        let a = (self.y - self.x) * minus;
        let b = (self.y + self.x) * plus;
        let c = self.t * product;
        Completed { e: b - a, f: double_z - c, g: double_z + c, h: b + a }.extended()
    }

    /// `value` times the point, where `value` is below `2^bits`.
    pub(super) fn times(&self, value: &[u64; 4], bits: usize) -> Self {
        Self::interleaved(&[*self], &[*value], bits)
    }

    /// `sum value_i point_i`, where the values are below `2^bits`: all points share the doublings (Straus).
    pub(super) fn interleaved(points: &[Self], values: &[[u64; 4]], bits: usize) -> Self {
        let tables: Vec<_> = points.iter().map(Self::multiples).collect();
        let count = digit_count(bits, POINT_WIDTH);
        let digits: Vec<i32> = values.iter().flat_map(|value| signed_digits(*value, bits, POINT_WIDTH)).collect();
        (0..count).rev().fold(Self::IDENTITY, |sum, window| {
            let sum = sum.double_repeatedly(POINT_WIDTH);
            tables.iter().zip(digits.chunks_exact(count)).fold(sum, |sum, (table, digits)| {
                let digit = digits[window];
                match (digit.unsigned_abs() as usize).checked_sub(1) {
                    Some(i) if digit > 0 => sum.plus_prepared(&table[i]),
                    Some(i) => sum.minus_prepared(&table[i]),
                    None => sum,
                }
            })
        })
    }

    /// `1, ..., 16` times the point.
    fn multiples(&self) -> [ExtendedNiels; 1 << (POINT_WIDTH - 1)] {
        let mut multiple = *self;
        std::array::from_fn(|_| {
            let prepared = multiple.prepared();
            multiple = self.plus_prepared(&prepared);
            prepared
        })
    }

    /// `scalar B8`, from a table that the first call makes.
    pub(super) fn base8_times(scalar: &Scalar) -> Self {
        static TABLE: OnceLock<Vec<Niels>> = OnceLock::new();
        let table = TABLE.get_or_init(base8_table);
        let digits = signed_digits(scalar.words(), Scalar::BITS, BASE_WIDTH);
        table.chunks_exact(1 << (BASE_WIDTH - 1)).zip(digits).fold(Self::IDENTITY, |sum, (row, digit)| {
            match (digit.unsigned_abs() as usize).checked_sub(1) {
                Some(i) if digit > 0 => sum.plus_affine(&row[i]),
                Some(i) => sum.minus_affine(&row[i]),
                None => sum,
            }
        })
    }

    /// The point on Baby Jubjub itself.
    pub(super) fn to_affine(self) -> Point {
        // Zero only for what was no point of the curve.
        let inverse = self.z.invert().unwrap_or(Fr::ZERO);
        Point { x: self.x * inverse * SCALE_INVERSE, y: self.y * inverse }
    }
}

/// Row `i` has `1, ..., 128` times `2^(8 i) B8`.
fn base8_table() -> Vec<Niels> {
    let half = 1 << (BASE_WIDTH - 1);
    let mut points = Vec::with_capacity(half * digit_count(Scalar::BITS, BASE_WIDTH));
    let mut base = Extended::from(&Point::BASE8);
    for _ in 0..digit_count(Scalar::BITS, BASE_WIDTH) {
        let prepared = base.prepared();
        let mut multiple = base;
        for _ in 0..half {
            points.push(multiple);
            multiple = multiple.plus_prepared(&prepared);
        }
        base = base.double_repeatedly(BASE_WIDTH);
    }
    let mut inverses: Vec<Fr> = points.iter().map(|point| point.z).collect();
    inverses.iter_mut().batch_invert();
    points.iter().zip(inverses).map(|(point, inverse)| Niels::new(point.x * inverse, point.y * inverse)).collect()
}

impl From<&Point> for Extended {
    fn from(point: &Point) -> Self {
        let x = point.x * SCALE;
        Self { x, y: point.y, z: Fr::ONE, t: x * point.y }
    }
}

impl Niels {
    fn new(x: Fr, y: Fr) -> Self {
        Self { plus: y + x, minus: y - x, product: x * y * TWICE_K }
    }
}

impl From<&Point> for Niels {
    fn from(point: &Point) -> Self {
        Self::new(point.x * SCALE, point.y)
    }
}

/// How many [`signed_digits`] a number below `2^bits` has.
pub(super) fn digit_count(bits: usize, width: usize) -> usize {
    bits / width + 1
}

/// Digits of `value < 2^bits` in radix `2^width`, least significant first, above `-2^(width-1)` and up to
/// `2^(width-1)`.
///
/// The last one takes its carry: it starts from fewer than `width` bits.
pub(super) fn signed_digits(value: [u64; 4], bits: usize, width: usize) -> impl Iterator<Item = i32> {
    let mut carry = 0;
    (0..digit_count(bits, width)).map(move |i| {
        let (word, shift) = (i * width / 64, i * width % 64);
        let low = value.get(word).map_or(0, |word| word >> shift);
        let high = value.get(word + 1).filter(|_| shift > 0).map_or(0, |word| word << (64 - shift));
        let digit = ((low | high) & ((1 << width) - 1)) as i32 + carry;
        carry = i32::from(digit > 1 << (width - 1));
        digit - (carry << width)
    })
}

/// The points on Baby Jubjub itself, with one inversion for all.
pub(super) fn batch_to_affine(points: &[Extended]) -> Vec<Point> {
    let mut inverses: Vec<Fr> = points.iter().map(|point| point.z).collect();
    inverses.iter_mut().batch_invert();
    let affine =
        |(point, inverse): (&Extended, Fr)| Point { x: point.x * inverse * SCALE_INVERSE, y: point.y * inverse };
    points.iter().zip(inverses).map(affine).collect()
}
