//! `anima rebuild`: mass rebuilds, held in bounds and released as one.

use anima_types::{
    Arch,
    build::Priority,
    id::BuildId,
    rebuild::{self, CreateRebuild, LeaveOut, RebuildReleases},
};
use clap::{Args, Subcommand};

use super::Ask;
use crate::{
    exit::{Failure, Result},
    output,
};

/// Mass rebuilds that are listed, the newest: nobody looks for those of years ago here.
const MAX_LISTED: u32 = 100;
/// Failed tasks that are named; `--json` has all.
const NAMED: usize = 20;

/// Rebuild many packages: in a repository of their own, held in bounds, released as one
#[derive(Debug, Subcommand)]
pub enum Rebuild {
    /// Start a mass rebuild; `anima plan` shows first what it would do
    Create(Create),
    /// List mass rebuilds, the newest first
    List,
    /// Show how far a mass rebuild is, what failed, and how long it goes on
    #[command(visible_alias = "status")]
    Show {
        /// Its id, which is its build's
        id: BuildId,
    },
    /// Begin nothing more; what nodes work on goes on
    Pause {
        /// Its id
        id: BuildId,
    },
    /// Go on
    Resume {
        /// Its id
        id: BuildId,
    },
    /// Say how many of its tasks are under way at once at most
    Limit {
        /// Its id
        id: BuildId,
        /// How many, or `none`
        #[arg(value_name = "NUMBER", value_parser = parse_limit)]
        limit: Bound,
    },
    /// Try again what failed
    Retry {
        /// Its id
        id: BuildId,
    },
    /// Go on without packages; what needs them is built with what was released
    LeaveOut {
        /// Its id
        id: BuildId,
        /// The packages [default: all that failed]
        #[arg(value_name = "PACKAGE")]
        packages: Vec<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Plan one release of all that was rebuilt; it goes through the product's gates
    Release {
        /// Its id
        id: BuildId,
    },
    /// Stop it; it can be retried
    Cancel {
        /// Its id
        id: BuildId,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// The packages [default: all that the platform ever had]
    #[arg(value_name = "PACKAGE")]
    packages: Vec<String>,
    /// The platform
    #[arg(long, value_name = "PLATFORM")]
    platform: String,
    /// Rebuild also all that is built with the packages, directly or through others
    #[arg(long, requires = "packages")]
    with_dependants: bool,
    /// The branch or tag whose commits are built [default: the commits that were built last]
    #[arg(long, value_name = "REF")]
    reference: Option<String>,
    /// An architecture; repeat it for more [default: all that the platform has]
    #[arg(long = "arch", value_name = "ARCH")]
    architectures: Vec<Arch>,
    /// How much it is hurried: background, normal, urgent
    #[arg(long, value_name = "PRIORITY", default_value = "background", value_parser = super::build::parse_priority)]
    priority: Priority,
    /// How many of its tasks are under way at once at most [default: no bound]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
    /// Begin nothing before it is resumed
    #[arg(long)]
    paused: bool,
}

/// A bound, or none.
#[derive(Clone, Copy, Debug)]
pub struct Bound(Option<u32>);

fn parse_limit(text: &str) -> std::result::Result<Bound, String> {
    match text {
        "none" => Ok(Bound(None)),
        text => text.parse().map(|limit| Bound(Some(limit))).map_err(|_| "it is a number or `none`".to_string()),
    }
}

impl Rebuild {
    pub async fn run(self, ask: &Ask) -> Result {
        let client = &ask.client;
        let id = match self {
            Rebuild::Create(create) => return create.run(ask).await,
            Rebuild::List => return list(ask).await,
            Rebuild::Release { id } => return ask.output.show(&client.release_rebuild(id).await?, released),
            Rebuild::Show { id } => id,
            Rebuild::Pause { id } => client.pause_rebuild(id).await.map(|()| id)?,
            Rebuild::Resume { id } => client.resume_rebuild(id).await.map(|()| id)?,
            Rebuild::Limit { id, limit: Bound(limit) } => client.limit_rebuild(id, limit).await.map(|_| id)?,
            Rebuild::Retry { id } => client.retry_rebuild(id).await.map(|()| id)?,
            Rebuild::Cancel { id } => client.cancel_rebuild(id).await.map(|()| id)?,
            Rebuild::LeaveOut { id, packages, reason } => {
                if reason.trim().is_empty() {
                    return Err(Failure::user("nothing is left out without a reason"));
                }
                client.leave_out(id, &LeaveOut { packages, reason }).await.map(|_| id)?
            }
        };
        ask.output.show(&client.rebuild(id).await?, describe)
    }
}

impl Create {
    async fn run(self, ask: &Ask) -> Result {
        let wanted = CreateRebuild {
            platform: self.platform,
            packages: self.packages,
            with_dependants: self.with_dependants,
            reference: self.reference,
            architectures: self.architectures,
            priority: self.priority,
            limit: self.limit,
            is_paused: self.paused,
        };
        ask.output.show(&ask.client.create_rebuild(&wanted).await?, describe)
    }
}

async fn list(ask: &Ask) -> Result {
    let row = |rebuild: &rebuild::Rebuild| {
        [
            rebuild.build.id.to_string(),
            standing(rebuild),
            rebuild.package_count.to_string(),
            rebuild.build.platforms.join(", "),
            rebuild.build.owner.clone(),
            output::moment(rebuild.build.created_at),
            left(rebuild),
        ]
    };
    let header = ["rebuild", "status", "packages", "platform", "by", "began", "left"];
    ask.output.list(&ask.client.rebuilds(MAX_LISTED).await?, header, row, "There are no mass rebuilds.")
}

fn standing(rebuild: &rebuild::Rebuild) -> String {
    let status = rebuild.build.status;
    match rebuild.is_paused && !status.is_ended() {
        true => format!("{}, paused", status.name()),
        false => status.name().to_string(),
    }
}

fn left(rebuild: &rebuild::Rebuild) -> String {
    match rebuild.secs_left {
        Some(secs) if !rebuild.build.status.is_ended() => format!("about {}", output::span(secs)),
        _ => "-".to_string(),
    }
}

fn describe(rebuild: &rebuild::Rebuild) -> String {
    let mut fields = vec![
        ("rebuild", rebuild.build.id.to_string()),
        ("status", standing(rebuild)),
        ("summary", rebuild.build.summary.clone()),
        ("packages", rebuild.package_count.to_string()),
        ("at once", rebuild.limit.map_or("no bound".to_string(), bound)),
        ("left", left(rebuild)),
    ];
    if !rebuild.releases.is_empty() {
        let ids = rebuild.releases.iter().map(ToString::to_string).collect::<Vec<_>>();
        fields.push(("releases", ids.join(", ")));
    }
    let rows = rebuild.progress.iter().map(|progress| {
        let number = |count: usize| count.to_string();
        [
            progress.kind.name().to_string(),
            output::or_dash(progress.arch),
            number(progress.waiting),
            number(progress.ready),
            number(progress.leased),
            number(progress.done),
            number(progress.failed),
        ]
    });
    let progress = output::table(["tasks", "arch", "waiting", "ready", "running", "done", "failed"], rows);
    let mut text = format!("{}\n\n{progress}", output::fields(&fields));
    if rebuild.failed_count > 0 {
        let rows = rebuild.failed.iter().take(NAMED).map(|failed| {
            let package = output::or_dash(failed.package.as_ref());
            [failed.task.to_string(), package, output::or_dash(failed.arch), failed.why.clone()]
        });
        text += &format!("\n\n{}", output::table(["failed", "package", "arch", "why"], rows));
        if rebuild.failed_count > NAMED {
            text += &format!("\nand {} more", rebuild.failed_count - NAMED);
        }
    }
    text
}

fn bound(limit: u32) -> String {
    format!("at most {limit} {}", if limit == 1 { "task" } else { "tasks" })
}

fn released(releases: &RebuildReleases) -> String {
    let line = |id: &anima_types::id::ReleaseId| format!("Release {id} is planned: `anima release show {id}`.");
    releases.releases.iter().map(line).collect::<Vec<_>>().join("\n")
}
