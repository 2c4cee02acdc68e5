//! A package's history: its commits, and what the spec of each said of its version, read in the sandbox.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anima_environment::blocking;
use anima_sandbox::Outcome;

use crate::autospec::{DEFINES, Entry, Version, expand, is_wanted};
use crate::git::{CommitFile, Git, with_offsets};
use crate::job::Job;
use crate::limits::Limits;
use crate::sources::Sources;
use crate::trouble::{Trouble, failed};
use crate::workroot::{TOP, Workroot};

/// So far back a history is read: rpm keeps fewer changes.
const MAX_COMMITS: usize = 1_000;
/// So many different specs are read, a few tens of a second: what is older than that has another version.
const MAX_SPECS: usize = 300;
/// A spec is text that people write.
pub const MAX_SPEC_BYTES: u64 = 4 * 1024 * 1024;
/// How rpm tells of a spec's version.
const QUERY: &str = "anima-version %|EPOCH?{%{EPOCH}:}|%{VERSION} %{RELEASE}\\n";

/// A commit, and the object that is its spec.
struct Past {
    entry: Entry,
    hash: String,
    spec: Option<String>,
}

/// Replaces `%autorelease` and `%autochangelog` in the spec of a package that was put into the root at `path`, if they are there.
pub async fn fill_in(
    job: &Job<'_>,
    package: &str,
    workroot: &Workroot,
    sources: &dyn Sources,
    commit: &str,
    spec: &str,
    path: &str,
) -> Result<(), Trouble> {
    let text = workroot.files().inside().read_text(path, MAX_SPEC_BYTES)?;
    if !is_wanted(&text) {
        return Ok(());
    }
    let git = Git::of_task(&job.folder, &job.cancel);
    sources.history(&git, commit).await?;
    let mut past = commits(&git, &job.folder, commit, spec).await?;
    read_versions(job, package, workroot, &git, &mut past).await?;
    let (changelog_from, old) = old_changelog(&git, commit, spec, &past).await?;
    let history: Vec<Entry> = past.into_iter().map(|it| it.entry).collect();
    job.journal.say(format!("release and changelog: from {} commits", history.len()));
    let text = expand(&text, &history, changelog_from, &old);
    let owner = workroot.files().owner();
    workroot.files().inside().replace(path, owner, 0o644, &mut text.as_bytes())?;
    Ok(())
}

async fn commits(git: &Git<'_>, folder: &Path, commit: &str, spec: &str) -> Result<Vec<Past>, Trouble> {
    let most = format!("--max-count={MAX_COMMITS}");
    let format = "--format=%H%n%ct%n%an <%ae>%n%B";
    let said = git.run(&["log", "-z", "--first-parent", &most, format, commit]).await?.succeeded("log")?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut past: Vec<Past> = said.split('\0').filter_map(parse_commit).collect();
    let (asked, told) = (folder.join("history"), folder.join("history-specs"));
    let lines: String = past.iter().map(|it| format!("{}:{spec}\n", it.hash)).collect();
    std::fs::write(&asked, lines).map_err(anima_environment::Error::file("write", &asked))?;
    git.batch("--batch-check=%(objecttype) %(objectname) %(objectsize)", &asked, &told).await?;
    let told = std::fs::read_to_string(&told).map_err(anima_environment::Error::file("read", &told))?;
    for (it, line) in past.iter_mut().zip(told.lines()) {
        it.spec = match line.split(' ').collect::<Vec<_>>()[..] {
            ["blob", object, size] if size.parse::<u64>().is_ok_and(|size| size <= MAX_SPEC_BYTES) => {
                Some(object.to_owned())
            }
            _ => None,
        };
    }
    Ok(past)
}

fn parse_commit(text: &str) -> Option<Past> {
    let mut lines = text.trim_start().splitn(4, '\n');
    let (hash, time, author) = (lines.next()?.to_owned(), lines.next()?.parse().ok()?, lines.next()?.to_owned());
    let message = lines.next().unwrap_or_default().trim().to_owned();
    Some(Past { entry: Entry { time_secs: time, author, message, version: None }, hash, spec: None })
}

/// Each different spec is read once, newest first, all in one sandbox.
async fn read_versions(
    job: &Job<'_>,
    package: &str,
    workroot: &Workroot,
    git: &Git<'_>,
    past: &mut [Past],
) -> Result<(), Trouble> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut objects = Vec::new();
    for object in past.iter().filter_map(|it| it.spec.as_ref()) {
        if objects.len() < MAX_SPECS && !numbers.contains_key(object) {
            numbers.insert(object.clone(), objects.len());
            objects.push(object.clone());
        }
    }
    put_specs(job, workroot, git, &objects).await?;
    let versions = versions(job, package, workroot, objects.len()).await?;
    for it in past {
        it.entry.version = it.spec.as_ref().and_then(|object| versions.get(numbers.get(object)?).cloned());
    }
    Ok(())
}

async fn put_specs(job: &Job<'_>, workroot: &Workroot, git: &Git<'_>, objects: &[String]) -> Result<(), Trouble> {
    let (asked, told) = (job.folder.join("history-objects"), job.folder.join("history-contents"));
    std::fs::write(&asked, objects.join("\n") + "\n").map_err(anima_environment::Error::file("write", &asked))?;
    git.batch("--batch", &asked, &told).await?;
    let files = objects.iter().enumerate().map(|(number, object)| CommitFile {
        path: format!("originals/history/{number}.spec"),
        is_executable: false,
        size_bytes: 0,
        object: object.clone(),
        offset: 0,
    });
    let (files, root_files) = (files.collect(), workroot.files().clone());
    blocking(move || {
        let wrong = |path| anima_environment::Error::file("read", path);
        for file in with_offsets(files, &told).map_err(wrong(told.as_path()))? {
            let mut contents = File::open(&told).map_err(wrong(told.as_path()))?;
            contents.seek(SeekFrom::Start(file.offset)).map_err(wrong(told.as_path()))?;
            root_files.put(&file.path, false, &mut contents.take(file.size_bytes))?;
        }
        Ok(())
    })
    .await
}

