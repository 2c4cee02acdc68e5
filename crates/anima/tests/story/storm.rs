//! Roles are killed at random while packages are built: everything ends, nothing is lost, nothing is done twice.
//!
//! `ANIMA_STORM_KILLS` says how many kills (a few hundred take some minutes), `ANIMA_STORM_SEED` repeats a storm.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
    time::Duration,
};

use anima_simulation::invariants::{Replay, pushes_are_built_once};
use anima_testkit::{Cluster, Root, SourcePackage, System};
use anima_types::{
    build::Status,
    id::{BuildId, EventId},
    release::ListQuery,
    task::{self, MAX_ATTEMPTS},
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::{BUILD_LIMIT, said, system};

/// Enough for every role to be killed in the middle of something.
const KILLS: usize = 24;
/// Packages that are pushed while it goes on.
const PACKAGES: usize = 8;
const EVENTS_READ: u32 = 1_000;

/// Those that hold no task are killed as often as those that do. A task whose node is killed too often is given up, by
/// design; so nodes are killed less often than the rest.
const ROLES: [&str; 9] = [
    "master",
    "master",
    "master",
    "git-service",
    "git-service",
    "sign-server",
    "release-system",
    "build-node",
    "test-node",
];

/// A small generator (SplitMix64), so that a seed means the same for ever.
struct Random(u64);

impl Random {
    /// Begins with the seed of the environment, or with one that is printed.
    fn new() -> Random {
        let given = env::var("ANIMA_STORM_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        println!("ANIMA_STORM_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("it is below the bound")
    }
}

fn kills() -> usize {
    env::var("ANIMA_STORM_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

/// Pushes packages and kills roles, in turn and at random, until both are done; returns package and commit of each push.
async fn storm(front: &System, masters: &[&System]) -> Vec<(String, String)> {
    let (mut random, total, mut pushed) = (Random::new(), kills(), Vec::new());
    for kill in 0..total {
        while pushed.len() * total <= kill * PACKAGES && pushed.len() < PACKAGES {
            let package = SourcePackage::tiny(&format!("leaf{}", pushed.len()), "1").unwrap();
            // A push is refused while nobody can say who pushes; its packager tries again.
            let commit = front.wait(BUILD_LIMIT, async || front.push(&package, "s1").ok()).await;
            pushed.push((package.name().to_string(), commit.expect("a push is taken at last")));
        }
        let role = ROLES[random.below(ROLES.len())];
        match role {
            "master" => masters[random.below(masters.len())].kill(role).await.unwrap(),
            _ => front.kill(role).await.unwrap(),
        }
        sleep(Duration::from_millis(random.below(900) as u64)).await;
    }
    pushed
}

/// Waits for the end of everything, and looks at what came of it, also at what this master has in its database and store.
async fn settle(front: &System, master: &System, pushed: &[(String, String)]) {
    let mut builds = BTreeSet::new();
    for (package, commit) in pushed {
        builds.insert(front.build_of(package, commit).await.unwrap());
    }
    for &build in &builds {
        end_well(front, build).await;
    }
    assert_eq!(front.client().builds(&Default::default()).await.unwrap().len(), builds.len(), "a push is built once");
    releases_are_one_each(front, &builds).await;
    events_say_what_is_so(front, pushed).await;
    let fsck = master.anima(&["fsck", "--deep"]).unwrap();
    assert!(fsck.status.success(), "{}", said(&fsck));

    let root = Root::new(front.master_url(), "seed-1").unwrap();
    let names: Vec<&str> = pushed.iter().map(|(package, _)| package.as_str()).collect();
    root.dnf(&[&["install"], names.as_slice()].concat()).unwrap();
}

/// A build succeeds, or its nodes were killed too often, which it says; then it is asked for again, now in peace.
async fn end_well(front: &System, build: BuildId) {
    let detail = front.ended(build, BUILD_LIMIT).await.unwrap();
    // Its release begins as it ends; tasks of a release are the release's own.
    let own = detail.tasks.iter().filter(|task| task.release.is_none()).collect::<Vec<_>>();
    for task in &own {
        assert!(task.attempts <= MAX_ATTEMPTS, "task {} was given out {} times", task.id, task.attempts);
        assert!(task.status.is_ended(), "task {} of an ended build is {:?}", task.id, task.status);
    }
    if detail.build.status != Status::Succeeded {
        let failed = own.iter().filter(|task| task.status == task::Status::Failed);
        for task in failed {
            let code = task.failure.as_ref().map(|failure| failure.code.as_str());
            assert_eq!(code, Some("node_lost"), "task {}: {:?}", task.id, task.failure);
        }
        front.client().restart_build(build).await.unwrap();
    }
    front.released(build, BUILD_LIMIT).await.unwrap();
}

async fn releases_are_one_each(front: &System, builds: &BTreeSet<BuildId>) {
    let mut count = BTreeMap::<BuildId, usize>::new();
    for release in front.client().releases(&ListQuery::default(), u32::MAX).await.unwrap() {
        if release.released_at.is_some() {
            *count.entry(release.build.expect("all are of builds")).or_default() += 1;
        }
    }
    assert_eq!(count, builds.iter().map(|&build| (build, 1)).collect());
    for repository in front.client().repositories(Some("seed-1")).await.unwrap() {
        let packages = front.client().repository_packages(repository.id).await.unwrap();
        let names: BTreeSet<_> = packages.iter().map(|package| package.nevra.to_string()).collect();
        assert_eq!(names.len(), packages.len(), "{} has a package twice", repository.path);
    }
}

/// Reads all events, each of which has to follow from those before it, until they say that everything has ended; then they say what is
/// shown, and each push is in one build.
async fn events_say_what_is_so(front: &System, pushed: &[(String, String)]) {
    let mut replay = Replay::default();
    let ended = front.wait(BUILD_LIMIT, async || {
        while read_events(front, &mut replay).await == EVENTS_READ as usize {}
        replay.open_tasks().is_empty().then_some(())
    });
    assert!(ended.await.is_some(), "these tasks never end: {:?}", replay.open_tasks());
    let builds = front.client().builds(&Default::default()).await.unwrap();
    let releases = front.client().releases(&ListQuery::default(), u32::MAX).await.unwrap();
    let (builds, releases) = (values(&builds), values(&releases));
    replay.compare(&builds, &releases).unwrap();
    pushes_are_built_once(pushed, &builds, &releases).unwrap();
}

async fn read_events(front: &System, replay: &mut Replay) -> usize {
    let events = front.client().events_after(Some(EventId(replay.last())), EVENTS_READ).await.unwrap();
    events.iter().try_for_each(|event| replay.take(event)).unwrap();
    events.len()
}

fn values(list: &[impl Serialize]) -> Vec<Value> {
    list.iter().map(|one| serde_json::to_value(one).unwrap()).collect()
}

#[tokio::test]
async fn a_storm_of_kills_loses_nothing() {
    let system = system().await;

    let pushed = storm(&system, &[&system]).await;

    settle(&system, &system, &pushed).await;
}

#[tokio::test]
async fn a_storm_of_kills_on_two_masters_loses_nothing() {
    let cluster = Cluster::start(Path::new(env!("CARGO_BIN_EXE_anima")), 2).await.unwrap();

    let pushed = storm(&cluster.roles, &cluster.masters.iter().collect::<Vec<_>>()).await;

    settle(&cluster.roles, &cluster.masters[0], &pushed).await;
}
