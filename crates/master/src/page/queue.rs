//! The queue: what runs and where, what is next and when, what waits for what, and what nobody tries again by itself.

use std::collections::BTreeMap;

use anima_db::task_list::Filter;
use anima_types::{
    Timestamp,
    id::{BuildId, ReleaseId, TaskId},
    task::{MAX_ATTEMPTS, Status},
    task_list::ListedTask,
};
use askama::Template;
use axum::extract::State as Extract;

use super::{
    answer::{Frame, PageResult, newest_event, page},
    words::{State, When, address_part, count, duration},
};
use crate::{app::App, node, quota, task_list::listed};

/// Tasks of each kind of place on the page, which has to stay small; the API has all.
const RUNNING: usize = 60;
const READY: u32 = 40;
const OTHERS: u32 = 20;
/// Failed tasks among which those that were set aside are looked for: some days of a busy installation.
const LOOKED: u32 = 500;

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    frame: Frame,
    answer: String,
    notice: Option<String>,
    /// What teams with bounds use of them.
    teams: Vec<String>,
    nodes: Vec<Working>,
    more_running: usize,
    parts: Vec<Part>,
}

/// A node and what it works on.
struct Working {
    name: String,
    address: String,
    rows: Vec<Row>,
}

/// Tasks at the same place.
struct Part {
    id: &'static str,
    head: &'static str,
    none: &'static str,
    legend: String,
    rows: Vec<Row>,
}

struct Row {
    id: TaskId,
    name: String,
    state: State,
    build: Option<BuildId>,
    release: Option<ReleaseId>,
    why: String,
    waits_for: Option<TaskId>,
    since: Option<When>,
    /// When it should begin, or end.
    expected: String,
}

/// `/queue`
pub async fn show(Extract(app): Extract<App>) -> PageResult {
    let after = newest_event(&app).await?;
    let now = app.now();
    let nodes = node::all(&app).await?;
    let mut read = app.db.read().await?;
    let maintenance = anima_db::maintenance::get(&mut read).await?;
    let tally = anima_db::tally::open_by_status(&mut read).await?;
    let of = |status: Status| Filter { status: Some(status), ..Filter::default() };
    let running = anima_db::task_list::page(&mut read, &of(Status::Leased), None, RUNNING as u32).await?;
    let ready = anima_db::task_list::page(&mut read, &of(Status::Ready), None, READY).await?;
    let waiting = anima_db::task_list::page(&mut read, &of(Status::Waiting), None, OTHERS).await?;
    let blocked = anima_db::task_list::blocked(&mut read, OTHERS).await?;
    let aside = anima_db::task_list::set_aside(&mut read, LOOKED, OTHERS).await?;
    let running = listed(&app, &mut read, running, &nodes).await?;
    let mut parts = Vec::new();
    for (id, head, none, rows) in [
        ("ready", "Next", "Nothing waits for a node.", ready),
        ("waiting", "Waits for others", "Nothing waits for another task.", waiting),
        ("blocked", "Blocked", "Nothing is blocked in a build that goes on.", blocked),
        ("aside", "Set aside", "No task took its nodes with it.", aside),
    ] {
        let tasks = listed(&app, &mut read, rows, &nodes).await?;
        parts.push(Part {
            id,
            head,
            none,
            legend: String::new(),
            rows: tasks.into_iter().map(|one| row(one, now)).collect(),
        });
    }
    let teams = quota::usage(&app, &mut read).await?;
    drop(read);
    let total = |status: Status| tally.get(&status).copied().unwrap_or_default();
    let (leased, ready, waiting) = (total(Status::Leased), total(Status::Ready), total(Status::Waiting));
    for (part, all) in parts.iter_mut().zip([ready, waiting]) {
        if all > part.rows.len() as u64 {
            part.legend =
                format!("The first {} of {all}; `anima task list --status {}` has all.", part.rows.len(), part.id);
        }
    }
    parts[3].legend =
        format!("Each was given out {MAX_ATTEMPTS} times and is tried again only if somebody restarts it.");
    let slots: u32 =
        nodes.iter().filter(|node| node.state == anima_types::node::State::Taking).map(|node| node.slots).sum();
    page(&QueuePage {
        frame: Frame::new("Queue", "queue", "/api/v1/tasks?status=ready").follow(after, ""),
        answer: answer([leased, ready, waiting], slots),
        notice: maintenance.map(|maintenance| format!("No task is given out: {}.", maintenance.sentence())),
        teams: teams.into_iter().map(|team| team.text).collect(),
        more_running: usize::try_from(leased).unwrap_or(usize::MAX).saturating_sub(running.len()),
        nodes: by_node(running, now),
        parts,
    })
}

fn answer([leased, ready, waiting]: [u64; 3], slots: u32) -> String {
    let tasks = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX), "task");
    let runs = match leased {
        0 => format!("Nothing runs; {slots} could at once."),
        1 => format!("1 task runs, of {slots} that could at once."),
        leased => format!("{leased} tasks run, of {slots} that could at once."),
    };
    match (ready, waiting) {
        (0, 0) => format!("{runs} Nothing waits."),
        (ready, 0) => format!("{runs} {} for a node.", waits(ready, &tasks(ready))),
        (0, waiting) => format!("{runs} {} for others.", waits(waiting, &tasks(waiting))),
        (ready, waiting) => format!("{runs} {} for a node, {waiting} for others.", waits(ready, &tasks(ready))),
    }
}

fn waits(number: u64, words: &str) -> String {
    format!("{words} {}", if number == 1 { "waits" } else { "wait" })
}

fn by_node(running: Vec<ListedTask>, now: Timestamp) -> Vec<Working> {
    let mut nodes: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for task in running {
        nodes.entry(task.node.clone().unwrap_or_default()).or_default().push(row(task, now));
    }
    let working = |(name, rows): (String, Vec<Row>)| Working { address: address_part(&name), name, rows };
    nodes.into_iter().map(working).collect()
}

fn row(task: ListedTask, now: Timestamp) -> Row {
    let (since, at, words) = match task.status {
        Status::Leased => (task.starts_at, task.ends_at, "ends"),
        Status::Ready => (Some(task.created_at), task.starts_at, "begins"),
        Status::Waiting => (Some(task.created_at), None, ""),
        _ => (task.ends_at, None, ""),
    };
    Row {
        id: task.id,
        name: task.name(),
        state: task.status.into(),
        build: task.build,
        release: task.release,
        since: since.map(|at| When::new(at, now)),
        expected: at.map_or_else(String::new, |at| expected(words, at.secs_since(now))),
        why: task.why,
        waits_for: task.waits_for,
    }
}

fn expected(verb: &str, secs: f64) -> String {
    match secs {
        _ if secs < 1.0 && verb == "ends" => "takes longer than before".to_string(),
        _ if secs < 1.0 => format!("{verb} now"),
        _ => format!("{verb} in about {}", duration(secs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_what_runs_and_what_waits() {
        assert_eq!(answer([0, 0, 0], 2), "Nothing runs; 2 could at once. Nothing waits.");
        assert_eq!(answer([1, 1, 0], 1), "1 task runs, of 1 that could at once. 1 task waits for a node.");
        assert_eq!(
            answer([3, 9, 4], 4),
            "3 tasks run, of 4 that could at once. 9 tasks wait for a node, 4 for others."
        );
    }

    #[test]
    fn what_is_expected_is_said_in_words() {
        assert_eq!(expected("begins", 0.0), "begins now");
        assert_eq!(expected("ends", -3.0), "takes longer than before");
        assert_eq!(expected("begins", 90.0), "begins in about 1 min 30 s");
    }
}
