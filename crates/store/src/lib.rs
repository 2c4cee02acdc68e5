//! Artifacts by SHA-256: put, get, verify.
