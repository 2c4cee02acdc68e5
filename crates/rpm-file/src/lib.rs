//! Reads, verifies and signs RPM and SRPM files.
