//! When to try again, and how long to wait before.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::error::Error;

const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Waits that double, up to a bound.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn up_to(longest: Duration) -> Backoff {
        Backoff { next: FIRST_WAIT.min(longest), longest }
    }

    pub(crate) fn reset(&mut self) {
        self.next = FIRST_WAIT.min(self.longest);
    }

    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait
    }
}

/// Repeats a call while its errors are worth it and the patience lasts.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    patience: Duration,
    longest_wait: Duration,
    is_worth_it: impl Fn(&Error) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, Error> {
    let (until, mut backoff) = (Instant::now() + patience, Backoff::up_to(longest_wait));
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let wait = backoff.next();
        if !is_worth_it(&error) || Instant::now() + wait > until {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
    }
}
