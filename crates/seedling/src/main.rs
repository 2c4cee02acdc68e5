//! Development only: makes Seed Linux, a small RPM distribution, out of the host's own Debian packages.

fn main() {}
