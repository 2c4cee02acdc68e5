//! Sends a task's log in small pieces, each at its byte offset, so that a piece that is sent twice changes nothing.

use std::time::Duration;

use anima_types::task_log::LogName;
use bytes::Bytes;
use tokio::time::Instant;

use super::{
    call::{Holder, is_gap, is_lost},
    cancel::Cancel,
    task_log::{Next, TaskLog},
};
use crate::{error::Error, retry::Backoff};

/// Lines that come within this time go together, unless they are a whole piece before: it keeps a page live, and the master from a
/// request for each line.
const BATCH: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// One of the task's logs at the master.
struct To {
    holder: Holder,
    name: LogName,
}

/// What the master did with a piece.
enum Sent {
    Accepted,
    /// The master's log is shorter than it was.
    Gap,
    /// Nothing more can be sent.
    Never,
}

/// Sends until the log is finished, or the lease is lost.
pub(super) async fn flush(log: TaskLog, name: LogName, holder: Holder, cancel: Cancel) {
    let to = To { holder, name };
    tokio::select! {
        () = send_all(&log, &to, &cancel) => (),
        () = cancel.cancelled() => (),
    }
    log.discard();
}

async fn send_all(log: &TaskLog, to: &To, cancel: &Cancel) {
    let mut offset = 0;
    while let Next::Send(mut piece) = log.next().await {
        let began_at = Instant::now();
        loop {
            match send(to, cancel, offset, &piece).await {
                Sent::Accepted => break,
                Sent::Gap => (offset, piece) = go_on_after_gap(to, offset, piece).await,
                Sent::Never => return,
            }
        }
        offset += piece.len() as u64;
        log.accepted();
        tokio::select! {
            () = tokio::time::sleep_until(began_at + BATCH) => (),
            () = log.pressing() => (),
        }
    }
}

/// Sends one piece for as long as it takes.
async fn send(To { holder, name }: &To, cancel: &Cancel, offset: u64, piece: &Bytes) -> Sent {
    let mut backoff = Backoff::up_to(LONGEST_WAIT);
    loop {
        match holder.append_log(*name, offset, piece.clone()).await {
            Ok(_) => return Sent::Accepted,
            Err(error) if is_lost(&error) => {
                cancel.trigger();
                return Sent::Never;
            }
            Err(error) if is_gap(&error) => return Sent::Gap,
            Err(error) if is_refused(&error) => {
                tracing::warn!(task = holder.task.0, %error, "the rest of the log of task {} is not sent", holder.task);
                return Sent::Never;
            }
            Err(_) => tokio::time::sleep(backoff.next()).await,
        }
    }
}

/// The master lost the end of its log, in a power cut or with its disk: says so there, and goes on.
async fn go_on_after_gap(To { holder, name }: &To, offset: u64, piece: Bytes) -> (u64, Bytes) {
    // An empty piece is accepted anywhere, and its answer tells the size.
    let mut backoff = Backoff::up_to(LONGEST_WAIT);
    let size_bytes = loop {
        match holder.append_log(*name, 0, Bytes::new()).await {
            Ok(size) => break size.size_bytes,
            Err(_) => tokio::time::sleep(backoff.next()).await,
        }
    };
    let lost = offset.saturating_sub(size_bytes);
    let mut with_notice = format!("\n[anima: {lost} bytes of the log were lost by the master]\n").into_bytes();
    with_notice.extend_from_slice(&piece);
    (size_bytes, with_notice.into())
}

fn is_refused(error: &Error) -> bool {
    !error.is_temporary()
}
