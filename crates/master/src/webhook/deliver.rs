//! Sending: one pass makes the messages of new events, others send those whose time has come, one for each webhook: a receiver
//! that hangs holds up its own messages, and nobody else's.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use anima_db::webhook::Due;
use anima_types::{
    Timestamp,
    event::Event,
    id::WebhookId,
    webhook::{DeliveryStatus, Message, MessageData},
};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::{join_all, try_join_all};
use reqwest::redirect;
use tokio::task::{Id, JoinSet};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// What secrets of this form begin with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Waits between one try and the next, in seconds, as [Standard Webhooks] advises: a receiver that was started again misses
/// nothing, and one that is away over the night neither. The first try is at once.
///
/// [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
const WAITS_SECS: [i64; 9] = [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];
/// A receiver has so long to answer; it should do its work afterwards.
const PATIENCE: Duration = Duration::from_secs(15);
/// Nobody else sends a message for so long after somebody took it: more than [`PATIENCE`].
const HOLD_SECS: i64 = 60;
/// Messages sent to one receiver at once: enough for one that is far away, and few for one that is slow.
const AT_ONCE: u32 = 8;
/// Events looked at in one pass.
const BATCH: u32 = 500;
/// Characters of an answer that are kept, for who looks for the fault.
const MAX_ANSWER_CHARS: usize = 500;
/// Bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 4_096;
/// How long messages are kept after their end, in seconds: a month, to look back.
const KEEP_SECS: i64 = 30 * 86_400;
/// Other masters' events and messages are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// One for all: it keeps its connections. A redirect is not followed: the address was decided by a person.
static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("anima/", env!("CARGO_PKG_VERSION")))
        .build()
        .expect("its settings are fixed")
});

/// Makes the messages of what happened, and sends those whose time has come; returns how many were sent.
pub async fn deliver_once(app: &App) -> ApiResult<usize> {
    let due = make_once(app).await?;
    let counts = try_join_all(due.into_iter().map(|hook| deliver_to(app, hook))).await?;
    Ok(counts.into_iter().sum())
}

/// Makes the messages of what happened; returns the webhooks that have messages whose time has come.
async fn make_once(app: &App) -> ApiResult<Vec<WebhookId>> {
    let mut read = app.db.read().await?;
    let hooks = anima_db::webhook::list(&mut read).await?;
    drop(read);
    if hooks.iter().all(|hook| !hook.is_active) {
        return Ok(Vec::new());
    }
    loop {
        let mut write = app.db.write(app.now(), "anima").await?;
        let any = anima_db::webhook::make_deliveries(&mut write, BATCH).await?;
        write.commit().await?;
        if !any {
            break;
        }
    }
    let mut read = app.db.read().await?;
    Ok(anima_db::webhook::with_due(&mut read, app.now()).await?)
}

/// Sends the messages to one webhook whose time has come; returns how many.
async fn deliver_to(app: &App, hook: WebhookId) -> ApiResult<usize> {
    let mut count = 0;
    loop {
        let mut write = app.db.write(app.now(), "anima").await?;
        let due = anima_db::webhook::take_due(&mut write, hook, app.now().plus_secs(HOLD_SECS), AT_ONCE).await?;
        write.commit().await?;
        if due.is_empty() {
            return Ok(count);
        }
        count += due.len();
        let answers = join_all(due.iter().map(|due| send(app, due))).await;
        for (due, answer) in due.iter().zip(answers) {
            note(app, due, answer).await?;
        }
    }
}

/// What came of sending.
enum Answer {
    Taken(String),
    /// The receiver says that it will never want a message again.
    Gone(String),
    Refused(String),
}

async fn send(app: &App, due: &Due) -> Answer {
    let (id, sent_at) = (format!("msg_{}", due.delivery.id), app.now().epoch_secs());
    let body = serde_json::to_string(&body(app, &due.event)).expect("our own types are always JSON");
    let signature = signature(&due.secret, &id, sent_at, &body);
    let request = HTTP
        .post(&due.webhook.url)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", sent_at.to_string())
        .header("webhook-signature", signature)
        .body(body);
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Answer::Refused(cause(&error)),
    };
    let status = response.status();
    let mut text = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        text.extend_from_slice(&piece);
        if text.len() >= MAX_ANSWER_BYTES {
            break;
        }
    }
    let text: String = String::from_utf8_lossy(&text).chars().take(MAX_ANSWER_CHARS).collect();
    let said = format!("{status} {text}").trim_end().to_string();
    match status {
        status if status.is_success() => Answer::Taken(said),
        reqwest::StatusCode::GONE => Answer::Gone(said),
        _ => Answer::Refused(said),
    }
}

