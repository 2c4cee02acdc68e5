//! The page on which a person says whether a command line may have a token of theirs.

use askama::Template;
use axum::{extract::State as Extract, http::StatusCode, response::IntoResponse};
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, page, sentence},
    words::When,
};
use crate::{app::App, auth::Caller, device, error::Form};

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    frame: Frame,
    word: String,
    answer: String,
    is_refused: bool,
    name: String,
    asks: Option<Asks>,
    is_over: bool,
}

/// What asks.
struct Asks {
    code: String,
    label: String,
    address: String,
    begun: When,
}

/// What the forms send.
#[derive(Deserialize)]
pub struct Sent {
    code: String,
    /// `yes` or `no`, once the person saw what asks.
    #[serde(default)]
    say: String,
}

/// `/device`
pub async fn show(caller: Caller) -> PageResult {
    let answer = "Type the code that your command line shows. Nobody else has one for you: a code that somebody sent lets them in.";
    render(&caller, answer.to_string(), false, None, false)
}

fn render(caller: &Caller, answer: String, is_refused: bool, asks: Option<Asks>, is_over: bool) -> PageResult {
    let frame = Frame::new("A command line", "account", "");
    let word = frame.visitor.word();
    page(&DevicePage { frame, word, answer, is_refused, name: caller.name.clone(), asks, is_over })
}

/// `POST /device`
pub async fn send(Extract(app): Extract<App>, caller: Caller, Form(sent): Form<Sent>) -> PageResult {
    caller.person()?;
    let found = match sent.say.as_str() {
        "yes" | "no" => device::decide(&app, &caller, &sent.code, sent.say == "yes").await.map(|()| None),
        _ => device::find(&app, &caller, &sent.code).await.map(Some),
    };
    match found {
        Ok(Some(waiting)) => {
            let asks = Asks {
                code: sent.code,
                label: waiting.label,
                address: waiting.address.unwrap_or_else(|| "an unknown address".to_string()),
                begun: When::new(waiting.begun_at, app.now()),
            };
            let answer = format!("A command line asks for a token with which it may all that {} may.", caller.name);
            render(&caller, answer, false, Some(asks), false)
        }
        Ok(None) => {
            let answer = match sent.say == "yes" {
                true => "Your command line has its token now. This page is of no more use.",
                false => "It gets nothing.",
            };
            render(&caller, answer.to_string(), false, None, true)
        }
        Err(error) if error.status == StatusCode::NOT_FOUND => {
            let page = render(&caller, sentence(&error.body.message), true, None, false)?;
            Ok((StatusCode::NOT_FOUND, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
