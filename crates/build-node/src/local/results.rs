//! The folder that results are put into: one folder for each package, and a repository of them all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anima_environment::{blocking, sha256_of};
use anima_repodata::{Compression, PackageXml, PublishedFile, RepodataBuilder, render};
use anima_rpm_file::PackageInfo;
use anima_types::Sha256;
use anima_types::artifact::Kind;
use anima_types::work::noarch_differs;
use anyhow::Context;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::report::REPORT_VERSION;
use crate::collect;
use crate::engine::Artifacts;
use crate::trouble::Trouble;

/// What a package's folder says of how it came about. A folder without it is not ours to empty.
pub const REPORT: &str = "report.json";
/// What an earlier build left in a package's folder and a new one takes away.
const OWN_ENDINGS: [&str; 4] = [".rpm", ".log", ".lock.json", ".rpm.part"];
/// What the report says until there is one.
const BEGUN: &str = "begun";
/// The end of the name of a file that is not whole yet.
const PART_END: &str = ".part";

/// A folder of results.
#[derive(Clone, Debug)]
pub struct Results {
    folder: PathBuf,
    /// Whose folder it is made in: who builds as root for somebody else gives it to him.
    owner: (u32, u32),
}

impl Results {
    /// Opens the folder, and makes it when it is missing.
    pub fn open(folder: &Path) -> anyhow::Result<Results> {
        let owner = owner_of(folder);
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let folder = folder.canonicalize().with_context(|| format!("could not open {}", folder.display()))?;
        let results = Results { folder, owner };
        results.give(&results.folder)?;
        Ok(results)
    }

    /// Returns a package's folder, without what an earlier build left there. From now on it is known as ours, whatever ends this
    /// build: what it leaves behind is the next one's to take away.
    pub fn package(&self, name: &str) -> anyhow::Result<PackageFolder> {
        let folder = self.folder.join(name);
        let step = || format!("could not make {}", folder.display());
        fs::create_dir_all(&folder).with_context(step)?;
        if folder.join(REPORT).exists() {
            for name in fs::read_dir(&folder).with_context(step)?.flatten().map(|entry| entry.file_name()) {
                if OWN_ENDINGS.iter().any(|ending| name.to_string_lossy().ends_with(ending)) {
                    fs::remove_file(folder.join(&name)).with_context(step)?;
                }
            }
        }
        self.give(&folder)?;
        let package = self.package_at(&folder);
        package.report(&format!("{:#}\n", json!({"version": REPORT_VERSION, "name": name, "state": BEGUN})))?;
        Ok(package)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Returns a package's folder as it is.
    pub fn package_at(&self, folder: &Path) -> PackageFolder {
        PackageFolder { results: self.clone(), folder: folder.to_owned(), made: Arc::default() }
    }

    /// Makes the folder a repository of all packages in it, but of those whose build did not come to its end.
    pub fn index(&self) -> anyhow::Result<()> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.folder).context("could not read the results")?.flatten() {
            if is_ended(&entry.path()) {
                paths.extend(rpms(&entry.path()));
            }
        }
        index(&self.folder, &paths)?;
        for path in files_below(&self.folder.join("repodata")) {
            self.give(&path)?;
        }
        self.give(&self.folder.join("repodata"))
    }

    fn give(&self, path: &Path) -> anyhow::Result<()> {
        chown(path, Some(self.owner.0), Some(self.owner.1))
            .with_context(|| format!("could not set owner of {}", path.display()))
    }
}

/// The results of one package.
#[derive(Clone, Debug)]
pub struct PackageFolder {
    results: Results,
    folder: PathBuf,
    /// The packages that this build put there, and which step each is of.
    made: Arc<Mutex<BTreeMap<String, String>>>,
}

impl PackageFolder {
    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes a file for a log.
    pub fn log(&self, step: &str) -> anyhow::Result<(PathBuf, File)> {
        let path = self.folder.join(format!("{step}.log"));
        let file = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        self.results.give(&path)?;
        Ok((path, file))
    }

    /// Writes what came of it.
    pub fn report(&self, json: &str) -> anyhow::Result<()> {
        let path = self.folder.join(REPORT);
        fs::write(&path, json).with_context(|| format!("could not write {}", path.display()))?;
        self.results.give(&path)
    }

    /// Puts the source package there that the build is of, and returns where it is.
    pub fn source(&self, from: &Path, name: &str) -> anyhow::Result<PathBuf> {
        let to = self.folder.join(name);
        replace(from, &to).with_context(|| format!("could not write {}", to.display()))?;
        Ok(to)
    }

