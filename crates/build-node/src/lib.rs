//! The Build Node: sources to SRPM, SRPM to RPMs.
