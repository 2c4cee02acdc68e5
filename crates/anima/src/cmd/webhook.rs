//! `anima webhook`: addresses that are told of what happens.

use anima_types::{
    id::{DeliveryId, WebhookId},
    webhook::{self, CreateWebhook},
};
use clap::Subcommand;

use super::Ask;
use crate::{exit::Result, output};

/// Let other programs and chats be told of what happens
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// List webhooks
    List,
    /// Let an address be told of events from now on, and print the secret that its messages are signed with, this once
    Create {
        /// What people call it
        name: String,
        /// Where to: https://…
        url: String,
        /// Which events, such as release.released, build.failed or task.*; repeat it for more [default: all]
        #[arg(long = "event", value_name = "NOUN.VERB")]
        events: Vec<String>,
    },
    /// Take a webhook away
    Delete {
        /// The webhook's id
        id: WebhookId,
    },
    /// Let a webhook be told of nothing
    Stop {
        /// The webhook's id
        id: WebhookId,
    },
    /// Let a webhook be told again of what happens from now on
    Resume {
        /// The webhook's id
        id: WebhookId,
    },
    /// List the messages to a webhook and what came of each, the newest first
    Log {
        /// The webhook's id
        id: WebhookId,
        /// Only messages older than this one
        #[arg(long, value_name = "DELIVERY")]
        before: Option<DeliveryId>,
        /// How many at most
        #[arg(long, default_value_t = 30)]
        limit: u32,
    },
    /// Send a message once more
    Resend {
        /// The webhook's id
        id: WebhookId,
        /// The message's id
        delivery: DeliveryId,
    },
}

impl Webhook {
    pub async fn run(self, ask: &Ask) -> Result {
        let client = &ask.client;
        match self {
            Webhook::List => {
                let header = ["webhook", "name", "address", "events", "state"];
                ask.output.list(&client.webhooks().await?, header, row, "There are no webhooks.")
            }
            Webhook::Create { name, url, events } => {
                let created = client.create_webhook(&CreateWebhook { name, url, events }).await?;
                // Only the secret, so that it can go straight into a file.
                ask.output.show(&created, |created| created.secret.clone())
            }
            Webhook::Delete { id } => {
                client.delete_webhook(id).await?;
                ask.output.show(&serde_json::json!({ "id": id }), |_| format!("webhook {id} is taken away"))
            }
            Webhook::Stop { id } => ask.output.show(&client.stop_webhook(id).await?, said),
            Webhook::Resume { id } => ask.output.show(&client.resume_webhook(id).await?, said),
            Webhook::Log { id, before, limit } => {
                let header = ["message", "event", "status", "tries", "made", "answer"];
                let deliveries = client.webhook_deliveries(id, before, limit).await?;
                ask.output.list(&deliveries, header, delivery_row, "There are no messages.")
            }
            Webhook::Resend { id, delivery } => {
                client.resend_webhook_delivery(id, delivery).await?;
                ask.output.show(&serde_json::json!({ "id": delivery }), |_| format!("message {delivery} is sent again"))
            }
        }
    }
}

fn said(hook: &webhook::Webhook) -> String {
    format!("webhook {}: {}", hook.name, state(hook))
}

fn state(hook: &webhook::Webhook) -> String {
    hook.why.as_ref().map_or_else(|| "active".to_string(), |why| format!("stopped: {why}"))
}

fn row(hook: &webhook::Webhook) -> [String; 5] {
    let events = if hook.events.is_empty() { "all".to_string() } else { hook.events.join(", ") };
    [hook.id.to_string(), hook.name.clone(), hook.url.clone(), events, state(hook)]
}

fn delivery_row(delivery: &webhook::Delivery) -> [String; 6] {
    [
        delivery.id.to_string(),
        delivery.event.to_string(),
        delivery.status.name().to_string(),
        delivery.attempts.to_string(),
        output::moment(delivery.created_at),
        delivery.answer.clone().unwrap_or_default(),
    ]
}
