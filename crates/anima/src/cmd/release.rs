//! `anima release`: from plan to users, and back.

use anima_types::{
    gate,
    id::{BuildId, ReleaseId},
    release::{self, CommitRelease, CreateRelease},
};
use clap::Subcommand;

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Plan, commit, abandon and revert releases
#[derive(Debug, Subcommand)]
pub enum Release {
    /// List releases, the newest first
    List,
    /// Show a release with its plan
    Show {
        /// The release's id
        id: ReleaseId,
    },
    /// Make a plan for a build that succeeded; nothing changes for users before `commit`
    Plan {
        /// The build's id
        build: BuildId,
        /// The product to release it to
        #[arg(long, value_name = "PRODUCT")]
        product: String,
    },
    /// Make the plan of a release anew, over what users see now
    Replan {
        /// The release's id
        id: ReleaseId,
    },
    /// Give a planned release to users
    Commit {
        /// The release's id
        id: ReleaseId,
        /// Why, where a gate asks for it; everybody can read it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Give a planned release to users although a gate blocks it
    Force {
        /// The release's id
        id: ReleaseId,
        /// Why; everybody can read it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Throw a plan away
    Abandon {
        /// The release's id
        id: ReleaseId,
    },
    /// Take a release back: users see what they saw before it
    Revert {
        /// The release's id
        id: ReleaseId,
    },
}

impl Release {
    pub async fn run(self, ask: &Ask) -> Result {
        let client = &ask.client;
        match self {
            Release::List => ask.output.list(
                &client.releases().await?,
                ["release", "status", "product", "build", "packages", "made", "summary"],
                row,
                "There are no releases. Plan one: `anima release plan BUILD --product PRODUCT`.",
            ),
            Release::Show { id } => ask.output.show(&client.release(id).await?, describe),
            Release::Plan { build, product } => {
                ask.output.show(&client.create_release(&CreateRelease { build, product }).await?, said)
            }
            Release::Replan { id } => {
                client.replan_release(id).await?;
                ask.output.show(&client.release(id).await?, said)
            }
            Release::Commit { id, reason } => {
                ask.output.show(&client.commit_release(id, &CommitRelease { reason }).await?, said)
            }
            Release::Force { id, reason } => {
                ask.output.show(&client.force_release(id, &CommitRelease { reason: Some(reason) }).await?, said)
            }
            Release::Abandon { id } => {
                client.abandon_release(id).await?;
                ask.output.show(&client.release(id).await?, said)
            }
            Release::Revert { id } => {
                client.revert_release(id).await?;
                ask.output.show(&client.release(id).await?, said)
            }
        }
    }
}

fn said(release: &release::Release) -> String {
    format!("release {} is {}: {}", release.id, release.status.name(), release.summary)
}

fn row(release: &release::Release) -> [String; 7] {
    [
        release.id.to_string(),
        release.status.name().to_string(),
        release.product.clone(),
        release.build.to_string(),
        release.plan.len().to_string(),
        output::moment(release.created_at),
        release.summary.clone(),
    ]
}

fn describe(release: &release::Release) -> String {
    let fields = output::fields(&[
        ("release", release.id.to_string()),
        ("status", release.status.name().to_string()),
        ("summary", release.summary.clone()),
        ("product", release.product.clone()),
        ("build", release.build.to_string()),
        ("decided by", or_dash(release.committed_by.as_ref())),
        ("reason", or_dash(release.reason.as_ref())),
        ("released", or_dash(release.released_at.map(output::moment))),
        ("snapshots", or_dash(Some(release.snapshots.join(", ")).filter(|text| !text.is_empty()))),
    ]);
    let lines = release.plan.iter().map(|entry| {
        let replaces = entry.replaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let replaces = or_dash(Some(replaces).filter(|text| !text.is_empty()));
        [entry.nevra.to_string(), entry.repository_path.clone(), replaces, entry.reason.clone()]
    });
    let plan = output::table(["package", "goes to", "replaces", "because"], lines);
    if release.gates.is_empty() {
        return format!("{fields}\n\n{plan}");
    }
    format!("{fields}\n\n{}\n\n{plan}", gates(&release.gates))
}

/// One line for each finding, and one for each gate that found none.
fn gates(answers: &[gate::Answer]) -> String {
    let lines = answers.iter().flat_map(|answer| {
        let (gate, level) = (answer.gate.name(), answer.level.name());
        let mut found = answer.found.clone();
        match answer.found_count.saturating_sub(found.len() as u64) {
            0 if found.is_empty() => found.push(format!("holds: {}", answer.gate.wants())),
            0 => {}
            more => found.push(format!("and {more} more")),
        }
        found.into_iter().map(move |line| [gate.to_string(), level.to_string(), line])
    });
    output::table(["gate", "level", "found"], lines)
}