    /// Returns where the artifacts of one step go.
    pub fn step<'a>(&'a self, step: &'a str) -> StepFolder<'a> {
        StepFolder { package: self, step }
    }

    /// A package that this build made already has to be the same one, as for the master: noarch packages come from each
    /// architecture, and the first is kept. What was there before the build is of no account.
    fn put(&self, step: &str, from: &Path, name: &str) -> Result<Sha256, Trouble> {
        let to = self.folder.join(name);
        let wrong = |action: &'static str| anima_environment::Error::file(action, &to);
        let hash = |path: &Path| File::open(path).and_then(|mut file| sha256_of(&mut file));
        let sha256 = hash(from).map_err(anima_environment::Error::file("read", from))?;
        if let Some(first) = self.first_to_make(name, step) {
            let kept = hash(&to).map_err(wrong("read"))?;
            let differ = if kept == sha256 { Vec::new() } else { differences(&first, &to, step, from)? };
            return match differ.is_empty() {
                true => Ok(kept),
                false => Err(noarch_differs(name.trim_end_matches(".rpm"), &first, step, &differ).into()),
            };
        }
        replace(from, &to).map_err(wrong("write"))?;
        chown(&to, Some(self.results.owner.0), Some(self.results.owner.1)).map_err(wrong("set owner of"))?;
        Ok(sha256)
    }

    /// Returns the step that made a package before this one; nothing where this is the first.
    fn first_to_make(&self, name: &str, step: &str) -> Option<String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let first = made.get(name).cloned();
        if first.is_none() {
            made.insert(name.to_owned(), step.to_owned());
        }
        first
    }
}

fn differences(first: &str, one: &Path, step: &str, other: &Path) -> Result<Vec<String>, Trouble> {
    let (one, other) = (collect::read(one)?, collect::read(other)?);
    Ok(anima_rpm_file::differences((first, &one), (step, &other)))
}

/// Where the artifacts of one step of a package go.
#[derive(Clone, Copy, Debug)]
pub struct StepFolder<'a> {
    package: &'a PackageFolder,
    step: &'a str,
}

impl Artifacts for StepFolder<'_> {
    fn keep<'a>(&'a self, path: &'a Path, _: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        let (package, step) = (self.package.clone(), self.step.to_owned());
        let (path, name) = (path.to_owned(), name.to_owned());
        Box::pin(blocking(move || package.put(&step, &path, &name)))
    }

    fn keep_text<'a>(&'a self, text: String, kind: Kind, _: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        let path = self.package.folder.join(format!("{}.{}.json", self.step, kind.name()));
        let (package, path) = (self.package.clone(), path);
        Box::pin(blocking(move || {
            let write = || -> io::Result<Sha256> {
                fs::write(&path, text)?;
                chown(&path, Some(package.results.owner.0), Some(package.results.owner.1))?;
                sha256_of(&mut File::open(&path)?)
            };
            Ok(write().map_err(anima_environment::Error::file("write", &path))?)
        }))
    }
}

/// Makes a folder a repository of these packages, which are in it.
pub fn index(repository: &Path, packages: &[PathBuf]) -> anyhow::Result<()> {
    let rendered = packages.iter().map(|path| xml(repository, path)).collect::<anyhow::Result<Vec<PackageXml>>>()?;
    let builder = rendered.iter().fold(RepodataBuilder::new(Compression::Gzip), RepodataBuilder::add);
    let revision = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    builder.finish(revision.try_into().unwrap_or(0))?.write_to(repository)?;
    Ok(())
}

fn xml(repository: &Path, path: &Path) -> anyhow::Result<PackageXml> {
    let unreadable = || format!("could not read {}", path.display());
    let info = PackageInfo::read(path).with_context(unreadable)?;
    let mut file = File::open(path).with_context(unreadable)?;
    let size_bytes = file.metadata().with_context(unreadable)?.len();
    let location = path.strip_prefix(repository).unwrap_or(path).to_string_lossy().into_owned();
    let modified_at_secs = info.build_time_secs.try_into().unwrap_or(0);
    let file = PublishedFile {
        location,
        sha256: sha256_of(&mut file).with_context(unreadable)?,
        size_bytes,
        modified_at_secs,
    };
    Ok(render(&info, &file))
}

/// Puts a file where none is, without copying its bytes where the file system can.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

/// Puts a file in the place of what may be there, which stays as it is under its other names; the file is there whole, or not at
/// all.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let part = PathBuf::from(format!("{}{PART_END}", to.display()));
    remove(&part)?;
    copy(from, &part)?;
    fs::rename(&part, to)?;
    // Two names of the same file are both left.
    remove(&part)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether a folder is of a package whose build came to its end.
