//! Where the sources of a package come from.

use std::fmt;
use std::path::PathBuf;

use anima_environment::{Downloads, Wanted};
use anima_types::dist_git::LookasideFile;
use anima_types::work::SrcWork;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::git::Git;
use crate::trouble::{Trouble, failed};

/// What was brought into a task's repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Brought {
    /// The commit.
    pub id: String,
    /// What it is, for the log.
    pub note: String,
}

/// The small files of a package are a commit in the task's own repository; the large ones are known by their hashes.
pub trait Sources: fmt::Debug + Send + Sync {
    /// Says where they come from.
    fn in_words(&self) -> String;

    /// Brings the commit into the task's repository, which is empty, and returns it.
    fn commit<'a>(&'a self, git: &'a Git<'_>) -> BoxFuture<'a, Result<Brought, Trouble>>;

    /// Brings what is before the commit.
    fn history<'a>(&'a self, git: &'a Git<'_>, commit: &'a str) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Returns where a large file is on this machine, its hash compared.
    fn large<'a>(
        &'a self,
        package: &'a str,
        file: &'a LookasideFile,
        downloads: &'a Downloads,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<PathBuf, Trouble>>;
}

/// A commit of the Git Service, and its lookaside.
#[derive(Clone, Copy, Debug)]
pub struct Pushed<'a> {
    git_url: &'a str,
    commit: &'a str,
    lookaside_url: &'a str,
}

impl<'a> From<&'a SrcWork> for Pushed<'a> {
    fn from(work: &'a SrcWork) -> Pushed<'a> {
        Pushed { git_url: &work.git_url, commit: &work.commit, lookaside_url: &work.lookaside_url }
    }
}

impl Sources for Pushed<'_> {
    fn in_words(&self) -> String {
        self.git_url.to_owned()
    }

    fn commit<'a>(&'a self, git: &'a Git<'_>) -> BoxFuture<'a, Result<Brought, Trouble>> {
        Box::pin(async move {
            git.bring(self.git_url, self.commit).await?;
            Ok(Brought { id: self.commit.to_owned(), note: format!("commit {}", self.commit) })
        })
    }

    fn history<'a>(&'a self, git: &'a Git<'_>, commit: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(git.bring_history(self.git_url, commit))
    }

    fn large<'a>(
        &'a self,
        package: &'a str,
        file: &'a LookasideFile,
        downloads: &'a Downloads,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<PathBuf, Trouble>> {
        Box::pin(async move {
            let fetched = fetch_large([file.url(self.lookaside_url, package)], file, downloads, cancel).await;
            Ok(fetched.map_err(|error| bad_large_file(file, error))?.expect("one address was given"))
        })
    }
}

/// Fetches a large file from the first of some addresses that has it, its hash compared; nothing where there is no address. The
/// error is that of the last one.
pub async fn fetch_large(
    urls: impl IntoIterator<Item = String>,
    file: &LookasideFile,
    downloads: &Downloads,
    cancel: &CancellationToken,
) -> Result<Option<PathBuf>, anima_environment::Error> {
    let mut last = None;
    for url in urls {
        match downloads.get(&Wanted { url, hash: file.into(), size_bytes: None }, cancel).await {
            Ok(path) => return Ok(Some(path)),
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(None), Err)
}

/// A source that is wrong or missing is the packager's to put right; a server that is away is not.
pub fn bad_large_file(file: &LookasideFile, error: anima_environment::Error) -> Trouble {
    use anima_environment::Error;
    let name = &file.name;
    match error {
        Error::Hash { algorithm, actual, expected, .. } => {
            let message = format!("the {algorithm} of {name} is {actual}, and the list of sources says {expected}");
            failed(
                "bad_source",
                message,
                Some("Upload the right file to the lookaside, or correct the list of sources."),
            )
        }
        Error::Status { status: 404, .. } => {
            let message = format!("{name} with the {} {} is not in the lookaside", file.algorithm, file.hash);
            failed("bad_source", message, Some("Upload the file to the lookaside, then try again."))
        }
        error => error.into(),
    }
}
