//! The `feedwatch` program.
fn main() {}
