//! Requests that are done once, known by the hash of their key.

use anima_types::Timestamp;

use crate::{Error, Result, Write, row::Columns};

/// What is known of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// The hash of what was asked.
    pub request: String,
    /// What was answered: the status, and the sealed answer; none while it is being done.
    pub answer: Option<(u16, String)>,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// Writes that a request is being done; returns what is known where its key was used before.
pub async fn begin(write: &mut Write, hash: &str, request: &str) -> Result<Option<Known>> {
    let begun = sqlx::query(
        "INSERT INTO idempotency (hash, request, begun_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(hash)
    .bind(request)
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    if begun.rows_affected() > 0 {
        return Ok(None);
    }
    let query = sqlx::query("SELECT * FROM idempotency WHERE hash = $1").bind(hash).fetch_optional(&mut **write);
    let row = query.await?.ok_or_else(|| Error::missing("request", "with that key"))?;
    let status = row.maybe_int("status")?.and_then(|status| u16::try_from(status).ok());
    let answer = status.zip(row.maybe_text("answer")?);
    Ok(Some(Known { request: row.text("request")?, answer, begun_at: row.time("begun_at")? }))
}

/// Writes what was answered.
pub async fn end(write: &mut Write, hash: &str, status: u16, answer: &str) -> Result<()> {
    sqlx::query("UPDATE idempotency SET status = $2, answer = $3 WHERE hash = $1")
        .bind(hash)
        .bind(i64::from(status))
        .bind(answer)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Forgets a request that was not done.
pub async fn forget(write: &mut Write, hash: &str) -> Result<()> {
    sqlx::query("DELETE FROM idempotency WHERE hash = $1").bind(hash).execute(&mut **write).await?;
    Ok(())
}

/// Forgets those that were begun before a moment; returns how many.
pub async fn drop_old(write: &mut Write, before: Timestamp) -> Result<u64> {
    // Index: idempotency_begun.
    let deleted =
        sqlx::query("DELETE FROM idempotency WHERE begun_at < $1").bind(before.0).execute(&mut **write).await?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn a_key_is_begun_once_and_keeps_its_answer_until_it_is_forgotten() {
        let scratch = Scratch::new().await;
        let mut write = scratch.write_at(1).await;
        assert_eq!(begin(&mut write, "k", "r").await.unwrap(), None);
        let at = write.now;
        let mut known = Known { request: "r".into(), answer: None, begun_at: at };
        assert_eq!(begin(&mut write, "k", "other").await.unwrap(), Some(known.clone()));

        end(&mut write, "k", 201, "sealed").await.unwrap();

        known.answer = Some((201, "sealed".into()));
        assert_eq!(begin(&mut write, "k", "r").await.unwrap(), Some(known));
        assert_eq!(drop_old(&mut write, at).await.unwrap(), 0);
        assert_eq!(drop_old(&mut write, at.plus_secs(1)).await.unwrap(), 1);
        assert_eq!(begin(&mut write, "k", "r").await.unwrap(), None);
        forget(&mut write, "k").await.unwrap();
        assert_eq!(begin(&mut write, "k", "r").await.unwrap(), None);
    }
}
