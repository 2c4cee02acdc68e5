//! `anima build`: requests of packages × platforms × architectures.

mod find;
mod logs;
mod screen;
mod shell;
mod show;
mod times;
mod watch;

use anima_types::{
    Arch,
    build::{self, CreateBuild, ListQuery, Priority, SourceRef, Status},
    id::{BuildId, TaskId},
};
use clap::{Args, Subcommand};

use self::watch::Until;
use super::Ask;
use crate::{
    exit::Result,
    output::{self, Output},
};

/// Start, watch, restart and cancel builds
#[derive(Debug, Subcommand)]
pub enum Build {
    /// Start a build of one package or more
    Create(Create),
    /// List builds, the newest first
    List(List),
    /// Show a build with its tasks and how long each step took
    Show {
        /// The build's id
        id: BuildId,
    },
    /// Print the ids of the builds that came of commits which were pushed; those that did not begin yet are waited for
    Find {
        /// A package and its commit
        #[arg(required = true, value_name = "PACKAGE@COMMIT", value_parser = parse_source)]
        commits: Vec<SourceRef>,
    },
    /// Show how long each step of builds took, package by package
    Times {
        /// The builds' ids
        #[arg(required = true)]
        ids: Vec<BuildId>,
    },
    /// Watch a build live, and end as it ends (exit code 5 if it fails)
    Watch {
        /// The build's id
        id: BuildId,
        /// Go on until its packages are released to users
        #[arg(long)]
        released: bool,
    },
    /// Print the logs of a build's tasks
    Log {
        /// The build's id, or one task of it: BUILD/TASK
        #[arg(value_name = "BUILD[/TASK]", value_parser = parse_log_of)]
        of: LogOf,
        /// Go on until the end
        #[arg(long, short)]
        follow: bool,
    },
    Shell(shell::Shell),
    /// Stop a build
    Cancel {
        /// The build's id
        id: BuildId,
    },
    /// Drop what an ended build made, unless a release or a build that goes on needs it
    Delete {
        /// The build's id
        id: BuildId,
    },
    /// Try again what failed or was cancelled in a build
    Restart {
        /// The build's id
        id: BuildId,
        /// Watch it, and end as it ends
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// A package, at the platform's branch or at a branch, tag or commit of its own
    #[arg(required = true, value_name = "PACKAGE[@REF]", value_parser = parse_source)]
    packages: Vec<SourceRef>,
    /// A platform to build for; repeat it for more
    #[arg(long = "platform", value_name = "PLATFORM", required = true)]
    platforms: Vec<String>,
    /// An architecture; repeat it for more [default: all that the platform has and a node runs]
    #[arg(long = "arch", value_name = "ARCH")]
    architectures: Vec<Arch>,
    /// How much it is hurried: background, normal, urgent
    #[arg(long, value_name = "PRIORITY", default_value = "normal", value_parser = parse_priority)]
    priority: Priority,
    /// A flavor of the platform; repeat it for more
    #[arg(long = "flavor", value_name = "FLAVOR")]
    flavors: Vec<String>,
    /// A build whose packages this one sees; repeat it for more
    #[arg(long = "linked", value_name = "BUILD")]
    linked: Vec<BuildId>,
    /// Watch it, and end as it ends
    #[arg(long)]
    wait: bool,
}

#[derive(Args, Debug)]
pub struct List {
    /// Only builds of this package
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only builds on this platform
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Only builds that stand so: sources, building, testing, signing, succeeded, failed, cancelled
    #[arg(long, value_name = "STATUS", value_parser = parse_status)]
    status: Option<Status>,
    /// Only builds that this one asked for
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only builds older than this one
    #[arg(long, value_name = "BUILD")]
    before: Option<BuildId>,
    /// How many at most
    #[arg(long, default_value_t = 30)]
    limit: u32,
}

/// Whose log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogOf {
    build: BuildId,
    task: Option<TaskId>,
}

impl Build {
    pub async fn run(self, ask: &Ask) -> Result {
        let client = &ask.client;
        match self {
            Build::Create(create) => create.run(ask).await,
            Build::List(list) => list.run(ask).await,
            Build::Show { id } => show::show(ask, id).await,
            Build::Find { commits } => find::find(ask, &commits).await,
            Build::Times { ids } => show::times(ask, &ids).await,
            Build::Watch { id, released } => {
                watch::watch(ask, id, if released { Until::Released } else { Until::Ended }).await
            }
            Build::Log { of: LogOf { task: Some(task), .. }, follow } => {
                super::log::print(ask, &client.task(task).await?, follow).await
            }
            Build::Shell(_) => unreachable!("it asks no master"),
            Build::Log { of, follow } => logs::print_all(ask, of.build, follow).await,
            Build::Cancel { id } => {
                client.cancel_build(id).await?;
                ask.output.show(&client.build(id).await?.build, said)
            }
            Build::Delete { id } => {
                client.delete_build(id).await?;
                ask.output.show(&client.build(id).await?.build, said)
            }
            Build::Restart { id, wait } => {
                client.restart_build(id).await?;
                match wait {
                    true => watch::watch(ask, id, Until::Ended).await,
                    false => ask.output.show(&client.build(id).await?.build, said),
                }
            }
        }
    }
}

