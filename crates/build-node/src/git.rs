//! One commit of a git repository, as a list of files with their contents.
//!
//! Nothing is ever checked out: hooks, filters, submodules and links of the repository mean nothing here, because git only
//! brings objects, and we read the files out of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anima_environment::blocking;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::sources::{Brought, Sources};
use crate::trouble::{Trouble, failed};

/// A package's repository with all its history comes within this time, also over a slow line.
const TIME_LIMIT: Duration = Duration::from_secs(20 * 60);
/// No file that git writes is larger: what is large belongs into the lookaside.
const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// A package's repository has at most so many files; the largest known have a few thousand.
const MAX_FILES: usize = 20_000;
/// What git answers is held in memory. The largest answers have some 10 MB: a thousand messages, where each of a kernel's tells what
/// changed in a thousand lines. A few KB of trees that name each other ten times at each level list files without end.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// A server that restarts is asked again so often, after waits of one second, two seconds, …: for half a minute.
const MAX_ATTEMPTS: u32 = 6;
/// Of what git says so much is shown.
const MAX_SAID_BYTES: usize = 2000;
/// How much is read of it at once.
const READ_BYTES: usize = 8 * 1024;

/// The files of one commit.
#[derive(Debug)]
pub struct Commit {
    /// Which it is.
    pub brought: Brought,
    /// When it was made, in seconds since 1970.
    pub time_secs: i64,
    /// In the order of git.
    pub files: Vec<CommitFile>,
    /// What is in the commit and no regular file, and so is not taken.
    pub left_out: Vec<LeftOut>,
    contents: PathBuf,
}

/// One regular file of a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitFile {
    /// Its path.
    pub path: String,
    /// Whether it may be executed.
    pub is_executable: bool,
    /// Its size.
    pub size_bytes: u64,
    pub(crate) object: String,
    pub(crate) offset: u64,
}

/// Something in a commit that is no regular file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// Its path, to be shown.
    pub path: String,
    /// What it is, in words.
    pub what: &'static str,
}

/// What a commit has.
#[derive(Debug, Default)]
struct Tree {
    files: Vec<CommitFile>,
    left_out: Vec<LeftOut>,
}

impl Commit {
    /// Brings a commit into an empty folder.
    pub async fn bring(sources: &dyn Sources, folder: &Path, cancel: &CancellationToken) -> Result<Commit, Trouble> {
        let git = Git::of_task(folder, cancel);
        std::fs::create_dir(&git.folder).map_err(anima_environment::Error::file("make", &git.folder))?;
        git.run(&["init", "--quiet", "--bare", "."]).await?.succeeded("init")?;
        let brought = sources.commit(&git).await?;
        let shown = git.run(&["show", "--no-patch", "--format=%ct", &brought.id]).await?.succeeded("show")?;
        let time_secs = String::from_utf8_lossy(&shown).trim().parse().unwrap_or(0);
        let Tree { files, left_out } = git.files_of(&brought.id).await?;
        let (objects, contents) = (folder.join("objects"), folder.join("contents"));
        let list: String = files.iter().map(|file| format!("{}\n", file.object)).collect();
        std::fs::write(&objects, list).map_err(anima_environment::Error::file("write", &objects))?;
        git.read_objects(&objects, &contents).await?;
        let read_from = contents.clone();
        let files = blocking(move || with_offsets(files, &read_from)).await;
        Ok(Commit {
            brought,
            time_secs,
            files: files.map_err(anima_environment::Error::file("read", &contents))?,
            left_out,
            contents,
        })
    }

    /// Returns a file by its path.
    pub fn file(&self, path: &str) -> Option<&CommitFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Returns a reader of a file's content.
    pub fn open(&self, file: &CommitFile) -> Result<impl Read + use<>, Trouble> {
        let wrong = || anima_environment::Error::file("read", &self.contents);
        let mut contents = File::open(&self.contents).map_err(wrong())?;
        contents.seek(SeekFrom::Start(file.offset)).map_err(wrong())?;
        Ok(contents.take(file.size_bytes))
    }
}

/// A bare repository of a task.
#[derive(Debug)]
pub struct Git<'a> {
    folder: PathBuf,
    cancel: &'a CancellationToken,
}

#[derive(Debug)]
pub struct Said {
    pub is_success: bool,
    pub stdout: Vec<u8>,
    stderr: String,
}

impl Said {
    pub fn succeeded(self, command: &str) -> Result<Vec<u8>, Trouble> {
        match self.is_success {
            true => Ok(self.stdout),
            false => Err(failed("internal", format!("git {command} failed: {}", self.stderr), None)),
        }
    }
}

