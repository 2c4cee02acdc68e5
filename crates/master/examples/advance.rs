//! What `cargo xtask bench nodes advance` measures: how long a build of 15,000 tasks with 130,000 edges takes to be moved on when one
//! of its tasks ends, and how long a look at the whole of it takes. It prints one line of JSON.

use std::{collections::BTreeSet, fmt::Debug, path::Path, sync::Arc, time::Instant};

use anima_db::task::{About, Ended};
use anima_master::{Address, App, Config, build::advance};
use anima_types::{
    Arch, Timestamp,
    build::Event as BuildEvent,
    id::{BuildId, TaskId},
    platform::Platform,
    task::{Event, Kind, Status},
};
use anyhow::{Context as _, Result, anyhow, ensure};

const TASKS: usize = 15_000;
/// Needs of a task at most; half of that in the middle.
const NEEDS: usize = 18;
/// Ends that are timed.
const ENDS: usize = 400;
const WHOLE_LOOKS: usize = 5;
const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const PLATFORM: &str = "name = \"p1\"\ntitle = \"P 1\"\ndist = \".p1\"\nbranch = \"p1\"\narchitectures = [\"x86_64\"]\n\
    [buildroot]\npackages = [\"bash\"]\ntest_packages = [\"bash\"]\n\
    [[repositories]]\nname = \"base\"\nurl = \"http://127.0.0.1:9/\"\n";

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let app = anima_master::open(config(folder.path())?, Arc::new(|| NOW)).await?;
    let (build, edges) = rebuild(&app).await?;
    let began = Instant::now();
    moved(advance::advance_once(&app, build).await)?;
    let first_s = began.elapsed().as_secs_f64();
    let mut ends_ms = Vec::new();
    for _ in 0..ENDS {
        end_one(&app, build).await?;
        let began = Instant::now();
        moved(advance::advance_once(&app, build).await)?;
        ends_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let mut whole_ms = Vec::new();
    for _ in 0..WHOLE_LOOKS {
        let began = Instant::now();
        moved(advance::look_once(&app, build, advance::Look::All).await)?;
        whole_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    ends_ms.sort_by(f64::total_cmp);
    whole_ms.sort_by(f64::total_cmp);
    let figures = serde_json::json!({
        "tasks": TASKS,
        "edges": edges,
        "first_look_s": first_s,
        "end_ms_median": ends_ms[ENDS / 2],
        "end_ms_99": ends_ms[ENDS * 99 / 100],
        "whole_look_ms": whole_ms[WHOLE_LOOKS / 2],
    });
    println!("{figures}");
    app.db.close().await;
    Ok(())
}

fn moved(result: std::result::Result<(), impl Debug>) -> Result<()> {
    result.map_err(|error| anyhow!("could not move the build on: {error:?}"))
}

fn config(folder: &Path) -> Result<Config> {
    Ok(Config {
        data: folder.join("data"),
        database: Address::File(folder.join("anima.db")),
        artifacts: folder.join("data/artifacts").into(),
        public_url: "http://master.example".into(),
        git_url: "http://git.example".into(),
        platforms: vec![Platform::parse(PLATFORM)?],
        mirrors: Default::default(),
        tokens: folder.join("tokens"),
        proxies: Vec::new(),
        limits_factor: 1,
        connections_of_address: anima_master::CONNECTIONS_OF_ADDRESS,
        oidc: None,
        retention: Default::default(),
        quota: Default::default(),
    })
}

/// Makes a build whose order is known; returns how many edges it has.
async fn rebuild(app: &App) -> Result<(BuildId, usize)> {
    let mut write = app.db.write(NOW, "ann").await?;
    let new = anima_db::build::NewBuild {
        owner: "ann".into(),
        reason: "a mass rebuild".into(),
        platforms: vec!["p1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
        summary: String::new(),
        gather: None,
    };
    let id = anima_db::build::insert(&mut write, &new).await?;
    let row = anima_db::build::get(&mut write, id).await?;
    anima_db::build::apply(&mut write, &row, BuildEvent::SourcesMade, "Packages are being built.").await?;
    let about = |at: usize| {
        let about = About {
            build: Some(id),
            package: Some(format!("package{at}")),
            platform: Some("p1".into()),
            arch: Some(Arch::X86_64),
            ..About::new(Kind::Build)
        };
        (about, None)
    };
    let tasks: Vec<_> = (0..TASKS).map(about).collect();
    let why = "It waits until its order is known.";
    let tasks = anima_db::task_queue::insert_all(&mut write, &tasks, (why, why)).await?;
    let mut random = Random(8);
    let mut edges: BTreeSet<(TaskId, TaskId)> = BTreeSet::new();
    for (at, task) in tasks.iter().enumerate().skip(1) {
        // Low numbers are needed most often, as compilers and their libraries are.
        let needs = (0..random.below(NEEDS)).map(|_| random.below(at) * random.below(at) / at);
        edges.extend(needs.map(|need| (*task, tasks[need])));
    }
    let edges: Vec<_> = edges.into_iter().collect();
    anima_db::task_dependency::insert_all(&mut write, &edges).await?;
    write.commit().await?;
    Ok((id, edges.len()))
}

/// Lets the ready task that was made first succeed, as its node would.
async fn end_one(app: &App, build: BuildId) -> Result<()> {
    let mut write = app.db.write(NOW, "n1").await?;
    let line = anima_db::task_hold::in_line(&mut write, build).await?;
    let task = line.into_iter().min_by_key(|task| task.id).context("no task is ready")?;
    anima_db::task::claim(&mut write, &task, "n1", NOW.plus_secs(60), "n1 works on it.").await?;
    let task = anima_db::task::get(&mut write, task.id).await?;
    ensure!(task.status == Status::Leased, "task {} was not taken", task.id);
    let ended = Ended { phases: Vec::new(), failure: None, result: None, report_hash: None };
    anima_db::task::end(&mut write, &task, Event::Succeeded, "It succeeded.", &ended).await?;
    Ok(write.commit().await?)
}

/// A generator (SplitMix64), so that every run has the same build.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}
