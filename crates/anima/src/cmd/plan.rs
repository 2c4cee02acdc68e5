//! `anima plan`: what a build would do, before it is started.

use anima_types::build_plan::{BuildPlan, CreateBuildPlan, PlannedCircle};
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
            output::span(package.start_secs),
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
        fields
            .push((arch.arch.name(), format!("{} tasks, {span} on {} slots; at best {bound}", arch.tasks, arch.slots)));
    }
    fields.extend(plan.circles.iter().map(|circle| ("circle", way_out(circle))));
    fields.extend(plan.unknown.iter().map(|unknown| ("unknown", unknown.clone())));
    text.push('\n');
    text + &output::fields(&fields)
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
