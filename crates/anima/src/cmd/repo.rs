//! `anima repo`: the repositories that users install from.

use anima_types::{
    id::RepositoryId,
    repository::{Repository, RepositoryPackage, Snapshot},
};
use clap::Subcommand;
use serde::Serialize;

use super::Ask;
use crate::{
    exit::{Failure, Result},
    output,
};

/// Look at repositories and their snapshots
#[derive(Debug, Subcommand)]
pub enum Repo {
    /// List repositories
    List {
        /// Only those of this product
        #[arg(long, value_name = "PRODUCT")]
        product: Option<String>,
    },
    /// Show a repository: its packages and its snapshots
    Show {
        /// Its id, or its address: `PRODUCT/BaseOS/x86_64`
        repository: String,
    },
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    repository: Repository,
    packages: Vec<RepositoryPackage>,
    snapshots: Vec<Snapshot>,
}

impl Repo {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Repo::List { product } => ask.output.list(
                &ask.client.repositories(product.as_deref()).await?,
                ["repository", "address", "kind", "snapshot", "packages"],
                row,
                "There are no repositories. They are made with a product: `anima product create`.",
            ),
            Repo::Show { repository } => {
                let repository = find(ask, &repository).await?;
                let id = repository.id;
                let packages = ask.client.repository_packages(id).await?;
                let snapshots = ask.client.snapshots(id).await?;
                ask.output.show(&Shown { repository, packages, snapshots }, describe)
            }
        }
    }
}

async fn find(ask: &Ask, wanted: &str) -> Result<Repository> {
    if let Ok(id) = wanted.parse::<RepositoryId>() {
        return Ok(ask.client.repository(id).await?);
    }
    let repositories = ask.client.repositories(None).await?;
    repositories.into_iter().find(|repository| address(repository) == wanted.trim_matches('/')).ok_or_else(|| {
        Failure::user(format!("could not find repository \"{wanted}\"")).hint("`anima repo list` shows them")
    })
}

fn address(repository: &Repository) -> String {
    format!("{}/{}", repository.product, repository.path)
}

fn row(repository: &Repository) -> [String; 5] {
    [
        repository.id.to_string(),
        address(repository),
        repository.kind.name().to_string(),
        repository.current.to_string(),
        repository.package_count.to_string(),
    ]
}

fn describe(shown: &Shown) -> String {
    let [id, address, kind, current, count] = row(&shown.repository);
    let fields = output::fields(&[
        ("repository", id),
        ("address", format!("/repos/{address}/")),
        ("kind", kind),
        ("snapshot", current),
        ("packages", count),
    ]);
    let packages = shown.packages.iter().map(|package| [package.nevra.to_string(), package.source.clone()]);
    let snapshots = shown.snapshots.iter().map(|snapshot| {
        let current = if snapshot.is_current { " (current)" } else { "" };
        [
            format!("{}{current}", snapshot.number),
            snapshot.release.to_string(),
            output::moment(snapshot.created_at),
            snapshot.package_count.to_string(),
            format!("+{} -{}", snapshot.added.len(), snapshot.removed.len()),
        ]
    });
    format!(
        "{fields}\n\n{}\n\n{}",
        output::table(["package", "source"], packages),
        output::table(["snapshot", "release", "made", "packages", "changes"], snapshots)
    )
}
