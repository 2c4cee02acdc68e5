//! Packages that are for all architectures, built on several: they have to be the same, and one of them is taken.

use anima_db::{Write, package::Package, task::Task};
use anima_rpm_file::{PackageHead, PackageInfo, differences};
use anima_types::{
    Arch, Sha256,
    diagnosis::{Finding, MAX_FINDINGS},
    task::{Kind, Status},
    work::{Failure, Outcome},
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// The code and the class of packages that are for all architectures and differ between them.
const DIFFERS: &str = "noarch_differs";
const CURE: &str = "Let the spec make the same on every architecture (sort what it lists, leave out what it was built on), or take \
                    BuildArch: noarch out of that package.";
/// Most packages have all that they say of themselves in so many bytes.
const HEAD_BYTES: u64 = 256 * 1024;

/// Returns why a build cannot stand beside those of the same package for other architectures, if it cannot.
///
/// It is called in the transaction that ends the task, so that of two that end at once the second sees the first.
pub async fn conflict(app: &App, write: &mut Write, task: &Task, outcome: &Outcome) -> ApiResult<Option<Failure>> {
    let (Outcome::Build(made), Some(build), Some(arch)) = (outcome, task.about.build, task.about.arch) else {
        return Ok(None);
    };
    let own: Vec<_> = made.packages.iter().filter(|package| package.nevra.arch == "noarch").collect();
    if own.is_empty() {
        return Ok(None);
    }
    let is_sibling = |other: &&Task| {
        other.about.kind == Kind::Build
            && other.status == Status::Succeeded
            && other.id != task.id
            && (&other.about.package, &other.about.platform) == (&task.about.package, &task.about.platform)
    };
    let tasks = anima_db::task::of_build(write, build).await?;
    for sibling in tasks.iter().filter(is_sibling) {
        let (Some(Outcome::Build(theirs)), Some(other_arch)) = (&sibling.result, sibling.about.arch) else { continue };
        for package in &own {
            let same = theirs.packages.iter().find(|other| other.nevra == package.nevra);
            let Some(same) = same.filter(|other| other.artifact != package.artifact) else { continue };
            let differ = compare(app, (other_arch, same.artifact), (arch, package.artifact)).await?;
            if !differ.is_empty() {
                return Ok(Some(failure(&package.nevra.to_string(), other_arch, arch, &differ)));
            }
        }
    }
    Ok(None)
}

async fn compare(app: &App, one: (Arch, Sha256), other: (Arch, Sha256)) -> ApiResult<Vec<String>> {
    let infos = (info(app, one.1).await?, info(app, other.1).await?);
    Ok(differences((one.0.name(), &infos.0), (other.0.name(), &infos.1)))
}

/// Reads what a package says of itself, without the rest of it: others wait for this transaction.
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

fn failure(package: &str, other: Arch, own: Arch, differ: &[String]) -> Failure {
    let beginning = format!("{package} is for all architectures, but built on {own} it is not what it is on {other}");
    // One for each difference: each has a cause of its own, mostly.
    let finding = |what: &String| Finding {
        class: DIFFERS.to_string(),
        title: "Not the same on every architecture".to_string(),
        message: format!("{beginning}: {what}"),
        cure: Some(CURE.to_string()),
        ..Finding::default()
    };
    Failure {
        findings: differ.iter().take(MAX_FINDINGS).map(finding).collect(),
        ..Failure::new(DIFFERS, format!("{beginning}: {}", differ.join("; "))).with_hint(Some(CURE))
    }
}

/// Leaves one of each package that is for all architectures: that of the first architecture, which users get, too.
pub fn taken_once(mut packages: Vec<(Task, Package)>) -> Vec<(Task, Package)> {
    let is_first = |packages: &[(Task, Package)], (task, package): &(Task, Package)| {
        let rank = |task: &Task, package: &Package| (task.about.arch, package.sha256);
        package.nevra.arch != "noarch"
            || !packages
                .iter()
                .any(|(other, same)| same.nevra == package.nevra && rank(other, same) < rank(task, package))
    };
    let all = packages.clone();
    packages.retain(|each| is_first(&all, each));
    packages
}
