//! Webhooks: addresses that are told of what happens, in the form of [Standard
//! Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    event::Event,
    id::{DeliveryId, EventId, WebhookId},
};

/// Kinds of event that one webhook names at most.
pub const MAX_EVENTS: usize = 50;

/// `POST /api/v1/webhooks`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateWebhook {
    /// What people call it.
    pub name: String,
    /// Where to: `https://…` or `http://…`.
    pub url: String,
    /// Which events: `release.released`, `build.*`; none: all.
    #[serde(default)]
    pub events: Vec<String>,
}

/// The answer, once: the secret is not shown again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedWebhook {
    /// Its id.
    pub id: WebhookId,
    /// What the receiver verifies messages with: `whsec_` and base64.
    pub secret: String,
}

/// A webhook as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What people call it.
    pub name: String,
    /// Where to.
    pub url: String,
    /// Which events; none: all.
    pub events: Vec<String>,
    /// Whether it is told of anything.
    pub is_active: bool,
    /// Why not, where it is not.
    pub why: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Webhook {
    /// Returns whether it is told of such an event.
    pub fn wants(&self, event: &Event) -> bool {
        let fits = |pattern: &String| match pattern.split_once('.') {
            Some((noun, verb)) => noun == event.noun && (verb == "*" || verb == event.verb),
            None => false,
        };
        // What a webhook's own deliveries come to is no news for it.
        event.noun != "webhook" && (self.events.is_empty() || self.events.iter().any(fits))
    }
}

/// What a webhook is sent: a message in the form of Standard Webhooks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookMessage)]
pub struct Message {
    /// What happened: `release.released`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub timestamp: Timestamp,
    /// The same as a line with an address, which chats show.
    pub text: String,
    /// The event.
    pub data: MessageData,
}

/// What a message tells of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookMessageData)]
pub struct MessageData {
    /// What happened.
    pub event: Event,
    /// The page about it.
    pub url: String,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is sent at its time.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was tried often enough, or is not wanted.
    GivenUp,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [DeliveryStatus; 3] = [DeliveryStatus::Waiting, DeliveryStatus::Delivered, DeliveryStatus::GivenUp];

    /// Returns the word that is kept in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            DeliveryStatus::Waiting => "waiting",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::GivenUp => "given_up",
        }
    }

    /// Returns the status of that name.
    pub fn from_name(name: &str) -> Option<DeliveryStatus> {
        DeliveryStatus::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// A message to a webhook, and what came of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook: WebhookId,
    /// What it tells of.
    pub event: EventId,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next, where it waits.
    pub next_at: Option<Timestamp>,
    /// What the receiver answered last, or why there was no answer.
    pub answer: Option<String>,
    /// When the message was made.
    pub created_at: Timestamp,
    /// When it was taken or given up.
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(noun: &str, verb: &str) -> Event {
        let (status, build, task, release) = (None, None, None, None);
        let (noun, verb, actor) = (noun.to_string(), verb.to_string(), "ann".to_string());
        let message = String::new();
        Event { id: EventId(1), at: Timestamp(0), noun, verb, status, actor, build, task, release, message }
    }

    #[test]
    fn a_webhook_wants_what_it_names_and_nothing_of_webhooks() {
        let mut hook = Webhook {
            id: WebhookId(1),
            name: "chat".into(),
            url: "https://example.org/".into(),
            events: vec!["release.released".into(), "build.*".into()],
            is_active: true,
            why: None,
            created_by: "ann".into(),
            created_at: Timestamp(0),
        };
        assert!(hook.wants(&event("release", "released")) && hook.wants(&event("build", "failed")));
        assert!(!hook.wants(&event("release", "planned")) && !hook.wants(&event("task", "failed")));
        hook.events.clear();
        assert!(hook.wants(&event("task", "failed")) && !hook.wants(&event("webhook", "stopped")));
    }
}
