//! P9: how long a line takes from the build that writes it to who reads the live stream, and whether a reader who
//! loses the connection again and again has the log byte for byte in the end. Beside it the other way: how long it takes from
//! somebody's word that a build is to stop to the end of its last process, and of all that it had mounted and made. There is no peer: none has live logs.

use std::{
    path::Path,
    pin::pin,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anima_testkit::{SourcePackage, System};
use anima_types::{
    id::{BuildId, TaskId},
    task::Kind,
};
use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use serde_json::json;

use super::{Figure, rounded};

/// Lines that are timed: enough for a 99th percentile.
const LINES: usize = 300;
const BUILD_LIMIT: Duration = Duration::from_secs(300);
/// The reader's connection is cut after so many pieces, again and again.
const PIECES_A_CONNECTION: usize = 20;

const CANCELS: usize = 5;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What a cancel has to reach the sandbox and to leave no process, mount or file in: the promise.
const LET_GO: Duration = Duration::from_secs(1);

/// Each line says when it was written.
const SECTIONS: &str = "%build\nfor i in $(seq 300); do echo \"at $(date +%s%N) $i\"; sleep 0.03; done\n";

pub async fn measure(program: &Path) -> Result<Vec<Figure>> {
    let system = System::start(program).await?;
    let package = SourcePackage::tiny("clock", "1")?;
    let spec = std::fs::read_to_string(package.path("clock.spec"))?;
    package.write("clock.spec", spec.replace("%install", &format!("{SECTIONS}\n%install")).as_bytes())?;
    let commit = system.push(&package, "s1")?;
    let build = system.build_of("clock", &commit).await?;
    let task = build_task(&system, build).await?;
    let (mut delays, text, connections) = follow(&system, task).await?;
    system.ended(build, BUILD_LIMIT).await?;
    let whole = system.anima(&["task", "log", &task.to_string()])?;
    ensure!(whole.stdout == text.as_bytes(), "what was followed over {connections} connections is not the log");
    ensure!(delays.len() == LINES, "{} of {LINES} lines came", delays.len());
    delays.sort_by(f64::total_cmp);
    let values = json!({
        "ours_median_s": rounded(delays[delays.len() / 2]),
        "ours_99_s": rounded(delays[delays.len() * 99 / 100]),
        "ours_worst_s": rounded(delays[delays.len() - 1]),
        "lines": delays.len(),
        "connections": connections,
        "is_equal": true,
        "peer": null,
    });
    let line = Figure { bench: "log", case: "line", values };
    Ok(vec![line, cancel(&system).await?])
}

/// Cancels builds that would last for ever, with processes that do not want to end.
async fn cancel(system: &System) -> Result<Figure> {
    let (mut delays, mut gone_delays) = (Vec::new(), Vec::new());
    for run in 0..CANCELS {
        let name = format!("endless{run}");
        let mark = format!("{}", 70_000 + std::process::id() % 10_000);
        let sections =
            format!("%build\nfor i in 1 2 3; do (trap '' TERM; setsid sleep {mark} &); done\nsleep {mark}\n");
        let package = SourcePackage::tiny(&name, "1")?;
        let file = format!("{name}.spec");
        let spec = std::fs::read_to_string(package.path(&file))?;
        package.write(&file, spec.replace("%install", &format!("{sections}\n%install")).as_bytes())?;
        let commit = system.push(&package, "s1")?;
        let build = system.build_of(&name, &commit).await?;
        let begun = system.wait(BUILD_LIMIT, async || (processes_with(&mark) >= 4).then_some(()));
        begun.await.context("the build was not begun")?;
        let began = Instant::now();
        system.client().cancel_build(build).await?;
        let mut killed_after = None;
        loop {
            if processes_with(&mark) == 0 {
                killed_after.get_or_insert(began.elapsed());
            }
            let left = leftovers(system)?;
            if killed_after.is_some() && left.is_empty() {
                break;
            }
            ensure!(began.elapsed() < BUILD_LIMIT, "what was cancelled goes on, or has left {left:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        delays.extend(killed_after.map(|after| after.as_secs_f64()));
        gone_delays.push(began.elapsed().as_secs_f64());
        system.ended(build, BUILD_LIMIT).await?;
    }
    delays.sort_by(f64::total_cmp);
    gone_delays.sort_by(f64::total_cmp);
    let worst_secs = gone_delays[gone_delays.len() - 1];
    ensure!(worst_secs < LET_GO.as_secs_f64(), "a cancel took {worst_secs:.3} s to leave no process, mount or file");
    let values = json!({
        "ours_median_s": rounded(delays[delays.len() / 2]),
        "ours_worst_s": rounded(delays[delays.len() - 1]),
        "ours_all_gone_median_s": rounded(gone_delays[gone_delays.len() / 2]),
        "ours_all_gone_worst_s": rounded(worst_secs),
        "cancels": delays.len(),
        "peer": null,
    });
    Ok(Figure { bench: "log", case: "cancel", values })
}

/// Lists what the node's tasks have mounted, and their folders.
fn leftovers(system: &System) -> Result<Vec<String>> {
    let node = system.data().join("node");
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let own = format!("{}/", node.display());
    let mut left: Vec<String> = mounts.lines().filter(|line| line.contains(&own)).map(str::to_owned).collect();
    for folder in ["build-node/work", "environments/roots/work"] {
        for entry in std::fs::read_dir(node.join(folder))? {
            left.push(entry?.path().display().to_string());
        }
    }
    Ok(left)
}

/// Counts processes of the machine that have this in their arguments.
fn processes_with(mark: &str) -> usize {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|&byte| byte == 0).any(|word| word == mark.as_bytes())).count()
}

async fn build_task(system: &System, build: BuildId) -> Result<TaskId> {
    let found = system
        .wait(BUILD_LIMIT, async || {
            let detail = system.client().build(build).await.ok()?;
            detail.tasks.iter().find(|task| task.kind == Kind::Build).map(|task| task.id)
        })
        .await;
    found.context("the build has no build task")
}

/// Follows a log to its end; returns how late each timed line came, all that came, and over how many connections.
async fn follow(system: &System, task: TaskId) -> Result<(Vec<f64>, String, usize)> {
    let (mut delays, mut text, mut timed, mut offset, mut connections) = (Vec::new(), String::new(), 0, 0, 0);
    loop {
        connections += 1;
        let mut pieces = pin!(system.client().follow_log(task, offset).take(PIECES_A_CONNECTION));
        let mut count = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let came = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
            count += 1;
            offset = piece.end_offset;
            text += &piece.text;
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let written = text[timed..whole].lines().filter_map(written_at);
            delays.extend(written.map(|at| came - at));
            timed = whole;
        }
        if count < PIECES_A_CONNECTION {
            return Ok((delays, text, connections));
        }
    }
}

fn written_at(line: &str) -> Option<f64> {
    let nanos: f64 = line.strip_prefix("at ")?.split(' ').next()?.parse().ok()?;
    Some(nanos / 1e9)
}
