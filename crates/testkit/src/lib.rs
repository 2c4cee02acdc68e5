//! Development only: a whole system in a temporary folder, tiny source packages, and the verbs that stories are told in.
//!
//! The system is the real program with all its roles as processes ([`System`]); the distribution that it builds on is
//! Seed Linux, made once for the machine and kept ([`seed`]). Users' side is real too: `git` pushes
//! ([`SourcePackage`]), `dnf` installs ([`Root`]).
//!
//! It refuses to look into the database or any role's folder: a test sees what a user sees.

mod browser;
mod cluster;
mod command;
mod contract;
pub mod corpus;
mod generated_client;
mod object_store;
mod oidc_provider;
mod populated;
mod postgres;
mod proxy;
mod root;
mod seed;
mod small_disk;
mod source;
mod system;
mod unpacked;

pub use browser::Browser;
pub use cluster::Cluster;
pub use contract::{Bounds, keeps_its_contract, takes_tokens_away_by_its_contract};
pub use generated_client::asks_by_a_generated_client;
pub use object_store::{Bucket, ObjectStore, again_on_object_store, bucket_of_second_run};
pub use oidc_provider::OidcProvider;
pub use populated::populate;
pub use postgres::{Postgres, again_on_postgres, database_of_second_run};
pub use proxy::Proxy;
pub use root::Root;
pub use seed::{seed, seed_for};
pub use small_disk::SmallDisk;
pub use source::SourcePackage;
pub use system::System;
pub use unpacked::Unpacked;
