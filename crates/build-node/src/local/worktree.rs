//! A packager's folder as sources: what would be committed of it, and large files from wherever the packager has them.
//!
//! The folder is made a commit of the task's own repository, so that everything after it is the same as for a commit of
//! the Git Service. The packager's repository is only read: objects are borrowed, nothing is written, and nothing that its
//! configuration could name is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anima_environment::{Downloads, FileHash, blocking, hash_file};
use anima_types::dist_git::{self, LookasideFile};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::git::Git;
use crate::sources::{Brought, Sources, bad_large_file, fetch_large};
use crate::trouble::{Trouble, failed};

/// What is in folders of packages and belongs to no package.
const NEVER_SOURCES: [&str; 3] = ["*.rpm", "*.log", "/anima-results/"];
/// How the commit of what is not committed is called.
const UNCOMMITTED: &str = "Uncommitted changes";

/// Where large sources are looked for, beside the package's own folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A folder with files under their names, or with a folder for each package.
    Folder(PathBuf),
    /// A lookaside, or any address that files are below by their names.
    Url(String),
}

/// A folder as sources.
#[derive(Clone, Debug)]
pub struct WorkTree {
    /// The folder.
    pub folder: PathBuf,
    /// Where large sources are looked for.
    pub places: Vec<Place>,
}

impl WorkTree {
    /// Returns the name of the package: that of its one spec, or else the folder's.
    pub fn package(&self) -> Result<String, String> {
        let specs: Vec<String> = ["", "SPECS"].iter().flat_map(|below| specs(&self.folder.join(below))).collect();
        let folder = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match &specs[..] {
            [] => Err(format!("there is no spec in {}", self.folder.display())),
            [one] => Ok(one.clone()),
            many if many.contains(&folder) => Ok(folder),
            many => Err(format!(
                "{} has more than one spec, none of them its own: {}",
                self.folder.display(),
                many.join(", ")
            )),
        }
    }

    async fn bring(&self, git: &Git<'_>) -> Result<Brought, Trouble> {
        let head = match self.folder.join(".git").exists() {
            true => self.borrow_history(git).await?,
            false => None,
        };
        let unwanted: String = self.listed().into_iter().map(|name| format!("/{name}\n/SOURCES/{name}\n")).collect();
        let exclude = git.folder().join("info/exclude");
        write(&exclude, &(NEVER_SOURCES.join("\n") + "\n" + &unwanted))?;
        if let Some(head) = &head {
            git.run(&["read-tree", &head.commit]).await?.succeeded("read-tree")?;
        }
        git.run_in(&self.folder, &["add", "--all", "."]).await?.succeeded("add")?;
        let tree = git.run(&["write-tree"]).await?.succeeded("write-tree")?;
        let tree = String::from_utf8_lossy(&tree).trim().to_owned();
        match head {
            Some(head) if head.tree == tree => Ok(Brought { note: format!("commit {}", head.commit), id: head.commit }),
            Some(head) => {
                let note = format!("commit {} with uncommitted changes", head.commit);
                let id = git.commit_tree(&tree, Some(&head.commit), UNCOMMITTED, head.time_secs).await?;
                Ok(Brought { note, id })
            }
            None => {
                let id = git.commit_tree(&tree, None, UNCOMMITTED, newest_secs(&self.folder)).await?;
                Ok(Brought { note: "files of a folder without a git repository of its own".to_owned(), id })
            }
        }
    }

    /// Lets the task's repository read the packager's objects; returns what is checked out, where anything is.
    async fn borrow_history(&self, git: &Git<'_>) -> Result<Option<Head>, Trouble> {
        let own = self.folder.join(".git");
        let asked = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
        let common = git.run_at(&own, &asked).await?.succeeded("rev-parse")?;
        let common = PathBuf::from(String::from_utf8_lossy(&common).trim());
        let found = git.run_at(&own, &["rev-parse", "--verify", "--quiet", "HEAD"]).await?;
        if !found.is_success {
            // A repository without a commit.
            return Ok(None);
        }
        let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        write(&git.folder().join("objects/info/alternates"), &format!("{}\n", common.join("objects").display()))?;
        let shallow = common.join("shallow");
        if shallow.exists() {
            let text = fs::read_to_string(&shallow).map_err(anima_environment::Error::file("read", &shallow))?;
            write(&git.folder().join("shallow"), &text)?;
        }
        let shown = git.run(&["show", "--no-patch", "--format=%T %ct", &commit]).await?.succeeded("show")?;
        let shown = String::from_utf8_lossy(&shown).trim().to_owned();
        let (tree, time) = shown.split_once(' ').unwrap_or((&shown, "0"));
        Ok(Some(Head { commit, tree: tree.to_owned(), time_secs: time.parse().unwrap_or(0) }))
    }

    /// Returns the names of large sources: they may lie beside the spec, and are no part of the commit.
    fn listed(&self) -> Vec<String> {
        let Ok(package) = self.package() else { return Vec::new() };
        let names: Vec<String> = files_below(&self.folder);
        let Ok(layout) = dist_git::layout(&package, names.iter().map(String::as_str)) else { return Vec::new() };
        let Some(list) = layout.list else { return Vec::new() };
        // A list that is wrong is told when it is read for real.
        let text = fs::read_to_string(self.folder.join(&list.path)).unwrap_or_default();
        dist_git::parse_list(list.form, &text).unwrap_or_default().into_iter().map(|file| file.name).collect()
    }

