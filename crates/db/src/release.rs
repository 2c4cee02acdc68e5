//! Releases.

use std::collections::BTreeMap;

use anima_types::{
    Timestamp, gate,
    id::{BuildId, ReleaseId, RepositoryId},
    release::{
        Approval, Content, Event, LeftOut, ListedRelease, MadeEdit, PlanAttachment, PlanEntry, PlanRemoval, Status,
        next,
    },
    work::{PlanOutcome, PublishOutcome},
};
use serde::de::IgnoredAny;
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    product,
    row::{Columns, to_json},
    snapshot,
};

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Where it stands.
    pub status: Status,
    /// The product.
    pub product: String,
    /// What it carries.
    pub content: Content,
    /// The build, where it carries one.
    pub build: Option<BuildId>,
    /// The plan, once it is made.
    pub plan: Vec<PlanEntry>,
    /// What goes without a successor.
    pub removals: Vec<PlanRemoval>,
    /// What goes nowhere.
    pub left_out: Vec<LeftOut>,
    /// What changes beside the packages.
    pub attachments: Vec<PlanAttachment>,
    /// What people changed of the plan.
    pub edits: Vec<MadeEdit>,
    /// Who said that it is good.
    pub approvals: Vec<Approval>,
    /// When it goes to users, where that was said.
    pub scheduled_at: Option<Timestamp>,
    /// What the gates found in it.
    pub gates: Vec<gate::Answer>,
    /// The snapshots that users saw when the plan was made.
    pub base: BTreeMap<RepositoryId, i64>,
    /// What the release system published.
    pub published: Option<PublishOutcome>,
    /// Its state in one sentence.
    pub summary: String,
    /// Who decided.
    pub committed_by: Option<String>,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When users first saw it.
    pub released_at: Option<Timestamp>,
}

/// Which releases a list has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Only those made before this one.
    pub before: Option<ReleaseId>,
    /// Only those to this product.
    pub product: Option<String>,
    /// Only those that stand so.
    pub status: Option<Status>,
}

/// Writes a release in its first status.
pub async fn insert(write: &mut Write, product: &str, content: impl Into<Content>, summary: &str) -> Result<ReleaseId> {
    let content: Content = content.into();
    let build = content.build();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO release_plan (status, product, content, build_id, plan, base, summary, created_at)
         VALUES ($1, $2, $3, $4, '[]', '{}', $5, $6)
         RETURNING id",
    )
    .bind(Status::Planning.name())
    .bind(product)
    .bind(to_json("content", &content)?)
    .bind(build.map(|build| build.0))
    .bind(summary)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await?;
    let id = ReleaseId(id);
    let message = format!("Release {id} of {content} to {product} was asked for.");
    record(write, id, build, "created", Status::Planning, message).await?;
    Ok(id)
}

/// Returns a release.
pub async fn get(connection: &mut Connection, id: ReleaseId) -> Result<Release> {
    let row = sqlx::query("SELECT * FROM release_plan WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("release", id))?)
}

/// Returns releases, the newest first.
pub async fn list(connection: &mut Connection, filter: &Filter, limit: u32) -> Result<Vec<ListedRelease>> {
    // Indices: the primary key backwards; those of a snapshot's release and a product's name for each.
    let rows = sqlx::query(
        "SELECT id, status, product, content, build_id, plan, removals, left_out, approvals, scheduled_at, summary, committed_by,
                reason, created_at, released_at
         FROM release_plan
         WHERE id < $1 AND ($2 = '' OR product = $2) AND ($3 = '' OR status = $3)
         ORDER BY id DESC
         LIMIT $4",
    )
    .bind(filter.before.map_or(i64::MAX, |id| id.0))
    .bind(filter.product.as_deref().unwrap_or_default())
    .bind(filter.status.map_or("", Status::name))
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    let mut releases = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut release = listed(row)?;
        let made = snapshot::of_release(connection, release.id).await?;
        release.snapshots = made.into_iter().map(|one| format!("{}@{}", one.path, one.number)).collect();
        release.approvals_wanted = product::get(connection, &release.product).await?.product.options.approvals;
        releases.push(release);
    }
    Ok(releases)
}

