//! Developer commands: tidy, check, bench.

fn main() {}
