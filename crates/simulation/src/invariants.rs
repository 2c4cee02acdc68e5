//! What has to hold whatever happens. A complaint is a sentence; the world adds the seed and the trace.

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{
    build,
    event::Event,
    id::{BuildId, ReleaseId, TaskId},
    release, task,
};
use serde_json::Value;

/// What the world has seen of leases.
#[derive(Debug, Default)]
pub struct Leases {
    /// The newest number that each task was given out with.
    newest: BTreeMap<TaskId, i64>,
    /// Numbers whose report was taken.
    reported: BTreeSet<(TaskId, i64)>,
}

impl Leases {
    /// A task was given out.
    pub fn given(&mut self, task: TaskId, number: i64) -> Result<(), String> {
        let newest = self.newest.entry(task).or_default();
        if number <= *newest {
            return Err(format!("task {task} was given out with lease {number}, after lease {newest}"));
        }
        *newest = number;
        Ok(())
    }

    /// A report was taken.
    pub fn reported(&mut self, task: TaskId, number: i64) -> Result<(), String> {
        let newest = self.newest.get(&task).copied().unwrap_or_default();
        // The answer that gave it out may have been lost with the master, which then knows a newer number than the world.
        if number < newest && !self.reported.contains(&(task, number)) {
            return Err(format!(
                "a report with lease {number} of task {task} was taken, after lease {newest} was given out"
            ));
        }
        self.reported.insert((task, number));
        Ok(())
    }
}

/// What the events say that is so, one event after the other.
#[derive(Debug, Default)]
pub struct Replay {
    last: i64,
    tasks: BTreeMap<TaskId, task::Status>,
    builds: BTreeMap<BuildId, build::Status>,
    releases: BTreeMap<ReleaseId, release::Status>,
    /// How often each task was given out since it was begun or restarted.
    claims: BTreeMap<TaskId, u32>,
    /// How mass rebuilds are held.
    holds: BTreeMap<BuildId, Hold>,
    /// The build of each task that has one.
    build_of: BTreeMap<TaskId, BuildId>,
    /// Tasks of no build and no release: those that make keys.
    lone: BTreeSet<TaskId>,
    /// How many events there were.
    pub count: usize,
}

/// How a mass rebuild is held.
#[derive(Clone, Copy, Debug, Default)]
struct Hold {
    is_paused: bool,
    limit: Option<usize>,
}

impl Replay {
    /// Returns the id of the newest event.
    pub const fn last(&self) -> i64 {
        self.last
    }

