//! Signing in by a provider: the way there, and back.

use anima_types::id::IdentityId;
use askama::Template;
use axum::{
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, page},
    sign_in::{local, see, with_cookies},
};
use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, Form, Path, Query},
    identity,
    oidc::{self, End, Return},
    session,
};

/// The page between here and the provider. A form's answer may not send the browser elsewhere (its policy says so); a page may.
#[derive(Template)]
#[template(path = "to_provider.html")]
struct ToProvider {
    frame: Frame,
    title: String,
    url: String,
}

/// What the button on the page for signing in sends.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    to: String,
}

/// `POST /sign-in/oidc`
pub async fn begin(Extract(app): Extract<App>, caller: Caller, Form(wanted): Form<Wanted>) -> PageResult {
    go(&app, &caller, local(&wanted.to), false).await
}

/// `POST /account/identities`
pub async fn begin_link(Extract(app): Extract<App>, caller: Caller) -> PageResult {
    go(&app, &caller, "/account#identities", true).await
}

async fn go(app: &App, caller: &Caller, to: &str, is_link: bool) -> PageResult {
    let (url, cookie) = oidc::begin(app, caller, to, is_link).await?;
    let title = oidc::configured(app)?.title.clone();
    let refresh = HeaderValue::from_str(&format!("0; url={url}")).map_err(ApiError::internal)?;
    let body = page(&ToProvider { frame: Frame::new("Sign in", "", ""), title, url })?;
    Ok(([(header::SET_COOKIE, cookie), (header::REFRESH, refresh)], body).into_response())
}

/// `/sign-in/oidc/callback`
pub async fn end(
    Extract(app): Extract<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(back): Query<Return>,
) -> PageResult {
    let over = session::flow_cookie(&app, None);
    let answer: Response = match oidc::end(&app, &caller, &headers, back).await {
        Ok(End::SignedIn(cookies, to)) => with_cookies(cookies, see(&to)),
        Ok(End::Linked(to)) => see(&to),
        Err(error) => super::answer::PageError::from(error).into_response(),
    };
    Ok((AppendHeaders([(header::SET_COOKIE, over)]), answer).into_response())
}

/// `POST /account/identities/{identity}/unlink`
pub async fn unlink(Extract(app): Extract<App>, caller: Caller, Path(id): Path<IdentityId>) -> PageResult {
    identity::unlink(&app, &caller, &caller.name, id).await?;
    Ok(see("/account#identities"))
}
