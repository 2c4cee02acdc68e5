//! API tokens, known by the hash of their secret.

use anima_types::{
    id::TokenId,
    permission::Role,
    token::{CreateToken, Token},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// Writes a token.
pub async fn insert(write: &mut Write, token: &CreateToken, hash: &str) -> Result<TokenId> {
    let id: i64 =
        sqlx::query_scalar("INSERT INTO token (name, role, hash, created_at) VALUES ($1, $2, $3, $4) RETURNING id")
            .bind(&token.name)
            .bind(token.role.name())
            .bind(hash)
            .bind(write.now.0)
            .fetch_one(&mut **write)
            .await?;
    let message = format!("Token {id} for {} ({}) was made.", token.name, token.role.name());
    event::record(write, NewEvent { noun: "token", verb: "created", message, ..NewEvent::default() }).await?;
    Ok(TokenId(id))
}

/// Returns the token whose secret has this hash.
pub async fn find(connection: &mut Connection, hash: &str) -> Result<Option<Token>> {
    let row = sqlx::query("SELECT * FROM token WHERE hash = $1").bind(hash).fetch_optional(connection).await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns all tokens.
pub async fn list(connection: &mut Connection) -> Result<Vec<Token>> {
    let rows = sqlx::query("SELECT * FROM token ORDER BY id").fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Takes a token away.
pub async fn delete(write: &mut Write, id: TokenId) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM token WHERE id = $1").bind(id.0).execute(&mut **write).await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::missing("token", id));
    }
    let message = format!("Token {id} was revoked.");
    event::record(write, NewEvent { noun: "token", verb: "revoked", message, ..NewEvent::default() }).await?;
    Ok(())
}

fn from_row(row: &AnyRow) -> Result<Token> {
    Ok(Token {
        id: TokenId(row.int("id")?),
        name: row.text("name")?,
        role: row.word("role", Role::from_name)?,
        created_at: row.time("created_at")?,
    })
}
