//! Releases: what goes where and why, before it goes and after.

use anima_types::{
    gate::{self, Decision},
    id::{BuildId, ReleaseId, RepositoryId},
    permission::Permission,
    release::{Approval, LeftOut, ListedRelease, MadeEdit, PlanAttachment, PlanRemoval, Release, Status},
};
use askama::Template;
use axum::extract::{Path, State as Extract};

use super::{
    act::{Act, Acts, Field, offered},
    answer::{Frame, PageResult, id, newest_event, page},
    build::{TaskRow, task_row},
    plan_grid::{self, After, Grid, counts, gates_in_numbers, grid},
    strip::Scale,
    words::{State, When},
};
use crate::{app::App, auth::Caller, task::views};

/// What a gate found, what goes and what is left out on a page: who needs more reads the API's answer.
const MAX_NAMED: usize = 20;

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    frame: Frame,
    answer: String,
    rows: Vec<Row>,
}

struct Row {
    id: ReleaseId,
    state: State,
    product: String,
    build: Option<BuildId>,
    content: String,
    entries: u64,
    summary: String,
    created: When,
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    frame: Frame,
    id: ReleaseId,
    state: State,
    summary: String,
    product: String,
    build: Option<BuildId>,
    content: String,
    committed_by: Option<String>,
    reason: Option<String>,
    created: When,
    released: Option<When>,
    scheduled: Option<String>,
    counts: String,
    gates_in_numbers: String,
    gates: Vec<GateRow>,
    grid: Grid,
    after: Vec<After>,
    removals: Vec<PlanRemoval>,
    unshown_removals: usize,
    left_out: Vec<LeftOut>,
    attachments: Vec<PlanAttachment>,
    unshown_left_out: usize,
    edits: Vec<EditRow>,
    approvals: Vec<ApprovalRow>,
    approvals_wanted: u32,
    snapshots: Vec<SnapshotRow>,
    tasks: Vec<TaskRow>,
    acts: Acts,
}

struct GateRow {
    name: &'static str,
    wants: &'static str,
    state: State,
    found: Vec<String>,
    unshown: u64,
    known: Vec<String>,
    unshown_known: u64,
    note: Option<String>,
}

struct EditRow {
    package: String,
    to: String,
    who: String,
    reason: String,
    at: When,
}

struct ApprovalRow {
    who: String,
    reason: Option<String>,
    at: When,
}

struct SnapshotRow {
    name: String,
    repository: RepositoryId,
    base: i64,
    number: i64,
}

/// `/releases`
pub async fn list(Extract(app): Extract<App>) -> PageResult {
    let after = newest_event(&app).await?;
    let releases = crate::release::newest(&app, None).await?;
    let waiting = anima_db::release::count(&mut *app.db.read().await?, Status::Planned).await?;
    let answer = match (releases.first(), waiting) {
        (None, _) => "Nothing was released yet. A release is a plan first: of a build that succeeded, of a copy, or of an import."
            .to_string(),
        (Some(newest), 0) => format!("No plan waits for a decision. The newest release is {}.", newest.id),
        (Some(_), 1) => "1 plan waits for a decision.".to_string(),
        (Some(_), plans) => format!("{plans} plans wait for a decision."),
    };
    let row = |release: ListedRelease| Row {
        id: release.id,
        state: release.status.into(),
        product: release.product,
        build: release.build,
        content: release.content.to_string(),
        entries: release.package_count,
        summary: release.summary,
        created: When::new(release.created_at, app.now()),
    };
    let frame = Frame::new("Releases", "releases", "/api/v1/releases").follow(after, "");
    page(&ReleasesPage { frame, answer, rows: releases.into_iter().map(row).collect() })
}

