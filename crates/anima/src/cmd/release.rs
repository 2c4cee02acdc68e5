//! `anima release`: from plan to users, and back.

use anima_types::{
    Timestamp, gate,
    id::{BuildId, ReleaseId},
    release::{self, CommitRelease, Content, CreateRelease, Edit, EditRelease, ScheduleRelease},
    why::ReleaseWhy,
};
use clap::{Args, Subcommand};

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Plan, commit, abandon and revert releases
#[derive(Debug, Subcommand)]
pub enum Release {
    List(List),
    /// Show a release with its plan
    Show {
        /// The release's id
        id: ReleaseId,
    },
    /// Say why a release stands where it stands: what it waits for, what its gates found, who has a word to say
    Why {
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
        /// Only this of its packages: a name (of a source package: with all that was made of it) or a NEVRA; repeat it for more
        #[arg(long, value_name = "PACKAGE")]
        only: Vec<String>,
    },
    /// Make a plan for a copy of what another product or snapshot has
    Copy {
        /// From where: `PRODUCT`, `PRODUCT/PATH` or `PRODUCT/PATH@N`
        #[arg(required = true)]
        from: Vec<String>,
        /// The product to copy it to
        #[arg(long, value_name = "PRODUCT")]
        product: String,
        /// Only this package, as in `plan`; repeat it for more
        #[arg(long, value_name = "PACKAGE")]
        only: Vec<String>,
        /// Let go what is not where it is copied from
        #[arg(long, conflicts_with = "only")]
        exact: bool,
    },
    /// Make a plan that takes packages away from users
    Remove {
        /// Packages: names (of source packages: with all that was made of them) or NEVRAs
        #[arg(required = true)]
        packages: Vec<String>,
        /// The product
        #[arg(long, value_name = "PRODUCT")]
        product: String,
        /// Only from this repository, such as `BaseOS/x86_64`; repeat it for more
        #[arg(long, value_name = "PATH")]
        from: Vec<String>,
    },
    /// Make a plan that gives what users of a product see the signature of its key of now
    Resign {
        /// The product
        product: String,
        /// Only in this repository, such as `BaseOS/x86_64`; repeat it for more
        #[arg(long = "in", value_name = "PATH")]
        repositories: Vec<String>,
    },
    /// Make a plan that gives users what repositories have beside their packages, such as advisories and groups
    Attachments {
        /// The product
        product: String,
        /// In this repository, such as `BaseOS/x86_64`; repeat it for more [default: where users do not see it yet]
        #[arg(long = "in", value_name = "PATH")]
        repositories: Vec<String>,
    },
    /// Let packages of a plan go elsewhere, or nowhere
    Edit {
        /// The release's id
        id: ReleaseId,
        /// Packages: names, `name.arch` or NEVRAs
        #[arg(required = true)]
        packages: Vec<String>,
        /// A repository, such as `AppStream`, or for one architecture `AppStream/x86_64`; repeat it for more
        #[arg(long, value_name = "REPOSITORY", required_unless_present_any = ["leave_out", "undo"])]
        to: Vec<String>,
        /// Do not release them
        #[arg(long, conflicts_with = "to")]
        leave_out: bool,
        /// Forget what was said of them: they go where the plan finds best
        #[arg(long, conflicts_with_all = ["to", "leave_out"])]
        undo: bool,
        /// Why; everybody can read it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say that a plan is good, where the product asks several people
    Approve {
        /// The release's id
        id: ReleaseId,
        /// What there is to say about it; everybody can read it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Give a planned release to users at a time
    Schedule {
        /// The release's id
        id: ReleaseId,
        /// When, such as `2026-11-30T02:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = moment)]
        at: Timestamp,
        /// Why, where a gate asks for it; everybody can read it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Take that time back
    Unschedule {
        /// The release's id
        id: ReleaseId,
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

/// List releases, the newest first
#[derive(Args, Debug)]
pub struct List {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Only releases to this product
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// Only releases that stand so: planning, planned, scheduled, publishing, signing, released, reverted, failed, abandoned
    #[arg(long, value_name = "STATUS", value_parser = parse_status)]
    status: Option<release::Status>,
}

impl List {
    async fn run(self, ask: &Ask) -> Result {
        let query = release::ListQuery { product: self.product, status: self.status };
        ask.output.list(
            &ask.client.releases(&query, self.limit).await?,
            ["release", "status", "product", "carries", "packages", "made", "summary"],
            row,
            "There are no such releases. Plan one: `anima release plan BUILD --product PRODUCT`.",
        )
    }
}

fn parse_status(text: &str) -> std::result::Result<release::Status, String> {
    let names = || release::Status::ALL.map(release::Status::name).join(", ");
    release::Status::from_name(text).ok_or_else(|| format!("it has to be one of: {}", names()))
}

impl Release {
    pub async fn run(self, ask: &Ask) -> Result {
        let client = &ask.client;
        match self {
            Release::List(list) => list.run(ask).await,
            Release::Show { id } => ask.output.show(&client.release(id).await?, describe),
            Release::Why { id } => ask.output.show(&client.release_why(id).await?, because),
            Release::Plan { build, product, only } => create(ask, product, Content::Build { build, only }).await,
            Release::Copy { from, product, only, exact } => {
                create(ask, product, Content::Copy { copy: from, only, exact }).await
            }
            Release::Remove { packages, product, from } => {
                create(ask, product, Content::Removal { remove: packages, from }).await
            }
            Release::Resign { product, repositories } => {
                create(ask, product, Content::Resign { resign: repositories }).await
            }
            Release::Attachments { product, repositories } => {
                create(ask, product, Content::Attachments { attachments: repositories }).await
            }
            Release::Edit { id, packages, undo: true, reason, .. } => {
                let wanted = EditRelease { edits: Vec::new(), undo: packages, reason };
                ask.output.show(&client.edit_release(id, &wanted).await?, said)
            }
            Release::Edit { id, packages, to, reason, .. } => {
                let edits = packages.into_iter().map(|package| Edit { package, to: to.clone() }).collect();
                ask.output.show(&client.edit_release(id, &EditRelease { edits, undo: Vec::new(), reason }).await?, said)
            }
            Release::Approve { id, reason } => {
                ask.output.show(&client.approve_release(id, &CommitRelease { reason }).await?, said)
            }
            Release::Schedule { id, at, reason } => {
                ask.output.show(&client.schedule_release(id, &ScheduleRelease { at, reason }).await?, said)
            }
            Release::Unschedule { id } => {
                client.unschedule_release(id).await?;
                ask.output.show(&client.release(id).await?, said)
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

/// Begins a release and says so.
pub async fn create(ask: &Ask, product: String, content: Content) -> Result {
    ask.output.show(&ask.client.create_release(&CreateRelease { product, content }).await?, said)
}

/// Reads a moment as RFC 3339 has it.
pub fn moment(text: &str) -> std::result::Result<Timestamp, String> {
    let parsed = serde_json::from_value::<Timestamp>(serde_json::Value::String(text.to_string()));
    parsed.map_err(|_| "write a time by RFC 3339, such as 2026-11-30T02:00:00Z".to_string())
}

pub fn said(release: &release::Release) -> String {
    format!("release {} is {}: {}", release.id, release.status.name(), release.summary)
}

fn row(release: &release::ListedRelease) -> [String; 7] {
    [
        release.id.to_string(),
        release.status.name().to_string(),
        release.product.clone(),
        release.content.to_string(),
        release.package_count.to_string(),
        output::moment(release.created_at),
        release.summary.clone(),
    ]
}

fn because(why: &ReleaseWhy) -> String {
    let mut fields = vec![("release", why.release.to_string()), ("status", why.status.name().to_string())];
    fields.push(("why", why.summary.clone()));
    fields.extend(why.facts.iter().map(|fact| ("fact", fact.text.clone())));
    fields.extend(why.starts_at.map(|at| ("goes", output::moment(at))));
    fields.extend(why.hint.clone().map(|hint| ("hint", hint)));
    output::fields(&fields)
}

fn describe(release: &release::Release) -> String {
    let fields = output::fields(&[
        ("release", release.id.to_string()),
        ("status", release.status.name().to_string()),
        ("summary", release.summary.clone()),
        ("product", release.product.clone()),
        ("carries", release.content.to_string()),
        ("approvals", approvals(release)),
        ("scheduled", or_dash(release.scheduled_at.map(output::moment))),
        ("decided by", or_dash(release.committed_by.as_ref())),
        ("reason", or_dash(release.reason.as_ref())),
        ("released", or_dash(release.released_at.map(output::moment))),
        ("snapshots", or_dash(Some(release.snapshots.join(", ")).filter(|text| !text.is_empty()))),
    ]);
    let lines = release.plan.iter().map(|entry| {
        let replaces = entry.replaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let replaces = or_dash(Some(replaces).filter(|text| !text.is_empty()));
        let because = format!("{} ({})", entry.reason, entry.trust.name());
        [entry.nevra.to_string(), entry.repository_path.clone(), replaces, because]
    });
    let gone = release.removals.iter().map(|removal| {
        let from = format!("goes from {}", removal.repository_path);
        [removal.nevra.to_string(), from, or_dash(None::<String>), removal.reason.clone()]
    });
    let left_out = release
        .left_out
        .iter()
        .map(|left| [left.nevra.to_string(), "nowhere".to_string(), or_dash(None::<String>), left.reason.clone()]);
    let beside = release.attachments.iter().map(|attachment| {
        let because = format!("it is {}", attachment.fate.name());
        [attachment.name.clone(), attachment.repository_path.clone(), or_dash(None::<String>), because]
    });
    let lines = lines.chain(gone).chain(left_out).chain(beside);
    let plan = output::table(["package", "goes to", "replaces", "because"], lines);
    if release.gates.is_empty() {
        return format!("{fields}\n\n{plan}");
    }
    format!("{fields}\n\n{}\n\n{plan}", gates(&release.gates))
}

fn approvals(release: &release::Release) -> String {
    let names = release.approvals.iter().map(|approval| approval.who.as_str()).collect::<Vec<_>>().join(", ");
    match (release.approvals.len(), release.approvals_wanted) {
        (0, 0) => "-".to_string(),
        (0, wanted) => format!("0 of {wanted}"),
        (count, wanted) => format!("{count} of {wanted}: {names}"),
    }
}

/// One line for each finding, and one for each gate that found none.
fn gates(answers: &[gate::Answer]) -> String {
    let lines = answers.iter().flat_map(|answer| {
        let (gate, level) = (answer.gate.name(), answer.level.name());
        let mut found: Vec<String> = answer.found.iter().map(|finding| finding.text.clone()).collect();
        match answer.found_count.saturating_sub(found.len() as u64) {
            0 if found.is_empty() => match &answer.note {
                Some(note) => found.push(format!("holds: {} ({note})", answer.gate.wants())),
                None => found.push(format!("holds: {}", answer.gate.wants())),
            },
            0 => {}
            more => found.push(format!("and {more} more")),
        }
        if answer.known_count > 0 {
            found.push(format!("{} that were so before", answer.known_count));
        }
        found.into_iter().map(move |line| [gate.to_string(), level.to_string(), line])
    });
    output::table(["gate", "level", "found"], lines)
}
