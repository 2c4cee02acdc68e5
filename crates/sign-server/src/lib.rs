//! The Sign Server: keys never leave it.
//!
//! It pulls sign tasks, fetches the bytes that are to be signed (a package's header, or a small file), checks their
//! digest and what the master says of them ([`policy`]), writes down what it will sign, signs it, and gives the signatures
//! back. It has no listening port, never sees a package's payload, and never tells a private key. Keys are in files
//! ([`keyring`]) or in tokens ([`token`]).

pub mod confine;
mod failure;
pub mod file;
pub mod journal;
pub mod keyring;
mod node;
pub mod passphrase;
pub mod policy;
pub mod token;
pub mod wipe;
pub mod work;

pub use node::{Config, journal_file, keys_folder, open_keyring, run};
