//! Webhooks and the messages to them.

use anima_types::{
    Timestamp,
    event::Event,
    id::{DeliveryId, EventId, WebhookId},
    webhook::{CreateWebhook, Delivery, DeliveryStatus, Webhook},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::{Columns, to_json},
};

/// Writes a webhook; it is told of what happens from now on.
pub async fn insert(write: &mut Write, new: &CreateWebhook, secret: &str) -> Result<WebhookId> {
    let seen = event::newest(write).await?;
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO webhook (name, url, secret, events, seen_event, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         RETURNING id",
    )
    .bind(&new.name)
    .bind(&new.url)
    .bind(secret)
    .bind(to_json("events", &new.events)?)
    .bind(seen.0)
    .bind(write.actor().to_string())
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await
    .map_err(|error| Error::taken(error, "webhook", &new.name))?;
    record(write, "created", format!("Webhook {} was made.", new.name)).await?;
    Ok(WebhookId(id))
}

/// Returns all webhooks by name.
pub async fn list(connection: &mut Connection) -> Result<Vec<Webhook>> {
    let rows = sqlx::query("SELECT * FROM webhook ORDER BY name").fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Returns a webhook.
pub async fn get(connection: &mut Connection, id: WebhookId) -> Result<Webhook> {
    let row = sqlx::query("SELECT * FROM webhook WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("webhook", id))?)
}

/// Takes a webhook away, with the messages to it.
pub async fn delete(write: &mut Write, id: WebhookId) -> Result<()> {
    let hook = get(write, id).await?;
    sqlx::query("DELETE FROM webhook_delivery WHERE webhook_id = $1").bind(id.0).execute(&mut **write).await?;
    sqlx::query("DELETE FROM webhook WHERE id = $1").bind(id.0).execute(&mut **write).await?;
    record(write, "deleted", format!("Webhook {} was taken away.", hook.name)).await
}

/// Stops a webhook for a reason, or, without one, lets it be told again of what happens from now on.
pub async fn set_stopped(write: &mut Write, hook: &Webhook, why: Option<&str>) -> Result<()> {
    let seen = event::newest(write).await?;
    sqlx::query("UPDATE webhook SET why = $2, seen_event = $3 WHERE id = $1")
        .bind(hook.id.0)
        .bind(why)
        .bind(seen.0)
        .execute(&mut **write)
        .await?;
    match why {
        Some(why) => record(write, "stopped", format!("Webhook {} is told of nothing: {why}.", hook.name)).await,
        None => record(write, "resumed", format!("Webhook {} is told again of what happens.", hook.name)).await,
    }
}

/// Makes the messages of events after the last for which that was done, at most `limit` events of each webhook; returns whether
/// there was anything to do.
pub async fn make_deliveries(write: &mut Write, limit: u32) -> Result<bool> {
    let rows = sqlx::query("SELECT * FROM webhook WHERE why IS NULL ORDER BY id").fetch_all(&mut **write).await?;
    let mut any = false;
    for row in &rows {
        let (hook, seen) = (from_row(row)?, EventId(row.int("seen_event")?));
        let events = event::list(write, seen, None, limit).await?;
        let Some(last) = events.last().map(|event| event.id) else { continue };
        for event in events.iter().filter(|event| hook.wants(event)) {
            insert_delivery(write, hook.id, event).await?;
        }
        sqlx::query("UPDATE webhook SET seen_event = $2 WHERE id = $1")
            .bind(hook.id.0)
            .bind(last.0)
            .execute(&mut **write)
            .await?;
        any = true;
    }
    Ok(any)
}

async fn insert_delivery(write: &mut Write, hook: WebhookId, event: &Event) -> Result<()> {
    sqlx::query(
        "INSERT INTO webhook_delivery (webhook_id, event_id, status, next_at, created_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (webhook_id, event_id) DO NOTHING",
    )
    .bind(hook.0)
    .bind(event.id.0)
    .bind(DeliveryStatus::Waiting.name())
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub struct Due {
    /// The message.
    pub delivery: Delivery,
    /// Where to.
    pub webhook: Webhook,
    /// What it is signed with.
    pub secret: String,
    /// What it tells of.
    pub event: Event,
}

/// Returns the webhooks that are told of things and have messages whose time has come.
pub async fn with_due(connection: &mut Connection, now: Timestamp) -> Result<Vec<WebhookId>> {
    // Index: webhook_delivery_turn.
    let rows = sqlx::query(
        "SELECT id FROM webhook
         WHERE why IS NULL AND EXISTS (
             SELECT 1 FROM webhook_delivery
             WHERE webhook_id = webhook.id AND status = $1 AND next_at <= $2)
         ORDER BY id",
    )
    .bind(DeliveryStatus::Waiting.name())
    .bind(now.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.int("id").map(WebhookId)).collect()
}

/// Takes messages of a webhook whose time has come, so that nobody else sends them until `until`.
pub async fn take_due(write: &mut Write, hook: WebhookId, until: Timestamp, limit: u32) -> Result<Vec<Due>> {
    // Index: webhook_delivery_turn.
    let rows = sqlx::query(
        "SELECT webhook_delivery.* FROM webhook_delivery JOIN webhook ON webhook.id = webhook_delivery.webhook_id
         WHERE webhook_delivery.webhook_id = $1 AND webhook_delivery.status = $2 AND webhook_delivery.next_at <= $3
           AND webhook.why IS NULL
         ORDER BY webhook_delivery.next_at, webhook_delivery.id
         LIMIT $4",
    )
    .bind(hook.0)
    .bind(DeliveryStatus::Waiting.name())
    .bind(write.now.0)
    .bind(i64::from(limit))
    .fetch_all(&mut **write)
    .await?;
    let mut due = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut delivery = delivery_from_row(row)?;
        sqlx::query("UPDATE webhook_delivery SET next_at = $2, attempts = attempts + 1 WHERE id = $1")
            .bind(delivery.id.0)
            .bind(until.0)
            .execute(&mut **write)
            .await?;
        delivery.attempts += 1;
        let webhook = get(write, delivery.webhook).await?;
        let secret: String = sqlx::query_scalar("SELECT secret FROM webhook WHERE id = $1")
            .bind(webhook.id.0)
            .fetch_one(&mut **write)
            .await?;
        let event = event::get(write, delivery.event).await?;
        due.push(Due { delivery, webhook, secret, event });
    }
    Ok(due)
}

/// Returns when the next message is to be sent.
pub async fn next_due(connection: &mut Connection) -> Result<Option<Timestamp>> {
    // Index: webhook_delivery_due.
    let query = "SELECT MIN(next_at) FROM webhook_delivery WHERE status = $1";
    let at: Option<i64> = sqlx::query_scalar(query).bind(DeliveryStatus::Waiting.name()).fetch_one(connection).await?;
    Ok(at.map(Timestamp))
}

/// Writes what came of sending a message; `next_at` is when it is sent again, where it is.
pub async fn answered(
    write: &mut Write,
    id: DeliveryId,
    status: DeliveryStatus,
    answer: &str,
    next_at: Option<Timestamp>,
) -> Result<()> {
    let ended = (status != DeliveryStatus::Waiting).then_some(write.now.0);
    sqlx::query("UPDATE webhook_delivery SET status = $2, answer = $3, next_at = $4, ended_at = $5 WHERE id = $1")
        .bind(id.0)
        .bind(status.name())
        .bind(answer)
        .bind(next_at.unwrap_or(write.now).0)
        .bind(ended)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Lets a message be sent once more, at once, and from the beginning.
pub async fn resend(write: &mut Write, hook: WebhookId, id: DeliveryId) -> Result<()> {
    let updated = sqlx::query(
        "UPDATE webhook_delivery SET status = $3, attempts = 0, next_at = $4, ended_at = NULL
         WHERE id = $1 AND webhook_id = $2",
    )
    .bind(id.0)
    .bind(hook.0)
    .bind(DeliveryStatus::Waiting.name())
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::missing("delivery", id));
    }
    Ok(())
}

/// Returns messages to a webhook before `before`, the newest first.
pub async fn deliveries(
    connection: &mut Connection,
    hook: WebhookId,
    before: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<Delivery>> {
    let query = "SELECT * FROM webhook_delivery WHERE webhook_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let rows = sqlx::query(query)
        .bind(hook.0)
        .bind(before.map_or(i64::MAX, |id| id.0))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(delivery_from_row).collect()
}

/// Forgets messages that ended before a moment, and those that were made before it and wait for a webhook that was stopped; returns
/// how many.
pub async fn forget(write: &mut Write, before: Timestamp) -> Result<u64> {
    let deleted = sqlx::query(
        "DELETE FROM webhook_delivery
         WHERE ended_at < $1
            OR ended_at IS NULL AND created_at < $1 AND webhook_id IN (SELECT id FROM webhook WHERE why IS NOT NULL)",
    )
    .bind(before.0)
    .execute(&mut **write)
    .await?;
    Ok(deleted.rows_affected())
}

async fn record(write: &mut Write, verb: &'static str, message: String) -> Result<()> {
    event::record(write, NewEvent { noun: "webhook", verb, message, ..NewEvent::default() }).await.map(drop)
}

fn from_row(row: &AnyRow) -> Result<Webhook> {
    let why = row.maybe_text("why")?;
    Ok(Webhook {
        id: WebhookId(row.int("id")?),
        name: row.text("name")?,
        url: row.text("url")?,
        events: row.json("events")?,
        is_active: why.is_none(),
        why,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
    })
}

fn delivery_from_row(row: &AnyRow) -> Result<Delivery> {
    let status = row.word("status", DeliveryStatus::from_name)?;
    Ok(Delivery {
        id: DeliveryId(row.int("id")?),
        webhook: WebhookId(row.int("webhook_id")?),
        event: EventId(row.int("event_id")?),
        status,
        attempts: row.int("attempts")?.try_into().unwrap_or(u32::MAX),
        next_at: if status == DeliveryStatus::Waiting { row.maybe_time("next_at")? } else { None },
        answer: row.maybe_text("answer")?,
        created_at: row.time("created_at")?,
        ended_at: row.maybe_time("ended_at")?,
    })
}
