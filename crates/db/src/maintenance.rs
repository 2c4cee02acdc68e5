//! Whether tasks are given out at all.

use anima_types::maintenance::Maintenance;

use crate::{
    Connection, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// Returns that no task is given out, where it is so.
pub async fn get(connection: &mut Connection) -> Result<Option<Maintenance>> {
    let row = sqlx::query("SELECT * FROM maintenance").fetch_optional(connection).await?;
    let maintenance = |row| {
        let row: &sqlx::any::AnyRow = row;
        Ok(Maintenance { since: row.time("since")?, by: row.text("actor")?, reason: row.maybe_text("reason")? })
    };
    row.as_ref().map(maintenance).transpose()
}

/// Gives out no task from now on; who wanted it, and why, is an event. Begun again, it has the newer reason.
pub async fn begin(write: &mut Write, reason: Option<&str>) -> Result<()> {
    let (now, actor) = (write.now.0, write.actor().to_string());
    sqlx::query(
        "INSERT INTO maintenance (id, since, actor, reason) VALUES (1, $1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET actor = excluded.actor, reason = excluded.reason",
    )
    .bind(now)
    .bind(&actor)
    .bind(reason)
    .execute(&mut **write)
    .await?;
    let because = reason.map_or(String::new(), |reason| format!(": {reason}"));
    record(write, "begun", format!("No task is given out{because}.")).await
}

/// Gives out tasks again; returns whether there was maintenance.
pub async fn end(write: &mut Write) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM maintenance").execute(&mut **write).await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    record(write, "ended", "Tasks are given out again.".to_string()).await?;
    Ok(true)
}

async fn record(write: &mut Write, verb: &'static str, message: String) -> Result<()> {
    event::record(write, NewEvent { noun: "maintenance", verb, message, ..NewEvent::default() }).await.map(drop)
}
