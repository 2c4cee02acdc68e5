//! Teams and who is in them.

use anima_types::{account::CreateTeam, id::AccountId};
use sqlx::Row as _;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// Writes a team.
pub async fn insert(write: &mut Write, team: &CreateTeam) -> Result<()> {
    sqlx::query("INSERT INTO team (name, title, created_at) VALUES ($1, $2, $3)")
        .bind(&team.name)
        .bind(&team.title)
        .bind(write.now.0)
        .execute(&mut **write)
        .await
        .map_err(|error| Error::taken(error, "team", &team.name))?;
    record(write, "created", format!("Team {} was made.", team.name)).await
}

/// Returns a team's name for people.
pub async fn title(connection: &mut Connection, name: &str) -> Result<String> {
    let title = sqlx::query_scalar("SELECT title FROM team WHERE name = $1").bind(name).fetch_optional(connection);
    title.await?.ok_or_else(|| Error::missing("team", name))
}

/// Returns the names of all teams.
pub async fn list(connection: &mut Connection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar("SELECT name FROM team ORDER BY name").fetch_all(connection).await?)
}

/// Returns the names of the accounts in a team.
pub async fn members(connection: &mut Connection, team: &str) -> Result<Vec<String>> {
    let names = sqlx::query_scalar(
        "SELECT account.name FROM team_member JOIN account ON account.id = team_member.account_id
         WHERE team_member.team = $1 ORDER BY account.name",
    );
    Ok(names.bind(team).fetch_all(connection).await?)
}

/// Returns the teams that an account is in.
pub async fn of_account(connection: &mut Connection, account: AccountId) -> Result<Vec<String>> {
    // Index: team_member_account.
    let names = sqlx::query_scalar("SELECT team FROM team_member WHERE account_id = $1 ORDER BY team");
    Ok(names.bind(account.0).fetch_all(connection).await?)
}

/// Puts an account into a team; it may be in it already.
pub async fn add(write: &mut Write, team: &str, account: AccountId, name: &str) -> Result<()> {
    title(write, team).await?;
    let added = sqlx::query(
        "INSERT INTO team_member (team, account_id, since) VALUES ($1, $2, $3)
         ON CONFLICT (team, account_id) DO NOTHING",
    )
    .bind(team)
    .bind(account.0)
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    match added.rows_affected() {
        0 => Ok(()),
        _ => record(write, "joined", format!("{name} is in team {team} now.")).await,
    }
}

/// Takes an account out of a team.
pub async fn remove(write: &mut Write, team: &str, account: AccountId, name: &str) -> Result<()> {
    let removed = sqlx::query("DELETE FROM team_member WHERE team = $1 AND account_id = $2")
        .bind(team)
        .bind(account.0)
        .execute(&mut **write)
        .await?;
    match removed.rows_affected() {
        0 => Err(Error::missing("member", format!("{name} of team {team}"))),
        _ => record(write, "left", format!("{name} is not in team {team} any more.")).await,
    }
}

/// Takes a team away with its rights and memberships.
pub async fn delete(write: &mut Write, name: &str) -> Result<()> {
    title(write, name).await?;
    for sql in ["DELETE FROM team_member WHERE team = $1", "DELETE FROM given_right WHERE team = $1"] {
        sqlx::query(sql).bind(name).execute(&mut **write).await?;
    }
    sqlx::query("DELETE FROM team WHERE name = $1").bind(name).execute(&mut **write).await?;
    record(write, "deleted", format!("Team {name} was taken away.")).await
}

/// Returns the products of each of these teams, as pairs of team and product.
pub async fn products(connection: &mut Connection, teams: &[String]) -> Result<Vec<(String, String)>> {
    if teams.is_empty() {
        return Ok(Vec::new());
    }
    // Products are some hundreds, and few of them have a team.
    let rows = sqlx::query("SELECT name, options FROM product WHERE options LIKE '%\"team\"%' ORDER BY name")
        .fetch_all(connection)
        .await?;
    let mut owned = Vec::new();
    for row in rows {
        let options: anima_types::product::Options = row.json("options")?;
        if let Some(team) = options.team.filter(|team| teams.contains(team)) {
            owned.push((team, row.try_get("name")?));
        }
    }
    Ok(owned)
}

async fn record(write: &mut Write, verb: &'static str, message: String) -> Result<()> {
    event::record(write, NewEvent { noun: "team", verb, message, ..NewEvent::default() }).await.map(drop)
}
