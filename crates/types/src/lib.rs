//! The words of the system: every noun that two crates share is defined here, once.
//!
//! Names and versions of packages ([`nevra`]), ids ([`id`]), statuses with their transition tables
//! ([`task`], [`build`], [`release`]), what a node is asked to do and answers ([`lease`], [`work`]),
//! what the API takes and gives, who may do what ([`permission`]), and how a package's repository is laid out
//! ([`dist_git`]).
//!
//! It refuses to do anything: no I/O, no clock, no randomness, no database.

pub mod account;
pub mod arch;
pub mod artifact;
pub mod audit;
pub mod build;
pub mod build_plan;
pub mod diagnosis;
pub mod digest;
pub mod dist_git;
pub mod enrolment;
pub mod error;
pub mod event;
pub mod fsck;
pub mod gate;
pub mod health;
pub mod id;
pub mod identity;
pub mod key;
pub mod key_policy;
pub mod lease;
pub mod maintenance;
pub mod natural;
pub mod nevra;
pub mod node;
pub mod node_load;
pub mod package;
pub mod permission;
mod plan_work;
pub mod platform;
pub mod product;
pub mod provenance;
pub mod push;
pub mod rebuild;
pub mod release;
mod release_content;
pub mod repository;
pub mod repository_diff;
pub mod retention;
pub mod right;
mod schema;
pub mod search;
pub mod signature;
pub mod splice;
pub mod task;
pub mod task_list;
pub mod task_log;
pub mod time;
pub mod token;
pub mod webhook;
pub mod why;
mod words;
pub mod work;

pub use arch::Arch;
pub use digest::Sha256;
pub use nevra::{Evr, Nevra};
pub use time::Timestamp;
