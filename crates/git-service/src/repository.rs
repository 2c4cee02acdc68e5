//! Bare git repositories on disk, and the questions that are asked of them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anima_types::dist_git::is_package_name;
use anyhow::Context as _;
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    sync::Semaphore,
};

use crate::error::{Error, Result};

/// A shortened hash has at least so many digits.
const MIN_HASH_DIGITS: usize = 7;
/// Bytes of a reference at most.
const MAX_REFERENCE_BYTES: usize = 255;

/// Questions that git is asked at once; others wait their turn. One takes some milliseconds.
const MAX_QUESTIONS: usize = 16;
/// One that is not answered after this never will be.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);
/// An answer has at most so many bytes: the names of some hundred thousand branches.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// All repositories: `repositories/NAME.git`.
pub(crate) struct Repositories {
    folder: PathBuf,
    questions: Semaphore,
    /// The only configuration that git reads beside the repository's own.
    config: PathBuf,
}

/// A branch with its commit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Branch {
    pub name: String,
    pub commit: String,
}

/// A commit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Commit {
    pub commit: String,
    pub author: String,
    /// By RFC 3339.
    pub at: String,
    pub subject: String,
}

impl Repositories {
    pub fn open(data: &Path, max_push_bytes: u64) -> anyhow::Result<Repositories> {
        let folder = data.join("repositories");
        fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
        let config = data.join("gitconfig");
        // Nothing of the machine's or a user's configuration counts, hooks least of all; what is pushed is checked; a commit
        // that was built stays, though its branch went elsewhere.
        let text = format!(
            "[core]\n\thooksPath = /dev/null\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n\
             [receive]\n\tfsckObjects = true\n\tmaxInputSize = {max_push_bytes}\n\tdenyDeleteCurrent = ignore\n\tautogc = true\n\
             [transfer]\n\thideRefs = refs/notes\n[uploadpack]\n\tallowReachableSHA1InWant = true\n\tallowFilter = true\n\
             [http]\n\treceivepack = true\n[gc]\n\tautoDetach = false\n\tpruneExpire = never\n"
        );
        fs::write(&config, text).with_context(|| format!("could not write {}", config.display()))?;
        Ok(Repositories { folder, questions: Semaphore::new(MAX_QUESTIONS), config })
    }

