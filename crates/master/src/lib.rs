//! The Master Service: the API, the pages, the scheduler and the permissions. It is the only user of the database.
//!
//! A request goes through one table of routes ([`route`]), where its permission is checked, to a handler, which takes,
//! calls one function of the noun's module, and answers. Nodes take tasks by leases ([`lease`]); what a report changes
//! is moved on by passes ([`chores`]) that may run at any time and any number of times.
//!
//! It refuses to build, test, sign or plan anything itself, and never evaluates a spec.

mod account;
pub mod app;
mod artifact;
mod audit;
mod auth;
mod bootstrap;
pub mod build;
pub mod chores;
mod clock;
mod code;
mod conditional;
mod device;
mod dispatch;
mod enrolment;
pub mod error;
mod event;
mod file;
mod fit;
pub mod garbage;
mod git;
pub mod health;
mod idempotency;
mod identity;
mod key;
mod lease;
mod limit;
mod log;
mod log_search;
mod maintenance;
mod metrics;
mod mirror;
mod noarch;
mod node;
mod node_load;
pub mod oidc;
mod openapi;
mod package;
mod package_file;
mod page;
mod paging;
mod password;
mod platform;
mod product;
mod push;
mod queues;
mod quota;
mod rebuild;
pub mod release;
mod repo_files;
mod report;
mod repository;
mod repository_diff;
mod repository_settings;
mod retention;
mod right;
mod room;
mod roster;
mod route;
pub mod search;
mod session;
mod sign_in;
mod signing;
mod subscription;
mod target;
mod task;
mod task_list;
mod team;
mod token;
pub mod upkeep;
mod waiting;
mod webhook;
mod why;
mod work;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anima_serve::{Crowd, Patience};
use anima_types::Timestamp;
use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use anima_db::Address;
pub use anima_serve::CONNECTIONS_OF_ADDRESS;
pub use anima_store::{Address as StoreAddress, BucketAddress, Credentials};
pub use app::{App, Clock, Config};
pub use bootstrap::open;
pub use quota::Quota;
pub use route::Route;
pub use webhook::signature as webhook_signature;

/// What is being done for clients that are gone gets so long when the service ends: as long as a commit takes on a slow disk.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `shutdown`. An error means that it cannot: the data folder or the database does not open.
pub async fn run(config: Config, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
    let app = open(config, Arc::new(system_now)).await?;
    let chores = tokio::spawn(chores::run(app.clone(), shutdown.clone()));
    let under_way = TaskTracker::new();
    let router = to_the_end(&app, under_way.clone());
    let crowd = Crowd { of_address: app.config.connections_of_address, proxies: app.config.proxies.clone() };
    let served = anima_serve::serve(listener, router, Patience::default(), crowd, shutdown).await;
    served.context("could not serve")?;
    let _ = chores.await;
    under_way.close();
    let _ = tokio::time::timeout(GRACE, under_way.wait()).await;
    app.db.close().await;
    Ok(())
}

/// Returns everything that is served as it is served: what changes something goes on when its client goes away, and is in
/// `under_way` until then.
pub fn to_the_end(app: &App, under_way: TaskTracker) -> Router {
    route::to_the_end(router(app), &routes(), under_way)
}

/// Returns everything that is served.
pub fn router(app: &App) -> Router {
    route::router(app, routes())
}

/// Returns the whole table of routes.
pub fn routes() -> Vec<Route> {
    let tables = [
        health::routes(),
        metrics::routes(),
        openapi::routes(),
        build::routes(),
        build::plan_routes(),
        task::routes(),
        task_list::routes(),
        why::routes(),
        lease::routes(),
        log::routes(),
        artifact::routes(),
        push::routes(),
        rebuild::routes(),
        release::routes(),
        product::routes(),
        repository::routes(),
        repository_diff::routes(),
        repository_settings::routes(),
        garbage::routes(),
        search::routes(),
        platform::routes(),
        package::routes(),
        node::routes(),
        node_load::routes(),
        maintenance::routes(),
        key::routes(),
        signing::file::routes(),
        sign_in::routes(),
        device::routes(),
        account::routes(),
        identity::routes(),
        team::routes(),
        right::routes(),
        token::routes(),
        webhook::routes(),
        enrolment::routes(),
        audit::routes(),
        event::routes(),
        repo_files::routes(),
        mirror::routes(),
        subscription::routes(),
        page::routes(),
    ];
    tables.into_iter().flatten().collect()
}

fn system_now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
