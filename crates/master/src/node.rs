//! Nodes: who takes tasks, and what they work on; who takes none, and why.

use anima_db::task::Task;
use anima_types::{
    Arch, Timestamp,
    id::TaskId,
    lease::{Claim, LEASE_SECS, MAX_WAIT_SECS, NODE_ENDS, NODE_TOO_OLD, OLDEST_PROTOCOL},
    maintenance::Maintenance,
    node::{Drain, DrainNode, Node, State},
    permission::Permission,
    task::Kind,
};
use axum::extract::State as Extract;

use crate::{
    app::App,
    auth::Caller,
    clock::MAX_SKEW_SECS,
    error::{ApiError, ApiResult, Json, Path},
    fit::{self, Asks},
    paging::{Page, Paging},
    route::Route,
};

/// That a node is there is noted so often at most, unless there is news of it: each note is a write.
pub const NOTED_SECS: i64 = 10;
/// A node that waits asks again at the latest after this, or is gone.
pub const ONLINE_SECS: f64 = (MAX_WAIT_SECS as i64 + LEASE_SECS + NOTED_SECS) as f64;

/// A node that takes one task and ends has ended when it was not heard of for so long.
const FORGET_ONE_TASK_SECS: f64 = 3_600.0;
/// Any other is missed for so long.
const FORGET_SECS: f64 = 30.0 * 86_400.0;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/nodes", Permission::Read, list),
        Route::get("/api/v1/nodes/{node}", Permission::Read, show),
        Route::post("/api/v1/nodes/{node}/drain", Permission::Operate, drain),
        Route::post("/api/v1/nodes/{node}/undrain", Permission::Operate, undrain),
    ]
}

async fn list(Extract(app): Extract<App>, paging: Paging) -> ApiResult<Page<Node>> {
    paging.page_of_all(all(&app).await?, |node| node.name.clone())
}

/// Lets a node take no more tasks.
pub async fn drain(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    caller: Caller,
    Json(wanted): Json<DrainNode>,
) -> ApiResult<Json<Node>> {
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::node::get(&mut write, &name).await?;
    let because = wanted.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let end = if wanted.then_end { ", and ends when its tasks are done" } else { "" };
    let message = format!("Node {name} takes no more tasks{end}{because}.");
    let drain = Drain { at: write.now, by: caller.name.clone(), reason: wanted.reason, then_end: wanted.then_end };
    anima_db::node::set_drain(&mut write, &name, Some(&drain), message).await?;
    write.commit().await?;
    app.roster.forget();
    Ok(Json(one(&app, &name).await?))
}

/// Lets it take tasks again.
pub async fn undrain(Extract(app): Extract<App>, Path(name): Path<String>, caller: Caller) -> ApiResult<Json<Node>> {
    let mut write = app.db.write(app.now(), &caller).await?;
    if anima_db::node::get(&mut write, &name).await?.drain.is_some() {
        anima_db::node::set_drain(&mut write, &name, None, format!("Node {name} takes tasks again.")).await?;
        write.commit().await?;
        app.roster.forget();
    }
    Ok(Json(one(&app, &name).await?))
}

async fn show(Extract(app): Extract<App>, Path(name): Path<String>) -> ApiResult<Json<Node>> {
    Ok(Json(one(&app, &name).await?))
}

/// Returns a node.
pub async fn one(app: &App, name: &str) -> ApiResult<Node> {
    let found = all(app).await?.into_iter().find(|node| node.name == name);
    found.ok_or_else(|| ApiError::not_found(format!("there is no node \"{name}\"")))
}

/// What is given to a node that asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// A task, when there is one.
    Takes,
    /// Nothing for now.
    Waits,
}

