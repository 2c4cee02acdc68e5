//! The order in which ready tasks are given out, and how long they are expected to take.
//!
//! A task gets one number when it can begin: the moment at which it would be its turn if there were enough nodes.
//! Urgency moves that moment, and so does what its owner has in the queue already; what a long chain waits for comes
//! earlier. The lowest is next. As all of these are bounded and time goes on, nothing waits for ever, and the queue need
//! never be sorted anew. A task that was ready and is held back keeps its number.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Write,
    build::Build,
    task::{About, Task},
    task_queue::{self, Begun, Share},
};
use anima_types::{
    Arch, Sha256, Timestamp, build::Priority, build_plan::Basis, package::MEASURED_BUILDS, work::SrcOutcome,
};

use super::order::Taken;
use crate::{error::ApiResult, quota::Bound};

/// An urgent build is before what came up to a day earlier, and one in the background after what comes up to a day later.
const PRIORITY_SECS: i64 = 24 * 3600;
/// Each task that an owner has in the queue puts their next one so much later: whoever asks for one package is served
/// between those of somebody who asked for a thousand. Who builds for a team has the team's share together with all of its
/// people who have something in the queue: of ten, each one's next comes ten times so much later.
const SHARE_SECS: i64 = 20;
/// At most so much later.
const MAX_SHARE_SECS: i64 = 12 * 3600;
/// More tasks of an owner make no difference, and need not be counted.
pub const MAX_OWNED: i64 = MAX_SHARE_SECS / SHARE_SECS;
/// Why a task that was just made stands where it stands.
pub const ASKED: &str = "It was asked for.";
/// Why a ready task stands where it stands.
pub const WAITS: &str = "It waits for a node.";
/// What a long chain waits for is at most so much earlier.
const MAX_CHAIN_SECS: i64 = 3600;
/// What a build takes of which, and of whose neighbours, nothing is known.
pub const UNKNOWN_SECS: f64 = 60.0;

/// The places of a build's tasks in the queue.
pub struct Queue {
    priority: Priority,
    /// What the build's owner, and their team, have in the queue.
    share: Share,
}

/// How long a package's build takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// In seconds.
    pub secs: f64,
    /// Whence that is known.
    pub basis: Basis,
}

impl Estimate {
    /// Returns how long it took the last times, in seconds; nothing where that is a guess.
    pub fn measured_secs(&self) -> Option<i64> {
        (self.basis == Basis::Measured).then(|| self.secs.ceil() as i64)
    }
}

impl Queue {
    /// Counts what the build's owner has in the queue now.
    pub async fn of(write: &mut Write, build: &Build) -> ApiResult<Queue> {
        let who = (build.owner.as_str(), build.team.as_deref());
        let owned = task_queue::owned(write, who, MAX_OWNED).await?;
        // Who has so many is as late as anybody can be, whoever else there is.
        let people = if owned < MAX_OWNED { task_queue::people(write, who).await? } else { 1 };
        Ok(Queue { priority: build.priority, share: Share { owned, people } })
    }

    /// Makes tasks that wait for nothing but a node, each at its place.
    pub async fn make_ready(&mut self, write: &mut Write, tasks: Vec<About>) -> ApiResult<()> {
        let mut placed = Vec::with_capacity(tasks.len());
        for about in tasks {
            placed.push((about, Some(write.now.plus_secs(delay_secs(self.priority, self.share, 0)))));
            self.share.owned += 1;
        }
        task_queue::insert_all(write, &placed, (ASKED, WAITS)).await?;
        Ok(())
    }

