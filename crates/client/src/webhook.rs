//! Webhooks: the routes below `/api/v1/webhooks`.

use anima_types::{
    id::{DeliveryId, WebhookId},
    webhook::{CreateWebhook, CreatedWebhook, Delivery, Webhook},
};
use reqwest::Method;

use crate::{error::Error, http::Client};

/// No query.
const NONE: &[(&str, &str); 0] = &[];

impl Client {
    /// Returns all webhooks, without their secrets.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        self.list("api/v1/webhooks", NONE, None).await
    }

    /// Returns a webhook.
    pub async fn webhook(&self, id: WebhookId) -> Result<Webhook, Error> {
        self.get(&format!("api/v1/webhooks/{id}"), NONE).await
    }

    /// Makes a webhook.
    pub async fn create_webhook(&self, wanted: &CreateWebhook) -> Result<CreatedWebhook, Error> {
        self.post("api/v1/webhooks", wanted).await
    }

    /// Takes a webhook away.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/webhooks/{id}")).await
    }

    /// Lets a webhook be told of nothing.
    pub async fn stop_webhook(&self, id: WebhookId) -> Result<Webhook, Error> {
        self.post(&format!("api/v1/webhooks/{id}/stop"), &()).await
    }

    /// Lets a webhook be told again of what happens from now on.
    pub async fn resume_webhook(&self, id: WebhookId) -> Result<Webhook, Error> {
        self.post(&format!("api/v1/webhooks/{id}/resume"), &()).await
    }

    /// Returns messages to a webhook before `before`, the newest first, at most `limit`.
    pub async fn webhook_deliveries(
        &self,
        id: WebhookId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, Error> {
        let query = [("limit", Some(limit.to_string())), ("before", before.map(|id| id.to_string()))];
        self.get(&format!("api/v1/webhooks/{id}/deliveries"), &query).await
    }

    /// Sends a message once more.
    pub async fn resend_webhook_delivery(&self, id: WebhookId, delivery: DeliveryId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/webhooks/{id}/deliveries/{delivery}/resend")).await
    }
}
