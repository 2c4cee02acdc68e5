//! What `cargo xtask bench nodes advance` measures: how long a build of 15,000 tasks with 130,000 edges takes to be moved on when one
//! of its tasks ends, and how long a look at the whole of it takes. It prints one line of JSON.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Instant};

use anima_db::task::{About, Ended};
use anima_master::{App, build::advance};
use anima_simulation::{Random, config};
use anima_types::{
    Arch, Timestamp,
    build::Event as BuildEvent,
    id::{BuildId, TaskId},
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
    let mut random = Random::new(8);
    let mut below = |bound: usize| random.next() as usize % bound.max(1);
    let mut edges: BTreeSet<(TaskId, TaskId)> = BTreeSet::new();
    for (at, task) in tasks.iter().enumerate().skip(1) {
        // Low numbers are needed most often, as compilers and their libraries are.
        let needs = (0..below(NEEDS)).map(|_| below(at) * below(at) / at);
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