/// Decides whether a node that asks gets anything; nobody does while all is closed, for maintenance or for want of room. One that
/// never will is told so.
pub fn standing(claim: &Claim, node: Option<&anima_db::node::Node>, is_closed: bool) -> ApiResult<Standing> {
    if claim.condition.protocol < OLDEST_PROTOCOL {
        let message = format!("node {} has version {}, which is too old for this master", claim.node, claim.version);
        return Err(ApiError::conflict(NODE_TOO_OLD, message).hint("update the program on its machine"));
    }
    let node = node.ok_or_else(|| ApiError::not_found(format!("there is no node \"{}\"", claim.node)))?;
    match &node.drain {
        Some(drain) if drain.then_end => {
            Err(ApiError::conflict(NODE_ENDS, format!("{} wanted node {} to end", drain.by, claim.node)))
        }
        Some(_) => Ok(Standing::Waits),
        None if is_closed => Ok(Standing::Waits),
        None if claim.condition.problem.is_some() || node.condition.problem.is_some() => Ok(Standing::Waits),
        None => Ok(Standing::Takes),
    }
}

/// Forgets nodes that do not come again; returns how many. One that somebody drained is remembered, so that it stays drained.
pub async fn forget_once(app: &App, now: Timestamp) -> ApiResult<usize> {
    let mut read = app.db.read().await?;
    let leased = anima_db::task::list_leased(&mut read).await?;
    let nodes = anima_db::node::list(&mut read).await?;
    drop(read);
    let is_gone = |node: &anima_db::node::Node| {
        let limit = if node.condition.takes_one { FORGET_ONE_TASK_SECS } else { FORGET_SECS };
        let works = || leased.iter().any(|task| task.node.as_ref() == Some(&node.name));
        node.drain.is_none() && now.secs_since(node.seen_at) > limit && !works()
    };
    let gone: Vec<_> = nodes.into_iter().filter(is_gone).collect();
    for node in &gone {
        let mut write = app.db.write(now, "anima").await?;
        let message = format!("Node {} is forgotten: it was last heard of at {}.", node.name, node.seen_at);
        anima_db::node::forget(&mut write, &node.name, node.seen_at, message).await?;
        write.commit().await?;
        app.roster.forget();
    }
    Ok(gone.len())
}

/// Returns whether a node that was last heard of at a moment is there. What is noted for the future was noted before the clock was set
/// back: who lives is noted anew when it asks again.
pub fn is_heard_of(seen_at: Timestamp, now: Timestamp) -> bool {
    (-MAX_SKEW_SECS..=ONLINE_SECS).contains(&now.secs_since(seen_at))
}

/// Returns whether a claim says something of its node that is not written down yet. What is free on its machine changes with
/// each look, and is noted with the rest.
pub fn is_news(claim: &Claim, node: &anima_db::node::Node, now: Timestamp) -> bool {
    let secs = now.secs_since(node.seen_at);
    let is_fresh = (0.0..NOTED_SECS as f64).contains(&secs);
    let is_same = (claim.instance.is_empty() || claim.instance == node.instance)
        && (&claim.kinds, &claim.architectures, &claim.emulated) == (&node.kinds, &node.architectures, &node.emulated)
        && (claim.slots, &claim.version) == (node.slots, &node.version)
        && (claim.condition.protocol, &claim.condition.problem, claim.condition.takes_one)
            == (node.condition.protocol, &node.condition.problem, node.condition.takes_one)
        && claim.condition.features == node.condition.features;
    !(is_fresh && is_same)
}