/// `/releases/{release}`
pub async fn show(Extract(app): Extract<App>, caller: Caller, Path(text): Path<String>) -> PageResult {
    let release: ReleaseId = id("release", &text)?;
    let after = newest_event(&app).await?;
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, release).await?;
    let release = crate::release::view(&mut read, row).await?;
    let made = anima_db::snapshot::of_release(&mut read, release.id).await?;
    let tasks = anima_db::task::of_release(&mut read, release.id).await?;
    let repositories = anima_db::repository::list(&mut read, Some(&release.product)).await?;
    drop(read);
    let tasks = views(&app, tasks, Default::default(), Default::default()).await?;
    let (now, scale) = (app.now(), Scale::of(&tasks, app.now()));
    let frame = Frame::new(format!("Release {}", release.id), "releases", format!("/api/v1/releases/{}", release.id));
    let filter = release.build.map(|build| format!("build={build}")).unwrap_or_default();
    let mut answers: Vec<&gate::Answer> = release.gates.iter().collect();
    // What somebody has to answer first, what holds last.
    answers.sort_by_key(|answer| (answer.found_count == 0, std::cmp::Reverse(answer.level)));
    let gates: Vec<GateRow> = answers.into_iter().map(gate_row).collect();
    // What was released is no longer compared with today.
    let is_ahead = matches!(release.status, Status::Planned | Status::Scheduled | Status::Publishing | Status::Signing);
    page(&ReleasePage {
        frame: frame.follow(after, &filter),
        id: release.id,
        state: release.status.into(),
        counts: counts(&release),
        acts: offered(&app, &caller, ("release", &text), acts(&release)).await?,
        gates_in_numbers: gates_in_numbers(&gates.iter().map(|gate| gate.state).collect::<Vec<_>>()),
        gates,
        grid: grid(&release.plan, &repositories),
        after: if is_ahead { plan_grid::after(&release, &repositories) } else { Vec::new() },
        unshown_removals: release.removals.len().saturating_sub(MAX_NAMED),
        removals: release.removals.into_iter().take(MAX_NAMED).collect(),
        unshown_left_out: release.left_out.len().saturating_sub(MAX_NAMED),
        left_out: release.left_out.into_iter().take(MAX_NAMED).collect(),
        attachments: release.attachments,
        edits: release.edits.into_iter().map(|made| edit_row(made, now)).collect(),
        approvals: release.approvals.into_iter().map(|approval| approval_row(approval, now)).collect(),
        approvals_wanted: release.approvals_wanted,
        reason: release.reason,
        summary: release.summary,
        product: release.product,
        build: release.build,
        content: release.content.to_string(),
        committed_by: release.committed_by,
        created: When::new(release.created_at, now),
        released: release.released_at.map(|at| When::new(at, now)),
        scheduled: release.scheduled_at.map(|at| When::new(at, now).utc),
        snapshots: made.into_iter().map(snapshot_row).collect(),
        tasks: tasks.iter().map(|task| task_row(task, &app, scale)).collect(),
    })
}

fn snapshot_row(made: anima_db::snapshot::Made) -> SnapshotRow {
    let name = format!("{}@{}", made.path, made.number);
    SnapshotRow { name, repository: made.repository, base: made.base, number: made.number }
}

fn edit_row(made: MadeEdit, now: anima_types::Timestamp) -> EditRow {
    let to = if made.edit.to.is_empty() { "nowhere".to_string() } else { made.edit.to.join(", ") };
    EditRow { package: made.edit.package, to, who: made.who, reason: made.reason, at: When::new(made.at, now) }
}

fn approval_row(approval: Approval, now: anima_types::Timestamp) -> ApprovalRow {
    ApprovalRow { who: approval.who, reason: approval.reason, at: When::new(approval.at, now) }
}

fn gate_row(answer: &gate::Answer) -> GateRow {
    let texts = |findings: &[gate::Finding]| {
        findings.iter().take(MAX_NAMED).map(|finding| finding.text.clone()).collect::<Vec<_>>()
    };
    let (found, known) = (texts(&answer.found), texts(&answer.known));
    GateRow {
        name: answer.gate.name(),
        wants: answer.gate.wants(),
        state: answer.into(),
        unshown: answer.found_count.saturating_sub(found.len() as u64),
        found,
        unshown_known: answer.known_count.saturating_sub(known.len() as u64),
        known,
        note: answer.note.clone(),
    }
}

