//! What an operator does with a whole installation, without asking a running master: back it up, restore it, move it to other
//! servers, check it.
//!
//! All of it works on the database and the store themselves. It refuses to decide whether a master may run meanwhile: the
//! program that calls it holds the locks.

pub mod backup;
pub mod check;
mod copy;
pub mod moving;
pub mod restore;

use anima_db::Db;
use anima_store::{Address as StoreAddress, LogStore, Store};
use anyhow::{Context as _, Result};

/// A master's database and store.
#[derive(Clone)]
pub struct Installation {
    /// The database.
    pub db: Db,
    /// The artifacts.
    pub store: Store,
    /// The logs of tasks.
    pub logs: LogStore,
}

impl Installation {
    /// Opens one as it is, beside those who work with it.
    pub async fn open(database: &anima_db::Address, artifacts: &StoreAddress) -> Result<Installation> {
        let db = Db::connect_as_is(database.clone()).await?;
        let store = Store::open(artifacts).await.with_context(|| format!("could not open store {artifacts}"))?;
        Ok(Installation { db, store, logs: LogStore::open(artifacts).await? })
    }
}

/// Says how far it is, in a sentence.
pub type Tell<'a> = &'a (dyn Fn(&str) + Sync);
