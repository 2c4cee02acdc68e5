//! Requests that carry an `Idempotency-Key`
//! ([draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)):
//! who does not know whether a request arrived sends it again with the same key, and it is done once.
//!
//! A key is its caller's own. The answer is kept for a day, sealed with the key, which is not kept: nobody reads a secret out
//! of the database. It goes on when its client has gone away; only a master that is killed in the middle leaves it open, and
//! then nobody says that it was done, nor does it again.

use anima_db::idempotency::Known;
use anima_types::{Timestamp, permission::Permission};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    auth::{self, Caller, Via},
    error::{ApiError, ApiResult},
};

/// The header.
pub const HEADER: &str = "idempotency-key";
/// It says of an answer that it was given before.
pub const REPLAYED: &str = "idempotency-replayed";
/// A key is kept for so long.
pub const KEPT_SECS: i64 = 86_400;
/// A request that is still being done after so long is one whose master was killed.
const LONGEST_SECS: f64 = 120.0;
/// Characters of a key: fewer are not unlike enough, more are no key.
const MIN_KEY_CHARS: usize = 8;
const MAX_KEY_CHARS: usize = 128;
/// A body with a key, and an answer to it, at most: as without a key.
const MAX_BYTES: usize = 64 << 20;
/// Answers are packed before they are sealed: that of a release has its whole plan in it.
const PACKING_LEVEL: i32 = 3;

/// Returns whether such a route takes a key: those that change something for who has a right to it. A node's reports may be
/// sent again by themselves, and who is nobody has no keys.
pub fn is_taken(method: &Method, path: &str, permission: Permission) -> bool {
    let is_for_people = !matches!(permission, Permission::Read | Permission::HoldLease);
    *method == Method::POST && path.starts_with("/api/v1/") && is_for_people
}

/// Returns the key of a request, where it has one.
pub fn key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let key = value.to_str().ok().map(|text| text.trim().trim_matches('"'));
    let is_key =
        |key: &&str| (MIN_KEY_CHARS..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    match key.filter(is_key) {
        Some(key) => Ok(Some(key.to_string())),
        None => {
            let message =
                format!("an Idempotency-Key has {MIN_KEY_CHARS} to {MAX_KEY_CHARS} letters, digits and signs");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_key", message).hint("A random UUID is one."))
        }
    }
}

/// Does a request once, and gives its answer to all that send it.
pub async fn once(app: App, caller: &Caller, key: &str, request: Request, next: Next) -> Response {
    match do_once(app, caller, key, request, next).await {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    }
}

async fn do_once(app: App, caller: &Caller, key: &str, request: Request, next: Next) -> ApiResult<Response> {
    let secret = format!("{}:{key}", who(caller));
    let hash = auth::hash(&format!("idempotency:{secret}"));
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BYTES).await.map_err(|_| {
        let message = format!("a request with an Idempotency-Key has at most {} MiB", MAX_BYTES >> 20);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", message)
    })?;
    let mut asked = Sha256::new();
    asked.update(format!("{} {}\n", parts.method, parts.uri));
    asked.update(&body);
    let asked = hex::encode(asked.finalize());
    let mut write = app.db.write(app.now(), "anima").await?;
    let now = write.now;
    anima_db::idempotency::drop_old(&mut write, now.plus_secs(-KEPT_SECS)).await?;
    let known = anima_db::idempotency::begin(&mut write, &hash, &asked).await?;
    write.commit().await?;
    if let Some(known) = known {
        return again(&known, &asked, &secret, now);
    }
    let request = Request::from_parts(parts, Body::from(body));
    // It goes on when its client has gone away: half of it would not be done.
    let done = tokio::spawn(async move {
        let answer = next.run(request).await;
        keep(&app, &hash, &secret, answer).await
    });
    done.await.map_err(ApiError::internal)?
}

/// Whose a key is: a person's, whichever way they come, or a token's.
fn who(caller: &Caller) -> String {
    match (caller.account, caller.via) {
        (Some(account), _) => format!("account {account}"),
        (None, Via::Token(token)) => format!("token {token}"),
        (None, _) => caller.name.clone(),
    }
}

