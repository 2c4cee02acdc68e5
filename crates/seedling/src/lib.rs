//! Development only: makes Seed Linux, a small, real RPM distribution, out of the Debian packages that the host can
//! install, so that everything can be tried on a machine that has no mirror of an RPM distribution.
//!
//! It needs root (packages have owners), apt, dpkg, rpmbuild and createrepo_c, and touches nothing outside its folder.
//! It is no way to make a distribution for machines that live: maintainer scripts are dropped.

mod apt;
mod arch;
mod cache;
mod closure;
mod command;
mod convert;
mod deb;
mod error;
mod licence;
pub mod machine;
mod names;
mod own;
mod packages;
mod path;
mod progress;
mod relations;
mod repository;
mod spec;
mod tree;
mod version;

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
};

use rayon::prelude::*;

use apt::{AptRoot, ArchiveFile, Lists};
use cache::{Lock, Marker};
use convert::Converter;
use deb::Deb;
use error::on;

pub use arch::Arch;
pub use error::{Error, Result};
pub use progress::{Progress, Report, Step};

/// Who made the packages, as their `Vendor` tag says.
pub const VENDOR: &str = "Seed Linux";

/// The folder of the distribution's first version, under which each architecture has its repository.
pub const SEED_FOLDER: &str = "seed-1";

/// What to make, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that gets the repository and keeps the downloads.
    pub out: PathBuf,
    /// For which architecture.
    pub arch: Arch,
    /// How many packages are converted at once.
    pub jobs: NonZeroUsize,
    /// Debian packages that it has besides, with all that they need.
    pub more: Vec<String>,
}

/// A finished seed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Seed {
    /// The folder with the packages and `repodata`.
    pub path: PathBuf,
    /// How many packages it has.
    pub package_count: usize,
    /// Whether an earlier run had made it already.
    pub was_there: bool,
    /// Why the package lists are those of an earlier run, if they are.
    pub lists_are_old: Option<String>,
}

/// Makes the seed, or finds it made. Safe to run twice, also at once, and to kill at any instant.
pub fn make(options: &Options, report: Report) -> Result<Seed> {
    let folders = Folders::make(options)?;
    let _lock = Lock::take(folders.cache.join("lock"))?;
    let mut wanted: Vec<&str> = packages::wanted().collect();
    wanted.extend(options.more.iter().map(String::as_str));

    report(Progress::of(Step::Resolve, 0.0, "refreshing the package lists"));
    let apt = AptRoot::make(options.arch, &folders.cache.join("apt"))?;
    let lists = apt.refresh()?;
    let files = apt.closure(&wanted)?;
    let rpmbuild_version = command::run(Command::new("rpmbuild").arg("--version"))?;
    let key = seed_key(&cache::seed_key(&rpmbuild_version), &files);
    let lists_are_old = match lists {
        Lists::Fresh => None,
        Lists::Cached(reason) => Some(reason),
    };
    if let Some(marker) = Marker::read(&folders.seed).filter(|marker| marker.key == key) {
        let package_count = marker.package_count;
        return Ok(Seed { path: folders.seed, package_count, was_there: true, lists_are_old });
    }

    let debs = download(&apt, &wanted, &files, &folders.debs, report)?;
    let package_count = in_pool(options.jobs, || build(options.arch, &debs, &rpmbuild_version, &folders, report))?;
    Marker::new(key, package_count).write(&folders.staged)?;
    cache::replace(&folders.staged, &folders.seed)?;
    Ok(Seed { path: folders.seed, package_count, was_there: false, lists_are_old })
}

/// Where everything of one architecture lies.
struct Folders {
    /// The finished repository.
    seed: PathBuf,
    /// The repository before it is finished; beside it, for the rename.
    staged: PathBuf,
    cache: PathBuf,
    debs: PathBuf,
    rpms: PathBuf,
    work: PathBuf,
}

