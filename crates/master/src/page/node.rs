//! Nodes: who is there, and what each works on; and one node with what it worked on last.

use anima_db::task_list::Filter;
use anima_types::{
    Timestamp,
    id::TaskId,
    lease::Machine,
    node::{self, Node},
    permission::Permission,
};
use askama::Template;
use axum::extract::State as Extract;
use serde::Deserialize;

use super::{
    act::{Act, Acts, Field, offered},
    answer::{Frame, PageResult, newest_event, page},
    load::{Line, lines},
    words::{State, When, address_part, count, duration, presence, task_name},
};
use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, Path, Query},
    node_load::oldest,
    why,
};

/// So many of a node's tasks are on one page: what it did in the last hours, mostly.
const SHOWN_TASKS: u32 = 20;

/// Which of a node's tasks are shown; it stays in the address.
#[derive(Debug, Default, Deserialize)]
pub struct TasksQuery {
    /// The place of the last one that was shown.
    #[serde(default)]
    before: String,
}

#[derive(Template)]
#[template(path = "nodes.html")]
struct NodesPage {
    frame: Frame,
    answer: String,
    rows: Vec<Row>,
    commands: Vec<(String, &'static str)>,
}

#[derive(Template)]
#[template(path = "node.html")]
struct NodePage {
    frame: Frame,
    answer: String,
    row: Row,
    tasks: Vec<Taken>,
    older: Option<String>,
    is_newest: bool,
    lines: Vec<Line>,
    acts: Acts,
}

/// A task that a node took.
struct Taken {
    id: TaskId,
    name: String,
    state: State,
    why: String,
    began: When,
    took: String,
}

struct Row {
    name: String,
    address: String,
    state: State,
    why: Option<String>,
    machine: Option<String>,
    kinds: String,
    architectures: String,
    working: usize,
    slots: u32,
    load: String,
    version: String,
    seen: When,
    tasks: Vec<(TaskId, String)>,
}

/// `/nodes`
pub async fn list(Extract(app): Extract<App>) -> PageResult {
    let after = newest_event(&app).await?;
    let nodes = crate::node::all(&app).await?;
    let mut rows = Vec::new();
    for node in &nodes {
        rows.push(row(&app, node).await?);
    }
    let frame = Frame::new("Nodes", "nodes", "/api/v1/nodes").follow(after, "");
    page(&NodesPage { frame, answer: answer(&nodes), rows, commands: commands(&nodes) })
}

/// `/nodes/{node}`
pub async fn show(
    Extract(app): Extract<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<TasksQuery>,
) -> PageResult {
    let after = newest_event(&app).await?;
    let now = app.now();
    let node = crate::node::one(&app, &name).await?;
    let filter = Filter { node: Some(name.clone()), ..Filter::default() };
    let before = parse_place(&query.before)?;
    let mut read = app.db.read().await?;
    let mut taken = anima_db::task_list::page(&mut read, &filter, before, SHOWN_TASKS + 1).await?;
    let samples = anima_db::node_load::since(&mut read, &name, oldest(now)).await?;
    drop(read);
    let is_more = taken.len() > SHOWN_TASKS as usize;
    taken.truncate(SHOWN_TASKS as usize);
    let last = taken.last().filter(|_| is_more).map(|task| anima_db::task_list::mark(&filter, task));
    let older = last.map(|(at, id)| format!("/nodes/{}?before={at}-{id}", address_part(&name)));
    let tasks = taken.into_iter().filter_map(|task| taken_row(task, now)).collect();
    let lines = lines(&samples, (oldest(now), now), node.machine.map(|machine| machine.cores));
    let frame = Frame::new(format!("Node {name}"), "nodes", format!("/api/v1/nodes/{}", address_part(&name)));
    let acts = offered(&app, &caller, ("node", &name), acts(&node)).await?;
    let answer = answer_of(&node);
    let row = row(&app, &node).await?;
    let is_newest = before.is_none();
    let frame = if is_newest { frame.follow(after, "") } else { frame };
    page(&NodePage { frame, answer, row, tasks, older, is_newest, lines, acts })
}

/// Reads the place of a task, as the address of older ones has it.
fn parse_place(text: &str) -> Result<Option<(i64, i64)>, ApiError> {
    let place = || {
        let (at, id) = text.split_once('-')?;
        Some((at.parse().ok()?, id.parse().ok()?))
    };
    match text.is_empty() {
        true => Ok(None),
        false => place().map(Some).ok_or_else(|| ApiError::unprocessable("bad_cursor", "this is no place in the list")),
    }
}

/// Returns a task's line, where it was given out at all.
fn taken_row(task: anima_db::task::Task, now: Timestamp) -> Option<Taken> {
    let started_at = task.started_at?;
    Some(Taken {
        id: task.id,
        name: why::name(&task),
        state: task.status.into(),
        why: task.failure.map_or(task.why, |failure| failure.message),
        began: When::new(started_at, now),
        took: task.ended_at.map_or_else(String::new, |ended| duration(ended.secs_since(started_at))),
    })
}

fn answer_of(node: &Node) -> String {
    let working = match node.tasks.len() {
        0 => "works on nothing".to_string(),
        some => format!("works on {} of {} tasks at once", some, node.slots),
    };
    match (&node.why, node.state) {
        (Some(why), _) => format!("It takes nothing: {why}. It {working}."),
        (None, node::State::Taking) => format!("It takes tasks, and {working}."),
        (None, _) => format!("It takes nothing, and {working}."),
    }
}

fn machine(machine: Machine) -> String {
    let gib = |mib: u64| mib as f64 / 1024.0;
    format!(
        "{}, load {:.2}, {:.1} of {:.1} GiB of memory and {:.1} GiB of disk free",
        count(machine.cores as usize, "core"),
        f64::from(machine.load_percent) / 100.0,
        gib(machine.free_memory_mib),
        gib(machine.memory_mib),
        gib(machine.free_disk_mib)
    )
}

fn architectures(node: &Node) -> String {
    let emulated = node.emulated.iter().map(|arch| format!("{arch} (emulated)"));
    node.architectures.iter().map(ToString::to_string).chain(emulated).collect::<Vec<_>>().join(", ")
}

fn answer(nodes: &[Node]) -> String {
    let is_taking = |node: &&Node| node.state == node::State::Taking;
    let online = nodes.iter().filter(is_taking).count();
    let slots: u32 = nodes.iter().filter(is_taking).map(|node| node.slots).sum();
    let working: usize = nodes.iter().map(|node| node.tasks.len()).sum();
    match nodes.len() {
        0 => "No node was ever here: nothing can be built.".to_string(),
        all => format!("{online} of {} take tasks and work on {working} of {slots} tasks at once.", count(all, "node")),
    }
}

/// What can be done with a node.
fn acts(node: &Node) -> Vec<Act> {
    let address = |act| format!("/nodes/{}/{act}", address_part(&node.name));
    let commands = commands(std::slice::from_ref(node)).into_iter();
    let act = |(command, says): (String, &'static str)| match node.state {
        node::State::Taking if command.ends_with("--wait") => {
            Act::press("Drain", address("drain"), Permission::Operate, command, says)
                .asking(Field::text("reason", "Reason"))
        }
        node::State::Draining | node::State::Drained => {
            Act::press("Undrain", address("undrain"), Permission::Operate, command, says).main()
        }
        _ => Act::look(command, says),
    };
    commands.map(act).collect()
}

/// What can be done with the first node that takes tasks, and with the first that was drained.
fn commands(nodes: &[Node]) -> Vec<(String, &'static str)> {
    let first = |wanted: &[node::State]| nodes.iter().find(|node| wanted.contains(&node.state));
    let mut commands = Vec::new();
    if let Some(Node { name, .. }) = first(&[node::State::Taking]) {
        commands.push((
            format!("anima node drain {name} --wait"),
            "it takes no more tasks, and goes on with those that it has",
        ));
        commands.push((
            format!("anima node drain {name} --then-end"),
            "its program ends after them; one that is started then, such as a newer one, takes tasks again",
        ));
    }
    if let Some(Node { name, .. }) = first(&[node::State::Draining, node::State::Drained]) {
        commands.push((format!("anima node undrain {name}"), "it takes tasks again"));
    }
    commands
}

async fn row(app: &App, node: &Node) -> Result<Row, super::answer::PageError> {
    let mut tasks = Vec::new();
    for &id in &node.tasks {
        tasks.push((id, task_name(&crate::task::get(app, id).await?)));
    }
    let working = tasks.len();
    let share = working as f64 / f64::from(node.slots.max(1));
    Ok(Row {
        name: node.name.clone(),
        address: address_part(&node.name),
        state: presence(node.state, working > 0),
        why: node.why.clone(),
        machine: node.machine.map(machine),
        kinds: node.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
        architectures: architectures(node),
        working,
        slots: node.slots,
        load: format!("{:.0}", share.min(1.0) * 100.0),
        version: node.version.clone(),
        seen: When::new(node.seen_at, app.now()),
        tasks,
    })
}