    /// Returns where the repositories are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a repository's folder if it is there.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        if !is_package_name(name) {
            return Err(Error::bad_name(name));
        }
        let path = self.folder.join(format!("{name}.git"));
        if path.join("HEAD").is_file() { Ok(path) } else { Err(unknown(name)) }
    }

    /// Returns a repository's folder, made where it is missing: whole, or not at all.
    pub async fn find_or_make(&self, name: &str) -> Result<PathBuf> {
        match self.find(name) {
            Err(error) if error.code == "not_found" => {}
            found => return found,
        }
        let temporary = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.folder);
        let temporary = temporary.map_err(|error| Error::disk("create a repository", error))?;
        self.run(None, &["init", "--quiet", "--bare", &temporary.path().to_string_lossy()]).await?;
        let path = self.folder.join(format!("{name}.git"));
        match fs::rename(temporary.path(), &path) {
            Ok(()) => drop(temporary.keep()),
            // Somebody else was faster.
            Err(_) if path.join("HEAD").is_file() => {}
            Err(error) => return Err(Error::disk("create a repository", error)),
        }
        Ok(path)
    }

    /// Lets a repository whose `HEAD` names no branch name one that is there, so that a clone checks something out.
    pub async fn mend_head(&self, path: &Path) -> Result<()> {
        let branches = self.branches(path).await?;
        let head = self.run(Some(path), &["symbolic-ref", "--short", "HEAD"]).await.unwrap_or_default();
        match branches.keys().next() {
            Some(first) if !branches.contains_key(head.trim()) => {
                self.run(Some(path), &["symbolic-ref", "HEAD", &format!("refs/heads/{first}")]).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Returns the names of all repositories.
    pub fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder).map_err(|error| Error::disk("list the repositories", error))?;
        let names = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".git").filter(|name| is_package_name(name)).map(str::to_string)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Returns the branches with their commits.
    pub async fn branches(&self, path: &Path) -> Result<BTreeMap<String, String>> {
        let text =
            self.run(Some(path), &["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"]).await?;
        let line = |line: &str| line.split_once(' ').map(|(commit, name)| (name.to_string(), commit.to_string()));
        Ok(text.lines().filter_map(line).collect())
    }

    /// Returns the references that are no branches with what they name, by their full names.
    pub async fn others(&self, path: &Path) -> Result<BTreeMap<String, String>> {
        let text = self.run(Some(path), &["for-each-ref", "--format=%(objectname) %(refname)"]).await?;
        let line = |line: &str| line.split_once(' ').map(|(object, name)| (name.to_string(), object.to_string()));
        Ok(text.lines().filter_map(line).filter(|(name, _)| !name.starts_with("refs/heads/")).collect())
    }

    /// Returns the newest commits of a branch.
    pub async fn commits(&self, path: &Path, branch: &str, limit: u32) -> Result<Vec<Commit>> {
        check_reference(branch)?;
        let count = format!("--max-count={limit}");
        let reference = format!("refs/heads/{branch}");
        let arguments = ["log", &count, "--format=%H%x00%<(200,trunc)%an%x00%cI%x00%<(400,trunc)%s", &reference, "--"];
        let text = self
            .run(Some(path), &arguments)
            .await
            .map_err(|_| Error::not_found(format!("there is no branch \"{branch}\"")))?;
        let commit = |line: &str| {
            let mut parts = line.split('\0').map(|part| part.trim().to_string());
            Some(Commit { commit: parts.next()?, author: parts.next()?, at: parts.next()?, subject: parts.next()? })
        };
        Ok(text.lines().filter_map(commit).collect())
    }

    /// Returns the commit that a branch, a tag or a (shortened) hash names; branches come first.
    pub async fn resolve(&self, path: &Path, reference: &str) -> Result<String> {
        check_reference(reference)?;
        let is_hash = reference.len() >= MIN_HASH_DIGITS && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut wanted = vec![format!("refs/heads/{reference}"), format!("refs/tags/{reference}")];
        wanted.extend(is_hash.then(|| reference.to_string()));
        for name in wanted {
            let name = format!("{name}^{{commit}}");
            if let Ok(text) =
                self.run(Some(path), &["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).await
            {
                return Ok(text.trim().to_string());
            }
        }
        Err(Error::not_found(format!("there is no branch, tag or commit \"{reference}\"")))
    }

    /// Returns the first line of a commit's message, or its beginning: git takes a first paragraph of any length for a line.
    pub async fn subject(&self, path: &Path, commit: &str) -> String {
        let subject = self.run(Some(path), &["log", "--max-count=1", "--format=%<(400,trunc)%s", commit, "--"]).await;
        subject.map(|text| text.trim().to_string()).unwrap_or_default()
    }

    /// Returns git with nothing of our environment or the machine's configuration.
    pub fn git(&self) -> Command {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C").env("HOME", "/nonexistent");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", &self.config).env("GIT_TERMINAL_PROMPT", "0");
        command.kill_on_drop(true).current_dir("/");
        command
    }

    async fn run(&self, repository: Option<&Path>, arguments: &[&str]) -> Result<String> {
        let mut command = self.git();
        if let Some(path) = repository {
            command.arg("--git-dir").arg(path);
        }
        // Held by nobody for longer than the time limit, so that the next one's turn comes.
        let _turn = self.questions.acquire().await.map_err(Error::internal)?;
        let name = arguments.first().unwrap_or(&"");
        let answering = answer(command.args(arguments));
        let Ok(answered) = tokio::time::timeout(QUESTION_TIMEOUT, answering).await else {
            return Err(Error::internal(format!("git {name} was not done after {} s", QUESTION_TIMEOUT.as_secs())));
        };
        let (status, stdout, stderr) = answered.map_err(no_git)?;
        if stdout.len() as u64 > MAX_ANSWER_BYTES {
            return Err(Error::internal(format!("git {name} answered more than {} MiB", MAX_ANSWER_BYTES >> 20)));
        }
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&stderr);
        Err(Error::internal(format!("git {name} failed: {}", said.trim())))
    }
}

/// Runs a command; of what it says, a byte more than an answer may have is read, and then it is let go.
async fn answer(command: &mut Command) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    async fn read(from: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            from.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes).await?;
        }
        Ok(bytes)
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::try_join!(read(stdout), read(stderr), child.wait())?;
    Ok((status, stdout, stderr))
}

/// Refuses what is no name of a branch, tag or commit, or what git could take for an option.
fn check_reference(reference: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    let is_good = !reference.is_empty()
        && reference.len() <= MAX_REFERENCE_BYTES
        && !reference.starts_with(['-', '/', '.'])
        && !reference.contains("..")
        && reference.chars().all(is_plain);
    if is_good { Ok(()) } else { Err(Error::not_found(format!("{reference:?} is no name of a branch, tag or commit"))) }
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("there is no repository \"{name}\"")).hint("The first push makes it.")
}

fn no_git(error: io::Error) -> Error {
    Error::internal(format!("could not run git: {error}"))
}
