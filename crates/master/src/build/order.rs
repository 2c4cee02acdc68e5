//! In which order the packages of a build are built. It is found out once, when all source packages are made.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{Connection, build::Build, node::Node, task::Task};
use anima_schedule::{Graph, Source};
use anima_types::{
    Arch, Timestamp,
    build::{Circle, Status},
    id::BuildId,
    platform::Platform,
    task::Kind,
    work::{Outcome, SrcOutcome},
};

use super::last_built;
use crate::{app::App, error::ApiResult, fit};

/// Circles that a summary names at most; the build's page has all.
const MAX_NAMED: usize = 3;

/// What is built on a platform, and in which order.
pub struct Ordered<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// What is known of the packages.
    pub made: BTreeMap<String, SrcOutcome>,
    /// The packages, in the order of `made`, without what leads out of circles.
    pub graph: Graph,
    /// Packages that wait for one another.
    pub circles: Vec<Circle>,
}

/// Finds the order of a build whose source packages are all made, and that has none yet. It reads what the last builds gave, so it
/// is done before somebody writes.
pub async fn ahead(app: &App, id: BuildId) -> ApiResult<Option<Vec<Ordered<'_>>>> {
    let mut read = app.db.read().await?;
    let build = anima_db::build::get(&mut read, id).await?;
    if build.status != Status::Sources || anima_db::task::has_open(&mut read, id, Kind::Src).await? {
        return Ok(None);
    }
    let tasks = anima_db::task::of_build(&mut read, id).await?;
    if tasks.iter().any(|task| task.about.kind == Kind::Build) {
        return Ok(None);
    }
    Ok(of(app, &mut read, &build, &tasks).await?.ok())
}

/// Finds the order on each of a build's platforms. The inner error is the user's.
pub async fn of<'a>(
    app: &'a App,
    connection: &mut Connection,
    build: &Build,
    tasks: &[Task],
) -> ApiResult<Result<Vec<Ordered<'a>>, String>> {
    let mut all = Vec::new();
    for name in &build.platforms {
        let Some(platform) = app.platform(name) else {
            return Ok(Err(format!("Failed: platform {name} is not configured any more.")));
        };
        let made = made(tasks, name).into_iter().map(|(package, made)| (package.to_string(), made.clone()));
        all.push(ordered(connection, platform, made.collect()).await?);
    }
    Ok(Ok(all))
}

async fn ordered<'a>(
    connection: &mut Connection,
    platform: &'a Platform,
    mut made: BTreeMap<String, SrcOutcome>,
) -> ApiResult<Ordered<'a>> {
    last_built::add(connection, platform, &mut made).await?;
    let (graph, circles) = graph(&made).without_circles();
    let circle = |circle: anima_schedule::Circle| Circle {
        platform: platform.name.clone(),
        members: circle.members,
        path: circle.path,
        bootstrap: circle.bootstrap,
    };
    Ok(Ordered { platform, made, graph, circles: circles.into_iter().map(circle).collect() })
}

impl Ordered<'_> {
    /// Returns whether it is the order of these tasks: packages may have joined their build since it was found.
    pub fn is_of(&self, tasks: &[Task]) -> bool {
        let now = made(tasks, &self.platform.name);
        let same = |((name, made), (other, now)): ((&String, &SrcOutcome), (&&str, &&SrcOutcome))| {
            name == other && made.srpm == now.srpm
        };
        self.made.len() == now.len() && self.made.iter().zip(&now).all(same)
    }
}

/// Returns who waits for whom; circles are in it.
pub fn graph(made: &BTreeMap<String, SrcOutcome>) -> Graph {
    let source = |(package, made): (&String, &SrcOutcome)| Source {
        name: package.clone(),
        provides: made.provides.clone(),
        build_requires: made.build_requires.clone(),
        cost_secs: 0.0,
    };
    Graph::new(&made.iter().map(source).collect::<Vec<_>>())
}

fn made<'a>(tasks: &'a [Task], platform: &str) -> BTreeMap<&'a str, &'a SrcOutcome> {
    let sources =
        tasks.iter().filter(|task| task.about.kind == Kind::Src && task.about.platform.as_deref() == Some(platform));
    let made = sources.filter_map(|task| match (&task.about.package, &task.result) {
        (Some(package), Some(Outcome::Src(made))) => Some((package.as_str(), made)),
        _ => None,
    });
    made.collect()
}