fn is_ended(folder: &Path) -> bool {
    let report = fs::read(folder.join(REPORT)).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    report.is_some_and(|report| report["state"] != BEGUN)
}

/// Returns the binary packages in a folder.
pub fn rpms(folder: &Path) -> Vec<PathBuf> {
    let is_binary = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".rpm") && !name.ends_with(".src.rpm") && !name.ends_with(".nosrc.rpm")
    };
    files_below(folder).into_iter().filter(is_binary).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    let mut files = entries.unwrap_or_default();
    files.sort();
    files
}

/// Returns who owns the folder, or else the nearest folder above it that is there.
fn owner_of(folder: &Path) -> (u32, u32) {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let owners = whole.ancestors().filter_map(|path| fs::metadata(path).ok());
    owners.map(|metadata| (metadata.uid(), metadata.gid())).next().unwrap_or((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        files_below(folder).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn only_what_an_earlier_build_left_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("jq");
        fs::create_dir(&own).unwrap();
        for name in ["jq-1-1.x86_64.rpm", "x86_64.log", "x86_64.lock.json", "notes.txt"] {
            fs::write(own.join(name), "x").unwrap();
        }
        let results = Results::open(folder.path()).unwrap();

        results.package("jq").unwrap();
        assert_eq!(names(&own).len(), 5, "nothing said that it is a folder of results");

        results.package("jq").unwrap();
        assert_eq!(names(&own), ["notes.txt", REPORT]);
    }

    #[test]
    fn what_an_interrupted_build_left_is_taken_away_by_the_next_one_and_is_in_no_repository() {
        let folder = tempfile::tempdir().unwrap();
        let (results, made) = (Results::open(folder.path()).unwrap(), folder.path().join("made"));
        let interrupted = results.package("jq").unwrap();
        fs::write(&made, "of the old spec").unwrap();
        interrupted.put("src", &made, "jq-1-1.src.rpm").unwrap();
        fs::write(interrupted.path().join("jq-2-1.src.rpm.part"), "half").unwrap();
        results.index().unwrap();

        let again = results.package("jq").unwrap();
        assert_eq!(names(again.path()), [REPORT]);
        fs::write(&made, "of the new spec").unwrap();
        again.put("src", &made, "jq-1-1.src.rpm").unwrap();

        assert_eq!(fs::read_to_string(again.path().join("jq-1-1.src.rpm")).unwrap(), "of the new spec");
        assert!(!is_ended(again.path()));
        again.report("{}").unwrap();
        assert!(is_ended(again.path()));
    }

    #[test]
    fn what_was_there_before_is_replaced_and_keeps_its_content_under_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "new").unwrap();
        fs::create_dir(folder.path().join("jq")).unwrap();
        let package = Results::open(folder.path()).unwrap().package("jq").unwrap();
        fs::hard_link(&old, package.path().join("jq-1-1.src.rpm")).unwrap();

        // Twice, as the second time both are names of one file.
        let path = [(); 2].map(|()| package.source(&new, "jq-1-1.src.rpm").unwrap())[0].clone();

        assert_eq!(
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(&old).unwrap()),
            ("new".into(), "old".into())
        );
        assert_eq!(names(package.path()), ["jq-1-1.src.rpm", REPORT]);
    }

    #[test]
    fn what_differs_in_a_noarch_package_is_told_with_both_architectures() {
        let folder = tempfile::tempdir().unwrap();
        let package = Results::open(folder.path()).unwrap().package("jq").unwrap();
        let made = [1, 2].map(|number| anima_testkit::corpus::package(folder.path(), number).unwrap());
        package.put("x86_64", &made[0], "jq-doc-1-1.noarch.rpm").unwrap();

        let Err(Trouble::Failed(failure)) = package.put("i686", &made[1], "jq-doc-1-1.noarch.rpm") else {
            panic!("it was taken")
        };

        let beginning =
            "jq-doc-1-1.noarch is for all architectures, but built on i686 it is not what it is on x86_64: ";
        assert!(failure.code == "noarch_differs" && failure.message.starts_with(beginning), "{failure:?}");
        assert!(failure.findings.len() > 1 && failure.findings[0].message.contains("name: "), "{failure:?}");
    }

    #[test]
    fn a_noarch_package_that_comes_twice_has_to_be_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let package = Results::open(folder.path()).unwrap().package("jq").unwrap();
        let made = folder.path().join("made");

        for (content, is_taken) in [("one", true), ("one", true), ("other", false)] {
            fs::write(&made, content).unwrap();
            assert_eq!(package.put("x86_64", &made, "jq-doc.noarch.rpm").is_ok(), is_taken);
            fs::remove_file(&made).unwrap();
        }
    }
}
