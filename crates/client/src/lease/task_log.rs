//! A task's log on its way to the master: written by the work, sent by [`super::log_flush`].

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anima_types::lease::{MAX_LOG_BYTES, MAX_LOG_PIECE_BYTES};
use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

/// What is kept in memory while the master cannot be reached: minutes of a talkative build.
pub const MAX_BUFFER_BYTES: usize = 16 * 1024 * 1024;
/// Room for our own last words.
const NOTICE_BYTES: u64 = 256;

/// Writes to a task's log. What is written is seen by people within a fraction of a second. Clones write to the same log.
///
/// [`TaskLog::write_bytes`] and [`std::io::Write`] never wait and never fail: what finds no room while the master is
/// away is left out, and the log says so. [`TaskLog::send`] waits for room instead.
#[derive(Clone, Debug)]
pub struct TaskLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    max_log_bytes: u64,
    max_buffer_bytes: usize,
    /// There is something to send, or nothing more will come.
    something: Notify,
    /// There is room again, or everything is sent.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Not yet taken by the sender.
    pending: BytesMut,
    /// Taken by the sender, and not yet accepted by the master.
    in_flight_bytes: usize,
    /// Everything that was ever taken in.
    total_bytes: u64,
    /// What found no room since the last notice.
    left_out_bytes: u64,
    is_full: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Open,
    /// Nothing more will be written; what is pending is still sent.
    Closing,
    /// Everything is sent, or nothing will be.
    Done,
}

/// What the sender does next.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Next {
    Send(Bytes),
    Done,
}

impl TaskLog {
    pub(super) fn new() -> TaskLog {
        TaskLog::bounded(MAX_LOG_BYTES, MAX_BUFFER_BYTES)
    }

    pub(super) fn bounded(max_log_bytes: u64, max_buffer_bytes: usize) -> TaskLog {
        let (state, something, room) = Default::default();
        TaskLog { shared: Arc::new(Shared { state, max_log_bytes, max_buffer_bytes, something, room }) }
    }

    /// Writes without waiting.
    pub fn write_bytes(&self, bytes: &[u8]) {
        let rest = self.push(bytes).len() as u64;
        if rest > 0 {
            self.state().left_out_bytes += rest;
        }
    }

    /// Writes one line without waiting.
    pub fn line(&self, text: impl std::fmt::Display) {
        self.write_bytes(format!("{text}\n").as_bytes());
    }

    /// Writes, and waits while there is no room.
    pub async fn send(&self, mut bytes: &[u8]) {
        loop {
            let mut room = std::pin::pin!(self.shared.room.notified());
            room.as_mut().enable();
            bytes = self.push(bytes);
            if bytes.is_empty() {
                return;
            }
            room.await;
        }
    }

    /// Says that nothing more will be written, and waits until all is sent, or the lease is lost.
    pub(super) async fn finish(&self) {
        {
            let mut state = self.state();
            if state.phase == Phase::Open {
                state.phase = Phase::Closing;
            }
        }
        self.shared.something.notify_one();
        loop {
            let mut room = std::pin::pin!(self.shared.room.notified());
            room.as_mut().enable();
            if self.state().phase == Phase::Done {
                return;
            }
            room.await;
        }
    }

    /// Throws away what is not sent, and all that comes.
    pub(super) fn discard(&self) {
        let mut state = self.state();
        state.phase = Phase::Done;
        state.pending.clear();
        state.in_flight_bytes = 0;
        drop(state);
        self.shared.room.notify_waiters();
        self.shared.something.notify_one();
    }

