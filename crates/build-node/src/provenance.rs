//! Writes down what a task made, from what, with what, where and when. See [`anima_types::provenance`].

use std::io::Seek;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anima_environment::{blocking, native_architectures, sha256_of};
use anima_types::artifact::Kind;
use anima_types::id::{BuildId, TaskId};
use anima_types::provenance::{File, Node, Provenance, VERSION};
use anima_types::work::{BuildWork, SrcWork};
use anima_types::{Arch, Sha256, Timestamp, platform, task};

use crate::job::{Job, Target};
use crate::trouble::Trouble;
use crate::workroot::Workroot;

/// The artifact's name.
const NAME: &str = "provenance.json";
const MIB: u64 = 1024 * 1024;

/// Which task of whom it is; what is built on a packager's own machine has none.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    task: TaskId,
    build: BuildId,
    node: &'a str,
    git_url: Option<&'a str>,
    commit: Option<&'a str>,
}

impl<'a> About<'a> {
    /// Returns what is known of a task that makes a source package.
    pub fn src(task: TaskId, node: &'a str, work: &'a SrcWork) -> About<'a> {
        About { task, build: work.build, node, git_url: Some(&work.git_url), commit: Some(&work.commit) }
    }

    /// Returns what is known of a task that makes packages.
    pub fn build(task: TaskId, node: &'a str, work: &'a BuildWork) -> About<'a> {
        let commit = Some(work.commit.as_str()).filter(|commit| !commit.is_empty());
        About { task, build: work.build, node, git_url: None, commit }
    }
}

/// Keeps a task's provenance as an artifact.
pub async fn keep(
    job: &Job<'_>,
    target: &Target<'_>,
    kind: task::Kind,
    lock: Sha256,
    materials: Vec<File>,
    products: Vec<File>,
) -> Result<(), Trouble> {
    let Some(about) = job.about else { return Ok(()) };
    let provenance = Provenance {
        version: VERSION,
        task: about.task,
        build: about.build,
        kind,
        package: target.package.to_owned(),
        platform: target.platform.name.clone(),
        arch: target.arch,
        git_url: about.git_url.map(str::to_owned),
        commit: about.commit.map(str::to_owned),
        materials,
        lock,
        commands: job.record.commands(),
        limits: platform::Limits {
            memory_mib: Some(job.limits.memory_bytes / MIB),
            disk_mib: Some(job.limits.disk_bytes / MIB),
            cores: job.limits.cores,
            wall_secs: Some(job.limits.wall.as_secs()),
            processes: Some(job.limits.processes),
            log_mib: Some(job.limits.log_bytes / MIB),
        },
        node: node(about.node, &native_architectures(), target.arch),
        began_at: moment(job.taken_at),
        ended_at: moment(SystemTime::now()),
        products,
        more: Default::default(),
    };
    job.artifacts.keep_text(provenance.to_json(), Kind::Provenance, NAME).await.map(drop)
}

/// Keeps, of a task that failed, what was in its root and what ran there, so that somebody can do the same again. Why it failed matters
/// more than that this could not be kept.
pub async fn keep_of_failed(
    job: &Job<'_>,
    target: &Target<'_>,
    kind: task::Kind,
    workroot: &Workroot,
    materials: Vec<File>,
) {
    let kept = async {
        let lock = job.keep_lock(workroot).await?;
        keep(job, target, kind, lock, materials, Vec::new()).await
    };
    if let Err(Trouble::Failed(error)) = kept.await {
        job.journal.say(format!("what was in the root is not kept: {}", error.message));
    }
}

/// Returns what is written of a machine that runs programs of these architectures by itself. What it does not run by itself, it has
/// emulated: that is how roots are made, too.
fn node(name: &str, native: &[Arch], target: Arch) -> Node {
    Node {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // The plainest that it runs: what else it runs depends on its processor.
        arch: native.first().copied(),
        is_emulated: !native.contains(&target),
    }
}

/// Returns a file with its SHA-256.
pub async fn file(name: String, content: &std::fs::File) -> Result<File, Trouble> {
    let own = content.try_clone();
    let hashing = blocking(move || {
        let mut own = own?;
        own.rewind()?;
        sha256_of(&mut own)
    });
    let hash = hashing.await.map_err(anima_environment::Error::file("read", Path::new(&name)))?;
    Ok(File::sha256(name, hash))
}

fn moment(at: SystemTime) -> Timestamp {
    Timestamp(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_runs_by_itself_is_not_marked_as_emulated() {
        let new = [Arch::X86_64, Arch::X86_64V2, Arch::I686];
        let is_emulated = |native: &[Arch], target| node("n", native, target).is_emulated;

        assert_eq!(new.map(|target| is_emulated(&new, target)), [false; 3]);
        assert!(is_emulated(&new, Arch::Aarch64) && is_emulated(&[Arch::X86_64, Arch::I686], Arch::X86_64V2));
        assert!(!is_emulated(&[Arch::Ppc64le], Arch::Ppc64le) && is_emulated(&[], Arch::X86_64));
        assert_eq!(
            (node("n", &new, Arch::Aarch64).arch, node("n", &[], Arch::X86_64).arch),
            (Some(Arch::X86_64), None)
        );
    }
}
