//! Lists of tasks: what runs and what waits, each with its short why.

use std::collections::BTreeMap;

use anima_db::{
    Read,
    task::Task,
    task_list::{Filter, Waits},
};
use anima_types::{
    id::TaskId,
    node::Node,
    permission::Permission,
    task::Status,
    task_list::{ListQuery, ListedTask},
};
use axum::extract::State;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiResult, Query},
    node,
    paging::{Page, Paging},
    route::Route,
    why::{self, Ahead},
};

/// Tasks in one answer, where nothing is said, and at most: who is before them in the queue is counted.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 100;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/tasks", Permission::Read, list)]
}

async fn list(
    State(app): State<App>,
    paging: Paging,
    Query(query): Query<ListQuery>,
    caller: Caller,
) -> ApiResult<Page<ListedTask>> {
    let limit = paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT);
    let filter = filter(query);
    if is_dear(&filter) {
        app.limits.dear(&caller)?;
    }
    let nodes = node::all(&app).await?;
    let mut read = app.db.read().await?;
    let rows = anima_db::task_list::page(&mut read, &filter, paging.after()?, limit + 1).await?;
    let marks: BTreeMap<TaskId, _> =
        rows.iter().map(|task| (task.id, anima_db::task_list::mark(&filter, task))).collect();
    let tasks = listed(&app, &mut read, rows, &nodes).await?;
    paging.page(tasks, limit, |task| marks.get(&task.id).copied())
}

/// Returns whether all tasks there ever were may be looked through for some: what is ready or runs is little.
fn is_dear(filter: &Filter) -> bool {
    let is_little = filter.node.is_some() || matches!(filter.status, Some(Status::Ready | Status::Leased));
    !is_little && (filter.owner.is_some() || filter.kind.is_some() || filter.arch.is_some())
}

fn filter(query: ListQuery) -> Filter {
    let ListQuery { status, arch, node, kind, owner, .. } = query;
    Filter { status, arch, node, kind, owner }
}

/// Returns tasks in one line each.
pub async fn listed(app: &App, read: &mut Read, rows: Vec<Task>, nodes: &[Node]) -> ApiResult<Vec<ListedTask>> {
    let waiting: Vec<TaskId> = rows.iter().filter(|task| task.status == Status::Waiting).map(|task| task.id).collect();
    let waits = anima_db::task_list::waits_for(read, &waiting).await?;
    let mut waits: BTreeMap<TaskId, Waits> = waits.into_iter().map(|one| (one.task, one)).collect();
    let (mut tasks, mut ahead) = (Vec::with_capacity(rows.len()), Ahead::default());
    for row in rows {
        let wait = waits.remove(&row.id);
        let mut task = in_a_line(&row);
        match (row.status, wait) {
            (Status::Waiting, Some(wait)) => {
                task.why = sentence_of(&wait);
                task.waits_for = Some(wait.first.id);
            }
            (Status::Ready, _) => {
                let why = why::of_listed(app, read, &row, nodes, &mut ahead).await?;
                (task.why, task.starts_at, task.ends_at) = (why.summary, why.starts_at, why.ends_at);
            }
            (Status::Leased, _) => {
                task.ends_at = row.started_at.zip(row.estimate_secs).map(|(start, secs)| start.plus_secs(secs));
            }
            _ => {}
        }
        tasks.push(task);
    }
    Ok(tasks)
}

fn sentence_of(wait: &Waits) -> String {
    let others = match wait.count - 1 {
        0 => String::new(),
        1 => ", and for one more".to_string(),
        more => format!(", and for {more} more"),
    };
    let first = &wait.first;
    format!("It waits for task {} ({}), which is {}{others}.", first.id, why::name(first), first.status.name())
}

fn in_a_line(row: &Task) -> ListedTask {
    let about = &row.about;
    ListedTask {
        id: row.id,
        kind: about.kind,
        status: row.status,
        build: about.build,
        release: about.release,
        package: about.package.clone(),
        platform: about.platform.clone(),
        arch: about.arch,
        why: row.why.clone(),
        waits_for: None,
        node: row.node.clone(),
        attempts: row.attempts,
        created_at: row.created_at,
        starts_at: row.started_at,
        ends_at: row.ended_at,
    }
}
