//! The programs people prove: step functions with their circuits, one module each.

mod squarings;

pub use squarings::Squarings;
