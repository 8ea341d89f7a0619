//! The circuits CF, S and M.

pub mod cyclefold;
pub mod instance;
pub mod merge;
pub mod step;
