//! `anima plan`: what a build would do, before it is started.

use anima_types::build_plan::{BuildPlan, CreateBuildPlan, PlannedCircle, PlannedNode, PlannedPackage};
use clap::Args;

use super::Ask;
use crate::{exit::Result, output};

/// Names in a line of the text at most; `--json` has all.
const NAMED: usize = 12;

/// Say what a build would do before it is started: order, waves, the longest chain, how long it takes
#[derive(Args, Debug)]
pub struct Plan {
    /// The packages [default: all that the platform ever had: a mass rebuild]
    #[arg(value_name = "PACKAGE")]
    packages: Vec<String>,
    /// The platform
    #[arg(long, value_name = "PLATFORM")]
    platform: String,
    /// What if this package changed: plan it, and all that is built with it, directly or through others; repeat it for more
    #[arg(long, value_name = "PACKAGE", conflicts_with = "packages")]
    what_if: Vec<String>,
    /// How many tasks run at once on each architecture [default: the slots of the nodes that are there]
    #[arg(long, value_name = "NUMBER")]
    slots: Option<u32>,
}

impl Plan {
    pub async fn run(self, ask: &Ask) -> Result {
        let with_dependants = !self.what_if.is_empty();
        let packages = if with_dependants { self.what_if } else { self.packages };
        let wanted = CreateBuildPlan { packages, platform: self.platform, with_dependants, slots: self.slots };
        ask.output.show(&ask.client.plan_build(&wanted).await?, describe)
    }
}

fn describe(plan: &BuildPlan) -> String {
    let rows = plan.packages.iter().map(|package| {
        let estimate = output::span(package.estimate_secs);
        [
            package.wave.to_string(),
            package.package.clone(),
            if package.is_dependant { "is built with it" } else { "" }.to_string(),
            format!("{}{estimate}", if package.is_measured { "" } else { "about " }),
            starts(plan, package),
            some(&package.waits_for),
        ]
    });
    let mut text = output::table(["wave", "package", "why", "takes", "begins after", "waits for"], rows);
    let mut fields = vec![
        ("packages", format!("{} in {} waves", plan.packages.len(), plan.wave_count)),
        ("longest chain", format!("{}: {}", output::span(plan.critical_path_secs), plan.critical_path.join(" → "))),
    ];
    for arch in &plan.architectures {
        let span = output::span(arch.makespan_secs);
        let bound = output::span(arch.lower_bound_secs);
        let excluded = match plan.excluded.iter().filter(|excluded| excluded.arch == arch.arch).count() {
            0 => String::new(),
            count => format!(", {count} not built there"),
        };
        let what = format!(
            "{} tasks in {} waves{excluded}, {span} on {} slots; at best {bound}; {}",
            arch.tasks,
            arch.wave_count,
            arch.slots,
            takers(&arch.nodes)
        );
        fields.push((arch.arch.name(), what));
    }
    fields.extend(plan.circles.iter().map(|circle| ("circle", way_out(circle))));
    fields.extend(plan.unknown.iter().map(|unknown| ("unknown", unknown.clone())));
    text.push('\n');
    text + &output::fields(&fields)
}

/// Returns when a package begins: on each architecture, where there are several.
fn starts(plan: &BuildPlan, package: &PlannedPackage) -> String {
    if plan.architectures.len() < 2 {
        return output::span(package.start_secs);
    }
    let starts = package.tasks.iter().map(|task| format!("{} {}", task.arch.name(), output::span(task.start_secs)));
    starts.collect::<Vec<_>>().join(", ")
}

fn takers(nodes: &[PlannedNode]) -> String {
    let name = |node: &PlannedNode| {
        let emulates = if node.is_emulated { " (emulated)" } else { "" };
        format!("{}{emulates}", node.name)
    };
    match nodes {
        [] => "no node".to_string(),
        nodes => format!("on {}", some(&nodes.iter().map(name).collect::<Vec<_>>())),
    }
}

fn way_out(circle: &PlannedCircle) -> String {
    let way_out = circle.bootstrap.iter().map(|(first, other)| format!("{first} with the {other} that is released"));
    format!("{}; build first {}", circle.path.join(" → "), some(&way_out.collect::<Vec<_>>()))
}

fn some(names: &[String]) -> String {
    match names.len() {
        0..=NAMED => names.join(", "),
        count => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_told_for_each_architecture_with_what_is_not_known() {
        let task = |arch: &str, start_secs: i64| json!({ "arch": arch, "wave": 0, "estimate_secs": 90, "basis": "size", "start_secs": start_secs });
        let arch = |arch: &str, nodes: serde_json::Value| json!({ "arch": arch, "slots": 2, "tasks": 1, "makespan_secs": 95, "lower_bound_secs": 90, "wave_count": 1, "nodes": nodes });
        let plan = serde_json::from_value(json!({
            "platform": "p1",
            "packages": [{
                "package": "oak", "wave": 0, "waits_for": ["acorn"], "estimate_secs": 90, "is_measured": false,
                "start_secs": 0, "tasks": [task("x86_64", 0), task("aarch64", 5)], "is_dependant": true,
            }],
            "wave_count": 1, "critical_path": ["oak"], "critical_path_secs": 90,
            "architectures": [
                arch("x86_64", json!([{ "name": "n1", "slots": 2, "is_emulated": false }])),
                arch("aarch64", json!([{ "name": "n2", "slots": 2, "is_emulated": true }])),
            ],
            "circles": [{ "members": ["a", "b"], "path": ["a", "b", "a"], "bootstrap": [["a", "b"]] }],
            "excluded": [{ "package": "acorn", "arch": "aarch64", "why": "It is noarch." }],
            "unknown": ["elm", "Never built on x86_64: oak."],
        }));

        let text = describe(&plan.unwrap());

        for words in [
            "is built with it",
            "about 1 min 30 s",
            "x86_64 0.0 s, aarch64 5.0 s",
            "1 tasks in 1 waves, 1 min 35 s on 2 slots; at best 1 min 30 s; on n1\n",
            "1 tasks in 1 waves, 1 not built there, ",
            "; on n2 (emulated)\n",
            "a → b → a; build first a with the b that is released\n",
            "  elm\n",
            "  Never built on x86_64: oak.",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }
}
