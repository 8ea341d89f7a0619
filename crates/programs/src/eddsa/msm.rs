//! Sums of multiples of many points.

use super::extended::{Extended, Niels, digit_count, signed_digits};
use super::point::Point;

/// From so many points on, buckets are faster than a table for each point.
const MIN_BUCKETED: usize = 96;

/// Widest digit that is considered; buckets then take 512 KiB.
const MAX_WIDTH: usize = 13;

/// `sum value_i point_i`, where the values are below `2^bits`.
pub(super) fn sum_of_multiples(points: &[Point], values: &[[u64; 4]], bits: usize) -> Extended {
    if points.len() < MIN_BUCKETED {
        let points: Vec<Extended> = points.iter().map(Extended::from).collect();
        return Extended::interleaved(&points, values, bits);
    }
    let points: Vec<Niels> = points.iter().map(Niels::from).collect();
    bucketed(&points, values, bits)
}

/// Pippenger's algorithm.
fn bucketed(points: &[Niels], values: &[[u64; 4]], bits: usize) -> Extended {
    let width = best_width(points.len(), bits);
    let count = digit_count(bits, width);
    let digits: Vec<i32> = values.iter().flat_map(|value| signed_digits(*value, bits, width)).collect();
    let mut buckets = vec![Extended::IDENTITY; 1 << (width - 1)];
    (0..count).rev().fold(Extended::IDENTITY, |sum, window| {
        buckets.fill(Extended::IDENTITY);
        for (point, digits) in points.iter().zip(digits.chunks_exact(count)) {
            let digit = digits[window];
            let Some(i) = (digit.unsigned_abs() as usize).checked_sub(1) else { continue };
            buckets[i] = if digit > 0 { buckets[i].plus_affine(point) } else { buckets[i].minus_affine(point) };
        }
        sum.double_repeatedly(width).plus(&weighted_sum(&buckets))
    })
}

/// `sum (i + 1) bucket_i`.
fn weighted_sum(buckets: &[Extended]) -> Extended {
    let start = (Extended::IDENTITY, Extended::IDENTITY);
    let (_, sum) = buckets.iter().rev().fold(start, |(suffix, sum), bucket| {
        let suffix = suffix.plus(bucket);
        (suffix, sum.plus(&suffix))
    });
    sum
}

/// The width with the fewest multiplications: 7 for each digit of a point, 18 for each bucket.
fn best_width(points: usize, bits: usize) -> usize {
    let cost = |width: &usize| digit_count(bits, *width) * (7 * points + (18 << (width - 1)));
    (2..=MAX_WIDTH).min_by_key(cost).expect("there are widths")
}
