//! Enrolment of nodes: a code that is good once and soon, for a token that is good for one node.

use anima_db::{enrolment::Enrolment, token::NewToken};
use anima_types::{
    enrolment::{CreateEnrolment, CreatedEnrolment, DEFAULT_MINUTES, MAX_MINUTES, RedeemEnrolment},
    permission::Permission,
    token::{CreatedToken, Scopes},
};
use axum::{extract::State, http::StatusCode};
use rand::Rng as _;

use crate::{
    app::App,
    auth::{self, Caller},
    error::{ApiError, ApiResult, Json},
    route::Route,
};

/// Letters and digits that nobody takes for one another ([Crockford's base 32](https://www.crockford.com/base32.html)): 256
/// is a multiple of 32, so each is as likely.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Letters of a code: 80 bits, which nobody guesses in a day, typed in groups of four.
const LETTERS_OF_CODE: usize = 16;
const GROUP: usize = 4;
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
    let code = new_code();
    let mut write = app.db.write(app.now(), &caller).await?;
    if anima_db::account::find(&mut write, &wanted.node).await?.is_some() {
        return Err(ApiError::unprocessable("bad_name", format!("{} is a person with an account", wanted.node)));
    }
    let expires_at = write.now.plus_secs(i64::from(minutes) * 60);
    let enrolment = Enrolment { node: wanted.node, role: wanted.role, expires_at };
    anima_db::enrolment::insert(&mut write, &hash(&code), &enrolment).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(CreatedEnrolment { code, expires_at })))
}

async fn redeem(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<RedeemEnrolment>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let now = write.now;
    let enrolment = anima_db::enrolment::take(&mut write, &hash(&wanted.code)).await?;
    let Some(enrolment) = enrolment.filter(|enrolment| now < enrolment.expires_at) else {
        drop(write);
        app.limits.wrong_secret(caller.address)?;
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

fn new_code() -> String {
    let mut bytes = [0; LETTERS_OF_CODE];
    rand::rng().fill_bytes(&mut bytes);
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    letters.chunks(GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// However somebody types a code, it is the same.
fn hash(code: &str) -> String {
    let plain = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase());
    let plain = plain.map(|c| match c {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    });
    auth::hash(&format!("enrolment:{}", plain.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        let code = new_code();

        assert_eq!(code.len(), LETTERS_OF_CODE + 3);
        assert_eq!(hash(&code), hash(&code.to_lowercase().replace('-', " ")));
        assert_eq!(hash("0123-1ABC"), hash("o123-iabc"));
        assert_ne!(hash(&code), hash(&new_code()));
    }
}