/// Returns the architectures whose tasks of a kind a node gets: those that it runs, and of those that it emulates the ones that no
/// other node runs by itself. A task waits rather for a busy node of its own architecture than to take twenty times as long. But of
/// what some packages ask (`asked`) all of those may have too little: then [`is_for_native`] decides of each task.
pub fn offered(
    others: &[anima_db::node::Node],
    now: Timestamp,
    (claim, kind): (&Claim, Kind),
    asked: &[Asks],
) -> Vec<Arch> {
    let is_offered = |arch: &Arch| {
        let run: Vec<&anima_db::node::Node> = natives(others, now, (*arch, kind)).collect();
        let is_too_much = |asks: &Asks| run.iter().all(|node| asks.lacks(&node.condition).is_some());
        let is_for_it = |asks: &Asks| asks.lacks(&claim.condition).is_none() && is_too_much(asks);
        run.is_empty() || (kind == Kind::Build && asked.iter().any(is_for_it))
    };
    let emulated = claim.emulated.iter().filter(|arch| !claim.architectures.contains(arch) && is_offered(arch));
    claim.architectures.iter().chain(emulated).copied().collect()
}

/// Returns whether a node that runs the architecture of a task by itself takes tasks, and has what it asks.
pub fn is_for_native(others: &[anima_db::node::Node], now: Timestamp, about: (Arch, Kind), asks: &Asks) -> bool {
    natives(others, now, about).any(|node| asks.lacks(&node.condition).is_none())
}

/// One that takes nothing, for a reason of its own or for its age, runs nothing, however often it asks.
fn natives(
    others: &[anima_db::node::Node],
    now: Timestamp,
    (arch, kind): (Arch, Kind),
) -> impl Iterator<Item = &anima_db::node::Node> {
    others.iter().filter(move |node| {
        node.architectures.contains(&arch) && node.kinds.contains(&kind) && fit::is_taking(node, now)
    })
}

/// Returns all nodes.
pub async fn all(app: &App) -> ApiResult<Vec<Node>> {
    let mut read = app.db.read().await?;
    let leased = anima_db::task::list_leased(&mut read).await?;
    let nodes = anima_db::node::list(&mut read).await?;
    let maintenance = anima_db::maintenance::get(&mut read).await?;
    let now = app.now();
    Ok(nodes.into_iter().map(|node| view(node, &leased, maintenance.as_ref(), now)).collect())
}

fn view(node: anima_db::node::Node, leased: &[Task], maintenance: Option<&Maintenance>, now: Timestamp) -> Node {
    let its = leased.iter().filter(|task| task.node.as_deref() == Some(&node.name));
    let tasks: Vec<TaskId> = its.map(|task| task.id).collect();
    let is_online = !tasks.is_empty() || is_heard_of(node.seen_at, now);
    let (mut state, mut why) = state(&node, is_online, tasks.len());
    if let (State::Taking, Some(maintenance)) = (state, maintenance) {
        state = if tasks.is_empty() { State::Drained } else { State::Draining };
        why = Some(maintenance.sentence());
    }
    Node {
        is_online,
        tasks,
        state,
        why,
        machine: node.condition.machine,
        gives: node.condition.gives,
        features: node.condition.features,
        name: node.name,
        kinds: node.kinds,
        architectures: node.architectures,
        emulated: node.emulated,
        slots: node.slots,
        version: node.version,
        seen_at: node.seen_at,
    }
}

/// Decides whether a node takes tasks, and says why not.
fn state(node: &anima_db::node::Node, is_online: bool, task_count: usize) -> (State, Option<String>) {
    if !is_online {
        let drained = node.drain.as_ref().filter(|drain| drain.then_end);
        let why = drained.map(|drain| format!("{} wanted it to end{}", drain.by, because(drain)));
        return (State::Away, Some(why.unwrap_or_else(|| "it was not heard of in time".to_string())));
    }
    if node.condition.protocol < OLDEST_PROTOCOL {
        return (State::TooOld, Some(format!("version {} is too old for this master: update it", node.version)));
    }
    if let Some(drain) = &node.drain {
        let state = if task_count > 0 { State::Draining } else { State::Drained };
        let end = if drain.then_end { ", and to end" } else { "" };
        return (state, Some(format!("{} wanted it to take no more{end}{}", drain.by, because(drain))));
    }
    match &node.condition.problem {
        Some(problem) => (State::Unfit, Some(problem.clone())),
        None => (State::Taking, None),
    }
}

