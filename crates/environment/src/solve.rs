//! From wishes to a locked list. The same wishes on the same repositories are solved once per machine: loading a
//! distribution's metadata takes longer than all else that a warm buildroot needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anima_solver::{Lock, Modules, Pool, Problem, RepodataFiles, Request};
use anima_types::Arch;
use anima_types::work::Input;
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::download::PARALLEL;
use crate::metadata::{Index, MetadataFiles, read_indexes};
use crate::run::blocking;
use crate::{Downloads, Error, Result};

/// Raised when the same wishes may be answered otherwise.
const RECIPE: &str = "anima-solution 2";
/// A repository that is replaced again and again while it is read is read so often.
const MAX_READINGS: usize = 3;

/// What a root is to contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes<'a> {
    pub arch: Arch,
    pub inputs: &'a [Input],
    pub base: &'a [String],
    pub extra: &'a [String],
    pub exclude: &'a [String],
    pub modules: &'a [String],
}

/// What it will contain.
#[derive(Clone, Debug)]
pub(crate) struct Solved {
    /// The base list alone.
    pub base: Lock,
    /// Base list and extra in one transaction.
    pub whole: Lock,
}

/// Solves, and remembers.
#[derive(Debug)]
pub(crate) struct Solutions {
    /// Locks, each named by what was asked.
    locks: PathBuf,
    /// libsolv's form of repositories, each named by its metadata.
    pools: PathBuf,
}

impl Solutions {
    pub fn open(dir: &Path) -> Result<Solutions> {
        let solutions = Solutions { locks: dir.join("locks"), pools: dir.join("pools") };
        for folder in [&solutions.locks, &solutions.pools] {
            std::fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        }
        Ok(solutions)
    }

    /// Answers with what the repositories have now.
    pub async fn solve(&self, wishes: Wishes<'_>, downloads: &Downloads, cancel: &CancellationToken) -> Result<Solved> {
        let mut reading = 1;
        loop {
            let indexes = read_indexes(downloads, wishes.inputs, cancel).await?;
            match self.answer(wishes, &indexes, downloads, cancel).await {
                // The repository was replaced after its index was read; the new index names other files.
                Err(Error::Status { status: 404, .. }) if reading < MAX_READINGS => reading += 1,
                answer => return answer,
            }
        }
    }

    /// Returns the folder of libsolv's form of repositories.
    pub fn pools(&self) -> PathBuf {
        self.pools.clone()
    }