    /// Gives tasks that can begin their places: in the queue, or, where their team has a bound, among those that wait for its turn.
    pub async fn begin_all(
        &mut self,
        write: &mut Write,
        tasks: Vec<Task>,
        taken: &Taken<'_>,
        bound: Option<&Bound>,
    ) -> ApiResult<()> {
        let now = write.now;
        let placed: Vec<(Task, Timestamp)> = tasks
            .into_iter()
            .map(|task| {
                let place = now.plus_secs(delay_secs(self.priority, self.share, task.chain_secs));
                self.share.owned += 1;
                (task, place)
            })
            .collect();
        match bound {
            Some(bound) => {
                let places: Vec<_> = placed.iter().map(|(task, place)| (task.id, *place)).collect();
                anima_db::task_hold::hold_for_team(write, &places, bound.team(), &bound.why()).await?;
            }
            None => {
                let begun = placed.into_iter().map(|(task, place)| begun(task, place, taken));
                anima_db::task_queue::begin_all(write, &begun.collect::<Vec<_>>()).await?;
            }
        }
        Ok(())
    }
}

/// Returns what is written of a task that waits for nothing but a node from now on.
pub fn begun(task: Task, queued_for: Timestamp, taken: &Taken<'_>) -> Begun {
    let why = format!("{WAITS}{}", taken.sentence(&task).unwrap_or_default());
    Begun { task, queued_for, why }
}

/// Returns how much after now a task's turn is; a negative number is before.
fn delay_secs(priority: Priority, share: Share, chain_secs: i64) -> i64 {
    let hurry = match priority {
        Priority::Urgent => -PRIORITY_SECS,
        Priority::Normal => 0,
        Priority::Background => PRIORITY_SECS,
    };
    hurry + share.owned.saturating_mul(share.people * SHARE_SECS).min(MAX_SHARE_SECS)
        - chain_secs.clamp(0, MAX_CHAIN_SECS)
}

/// Returns the last builds of a package for a target that succeeded, the newest first.
pub async fn last_builds(
    connection: &mut anima_db::Connection,
    package: &str,
    platform: &str,
    arch: Arch,
) -> ApiResult<Vec<Task>> {
    Ok(anima_db::task::list_newest_successes(connection, package, platform, arch, MEASURED_BUILDS).await?)
}

/// Returns how long builds took in the middle: one that met a busy node does not make all later plans wrong.
pub fn measured_secs(builds: &[Task]) -> Option<f64> {
    let took = builds.iter().filter_map(|task| Some(task.ended_at?.secs_since(task.started_at?)));
    let took: Vec<f64> = took.collect();
    (!took.is_empty()).then(|| middle(took))
}

/// Returns how long the builds of packages take on an architecture, by what their last ones took. Those that were never built there
/// are guessed by the size of their source packages, and by what those of `history` took in the middle for theirs; where a size is
/// not known, by what those took in the middle.
pub async fn estimate(
    connection: &mut anima_db::Connection,
    platform: &str,
    arch: Arch,
    made: &BTreeMap<String, SrcOutcome>,
    history: &BTreeMap<String, SrcOutcome>,
) -> ApiResult<BTreeMap<String, Estimate>> {
    let packages: Vec<&str> = history.keys().map(String::as_str).collect();
    let took = anima_db::task::newest_durations(connection, &packages, platform, arch, MEASURED_BUILDS).await?;
    let took: BTreeMap<String, f64> = took.into_iter().map(|(package, took)| (package, middle(took))).collect();
    let sizes = match made.keys().all(|package| took.contains_key(package)) {
        true => BTreeMap::new(),
        false => {
            let all: BTreeSet<Sha256> = history.values().chain(made.values()).map(|made| made.srpm).collect();
            anima_db::artifact::sizes(connection, &all).await?
        }
    };
    let known =
        took.iter().filter_map(|(package, secs)| Some((*secs, sizes.get(&history.get(package)?.srpm).copied())));
    let pace = Pace::of(&known.collect::<Vec<_>>());
    let estimate = |(package, made): (&String, &SrcOutcome)| {
        let estimate = match took.get(package) {
            Some(secs) => Estimate { secs: *secs, basis: Basis::Measured },
            None => pace.guess(sizes.get(&made.srpm).copied()),
        };
        (package.clone(), estimate)
    };
    Ok(made.iter().map(estimate).collect())
}

/// How long builds take in the middle.
struct Pace {
    median_secs: f64,
    /// For each byte of the source package, where sizes are known.
    secs_per_byte: Option<f64>,
    /// Nothing is guessed to take longer or less than anything did: sizes do not say so much.
    bounds_secs: (f64, f64),
}

