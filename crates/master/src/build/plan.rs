//! Build plans: what a build would do, before it is started.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::Read;
use anima_schedule::{Graph, Source, simulate};
use anima_types::{
    Arch,
    build_plan::{BuildPlan, CreateBuildPlan, PlannedArch, PlannedCircle, PlannedPackage},
    permission::Permission,
    platform::Platform,
    task::Kind,
    work::{Outcome, SrcOutcome},
};
use axum::extract::State;
use tokio::sync::Semaphore;

use super::{platforms, queue};
use crate::{
    app::App,
    error::{ApiError, ApiResult, Json},
    node,
    route::Route,
};

/// Packages that are named as unknown at most; how many there are is said.
const MAX_UNKNOWN: usize = 1_000;
/// A plan of a distribution has all that its source packages say in memory, and takes a core for seconds: more at once would be
/// felt by everybody else.
static PLACES: Semaphore = Semaphore::const_new(2);

/// The routes.
pub fn routes() -> Vec<Route> {
    // It changes nothing, so that everybody may ask; it is POST because lists of packages are long.
    vec![Route::post("/api/v1/build-plans", Permission::Read, create)]
}

async fn create(State(app): State<App>, Json(wanted): Json<CreateBuildPlan>) -> ApiResult<Json<BuildPlan>> {
    let platform = platforms(&app, std::slice::from_ref(&wanted.platform))?[0];
    let _place = PLACES.acquire().await;
    let known = known(&mut app.db.read().await?, &platform.name).await?;
    let mut unknown: Vec<String> = wanted.packages.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
    unknown.truncate(MAX_UNKNOWN);
    let chosen = choose(&wanted, &known);
    let made: BTreeMap<&str, &SrcOutcome> = known
        .iter()
        .filter(|(name, _)| chosen.contains(name.as_str()))
        .map(|(name, made)| (name.as_str(), made))
        .collect();
    if made.is_empty() {
        return Err(ApiError::unprocessable(
            "nothing_known",
            "no source package of these was ever made on this platform",
        )
        .hint("a plan rests on what source packages say; `anima build create` makes them"));
    }
    let slots = slots(&app, platform, wanted.slots).await?;
    let plan = plan(&mut app.db.read().await?, platform, &made, &wanted, &slots, unknown).await?;
    Ok(Json(plan))
}

/// Returns what the newest source package of each package says.
pub async fn known(read: &mut Read, platform: &str) -> ApiResult<BTreeMap<String, SrcOutcome>> {
    let mut known = BTreeMap::new();
    for package in anima_db::task::packages_of_platform(read, platform).await? {
        let task = anima_db::task::find_newest_success(read, Kind::Src, &package, platform, None).await?;
        if let Some(Outcome::Src(made)) = task.and_then(|task| task.result) {
            known.insert(package, made);
        }
    }
    Ok(known)
}

fn choose<'a>(wanted: &'a CreateBuildPlan, known: &'a BTreeMap<String, SrcOutcome>) -> BTreeSet<&'a str> {
    if wanted.packages.is_empty() {
        return known.keys().map(String::as_str).collect();
    }
    let mut chosen: BTreeSet<&str> = wanted.packages.iter().map(String::as_str).collect();
    if wanted.with_dependants {
        chosen.extend(dependants(&chosen, known));
    }
    chosen
}

/// Returns the packages that are built with one of these, directly or through others.
pub fn dependants<'a>(packages: &BTreeSet<&str>, known: &'a BTreeMap<String, SrcOutcome>) -> BTreeSet<&'a str> {
    let sources: Vec<Source> = known.iter().map(|(name, made)| queue::source(name, made, 0.0)).collect();
    let graph = Graph::new(&sources);
    let places: Vec<usize> = packages.iter().filter_map(|name| graph.find(name)).collect();
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    graph.dependants(&places).into_iter().map(|at| names[at]).collect()
}

/// Returns how many build tasks run at once on each architecture.
pub async fn slots(app: &App, platform: &Platform, said: Option<u32>) -> ApiResult<BTreeMap<Arch, u32>> {
    let nodes = node::all(app).await?;
    let of = |arch: Arch| {
        let able = nodes.iter().filter(|node| node.is_online && node.kinds.contains(&Kind::Build));
        able.filter(|node| node.architectures.contains(&arch)).map(|node| node.slots.max(1)).sum()
    };
    Ok(platform.architectures.iter().map(|&arch| (arch, said.unwrap_or_else(|| of(arch)))).collect())
}

async fn plan(
    read: &mut Read,
    platform: &Platform,
    made: &BTreeMap<&str, &SrcOutcome>,
    wanted: &CreateBuildPlan,
    slots: &BTreeMap<Arch, u32>,
    mut unknown: Vec<String>,
) -> ApiResult<BuildPlan> {
    let mut plan = BuildPlan {
        platform: platform.name.clone(),
        packages: Vec::new(),
        wave_count: 0,
        critical_path: Vec::new(),
        critical_path_secs: 0.0,
        architectures: Vec::new(),
        circles: Vec::new(),
        unknown: Vec::new(),
    };
    for (&arch, &slots) in slots {
        let estimates = queue::estimate(read, &platform.name, arch, made).await?;
        let sources: Vec<Source> =
            made.iter().map(|(name, made)| queue::source(name, made, estimates[*name].secs)).collect();
        let (graph, circles) = Graph::new(&sources).without_circles();
        let schedule = simulate(&graph, slots.max(1) as usize).expect("the circles were taken out");
        plan.architectures.push(PlannedArch {
            arch,
            slots,
            tasks: graph.len(),
            makespan_secs: schedule.makespan_secs,
            lower_bound_secs: schedule.lower_bound_secs,
        });
        if slots == 0 {
            unknown
                .push(format!("No node that builds for {} is online: its times are those of one slot.", arch.name()));
        }
        if !plan.packages.is_empty() {
            continue;
        }
        let path = graph.critical_path().expect("the circles were taken out");
        plan.critical_path_secs = path.iter().map(|at| graph.cost_secs(*at)).sum();
        plan.critical_path = path.into_iter().map(|at| graph.name(at).to_string()).collect();
        let waves = graph.waves().expect("the circles were taken out");
        plan.wave_count = waves.len();
        let mut wave_of = vec![0; graph.len()];
        waves.iter().enumerate().for_each(|(number, wave)| wave.iter().for_each(|at| wave_of[*at] = number));
        plan.packages = schedule
            .runs
            .iter()
            .map(|run| {
                let name = graph.name(run.source).to_string();
                PlannedPackage {
                    wave: wave_of[run.source],
                    waits_for: graph.needs(run.source).iter().map(|at| graph.name(*at).to_string()).collect(),
                    estimate_secs: estimates[&name].secs,
                    is_measured: estimates[&name].measured_secs.is_some(),
                    start_secs: run.start_secs,
                    is_dependant: !wanted.packages.is_empty() && !wanted.packages.contains(&name),
                    package: name,
                }
            })
            .collect();
        plan.circles = circles
            .into_iter()
            .map(|circle| PlannedCircle { members: circle.members, path: circle.path, bootstrap: circle.bootstrap })
            .collect();
    }
    plan.unknown = unknown;
    Ok(plan)
}