/// Returns architectures in the order in which one is chosen where any of them does (for source packages, and for what is noarch): those
/// that a node which takes such tasks runs by itself are before those that are emulated, or that nobody has just now.
pub fn by_nodes(archs: &[Arch], nodes: &[Node], now: Timestamp, kind: Kind) -> Vec<Arch> {
    let is_run = |arch: Arch| {
        nodes
            .iter()
            .any(|node| node.architectures.contains(&arch) && node.kinds.contains(&kind) && fit::is_taking(node, now))
    };
    let (run, others): (Vec<Arch>, Vec<Arch>) = archs.iter().partition(|arch| is_run(**arch));
    [run, others].concat()
}

/// Returns why a package is not built for one of its build's architectures; nothing where it is. What is noarch is built on the first
/// of them that it may be built on.
pub fn excluded(made: &SrcOutcome, arch: Arch, archs: &[Arch]) -> Option<String> {
    made.excluded(arch).or_else(|| {
        let first = archs.iter().copied().find(|&arch| made.excluded(arch).is_none());
        let first = first.filter(|&first| made.is_noarch && first != arch)?;
        Some(format!("All its packages are noarch; they are built on {}.", first.name()))
    })
}

/// Returns for which architectures a package has to be built that another one's build for an architecture waits for: what is noarch
/// is made on one, for all.
pub fn waited_for(needed: &SrcOutcome, arch: Arch, archs: &[Arch]) -> impl Iterator<Item = Arch> {
    archs.iter().copied().filter(move |&other| other == arch || needed.is_noarch)
}

/// Says that the order is known, and what it is not.
pub fn summary(count: usize, circles: &[Circle]) -> String {
    let mut summary = format!("{count} source packages are made; packages are being built.");
    if !circles.is_empty() {
        let paths: Vec<String> = circles.iter().take(MAX_NAMED).map(|circle| circle.path.join(" → ")).collect();
        let more = match circles.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more circles"),
        };
        let again: BTreeSet<&str> = circles.iter().flat_map(Circle::again).collect();
        let again = match again.len() {
            0..=MAX_NAMED => again.into_iter().collect::<Vec<_>>().join(", "),
            count => format!("{count} of them"),
        };
        summary += &format!(
            " {}{more} wait for one another: {again} begin with what the platform has; build them once more when this is released.",
            paths.join("; ")
        );
    }
    summary
}

/// What packages of a build take from the platform, though they are built here.
pub struct Taken<'a>(BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>>);

impl<'a> Taken<'a> {
    /// Reads it from the ways out of a build's circles.
    pub fn of(circles: &'a [Circle]) -> Taken<'a> {
        let mut taken: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for circle in circles {
            for (first, other) in &circle.bootstrap {
                taken.entry((circle.platform.as_str(), first.as_str())).or_default().insert(other);
            }
        }
        Taken(taken)
    }

    /// Says it of a build task, as a sentence that comes after another; most tasks have nothing of the kind.
    pub fn sentence(&self, task: &Task) -> Option<String> {
        let about = &task.about;
        let key = (about.platform.as_deref()?, about.package.as_deref()?);
        let others = self.0.get(&key).filter(|_| about.kind == Kind::Build)?;
        let others = others.iter().copied().collect::<Vec<_>>().join(", ");
        Some(format!(" It is built with what the platform has of {others}: they wait for one another."))
    }
}

#[cfg(test)]
mod tests {
    use anima_types::lease::{Condition, PROTOCOL};

    use super::*;

    fn node(name: &str, architectures: &[Arch], emulated: &[Arch]) -> Node {
        Node {
            name: name.into(),
            kinds: vec![Kind::Src, Kind::Build],
            architectures: architectures.to_vec(),
            emulated: emulated.to_vec(),
            slots: 1,
            version: "1".into(),
            instance: String::new(),
            seen_at: Timestamp(0),
            condition: Condition { protocol: PROTOCOL, ..Condition::default() },
            drain: None,
        }
    }

    #[test]
    fn what_any_architecture_makes_for_all_is_made_where_a_node_runs_one() {
        use Arch::{Aarch64, S390x, X86_64};
        let archs = [S390x, Aarch64, X86_64];
        let nodes = [node("arm", &[Aarch64], &[S390x]), node("x86", &[X86_64], &[])];
        let ill = Node {
            condition: Condition { problem: Some("its disk is full".into()), ..nodes[0].condition.clone() },
            ..nodes[0].clone()
        };
        let of = |nodes: &[Node], kind| by_nodes(&archs, nodes, Timestamp(0), kind);

        assert_eq!(of(&nodes, Kind::Build), [Aarch64, X86_64, S390x]);
        assert_eq!(of(&[ill, nodes[1].clone()], Kind::Build), [X86_64, S390x, Aarch64]);
        assert_eq!(of(&nodes, Kind::Test), archs, "nobody takes those: the platform's first");
        assert_eq!(of(&[], Kind::Src), archs);
    }
}
