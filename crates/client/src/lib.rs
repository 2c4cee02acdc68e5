//! Typed HTTP client of the Master Service; client::lease is what all nodes share.
