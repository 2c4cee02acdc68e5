//! Packages that are for all architectures, built on several: they have to be the same, and one of them is taken.

use std::collections::{BTreeMap, btree_map::Entry};

use anima_db::{Connection, Write, package::Built, task::Task};
use anima_rpm_file::{PackageHead, PackageInfo, differences};
use anima_types::{
    Arch, Nevra, Sha256,
    task::{Kind, Status},
    work::{Failure, Outcome, noarch_differs},
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// Most packages have all that they say of themselves in so many bytes.
const HEAD_BYTES: u64 = 256 * 1024;

/// A package that was built on two architectures, and is not the same file.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
struct Pair {
    nevra: Nevra,
    /// What was built before.
    other: (Arch, Sha256),
    own: (Arch, Sha256),
}

/// What is different in packages that are for all architectures and were built on several.
///
/// Packages are read before there is a transaction; in the one that ends the task only what was found is looked up, so that of
/// two builds that end at once the second sees the first, and nobody waits for the store.
#[derive(Debug, Default)]
pub struct Differences(BTreeMap<Pair, Vec<String>>);

/// Whether a build can stand beside those of the same package for other architectures.
#[derive(Debug)]
pub enum Verdict {
    /// It can.
    Same,
    /// It cannot.
    Differs(Failure),
    /// Another one ended since packages were read: they have to be read again.
    Unread,
}

impl Differences {
    /// Reads and compares what was not yet.
    pub async fn read(&mut self, app: &App, task: &Task, outcome: &Outcome) -> ApiResult<()> {
        let mut read = app.db.read().await?;
        let pairs = pairs(&mut read, task, outcome).await?;
        drop(read);
        for pair in pairs {
            if let Entry::Vacant(unread) = self.0.entry(pair) {
                let found = compare(app, unread.key().other, unread.key().own).await?;
                unread.insert(found);
            }
        }
        Ok(())
    }

    /// Decides, in the transaction that ends the task.
    pub async fn decide(&self, write: &mut Write, task: &Task, outcome: &Outcome) -> ApiResult<Verdict> {
        for pair in pairs(write, task, outcome).await? {
            match self.0.get(&pair) {
                None => return Ok(Verdict::Unread),
                Some(differ) if differ.is_empty() => {}
                Some(differ) => {
                    let package = pair.nevra.to_string();
                    let (other, own) = (pair.other.0.name(), pair.own.0.name());
                    return Ok(Verdict::Differs(noarch_differs(&package, other, own, differ)));
                }
            }
        }
        Ok(Verdict::Same)
    }
}

/// Returns what has to be compared as things are now.
async fn pairs(connection: &mut Connection, task: &Task, outcome: &Outcome) -> ApiResult<Vec<Pair>> {
    let about = &task.about;
    let (Outcome::Build(made), Some(build), Some(arch)) = (outcome, about.build, about.arch) else {
        return Ok(Vec::new());
    };
    let (Some(name), Some(platform)) = (&about.package, &about.platform) else { return Ok(Vec::new()) };
    let own: Vec<_> = made.packages.iter().filter(|package| package.nevra.arch == "noarch").collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let mut pairs = Vec::new();
    for sibling in anima_db::task::of_package(connection, build, Kind::Build, name, platform).await? {
        if sibling.status != Status::Succeeded || sibling.id == task.id {
            continue;
        }
        let (Some(Outcome::Build(theirs)), Some(other_arch)) = (&sibling.result, sibling.about.arch) else { continue };
        for package in &own {
            let same = theirs.packages.iter().find(|other| other.nevra == package.nevra);
            if let Some(same) = same.filter(|other| other.artifact != package.artifact) {
                let (other, own) = ((other_arch, same.artifact), (arch, package.artifact));
                pairs.push(Pair { nevra: package.nevra.clone(), other, own });
            }
        }
    }
    Ok(pairs)
}

async fn compare(app: &App, one: (Arch, Sha256), other: (Arch, Sha256)) -> ApiResult<Vec<String>> {
    let infos = (info(app, one.1).await?, info(app, other.1).await?);
    Ok(differences((one.0.name(), &infos.0), (other.0.name(), &infos.1)))
}

/// Reads what a package says of itself, without the rest of it.
async fn info(app: &App, sha256: Sha256) -> ApiResult<PackageInfo> {
    let mut length = HEAD_BYTES;
    loop {
        let artifact = app.store.get(sha256).await?;
        let is_whole = artifact.size_bytes() <= length;
        let pieces: Vec<Bytes> = artifact.range(0..length).try_collect().await?;
        match PackageHead::read(&mut pieces.concat().as_slice()) {
            Err(anima_rpm_file::Error::CutOff { .. }) if !is_whole => length *= 4,
            head => return head.map(|head| head.info).map_err(ApiError::internal),
        }
    }
}

/// Leaves one of each package that is for all architectures: that of the first architecture, which users get, too.
pub fn taken_once(packages: Vec<Built>) -> Vec<Built> {
    let mut first: BTreeMap<Nevra, (Option<Arch>, Sha256)> = BTreeMap::new();
    for Built { arch, package } in packages.iter().filter(|built| built.package.nevra.arch == "noarch") {
        let rank = (*arch, package.artifact);
        let known = first.entry(package.nevra.clone()).or_insert(rank);
        *known = rank.min(*known);
    }
    let is_first = |built: &Built| {
        let first = first.get(&built.package.nevra);
        first.is_none_or(|first| *first == (built.arch, built.package.artifact))
    };
    packages.into_iter().filter(is_first).collect()
}
