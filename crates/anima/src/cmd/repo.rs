//! `anima repo`: the repositories that users install from.

use std::path::PathBuf;

use anima_types::{
    id::RepositoryId,
    release::{self, Content, CreateRelease},
    repository::{Repository, RepositoryPackage, Snapshot},
    repository_diff::{ContentChange, PackageChange, Query, RepositoryDiff},
    task::Kind,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    Ask, ask, log,
    repo_export::Export,
    repo_index::Index,
    repo_keep::{self, Set},
    repo_look::{self, Search},
};
use crate::{
    args::Global,
    exit::{Exit, Failure, Result},
    output::{self, Output},
};

/// Look at repositories and their snapshots, and take over others
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
    /// Search what users see in a repository: names and summaries, provides, or paths
    Search(Search),
    /// List what a repository has beside the metadata of its packages: advisories, groups, modules
    Attachments {
        /// Its id, or its address: `PRODUCT/BaseOS/x86_64`
        repository: String,
    },
    /// Make or update the metadata of a folder of packages; the next run costs what changed
    Index(Index),
    /// Copy a repository to a folder that any web server can serve; the next time costs what changed
    Export(Export),
    /// Say how a repository's metadata is packed and which of its snapshots stay
    Set(Set),
    /// Let a snapshot stay, whatever the rule says
    Pin {
        /// `PRODUCT/BaseOS/x86_64@3`
        snapshot: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Let a snapshot go when its rule says so
    Unpin {
        /// `PRODUCT/BaseOS/x86_64@3`
        snapshot: String,
    },
    /// Give a repository other metadata from its next release on: advisories, groups, modules
    Attach {
        /// Its id, or its address: `PRODUCT/BaseOS/x86_64`
        repository: String,
        /// `updateinfo`, `group`, `modules`, `productid`, or any other word of an index
        kind: String,
        /// The open file, such as `updateinfo.xml`
        file: PathBuf,
    },
    /// Take such metadata away from the next release on
    Detach {
        /// Its id, or its address: `PRODUCT/BaseOS/x86_64`
        repository: String,
        /// `updateinfo`, `group`, `modules`, `productid`, or any other word of an index
        kind: String,
    },
    /// Take over all packages of a repository from elsewhere: fetched, checked, signed, and planned as one release
    Import(Import),
    /// Compare two snapshots: packages, versions, dependencies and files
    Diff {
        /// The older one: `PRODUCT/BaseOS/x86_64@3`, or without `@3` what users see now
        old: String,
        /// The newer one; a number alone is a snapshot of the same repository
        new: String,
        /// Show what is different within each package
        #[arg(long)]
        full: bool,
    },
}

/// An import that was asked for.
#[derive(Args, Debug)]
pub struct Import {
    /// The address of the repository, or a folder of the Release System's machine: where `repodata` is
    source: String,
    /// The product that takes its packages
    #[arg(long, value_name = "PRODUCT")]
    product: String,
    /// The product's repository for its binary packages, such as `BaseOS` or `BaseOS/x86_64` [default: where each fits]
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// A file with a public key: each package has to be signed by one of them; repeat it for more
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// The index has to be signed by one of the keys, too
    #[arg(long, requires = "keys")]
    signed_index: bool,
    /// Do not wait until the packages are here
    #[arg(long)]
    no_wait: bool,
}

impl Import {
    async fn run(self, ask: &Ask) -> Result {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| Failure::user(format!("could not read {}: {error}", path.display())))
        };
        let import = release::Import {
            url: self.source,
            gpg_keys: self.keys.iter().map(read).collect::<Result<_>>()?,
            is_index_signed: self.signed_index,
            repository: self.repository,
        };
        let wanted = CreateRelease { product: self.product, content: Content::Import { import } };
        let made = ask.client.create_release(&wanted).await?;
        if !self.no_wait
            && let Some(task) =
                ask.client.release_tasks(made.id).await?.into_iter().find(|task| task.kind == Kind::Import)
        {
            log::print(ask, &task, true).await?;
        }
        let release = ask.client.release(made.id).await?;
        ask.output.show(&release, super::release::said)?;
        match release.status {
            release::Status::Failed => Err(Failure::new(Exit::Unsuccessful, release.summary)),
            _ => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    repository: Repository,
    packages: Vec<RepositoryPackage>,
    snapshots: Vec<Snapshot>,
}

impl Repo {
    pub fn run(self, global: &Global) -> Result {
        match self {
            Repo::Index(index) => index.run(Output::new(global.json)),
            other => ask(global, async |ask| other.ask(ask).await),
        }
    }

