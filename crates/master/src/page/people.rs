//! Pages about people: what is one's own work, teams, and the audit.

use anima_types::{
    account::Team,
    audit::{Entry, Filter, ListQuery as AuditQuery},
    build::{self, ListQuery},
    id::{EventId, ReleaseId},
    permission::Permission,
    release,
};
use askama::Template;
use axum::extract::State as Extract;
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, newest_event, page},
    feed::Row,
    words::{State, When, address_part, count},
};
use crate::{app::App, auth::Caller, error::Query, target};

/// Builds of one's own that are shown.
const BUILDS: u32 = 20;
/// Entries of the audit on one page.
const ENTRIES: u32 = 100;

#[derive(Template)]
#[template(path = "mine.html")]
struct MinePage {
    frame: Frame,
    answer: String,
    name: String,
    builds: Vec<Row>,
    decisions: Vec<DecisionRow>,
}

/// A release that waits for somebody like the reader.
struct DecisionRow {
    id: ReleaseId,
    state: State,
    product: String,
    summary: String,
    approvals: String,
    created: When,
}

/// `/mine`
pub async fn mine(Extract(app): Extract<App>, caller: Caller) -> PageResult {
    caller.person()?;
    let after = newest_event(&app).await?;
    let filter = ListQuery { limit: Some(BUILDS), owner: Some(caller.name.clone()), ..ListQuery::default() };
    let builds = crate::build::newest(&app, filter).await?;
    let releases = crate::release::newest(&app, Some(release::Status::Planned)).await?;
    let may = |product: &str| caller.check(Permission::Release, &[target::product(product)]).is_ok();
    let waits = |release: &release::ListedRelease| may(&release.product);
    let decisions: Vec<DecisionRow> =
        releases.into_iter().filter(waits).map(|release| decision(release, &caller, &app)).collect();
    let running = builds.iter().filter(|build| !build.status.is_ended()).count();
    let last = builds.iter().find(|build| build.status.is_ended());
    let mut answer = match (running, decisions.len()) {
        (0, 0) => "Nothing of yours runs, and nothing waits for you.".to_string(),
        (running, 0) => format!("{} of yours {}, and nothing waits for you.", count(running, "build"), runs(running)),
        (0, waiting) => format!("{} for your decision.", plans_wait(waiting)),
        (running, waiting) => format!(
            "{} of yours {}; {} for your decision.",
            count(running, "build"),
            runs(running),
            plans_wait(waiting)
        ),
    };
    if let Some(last) = last.filter(|build| build.status == build::Status::Failed) {
        answer += &format!(" Your last build, {}, failed: {}", last.id, last.summary);
    }
    let own = format!("/api/v1/builds?owner={}", address_part(&caller.name));
    let frame = Frame::new("Your work", "mine", own).follow(after, "");
    let builds = builds.into_iter().map(|build| Row::new(build, &app)).collect();
    page(&MinePage { frame, answer, name: caller.name, builds, decisions })
}

fn runs(number: usize) -> &'static str {
    if number == 1 { "runs" } else { "run" }
}

fn plans_wait(number: usize) -> String {
    format!("{} {}", count(number, "release plan"), if number == 1 { "waits" } else { "wait" })
}

fn decision(release: release::ListedRelease, caller: &Caller, app: &App) -> DecisionRow {
    let has_approved = release.approvals.iter().any(|approval| approval.who == caller.name);
    let approvals = match release.approvals_wanted {
        0 => String::new(),
        wanted => {
            format!("{} of {wanted}{}", release.approvals.len(), if has_approved { ", yours among them" } else { "" })
        }
    };
    DecisionRow {
        id: release.id,
        state: release.status.into(),
        product: release.product,
        summary: release.summary,
        approvals,
        created: When::new(release.created_at, app.now()),
    }
}

#[derive(Template)]
#[template(path = "teams.html")]
struct TeamsPage {
    frame: Frame,
    answer: String,
    teams: Vec<TeamRow>,
}

