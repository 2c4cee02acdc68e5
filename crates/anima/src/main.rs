//! Anima: everything that it takes to run an Enterprise Linux distribution.

fn main() {}