fn again(known: &Known, asked: &str, secret: &str, now: Timestamp) -> ApiResult<Response> {
    if known.request != asked {
        return Err(ApiError::unprocessable("key_reused", "this Idempotency-Key was used for another request")
            .hint("Send a new key with a new request."));
    }
    let Some((status, answer)) = &known.answer else {
        if now.secs_since(known.begun_at) > LONGEST_SECS {
            let message = "nobody knows whether this request was done: the master was stopped in the middle of it";
            return Err(ApiError::conflict("outcome_unknown", message)
                .hint("Look whether what you wanted is there; then send it with a new key, or not."));
        }
        let mut error = ApiError::conflict("in_progress", "this request is being done");
        error.retry_after_secs = Some(1);
        return Err(error);
    };
    let body = open(secret, answer).ok_or_else(|| ApiError::internal("an answer that was kept does not open"))?;
    let status = StatusCode::from_u16(*status).map_err(ApiError::internal)?;
    let headers = [(header::CONTENT_TYPE.as_str(), "application/json"), (REPLAYED, "true")];
    Ok(match body.is_empty() {
        true => (status, [(REPLAYED, "true")]).into_response(),
        false => (status, headers, body).into_response(),
    })
}

/// Keeps an answer. What failed by the service's fault was not done, and may be sent again.
async fn keep(app: &App, hash: &str, secret: &str, answer: Response) -> ApiResult<Response> {
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, MAX_BYTES).await.map_err(ApiError::internal)?;
    let mut write = app.db.write(app.now(), "anima").await?;
    match parts.status.is_server_error() {
        true => anima_db::idempotency::forget(&mut write, hash).await?,
        false => anima_db::idempotency::end(&mut write, hash, parts.status.as_u16(), &seal(secret, &body)?).await?,
    }
    write.commit().await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn cipher(secret: &str) -> Option<LessSafeKey> {
    let key = Sha256::digest(format!("seal:{secret}"));
    UnboundKey::new(&AES_256_GCM, &key).ok().map(LessSafeKey::new)
}

fn seal(secret: &str, text: &[u8]) -> ApiResult<String> {
    let mut nonce = [0; NONCE_LEN];
    rand::rng().fill_bytes(&mut nonce);
    let mut sealed = zstd::encode_all(text, PACKING_LEVEL).map_err(ApiError::internal)?;
    let cipher = cipher(secret).ok_or_else(|| ApiError::internal("no cipher"))?;
    let tagged = cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed);
    tagged.map_err(ApiError::internal)?;
    Ok(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
}

fn open(secret: &str, sealed: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(sealed).ok()?;
    let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
    let mut text = text.to_vec();
    let opened = cipher(secret)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut text).ok()?;
    zstd::decode_all(&*opened).ok()
}

/// Forgets keys whose day is over; returns how many.
pub async fn drop_once(app: &App, now: Timestamp) -> ApiResult<u64> {
    let mut write = app.db.write(now, "anima").await?;
    let dropped = anima_db::idempotency::drop_old(&mut write, now.plus_secs(-KEPT_SECS)).await?;
    write.commit().await?;
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_key_alone() {
        let sealed = seal("account 1:key", b"secret").unwrap();

        assert!(!sealed.contains("secret"));
        assert_eq!(open("account 1:key", &sealed).as_deref(), Some(b"secret".as_slice()));
        assert_eq!(open("account 2:key", &sealed), None);
        assert_ne!(sealed, seal("account 1:key", b"secret").unwrap());
    }

    #[test]
    fn a_key_is_neither_short_nor_a_book() {
        let key = |text: &str| {
            super::key(&HeaderMap::from_iter([(header::HeaderName::from_static(HEADER), text.parse().unwrap())]))
        };

        assert_eq!(key("0b8f4c1e-9d2a").unwrap().as_deref(), Some("0b8f4c1e-9d2a"));
        assert_eq!(key("\"0b8f4c1e-9d2a\"").unwrap().as_deref(), Some("0b8f4c1e-9d2a"), "as the draft writes it");
        assert!(key("short").is_err() && key(&"a".repeat(129)).is_err() && key("two words").is_err());
        assert_eq!(super::key(&HeaderMap::new()).unwrap(), None);
    }
}