impl Pace {
    /// Reads it from builds: how long each took, and the size of its source package.
    fn of(builds: &[(f64, Option<u64>)]) -> Pace {
        let paces =
            builds.iter().filter_map(|(secs, size)| size.filter(|size| *size > 0).map(|size| secs / size as f64));
        let paces: Vec<f64> = paces.collect();
        let secs = || builds.iter().map(|(secs, _)| *secs);
        Pace {
            median_secs: middle(secs().collect()),
            secs_per_byte: (!paces.is_empty()).then(|| middle(paces)),
            bounds_secs: (secs().fold(f64::INFINITY, f64::min), secs().fold(0.0, f64::max)),
        }
    }

    fn guess(&self, size_bytes: Option<u64>) -> Estimate {
        match size_bytes.filter(|size| *size > 0).zip(self.secs_per_byte) {
            Some((size, pace)) => {
                let secs = (size as f64 * pace).max(self.bounds_secs.0).min(self.bounds_secs.1);
                Estimate { secs, basis: Basis::Size }
            }
            None => Estimate { secs: self.median_secs, basis: Basis::Unknown },
        }
    }
}

/// Returns the median.
fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(UNKNOWN_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn alone(owned: i64) -> Share {
        Share { owned, people: 1 }
    }

    #[test]
    fn a_team_of_ten_has_the_share_of_one() {
        let turns_before = |share: fn(i64) -> Share, secs| {
            (0..1_000).filter(|owned| delay_secs(Priority::Normal, share(*owned), 0) < secs).count()
        };

        let of_ten = 10 * turns_before(|owned| Share { owned, people: 10 }, 2_000);

        assert_eq!((of_ten, turns_before(alone, 2_000)), (100, 100));
        let latest = delay_secs(Priority::Normal, Share { owned: MAX_OWNED, people: 1_000 }, 0);
        assert_eq!(latest, MAX_SHARE_SECS);
    }

    #[test]
    fn a_single_package_is_served_between_those_of_a_mass_rebuild() {
        let mass: Vec<i64> = (0..1_000).map(|owned| delay_secs(Priority::Normal, alone(owned), 100)).collect();

        // Ten minutes later somebody else asks for one.
        let single = 600 + delay_secs(Priority::Normal, alone(0), 0);

        let before = mass.iter().filter(|place| **place <= single).count();
        assert_eq!(before, 36, "of a thousand tasks");
    }

    #[test]
    fn nothing_waits_for_ever() {
        let worst = delay_secs(Priority::Background, alone(i64::from(u32::MAX)), 0);
        let best = delay_secs(Priority::Urgent, alone(0), i64::MAX);

        assert!(worst - best < 3 * 24 * 3600);
    }

    #[test]
    fn what_a_long_chain_waits_for_goes_first_within_a_build() {
        assert!(delay_secs(Priority::Normal, alone(5), 3_000) < delay_secs(Priority::Normal, alone(0), 10));
    }

    #[test]
    fn what_was_never_built_is_guessed_by_its_size_within_what_others_took() {
        let pace = Pace::of(&[(10.0, Some(100)), (40.0, Some(200)), (90.0, None), (60.0, Some(300))]);

        let guesses = [Some(250), Some(1), Some(1_000_000), None].map(|size| pace.guess(size));

        assert_eq!(guesses.map(|guess| guess.secs), [50.0, 10.0, 90.0, 60.0]);
        assert_eq!(guesses.map(|guess| guess.basis), [Basis::Size, Basis::Size, Basis::Size, Basis::Unknown]);
        assert_eq!(Pace::of(&[]).guess(Some(5)), Estimate { secs: UNKNOWN_SECS, basis: Basis::Unknown });
    }

    #[test]
    fn the_median_of_nothing_is_a_guess() {
        assert_eq!(middle(vec![]), UNKNOWN_SECS);
        assert_eq!(middle(vec![9.0, 1.0, 5.0]), 5.0);
    }
}