impl<'a> Git<'a> {
    /// Returns the repository in a task's folder.
    pub fn of_task(folder: &Path, cancel: &'a CancellationToken) -> Git<'a> {
        Git { folder: folder.join("git"), cancel }
    }

    /// Returns where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a commit of a tree, by nobody in particular; returns it.
    pub async fn commit_tree(
        &self,
        tree: &str,
        parent: Option<&str>,
        message: &str,
        time_secs: i64,
    ) -> Result<String, Trouble> {
        let mut arguments = vec!["commit-tree", tree, "-m", message];
        arguments.extend(parent.iter().flat_map(|parent| ["-p", parent]));
        let mut command = self.command(&arguments);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Packager").env(format!("GIT_{who}_EMAIL"), "packager@localhost");
            command.env(format!("GIT_{who}_DATE"), format!("{time_secs} +0000"));
        }
        let made = self.finish(command).await?.succeeded("commit-tree")?;
        Ok(String::from_utf8_lossy(&made).trim().to_owned())
    }

    /// Runs git on another repository, to read it.
    pub async fn run_at(&self, repository: &Path, arguments: &[&str]) -> Result<Said, Trouble> {
        let mut command = self.command(arguments);
        command.env("GIT_DIR", repository);
        self.finish(command).await
    }

    /// Runs git with a folder as this repository's work tree.
    pub async fn run_in(&self, tree: &Path, arguments: &[&str]) -> Result<Said, Trouble> {
        let with_tree: Vec<&str> = ["-c", "core.bare=false"].iter().chain(arguments).copied().collect();
        let mut command = self.command(&with_tree);
        command.env("GIT_WORK_TREE", tree).current_dir(tree);
        self.finish(command).await
    }

    /// Brings what is before a commit that was brought alone.
    pub async fn bring_history(&self, url: &str, commit: &str) -> Result<(), Trouble> {
        let is_shallow = self.run(&["rev-parse", "--is-shallow-repository"]).await?.succeeded("rev-parse")?;
        if is_shallow.starts_with(b"true") {
            let fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--unshallow", url, commit];
            self.run(&fetch).await?.succeeded("fetch")?;
        }
        Ok(())
    }