impl Folders {
    fn make(options: &Options) -> Result<Folders> {
        fs::create_dir_all(&options.out).map_err(on("create", &options.out))?;
        // Absolute, since rpmbuild and apt get these paths and work elsewhere.
        let out = options.out.canonicalize().map_err(on("find", &options.out))?;
        let (seeds, arch) = (out.join(SEED_FOLDER), options.arch.rpm());
        let cache = out.join("cache").join(arch);
        let folders = Folders {
            seed: seeds.join(arch),
            staged: seeds.join(format!(".{arch}.new")),
            debs: cache.join("debs"),
            rpms: cache.join("rpms"),
            work: cache.join("work"),
            cache,
        };
        for folder in [&seeds, &folders.debs, &folders.rpms] {
            fs::create_dir_all(folder).map_err(on("create", folder))?;
        }
        Ok(folders)
    }
}

fn seed_key(common: &str, files: &[ArchiveFile]) -> cache::Key {
    let closure = files.iter().map(|file| format!("{} {} {}", file.name, file.size_bytes, file.hash));
    let closure: Vec<String> = closure.collect();
    cache::key(std::iter::once(common).chain(closure.iter().map(String::as_str)))
}

fn download(apt: &AptRoot, wanted: &[&str], files: &[ArchiveFile], into: &Path, report: Report) -> Result<Vec<Deb>> {
    let size_mb = files.iter().map(|file| file.size_bytes).sum::<u64>() / 1_000_000;
    let message = format!("downloading {} Debian packages, {size_mb} MB", files.len());
    let tell = |percent: f64| report(Progress::of(Step::Download, percent / 100.0, message.as_str()));
    tell(0.0);
    apt.download(wanted, into, &mut { tell })?;
    cache::keep_only(into, &files.iter().map(|file| file.name.clone()).collect())?;
    files.par_iter().map(|file| Deb::open(&into.join(&file.name))).collect()
}

fn in_pool<T: Send>(jobs: NonZeroUsize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.get()).build();
    let failed = |error: rayon::ThreadPoolBuildError| Error::Start {
        program: "worker threads".to_owned(),
        source: std::io::Error::other(error),
    };
    pool.map_err(failed)?.install(work)
}

/// Makes the repository in the staging folder and returns how many packages it has.
fn build(arch: Arch, debs: &[Deb], rpmbuild_version: &str, folders: &Folders, report: Report) -> Result<usize> {
    cache::empty(&folders.work)?;
    cache::empty(&folders.staged)?;
    report(Progress::of(Step::Convert, 0.0, "converting"));
    let key = cache::conversion_key(rpmbuild_version);
    let converted = Converter::new(arch, debs, key, &folders.rpms, &folders.work)?.convert_all(report)?;

    report(Progress::of(Step::Own, 0.0, "building the packages of our own"));
    own::SPECS.par_iter().try_for_each(|spec| own::build(arch, *spec, &folders.work.join(spec.0), &folders.staged))?;

    report(Progress::of(Step::Index, 0.0, "writing the repository's metadata"));
    repository::make(&converted.packages, &folders.staged)?;

    report(Progress::of(Step::Check, 0.0, "checking that every requirement is met"));
    let package_count = closure::check(&folders.staged)?;
    cache::keep_only(&folders.rpms, &converted.keys)?;
    cache::remove(&folders.work)?;
    Ok(package_count)
}

/// Returns the folder in which the seed of an architecture lies, or will lie, under the output folder.
pub fn seed_folder(out: &Path, arch: Arch) -> PathBuf {
    out.join(SEED_FOLDER).join(arch.rpm())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_key_changes_with_any_file_of_the_closure() {
        let file = |hash: &str| ArchiveFile { name: "a.deb".into(), size_bytes: 1, hash: hash.into() };

        assert_ne!(seed_key("x", &[file("1")]), seed_key("x", &[file("2")]));
        assert_ne!(seed_key("x", &[file("1")]), seed_key("y", &[file("1")]));
        assert_eq!(seed_key("x", &[file("1")]), seed_key("x", &[file("1")]));
    }

    #[test]
    fn the_seed_lies_under_its_version_and_architecture() {
        assert_eq!(seed_folder(Path::new("/s"), Arch::Aarch64), Path::new("/s/seed-1/aarch64"));
    }
}
