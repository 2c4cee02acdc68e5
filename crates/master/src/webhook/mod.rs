//! Webhooks: addresses that are told of what happens. Who makes one gets a secret, by which the receiver knows that a
//! message is ours; messages are made in the order of events, sent by whichever master comes first, and tried again.

mod deliver;

use anima_types::{
    id::{DeliveryId, WebhookId},
    permission::Permission,
    webhook::{CreateWebhook, CreatedWebhook, Delivery, MAX_EVENTS, Webhook},
};
use axum::{extract::State, http::StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::Rng as _;
use serde::Deserialize;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path, Query},
    paging::{Page, Paging},
    route::Route,
};

pub use deliver::{deliver_once, forget_once, run, signature};

/// Bits that nobody guesses, and as many as the hash has.
const SECRET_BYTES: usize = 32;
/// Bytes of a name and of an address at most.
const MAX_NAME_BYTES: usize = 128;
const MAX_URL_BYTES: usize = 2_048;
/// Messages in one answer, where nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/webhooks", Permission::Configure, list),
        Route::post("/api/v1/webhooks", Permission::Configure, create),
        Route::get("/api/v1/webhooks/{webhook}", Permission::Configure, show),
        Route::delete("/api/v1/webhooks/{webhook}", Permission::Configure, remove),
        Route::post("/api/v1/webhooks/{webhook}/stop", Permission::Configure, stop),
        Route::post("/api/v1/webhooks/{webhook}/resume", Permission::Configure, resume),
        Route::get("/api/v1/webhooks/{webhook}/deliveries", Permission::Configure, deliveries),
        Route::post("/api/v1/webhooks/{webhook}/deliveries/{delivery}/resend", Permission::Configure, resend),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<Webhook>> {
    let mut read = app.db.read().await?;
    paging.page_of_all(anima_db::webhook::list(&mut read).await?, |one| (one.name.clone(), one.id))
}

async fn show(State(app): State<App>, Path(id): Path<WebhookId>) -> ApiResult<Json<Webhook>> {
    let mut read = app.db.read().await?;
    Ok(Json(anima_db::webhook::get(&mut read, id).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateWebhook>,
) -> ApiResult<(StatusCode, Json<CreatedWebhook>)> {
    check(&wanted)?;
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = format!("{}{}", deliver::SECRET_PREFIX, STANDARD.encode(bytes));
    let mut write = app.db.write(app.now(), &caller).await?;
    let id = anima_db::webhook::insert(&mut write, &wanted, &secret).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(CreatedWebhook { id, secret })))
}

fn check(wanted: &CreateWebhook) -> ApiResult<()> {
    let name = wanted.name.trim();
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ApiError::unprocessable("bad_name", "a webhook needs a name"));
    }
    let bad_url = |why: &str| ApiError::unprocessable("bad_url", format!("the address {why}"));
    if wanted.url.len() > MAX_URL_BYTES {
        return Err(bad_url("is too long"));
    }
    let url = reqwest::Url::parse(&wanted.url).map_err(|error| bad_url(&format!("is none: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad_url("has to begin with https:// or http://"));
    }
    if wanted.events.len() > MAX_EVENTS {
        return Err(ApiError::unprocessable("too_many_events", format!("name {MAX_EVENTS} kinds of event at most")));
    }
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_kind = |text: &String| {
        text.split_once('.').is_some_and(|(noun, verb)| is_word(noun) && (verb == "*" || is_word(verb)))
    };
    match wanted.events.iter().find(|kind| !is_kind(kind)) {
        None => Ok(()),
        Some(kind) => Err(ApiError::unprocessable("bad_event", format!("\"{kind}\" is no kind of event"))
            .hint("Write NOUN.VERB, such as release.released or build.failed, or NOUN.* for all of a noun.")),
    }
}

async fn remove(State(app): State<App>, Path(id): Path<WebhookId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::webhook::delete(&mut write, id).await?;
    Ok(write.commit().await?)
}

/// Lets a webhook be told of nothing.
pub async fn stop(State(app): State<App>, Path(id): Path<WebhookId>, caller: Caller) -> ApiResult<Json<Webhook>> {
    let why = format!("{} stopped it", caller.name);
    set_stopped(&app, id, &caller, Some(&why)).await
}

/// Lets it be told again.
pub async fn resume(State(app): State<App>, Path(id): Path<WebhookId>, caller: Caller) -> ApiResult<Json<Webhook>> {
    set_stopped(&app, id, &caller, None).await
}

async fn set_stopped(app: &App, id: WebhookId, caller: &Caller, why: Option<&str>) -> ApiResult<Json<Webhook>> {
    let mut write = app.db.write(app.now(), caller).await?;
    let hook = anima_db::webhook::get(&mut write, id).await?;
    if hook.is_active == why.is_some() {
        anima_db::webhook::set_stopped(&mut write, &hook, why).await?;
    }
    let hook = anima_db::webhook::get(&mut write, id).await?;
    write.commit().await?;
    Ok(Json(hook))
}

#[derive(Deserialize)]
struct DeliveryQuery {
    before: Option<DeliveryId>,
}

async fn deliveries(
    State(app): State<App>,
    paging: Paging,
    Path(id): Path<WebhookId>,
    Query(query): Query<DeliveryQuery>,
) -> ApiResult<Page<Delivery>> {
    let (limit, before) = (paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT), paging.after()?.or(query.before));
    let mut read = app.db.read().await?;
    anima_db::webhook::get(&mut read, id).await?;
    let deliveries = anima_db::webhook::deliveries(&mut read, id, before, limit + 1).await?;
    paging.page(deliveries, limit, |delivery| delivery.id)
}

async fn resend(
    State(app): State<App>,
    Path((webhook, delivery)): Path<(WebhookId, DeliveryId)>,
    caller: Caller,
) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::webhook::resend(&mut write, webhook, delivery).await?;
    write.commit().await?;
    app.webhooks_changed.notify_one();
    Ok(())
}