    /// Removes what was not used for long; returns how many files went.
    pub fn sweep(&self, unused_since: SystemTime) -> Result<u64> {
        let mut removed = 0;
        for folder in [&self.locks, &self.pools] {
            for entry in std::fs::read_dir(folder).map_err(Error::file("read", folder))? {
                let path = entry.map_err(Error::file("read", folder))?.path();
                let used_at = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
                if used_at.is_ok_and(|used_at| used_at < unused_since) && std::fs::remove_file(&path).is_ok() {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    async fn answer(
        &self,
        wishes: Wishes<'_>,
        indexes: &[Index],
        downloads: &Downloads,
        cancel: &CancellationToken,
    ) -> Result<Solved> {
        let whole_list: Vec<String> = wishes.base.iter().chain(wishes.extra).cloned().collect();
        let question = |list: &[String]| Question {
            key: self.locks.join(key(&wishes, indexes, list)),
            list: list.to_vec(),
            exclude: wishes.exclude.to_vec(),
        };
        let (base, whole) = (question(wishes.base), question(&whole_list));
        if let (Some(base), Some(whole)) = (base.remembered(), whole.remembered()) {
            return Ok(Solved { base, whole });
        }
        let modules = enabled_modules(indexes, wishes.modules, downloads, cancel).await?;
        let questions = Questions { arch: wishes.arch, pools: self.pools.clone(), base, whole, modules };
        match questions.clone().ask(indexes, downloads, false, cancel).await {
            Err(Error::Solver(anima_solver::Error::Unsolvable(problem))) if misses_a_path(&problem) => {
                questions.ask(indexes, downloads, true, cancel).await
            }
            answer => answer,
        }
    }
}

/// What is asked of one pool.
#[derive(Clone, Debug)]
struct Questions {
    arch: Arch,
    pools: PathBuf,
    base: Question,
    whole: Question,
    modules: Modules,
}

/// A list to solve, and where its answer is kept.
#[derive(Clone, Debug)]
struct Question {
    key: PathBuf,
    list: Vec<String>,
    exclude: Vec<String>,
}

impl Questions {
    async fn ask(
        self,
        indexes: &[Index],
        downloads: &Downloads,
        with_filelists: bool,
        cancel: &CancellationToken,
    ) -> Result<Solved> {
        let fetching: Vec<_> = indexes.iter().map(|index| index.fetch(downloads, with_filelists, cancel)).collect();
        let files: Vec<MetadataFiles> = futures_util::stream::iter(fetching).buffered(PARALLEL).try_collect().await?;
        let indexes = indexes.to_vec();
        blocking(move || self.ask_pool(&indexes, &files)).await
    }

    fn ask_pool(&self, indexes: &[Index], files: &[MetadataFiles]) -> Result<Solved> {
        let mut pool = load(self.arch, &self.pools, indexes, files)?;
        // The whole first: its explanation of a problem has everything in it.
        let whole = self.whole.ask(&mut pool, &self.modules)?;
        let is_same = self.base.list == self.whole.list;
        let base = if is_same { whole.clone() } else { self.base.ask(&mut pool, &self.modules)? };
        Ok(Solved { base, whole })
    }
}

/// Loads repositories; libsolv's form of each is kept in `pools`.
pub(crate) fn load(arch: Arch, pools: &Path, indexes: &[Index], files: &[MetadataFiles]) -> Result<Pool> {
    let mut pool = Pool::new(arch.name())?;
    for (index, files) in indexes.iter().zip(files) {
        let cache = pools.join(format!("{arch}-{}.solv", files.key));
        let files =
            RepodataFiles { primary: &files.primary, filelists: files.filelists.as_deref(), cache: Some(&cache) };
        pool.add_repository(&index.name, index.priority, &files)?;
        touch(&cache);
    }
    Ok(pool)
}

impl Question {
    /// Returns the answer of an earlier time.
    fn remembered(&self) -> Option<Lock> {
        let lock = Lock::from_json(&std::fs::read_to_string(&self.key).ok()?).ok()?;
        touch(&self.key);
        Some(lock)
    }

    fn ask(&self, pool: &mut Pool, modules: &Modules) -> Result<Lock> {
        let arch = pool.arch().to_owned();
        let (exclude, modules) = (self.exclude.clone(), modules.clone());
        let request = Request { exclude, modules, ..Request::install(&self.list) };
        let lock = pool.solve(&request)?.lock(&arch);
        // Without it the next task solves again, and no more: a full disk is told by what cannot do without it.
        if let Err(error) = write_whole(&self.key, lock.to_json().as_bytes()) {
            tracing::warn!(%error, "a solution is not remembered");
        }
        Ok(lock)
    }
}

/// Reads what the repositories have of modules, and tells the solver what of it is enabled.
async fn enabled_modules(
    indexes: &[Index],
    enabled: &[String],
    downloads: &Downloads,
    cancel: &CancellationToken,
) -> Result<Modules> {
    let mut all = anima_repodata::Streams::default();
    for index in indexes {
        if let Some(modules) = index.modules(downloads, cancel).await? {
            all.merge(modules);
        }
    }
    let filter = all.filter(enabled)?;
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
    let open = indexes.iter().filter(|index| index.module_hotfixes).map(|index| index.name.clone());
    Ok(Modules {
        shown: list(filter.shown),
        hidden: list(filter.hidden),
        names: list(filter.names),
        open_repositories: open.collect(),
    })
}

/// Paths outside of `/usr/bin` and `/etc` are known only with the large lists of files.
fn misses_a_path(problem: &Problem) -> bool {
    let has_path = |wanted: &str| wanted.split([' ', '(']).any(|word| word.starts_with('/'));
    problem.missing.iter().any(|missing| has_path(&missing.wanted))
}

fn key(wishes: &Wishes<'_>, indexes: &[Index], list: &[String]) -> String {
    let mut hash = Sha256::new();
    let mut line = |kind: &str, text: &str| hash.update(format!("{kind} {}:{text}\n", text.len()));
    line("recipe", RECIPE);
    line("arch", wishes.arch.name());
    for index in indexes {
        line("repository", &index.name);
        line("priority", &index.priority.to_string());
        line("content", index.key());
        line("modules", index.modules_key());
        line("hotfixes", if index.module_hotfixes { "yes" } else { "no" });
    }
    list.iter().for_each(|wish| line("wish", wish));
    wishes.exclude.iter().for_each(|pattern| line("exclude", pattern));
    wishes.modules.iter().for_each(|module| line("enable", module));
    format!("{}.json", hex::encode(hash.finalize()))
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().expect("a file is in a folder");
    let temporary = tempfile::NamedTempFile::new_in(folder)?;
    std::fs::write(temporary.path(), bytes)?;
    temporary.persist(path)?;
    Ok(())
}

/// The sweep goes by it; a file system that refuses only makes it sweep earlier.
fn touch(path: &Path) {
    let opened = std::fs::File::options().write(true).open(path);
    drop(opened.and_then(|file| file.set_modified(SystemTime::now())));
}

#[cfg(test)]
mod tests {
    use anima_solver::MissingRequirement;

    use super::*;

    #[test]
    fn only_a_missing_path_asks_for_the_lists_of_files() {
        let misses = |wanted: &str| {
            let missing = MissingRequirement { wanted: wanted.to_owned(), needed_by: None, near: Vec::new() };
            misses_a_path(&Problem { problems: Vec::new(), missing: vec![missing] })
        };

        assert!(misses("/usr/share/x") && misses("(a if /usr/lib/x)"));
        assert!(!misses("zlib-devel >= 1/2") && !misses("pkgconfig(x)"));
    }
}
