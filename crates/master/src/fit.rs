//! Which nodes a task fits: what its package asks of a node's machine, and what nodes give.
//!
//! What a platform says of all its builds are bounds, and asks nothing: only who says of one package that it may use 64 GiB means
//! that it needs them.

use anima_db::{Connection, node::Node, task::Task};
use anima_types::{
    Timestamp,
    lease::{Condition, Gives, OLDEST_PROTOCOL},
    platform::{PackageOptions, Platform},
    task::Kind,
};

use crate::{app::App, error::ApiResult, node};

/// A node that lost a task or gave it back does not get it again for so long, while another one could have it.
const AVOID_SECS: f64 = 300.0;

/// What a task asks of a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Asks {
    memory_mib: Option<u64>,
    disk_mib: Option<u64>,
    cores: Option<u32>,
    features: Vec<String>,
}

impl Asks {
    /// Asks features and nothing else.
    #[cfg(test)]
    pub(crate) fn features(needs: &[&str]) -> Asks {
        Asks { features: needs.iter().map(ToString::to_string).collect(), ..Asks::default() }
    }

    fn of_options(options: &PackageOptions) -> Asks {
        let limits = options.limits;
        Asks {
            memory_mib: limits.memory_mib,
            disk_mib: limits.disk_mib,
            cores: limits.cores,
            features: options.needs.clone(),
        }
    }

    /// Returns what packages of these platforms ask, each once.
    pub fn all(platforms: &[Platform]) -> Vec<Asks> {
        let mut all: Vec<Asks> = Vec::new();
        for platform in platforms {
            let of_flavors = platform.flavors.values().flat_map(|flavor| flavor.packages.values());
            for asks in platform.packages.values().chain(of_flavors).map(Asks::of_options) {
                if asks != Asks::default() && !all.contains(&asks) {
                    all.push(asks);
                }
            }
        }
        all
    }

    /// Reads what a task asks: a source package is made anywhere, and so is a test.
    pub async fn of(app: &App, connection: &mut Connection, task: &Task) -> ApiResult<Asks> {
        let platform = task.about.platform.as_deref().and_then(|name| app.platform(name));
        let (Kind::Build, Some(package), Some(platform)) = (task.about.kind, &task.about.package, platform) else {
            return Ok(Asks::default());
        };
        if !is_of_a_flavor(platform, package) {
            return Ok(Asks::of_options(platform.options(package)));
        }
        let flavors = match task.about.build {
            Some(build) => anima_db::build::get(connection, build).await?.options.flavors,
            None => Vec::new(),
        };
        // One that is not there any more is told when the task is given out.
        let platform = platform.with_flavors(&flavors);
        Ok(platform.map(|platform| Asks::of_options(platform.options(package))).unwrap_or_default())
    }

    /// Returns how many cores count as its own: one at least.
    pub fn cores(&self) -> u64 {
        self.cores.map_or(1, u64::from).max(1)
    }

    /// Returns what a node lacks, in words; nothing where the task fits it. What a node does not say, it has enough of; but a
    /// feature has to be said.
    pub fn lacks(&self, condition: &Condition) -> Option<String> {
        let gives = condition.gives.or_else(|| condition.machine.map(of_machine));
        let (memory_mib, disk_mib, cores) = match gives {
            Some(Gives { memory_mib, disk_mib, cores }) => (memory_mib, disk_mib, cores),
            None => (u64::MAX, u64::MAX, u32::MAX),
        };
        if self.memory_mib.is_some_and(|asked| asked > memory_mib) {
            return Some(format!("gives {memory_mib} MiB of memory"));
        }
        if self.disk_mib.is_some_and(|asked| asked > disk_mib) {
            return Some(format!("gives {disk_mib} MiB on the disk"));
        }
        if self.cores.is_some_and(|asked| asked > cores) {
            return Some(format!("gives {cores} cores"));
        }
        let missing = self.features.iter().find(|word| !condition.features.contains(word));
        missing.map(|word| format!("has no {word}"))
    }