    /// Returns the next piece to send, which counts as in flight until [`TaskLog::accepted`].
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.shared.something.notified().await;
        }
    }

    pub(super) fn accepted(&self) {
        self.state().in_flight_bytes = 0;
        self.shared.room.notify_waiters();
    }

    /// Waits until more may come no longer.
    pub(super) async fn closing(&self) {
        while self.state().phase == Phase::Open {
            self.shared.something.notified().await;
        }
        // The next one who waits for something must not miss it.
        self.shared.something.notify_one();
    }

    fn try_next(&self) -> Option<Next> {
        let mut state = self.state();
        if state.phase == Phase::Done {
            return Some(Next::Done);
        }
        if state.pending.is_empty() && state.left_out_bytes > 0 {
            self.admit_what_is_left_out(&mut state);
        }
        let length = state.pending.len().min(MAX_LOG_PIECE_BYTES);
        if length > 0 {
            state.in_flight_bytes = length;
            return Some(Next::Send(state.pending.split_to(length).freeze()));
        }
        if state.phase == Phase::Closing {
            state.phase = Phase::Done;
            drop(state);
            self.shared.room.notify_waiters();
            return Some(Next::Done);
        }
        None
    }

    /// Takes what there is room for, and returns the rest.
    fn push<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let mut state = self.state();
        if state.phase == Phase::Done || state.is_full || bytes.is_empty() {
            return &[];
        }
        let room = self.shared.max_buffer_bytes.saturating_sub(state.pending.len() + state.in_flight_bytes);
        if room > 0 && state.left_out_bytes > 0 {
            self.admit_what_is_left_out(&mut state);
        }
        let (taken, rest) = bytes.split_at(room.min(bytes.len()));
        let allowed = (self.shared.max_log_bytes.saturating_sub(NOTICE_BYTES)).saturating_sub(state.total_bytes);
        let rest = if (taken.len() as u64) <= allowed {
            state.add(taken);
            rest
        } else {
            state.add(&taken[..allowed as usize]);
            let notice =
                format!("\n[anima: the log has reached {} bytes; the rest is left out]\n", self.shared.max_log_bytes);
            state.add(notice.as_bytes());
            state.is_full = true;
            &[]
        };
        drop(state);
        self.shared.something.notify_one();
        rest
    }

    fn admit_what_is_left_out(&self, state: &mut State) {
        let count = std::mem::take(&mut state.left_out_bytes);
        state.add(
            format!("\n[anima: {count} bytes of the log were left out while the master could not be reached]\n")
                .as_bytes(),
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment or append: a panic leaves nothing half done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.total_bytes += bytes.len() as u64;
    }
}

impl io::Write for TaskLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for &TaskLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn piece(log: &TaskLog) -> String {
        match log.next().await {
            Next::Send(piece) => String::from_utf8(piece.to_vec()).unwrap(),
            Next::Done => "done".to_string(),
        }
    }

    #[tokio::test]
    async fn what_is_written_together_is_sent_together() {
        let log = TaskLog::new();
        log.line("one");
        log.line("two");

        assert_eq!(piece(&log).await, "one\ntwo\n");
    }

    #[tokio::test]
    async fn a_log_that_finds_no_room_says_what_is_missing() {
        let log = TaskLog::bounded(10_000, 10);
        log.write_bytes(b"0123456789abc");
        assert_eq!(piece(&log).await, "0123456789");
        log.write_bytes(b"def");

        log.accepted();

        log.write_bytes(b"ghi");
        assert_eq!(
            piece(&log).await,
            "\n[anima: 6 bytes of the log were left out while the master could not be reached]\nghi"
        );
    }

    #[tokio::test]
    async fn a_log_that_is_too_long_ends_with_a_sentence() {
        let log = TaskLog::bounded(NOTICE_BYTES + 4, 1000);
        log.write_bytes(b"0123456789");
        log.write_bytes(b"more");

        assert_eq!(piece(&log).await, "0123\n[anima: the log has reached 260 bytes; the rest is left out]\n");
    }

    #[tokio::test]
    async fn a_patient_writer_waits_for_room_and_loses_nothing() {
        let log = TaskLog::bounded(10_000, 4);
        let writer = tokio::spawn({
            let log = log.clone();
            async move {
                log.send(b"0123456789").await;
                log.finish().await;
            }
        });

        let mut all = String::new();
        loop {
            match log.next().await {
                Next::Send(piece) => all += std::str::from_utf8(&piece).unwrap(),
                Next::Done => break,
            }
            log.accepted();
        }

        writer.await.unwrap();
        assert_eq!(all, "0123456789");
    }

    #[tokio::test]
    async fn a_discarded_log_holds_nobody_up() {
        let log = TaskLog::bounded(10_000, 4);
        let writer = tokio::spawn({
            let log = log.clone();
            async move {
                log.send(b"0123456789").await;
                log.finish().await;
            }
        });
        assert_eq!(piece(&log).await, "0123");

        log.discard();

        writer.await.unwrap();
        assert_eq!(piece(&log).await, "done");
    }
}
