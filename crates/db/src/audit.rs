//! The audit: events with through what and from where they were made. It is the same table, so that what was done and
//! who did it are one transaction.

use anima_types::{
    audit::{Entry, Filter},
    id::EventId,
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// Writes down a request that changed something no event tells of.
pub(crate) async fn note(write: &mut Write) -> Result<()> {
    let request = write.origin.request.clone().unwrap_or_default();
    let message = format!("{} asked for {request}.", write.actor());
    event::record(write, NewEvent { noun: "request", verb: "done", message, ..NewEvent::default() }).await.map(drop)
}

/// Returns what people and operators did before an entry, or the newest, the newest first.
pub async fn list(
    connection: &mut Connection,
    filter: &Filter,
    before: Option<EventId>,
    limit: u32,
) -> Result<Vec<Entry>> {
    // Index: event_audit.
    let rows = sqlx::query(
        "SELECT * FROM event WHERE via IS NOT NULL AND id < $1 AND ($2 = '' OR actor = $2)
         AND ($3 = '' OR noun = $3) AND ($4 = '' OR address = $4) AND ($5 = '' OR via = $5) AND at >= $6
         ORDER BY id DESC LIMIT $7",
    )
    .bind(before.map_or(i64::MAX, |id| id.0))
    .bind(filter.who.as_deref().unwrap_or(""))
    .bind(filter.noun.as_deref().unwrap_or(""))
    .bind(filter.address.as_deref().unwrap_or(""))
    .bind(filter.via.as_deref().unwrap_or(""))
    .bind(filter.since.map_or(0, |at| at.0))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &AnyRow) -> Result<Entry> {
    Ok(Entry {
        event: event::from_row(row)?,
        via: row.text("via")?,
        address: row.maybe_text("address")?,
        request: row.maybe_text("request")?,
    })
}