    /// Returns what is asked, in words; nothing where that is nothing.
    pub fn in_words(&self) -> Option<String> {
        let memory = self.memory_mib.map(|mib| format!("{mib} MiB of memory"));
        let disk = self.disk_mib.map(|mib| format!("{mib} MiB on the disk"));
        let cores = self.cores.map(|cores| format!("{cores} cores"));
        let all = memory.into_iter().chain(disk).chain(cores).chain(self.features.iter().cloned());
        Some(all.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    }
}

fn is_of_a_flavor(platform: &Platform, package: &str) -> bool {
    platform.flavors.values().any(|flavor| flavor.packages.contains_key(package))
}

/// What a node of an earlier version gives, which says only what its machine has.
fn of_machine(machine: anima_types::lease::Machine) -> Gives {
    // A tenth is for the node itself and the system.
    Gives { memory_mib: machine.memory_mib / 10 * 9, disk_mib: machine.free_disk_mib, cores: machine.cores }
}

/// Returns whether a node is there and takes tasks, as it said last.
pub fn is_taking(node: &Node, now: Timestamp) -> bool {
    node.drain.is_none()
        && node.condition.problem.is_none()
        && node.condition.protocol >= OLDEST_PROTOCOL
        && node::is_heard_of(node.seen_at, now)
}

/// Returns whether a task was lost or given back just now.
pub fn was_lost(task: &Task, now: Timestamp) -> bool {
    task.attempts > 0 && (0.0..AVOID_SECS).contains(&now.secs_since(task.since))
}

/// Returns the nodes that lost a task or gave it back since it was last restarted, the last one first: it shall go to another, where
/// there is one. Some time after the last of that it may go to any.
pub async fn avoided(connection: &mut Connection, task: &Task, now: Timestamp) -> ApiResult<Vec<String>> {
    if !was_lost(task, now) {
        return Ok(Vec::new());
    }
    let attempts = anima_db::lease::attempts(connection, task.id, task.attempts).await?;
    let mut nodes = Vec::new();
    for attempt in attempts {
        if !nodes.contains(&attempt.node) {
            nodes.push(attempt.node);
        }
    }
    Ok(nodes)
}

/// Returns whether another node than these could have a task: one that is there, takes tasks and runs its architecture, or emulates
/// it where `emulated`.
pub fn fits_another(
    nodes: &[Node],
    now: Timestamp,
    task: &Task,
    asks: &Asks,
    (names, emulated): (&[String], bool),
) -> bool {
    nodes.iter().any(|node| {
        let runs = task
            .about
            .arch
            .is_none_or(|arch| node.architectures.contains(&arch) || (emulated && node.emulated.contains(&arch)));
        !names.contains(&node.name)
            && runs
            && is_taking(node, now)
            && node.kinds.contains(&task.about.kind)
            && asks.lacks(&node.condition).is_none()
    })
}

#[cfg(test)]
mod tests {
    use anima_types::{lease::Machine, platform::Limits};

    use super::*;

    fn asks(limits: Limits, needs: &[&str]) -> Asks {
        let needs = needs.iter().map(ToString::to_string).collect();
        Asks::of_options(&PackageOptions { limits, needs, ..PackageOptions::default() })
    }

    #[test]
    fn a_task_fits_a_node_that_gives_what_it_asks() {
        let gives = Gives { memory_mib: 8192, disk_mib: 50_000, cores: 4 };
        let node = Condition { gives: Some(gives), features: vec!["kvm".into()], ..Condition::default() };
        let lacks = |limits, needs: &[&str]| asks(limits, needs).lacks(&node).unwrap_or_default();
        let nothing = Limits::default();

        assert_eq!(lacks(nothing, &[]), "");
        assert_eq!(lacks(Limits { memory_mib: Some(8192), cores: Some(4), ..nothing }, &["kvm"]), "");
        assert_eq!(lacks(Limits { memory_mib: Some(65_536), ..nothing }, &[]), "gives 8192 MiB of memory");
        assert_eq!(lacks(Limits { disk_mib: Some(60_000), ..nothing }, &[]), "gives 50000 MiB on the disk");
        assert_eq!(lacks(Limits { cores: Some(8), ..nothing }, &[]), "gives 4 cores");
        assert_eq!(lacks(nothing, &["kvm", "gpu"]), "has no gpu");
    }

    #[test]
    fn of_a_node_that_says_less_no_more_is_known() {
        let large = asks(Limits { memory_mib: Some(65_536), ..Limits::default() }, &[]);
        let machine = Machine { cores: 4, memory_mib: 8192, free_memory_mib: 1, free_disk_mib: 9, load_percent: 0 };
        let earlier = Condition { machine: Some(machine), ..Condition::default() };

        assert_eq!(large.lacks(&Condition::default()), None);
        assert!(large.lacks(&earlier).is_some());
        assert_eq!(asks(Limits::default(), &["kvm"]).lacks(&earlier).as_deref(), Some("has no kvm"));
        assert_eq!(large.in_words().as_deref(), Some("65536 MiB of memory"));
        assert_eq!(Asks::default().in_words(), None);
    }
}
