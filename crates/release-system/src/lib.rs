//! The Release System: which package goes to which repository and why ([`plan`]), what speaks against it ([`gate`]), and what the repositories' metadata
//! is then ([`publish`]).
//!
//! It takes `plan`, `publish` and `import` tasks, and decides nothing else: whether a plan is carried out is a person's or the
//! product's rule to say, and the pointers of the repositories are the master's to move.

pub mod evidence;
pub mod gate;
pub mod import;
mod multilib;
mod node;
pub mod plan;
pub mod publish;
pub mod reference;
mod reference_files;
mod there;

pub use node::{Config, run};