fn because(drain: &Drain) -> String {
    drain.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::lease::{Condition, PROTOCOL};

    fn node(condition: Condition, drain: Option<Drain>) -> anima_db::node::Node {
        anima_db::node::Node {
            name: "n1".into(),
            kinds: Vec::new(),
            architectures: Vec::new(),
            emulated: Vec::new(),
            slots: 1,
            version: "0.1.0".into(),
            instance: "i".into(),
            seen_at: Timestamp(0),
            condition,
            drain,
        }
    }

    #[test]
    fn a_claim_is_news_where_it_says_something_else_or_the_last_is_long_ago() {
        let current = Condition { protocol: PROTOCOL, ..Condition::default() };
        let noted = node(current.clone(), None);
        let claim = Claim {
            node: "n1".into(),
            kinds: Vec::new(),
            architectures: Vec::new(),
            emulated: Vec::new(),
            slots: 1,
            version: "0.1.0".into(),
            instance: "i".into(),
            started_at: None,
            wait_secs: 0,
            condition: current.clone(),
        };
        let at = |secs| Timestamp(0).plus_secs(secs);
        let full = Condition { problem: Some("its disk is full".into()), ..current.clone() };
        let gave_back = node(full.clone(), None);

        assert!(!is_news(&claim, &noted, at(NOTED_SECS - 1)));
        assert!(is_news(&claim, &noted, at(NOTED_SECS)), "it was not noted for long");
        assert!(is_news(&claim, &noted, at(-1)), "the clock was set back");
        assert!(is_news(&Claim { condition: full, ..claim.clone() }, &noted, at(1)));
        assert!(is_news(&claim, &gave_back, at(1)), "it says that it is well again");
        assert!(is_news(&Claim { slots: 2, ..claim.clone() }, &noted, at(1)));
        assert!(is_news(&Claim { instance: "other".into(), ..claim }, &noted, at(1)));
    }

    #[test]
    fn a_node_that_was_heard_of_in_the_future_is_not_there() {
        let at = |secs| Timestamp(0).plus_secs(secs);

        assert!(is_heard_of(at(100), at(100)) && is_heard_of(at(100), at(100 + ONLINE_SECS as i64)));
        assert!(!is_heard_of(at(100), at(101 + ONLINE_SECS as i64)));
        assert!(is_heard_of(at(102), at(100)), "another master's clock is two seconds ahead");
        assert!(!is_heard_of(at(3_700), at(100)), "the clock was set back by an hour");
    }

    #[test]
    fn a_node_that_takes_nothing_says_why() {
        let current = Condition { protocol: PROTOCOL, ..Condition::default() };
        let full = Condition { problem: Some("its disk is full".into()), ..current.clone() };
        let drain = |then_end| Drain { at: Timestamp(0), by: "ann".into(), reason: Some("update".into()), then_end };
        let seen = |condition: &Condition, drain: Option<Drain>, is_online, tasks| {
            let (state, why) = state(&node(condition.clone(), drain), is_online, tasks);
            (state, why.unwrap_or_default())
        };

        assert_eq!(seen(&current, None, true, 0), (State::Taking, String::new()));
        assert_eq!(seen(&full, None, true, 0), (State::Unfit, "its disk is full".into()));
        assert_eq!(seen(&current, Some(drain(false)), true, 1).0, State::Draining);
        let drained = (State::Drained, "ann wanted it to take no more: update".to_string());
        assert_eq!(seen(&current, Some(drain(false)), true, 0), drained);
        let old = Condition { protocol: OLDEST_PROTOCOL - 1, ..Condition::default() };
        assert_eq!(seen(&old, None, true, 0).0, State::TooOld);
        assert_eq!(seen(&current, None, false, 0).0, State::Away);
        assert_eq!(seen(&current, Some(drain(true)), false, 0), (State::Away, "ann wanted it to end: update".into()));
    }
}
