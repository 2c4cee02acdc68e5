//! Rights that accounts and teams were given.

use anima_types::{
    id::{AccountId, RightId},
    permission::Role,
    right::{GivenRight, Right},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// Whose a right is.
#[derive(Clone, Debug)]
pub enum Holder {
    /// An account's, with its name.
    Account(AccountId, String),
    /// A team's.
    Team(String),
}

const LISTED: &str = "SELECT given_right.*, account.name AS account_name FROM given_right
                      LEFT JOIN account ON account.id = given_right.account_id";

/// Writes a right. What is there already is not given twice.
pub async fn insert(write: &mut Write, holder: &Holder, right: &Right) -> Result<RightId> {
    let (account, team) = match holder {
        Holder::Account(id, _) => (Some(id.0), None),
        Holder::Team(name) => (None, Some(name.as_str())),
    };
    let thing = right.on.as_ref().map(ToString::to_string);
    let there: Option<i64> = sqlx::query_scalar(
        "SELECT id FROM given_right
         WHERE COALESCE(account_id, 0) = $1 AND COALESCE(team, '') = $2 AND role = $3 AND COALESCE(thing, '') = $4",
    )
    .bind(account.unwrap_or(0))
    .bind(team.unwrap_or(""))
    .bind(right.role.name())
    .bind(thing.as_deref().unwrap_or(""))
    .fetch_optional(&mut **write)
    .await?;
    if let Some(id) = there {
        return Ok(RightId(id));
    }
    let by = write.actor().to_string();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO given_right (account_id, team, role, thing, given_by, given_at) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id",
    )
    .bind(account)
    .bind(team)
    .bind(right.role.name())
    .bind(thing)
    .bind(by)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await?;
    let who = match holder {
        Holder::Account(_, name) => name.clone(),
        Holder::Team(name) => format!("Team {name}"),
    };
    record(write, "given", format!("{who} is {right} now.")).await?;
    Ok(RightId(id))
}

/// Takes a right away.
pub async fn delete(write: &mut Write, id: RightId) -> Result<()> {
    let given = get(write, id).await?;
    sqlx::query("DELETE FROM given_right WHERE id = $1").bind(id.0).execute(&mut **write).await?;
    let who = given.account.or(given.team.map(|team| format!("Team {team}"))).unwrap_or_default();
    record(write, "taken", format!("{who} is not {} any more.", given.right)).await
}

/// Returns a right.
pub async fn get(connection: &mut Connection, id: RightId) -> Result<GivenRight> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{LISTED} WHERE given_right.id = $1")))
        .bind(id.0)
        .fetch_optional(connection)
        .await?;
    from_row(&row.ok_or_else(|| Error::missing("right", id))?)
}

/// Returns all rights.
pub async fn list(connection: &mut Connection) -> Result<Vec<GivenRight>> {
    let sql = format!("{LISTED} ORDER BY given_right.id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Returns what an account was given, itself or as a member of a team.
pub async fn of_account(connection: &mut Connection, account: AccountId) -> Result<Vec<GivenRight>> {
    // Indices: given_right_account, given_right_team, team_member_account.
    let sql = format!(
        "{LISTED} WHERE given_right.account_id = $1
         OR given_right.team IN (SELECT team FROM team_member WHERE account_id = $1) ORDER BY given_right.id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(account.0).fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Returns what a team was given.
pub async fn of_team(connection: &mut Connection, team: &str) -> Result<Vec<GivenRight>> {
    let sql = format!("{LISTED} WHERE given_right.team = $1 ORDER BY given_right.id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(team).fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

async fn record(write: &mut Write, verb: &'static str, message: String) -> Result<()> {
    event::record(write, NewEvent { noun: "right", verb, message, ..NewEvent::default() }).await.map(drop)
}

fn from_row(row: &AnyRow) -> Result<GivenRight> {
    Ok(GivenRight {
        id: RightId(row.int("id")?),
        account: row.maybe_text("account_name")?,
        team: row.maybe_text("team")?,
        right: Right { role: row.word("role", Role::from_name)?, on: row.maybe_parsed("thing")? },
        given_by: row.text("given_by")?,
        given_at: row.time("given_at")?,
    })
}
