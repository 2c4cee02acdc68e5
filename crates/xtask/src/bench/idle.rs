//! P10: the idle system, all roles in one.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anima_testkit::System;
use anyhow::{Context, Result};
use serde_json::json;

use super::{Figure, median, processes, rounded};

/// What starts once is over, such as the first claims and the product's key.
const SETTLE: Duration = Duration::from_secs(15);
/// Long enough for every chore with an interval to come by.
const WATCH: Duration = Duration::from_secs(60);
const STARTS: usize = 5;
/// The unit of processor time in `/proc` (`USER_HZ`), the same on every architecture that we run on.
const TICKS_PER_SEC: f64 = 100.0;

pub async fn measure(program: &Path) -> Result<Vec<Figure>> {
    let mut system = System::start(program).await?;
    tokio::time::sleep(SETTLE).await;
    let pid = system.pid().context("the system is not up")?;
    let (before, began) = (processes::of_tree(pid)?, Instant::now());
    tokio::time::sleep(WATCH).await;
    let (after, watched) = (processes::of_tree(pid)?, began.elapsed());

    let mut starts = Vec::new();
    for _ in 0..STARTS {
        system.stop()?;
        let began = Instant::now();
        system.up().await?;
        starts.push(began.elapsed().as_secs_f64());
    }
    let ticks = after.cpu_ticks.saturating_sub(before.cpu_ticks) as f64;
    let cpu_percent = 100.0 * ticks / TICKS_PER_SEC / watched.as_secs_f64();
    let values = json!({
        "memory_mib": rounded(after.memory_kib as f64 / 1024.0),
        "processes": after.process_count,
        "cpu_percent_of_a_core": rounded(cpu_percent),
        "ready_s": rounded(median(starts)),
        "peer": null,
    });
    Ok(vec![Figure { bench: "idle", case: "all", values }])
}
