//! Enrolment of nodes: a code that is good once and soon, for a token that is good for one node.

use anima_db::{enrolment::Enrolment, token::NewToken};
use anima_types::{
    enrolment::{CreateEnrolment, CreatedEnrolment, DEFAULT_MINUTES, MAX_MINUTES, RedeemEnrolment},
    permission::Permission,
    token::{CreatedToken, Scopes},
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::{self, Caller},
    code,
    error::{ApiError, ApiResult, Json},
    route::Route,
};

/// Letters of a code: 80 bits, which nobody guesses in a day, typed in groups of four.
const LETTERS_OF_CODE: usize = 16;
const PURPOSE: &str = "enrolment";
/// Bytes of a node's name at most.
const MAX_NAME_BYTES: usize = 128;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/enrolments", Permission::ManagePeople, create),
        // Who has the code is nobody yet.
        Route::post("/api/v1/enrolments/redeem", Permission::Read, redeem),
    ]
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateEnrolment>,
) -> ApiResult<(StatusCode, Json<CreatedEnrolment>)> {
    if !wanted.role.is_of_service() {
        let message = format!("{} is no part of the system", wanted.role.name());
        return Err(ApiError::unprocessable("bad_role", message));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if wanted.node.is_empty() || wanted.node.len() > MAX_NAME_BYTES || !wanted.node.chars().all(is_plain) {
        return Err(ApiError::unprocessable("bad_name", "a node's name has letters, digits, '-', '.' and '_'"));
    }
    let minutes = wanted.minutes.unwrap_or(DEFAULT_MINUTES);
    if !(1..=MAX_MINUTES).contains(&minutes) {
        return Err(ApiError::unprocessable("bad_minutes", format!("a code is good for 1 to {MAX_MINUTES} minutes")));
    }
    let code = code::new::<LETTERS_OF_CODE>();
    let mut write = app.db.write(app.now(), &caller).await?;
    if anima_db::account::find(&mut write, &wanted.node).await?.is_some() {
        return Err(ApiError::unprocessable("bad_name", format!("{} is a person with an account", wanted.node)));
    }
    let expires_at = write.now.plus_secs(i64::from(minutes) * 60);
    let enrolment = Enrolment { node: wanted.node, role: wanted.role, expires_at };
    anima_db::enrolment::insert(&mut write, &code::hash(PURPOSE, &code), &enrolment).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(CreatedEnrolment { code, expires_at })))
}

async fn redeem(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<RedeemEnrolment>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    app.limits.code(caller.address)?;
    let mut write = app.db.write(app.now(), &caller).await?;
    let now = write.now;
    let enrolment = anima_db::enrolment::take(&mut write, &code::hash(PURPOSE, &wanted.code)).await?;
    let Some(enrolment) = enrolment.filter(|enrolment| now < enrolment.expires_at) else {
        drop(write);
        let message = "this code is not known here, was used already, or its time is over";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "bad_code", message)
            .hint("An administrator makes another: `anima node enrol NAME --role ROLE`."));
    };
    write.origin.actor.clone_from(&enrolment.node);
    let (secret, hash) = auth::new_secret();
    let message = format!("{} {} used its code.", enrolment.role.name(), enrolment.node);
    anima_db::enrolment::record(&mut write, "used", message).await?;
    let token = NewToken {
        name: enrolment.node,
        role: enrolment.role,
        account: None,
        scopes: Scopes::default(),
        expires_at: None,
        is_of_node: true,
    };
    let id = anima_db::token::insert(&mut write, &token, &hash).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { id, secret, expires_at: None })))
}