    async fn ask(self, ask: &Ask) -> Result {
        match self {
            Repo::Index(_) => unreachable!("it needs no server"),
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
            Repo::Search(search) => search.run(ask).await,
            Repo::Attachments { repository } => repo_look::attachments(ask, &repository).await,
            Repo::Export(export) => export.run(ask).await,
            Repo::Set(set) => set.run(ask).await,
            Repo::Pin { snapshot, reason } => repo_keep::pin(ask, &snapshot, Some(&reason)).await,
            Repo::Unpin { snapshot } => repo_keep::pin(ask, &snapshot, None).await,
            Repo::Attach { repository, kind, file } => repo_keep::attach(ask, &repository, &kind, &file).await,
            Repo::Detach { repository, kind } => repo_keep::detach(ask, &repository, &kind).await,
            Repo::Import(import) => import.run(ask).await,
            Repo::Diff { old, new, full } => {
                let new = beside(&old, new);
                let diff = ask.client.repository_diff(&Query { old, new }).await?;
                ask.output.show(&diff, |diff| compared(diff, full))
            }
        }
    }
}

/// Returns the newer snapshot, whose repository may be left out where it is that of the older one.
fn beside(old: &str, new: String) -> String {
    let number = new.strip_prefix('@').unwrap_or(&new);
    match number.parse::<u32>() {
        Ok(number) => format!("{}@{number}", old.rsplit_once('@').map_or(old, |(address, _)| address)),
        Err(_) => new,
    }
}

fn compared(diff: &RepositoryDiff, full: bool) -> String {
    let mut lines = vec![format!(
        "{} -> {}: {} added, {} removed, {} changed",
        diff.old,
        diff.new,
        diff.added.len(),
        diff.removed.len(),
        diff.changed.len()
    )];
    lines.extend(diff.added.iter().map(|nevra| format!("+ {nevra}")));
    lines.extend(diff.removed.iter().map(|nevra| format!("- {nevra}")));
    for change in &diff.changed {
        lines.push(format!("~ {}", changed(change)));
        if full {
            lines.extend(change.contents.iter().flat_map(contents));
        }
    }
    for change in &diff.metadata {
        let named = |sign: &str, names: &[String]| {
            names.iter().map(|name| format!("{sign} {}: {name}", change.what)).collect::<Vec<_>>()
        };
        lines.extend([named("+", &change.added), named("-", &change.removed), named("~", &change.changed)].concat());
    }
    if diff.unread_count > 0 {
        lines.push(format!(
            "{} of the changed packages were not looked into, as there are too many.",
            diff.unread_count
        ));
    }
    lines.join("\n")
}

fn changed(change: &PackageChange) -> String {
    let counts = change.contents.iter().map(|content| {
        let (added, removed) = (content.added.len(), content.removed.len());
        format!("{} +{added} -{removed}", content.what)
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    let counts = if counts.is_empty() { counts } else { format!(" ({counts})") };
    let PackageChange { name, arch, old, new, kind, .. } = change;
    format!("{name}.{arch} {old} -> {new}, {}{counts}", kind.name())
}

fn contents(content: &ContentChange) -> impl Iterator<Item = String> {
    let added = content.added.iter().map(|line| format!("    + {} {line}", content.what));
    added.chain(content.removed.iter().map(|line| format!("    - {} {line}", content.what)))
}

pub async fn find(ask: &Ask, wanted: &str) -> Result<Repository> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::repository_diff::{Kind, MetadataChange};

    #[test]
    fn a_number_alone_is_a_snapshot_of_the_same_repository() {
        assert_eq!(beside("p/BaseOS/x86_64@3", "4".into()), "p/BaseOS/x86_64@4");
        assert_eq!(beside("p/BaseOS/x86_64", "@4".into()), "p/BaseOS/x86_64@4");
        assert_eq!(beside("p/BaseOS/x86_64@3", "q/x@4".into()), "q/x@4");
    }

    #[test]
    fn a_comparison_says_what_came_went_and_changed() {
        let content = ContentChange { what: "files".into(), added: vec!["/a".into()], removed: Vec::new() };
        let change = PackageChange {
            name: "jq".into(),
            arch: "x86_64".into(),
            old: "1-1".into(),
            new: "2-1".into(),
            kind: Kind::Upgrade,
            contents: vec![content],
        };
        let diff = RepositoryDiff {
            old: "p/x@1".into(),
            new: "p/x@2".into(),
            added: vec!["xz-1-1.x86_64".into()],
            removed: Vec::new(),
            changed: vec![change],
            unread_count: 0,
            metadata: vec![MetadataChange {
                what: "updateinfo".into(),
                added: vec!["SEED-2026:0001".into()],
                removed: Vec::new(),
                changed: Vec::new(),
            }],
        };

        let short = "p/x@1 -> p/x@2: 1 added, 0 removed, 1 changed\n+ xz-1-1.x86_64\n~ jq.x86_64 1-1 -> 2-1, upgrade (files +1 -0)";
        let advisory = "+ updateinfo: SEED-2026:0001";
        assert_eq!(compared(&diff, false), format!("{short}\n{advisory}"));
        assert_eq!(compared(&diff, true), format!("{short}\n    + files /a\n{advisory}"));
    }
}
