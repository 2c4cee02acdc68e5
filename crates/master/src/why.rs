//! Why a task stands where it stands.

use std::collections::BTreeMap;

use anima_db::{
    Read,
    task::Task,
    task_queue::{self, Before, FRONT, Place, Share},
};
use anima_types::{
    Arch, Timestamp,
    build::Priority,
    id::TaskId,
    lease::Condition,
    node::{Node, State},
    permission::Permission,
    task::{Kind, MAX_ATTEMPTS, Status},
    why::{Fact, Why},
};
use axum::extract::State as Extract;

use crate::{
    app::App,
    build::queue::{MAX_OWNED, UNKNOWN_SECS},
    error::{ApiResult, Json, Path},
    fit::{self, Asks},
    node, quota, release,
    route::Route,
    signing,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/tasks/{task}/why", Permission::Read, show)]
}

async fn show(Extract(app): Extract<App>, Path(id): Path<TaskId>) -> ApiResult<Json<Why>> {
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
        Status::Waiting | Status::Blocked => waits(app, &mut read, &task, &mut why).await?,
        Status::Ready => {
            let before = task_queue::between(&mut read, FRONT, &task).await?;
            queue(app, &mut read, &task, &nodes, (before, &mut why)).await?;
            share(&mut read, &task, &mut why).await?;
        }
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

/// How much is before the ready tasks that were looked at: what is before one is before all behind it, and is not read again.
#[derive(Default)]
pub struct Ahead(BTreeMap<(Kind, Option<Arch>), (Place, Before)>);

impl Ahead {
    async fn of(&mut self, read: &mut Read, task: &Task) -> ApiResult<Before> {
        let (queue, place) = ((task.about.kind, task.about.arch), (task.queued_for, task.id));
        let known = self.0.get(&queue).filter(|(known, _)| *known <= place);
        let (from, counted) = known.copied().unwrap_or((FRONT, Before::default()));
        let before = counted + task_queue::between(read, from, task).await?;
        self.0.insert(queue, (place, before));
        Ok(before)
    }
}

/// Returns why a ready task of a list is not given out yet, whoever looks after the whole: without what its people have in the
/// queue, which no list shows.
pub async fn of_listed(app: &App, read: &mut Read, task: &Task, nodes: &[Node], ahead: &mut Ahead) -> ApiResult<Why> {
    let mut why = Why {
        task: task.id,
        status: task.status,
        summary: task.why.clone(),
        facts: Vec::new(),
        starts_at: None,
        ends_at: None,
        hint: None,
    };
    let before = ahead.of(read, task).await?;
    queue(app, read, task, nodes, (before, &mut why)).await?;
    Ok(why)
}

fn fact(about: &str, text: String) -> Fact {
    Fact { about: about.to_string(), text, task: None }
}

/// What people call a task.
pub fn name(task: &Task) -> String {
    let words = [Some(task.about.kind.name()), task.about.package.as_deref(), task.about.arch.map(Arch::name)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Says what a task waits for: other tasks, people, or its turn in a build that is held.
async fn waits(app: &App, read: &mut Read, task: &Task, why: &mut Why) -> ApiResult<()> {
    waits_for(read, task, why).await?;
    if let (Kind::Plan, Some(release)) = (task.about.kind, task.about.release) {
        for needed in release::why::open(read, release).await?.into_iter().filter(|other| other.id != task.id) {
            let text = format!("Task {} ({}) is {}: {}", needed.id, name(&needed), needed.status.name(), needed.why);
            why.facts.push(Fact { task: Some(needed.id), ..fact("waits_for", text) });
            if let Some((_, Some(hint))) = signing::why_not(read, &needed, app.now()).await? {
                why.hint.get_or_insert(hint);
            }
        }
    }
    if let Some((text, hint)) = signing::why_not(read, task, app.now()).await? {
        why.facts.push(fact("key", text));
        why.hint = why.hint.take().or(hint);
    }
    if task.status == Status::Waiting && why.facts.is_empty() {
        held(app, read, task, why).await?;
    }
    Ok(())
}

/// Says what holds a task that waits for no other: its mass rebuild, or its team's quota.
async fn held(app: &App, read: &mut Read, task: &Task, why: &mut Why) -> ApiResult<()> {
    let (Kind::Src | Kind::Build | Kind::Test, Some(id)) = (task.about.kind, task.about.build) else { return Ok(()) };
    if let Some(rebuild) = anima_db::rebuild::find(read, id).await? {
        let begun = anima_db::task_hold::begun(read, id).await?;
        let open = begun.ready + begun.leased;
        if rebuild.is_paused {
            why.facts
                .push(fact("hold", format!("Mass rebuild {id} is paused; {open} of its tasks are still under way.")));
            why.hint = Some(format!("It goes on with `anima rebuild resume {id}`."));
            return Ok(());
        }
        if let Some(limit) = rebuild.limit.filter(|limit| open >= u64::from(*limit)) {
            why.facts
                .push(fact("hold", format!("{open} tasks of mass rebuild {id} are under way, of {limit} at most.")));
            why.hint =
                Some(format!("It begins when one of them ends; `anima rebuild limit {id} COUNT` lets more begin."));
            return Ok(());
        }
    }
    let texts = quota::facts(app, read, task).await?;
    if !texts.is_empty() {
        why.facts.extend(texts.into_iter().map(|text| fact("share", text)));
        why.hint = Some("It begins when one of them ends; who runs the master sets the bound (`[quota]`).".to_string());
    }
    Ok(())
}

async fn waits_for(read: &mut Read, task: &Task, why: &mut Why) -> ApiResult<()> {
    // When all that it waits for should have ended, where that can be said of each.
    let mut ready_at = Some(Timestamp(0));
    for id in anima_db::task_dependency::of_task(read, task.id).await? {
        let needed = anima_db::task::get(read, id).await?;
        if needed.status == Status::Succeeded {
            continue;
        }
        let ends_at = needed.started_at.zip(needed.estimate_secs).map(|(start, secs)| start.plus_secs(secs));
        let ends_at = ends_at.filter(|_| needed.status == Status::Leased);
        ready_at = ready_at.zip(ends_at).map(|(latest, ends_at)| latest.max(ends_at));
        let text = format!("Task {id} ({}) is {}: {}", name(&needed), needed.status.name(), needed.why);
        why.facts.push(Fact { task: Some(id), ..fact("waits_for", text) });
        if matches!(needed.status, Status::Failed | Status::Cancelled) {
            why.hint = Some(format!("Repair {}, then restart task {id}: this one follows.", name(&needed)));
        }
    }
    why.starts_at = ready_at.filter(|at| *at > Timestamp(0));
    Ok(())
}

async fn queue(
    app: &App,
    read: &mut Read,
    task: &Task,
    nodes: &[Node],
    (before, why): (Before, &mut Why),
) -> ApiResult<()> {
    let now = app.now();
    let asks = Asks::of(app, read, task).await?;
    let what = what(task);
    why.facts.push(fact(
        "queue",
        match before.count {
            0 => format!("It is the next of the {what}."),
            1 => format!("One of the {what} is before it."),
            before => format!("{before} of the {what} are before it."),
        },
    ));
    let able = able(nodes, task, &asks);
    let (fit, unfit): (Vec<&Node>, Vec<&Node>) = able.into_iter().partition(|node| lacks(&asks, node).is_none());
    let (taking, not_taking): (Vec<&Node>, Vec<&Node>) =
        fit.iter().copied().partition(|node| node.state == State::Taking);
    if taking.is_empty() {
        nobody(task, &asks, (&not_taking, &unfit), why);
    } else {
        turn(now, task, (&taking, nodes), before, why);
    }
    why.facts.extend(not_taking.into_iter().map(|node| {
        let because = node.why.as_ref().map_or(String::new(), |because| format!(": {because}"));
        fact("nodes", format!("{} would take it, and is {}{because}.", node.name, node.state.name()))
    }));
    if let Some(asked) = asks.in_words() {
        why.facts.push(fact("nodes", format!("Its package asks for {asked}.")));
        why.facts.extend(unfit.into_iter().filter_map(|node| {
            let lacks = lacks(&asks, node)?;
            Some(fact("nodes", format!("{} does not fit: it {lacks}.", node.name)))
        }));
    }
    let lost_by = fit::avoided(read, task, now).await?;
    if !lost_by.is_empty() && taking.len() > 1 {
        let names = lost_by.join(", ");
        why.facts.push(fact("lease", format!("{names} lost it or gave it back: another node is to have it now.")));
    }
    if !app.room.is_there(&app.config) {
        why.summary = "No task is given out: the master has no room for what nodes make.".to_string();
        why.hint = Some("Make room on the disk of the master's data folder; it goes on by itself.".to_string());
        (why.starts_at, why.ends_at) = (None, None);
    }
    Ok(())
}

/// Says that no node takes the task as things stand.
fn nobody(task: &Task, asks: &Asks, (not_taking, unfit): (&[&Node], &[&Node]), why: &mut Why) {
    let what = what(task);
    let are_all_away = not_taking.iter().all(|node| node.state == State::Away);
    if are_all_away && !unfit.is_empty() {
        why.summary = format!("It fits no node: it asks for {}.", asks.in_words().unwrap_or_default());
        why.hint = Some(
            "Start a node that gives it, or ask for less: [packages.NAME] limits and needs of the platform's file."
                .to_string(),
        );
        return;
    }
    if !are_all_away {
        why.summary = format!("No node takes {what} just now: each that would says why it does not.");
        why.hint = Some("See `anima node list`; one that is drained is let on by `anima node undrain`.".to_string());
        return;
    }
    why.summary = format!("No node is online that takes {what}.");
    why.hint = Some(match task.about.arch {
        Some(arch) => format!("Start a node on a machine for {}.", arch.name()),
        None => "Start the role that takes it; `anima node list` shows which are there.".to_string(),
    });
}

/// Says when it is the task's turn on the nodes that take it.
fn turn(now: Timestamp, task: &Task, (taking, nodes): (&[&Node], &[Node]), before: Before, why: &mut Why) {
    let slots: u32 = taking.iter().map(|node| node.slots.max(1)).sum();
    let busy = taking.iter().map(|node| node.tasks.len()).sum::<usize>();
    let names = taking.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
    why.facts.push(fact("nodes", format!("{busy} of {slots} slots are taken on {names}.")));
    if let Some(arch) = task.about.arch.filter(|_| !taking.iter().any(|node| takes(node, task))) {
        let is_run = nodes.iter().any(|node| takes(node, task) && node.state == State::Taking);
        let none = if is_run { "No node that has enough for it" } else { "No node online" };
        let text = format!("{none} runs {arch} by itself: it will be emulated, and take many times as long.");
        why.facts.push(fact("nodes", text));
    }
    let free = i64::from(slots) - busy as i64;
    // What those before it take, on all slots; what runs already ends some time in the middle of that.
    let ahead_secs = before.known_secs as f64 + (before.unknown_count + 1) as f64 * UNKNOWN_SECS;
    let wait_secs = if before.count < free { 0.0 } else { ahead_secs / f64::from(slots) };
    why.starts_at = Some(now.plus_secs(wait_secs.ceil() as i64));
    why.ends_at = task.estimate_secs.map(|secs| now.plus_secs(wait_secs.ceil() as i64 + secs));
    why.summary = match before.count {
        0 if free <= 0 => format!("All {slots} slots are taken; it is the next."),
        0 => "A node is about to take it.".to_string(),
        before => format!("{before} tasks are before it on {slots} slots."),
    };
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
    let who = (build.owner.as_str(), build.team.as_deref());
    let Share { owned, people } = task_queue::share(read, who, MAX_OWNED).await?;
    if let Some(team) = build.team.as_ref().filter(|_| people > 1) {
        let text = format!("{people} people have tasks for team {team} in the queue, and share its part of it.");
        why.facts.push(fact("share", text));
    }
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

/// Returns the nodes that are for a task: those that run its architecture, or, where none of those takes tasks or all have too little
/// for it, those that emulate it besides.
fn able<'a>(nodes: &'a [Node], task: &Task, asks: &Asks) -> Vec<&'a Node> {
    let is_for = |node: &Node| takes(node, task) && node.state == State::Taking && lacks(asks, node).is_none();
    let has_native = nodes.iter().any(is_for);
    let emulates = |node: &Node| {
        let arch = task.about.arch.filter(|_| !has_native);
        node.kinds.contains(&task.about.kind) && arch.is_some_and(|arch| node.emulated.contains(&arch))
    };
    nodes.iter().filter(|node| takes(node, task) || emulates(node)).collect()
}

/// Returns what a node lacks for a task, as it said last.
fn lacks(asks: &Asks, node: &Node) -> Option<String> {
    let (machine, gives, features) = (node.machine, node.gives, node.features.clone());
    asks.lacks(&Condition { machine, gives, features, ..Condition::default() })
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
