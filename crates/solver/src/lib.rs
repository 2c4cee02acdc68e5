//! From wanted names and repositories to an exact, locked list of packages, by libsolv.
