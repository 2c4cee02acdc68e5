//! Roots of failed tasks that a node keeps for a time, so that a person can look.
//!
//! Nothing dials into a node, so a root is entered on the node's own machine, through its folder.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anima_environment::{Emulators, Environments, Journal, Kept, Layers, blocking};
use anima_types::Arch;
use anima_types::id::TaskId;
use anima_types::work::Failure;
use anyhow::Context;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::engine::Aftermath;
use crate::entry::Entry;
use crate::limits::Limits;
use crate::trouble::Trouble;
use crate::workroot::Workroot;

/// The version of [`About`].
const ABOUT_VERSION: u32 = 1;

/// Which roots of failed tasks a node keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keep {
    /// For how long.
    pub time: Duration,
    /// How much they may take on the disk, all together.
    pub bytes: u64,
}

/// What is known of a kept root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    version: u32,
    /// The task.
    pub task: TaskId,
    /// The package.
    pub package: String,
    /// What it was built for.
    pub arch: Arch,
    /// Why it failed.
    pub failure: String,
    uid: u32,
    gid: u32,
    /// What the task might use.
    limits: Limits,
}

/// A kept root that is mounted as long as this lives.
#[derive(Debug)]
pub struct KeptRoot {
    /// What is known of it.
    pub about: About,
    /// How it is entered.
    pub entry: Entry,
    _mounted: Kept,
}

/// Mounts the kept root of a task; nothing when the node in this folder keeps none.
pub fn enter(node_data: &Path, helper: &Path, emulators: Emulators, task: TaskId) -> anyhow::Result<Option<KeptRoot>> {
    let environments = Environments::open(&node_data.join("environments"), helper)?.with_emulators(emulators);
    let name = name_of(task);
    let mounted = environments.layers().enter_kept(&name).with_context(|| format!("could not enter {name}"))?;
    let Some(mounted) = mounted else { return Ok(None) };
    let about: About = serde_json::from_str(mounted.about()).context("could not read what is known of the root")?;
    let (root, helper) = (mounted.path(), helper.to_owned());
    let emulators = environments.emulators(about.arch)?;
    let (owner, written, limits) = ((about.uid, about.gid), mounted.written(), about.limits);
    let entry = Entry { root, owner, arch: about.arch, emulators, helper, written, limits };
    Ok(Some(KeptRoot { about, entry, _mounted: mounted }))
}

/// Removes what is too old or too much; returns how many roots went. A node that keeps none removes all. It blocks for as long as it
/// takes to count what large builds have left.
pub(crate) fn sweep_once(layers: &Layers, keep: Option<Keep>, now: SystemTime) -> anyhow::Result<u64> {
    let keep = keep.unwrap_or(Keep { time: Duration::ZERO, bytes: 0 });
    let swept = layers.sweep_kept(now, keep.time, keep.bytes);
    swept.context("could not sweep the kept roots")
}

/// Keeps the root of one task if it fails.
#[derive(Debug)]
pub(crate) struct Keeper<'a> {
    pub node: &'a str,
    pub task: TaskId,
    pub package: &'a str,
    pub keep: Keep,
    pub environments: &'a Environments,
    pub journal: &'a Journal,
}

impl Aftermath for Keeper<'_> {
    fn failed<'a>(&'a self, root: Workroot, failure: &'a Failure) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let (uid, gid) = root.files().owner();
            let about = About {
                version: ABOUT_VERSION,
                task: self.task,
                package: self.package.to_owned(),
                arch: root.arch(),
                failure: failure.message.clone(),
                uid,
                gid,
                limits: root.limits(),
            };
            let about = serde_json::to_string(&about).expect("plain data");
            // Why the task failed matters more than that its root could not be kept.
            if let Err(error) = root.keep(&name_of(self.task), &about).await {
                self.journal.say(format!("the root is not kept: could not {error}"));
                return Ok(());
            }
            let hours = self.keep.time.as_secs_f64() / 3600.0;
            self.journal.say(format!(
                "the root is kept for {hours:.0} h, on the machine of node {}: `anima build shell {}` there enters it",
                self.node, self.task
            ));
            // One that is larger than all may be together goes at once.
            let (layers, keep) = (Arc::clone(self.environments.layers()), self.keep);
            if let Err(error) = blocking(move || sweep_once(&layers, Some(keep), SystemTime::now())).await {
                tracing::warn!("{error:#}");
            }
            Ok(())
        })
    }
}

fn name_of(task: TaskId) -> String {
    format!("task-{task}")
}

impl Keep {
    /// Returns what a configuration says in hours and MiB; nothing where either is 0.
    pub fn of(hours: u64, mib: u64) -> Option<Keep> {
        let keep = Keep { time: Duration::from_secs(hours * 3600), bytes: mib * 1024 * 1024 };
        (hours > 0 && mib > 0).then_some(keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_keeps_for_no_time_or_on_no_room_keeps_nothing() {
        assert_eq!((Keep::of(0, 1), Keep::of(1, 0)), (None, None));
        assert_eq!(Keep::of(2, 1), Some(Keep { time: Duration::from_secs(7200), bytes: 1 << 20 }));
    }
}
