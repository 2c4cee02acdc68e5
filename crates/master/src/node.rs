//! Nodes: who takes tasks, and what they work on.

use anima_types::{
    id::TaskId,
    lease::{LEASE_SECS, MAX_WAIT_SECS},
    node::Node,
    permission::Permission,
};
use axum::extract::State;

use crate::{
    app::App,
    error::{ApiResult, Json},
    route::Route,
};

/// A node that waits asks again at the latest after this, or is gone.
const ONLINE_SECS: f64 = (MAX_WAIT_SECS as i64 + LEASE_SECS) as f64;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/nodes", Permission::Read, list)]
}

async fn list(State(app): State<App>) -> ApiResult<Json<Vec<Node>>> {
    Ok(Json(all(&app).await?))
}

/// Returns all nodes.
pub async fn all(app: &App) -> ApiResult<Vec<Node>> {
    let mut read = app.db.read().await?;
    let leased = anima_db::task::list_leased(&mut read).await?;
    let nodes = anima_db::node::list(&mut read).await?;
    let now = app.now();
    let view = |node: anima_db::node::Node| {
        let its = leased.iter().filter(|task| task.node.as_deref() == Some(&node.name));
        let tasks: Vec<TaskId> = its.map(|task| task.id).collect();
        Node {
            is_online: !tasks.is_empty() || now.secs_since(node.seen_at) <= ONLINE_SECS,
            tasks,
            name: node.name,
            kinds: node.kinds,
            architectures: node.architectures,
            slots: node.slots,
            version: node.version,
            seen_at: node.seen_at,
        }
    };
    Ok(nodes.into_iter().map(view).collect())
}
