//! Nodes, as they said of themselves when they last asked for work.

use anima_types::{
    Arch, Timestamp,
    lease::{Claim, Condition},
    node::Drain,
    task,
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    many, node_load,
    row::{Columns, to_json},
};

/// A row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Which tasks it takes.
    pub kinds: Vec<task::Kind>,
    /// The architectures that it runs.
    pub architectures: Vec<Arch>,
    /// What it emulates.
    pub emulated: Vec<Arch>,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Its program's version.
    pub version: String,
    /// Which process it is, where it says so.
    pub instance: String,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// How it was then.
    pub condition: Condition,
    /// That it takes no more tasks, where somebody wanted so.
    pub drain: Option<Drain>,
}

/// Writes what a node says of itself; its first word is an event.
pub async fn seen(write: &mut Write, claim: &Claim) -> Result<()> {
    let updated = sqlx::query(
        "UPDATE node SET kinds = $2, architectures = $3, slots = $4, version = $5, seen_at = $6, condition = $7, emulated = $8
         WHERE name = $1",
    )
    .bind(&claim.node)
    .bind(to_json("kinds", &claim.kinds)?)
    .bind(to_json("architectures", &claim.architectures)?)
    .bind(i64::from(claim.slots))
    .bind(&claim.version)
    .bind(write.now.0)
    .bind(to_json("condition", &claim.condition)?)
    .bind(to_json("emulated", &claim.emulated)?)
    .execute(&mut **write)
    .await?;
    if updated.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO node (name, kinds, architectures, slots, version, seen_at, condition, emulated)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&claim.node)
    .bind(to_json("kinds", &claim.kinds)?)
    .bind(to_json("architectures", &claim.architectures)?)
    .bind(i64::from(claim.slots))
    .bind(&claim.version)
    .bind(write.now.0)
    .bind(to_json("condition", &claim.condition)?)
    .bind(to_json("emulated", &claim.emulated)?)
    .execute(&mut **write)
    .await?;
    let message = format!("Node {} asked for work for the first time.", claim.node);
    event::record(write, NewEvent { noun: "node", verb: "joined", message, ..NewEvent::default() }).await?;
    Ok(())
}

/// What a claim's [`Claim::instance`] says of the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Instance {
    /// It goes on.
    Same,
    /// It was started, again or for the first time.
    New,
    /// Another process took its name since.
    Superseded,
}

/// Takes note of the process behind a node's name. One that does not say which it is goes on.
///
/// Of two that say when they were started, the later one is the node. A word of an earlier one that comes late is nothing new,
/// unless the later one was not heard of for `silent_secs`: then the node's clock was set back.
pub async fn note_instance(write: &mut Write, claim: &Claim, silent_secs: f64) -> Result<Instance> {
    let row = sqlx::query("SELECT instance, instance_started_at, seen_at FROM node WHERE name = $1")
        .bind(&claim.node)
        .fetch_optional(&mut **write)
        .await?;
    let (current, current_since, seen_at) = match &row {
        Some(row) => (row.text("instance")?, row.time("instance_started_at")?, row.time("seen_at")?),
        None => (String::new(), Timestamp(0), Timestamp(0)),
    };
    if claim.instance.is_empty() || claim.instance == current {
        return Ok(Instance::Same);
    }
    let since = claim.started_at.unwrap_or(Timestamp(0));
    let are_known = since > Timestamp(0) && current_since > Timestamp(0);
    let is_silent = write.now.secs_since(seen_at) > silent_secs;
    if are_known && since < current_since && !is_silent {
        return Ok(Instance::Superseded);
    }
    let noted = sqlx::query(
        "INSERT INTO node_instance (node, instance, since) VALUES ($1, $2, $3) ON CONFLICT (node, instance) DO NOTHING",
    )
    .bind(&claim.node)
    .bind(&claim.instance)
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    // One that was noted, and is the later one all the same, had been passed for silent.
    let is_later = are_known && since > current_since;
    if noted.rows_affected() == 0 && !is_later {
        return Ok(Instance::Superseded);
    }
    Ok(Instance::New)
}

