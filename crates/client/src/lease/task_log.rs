//! A task's log on its way to the master: written by the work, sent by [`super::log_flush`].

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anima_types::lease::{MAX_LOG_BYTES, MAX_LOG_PIECE_BYTES};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::{sync::Notify, time::Instant};

/// What is kept in memory while the master cannot be reached: minutes of a talkative build.
pub const MAX_BUFFER_BYTES: usize = 16 * 1024 * 1024;
/// This part of the buffer is for our own lines, which wait for nobody.
const OWN_PART: usize = 16;
/// So long a command is held up by a master that takes nothing of its log: a restart is shorter. Then it goes on as long as its
/// lease does, and what finds no room is left out.
pub const LOG_PATIENCE: Duration = Duration::from_secs(60);
/// Room for our own last words.
const NOTICE_BYTES: u64 = 256;

/// Writes to a task's log. What is written is seen by people within a fraction of a second. Clones write to the same log.
///
/// [`TaskLog::write_bytes`] and [`std::io::Write`] never wait and never fail: what finds no room is left out, and the log says so.
/// Who writes much, such as a command that is faster than the way to the master, waits for [`TaskLog::room`] before.
#[derive(Clone, Debug)]
pub struct TaskLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    max_log_bytes: u64,
    max_buffer_bytes: usize,
    patience: Duration,
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
    /// When something began to wait, or the master took something of what waits.
    moved_at: Option<Instant>,
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
        TaskLog::patient(max_log_bytes, max_buffer_bytes, LOG_PATIENCE)
    }

    fn patient(max_log_bytes: u64, max_buffer_bytes: usize, patience: Duration) -> TaskLog {
        let (state, something, room) = Default::default();
        TaskLog { shared: Arc::new(Shared { state, max_log_bytes, max_buffer_bytes, patience, something, room }) }
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

    /// Waits until there is room for so many bytes, while the master takes what is written: [`LOG_PATIENCE`].
    pub fn room(&self, byte_count: usize) -> BoxFuture<'static, ()> {
        let log = self.clone();
        Box::pin(async move {
            loop {
                let mut room = std::pin::pin!(log.shared.room.notified());
                room.as_mut().enable();
                let Some(until) = log.held_up_until(byte_count) else { return };
                // What has moved meanwhile is looked at by the next turn.
                let _ = tokio::time::timeout_at(until, room).await;
            }
        })
    }

    /// Returns until when to wait for room at most; nothing where there is no reason to.
    fn held_up_until(&self, byte_count: usize) -> Option<Instant> {
        let state = self.state();
        let (waiting, whole) = (state.pending.len() + state.in_flight_bytes, self.shared.max_buffer_bytes);
        let has_room = waiting == 0 || waiting + byte_count <= whole - whole / OWN_PART;
        if has_room || state.is_full || state.phase == Phase::Done {
            return None;
        }
        state.moved_at.map(|at| at + self.shared.patience).filter(|until| Instant::now() < *until)
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
        let mut state = self.state();
        (state.in_flight_bytes, state.moved_at) = (0, Some(Instant::now()));
        drop(state);
        self.shared.room.notify_waiters();
    }

    /// Waits until nothing is gained by waiting for more: a whole piece is there, or nothing more will come.
    pub(super) async fn pressing(&self) {
        while !self.is_pressing() {
            self.shared.something.notified().await;
        }
        // The next one who waits for something must not miss it.
        self.shared.something.notify_one();
    }

    fn is_pressing(&self) -> bool {
        let state = self.state();
        state.phase != Phase::Open || state.pending.len() >= MAX_LOG_PIECE_BYTES
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
        if state.pending.is_empty() && state.in_flight_bytes == 0 {
            state.moved_at = Some(Instant::now());
        }
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

    /// Takes one piece after the other, each only when whoever writes has done what he can; returns all of them.
    async fn received(log: &TaskLog) -> Vec<u8> {
        let mut all = Vec::new();
        while let Next::Send(piece) = log.next().await {
            tokio::task::yield_now().await;
            all.extend_from_slice(&piece);
            log.accepted();
        }
        all
    }

    /// Writes as a command does whose output is read in pieces.
    fn talk(log: &TaskLog, bytes: Vec<u8>) -> tokio::task::JoinHandle<()> {
        let log = log.clone();
        tokio::spawn(async move {
            for piece in bytes.chunks(64 * 1024) {
                log.room(piece.len()).await;
                log.write_bytes(piece);
            }
            log.finish().await;
        })
    }

    #[tokio::test]
    async fn a_command_that_is_faster_than_the_way_to_the_master_loses_nothing_and_our_own_words_find_room() {
        let log = TaskLog::new();
        let bytes: Vec<u8> = (0..60 * 1024 * 1024_u32).map(|number| (number % 251) as u8).collect();
        let writer = talk(&log, bytes.clone());
        tokio::task::yield_now().await;
        assert!(log.state().pending.len() > MAX_BUFFER_BYTES / 2);

        let own_words = vec![b'o'; MAX_BUFFER_BYTES / OWN_PART];
        log.write_bytes(&own_words);
        let mut all = received(&log).await;

        writer.await.unwrap();
        let own_at = all.windows(8).position(|window| window == b"oooooooo").unwrap();
        let own: Vec<u8> = all.drain(own_at..own_at + own_words.len()).collect();
        assert!(own == own_words && all == bytes, "{} of {} bytes came", all.len(), bytes.len());
    }

    #[tokio::test]
    async fn a_master_that_takes_nothing_holds_a_command_up_for_a_time_only() {
        let patience = Duration::from_millis(20);
        let log = TaskLog::patient(1 << 30, 1 << 20, patience);
        let began_at = Instant::now();
        let writer = talk(&log, vec![b'x'; 4 << 20]);
        let Next::Send(first) = log.next().await else { panic!("nothing was written") };

        // Longer than the patience: the writer is not held up any more.
        log.room(1 << 20).await;
        assert!(began_at.elapsed() >= patience);
        while log.state().phase == Phase::Open {
            tokio::task::yield_now().await;
        }
        log.accepted();

        let rest = received(&log).await;
        writer.await.unwrap();
        let said = String::from_utf8([first.to_vec(), rest].concat()).unwrap();
        assert!(said.contains("were left out while the master could not be reached"), "{} bytes came", said.len());
        assert!(said.len() < 2 << 20);
    }

    #[tokio::test]
    async fn a_whole_piece_waits_for_nothing_and_less_for_more() {
        let log = TaskLog::new();
        log.write_bytes(&vec![b'x'; MAX_LOG_PIECE_BYTES - 1]);
        assert!(!log.is_pressing());

        log.write_bytes(b"x");

        log.pressing().await;
        assert_eq!(piece(&log).await.len(), MAX_LOG_PIECE_BYTES);
        assert!(!log.is_pressing());
    }

    #[tokio::test]
    async fn a_discarded_log_holds_nobody_up() {
        let log = TaskLog::bounded(10_000, 4);
        let writer = talk(&log, b"0123456789".to_vec());
        assert_eq!(piece(&log).await, "0123");
        let waiting = tokio::spawn(log.room(10));

        log.discard();

        writer.await.unwrap();
        waiting.await.unwrap();
        assert_eq!(piece(&log).await, "done");
    }
}