/// Returns how many releases stand so.
pub async fn count(connection: &mut Connection, status: Status) -> Result<u64> {
    // Index: release_status.
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM release_plan WHERE status = $1").bind(status.name());
    let count: i64 = count.fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Returns the releases of a product that users have seen, the newest first.
pub async fn list_released(connection: &mut Connection, product: &str, limit: u32) -> Result<Vec<Release>> {
    let query = "SELECT * FROM release_plan WHERE product = $1 AND released_at IS NOT NULL ORDER BY id DESC LIMIT $2";
    let rows = sqlx::query(query).bind(product).bind(i64::from(limit)).fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Returns the releases that carry a build, in the order in which they were made.
pub async fn of_build(connection: &mut Connection, build: BuildId) -> Result<Vec<(ReleaseId, String)>> {
    // Index: release_build.
    let rows = sqlx::query("SELECT id, product FROM release_plan WHERE build_id = $1 ORDER BY id")
        .bind(build.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((ReleaseId(row.int("id")?), row.text("product")?))).collect()
}

/// Returns the ids of those that [`list_open`] returns, without their plans.
pub async fn list_open_ids(connection: &mut Connection) -> Result<Vec<ReleaseId>> {
    let rows = open(connection, "SELECT id FROM release_plan WHERE status IN ($1, $2, $3, $4, $5) ORDER BY id").await?;
    rows.iter().map(|row| row.int("id").map(ReleaseId)).collect()
}

/// Returns the releases that are neither done nor given up, in the order in which they were made.
pub async fn list_open(connection: &mut Connection) -> Result<Vec<Release>> {
    let rows = open(connection, "SELECT * FROM release_plan WHERE status IN ($1, $2, $3, $4, $5) ORDER BY id").await?;
    rows.iter().map(from_row).collect()
}

async fn open(connection: &mut Connection, sql: &'static str) -> Result<Vec<AnyRow>> {
    // Index: release_status.
    let open = [Status::Planning, Status::Planned, Status::Scheduled, Status::Publishing, Status::Signing];
    let query = open.iter().fold(sqlx::query(sql), |query, status| query.bind(status.name()));
    Ok(query.fetch_all(connection).await?)
}

/// Returns a release of the same product that goes before another: one that is on its way to users, or an earlier one whose plan
/// is being made just now.
pub async fn find_ahead(connection: &mut Connection, release: &Release) -> Result<Option<ReleaseId>> {
    // Indexes: release_status, task_release.
    let ahead: Option<i64> = sqlx::query_scalar(
        "SELECT MIN(id) FROM release_plan
         WHERE product = $1 AND id <> $2
           AND (status IN ('publishing', 'signing')
                OR status = 'planning' AND id < $2 AND EXISTS (
                    SELECT 1 FROM task
                    WHERE task.release_id = release_plan.id AND task.kind = 'plan'
                      AND task.status IN ('ready', 'leased')))",
    )
    .bind(release.product.as_str())
    .bind(release.id.0)
    .fetch_one(connection)
    .await?;
    Ok(ahead.map(ReleaseId))
}

/// Returns the other releases of the same product that wait for a decision or are on their way.
pub async fn list_beside(connection: &mut Connection, release: &Release) -> Result<Vec<ReleaseId>> {
    // Index: release_status.
    let rows = sqlx::query(
        "SELECT id FROM release_plan
         WHERE product = $1 AND id <> $2 AND status IN ('planned', 'publishing', 'signing')
         ORDER BY id",
    )
    .bind(release.product.as_str())
    .bind(release.id.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.int("id").map(ReleaseId)).collect()
}

/// Returns the releases of which something may still go to users, in the order in which they were made: of those that failed,
/// too, which can be planned again.
pub async fn list_that_may_go(connection: &mut Connection) -> Result<Vec<Release>> {
    // Index: release_status.
    let failed = sqlx::query("SELECT * FROM release_plan WHERE status = $1 ORDER BY id")
        .bind(Status::Failed.name())
        .fetch_all(&mut *connection)
        .await?;
    let failed: Vec<Release> = failed.iter().map(from_row).collect::<Result<_>>()?;
    let mut all = list_open(connection).await?;
    all.extend(failed);
    all.sort_by_key(|release| release.id);
    Ok(all)
}

/// What a release stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Footing {
    /// Its id.
    pub id: ReleaseId,
    /// Where it stands.
    pub status: Status,
    /// What it carries.
    pub content: Content,
    /// The snapshots that it is planned upon.
    pub base: BTreeMap<RepositoryId, i64>,
}

/// Returns what those stand on that [`list_that_may_go`] returns, without their plans.
pub async fn list_footings(connection: &mut Connection) -> Result<Vec<Footing>> {
    // Index: release_status.
    let rows = sqlx::query(
        "SELECT id, status, content, base FROM release_plan
         WHERE status IN ('planning', 'planned', 'scheduled', 'publishing', 'signing', 'failed')
         ORDER BY id",
    )
    .fetch_all(connection)
    .await?;
    let footing = |row: &AnyRow| {
        Ok(Footing {
            id: ReleaseId(row.int("id")?),
            status: row.word("status", Status::from_name)?,
            content: row.json("content")?,
            base: row.json("base")?,
        })
    };
    rows.iter().map(footing).collect()
}

/// Returns the releases whose time has come, in the order in which they were made.
pub async fn list_due(connection: &mut Connection, now: Timestamp) -> Result<Vec<Release>> {
    // Index: release_status.
    let rows = sqlx::query("SELECT * FROM release_plan WHERE status = $1 AND scheduled_at <= $2 ORDER BY id")
        .bind(Status::Scheduled.name())
        .bind(now.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// Moves a release along its table, if it still stands where `release` says.
pub async fn apply(write: &mut Write, release: &Release, event: Event, summary: &str) -> Result<Status> {
    let (id, status) = (release.id, release.status);
    let next = next(status, event).ok_or(Error::Transition {
        noun: "release",
        id: id.0,
        status: status.name(),
        event: event.name(),
    })?;
    let updated = sqlx::query(
        "UPDATE release_plan
         SET status = $3, summary = $4, released_at = COALESCE(released_at, $5)
         WHERE id = $1 AND status = $2",
    )
    .bind(id.0)
    .bind(status.name())
    .bind(next.name())
    .bind(summary)
    .bind((next == Status::Released).then_some(write.now.0))
    .execute(&mut **write)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::Conflict { noun: "release", id: id.0, status: status.name() });
    }
    record(write, id, release.build, event.name(), next, summary.to_string()).await?;
    Ok(next)
}

/// Writes a plan, what the gates found in it, and what it was made from.
pub async fn set_plan(
    write: &mut Write,
    id: ReleaseId,
    plan: &[PlanEntry],
    gates: &[gate::Answer],
    base: &BTreeMap<RepositoryId, i64>,
) -> Result<()> {
    sqlx::query("UPDATE release_plan SET plan = $2, gates = $3, base = $4 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("plan", plan)?)
        .bind(to_json("gates", gates)?)
        .bind(to_json("base", base)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes all of a plan, and what it was made from.
pub async fn set_outcome(
    write: &mut Write,
    id: ReleaseId,
    made: &PlanOutcome,
    base: &BTreeMap<RepositoryId, i64>,
) -> Result<()> {
    set_plan(write, id, &made.entries, &made.gates, base).await?;
    sqlx::query("UPDATE release_plan SET removals = $2, left_out = $3 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("removals", &made.removals)?)
        .bind(to_json("left_out", &made.left_out)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes what a plan changes beside the packages.
pub async fn set_attachments(write: &mut Write, id: ReleaseId, attachments: &[PlanAttachment]) -> Result<()> {
    sqlx::query("UPDATE release_plan SET attachments = $2 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("attachments", attachments)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes what people changed of the plan.
pub async fn set_edits(write: &mut Write, id: ReleaseId, edits: &[MadeEdit]) -> Result<()> {
    sqlx::query("UPDATE release_plan SET edits = $2 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("edits", edits)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes who said that the plan is good.
pub async fn set_approvals(write: &mut Write, id: ReleaseId, approvals: &[Approval]) -> Result<()> {
    sqlx::query("UPDATE release_plan SET approvals = $2 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("approvals", approvals)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes when it goes to users, or that nobody said so.
pub async fn set_scheduled_at(write: &mut Write, id: ReleaseId, at: Option<Timestamp>) -> Result<()> {
    sqlx::query("UPDATE release_plan SET scheduled_at = $2 WHERE id = $1")
        .bind(id.0)
        .bind(at.map(|at| at.0))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Records something that happened to a release without moving it.
pub async fn note(write: &mut Write, release: &Release, verb: &'static str, message: String) -> Result<()> {
    record(write, release.id, release.build, verb, release.status, message).await
}

/// Writes what the plan is being made from.
pub async fn set_base(write: &mut Write, id: ReleaseId, base: &BTreeMap<RepositoryId, i64>) -> Result<()> {
    sqlx::query("UPDATE release_plan SET base = $2 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("base", base)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes what was published, or forgets it.
pub async fn set_published(write: &mut Write, id: ReleaseId, published: Option<&PublishOutcome>) -> Result<()> {
    sqlx::query("UPDATE release_plan SET published = $2 WHERE id = $1")
        .bind(id.0)
        .bind(published.map(|published| to_json("published", published)).transpose()?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes who decided and why, or that nobody has.
pub async fn set_committed_by(
    write: &mut Write,
    id: ReleaseId,
    name: Option<&str>,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query("UPDATE release_plan SET committed_by = $2, reason = $3 WHERE id = $1")
        .bind(id.0)
        .bind(name)
        .bind(reason)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Says a release's state in other words, without a change of status.
pub async fn set_summary(write: &mut Write, id: ReleaseId, summary: &str) -> Result<()> {
    sqlx::query("UPDATE release_plan SET summary = $2 WHERE id = $1")
        .bind(id.0)
        .bind(summary)
        .execute(&mut **write)
        .await?;
    Ok(())
}

async fn record(
    write: &mut Write,
    id: ReleaseId,
    build: Option<BuildId>,
    verb: &'static str,
    status: Status,
    message: String,
) -> Result<()> {
    let new = NewEvent {
        noun: "release",
        verb,
        status: Some(status.name()),
        build,
        release: Some(id),
        message,
        ..NewEvent::default()
    };
    event::record(write, new).await.map(drop)
}

/// What other tables say of it is not in it yet.
fn listed(row: &AnyRow) -> Result<ListedRelease> {
    let count = |column| row.json::<Vec<IgnoredAny>>(column).map(|list| list.len() as u64);
    Ok(ListedRelease {
        id: ReleaseId(row.int("id")?),
        status: row.word("status", Status::from_name)?,
        product: row.text("product")?,
        content: row.json("content")?,
        build: row.maybe_int("build_id")?.map(BuildId),
        package_count: count("plan")?,
        removal_count: count("removals")?,
        left_out_count: count("left_out")?,
        approvals: row.json("approvals")?,
        approvals_wanted: 0,
        scheduled_at: row.maybe_time("scheduled_at")?,
        snapshots: Vec::new(),
        summary: row.text("summary")?,
        committed_by: row.maybe_text("committed_by")?,
        reason: row.maybe_text("reason")?,
        created_at: row.time("created_at")?,
        released_at: row.maybe_time("released_at")?,
    })
}

fn from_row(row: &AnyRow) -> Result<Release> {
    Ok(Release {
        id: ReleaseId(row.int("id")?),
        status: row.word("status", Status::from_name)?,
        product: row.text("product")?,
        content: row.json("content")?,
        build: row.maybe_int("build_id")?.map(BuildId),
        plan: row.json("plan")?,
        removals: row.json("removals")?,
        left_out: row.json("left_out")?,
        attachments: row.json("attachments")?,
        edits: row.json("edits")?,
        approvals: row.json("approvals")?,
        scheduled_at: row.maybe_time("scheduled_at")?,
        gates: row.json("gates")?,
        base: row.json("base")?,
        published: row.maybe_json("published")?,
        summary: row.text("summary")?,
        committed_by: row.maybe_text("committed_by")?,
        reason: row.maybe_text("reason")?,
        created_at: row.time("created_at")?,
        released_at: row.maybe_time("released_at")?,
    })
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
