//! Circuit gadgets: numbers, ranges, hash bits, foreign points, lazy limbs and Grumpkin ladders.
//!
//! Every gadget carries its values eagerly, outside the closures of the constraint system: nova-snark's `ShapeCS` never
//! runs a value closure, so a value that only lives in one is unknown while the shape is made.

pub mod bits;
pub mod foreign;
pub mod grumpkin;
pub mod ladder;
pub mod lazy;
pub mod num;

#[cfg(test)]
pub(crate) mod testing;