    async fn find(
        &self,
        package: &str,
        file: &LookasideFile,
        downloads: &Downloads,
        cancel: &CancellationToken,
    ) -> Result<PathBuf, Trouble> {
        let mut folders = vec![self.folder.clone(), self.folder.join("SOURCES")];
        let mut urls = Vec::new();
        for place in &self.places {
            match place {
                Place::Folder(folder) => folders.extend([folder.clone(), folder.join(package)]),
                Place::Url(url) => {
                    urls.extend([file.url(url, package), format!("{}/{}", url.trim_end_matches('/'), file.name)]);
                }
            }
        }
        let (wanted, name) = (FileHash::from(file), file.name.clone());
        let wrong = match blocking(move || look_into(&folders, &name, &wanted)).await? {
            Looked::Found(path) => return Ok(path),
            Looked::Wrong(error) => Some(error),
            Looked::Nothing => None,
        };
        let last = match fetch_large(urls, file, downloads, cancel).await {
            Ok(Some(path)) => return Ok(path),
            Ok(None) => wrong,
            Err(error) => Some(error),
        };
        Err(match last {
            Some(error) => bad_large_file(file, error),
            None => failed(
                "bad_source",
                format!("{} is in none of the places for sources", file.name),
                Some("Put it beside the spec, or say --sources FOLDER|URL."),
            ),
        })
    }
}

impl Sources for WorkTree {
    fn in_words(&self) -> String {
        format!("folder {}", self.folder.display())
    }

    fn commit<'a>(&'a self, git: &'a Git<'_>) -> BoxFuture<'a, Result<Brought, Trouble>> {
        Box::pin(self.bring(git))
    }

    /// All of it is there.
    fn history<'a>(&'a self, _: &'a Git<'_>, _: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn large<'a>(
        &'a self,
        package: &'a str,
        file: &'a LookasideFile,
        downloads: &'a Downloads,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<PathBuf, Trouble>> {
        Box::pin(self.find(package, file, downloads, cancel))
    }
}

/// What is checked out.
struct Head {
    commit: String,
    tree: String,
    time_secs: i64,
}

/// What folders have under a name.
enum Looked {
    Found(PathBuf),
    /// Only files with other content.
    Wrong(anima_environment::Error),
    Nothing,
}

fn look_into(folders: &[PathBuf], name: &str, wanted: &FileHash) -> Result<Looked, anima_environment::Error> {
    let mut looked = Looked::Nothing;
    for path in folders.iter().map(|folder| folder.join(name)) {
        let Ok(mut file) = fs::File::open(&path) else { continue };
        let actual = hash_file(&mut file, wanted.algorithm).map_err(anima_environment::Error::file("read", &path))?;
        if actual == *wanted {
            return Ok(Looked::Found(path));
        }
        looked = Looked::Wrong(anima_environment::Error::Hash {
            url: path.display().to_string(),
            algorithm: wanted.algorithm.name(),
            actual: actual.hex,
            expected: wanted.hex.clone(),
        });
    }
    Ok(looked)
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).map_err(anima_environment::Error::file("make", folder))?;
    Ok(fs::write(path, text).map_err(anima_environment::Error::file("write", path))?)
}

/// Returns the names of specs in a folder, without their ending.
fn specs(folder: &Path) -> Vec<String> {
    let names = files_of(folder);
    names.iter().filter_map(|name| name.strip_suffix(".spec")).map(str::to_owned).collect()
}

/// Returns the files of the folder and of `SPECS` and `SOURCES` in it: all that the layout asks for.
fn files_below(folder: &Path) -> Vec<String> {
    let mut names = files_of(folder);
    for below in ["SPECS", "SOURCES"] {
        names.extend(files_of(&folder.join(below)).into_iter().map(|name| format!("{below}/{name}")));
    }
    names
}

fn files_of(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Returns when a file of the folder was changed last: the date of what was never committed.
fn newest_secs(folder: &Path) -> i64 {
    let times =
        files_below(folder).into_iter().filter_map(|name| fs::metadata(folder.join(name)).ok()?.modified().ok());
    let newest = times.max().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    newest.as_ref().map_or(0, Duration::as_secs).try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> (tempfile::TempDir, WorkTree) {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("jq");
        for file in files {
            let path = own.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        (folder, WorkTree { folder: own, places: Vec::new() })
    }

    #[test]
    fn a_folder_is_the_package_of_its_spec() {
        let named = |files: &[&str]| tree(files).1.package();

        // The folder is kept by the first part of the pair until here.
        let (_kept, one) = tree(&["SPECS/oniguruma.spec"]);
        assert_eq!(one.package(), Ok("oniguruma".to_owned()));
        let (_kept, two) = tree(&["jq.spec", "other.spec"]);
        assert_eq!(two.package(), Ok("jq".to_owned()));
        let (_kept, strange) = tree(&["a.spec", "b.spec"]);
        assert!(strange.package().unwrap_err().contains("more than one spec"));
        assert!(named(&["README"]).unwrap_err().contains("no spec"));
    }

    #[test]
    fn a_file_with_other_content_is_passed_over_and_told() {
        let (_kept, tree) = tree(&["a.tar", "SOURCES/a.tar"]);
        let hash_of = |text: &str| {
            let path = tree.folder.join("hashed");
            fs::write(&path, text).unwrap();
            hash_file(&mut fs::File::open(&path).unwrap(), dist_git::Algorithm::Sha256).unwrap()
        };
        fs::write(tree.folder.join("SOURCES/a.tar"), "right").unwrap();
        let folders = [tree.folder.clone(), tree.folder.join("SOURCES")];
        let look = |wanted: &FileHash| look_into(&folders, "a.tar", wanted).unwrap();

        assert!(matches!(look(&hash_of("right")), Looked::Found(path) if path.ends_with("SOURCES/a.tar")));
        assert!(matches!(look(&hash_of("other")), Looked::Wrong(_)));
    }
}