    /// Brings the commit alone where the server gives it, and the whole history where it does not.
    pub async fn bring(&self, url: &str, commit: &str) -> Result<(), Trouble> {
        if !is_commit(commit) {
            return Err(failed("bad_source", format!("\"{commit}\" is no git commit"), None));
        }
        let shallow = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--depth=1", url, commit];
        if self.run(&shallow).await?.is_success && self.has(commit).await? {
            return Ok(());
        }
        for attempt in 1.. {
            let whole = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", url, "+refs/*:refs/from/*"];
            let said = self.run(&whole).await?;
            if self.has(commit).await? {
                return Ok(());
            }
            if said.is_success {
                return Err(failed("bad_source", format!("commit {commit} is not in {url}"), None));
            }
            if attempt == MAX_ATTEMPTS {
                return Err(failed("unreachable", format!("git could not fetch from {url}: {}", said.stderr), None));
            }
            let wait = Duration::from_secs(1 << (attempt - 1));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.cancel.cancelled() => return Err(Trouble::Stopped),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn has(&self, commit: &str) -> Result<bool, Trouble> {
        Ok(self.run(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).await?.is_success)
    }

    async fn files_of(&self, commit: &str) -> Result<Tree, Trouble> {
        let listed = self.run(&["ls-tree", "-r", "-z", "--long", "--full-tree", commit]).await?.succeeded("ls-tree")?;
        parse_tree(&listed).map_err(|reason| failed("bad_source", reason, None))
    }

    async fn read_objects(&self, objects: &Path, contents: &Path) -> Result<(), Trouble> {
        self.batch("--batch", objects, contents).await
    }

    /// Asks for the objects that the lines of a file name.
    pub async fn batch(&self, how: &str, objects: &Path, contents: &Path) -> Result<(), Trouble> {
        let input = File::open(objects).map_err(anima_environment::Error::file("read", objects))?;
        let output = File::create_new(contents).map_err(anima_environment::Error::file("write", contents))?;
        let mut command = self.command(&["cat-file", how]);
        command.stdin(input).stdout(output);
        self.finish(command).await?.succeeded("cat-file").map(drop)
    }

    pub async fn run(&self, arguments: &[&str]) -> Result<Said, Trouble> {
        self.finish(self.command(arguments)).await
    }

    /// Git with nothing of this machine's or its user's configuration, and nothing that runs other programs.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        for setting in [
            "core.hooksPath=/dev/null",
            "credential.helper=",
            "protocol.version=2",
            "submodule.recurse=false",
            "core.fsmonitor=false",
            "gc.auto=0",
            "http.lowSpeedLimit=100",
            "http.lowSpeedTime=60",
        ] {
            command.args(["-c", setting]);
        }
        command.args(arguments).current_dir(&self.folder).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &self.folder).env("LC_ALL", "C");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
        command.env("GIT_ALLOW_PROTOCOL", "http:https").env("GIT_DIR", &self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
        command
    }

    async fn finish(&self, mut command: Command) -> Result<Said, Trouble> {
        let internal =
            |what: &str, error: std::io::Error| failed("internal", format!("could not {what} git: {error}"), None);
        let mut child = command.spawn().map_err(|error| internal("start", error))?;
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        let guard = group.map(KillGroup);
        if let Some(pid) = group {
            // Its children inherit it; a process that has ended already needs none.
            let limit = Rlimit { current: Some(MAX_FILE_BYTES), maximum: Some(MAX_FILE_BYTES) };
            let _ = prlimit(Some(pid), Resource::Fsize, limit);
        }
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // An answer that is too long is an error at once, and its process ends with the guard.
        let following = async {
            let ended = async { child.wait().await.map_err(|error| internal("follow", error)) };
            tokio::try_join!(
                async { read_answer(stdout).await.map_err(|error| internal("follow", error))?.ok_or_else(too_much) },
                async { read_said(stderr).await.map_err(|error| internal("follow", error)) },
                ended
            )
        };
        let output = tokio::select! {
            output = tokio::time::timeout(TIME_LIMIT, following) => output,
            () = self.cancel.cancelled() => return Err(Trouble::Stopped),
        };
        let Ok(output) = output else {
            return Err(failed("timed_out", format!("git was not done after {} s", TIME_LIMIT.as_secs()), None));
        };
        let (stdout, said, status) = output?;
        // It has ended by itself, and its number may be another's soon.
        std::mem::forget(guard);
        let stderr = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        Ok(Said { is_success: status.success(), stdout, stderr })
    }
}

/// Reads what git answers; nothing where that is more than is held in memory.
async fn read_answer(stdout: Option<impl AsyncRead + Unpin>) -> std::io::Result<Option<Vec<u8>>> {
    let mut answer = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut answer).await?;
    }
    Ok(Some(answer).filter(|answer| answer.len() as u64 <= MAX_ANSWER_BYTES))
}

fn too_much() -> Trouble {
    let message = format!(
        "git's list of the repository's files or changes is longer than {} MiB; those of packages are far shorter",
        MAX_ANSWER_BYTES / 1024 / 1024
    );
    failed("bad_source", message, None)
}

/// Reads all that git says beside its answer, and keeps the end of it.
async fn read_said(stderr: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let (mut said, Some(mut stderr)) = (Vec::new(), stderr) else { return Ok(Vec::new()) };
    let mut piece = [0; READ_BYTES];
    loop {
        let count = stderr.read(&mut piece).await?;
        if count == 0 {
            return Ok(said);
        }
        said.extend_from_slice(&piece[..count]);
        said.drain(..said.len().saturating_sub(MAX_SAID_BYTES));
    }
}

/// Git has helpers (`git-remote-http`, `index-pack`) that have to go with it.
struct KillGroup(Pid);

impl Drop for KillGroup {
    fn drop(&mut self) {
        // The group may be gone already, which is as wanted.
        let _ = rustix::process::kill_process_group(self.0, rustix::process::Signal::KILL);
    }
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads `<mode> <type> <object> <size>\t<path>\0…`; links and submodules are left out, and told.
fn parse_tree(listed: &[u8]) -> Result<Tree, String> {
    let mut tree = Tree::default();
    for entry in listed.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
        let entry =
            std::str::from_utf8(entry).map_err(|_| "a file of the commit has a name that is not UTF-8".to_owned())?;
        let unreadable = || format!("git listed something that cannot be read: {entry}");
        let (facts, path) = entry.split_once('\t').ok_or_else(unreadable)?;
        let facts: Vec<&str> = facts.split_ascii_whitespace().collect();
        let [mode, kind, object, size] = facts[..] else { return Err(unreadable()) };
        if kind != "blob" || !mode.starts_with("100") {
            let what = if kind == "blob" { "a symbolic link" } else { "a submodule" };
            tree.left_out.push(LeftOut { path: path.escape_debug().to_string(), what });
            continue;
        }
        if !is_plain_path(path) {
            return Err(format!("a file of the commit has the path {path:?}"));
        }
        let size_bytes = size.parse().map_err(|_| unreadable())?;
        tree.files.push(CommitFile {
            path: path.to_owned(),
            is_executable: mode == "100755",
            size_bytes,
            object: object.to_owned(),
            offset: 0,
        });
        if tree.files.len() > MAX_FILES {
            return Err(format!("the commit has more than {MAX_FILES} files"));
        }
    }
    Ok(tree)
}

/// Git itself refuses such paths on checkout; nothing is checked out here.
fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.chars().any(char::is_control)
}

/// Finds each content in what `git cat-file --batch` wrote: `<object> blob <size>\n<content>\n`.
pub(crate) fn with_offsets(mut files: Vec<CommitFile>, contents: &Path) -> std::io::Result<Vec<CommitFile>> {
    let mut reader = BufReader::new(File::open(contents)?);
    let (mut offset, mut found) = (0, HashMap::new());
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let mut words = line.trim_end().split(' ');
        let (Some(object), Some("blob"), Some(Ok(size))) =
            (words.next(), words.next(), words.next().map(str::parse::<u64>))
        else {
            return Err(std::io::Error::other(format!("git answered {line:?}")));
        };
        offset += line.len() as u64;
        found.insert(object.to_owned(), (offset, size));
        let passed = i64::try_from(size + 1).map_err(std::io::Error::other)?;
        reader.seek_relative(passed)?;
        offset += size + 1;
        line.clear();
    }
    for file in &mut files {
        let missing = || std::io::Error::other(format!("git did not give {}", file.path));
        let (offset, size) = *found.get(&file.object).ok_or_else(missing)?;
        (file.offset, file.size_bytes) = (offset, size);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_tree_are_taken() {
        let object = "a".repeat(40);
        let listed = format!(
            "100644 blob {object}      12\tjq.spec\x00100755 blob {object}       3\tSOURCES/run.sh\x00\
             120000 blob {object}       9\tlink\x00160000 commit {object}       -\tsub\x00"
        );

        let Tree { files, left_out } = parse_tree(listed.as_bytes()).unwrap();

        let seen: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.is_executable, file.size_bytes)).collect();
        assert_eq!(seen, [("jq.spec", false, 12), ("SOURCES/run.sh", true, 3)]);
        let seen: Vec<_> = left_out.iter().map(|it| (it.path.as_str(), it.what)).collect();
        assert_eq!(seen, [("link", "a symbolic link"), ("sub", "a submodule")]);
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for path in ["../x", "/x", "a/../b", "a//b", "a\nb"] {
            let listed = format!("100644 blob {} 1\t{path}\0", "a".repeat(40));
            assert!(parse_tree(listed.as_bytes()).is_err(), "{path:?}");
        }
    }

    /// Makes trees in a repository: a file, and above it so many levels, each with ten names for the one below.
    async fn nested_tree(git: &Git<'_>, levels: usize) -> String {
        git.run(&["init", "--quiet", "--bare", "."]).await.unwrap().succeeded("init").unwrap();
        let empty = git.run(&["hash-object", "-w", "/dev/null"]).await.unwrap().succeeded("hash-object").unwrap();
        let mut below = ("100644 blob", String::from_utf8(empty).unwrap().trim().to_owned());
        for _ in 0..levels {
            let lines: String = (0..10).map(|name| format!("{} {}\t{name}\n", below.0, below.1)).collect();
            let input = git.folder().join("lines");
            std::fs::write(&input, lines).unwrap();
            let mut command = git.command(&["mktree"]);
            command.stdin(File::open(&input).unwrap());
            let tree = git.finish(command).await.unwrap().succeeded("mktree").unwrap();
            below = ("040000 tree", String::from_utf8(tree).unwrap().trim().to_owned());
        }
        below.1
    }

    #[tokio::test]
    async fn a_few_trees_that_list_files_without_end_are_refused_before_they_fill_the_memory() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let git = Git::of_task(folder.path(), &cancel);
        std::fs::create_dir(git.folder()).unwrap();

        let bomb = nested_tree(&git, 10).await;
        let small = git.run(&["rev-parse", &format!("{bomb}:0/0/0/0/0/0/0/0")]).await.unwrap();
        let small = String::from_utf8(small.succeeded("rev-parse").unwrap()).unwrap();

        assert_eq!(git.files_of(small.trim()).await.unwrap().files.len(), 100);
        let Err(Trouble::Failed(failure)) = git.files_of(&bomb).await else { panic!("it was listed") };
        assert_eq!(failure.code, "bad_source");
        assert!(failure.message.contains("longer than 64 MiB"), "{failure:?}");
    }

    #[test]
    fn only_whole_hashes_are_commits() {
        assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0f".repeat(32)));
        assert!(!is_commit("main") && !is_commit("--upload-pack=touch") && !is_commit(&"A1".repeat(20)));
    }
}
