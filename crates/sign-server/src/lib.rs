//! The Sign Server: keys never leave it.
