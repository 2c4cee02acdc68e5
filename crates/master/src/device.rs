//! Signing in on a command line with a browser, in the manner of [RFC 8628](https://www.rfc-editor.org/rfc/rfc8628): the
//! command line shows a code and waits; its person signs in on the pages in whatever way, types the code, sees what asks from
//! where, and says whether it may have a token.
//!
//! No address that somebody sends has the code in it: who did not start a command line themselves has nothing to type.

use std::time::Duration;

use anima_db::{
    sign_in::{Device as Waiting, Word},
    token::NewToken,
};
use anima_types::{
    Timestamp,
    identity::{BeginDevice, DEVICE_SECS, Device, MAX_DEVICE_WAIT_SECS, RedeemDevice},
    permission::{Permission, Role},
    token::{CreatedToken, DEFAULT_DAYS, Scopes},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

use crate::{
    app::App,
    auth::{self, Caller},
    code,
    error::{ApiError, ApiResult, Json},
    route::Route,
    sign_in,
};

/// Letters of a code: 40 bits for ten minutes, of which somebody may try some hundreds.
const LETTERS_OF_CODE: usize = 8;
const PURPOSE: &str = "device";
/// With several masters, the word may be given at another, which tells nobody of what is for the audit only.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        // Who asks is nobody yet.
        Route::post("/api/v1/sign-in/devices", Permission::Read, begin),
        // Who went away while it waited gets no token that nobody has.
        Route::post("/api/v1/sign-in/devices/redeem", Permission::Read, redeem).waiting(),
    ]
}

async fn begin(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<BeginDevice>,
) -> ApiResult<(StatusCode, Json<Device>)> {
    app.limits.sign_in_elsewhere(caller.address)?;
    let (secret, hash) = auth::new_secret();
    let code = code::new::<LETTERS_OF_CODE>();
    let mut write = app.db.write(app.now(), "anima").await?;
    let device = Waiting {
        hash,
        code: code::hash(PURPOSE, &code),
        label: sign_in::label(&wanted.label),
        address: caller.address.map(|address| address.to_string()),
        begun_at: write.now,
        word: Word::None,
    };
    anima_db::sign_in::drop_old(&mut write, device.begun_at.plus_secs(-DEVICE_SECS)).await?;
    anima_db::sign_in::begin_device(&mut write, &device).await?;
    write.commit().await?;
    let expires_at = device.begun_at.plus_secs(DEVICE_SECS);
    Ok((StatusCode::CREATED, Json(Device { code, secret, url: app.url("device"), expires_at })))
}

/// 204 while there is no word.
async fn redeem(State(app): State<App>, caller: Caller, Json(wanted): Json<RedeemDevice>) -> ApiResult<Response> {
    let until = Instant::now() + Duration::from_secs(wanted.wait_secs.min(MAX_DEVICE_WAIT_SECS));
    let hash = auth::hash(&wanted.secret);
    let mut news = app.db.subscribe();
    loop {
        let mut read = app.db.read().await?;
        let device = anima_db::sign_in::device(&mut read, &hash).await?;
        drop(read);
        let Some(device) = device.filter(|device| is_in_time(device, app.now())) else {
            app.limits.wrong_secret(caller.address)?;
            return Err(unknown());
        };
        if device.word != Word::None {
            // The word and the token are one: from here it goes on whether or not somebody waits.
            let ending = tokio::spawn(async move { end(&app, &caller, &device).await });
            let token = ending.await.map_err(ApiError::internal)??;
            return Ok((StatusCode::CREATED, Json(token)).into_response());
        }
        let now = Instant::now();
        if now >= until {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        // Whatever happened, the row says what it means.
        let _ = tokio::time::timeout(LOOK_EVERY.min(until - now), news.recv()).await;
    }
}

fn is_in_time(device: &Waiting, now: Timestamp) -> bool {
    now < device.begun_at.plus_secs(DEVICE_SECS)
}

fn unknown() -> ApiError {
    let message = "this code is not known here, was used already, or its time is over";
    ApiError::new(StatusCode::UNAUTHORIZED, "bad_code", message).hint("Begin again: `anima login --oidc`.")
}

/// Gives a command line what its person said.
async fn end(app: &App, caller: &Caller, device: &Waiting) -> ApiResult<CreatedToken> {
    let mut write = app.db.write(app.now(), caller).await?;
    if !anima_db::sign_in::end_device(&mut write, &device.hash).await? {
        return Err(unknown());
    }
    let refused = || ApiError::new(StatusCode::FORBIDDEN, "refused", "somebody said that this command line may not");
    let Word::Approved(account) = device.word else {
        let message = format!("\"{}\" was not given a token.", device.label);
        anima_db::account::record(&mut write, "refused", message).await?;
        write.commit().await?;
        return Err(refused());
    };
    let account = anima_db::account::by_id(&mut write, account).await?;
    if account.is_disabled {
        return Err(refused());
    }
    write.origin.actor.clone_from(&account.name);
    let (secret, hash) = auth::new_secret();
    let expires_at = Some(write.now.plus_secs(i64::from(DEFAULT_DAYS) * 86_400));
    let token = NewToken {
        name: device.label.clone(),
        role: Role::Person,
        account: Some((account.id, account.name.clone())),
        scopes: Scopes::default(),
        expires_at,
        is_of_node: false,
    };
    anima_db::account::signed_in(&mut write, &account, "on a command line, with a code").await?;
    let id = anima_db::token::insert(&mut write, &token, &hash).await?;
    write.commit().await?;
    Ok(CreatedToken { id, secret, expires_at })
}

/// Returns the command line that shows a code which somebody typed.
pub async fn find(app: &App, caller: &Caller, code: &str) -> ApiResult<Waiting> {
    app.limits.code(caller.address)?;
    let mut read = app.db.read().await?;
    let device = anima_db::sign_in::device_by_code(&mut read, &code::hash(PURPOSE, code)).await?;
    drop(read);
    match device.filter(|device| is_in_time(device, app.now()) && device.word == Word::None) {
        Some(device) => Ok(device),
        None => Err(ApiError::not_found("no command line that waits shows this code")
            .hint("Look at the code again; it is good for ten minutes, once.")),
    }
}

/// Writes whether a command line may have a token of the caller.
pub async fn decide(app: &App, caller: &Caller, code: &str, is_approved: bool) -> ApiResult<()> {
    let device = find(app, caller, code).await?;
    let account = caller.person()?;
    let mut write = app.db.write(app.now(), caller).await?;
    let word = if is_approved { Word::Approved(account) } else { Word::Refused };
    if !anima_db::sign_in::set_word(&mut write, &device, word).await? {
        return Err(ApiError::conflict("changed_meanwhile", "somebody has said already whether it may"));
    }
    let verb = if is_approved { "approved" } else { "refused" };
    let message = format!("{} {verb} \"{}\" from {}.", caller.name, device.label, device.address.unwrap_or_default());
    anima_db::account::record(&mut write, verb, message).await?;
    Ok(write.commit().await?)
}