    /// Takes the next event: it has to follow from what was.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        if event.id.0 <= self.last {
            return Err(format!("event {} comes after event {}", event.id, self.last));
        }
        self.last = event.id.0;
        self.count += 1;
        let status = event.status.as_deref().unwrap_or_default();
        let wrong = |what: String| format!("event {}: {what} is said to be {status} after {}", event.id, event.verb);
        match (event.noun.as_str(), event.task, event.build, event.release) {
            ("task", Some(id), ..) => {
                let next = match self.tasks.get(&id) {
                    None => Some(task::Status::Waiting).filter(|_| event.verb == "created"),
                    Some(&before) => {
                        named(&task::Event::ALL, |it| it.name(), &event.verb).and_then(|it| task::next(before, it))
                    }
                };
                let next = next.filter(|next| next.name() == status).ok_or_else(|| wrong(format!("task {id}")))?;
                self.tasks.insert(id, next);
                if event.build.is_none() && event.release.is_none() {
                    self.lone.insert(id);
                }
                self.count_claims(id, &event.verb)?;
                if let Some(build) = event.build {
                    self.build_of.insert(id, build);
                    self.in_bounds(id, build, &event.verb)?;
                }
            }
            ("build", _, Some(id), _) if status.is_empty() => self.holds(id, event),
            ("build", _, Some(id), _) if !status.is_empty() => {
                let next = match self.builds.get(&id) {
                    None => Some(build::Status::Sources).filter(|_| event.verb == "created"),
                    Some(&before) => {
                        named(&build::Event::ALL, |it| it.name(), &event.verb).and_then(|it| build::next(before, it))
                    }
                };
                let next = next.filter(|next| next.name() == status).ok_or_else(|| wrong(format!("build {id}")))?;
                self.builds.insert(id, next);
            }
            ("release", _, _, Some(id)) if !status.is_empty() => {
                let next = match self.releases.get(&id) {
                    None => Some(release::Status::Planning).filter(|_| event.verb == "created"),
                    Some(&before) => named(&release::Event::ALL, |it| it.name(), &event.verb)
                        .and_then(|it| release::next(before, it)),
                };
                let next = next.filter(|next| next.name() == status).ok_or_else(|| wrong(format!("release {id}")))?;
                self.releases.insert(id, next);
            }
            _ => {}
        }
        Ok(())
    }

    fn holds(&mut self, id: BuildId, event: &Event) {
        let hold = self.holds.entry(id).or_default();
        match event.verb.as_str() {
            "paused" => hold.is_paused = true,
            "resumed" => hold.is_paused = false,
            // "ann lets the rebuild have at most 3 tasks under way at once."
            "limited" => {
                let mut words = event.message.split(' ').skip_while(|word| *word != "most").skip(1);
                hold.limit = words.next().and_then(|word| word.parse().ok());
            }
            _ => {}
        }
    }

    /// A rebuild that is paused begins nothing, and one with a bound has no more under way. Its signatures are not held.
    fn in_bounds(&self, id: TaskId, build: BuildId, verb: &str) -> Result<(), String> {
        let Some(hold) = self.holds.get(&build).filter(|_| verb == "claimed") else { return Ok(()) };
        let is_built = matches!(self.builds.get(&build), Some(build::Status::Signing | build::Status::Succeeded));
        if is_built {
            return Ok(());
        }
        if hold.is_paused {
            return Err(format!("task {id} was given out while rebuild {build} was paused"));
        }
        let is_its = |task: &&TaskId| self.build_of.get(task) == Some(&build);
        let leased =
            self.tasks.iter().filter(|(task, status)| **status == task::Status::Leased && is_its(task)).count();
        match hold.limit {
            Some(limit) if leased > limit => Err(format!("rebuild {build} has {leased} tasks at nodes, of {limit}")),
            _ => Ok(()),
        }
    }

    fn count_claims(&mut self, id: TaskId, verb: &str) -> Result<(), String> {
        let claims = self.claims.entry(id).or_default();
        match verb {
            "claimed" => *claims += 1,
            "restarted" => *claims = 0,
            _ => {}
        }
        match *claims > task::MAX_ATTEMPTS {
            true => Err(format!("task {id} was given out {claims} times")),
            false => Ok(()),
        }
    }

    /// Compares what the events say with what the service shows.
    pub fn compare(&self, builds: &[Value], releases: &[Value]) -> Result<(), String> {
        let shown = |list: &[Value]| -> BTreeMap<i64, String> {
            let pair = |one: &Value| Some((one["id"].as_i64()?, one["status"].as_str()?.to_string()));
            list.iter().filter_map(pair).collect()
        };
        let told: BTreeMap<i64, String> =
            self.builds.iter().map(|(id, status)| (id.0, status.name().to_string())).collect();
        if told != shown(builds) {
            return Err(format!("the events say of builds {told:?}, the service {:?}", shown(builds)));
        }
        let told: BTreeMap<i64, String> =
            self.releases.iter().map(|(id, status)| (id.0, status.name().to_string())).collect();
        if told != shown(releases) {
            return Err(format!("the events say of releases {told:?}, the service {:?}", shown(releases)));
        }
        Ok(())
    }

    /// Returns the tasks of no build and no release that failed: nothing restarts them but a person.
    pub fn failed_lone_tasks(&self) -> Vec<TaskId> {
        let failed = |id: &&TaskId| self.tasks.get(id) == Some(&task::Status::Failed);
        self.lone.iter().filter(failed).copied().collect()
    }

    /// Returns the tasks that have not ended.
    pub fn open_tasks(&self) -> Vec<TaskId> {
        self.tasks.iter().filter(|(_, status)| !status.is_ended()).map(|(id, _)| *id).collect()
    }
}

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, wanted: &str) -> Option<T> {
    all.iter().copied().find(|&one| name(one) == wanted)
}

/// A release has the source of each binary package: whoever sees one without the other sees a half release.
pub fn no_mixture(binary: &[Value], source: &[Value]) -> Result<(), String> {
    let versions = |packages: &[Value]| -> BTreeSet<String> {
        let nevra = |package: &Value| {
            package["nevra"].as_str().map(|text| text.rsplit_once('.').map_or(text, |it| it.0).to_string())
        };
        packages.iter().filter_map(nevra).collect()
    };
    let (binary, source) = (versions(binary), versions(source));
    match binary == source {
        true => Ok(()),
        false => Err(format!("users see the packages {binary:?} with the sources {source:?}")),
    }
}