impl Create {
    async fn run(self, ask: &Ask) -> Result {
        let wanted = CreateBuild {
            packages: self.packages,
            platforms: self.platforms,
            architectures: self.architectures,
            priority: self.priority,
            options: build::Options { flavors: self.flavors, linked: self.linked },
        };
        let build = ask.client.create_build(&wanted).await?;
        match (self.wait, ask.output) {
            (false, _) => ask.output.show(&build, said),
            (true, Output::Json) => watch::watch(ask, build.id, Until::Ended).await,
            (true, Output::Text) => {
                output::line(&said(&build))?;
                watch::watch(ask, build.id, Until::Ended).await
            }
        }
    }
}

impl List {
    async fn run(self, ask: &Ask) -> Result {
        let query = ListQuery {
            limit: Some(self.limit),
            before: self.before,
            package: self.package,
            platform: self.platform,
            owner: self.owner,
            status: self.status,
        };
        ask.output.list(&ask.client.builds(&query).await?, HEADER, row, "There are no such builds.")
    }
}

/// The columns of a list of builds.
pub const HEADER: [&str; 7] = ["build", "status", "packages", "platforms", "by", "began", "took"];

/// Packages that are named in a line of a list.
const NAMED_PACKAGES: usize = 6;

/// Returns a build's line in a list.
pub fn row(build: &build::Build) -> [String; 7] {
    [
        build.id.to_string(),
        build.status.name().to_string(),
        packages(build),
        build.platforms.join(", "),
        build.owner.clone(),
        output::moment(build.created_at),
        output::or_dash(build.ended_at.map(|ended_at| output::span(ended_at.secs_since(build.created_at)))),
    ]
}

fn packages(build: &build::Build) -> String {
    let mut names: Vec<_> = build.sources.iter().map(|source| source.package.clone()).collect();
    if names.len() > NAMED_PACKAGES {
        let more = names.len() - NAMED_PACKAGES;
        names.truncate(NAMED_PACKAGES);
        names.push(format!("and {more} more"));
    }
    names.join(" ")
}

fn said(build: &build::Build) -> String {
    format!("build {} is {}: {}", build.id, build.status.name(), build.summary)
}

fn parse_source(text: &str) -> std::result::Result<SourceRef, String> {
    let (package, reference) = match text.split_once('@') {
        Some((package, reference)) => (package, Some(reference.to_string())),
        None => (text, None),
    };
    if package.is_empty() || reference.as_ref().is_some_and(String::is_empty) {
        return Err("it has to be PACKAGE or PACKAGE@REF".to_string());
    }
    Ok(SourceRef { package: package.to_string(), reference })
}

pub fn parse_priority(text: &str) -> std::result::Result<Priority, String> {
    Priority::from_name(text).ok_or_else(|| "it is background, normal or urgent".to_string())
}

fn parse_status(text: &str) -> std::result::Result<Status, String> {
    let names = || Status::ALL.map(Status::name).join(", ");
    Status::from_name(text).ok_or_else(|| format!("it has to be one of: {}", names()))
}

fn parse_log_of(text: &str) -> std::result::Result<LogOf, String> {
    let wrong = |_| "it has to be a build's id, or BUILD/TASK".to_string();
    let (build, task) = match text.split_once('/') {
        Some((build, task)) => (build, Some(task.parse().map_err(wrong)?)),
        None => (text, None),
    };
    Ok(LogOf { build: build.parse().map_err(wrong)?, task })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_may_have_a_reference() {
        let source = |package: &str, reference: Option<&str>| {
            Ok(SourceRef { package: package.into(), reference: reference.map(String::from) })
        };

        assert_eq!(parse_source("jq"), source("jq", None));
        assert_eq!(parse_source("jq@feature/x"), source("jq", Some("feature/x")));
        assert!(parse_source("@s1").is_err() && parse_source("jq@").is_err());
    }

    #[test]
    fn a_log_is_of_a_build_or_of_one_of_its_tasks() {
        assert_eq!(parse_log_of("7"), Ok(LogOf { build: BuildId(7), task: None }));
        assert_eq!(parse_log_of("7/12"), Ok(LogOf { build: BuildId(7), task: Some(TaskId(12)) }));
        assert!(parse_log_of("jq").is_err());
    }
}
