//! The Git Service: it hosts packages' repositories over smart HTTP, keeps large sources by hash in the lookaside, and
//! tells the master of every branch that moves.
//!
//! Everybody reads; who pushes or uploads shows a token that the master knows. A push is written down on disk before its
//! pusher is answered, so that it is built even if the master is away. It refuses to know what is built of a branch.

mod api;
mod app;
mod auth;
mod commands;
mod error;
mod lookaside;
mod outbox;
mod pushes;
mod repository;
mod smart_http;

use anyhow::Context as _;
use axum::{Router, extract::DefaultBodyLimit, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use anima_serve::Crowd;
pub use app::{Config, DEFAULT_MAX_LOOKASIDE_BYTES, DEFAULT_MAX_PUSH_BYTES};

/// Serves until `shutdown`. An error means that it cannot: its folder cannot be used.
pub async fn run(config: Config, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (patience, crowd) = (config.patience, config.crowd.clone());
    let app = app::App::open(config).await?;
    pushes::recover(&app).await;
    let telling = tokio::spawn(pushes::keep_telling(app.clone()));
    let served = anima_serve::serve(listener, router(app), patience, crowd, shutdown).await;
    telling.abort();
    served.context("could not serve")
}

fn router(app: app::App) -> Router {
    let file = get(lookaside::download).put(lookaside::upload);
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/api/git/v1/repositories", get(api::list))
        .route("/api/git/v1/repositories/{name}", get(api::show))
        .route("/api/git/v1/repositories/{name}/branches", get(api::branches))
        .route("/api/git/v1/repositories/{name}/commits", get(api::commits))
        .route("/api/git/v1/repositories/{name}/resolve", get(api::resolve))
        .route("/lookaside/by-hash/{algorithm}/{hash}", get(lookaside::download_by_hash))
        .route("/lookaside/{package}/{file}/{algorithm}/{hash}/{again}", file)
        .route("/{name}/{*path}", get(smart_http::serve).post(smart_http::serve))
        // Bodies are streamed, each with its own bound.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}
