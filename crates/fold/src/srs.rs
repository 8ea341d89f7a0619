//! Structured reference string.
