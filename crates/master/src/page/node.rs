//! Nodes: who is there, and what each works on; and one node with what it worked on last.

use anima_types::{
    id::TaskId,
    lease::Machine,
    node::{self, Node},
    permission::Permission,
};
use askama::Template;
use axum::extract::State as Extract;

use super::{
    act::{Act, Acts, Field, offered},
    answer::{Frame, PageResult, newest_event, page},
    words::{State, When, address_part, count, duration, presence, task_name},
};
use crate::{app::App, auth::Caller, error::Path};

/// So many of a node's tasks are shown: what it did in the last hours, mostly.
const SHOWN_TASKS: i64 = 20;

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
pub async fn show(Extract(app): Extract<App>, caller: Caller, Path(name): Path<String>) -> PageResult {
    let after = newest_event(&app).await?;
    let node = crate::node::one(&app, &name).await?;
    let mut read = app.db.read().await?;
    let taken = anima_db::task::newest_of_node(&mut read, &name, SHOWN_TASKS).await?;
    drop(read);
    let mut tasks = Vec::new();
    for task in taken {
        let task = crate::task::get(&app, task.id).await?;
        let Some(started_at) = task.started_at else { continue };
        tasks.push(Taken {
            id: task.id,
            name: task_name(&task),
            state: task.status.into(),
            why: task.failure.as_ref().map_or_else(|| task.why.clone(), |failure| failure.message.clone()),
            began: When::new(started_at, app.now()),
            took: task.ended_at.map_or_else(String::new, |ended| duration(ended.secs_since(started_at))),
        });
    }
    let frame = Frame::new(format!("Node {name}"), "nodes", format!("/api/v1/nodes/{}", address_part(&name)));
    let acts = offered(&app, &caller, ("node", &name), acts(&node)).await?;
    let answer = answer_of(&node);
    let row = row(&app, &node).await?;
    page(&NodePage { frame: frame.follow(after, ""), answer, row, tasks, acts })
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
