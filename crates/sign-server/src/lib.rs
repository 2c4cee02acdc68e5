//! The Sign Server: keys never leave it.
//!
//! It pulls sign tasks, fetches the bytes that are to be signed (a package's header, or a small file), checks their
//! digest, signs them, writes down what it signed, and gives the signatures back. It has no listening port, never sees
//! a package's payload, and never tells a private key.

pub mod confine;
mod failure;
pub mod file;
pub mod journal;
pub mod keyring;
mod node;
pub mod passphrase;
pub mod work;

pub use node::{Config, run};
