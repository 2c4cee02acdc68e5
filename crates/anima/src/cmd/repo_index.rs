//! `anima repo index`: metadata of a folder of packages. It needs no server.

use std::path::PathBuf;

use anima_repodata::{IndexOptions, Indexed};
use clap::Args;
use serde::Serialize;

use super::repo_keep::Pack;
use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
};

/// The folder, and how its metadata is made.
#[derive(Debug, Args)]
pub struct Index {
    /// The folder; packages in folders below it count
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// How the metadata is packed: gzip is read by every client, zstd by those of Enterprise Linux 9 and later
    #[arg(long, value_enum, default_value_t = Pack::Gzip)]
    compression: Pack,
    /// Read all packages again, also those that have not changed
    #[arg(long)]
    whole: bool,
}

#[derive(Serialize)]
struct Done {
    package_count: u64,
    read_count: usize,
    removed_count: usize,
    is_new: bool,
}

impl Index {
    pub fn run(self, output: Output) -> Result {
        let options = IndexOptions {
            compression: self.compression.into(),
            revision_secs: jiff::Timestamp::now().as_second(),
            is_whole: self.whole,
        };
        if !self.folder.is_dir() {
            return Err(Failure::user(format!("could not find the folder {}", self.folder.display())));
        }
        let indexed = anima_repodata::index(&self.folder, &options);
        let Indexed { package_count, read_count, removed_count, is_new } =
            indexed.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        output.show(&Done { package_count, read_count, removed_count, is_new }, |done| match done.is_new {
            true => format!("{package_count} packages: {read_count} read, {removed_count} removed"),
            false => format!("{package_count} packages: nothing has changed"),
        })
    }
}
