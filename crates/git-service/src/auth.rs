//! Whether somebody may push. The master knows the tokens; it is asked, and its answer is kept for some seconds.

use std::{
    collections::HashMap,
    sync::PoisonError,
    time::{Duration, Instant},
};

use anima_types::{
    permission::Role,
    token::{Pushes, Whoami},
};
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    error::{Error, Result},
};

/// A revoked token is good for so long at most; a push of a hundred packages asks the master once.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// Tokens that are remembered at most.
const MAX_KNOWN: usize = 1_000;
/// A pusher waits so long for the master.
const MASTER_TIMEOUT: Duration = Duration::from_secs(10);

/// Who has shown a token lately, by the token's hash.
#[derive(Default)]
pub(crate) struct Known(HashMap<[u8; 32], (Instant, Whoami)>);

/// Who pushes, and to which branches they may.
#[derive(Clone, Debug)]
pub(crate) struct Pusher {
    pub name: String,
    pub pushes: Pushes,
    /// Through which token and from which address, for the audit.
    pub via: Option<String>,
    pub address: Option<String>,
}

impl Pusher {
    /// Returns who pushed what a killed service had taken and not written down: nobody knows any more.
    pub fn found_again() -> Pusher {
        Pusher { name: "git-service".to_string(), pushes: Pushes::None, via: None, address: None }
    }
}

/// Returns the caller if they may push to anything.
pub(crate) async fn pusher(app: &App, headers: &HeaderMap) -> Result<Pusher> {
    let token = token(headers)?;
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let whoami = match remembered(app, &hash) {
        Some(whoami) => whoami,
        None => ask(app, token, hash).await?,
    };
    if whoami.pushes != Pushes::None {
        return Ok(Pusher { name: whoami.name, pushes: whoami.pushes, via: whoami.via, address: None });
    }
    let message = format!("{} ({}) may not push", whoami.name, whoami.role.name());
    Err(Error::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// Reads `Basic` with any name and the token as password, as git sends it, or `Bearer`.
fn token(headers: &HeaderMap) -> Result<String> {
    let wanted = || {
        Error::new(StatusCode::UNAUTHORIZED, "token_needed", "pushing needs a token")
            .hint("Make one with `anima token create`, and give it to git as the password; the name does not matter.")
    };
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(wanted)?;
    // The scheme is written in whatever case.
    let (scheme, credentials) = value.split_once(' ').ok_or_else(wanted)?;
    if scheme.eq_ignore_ascii_case("Bearer") {
        return Ok(credentials.trim().to_string());
    }
    let basic = scheme.eq_ignore_ascii_case("Basic").then(|| STANDARD.decode(credentials.trim()).ok());
    let bytes = basic.flatten().ok_or_else(wanted)?;
    let text = String::from_utf8(bytes).map_err(|_| wanted())?;
    let (_, password) = text.split_once(':').ok_or_else(wanted)?;
    if password.is_empty() { Err(wanted()) } else { Ok(password.to_string()) }
}

fn remembered(app: &App, hash: &[u8; 32]) -> Option<Whoami> {
    let known = app.known.lock().unwrap_or_else(PoisonError::into_inner);
    known.0.get(hash).filter(|(at, _)| at.elapsed() < KNOWN_FOR).map(|(_, whoami)| whoami.clone())
}

async fn ask(app: &App, token: String, hash: [u8; 32]) -> Result<Whoami> {
    let away = |reason: String| {
        Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_master",
            format!("the master cannot be asked who you are: {reason}"),
        )
        .hint("Push again when it runs.")
    };
    let client = app.master.with_token(Some(token));
    let whoami = match tokio::time::timeout(MASTER_TIMEOUT, client.whoami()).await {
        Ok(Ok(whoami)) if whoami.role != Role::Anonymous => whoami,
        Ok(Ok(_)) => return Err(unknown()),
        Ok(Err(error)) if matches!(error.status(), Some(401 | 403)) => return Err(unknown()),
        Ok(Err(error)) => return Err(away(error.to_string())),
        Err(_) => return Err(away(format!("it did not answer within {} s", MASTER_TIMEOUT.as_secs()))),
    };
    let mut known = app.known.lock().unwrap_or_else(PoisonError::into_inner);
    known.0.retain(|_, (at, _)| at.elapsed() < KNOWN_FOR);
    if known.0.len() < MAX_KNOWN {
        known.0.insert(hash, (Instant::now(), whoami.clone()));
    }
    Ok(whoami)
}

fn unknown() -> Error {
    Error::new(StatusCode::UNAUTHORIZED, "bad_token", "this token is not known here")
        .hint("It was revoked, or belongs to another installation; make one with `anima token create`.")
}
