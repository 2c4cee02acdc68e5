//! The Git Service: hosts repositories and the lookaside, and tells the master of pushes.