struct TeamRow {
    name: String,
    title: String,
    is_own: bool,
    members: Vec<String>,
    products: Vec<String>,
    rights: Vec<String>,
}

/// `/teams`
pub async fn teams(Extract(app): Extract<App>, caller: Caller) -> PageResult {
    let teams = crate::team::all(&app).await?;
    let row = |team: Team| TeamRow {
        is_own: caller.account.is_some() && team.members.contains(&caller.name),
        name: team.name,
        title: team.title,
        members: team.members,
        products: team.products,
        rights: team.rights.iter().map(|given| given.right.to_string()).collect(),
    };
    let teams: Vec<TeamRow> = teams.into_iter().map(row).collect();
    let own: Vec<&str> = teams.iter().filter(|team| team.is_own).map(|team| team.name.as_str()).collect();
    let answer = match (teams.len(), own.is_empty()) {
        (0, _) => {
            "There are no teams. A team builds for the products that are its, and releases into them.".to_string()
        }
        (all, true) => {
            format!("There {} {}; you are in none.", if all == 1 { "is" } else { "are" }, count(all, "team"))
        }
        (_, false) => format!("You are in {}.", own.join(", ")),
    };
    page(&TeamsPage { frame: Frame::new("Teams", "teams", "/api/v1/teams"), answer, teams })
}

/// What of the audit is shown; it stays in the address.
#[derive(Debug, Default, Deserialize)]
pub struct Shown {
    #[serde(default)]
    who: String,
    #[serde(default)]
    noun: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    via: String,
    before: Option<EventId>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    answer: String,
    shown: Shown,
    rows: Vec<EntryRow>,
    older: Option<String>,
}

struct EntryRow {
    when: When,
    who: String,
    via: String,
    address: String,
    message: String,
    request: String,
    about: Option<(String, String)>,
}

/// `/audit`
pub async fn audit(Extract(app): Extract<App>, Query(shown): Query<Shown>) -> PageResult {
    let said = |text: &str| Some(text.trim().to_string()).filter(|text| !text.is_empty());
    let filter = Filter {
        who: said(&shown.who),
        noun: said(&shown.noun),
        address: said(&shown.address),
        via: said(&shown.via),
        since: None,
    };
    let is_all = filter == Filter::default() && shown.before.is_none();
    let query = AuditQuery { filter, before: shown.before, limit: Some(ENTRIES) };
    let entries = crate::audit::entries(&app, &query).await?;
    let answer = match entries.first() {
        None if is_all => "Nobody changed anything yet.".to_string(),
        None => "There is no such entry.".to_string(),
        Some(newest) => {
            let ago = When::new(newest.event.at, app.now()).ago;
            format!(
                "{} of {} {ago}: {}",
                if is_all { "The newest entry is" } else { "The newest of these is" },
                newest.event.actor,
                newest.event.message
            )
        }
    };
    let last = entries.last().filter(|_| entries.len() == ENTRIES as usize).map(|entry| entry.event.id);
    let older = last.map(|id| {
        let [who, noun, address, via] =
            [&shown.who, &shown.noun, &shown.address, &shown.via].map(|text| address_part(text));
        format!("/audit?before={id}&who={who}&noun={noun}&address={address}&via={via}")
    });
    let rows = entries.into_iter().map(|entry| entry_row(entry, &app)).collect();
    page(&AuditPage { frame: Frame::new("Audit", "audit", "/api/v1/audit"), answer, shown, rows, older })
}

fn entry_row(entry: Entry, app: &App) -> EntryRow {
    let event = entry.event;
    let release = event.release.map(|id| (format!("release {id}"), format!("/releases/{id}")));
    let task = event.task.map(|id| (format!("task {id}"), format!("/tasks/{id}")));
    let build = event.build.map(|id| (format!("build {id}"), format!("/builds/{id}")));
    EntryRow {
        when: When::new(event.at, app.now()),
        who: event.actor,
        via: entry.via,
        address: entry.address.unwrap_or_default(),
        message: event.message,
        request: entry.request.unwrap_or_default(),
        about: release.or(task).or(build),
    }
}