/// Makes a process the node of its name, which was [`seen`] before.
pub async fn set_instance(write: &mut Write, claim: &Claim) -> Result<()> {
    sqlx::query("UPDATE node SET instance = $2, instance_started_at = $3 WHERE name = $1")
        .bind(&claim.node)
        .bind(&claim.instance)
        .bind(claim.started_at.unwrap_or(Timestamp(0)).0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns a node that has to be there.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Node> {
    let row = sqlx::query("SELECT * FROM node WHERE name = $1").bind(name).fetch_optional(connection).await?;
    row.as_ref().map(from_row).transpose()?.ok_or_else(|| Error::missing("node", name))
}

/// Notes whether a node takes no more tasks; who wanted it, and why, is an event.
pub async fn set_drain(write: &mut Write, name: &str, drain: Option<&Drain>, message: String) -> Result<()> {
    let json = drain.map(|drain| to_json("drain", drain)).transpose()?;
    sqlx::query("UPDATE node SET drain = $2 WHERE name = $1").bind(name).bind(json).execute(&mut **write).await?;
    let verb = if drain.is_some() { "drained" } else { "undrained" };
    event::record(write, NewEvent { noun: "node", verb, message, ..NewEvent::default() }).await?;
    Ok(())
}

/// Notes what a node says is wrong with its machine, until it says how that is the next time it asks for work.
pub async fn set_problem(write: &mut Write, name: &str, problem: &str) -> Result<()> {
    let condition = Condition { problem: Some(problem.to_string()), ..get(write, name).await?.condition };
    sqlx::query("UPDATE node SET condition = $2 WHERE name = $1")
        .bind(name)
        .bind(to_json("condition", &condition)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Notes that nodes were heard of, where that was last noted before `before`, or for the future as the clock was set back; returns
/// whether it was of any.
pub async fn touch_all(write: &mut Write, names: &[&str], before: Timestamp) -> Result<bool> {
    let mut any = false;
    for piece in many::pieces(names) {
        let sql = format!(
            "UPDATE node SET seen_at = $1 WHERE (seen_at < $2 OR seen_at > $1) AND name IN ({})",
            many::list(piece.len(), 2)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(write.now.0).bind(before.0);
        let query = piece.iter().fold(query, |query, name| query.bind(*name));
        any |= query.execute(&mut **write).await?.rows_affected() > 0;
    }
    Ok(any)
}

/// Returns the nodes of these names that are known.
pub async fn list_named(connection: &mut Connection, names: &[&str]) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for piece in many::pieces(names) {
        let sql = format!("SELECT * FROM node WHERE name IN ({})", many::list(piece.len(), 0));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let rows = piece.iter().fold(query, |query, name| query.bind(*name)).fetch_all(&mut *connection).await?;
        for row in &rows {
            nodes.push(from_row(row)?);
        }
    }
    Ok(nodes)
}

/// Returns all nodes.
pub async fn list(connection: &mut Connection) -> Result<Vec<Node>> {
    let rows = sqlx::query("SELECT * FROM node ORDER BY name").fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Forgets a node, unless it was heard of since `seen_at`: its name is free for another.
pub async fn forget(write: &mut Write, name: &str, seen_at: Timestamp, message: String) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM node WHERE name = $1 AND seen_at = $2")
        .bind(name)
        .bind(seen_at.0)
        .execute(&mut **write)
        .await?;
    if deleted.rows_affected() > 0 {
        sqlx::query("DELETE FROM node_instance WHERE node = $1").bind(name).execute(&mut **write).await?;
        node_load::drop_of(write, name).await?;
        event::record(write, NewEvent { noun: "node", verb: "forgotten", message, ..NewEvent::default() }).await?;
    }
    Ok(())
}

fn from_row(row: &AnyRow) -> Result<Node> {
    Ok(Node {
        name: row.text("name")?,
        kinds: row.json("kinds")?,
        architectures: row.json("architectures")?,
        emulated: row.json("emulated")?,
        slots: row.int("slots")?.try_into().unwrap_or(u32::MAX),
        version: row.text("version")?,
        instance: row.text("instance")?,
        seen_at: row.time("seen_at")?,
        condition: row.json("condition")?,
        drain: row.maybe_json("drain")?,
    })
}
