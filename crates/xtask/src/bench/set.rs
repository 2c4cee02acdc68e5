//! P11: twenty packages that need one another, built on four slots of one node, beside the longest chain of them.
//!
//! Each package only waits for some seconds, so that four of them take no longer than one on two cores: what is measured is
//! what the system adds, and whether it leaves slots empty.

use std::{path::Path, time::Duration};

use anima_schedule::{Graph, Source};
use anima_testkit::{SourcePackage, System};
use anima_types::{
    build::{CreateBuild, SourceRef, Status},
    task::{Kind, Task},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Figure, rounded};

const PACKAGES: usize = 20;
const SLOTS: usize = 4;
/// No platform builds what is pushed to it.
const BRANCH: &str = "set";
const LIMIT: Duration = Duration::from_secs(30 * 60);

pub async fn measure(program: &Path) -> Result<Figure> {
    let system = System::start_with(program, &format!("[build_node]\nslots = {SLOTS}\n")).await?;
    for number in 0..PACKAGES {
        system.push(&package(number)?, BRANCH)?;
    }
    let packages =
        (0..PACKAGES).map(|number| SourceRef { package: name(number), reference: Some(BRANCH.to_string()) }).collect();
    let wanted = CreateBuild {
        packages,
        platforms: vec!["seed-1".to_string()],
        architectures: Vec::new(),
        priority: Default::default(),
        options: Default::default(),
    };
    let build = system.client().create_build(&wanted).await?.id;
    let detail = system.ended(build, LIMIT).await?;
    ensure!(detail.build.status == Status::Succeeded, "{}", detail.build.summary);
    let tasks: Vec<&Task> = detail.tasks.iter().filter(|task| task.kind == Kind::Build).collect();
    ensure!(tasks.len() == PACKAGES, "there are {} build tasks", tasks.len());
    let began = tasks.iter().filter_map(|task| task.started_at).min().context("none has begun")?;
    let ended = tasks.iter().filter_map(|task| task.ended_at).max().context("none has ended")?;
    let makespan_secs = ended.secs_since(began);

    let graph = Graph::new(&tasks.iter().map(|task| source(task)).collect::<Result<Vec<_>>>()?);
    let path = graph.critical_path().map_err(|circle| anyhow::anyhow!("{circle}"))?;
    let chain_secs: f64 = path.iter().map(|&at| graph.cost_secs(at)).sum();
    let work_secs: f64 = (0..graph.len()).map(|at| graph.cost_secs(at)).sum();
    let bound_secs = chain_secs.max(work_secs / SLOTS as f64);
    let values = json!({
        "makespan_s": rounded(makespan_secs),
        "critical_path_s": rounded(chain_secs),
        "critical_path": path.iter().map(|&at| graph.name(at)).collect::<Vec<_>>(),
        "work_s": rounded(work_secs),
        "slots": SLOTS,
        "lower_bound_s": rounded(bound_secs),
        "ratio": rounded(makespan_secs / bound_secs),
        "of_a_task_besides_waiting_s": rounded((work_secs - (0..PACKAGES).map(|it| f64::from(waits_secs(it))).sum::<f64>()) / PACKAGES as f64),
        "peer": Value::Null,
    });
    Ok(Figure { bench: "pipeline", case: "set-20", values })
}

fn name(number: usize) -> String {
    format!("set{number:02}")
}

/// Five layers of four; each needs one or two of the layer before it.
fn needs(number: usize) -> Vec<usize> {
    match number {
        0..4 => Vec::new(),
        _ if number.is_multiple_of(3) => vec![number - 4, (number / 4 - 1) * 4 + (number + 1) % 4],
        _ => vec![number - 4],
    }
}

fn waits_secs(number: usize) -> u32 {
    [3, 5, 2, 4, 6][number * 7 % 5]
}

fn package(number: usize) -> Result<SourcePackage> {
    let requires: String = needs(number).into_iter().map(|other| format!("BuildRequires: {}\n", name(other))).collect();
    let (name, secs) = (name(number), waits_secs(number));
    SourcePackage::with_spec(
        &name,
        &format!(
            "Name: {name}\nVersion: 1\nRelease: 1%{{?dist}}\nSummary: One of twenty\nLicense: MIT\nBuildArch: noarch\n{requires}\
             %description\nOne of twenty.\n%build\nsleep {secs}\n\
             %install\nmkdir -p %{{buildroot}}/usr/share/{name}\n%files\n/usr/share/{name}\n"
        ),
    )
}

/// What a task was, with what it took.
fn source(task: &Task) -> Result<Source> {
    let package = task.package.clone().context("a build task has no package")?;
    let number: usize = package.trim_start_matches("set").parse()?;
    let (started, ended) = task.started_at.zip(task.ended_at).context("a build task has not ended")?;
    Ok(Source {
        provides: vec![package.clone()],
        build_requires: needs(number).into_iter().map(name).collect(),
        cost_secs: ended.secs_since(started),
        name: package,
    })
}
