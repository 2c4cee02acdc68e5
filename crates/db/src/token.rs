//! API tokens, known by the hash of their secret.

use anima_types::{
    Timestamp,
    id::{AccountId, TokenId},
    permission::Role,
    token::{Scopes, Token},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::{Columns, to_json},
};

/// A token that is about to be written.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is called.
    pub name: String,
    /// What it may do; [`Role::Person`] for one that belongs to an account.
    pub role: Role,
    /// Whose it is, with the account's name.
    pub account: Option<(AccountId, String)>,
    /// To what it is narrowed.
    pub scopes: Scopes,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// It is good for the node of its name only.
    pub is_of_node: bool,
}

/// A token with whose it is.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The token.
    pub token: Token,
    /// The account that it belongs to.
    pub account: Option<AccountId>,
    /// It is good for the node of its name only.
    pub is_of_node: bool,
}

const LISTED: &str = "SELECT token.*, account.name AS account_name FROM token
                      LEFT JOIN account ON account.id = token.account_id";

/// Writes a token.
pub async fn insert(write: &mut Write, token: &NewToken, hash: &str) -> Result<TokenId> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO token (name, role, hash, account_id, scopes, expires_at, created_at, is_of_node)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
    )
    .bind(&token.name)
    .bind(token.role.name())
    .bind(hash)
    .bind(token.account.as_ref().map(|(id, _)| id.0))
    .bind(to_json("scopes", &token.scopes)?)
    .bind(token.expires_at.map(|at| at.0))
    .bind(write.now.0)
    .bind(i64::from(token.is_of_node))
    .fetch_one(&mut **write)
    .await?;
    let message = match &token.account {
        Some((_, owner)) => format!("Token {id} \"{}\" of {owner} was made.", token.name),
        None => format!("Token {id} for {} ({}) was made.", token.name, token.role.name()),
    };
    record(write, "created", message).await?;
    Ok(TokenId(id))
}

/// Returns the token whose secret has this hash.
pub async fn find(connection: &mut Connection, hash: &str) -> Result<Option<Stored>> {
    let sql = format!("{LISTED} WHERE token.hash = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(hash).fetch_optional(connection).await?;
    row.as_ref().map(stored).transpose()
}

/// Returns a token.
pub async fn get(connection: &mut Connection, id: TokenId) -> Result<Stored> {
    let sql = format!("{LISTED} WHERE token.id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).fetch_optional(connection).await?;
    stored(&row.ok_or_else(|| Error::missing("token", id))?)
}

/// Returns all tokens.
pub async fn list(connection: &mut Connection) -> Result<Vec<Token>> {
    let sql = format!("{LISTED} ORDER BY token.id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Returns the tokens of an account.
pub async fn of_account(connection: &mut Connection, account: AccountId) -> Result<Vec<Token>> {
    // Index: token_account.
    let sql = format!("{LISTED} WHERE token.account_id = $1 ORDER BY token.id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(account.0).fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Returns whether a token that belongs to no person has this name.
pub async fn is_name_of_none(connection: &mut Connection, name: &str) -> Result<bool> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM token WHERE name = $1 AND account_id IS NULL")
        .bind(name)
        .fetch_one(connection)
        .await?;
    Ok(count > 0)
}

/// Writes that a token is used now.
pub async fn touch(write: &mut Write, id: TokenId) -> Result<()> {
    sqlx::query("UPDATE token SET used_at = $2 WHERE id = $1")
        .bind(id.0)
        .bind(write.now.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Takes a token away.
pub async fn delete(write: &mut Write, id: TokenId) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM token WHERE id = $1").bind(id.0).execute(&mut **write).await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::missing("token", id));
    }
    record(write, "revoked", format!("Token {id} was revoked.")).await
}

async fn record(write: &mut Write, verb: &'static str, message: String) -> Result<()> {
    event::record(write, NewEvent { noun: "token", verb, message, ..NewEvent::default() }).await.map(drop)
}

fn stored(row: &AnyRow) -> Result<Stored> {
    Ok(Stored {
        token: from_row(row)?,
        account: row.maybe_int("account_id")?.map(AccountId),
        is_of_node: row.flag("is_of_node")?,
    })
}

fn from_row(row: &AnyRow) -> Result<Token> {
    Ok(Token {
        id: TokenId(row.int("id")?),
        name: row.text("name")?,
        role: row.word("role", Role::from_name)?,
        account: row.maybe_text("account_name")?,
        scopes: row.json("scopes")?,
        created_at: row.time("created_at")?,
        expires_at: row.maybe_time("expires_at")?,
        used_at: row.maybe_time("used_at")?,
    })
}