async fn versions(
    job: &Job<'_>,
    package: &str,
    workroot: &Workroot,
    count: usize,
) -> Result<BTreeMap<usize, Version>, Trouble> {
    let [release, changelog] = DEFINES;
    let script = format!(
        "for ((n = 0; n < {count}; n++)); do echo \"anima-spec $n\"; \
         rpmspec -q --srpm --define \"$1\" --define \"$2\" --undefine dist --qf '{QUERY}' {TOP}/originals/history/$n.spec 2>/dev/null; done; true"
    );
    let command = ["/bin/bash", "-c", &script, "history", release, changelog];
    let (outcome, output) = workroot.capture(&command, job.helper, &job.cancel).await?;
    match unread(&job.limits, &outcome, package) {
        Some(trouble) => Err(trouble),
        None => Ok(parse_versions(&output)),
    }
}

/// Returns why the versions could not be read; nothing where they were.
fn unread(limits: &Limits, outcome: &Outcome, package: &str) -> Option<Trouble> {
    if let Some(failure) = limits.failure(outcome, "reading the versions of the history", package) {
        return Some(failure.into());
    }
    let how = anima_environment::exit_in_words(outcome.exit);
    let message = format!("the versions of the history cannot be read: {how}");
    (!outcome.exit.is_success()).then(|| failed("spec", message, None))
}

fn parse_versions(output: &str) -> BTreeMap<usize, Version> {
    let (mut versions, mut number) = (BTreeMap::new(), None);
    for line in output.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["anima-spec", text] => number = text.parse().ok(),
            ["anima-version", epoch_version, base] => {
                let version = Version { epoch_version: epoch_version.to_owned(), base: base.to_owned() };
                number.take().map(|number: usize| versions.insert(number, version));
            }
            _ => {}
        }
    }
    versions
}

/// Returns how many commits are newer than the last change of the file `changelog`, and its text.
async fn old_changelog(git: &Git<'_>, commit: &str, spec: &str, past: &[Past]) -> Result<(usize, String), Trouble> {
    let path = spec.rsplit_once('/').map_or("changelog".to_owned(), |(folder, _)| format!("{folder}/changelog"));
    let shown = git.run(&["cat-file", "blob", &format!("{commit}:{path}")]).await?;
    if !shown.is_success {
        return Ok((past.len(), String::new()));
    }
    let changed =
        git.run(&["log", "--first-parent", "-1", "--format=%H", commit, "--", &path]).await?.succeeded("log")?;
    let changed = String::from_utf8_lossy(&changed).trim().to_owned();
    let newer = past.iter().position(|it| it.hash == changed).unwrap_or(past.len());
    Ok((newer, String::from_utf8_lossy(&shown.stdout).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anima_sandbox::Exit;

    use super::*;
    use crate::limits::Machine;

    #[test]
    fn what_reading_the_history_ran_into_is_told_as_that_and_not_as_a_fault_of_the_spec() {
        let machine = Machine { memory_bytes: 10 << 30, free_disk_bytes: 10 << 30, free_files: u64::MAX, slots: 1 };
        let limits = Limits::of_node(machine, Default::default());
        let code = |exit, least_free_bytes| {
            let outcome = Outcome {
                exit,
                wall: Duration::ZERO,
                user_cpu: Duration::ZERO,
                sys_cpu: Duration::ZERO,
                max_rss_bytes: 0,
                peak_memory_bytes: None,
                read_bytes: 0,
                written_bytes: 0,
                least_free_bytes,
                killed_for_memory_count: 0,
                refused_process_count: 0,
            };
            match unread(&limits, &outcome, "p") {
                Some(Trouble::Failed(failure)) => failure.code,
                other => format!("{other:?}"),
            }
        };

        assert_eq!(code(Exit::OutOfMemory, None), "out_of_memory");
        assert_eq!(code(Exit::TimedOut, None), "timed_out");
        assert_eq!(code(Exit::Exited(1), Some(0)), "node_disk_full");
        assert_eq!(code(Exit::Exited(1), None), "spec");
        assert_eq!(code(Exit::Exited(0), None), "None");
    }

    #[test]
    fn versions_are_read_between_warnings_and_specs_that_cannot_be_read() {
        let output =
            "anima-spec 0\nanima-version 1:2.3 1\nanima-spec 1\nanima-spec 2\nwarning: x\nanima-version 2.2 0.1\n";

        let versions = parse_versions(output);

        let seen: Vec<_> =
            versions.iter().map(|(number, it)| (*number, it.epoch_version.as_str(), it.base.as_str())).collect();
        assert_eq!(seen, [(0, "1:2.3", "1"), (2, "2.2", "0.1")]);
    }

    #[test]
    fn a_commit_is_read_with_its_whole_message() {
        let past = parse_commit("ab\n17\nA B <a@b>\nFix\n\nMore\n").unwrap();

        assert_eq!((past.hash.as_str(), past.entry.time_secs, past.entry.author.as_str()), ("ab", 17, "A B <a@b>"));
        assert_eq!(past.entry.message, "Fix\n\nMore");
        assert!(parse_commit("\n").is_none());
    }
}
