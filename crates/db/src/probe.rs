//! Whether the database takes what is written: a disk that is full, or was made read-only, still answers whoever reads.

use crate::{Result, Write};

/// Writes the moment; only the commit says whether that is taken.
pub async fn write(write: &mut Write) -> Result<()> {
    sqlx::query(
        "INSERT INTO probe (id, written_at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at",
    )
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}
