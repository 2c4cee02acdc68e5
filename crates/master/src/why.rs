//! Why a task stands where it stands.

use anima_db::{Read, task::Task};
use anima_types::{
    Timestamp,
    build::Priority,
    id::TaskId,
    node::Node,
    permission::Permission,
    task::{Kind, MAX_ATTEMPTS, Status},
    why::{Fact, Why},
};
use axum::extract::State;

use crate::{
    app::App,
    build::queue::{MAX_OWNED, UNKNOWN_SECS},
    error::{ApiResult, Json, Path},
    node,
    route::Route,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/tasks/{task}/why", Permission::Read, show)]
}

async fn show(State(app): State<App>, Path(id): Path<TaskId>) -> ApiResult<Json<Why>> {
    Ok(Json(why(&app, id).await?))
}

/// Returns why a task stands where it stands.
pub async fn why(app: &App, id: TaskId) -> ApiResult<Why> {
    let nodes = node::all(app).await?;
    let mut read = app.db.read().await?;
    let task = anima_db::task::get(&mut read, id).await?;
    let mut why = Why {
        task: id,
        status: task.status,
        summary: task.why.clone(),
        facts: Vec::new(),
        starts_at: None,
        ends_at: None,
        hint: None,
    };
    let maintenance = anima_db::maintenance::get(&mut read).await?;
    match task.status {
        Status::Waiting | Status::Blocked => waits_for(&mut read, &task, &mut why).await?,
        Status::Ready => queue(&mut read, app.now(), &task, &nodes, &mut why).await?,
        Status::Leased => lease(app.now(), &task, &mut why),
        Status::Failed => failure(&task, &mut why),
        Status::Succeeded | Status::Excluded | Status::Cancelled => {}
    }
    if let Some(maintenance) = maintenance.filter(|_| matches!(task.status, Status::Waiting | Status::Ready)) {
        why.summary = format!("No task is given out: {}.", maintenance.sentence());
        why.hint = Some("Who began it ends it with `anima maintenance end`.".to_string());
        (why.starts_at, why.ends_at) = (None, None);
    }
    Ok(why)
}

/// Returns why a ready task is not given out yet, whoever looks after the whole.
pub async fn of_ready(read: &mut Read, now: Timestamp, task: &Task, nodes: &[Node]) -> ApiResult<Why> {
    let mut why = Why {
        task: task.id,
        status: task.status,
        summary: task.why.clone(),
        facts: Vec::new(),
        starts_at: None,
        ends_at: None,
        hint: None,
    };
    queue(read, now, task, nodes, &mut why).await?;
    Ok(why)
}

fn fact(about: &str, text: String) -> Fact {
    Fact { about: about.to_string(), text, task: None }
}

