//! Build plans: what a build would do, before it is started.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anima_db::Read;
use anima_schedule::{Graph, Schedule, simulate_in_pools};
use anima_types::{
    Arch,
    build_plan::{
        Basis, BuildPlan, CreateBuildPlan, PlannedArch, PlannedCircle, PlannedExclusion, PlannedNode, PlannedPackage,
        PlannedTask,
    },
    node::{Node, State as NodeState},
    permission::Permission,
    platform::Platform,
    task::Kind,
    work::SrcOutcome,
};
use axum::extract::State;
use tokio::sync::Semaphore;

use super::{
    last_built, order, platforms,
    queue::{self, Estimate},
};
use crate::{
    app::App,
    error::{ApiError, ApiResult, Json},
    node,
    route::Route,
};

/// Packages that are named as unknown at most; how many there are is said.
const MAX_UNKNOWN: usize = 1_000;
/// Packages in a sentence at most.
const MAX_GUESSED: usize = 20;
/// A plan of a distribution has all that its source packages say in memory, and takes a core for seconds: more at once would be
/// felt by everybody else.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// The routes.
pub fn routes() -> Vec<Route> {
    // It changes nothing, so that everybody may ask; it is POST because lists of packages are long.
    vec![Route::post("/api/v1/build-plans", Permission::Read, create)]
}

async fn create(State(app): State<App>, Json(wanted): Json<CreateBuildPlan>) -> ApiResult<Json<BuildPlan>> {
    let platform = platforms(&app, std::slice::from_ref(&wanted.platform))?[0];
    let _permit = AT_ONCE.acquire().await;
    let known = known(&mut app.db.read().await?, platform).await?;
    let chosen = choose(&wanted, &known);
    let made: BTreeMap<String, SrcOutcome> = known
        .iter()
        .filter(|(name, _)| chosen.contains(name.as_str()))
        .map(|(name, made)| (name.clone(), made.clone()))
        .collect();
    if made.is_empty() {
        return Err(ApiError::unprocessable(
            "nothing_known",
            "no source package of these was ever made on this platform",
        )
        .hint("a plan rests on what source packages say; `anima build create` makes them"));
    }
    let nodes = nodes(&app, platform).await?;
    let graph = order::graph(&made);
    let mut plan = plan(&mut app.db.read().await?, platform, (&made, &known), &wanted, &graph, nodes).await?;
    let never: Vec<String> = wanted.packages.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
    plan.unknown = first_of(never).into_iter().chain(plan.unknown).collect();
    Ok(Json(plan))
}

/// Returns the first of many names, and how many more there are.
fn first_of(mut names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(MAX_UNKNOWN);
    names.truncate(MAX_UNKNOWN);
    names.extend((more > 0).then(|| format!("and {more} more")));
    names
}

/// Returns what the newest source package of each package says, and what its last build gave.
pub async fn known(read: &mut Read, platform: &Platform) -> ApiResult<BTreeMap<String, SrcOutcome>> {
    let mut known = anima_db::task::newest_sources(read, &platform.name).await?;
    last_built::add(read, platform, &mut known).await?;
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
    let graph = order::graph(known);
    let places: Vec<usize> = packages.iter().filter_map(|name| graph.find(name)).collect();
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    graph.dependants(&places).into_iter().map(|at| names[at]).collect()
}

/// Returns how many build tasks run at once on each architecture.
pub async fn slots(app: &App, platform: &Platform) -> ApiResult<BTreeMap<Arch, u32>> {
    let nodes = nodes(app, platform).await?;
    Ok(nodes.into_iter().map(|(arch, nodes)| (arch, sum(&nodes))).collect())
}

fn sum(nodes: &[PlannedNode]) -> u32 {
    nodes.iter().map(|node| node.slots).sum()
}

/// Returns the nodes that would take build tasks of each architecture: those that run it, and where there is none those that emulate
/// it.
async fn nodes(app: &App, platform: &Platform) -> ApiResult<BTreeMap<Arch, Vec<PlannedNode>>> {
    let all = node::all(app).await?;
    let takes = |node: &&Node| node.state == NodeState::Taking && node.kinds.contains(&Kind::Build);
    let of = |arch: Arch| {
        let able = |is_emulated: bool| {
            let runs = move |node: &&Node| {
                let archs = if is_emulated { &node.emulated } else { &node.architectures };
                archs.contains(&arch)
            };
            let planned =
                move |node: &Node| PlannedNode { name: node.name.clone(), slots: node.slots.max(1), is_emulated };
            all.iter().filter(takes).filter(runs).map(planned).collect::<Vec<_>>()
        };
        let native = able(false);
        if native.is_empty() { able(true) } else { native }
    };
    Ok(platform.architectures.iter().map(|&arch| (arch, of(arch))).collect())
}

/// A build of the plan: which package, for which architecture (by its place among the platform's).
struct Target {
    package: usize,
    pool: usize,
    estimate: Estimate,
}

