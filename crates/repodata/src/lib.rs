//! Reads, writes and compares rpm-md repository metadata.
