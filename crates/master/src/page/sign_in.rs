//! The pages on which people sign in and out.

use askama::Template;
use axum::{
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, page},
    visitor::Visitor,
};
use crate::{
    app::App,
    auth::{Caller, Via},
    error::{Form, Query},
    session, sign_in,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    answer: String,
    is_refused: bool,
    account: String,
    to: String,
    word: String,
    provider: Option<String>,
}

/// Where somebody wanted to go when they were asked to sign in.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    to: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub struct Sent {
    account: String,
    password: String,
    #[serde(default)]
    to: String,
}

/// `/sign-in`
pub async fn show(Extract(app): Extract<App>, caller: Caller, Query(wanted): Query<Wanted>) -> PageResult {
    if caller.account.is_some() {
        return Ok(see(local(&wanted.to)));
    }
    let answer = "Reading needs no account. To push, build or release, say who you are.".to_string();
    form(&app, answer, false, String::new(), &wanted.to)
}

fn form(app: &App, answer: String, is_refused: bool, account: String, to: &str) -> PageResult {
    let visitor = Visitor::current();
    let (secret, cookie) = session::visit(app, visitor.secret());
    let frame = Frame::new("Sign in", "", "");
    let word = session::form_word(&secret);
    let provider = app.config.oidc.as_ref().map(|oidc| oidc.title.clone());
    let body = page(&SignInPage { frame, answer, is_refused, account, to: local(to).to_string(), word, provider })?;
    Ok((AppendHeaders(cookie.map(|cookie| (header::SET_COOKIE, cookie))), body).into_response())
}

/// `POST /sign-in`
pub async fn send(
    Extract(app): Extract<App>,
    caller: Caller,
    headers: HeaderMap,
    Form(sent): Form<Sent>,
) -> PageResult {
    match sign_in::begin_session(&app, &caller, &headers, sent.account.trim(), &sent.password).await {
        Ok(cookies) => Ok(with_cookies(cookies, see(local(&sent.to)))),
        Err(error) if error.status == StatusCode::UNAUTHORIZED => {
            let page = form(&app, super::answer::sentence(&error.body.message), true, sent.account, &sent.to)?;
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /sign-out`
pub async fn out(Extract(app): Extract<App>, caller: Caller) -> PageResult {
    let Via::Session(id) = caller.via else { return Ok(see("/")) };
    let cookie = session::end(&app, &caller, id).await?;
    Ok(with_cookies([cookie], see("/")))
}

/// Returns an answer that sets cookies.
pub fn with_cookies<const N: usize>(cookies: [HeaderValue; N], answer: Response) -> Response {
    (AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie))), answer).into_response()
}

/// Sends the reader to another page of ours.
pub fn see(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_string()), (header::CACHE_CONTROL, "no-store".to_string())])
        .into_response()
}

/// Returns an address of ours, whatever was asked for: nobody is sent elsewhere by a link to us.
pub fn local(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_local = path.starts_with('/') && !path.starts_with("//") && is_plain && !path.starts_with("/sign-");
    if is_local { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for own in ["/", "/builds/41", "/packages?q=a%2Fb"] {
            assert_eq!(local(own), own);
        }
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil",
            "/a\r\nx: y",
            "/\t/evil",
            "/sign-in",
        ] {
            assert_eq!(local(foreign), "/", "{foreign}");
        }
    }
}
