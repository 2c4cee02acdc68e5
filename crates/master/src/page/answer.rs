//! A page as an answer: its headers, the frame around every page, and errors for people.

use anima_types::id::EventId;
use askama::Template;
use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};

use super::{asset::VERSIONS, sign_in::see, visitor::Visitor, words::address_part};
use crate::{app::App, error::ApiError};

/// Nothing is loaded from elsewhere, and nothing that stands in a page is run.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// What is around a page.
pub struct Frame {
    /// The page's name; the program's is put behind it.
    pub title: String,
    /// The word of the navigation that the page belongs to.
    pub section: &'static str,
    /// The same for programs.
    pub api: String,
    /// The stream of events that change the page; empty where nothing does.
    pub events: String,
    /// The same as a feed; empty where there is none.
    pub feed: String,
    /// What is searched for everywhere; empty but on the page that found it.
    pub search: String,
    /// Versions of the style sheet and the script.
    pub css: &'static str,
    /// See above.
    pub js: &'static str,
    /// Who looks.
    pub visitor: Visitor,
}

impl Frame {
    /// Returns the frame of a page.
    pub fn new(title: impl Into<String>, section: &'static str, api: impl Into<String>) -> Frame {
        let (css, js) = (&VERSIONS.css, &VERSIONS.js);
        let (visitor, feed, search) = (Visitor::current(), String::new(), String::new());
        Frame { title: title.into(), section, api: api.into(), events: String::new(), feed, search, css, js, visitor }
    }

    /// Names the feed of what the page shows.
    pub fn with_feed(mut self, address: impl Into<String>) -> Frame {
        self.feed = address.into();
        self
    }

    /// Lets the page follow events: those after `after` that `filter` (`build=41`, or all) lets through.
    pub fn follow(mut self, after: EventId, filter: &str) -> Frame {
        self.events = format!("/api/v1/events?after={after}{}{filter}", if filter.is_empty() { "" } else { "&" });
        self
    }
}

/// Returns the place in the order of events to which a page that is made now belongs. It is asked for before all else:
/// what happens while the page is made is then told again rather than not at all.
pub async fn newest_event(app: &App) -> Result<EventId, PageError> {
    let mut read = app.db.read().await?;
    Ok(anima_db::event::newest(&mut read).await?)
}

/// What a page's handler returns.
pub type PageResult = Result<Response, PageError>;

/// An error that a person reads.
#[derive(Debug)]
pub struct PageError(ApiError);

impl PageError {
    /// 404.
    pub fn not_found(message: impl Into<String>) -> PageError {
        PageError(ApiError::not_found(message))
    }
}

impl<E: Into<ApiError>> From<E> for PageError {
    fn from(error: E) -> PageError {
        PageError(error.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    message: String,
    hint: Option<String>,
    is_missing: bool,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let PageError(ApiError { status, body, retry_after_secs }) = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let page = ErrorPage {
            frame: Frame::new(title, "", ""),
            status: status.as_u16(),
            message: sentence(&body.message),
            hint: body.hint,
            is_missing: status == StatusCode::NOT_FOUND,
        };
        match page.render() {
            Ok(html) => {
                let retry_after = retry_after_secs.map(|secs| (header::RETRY_AFTER, secs.to_string()));
                (status, AppendHeaders(retry_after), respond(html)).into_response()
            }
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

/// Returns an error's message as a sentence.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// Returns a page.
pub fn page(template: &impl Template) -> PageResult {
    let html = template.render().map_err(ApiError::internal)?;
    Ok(respond(html))
}

fn respond(html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        // A page says who looks at it.
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, html).into_response()
}

/// Reads the id of an address; what is none names nothing.
pub fn id<T: std::str::FromStr>(noun: &str, text: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| PageError::not_found(format!("there is no {noun} \"{text}\"")))
}

/// Answers an address that nothing is at, if a person looks: programs get the API's form.
pub fn nothing(path: &str, headers: &HeaderMap) -> Option<Response> {
    is_for_people(path, headers).then(|| PageError::not_found(format!("there is nothing at {path}")).into_response())
}

fn is_for_people(path: &str, headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepts.contains("text/html") && !path.starts_with("/api/")
}

/// Answers a request that was refused: a person who has not signed in is asked to, and then comes back.
pub fn refused(request: &Request, error: ApiError) -> Refusal {
    let path = request.uri().path();
    if !is_for_people(path, request.headers()) {
        return Refusal::Program(error);
    }
    if error.status == StatusCode::UNAUTHORIZED && request.method().is_safe() {
        let to = request.uri().path_and_query().map_or(path, |whole| whole.as_str());
        return Refusal::SignIn(format!("/sign-in?to={}", address_part(to)));
    }
    Refusal::Person(PageError(error))
}

/// A refusal, for who it is.
pub enum Refusal {
    /// In the API's form.
    Program(ApiError),
    /// As a page.
    Person(PageError),
    /// To the page for signing in, at this address.
    SignIn(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Program(error) => error.into_response(),
            Refusal::Person(error) => error.into_response(),
            Refusal::SignIn(address) => see(&address),
        }
    }
}