/// What people call a task.
pub fn name(task: &Task) -> String {
    let words =
        [Some(task.about.kind.name()), task.about.package.as_deref(), task.about.arch.map(anima_types::Arch::name)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

async fn waits_for(read: &mut Read, task: &Task, why: &mut Why) -> ApiResult<()> {
    for id in anima_db::task_dependency::of_task(read, task.id).await? {
        let needed = anima_db::task::get(read, id).await?;
        if needed.status == Status::Succeeded {
            continue;
        }
        let text = format!("Task {id} ({}) is {}: {}", name(&needed), needed.status.name(), needed.why);
        why.facts.push(Fact { task: Some(id), ..fact("waits_for", text) });
        if matches!(needed.status, Status::Failed | Status::Cancelled) {
            why.hint = Some(format!("Repair {}, then restart task {id}: this one follows.", name(&needed)));
        }
    }
    Ok(())
}

async fn queue(read: &mut Read, now: Timestamp, task: &Task, nodes: &[Node], why: &mut Why) -> ApiResult<()> {
    let before = anima_db::task_queue::count_before(read, task).await?;
    let able: Vec<&Node> = nodes.iter().filter(|node| takes(node, task)).collect();
    let online = online_for(nodes, task);
    let what = what(task);
    why.facts.push(fact(
        "queue",
        match before {
            0 => format!("It is the next of the {what}."),
            1 => format!("One of the {what} is before it."),
            before => format!("{before} of the {what} are before it."),
        },
    ));
    let slots: u32 = online.iter().map(|node| node.slots.max(1)).sum();
    let busy = online.iter().map(|node| node.tasks.len()).sum::<usize>();
    if online.is_empty() {
        why.summary = format!("No node is online that takes {what}.");
        let away = able.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        if !able.is_empty() {
            why.facts.push(fact("nodes", format!("These would, and were not heard of: {away}.")));
        }
        why.hint = Some(match task.about.arch {
            Some(arch) => format!("Start a node on a machine for {}.", arch.name()),
            None => "Start the role that takes it; `anima node list` shows which are there.".to_string(),
        });
    } else {
        let names = online.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        why.facts.push(fact("nodes", format!("{busy} of {slots} slots are taken on {names}.")));
        if let Some(arch) = task.about.arch.filter(|_| !online.iter().any(|node| takes(node, task))) {
            let text =
                format!("No node online runs {arch} by itself: it will be emulated, and take many times as long.");
            why.facts.push(fact("nodes", text));
        }
        // As long as those before it take on all slots: nobody knows more before they ran.
        let free = i64::from(slots) - busy as i64;
        let wait = (before + 1 - free).max(0) as f64 * UNKNOWN_SECS / f64::from(slots);
        why.starts_at = Some(now.plus_secs(wait.ceil() as i64));
        why.ends_at = task.estimate_secs.map(|secs| now.plus_secs(wait.ceil() as i64 + secs));
        why.summary = match before {
            0 if free <= 0 => format!("All {slots} slots are taken; it is the next."),
            0 => "A node is about to take it.".to_string(),
            before => format!("{before} tasks are before it on {slots} slots."),
        };
    }
    share(read, task, why).await
}

/// Says what moved the task within the queue.
async fn share(read: &mut Read, task: &Task, why: &mut Why) -> ApiResult<()> {
    let Some(build) = task.about.build else { return Ok(()) };
    let build = anima_db::build::get(read, build).await?;
    match build.priority {
        Priority::Normal => {}
        Priority::Urgent => {
            why.facts.push(fact("share", "Its build is urgent: it is before what came up to a day earlier.".into()))
        }
        Priority::Background => why
            .facts
            .push(fact("share", "Its build is in the background: it is after what comes up to a day later.".into())),
    }
    let owned = anima_db::task_queue::count_of_owner(read, &build.owner, MAX_OWNED).await?;
    if owned > 1 {
        let text = format!(
            "{} has {}{owned} tasks in the queue or at nodes; others' are given out between them.",
            build.owner,
            if owned == MAX_OWNED { "at least " } else { "" }
        );
        why.facts.push(fact("share", text));
    }
    if task.attempts > 0 {
        why.facts.push(fact("lease", format!("It was given out {} times of {MAX_ATTEMPTS}.", task.attempts)));
    }
    Ok(())
}

fn takes(node: &Node, task: &Task) -> bool {
    node.kinds.contains(&task.about.kind) && task.about.arch.is_none_or(|arch| node.architectures.contains(&arch))
}

/// Returns the nodes online that take a task: those that run its architecture, or, where there is none, those that emulate it.
fn online_for<'a>(nodes: &'a [Node], task: &Task) -> Vec<&'a Node> {
    let online: Vec<&Node> = nodes.iter().filter(|node| node.is_online).collect();
    let native: Vec<&Node> = online.iter().copied().filter(|node| takes(node, task)).collect();
    match task.about.arch {
        Some(arch) if native.is_empty() => online
            .into_iter()
            .filter(|node| node.kinds.contains(&task.about.kind) && node.emulated.contains(&arch))
            .collect(),
        _ => native,
    }
}

fn what(task: &Task) -> String {
    match (task.about.kind, task.about.arch) {
        (Kind::Sign | Kind::Plan | Kind::Publish | Kind::Import, _) | (_, None) => {
            format!("{} tasks", task.about.kind.name())
        }
        (kind, Some(arch)) => format!("{} tasks for {}", kind.name(), arch.name()),
    }
}

fn lease(now: Timestamp, task: &Task, why: &mut Why) {
    if let Some(node) = &task.node {
        let since = task.started_at.map_or(0.0, |at| now.secs_since(at));
        why.facts.push(fact(
            "lease",
            format!("{node} has it since {since:.0} s (try {} of {MAX_ATTEMPTS}).", task.attempts),
        ));
    }
    why.starts_at = task.started_at;
    if let (Some(start), Some(secs)) = (task.started_at, task.estimate_secs) {
        why.ends_at = Some(start.plus_secs(secs));
        why.facts.push(fact("lease", format!("It took {secs} s the last time.")));
    }
}

fn failure(task: &Task, why: &mut Why) {
    if let Some(failure) = &task.failure {
        let place = failure.log_line.map(|line| format!(" (log line {line})")).unwrap_or_default();
        why.facts.push(fact("failure", format!("{}{place}", failure.message)));
        why.hint.clone_from(&failure.hint);
    }
}
