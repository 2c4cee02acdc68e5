//! `anima package`: what was pushed, built and released under one name.

use anima_types::package::{PackageDetail, PackageSummary, TargetStatistics};
use clap::Subcommand;

use super::{Ask, build};
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Look at packages
#[derive(Debug, Subcommand)]
pub enum Package {
    /// List all packages with their newest builds
    List,
    /// Show a package with its builds
    Show {
        /// Its name
        name: String,
    },
}

impl Package {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Package::List => ask.output.list(
                &ask.client.packages().await?,
                ["package", "version", "build", "status", "released to", "changed"],
                row,
                "There are no packages. Push one: `git push GIT-SERVICE/NAME.git HEAD:BRANCH`.",
            ),
            Package::Show { name } => ask.output.show(&ask.client.package(&name).await?, describe),
        }
    }
}

fn row(package: &PackageSummary) -> [String; 6] {
    [
        package.name.clone(),
        or_dash(package.version.as_ref()),
        or_dash(package.last_build),
        or_dash(package.status.map(|status| status.name())),
        or_dash(Some(package.released_to.join(", ")).filter(|text| !text.is_empty())),
        or_dash(package.changed_at.map(output::moment)),
    ]
}

fn describe(detail: &PackageDetail) -> String {
    let package = &detail.package;
    let fields = output::fields(&[
        ("package", package.name.clone()),
        ("version", or_dash(package.version.as_ref())),
        ("released to", or_dash(Some(package.released_to.join(", ")).filter(|text| !text.is_empty()))),
        ("changed", or_dash(package.changed_at.map(output::moment))),
    ]);
    let builds = output::table(build::HEADER, detail.builds.iter().map(build::row));
    format!("{fields}\n\n{builds}{}", detail.statistics.iter().map(takes).collect::<String>())
}

fn takes(target: &TargetStatistics) -> String {
    let TargetStatistics { platform, arch, build_count, secs, task, phases } = target;
    let secs = output::span(*secs);
    let mut text = format!("\n\n{platform} {arch}: {secs} in the middle of the last {build_count}; task {task}:");
    phases.iter().for_each(|phase| text += &format!("\n  {}", super::task::step(phase)));
    text
}
