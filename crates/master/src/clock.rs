//! Whether this master's clock can be gone by. Several masters write leases and times of releases into one database and read each
//! other's: they go by the database's clock, and one whose own is another takes nothing back, gives nothing out to users and deletes
//! nothing until it is set. A master that is alone has only its own clock; what a jump of it means for leases is
//! [`crate::lease::expire_after`]'s.

use std::sync::atomic::{AtomicI64, Ordering};

use anima_types::Timestamp;

use crate::{app::App, error::ApiResult};

/// Clocks of machines that ask a time server differ by less; leases are longer.
pub const MAX_SKEW_SECS: f64 = 5.0;

/// By how many microseconds the database's clock was ahead of this master's when it was last looked at; 0 while they agree.
#[derive(Debug, Default)]
pub struct Skew(AtomicI64);

impl Skew {
    /// Returns it.
    pub fn micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns by how many seconds the database's clock is ahead of this master's, where it is a server; 0 where they agree as well as the
/// time that the question took can tell.
pub async fn ahead_secs(app: &App) -> ApiResult<f64> {
    if !app.db.is_shared() {
        return Ok(0.0);
    }
    let mut read = app.db.read().await?;
    let before = app.now();
    let theirs = anima_db::event::clock(&mut read, true).await?.database;
    let after = app.now();
    Ok(theirs.map_or(0.0, |theirs| ahead((before, after), theirs)))
}

fn ahead((before, after): (Timestamp, Timestamp), theirs: Timestamp) -> f64 {
    theirs.secs_since(after).max(0.0) + theirs.secs_since(before).min(0.0)
}

/// Says it in words; nothing where the clocks agree.
pub fn in_words(ahead_secs: f64) -> Option<String> {
    if ahead_secs.abs() <= MAX_SKEW_SECS {
        return None;
    }
    let which = if ahead_secs > 0.0 { "ahead of" } else { "behind" };
    Some(format!(
        "the database's clock is {:.0} s {which} this machine's: this master takes no task back, gives no scheduled release to \
         users, ends no key and deletes nothing until they agree",
        ahead_secs.abs()
    ))
}

/// Looks at the clocks; returns whether this master may go by its own. That they disagree, and that they agree again, is logged once.
pub async fn is_right_once(app: &App) -> ApiResult<bool> {
    let ahead_secs = ahead_secs(app).await?;
    let wrong = in_words(ahead_secs);
    let micros = if wrong.is_some() { (ahead_secs * 1e6) as i64 } else { 0 };
    let was_wrong = app.skew.0.swap(micros, Ordering::Relaxed) != 0;
    match &wrong {
        Some(message) if !was_wrong => tracing::error!(skew_secs = ahead_secs, "{message}"),
        None if was_wrong => tracing::info!("this machine's clock agrees with the database's again"),
        _ => {}
    }
    Ok(wrong.is_none())
}

/// Carries out a pass that goes by the time, unless this master's clock is wrong; returns what it did.
pub async fn by_the_clock<T>(app: &App, pass: impl Future<Output = ApiResult<T>>) -> ApiResult<Option<T>> {
    match is_right_once(app).await? {
        true => Ok(Some(pass.await?)),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_by_what_the_time_of_the_question_does_not_explain() {
        let at = |secs| Timestamp(0).plus_secs(secs);

        assert_eq!(ahead((at(100), at(110)), at(105)), 0.0);
        assert_eq!(ahead((at(100), at(110)), at(130)), 20.0);
        assert_eq!(ahead((at(100), at(110)), at(40)), -60.0);
        assert_eq!(in_words(4.0), None);
        assert!(in_words(-60.0).unwrap().starts_with("the database's clock is 60 s behind this machine's"));
    }
}