/// Each push that the master took, as package and commit, is in exactly one build that pushes began, and each of those builds came to
/// a release: nothing that was pushed is lost on its way to users, and nothing is built for them twice.
pub fn pushes_are_built_once(pushes: &[(String, String)], builds: &[Value], releases: &[Value]) -> Result<(), String> {
    let of_pushes: Vec<&Value> =
        builds.iter().filter(|build| build["reason"].as_str().is_some_and(|it| it.starts_with("pushed to "))).collect();
    for (package, commit) in pushes {
        let has = |build: &&&Value| {
            let sources = build["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
            sources.iter().any(|source| source["package"] == *package && source["commit"] == *commit)
        };
        let ids: Vec<&Value> = of_pushes.iter().filter(has).map(|build| &build["id"]).collect();
        if ids.len() != 1 {
            return Err(format!("{commit} of {package} was pushed once and is in the builds {ids:?}"));
        }
    }
    let without = of_pushes.iter().find(|build| !releases.iter().any(|release| release["build"] == build["id"]));
    without.map_or(Ok(()), |build| Err(format!("build {} is {} and has no release", build["id"], build["status"])))
}

#[cfg(test)]
mod tests {
    use anima_types::{Timestamp, id::EventId};
    use serde_json::json;

    use super::*;

    fn event(id: i64, verb: &str, status: &str) -> Event {
        Event {
            id: EventId(id),
            at: Timestamp(0),
            noun: "task".into(),
            verb: verb.into(),
            status: Some(status.into()),
            actor: "anima".into(),
            build: None,
            task: Some(TaskId(7)),
            release: None,
            message: String::new(),
        }
    }

    fn replay(events: &[Event]) -> Result<(), String> {
        let mut replay = Replay::default();
        events.iter().try_for_each(|event| replay.take(event))
    }

    #[test]
    fn a_task_that_ends_twice_is_complained_of() {
        let once = [
            event(1, "created", "waiting"),
            event(2, "dependencies_met", "ready"),
            event(3, "claimed", "leased"),
            event(4, "succeeded", "succeeded"),
        ];
        assert_eq!(replay(&once), Ok(()));

        let twice = [&once[..], &[event(5, "succeeded", "succeeded")]].concat();
        assert!(replay(&twice).unwrap_err().contains("task 7 is said to be succeeded"));
    }

    #[test]
    fn events_out_of_order_and_tasks_given_out_too_often_are_complained_of() {
        assert!(replay(&[event(2, "created", "waiting"), event(1, "dependencies_met", "ready")]).is_err());
        let mut events = vec![event(1, "created", "waiting"), event(2, "dependencies_met", "ready")];
        for round in 0..=i64::from(task::MAX_ATTEMPTS) {
            events.push(event(3 + 2 * round, "claimed", "leased"));
            events.push(event(4 + 2 * round, "lease_expired", "ready"));
        }
        assert!(replay(&events).unwrap_err().contains("4 times"));
    }

    #[test]
    fn a_rebuild_that_is_not_in_its_bounds_is_complained_of() {
        let of = |event: Event| Event { build: Some(BuildId(3)), ..event };
        let hold = |id, verb: &str, message: &str| {
            let event = Event { noun: "build".into(), status: None, task: None, ..event(id, verb, "") };
            Event { message: message.into(), ..of(event) }
        };
        let other = |event: Event| Event { task: Some(TaskId(8)), ..event };
        let ready = [
            of(event(1, "created", "waiting")),
            of(event(2, "dependencies_met", "ready")),
            of(other(event(3, "created", "waiting"))),
            of(other(event(4, "dependencies_met", "ready"))),
        ];
        let with = |more: &[Event]| replay(&[&ready[..], more].concat());
        let first = of(event(6, "claimed", "leased"));
        let second = of(other(event(7, "claimed", "leased")));
        let bound = hold(5, "limited", "ann lets the rebuild have at most 1 tasks under way at once.");

        assert!(with(&[hold(5, "paused", "Paused."), first.clone()]).unwrap_err().contains("paused"));
        assert_eq!(with(&[bound.clone(), first.clone()]), Ok(()));
        assert!(with(&[bound, first.clone(), second.clone()]).unwrap_err().contains("2 tasks at nodes, of 1"));
        assert_eq!(with(&[hold(5, "limited", "ann took the rebuild's bound away."), first, second]), Ok(()));
    }

    #[test]
    fn an_old_lease_and_a_late_report_are_complained_of() {
        let mut leases = Leases::default();
        leases.given(TaskId(1), 1).unwrap();
        leases.given(TaskId(1), 2).unwrap();

        assert!(leases.given(TaskId(1), 2).is_err());
        assert!(leases.reported(TaskId(1), 1).is_err());
        assert_eq!(leases.reported(TaskId(1), 2), Ok(()));
    }

    #[test]
    fn a_half_release_is_complained_of() {
        let package = |nevra: &str| json!({ "nevra": nevra });

        assert_eq!(no_mixture(&[package("a-1-1.x86_64")], &[package("a-1-1.src")]), Ok(()));
        assert!(no_mixture(&[package("a-2-1.x86_64")], &[package("a-1-1.src")]).is_err());
    }

    #[test]
    fn a_push_without_a_build_with_two_or_without_a_release_is_told() {
        let pushes = [("a".to_string(), "a-1".to_string())];
        let build = |id: u64, commit: &str, reason: &str| json!({ "id": id, "status": "succeeded", "reason": reason, "sources": [{ "package": "a", "commit": commit }] });
        let (pushed, rebuilt) = (build(1, "a-1", "pushed to a@p1"), build(2, "a-1", "rebuild of p1"));
        let release = json!({ "id": 5, "build": 1 });
        let complaint = |builds: &[Value], releases: &[Value]| pushes_are_built_once(&pushes, builds, releases).err();

        assert_eq!(complaint(&[pushed.clone(), rebuilt.clone()], std::slice::from_ref(&release)), None);
        assert!(complaint(&[rebuilt], std::slice::from_ref(&release)).expect("no build").contains("builds []"));
        let twice = [pushed.clone(), build(3, "a-1", "pushed to a@p1")];
        assert!(complaint(&twice, &[release]).expect("two builds").contains("1"));
        assert!(complaint(&[pushed], &[]).expect("no release").contains("no release"));
    }
}
