//! The exposition formats, written directly.

pub mod text;
