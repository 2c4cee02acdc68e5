//! The order in which ready tasks are given out, and how long they are expected to take.
//!
//! A task gets one number when it becomes ready: the moment at which it would be its turn if there were enough nodes.
//! Urgency moves that moment, and so does what its owner has in the queue already; what a long chain waits for comes
//! earlier. The lowest is next. As all of these are bounded and time goes on, nothing waits for ever, and the queue need
//! never be sorted anew.

use std::collections::BTreeMap;

use anima_db::{
    Write,
    build::Build,
    task::{About, Task},
    task_queue::Share,
};
use anima_schedule::{Graph, Source};
use anima_types::{Arch, build::Priority, package::MEASURED_BUILDS, task::Event, work::SrcOutcome};

use crate::error::ApiResult;

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
const WAITS: &str = "It waits for a node.";
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
    /// How long it took the last time, in seconds.
    pub measured_secs: Option<i64>,
    /// That, or what others took.
    pub secs: f64,
    /// How long it takes with the longest chain of those that wait for it.
    pub chain_secs: i64,
}

impl Queue {
    /// Counts what the build's owner has in the queue now.
    pub async fn of(write: &mut Write, build: &Build) -> ApiResult<Queue> {
        let who = (build.owner.as_str(), build.team.as_deref());
        let share = anima_db::task_queue::share(write, who, MAX_OWNED).await?;
        Ok(Queue { priority: build.priority, share })
    }

    /// Makes tasks that wait for nothing but a node, each at its place.
    pub async fn make_ready(&mut self, write: &mut Write, tasks: Vec<About>) -> ApiResult<()> {
        let mut placed = Vec::with_capacity(tasks.len());
        for about in tasks {
            placed.push((about, Some(write.now.plus_secs(delay_secs(self.priority, self.share, 0)))));
            self.share.owned += 1;
        }
        anima_db::task_queue::insert_all(write, &placed, (ASKED, WAITS)).await?;
        Ok(())
    }

    /// Lets a task wait for a node, at its place.
    pub async fn ready(&mut self, write: &mut Write, task: &Task) -> ApiResult<()> {
        let place = write.now.plus_secs(delay_secs(self.priority, self.share, task.chain_secs));
        self.share.owned += 1;
        anima_db::task_queue::set_queued_for(write, task.id, place).await?;
        anima_db::task::apply(write, task, Event::DependenciesMet, WAITS).await?;
        Ok(())
    }
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

/// Returns what is known of a source package for the order.
pub fn source(package: &str, made: &SrcOutcome, cost_secs: f64) -> Source {
    Source {
        name: package.to_string(),
        provides: made.provides.clone(),
        build_requires: made.build_requires.clone(),
        cost_secs,
    }
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

/// Returns how long the builds of packages take on an architecture, by what their last ones took; of those that were
/// never built there, what the others take in the middle.
pub async fn estimate(
    connection: &mut anima_db::Connection,
    platform: &str,
    arch: Arch,
    made: &BTreeMap<&str, &SrcOutcome>,
) -> ApiResult<BTreeMap<String, Estimate>> {
    let packages: Vec<&str> = made.keys().copied().collect();
    let mut took = anima_db::task::newest_durations(connection, &packages, platform, arch, MEASURED_BUILDS).await?;
    let measured: BTreeMap<&str, Option<f64>> =
        packages.into_iter().map(|package| (package, took.remove(package).map(middle))).collect();
    let guess = middle(measured.values().flatten().copied().collect());
    let costs: BTreeMap<&str, f64> = measured.iter().map(|(package, took)| (*package, took.unwrap_or(guess))).collect();
    let sources: Vec<Source> = made.iter().map(|(package, made)| source(package, made, costs[package])).collect();
    let (graph, _) = Graph::new(&sources).without_circles();
    let chains = graph.remaining_secs().expect("the circles were taken out");
    let estimates = measured.into_iter().enumerate().map(|(at, (package, took))| {
        let estimate = Estimate {
            measured_secs: took.map(|secs| secs.ceil() as i64),
            secs: costs[package],
            chain_secs: chains[at].ceil() as i64,
        };
        (package.to_string(), estimate)
    });
    Ok(estimates.collect())
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
    fn the_median_of_nothing_is_a_guess() {
        assert_eq!(middle(vec![]), UNKNOWN_SECS);
        assert_eq!(middle(vec![9.0, 1.0, 5.0]), 5.0);
    }
}