/// The innermost reason, without the address, which may carry a secret.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("could not be reached: {innermost}")
}

/// `text` is what chats show of a message; the rest is for programs.
fn body(app: &App, event: &Event) -> Message {
    let page = match (event.build, event.task, event.release) {
        (_, _, Some(release)) => format!("releases/{release}"),
        (_, Some(task), None) => format!("tasks/{task}"),
        (Some(build), None, None) => format!("builds/{build}"),
        (None, None, None) => String::new(),
    };
    let url = app.url(&page);
    Message {
        kind: format!("{}.{}", event.noun, event.verb),
        timestamp: event.at,
        text: format!("{} {url}", event.message),
        data: MessageData { event: event.clone(), url },
    }
}

/// Returns what the header `webhook-signature` of a message says: `v1,` and the base64 of HMAC-SHA256 of `ID.SECONDS.BODY`.
pub fn signature(secret: &str, id: &str, sent_at: i64, body: &str) -> String {
    let key = STANDARD.decode(secret.trim_start_matches(SECRET_PREFIX)).unwrap_or_default();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), format!("{id}.{sent_at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

async fn note(app: &App, due: &Due, answer: Answer) -> ApiResult<()> {
    let (id, attempts) = (due.delivery.id, due.delivery.attempts as usize);
    let mut write = app.db.write(app.now(), "anima").await?;
    match answer {
        Answer::Taken(said) => {
            anima_db::webhook::answered(&mut write, id, DeliveryStatus::Delivered, &said, None).await?;
        }
        Answer::Gone(said) => {
            anima_db::webhook::answered(&mut write, id, DeliveryStatus::GivenUp, &said, None).await?;
            let why = "its receiver answered that it is gone (410)";
            anima_db::webhook::set_stopped(&mut write, &due.webhook, Some(why)).await?;
        }
        Answer::Refused(said) => match WAITS_SECS.get(attempts.saturating_sub(1)) {
            Some(&wait) => {
                let at = app.now().plus_secs(wait);
                anima_db::webhook::answered(&mut write, id, DeliveryStatus::Waiting, &said, Some(at)).await?;
            }
            None => anima_db::webhook::answered(&mut write, id, DeliveryStatus::GivenUp, &said, None).await?,
        },
    }
    Ok(write.commit().await?)
}

/// Forgets messages that ended long ago.
pub async fn forget_once(app: &App, now: Timestamp) -> ApiResult<u64> {
    let mut write = app.db.write(now, "anima").await?;
    let count = anima_db::webhook::forget(&mut write, now.plus_secs(-KEEP_SECS)).await?;
    write.commit().await?;
    Ok(count)
}

/// Sends what there is to send, until it is dropped.
pub async fn run(app: &App) {
    let mut events = app.db.subscribe();
    let (mut sending, mut busy) = (JoinSet::new(), BTreeMap::new());
    loop {
        while let Some(ended) = sending.try_join_next_with_id() {
            note_end(&mut busy, ended);
        }
        match make_once(app).await {
            Ok(due) => {
                for hook in due {
                    if busy.values().any(|other| *other == hook) {
                        continue;
                    }
                    let app = app.clone();
                    let task = sending.spawn(async move { deliver_to(&app, hook).await });
                    busy.insert(task.id(), hook);
                }
            }
            Err(error) => tell(&error),
        }
        while events.try_recv().is_ok() {}
        tokio::select! {
            _ = events.recv() => {}
            () = app.webhooks_changed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn note_end(busy: &mut BTreeMap<Id, WebhookId>, ended: Result<(Id, ApiResult<usize>), tokio::task::JoinError>) {
    match ended {
        Ok((id, result)) => {
            busy.remove(&id);
            if let Err(error) = result {
                tell(&error);
            }
        }
        Err(error) => {
            busy.remove(&error.id());
            tell(&ApiError::internal(error));
        }
    }
}

fn tell(error: &ApiError) {
    tracing::error!("webhooks could not be told: {}", error.body.message);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let body = r#"{"test": 2432232314}"#;
        let signature =
            signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