/// Returns what gives a planned release to users, as its gates want it.
fn go(release: &Release) -> Act {
    let id = release.id;
    let commit =
        |command, says| press(release, "commit", "Give it to users", Permission::Release, command, says).main();
    match gate::decide(&release.gates) {
        Decision::Open => {
            commit(format!("anima release commit {id}"), "give it to users: all its repositories move at once")
        }
        Decision::Asks(_) => {
            let command = format!("anima release commit {id} --reason TEXT");
            commit(command, "give it to users, and say why although a gate asks").asking(why().required())
        }
        Decision::Blocked(_) => {
            let command = format!("anima release force {id} --reason TEXT");
            let says = "an admin gives it to users although a gate blocks it";
            let form = press(release, "force", "Give it to users all the same", Permission::Configure, command, says);
            form.asking(why().required())
        }
    }
}

const fn why() -> Field {
    Field::text("reason", "Reason")
}

/// Returns an act on a release; who presses is held to the plan that they saw.
fn press(
    release: &Release,
    act: &str,
    word: &'static str,
    permission: Permission,
    command: String,
    says: &'static str,
) -> Act {
    let plan = Field::hidden("plan", crate::release::word_of_plan(release));
    Act::press(word, format!("/releases/{}/{act}", release.id), permission, command, says).asking(plan)
}

fn acts(release: &Release) -> Vec<Act> {
    let (id, status) = (release.id, release.status);
    let press = |act, word, command, says| press(release, act, word, Permission::Release, command, says);
    let replan = || {
        let says = "plan it again over what users see now";
        press("replan", "Plan it again", format!("anima release replan {id}"), says)
    };
    let abandon = || {
        let says = "throw the plan away; users see no change";
        press("abandon", "Throw it away", format!("anima release abandon {id}"), says)
    };
    let edit = || {
        let command = format!("anima release edit {id} PACKAGE --to REPOSITORY --reason TEXT");
        let mut names: Vec<String> = release.plan.iter().map(|entry| entry.nevra.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let mut places: Vec<String> = release.plan.iter().map(|entry| entry.repository_path.clone()).collect();
        places.sort_unstable();
        places.dedup();
        press(
            "edit",
            "Move a package",
            command,
            "let a package go elsewhere; --leave-out instead of --to lets it go nowhere",
        )
        .asking(Field { proposals: names, ..Field::text("package", "Package").required() })
        .asking(Field { proposals: places, ..Field::text("to", "To repositories (none: it goes nowhere)") })
        .asking(why().required())
    };
    let schedule = || {
        let command = format!("anima release schedule {id} --at 2026-11-30T02:00:00Z");
        press("schedule", "Set a time", command, "give it to users at a time")
            .asking(Field { kind: "datetime-local", ..Field::text("at", "When (UTC)").required() })
            .asking(why())
    };
    let approve = || {
        let command = format!("anima release approve {id}");
        press("approve", "Approve it", command, "say that the plan is good").asking(why()).main()
    };
    let lacks = (release.approvals.len() as u64) < u64::from(release.approvals_wanted);
    match status {
        Status::Planned if lacks => vec![approve(), edit(), replan(), abandon()],
        Status::Planned => vec![go(release), schedule(), edit(), replan(), abandon()],
        Status::Scheduled => {
            let says = "take the time back; the plan waits for a decision";
            let command = format!("anima release unschedule {id}");
            vec![press("unschedule", "Take the time back", command, says).main(), abandon()]
        }
        Status::Released => {
            let says = "take it back: users see again what they saw before";
            vec![press("revert", "Take it back", format!("anima release revert {id}"), says)]
        }
        Status::Planning => vec![abandon()],
        Status::Failed => vec![edit(), replan().main(), abandon()],
        Status::Publishing | Status::Signing => vec![replan()],
        Status::Reverted | Status::Abandoned => {
            vec![Act::look(format!("anima release show {id}"), "the release with its plan")]
        }
    }
}