async fn plan(
    read: &mut Read,
    platform: &Platform,
    (made, known): (&BTreeMap<String, SrcOutcome>, &BTreeMap<String, SrcOutcome>),
    wanted: &CreateBuildPlan,
    graph: &Graph,
    nodes: BTreeMap<Arch, Vec<PlannedNode>>,
) -> ApiResult<BuildPlan> {
    let archs = &platform.architectures;
    let is_run = |arch: &&Arch| nodes[*arch].iter().any(|node| !node.is_emulated);
    let (run, others): (Vec<Arch>, Vec<Arch>) = archs.iter().partition(|arch| is_run(arch));
    let by_nodes = [run, others].concat();
    let (open, circles) = graph.without_circles();
    let (mut targets, mut excluded, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (pool, &arch) in archs.iter().enumerate() {
        let estimates = queue::estimate(read, &platform.name, arch, made, known).await?;
        let before = targets.len();
        for (package, ((name, made), estimate)) in made.iter().zip(estimates.values()).enumerate() {
            match order::excluded(made, arch, &by_nodes) {
                Some(why) => excluded.push(PlannedExclusion { package: name.clone(), arch, why }),
                None => targets.push(Target { package, pool, estimate: *estimate }),
            }
        }
        unknown.extend(guessed(graph, arch, &targets[before..]));
        unknown.extend(without_node(arch, &nodes[&arch], wanted.slots));
    }
    unknown.extend(shared(&nodes));
    let joint = joint(&open, made, archs, &targets);
    let slots: Vec<u32> = archs.iter().map(|arch| wanted.slots.unwrap_or_else(|| sum(&nodes[arch]))).collect();
    let pools: &[usize] = &targets.iter().map(|target| target.pool).collect::<Vec<_>>();
    let in_pools: Vec<usize> = slots.iter().map(|slots| *slots as usize).collect();
    let schedule = simulate_in_pools(&joint, pools, &in_pools).expect("the circles were taken out");
    let waves = waves(&joint);
    let path = joint.critical_path().expect("the circles were taken out");
    let mut names: Vec<String> = path.iter().map(|at| joint.name(*at).to_string()).collect();
    names.dedup();
    let planned_arch = |(pool, &arch): (usize, &Arch)| {
        let its = || (0..targets.len()).filter(move |at| pools[*at] == pool);
        PlannedArch {
            arch,
            slots: slots[pool],
            tasks: its().count(),
            makespan_secs: schedule.pools[pool].makespan_secs,
            lower_bound_secs: schedule.pools[pool].lower_bound_secs,
            wave_count: its().map(|at| waves[at]).collect::<BTreeSet<_>>().len(),
            nodes: nodes[&arch].clone(),
        }
    };
    Ok(BuildPlan {
        platform: platform.name.clone(),
        packages: packages(&open, archs, &targets, &schedule, &waves, wanted),
        wave_count: waves.iter().max().map_or(0, |last| last + 1),
        critical_path_secs: path.iter().map(|at| joint.cost_secs(*at)).sum(),
        critical_path: names,
        architectures: archs.iter().enumerate().map(planned_arch).collect(),
        circles: circles
            .into_iter()
            .map(|circle| PlannedCircle { members: circle.members, path: circle.path, bootstrap: circle.bootstrap })
            .collect(),
        excluded,
        unknown,
    })
}

/// Returns which build waits for which: those of its architecture, and of what is noarch the one.
fn joint(graph: &Graph, made: &BTreeMap<String, SrcOutcome>, archs: &[Arch], targets: &[Target]) -> Graph {
    let place: HashMap<(usize, Arch), usize> =
        targets.iter().enumerate().map(|(at, target)| ((target.package, archs[target.pool]), at)).collect();
    let made: Vec<&SrcOutcome> = made.values().collect();
    let needs = |target: &Target| {
        let all = graph.needs(target.package).iter().flat_map(|&need| {
            let archs = order::waited_for(made[need], archs[target.pool], archs);
            archs.filter_map(|arch| place.get(&(need, arch)).copied()).collect::<Vec<_>>()
        });
        all.collect()
    };
    let node = |target: &Target| (graph.name(target.package).to_string(), target.estimate.secs);
    Graph::from_needs(targets.iter().map(node).collect(), targets.iter().map(needs).collect())
}

fn waves(graph: &Graph) -> Vec<usize> {
    let mut wave_of = vec![0; graph.len()];
    let waves = graph.waves().expect("the circles were taken out");
    waves.iter().enumerate().for_each(|(number, wave)| wave.iter().for_each(|at| wave_of[*at] = number));
    wave_of
}

/// Returns the packages in the order in which they would begin.
fn packages(
    graph: &Graph,
    archs: &[Arch],
    targets: &[Target],
    schedule: &Schedule,
    waves: &[usize],
    wanted: &CreateBuildPlan,
) -> Vec<PlannedPackage> {
    let mut all: Vec<PlannedPackage> = Vec::new();
    let mut place: HashMap<usize, usize> = HashMap::new();
    for run in &schedule.runs {
        let Target { package, pool, estimate } = &targets[run.source];
        let task = PlannedTask {
            arch: archs[*pool],
            wave: waves[run.source],
            estimate_secs: estimate.secs,
            basis: estimate.basis,
            start_secs: run.start_secs,
        };
        let at = *place.entry(*package).or_insert_with(|| {
            let name = graph.name(*package).to_string();
            all.push(PlannedPackage {
                wave: task.wave,
                waits_for: graph.needs(*package).iter().map(|at| graph.name(*at).to_string()).collect(),
                estimate_secs: 0.0,
                is_measured: true,
                start_secs: run.start_secs,
                is_dependant: !wanted.packages.is_empty() && !wanted.packages.contains(&name),
                tasks: Vec::new(),
                package: name,
            });
            all.len() - 1
        });
        let package = &mut all[at];
        package.wave = package.wave.min(task.wave);
        package.estimate_secs = package.estimate_secs.max(task.estimate_secs);
        package.is_measured &= task.basis == Basis::Measured;
        package.tasks.push(task);
    }
    all.iter_mut().for_each(|package| package.tasks.sort_by_key(|task| task.arch));
    all
}

/// Says whose times are guessed.
fn guessed(graph: &Graph, arch: Arch, targets: &[Target]) -> Vec<String> {
    let of = |basis: Basis, how: &str| {
        let names: Vec<&str> = targets
            .iter()
            .filter(|target| target.estimate.basis == basis)
            .map(|target| graph.name(target.package))
            .collect();
        let named = names.iter().take(MAX_GUESSED).copied().collect::<Vec<_>>().join(", ");
        let more = match names.len().saturating_sub(MAX_GUESSED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!names.is_empty()).then(|| format!("Never built on {}: {named}{more}; {how}.", arch.name()))
    };
    let size = of(Basis::Size, "the times are guessed from the size of the source packages");
    let unknown = of(Basis::Unknown, "the times are what others take in the middle");
    size.into_iter().chain(unknown).collect()
}

fn without_node(arch: Arch, nodes: &[PlannedNode], said: Option<u32>) -> Option<String> {
    let arch = arch.name();
    match nodes.first() {
        None if said.is_some() => Some(format!("No node that builds for {arch} is online.")),
        None => Some(format!("No node that builds for {arch} is online: its times are those of one slot.")),
        Some(node) if node.is_emulated => Some(format!(
            "Only nodes that emulate {arch} are online, which takes many times as long as was measured elsewhere."
        )),
        Some(_) => None,
    }
}

/// Names the nodes whose slots are counted for several architectures.
fn shared(nodes: &BTreeMap<Arch, Vec<PlannedNode>>) -> Vec<String> {
    let mut archs_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (arch, nodes) in nodes {
        nodes.iter().for_each(|node| archs_of.entry(&node.name).or_default().push(arch.name()));
    }
    let shared = archs_of.into_iter().filter(|(_, archs)| archs.len() > 1);
    shared
        .map(|(name, archs)| format!("Node {name} builds for {}: its slots are counted for each.", archs.join(" and ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::Sha256;

    fn made(package: &str, requires: &[&str], is_noarch: bool, only: &[&str]) -> (String, SrcOutcome) {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let made = SrcOutcome {
            nevra: format!("{package}-1-1.src").parse().unwrap(),
            srpm: Sha256([1; 32]),
            build_requires: texts(requires),
            provides: vec![package.to_string()],
            exclusive_arch: texts(only),
            exclude_arch: Vec::new(),
            is_noarch,
        };
        (package.to_string(), made)
    }

    #[test]
    fn builds_of_all_architectures_wait_for_what_is_noarch_and_not_for_what_is_not_built() {
        let archs = [Arch::X86_64, Arch::Aarch64];
        let made = BTreeMap::from([
            made("acorn", &[], true, &[]),
            made("fir", &[], false, &["x86_64"]),
            made("oak", &["acorn", "fir"], false, &[]),
        ]);
        let graph = order::graph(&made);
        let estimate = Estimate { secs: 10.0, basis: Basis::Measured };
        let mut targets = Vec::new();
        for (pool, &arch) in archs.iter().enumerate() {
            let is_built = |made: &SrcOutcome| order::excluded(made, arch, &archs).is_none();
            let its = made.values().enumerate().filter(|(_, made)| is_built(made));
            targets.extend(its.map(|(package, _)| Target { package, pool, estimate }));
        }

        let joint = joint(&graph, &made, &archs, &targets);

        let of = |at: usize| format!("{} {}", joint.name(at), archs[targets[at].pool]);
        let needs = (0..joint.len()).map(|at| {
            format!("{} < {}", of(at), joint.needs(at).iter().map(|at| of(*at)).collect::<Vec<_>>().join(", "))
        });
        assert_eq!(
            needs.collect::<Vec<_>>(),
            ["acorn x86_64 < ", "fir x86_64 < ", "oak x86_64 < acorn x86_64, fir x86_64", "oak aarch64 < acorn x86_64"]
        );
    }

    #[test]
    fn many_names_are_counted() {
        let names = (0..MAX_UNKNOWN + 2).map(|number| number.to_string()).collect();

        assert_eq!(first_of(names).last().unwrap(), "and 2 more");
    }
}
