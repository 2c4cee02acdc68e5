//! A task's log as the work sees it: lines of our own and the output of commands, in one order, with numbered lines.
//!
//! Where the bytes go is the caller's affair; who else wants to read them line by line says so with [`Journal::watch`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

/// Of a longer line only so much is shown to watchers: what they look for stands at the beginning.
const MAX_WATCHED_LINE_BYTES: usize = 4096;

/// What is there already is written in pieces of this size, as room comes.
const PIECE_BYTES: usize = 64 * 1024;

/// A copy writes to the same log.
#[derive(Clone)]
pub struct Journal {
    state: Arc<Mutex<State>>,
    room: Option<Room>,
}

/// Waits until the sink has room for so many bytes.
type Room = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;
type Sink = Box<dyn FnMut(&[u8]) + Send>;
type Watcher = Box<dyn FnMut(u64, &str) + Send>;

struct State {
    sink: Sink,
    watcher: Option<Watcher>,
    byte_count: u64,
    /// How many lines are ended.
    line_count: u64,
    /// The beginning of the line that is not ended.
    line: Vec<u8>,
    /// Whether anything was written since the last line ended.
    is_mid_line: bool,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("line_count", &self.line_count()).finish()
    }
}

impl Journal {
    /// Makes a journal whose bytes go to `sink`.
    pub fn new(sink: impl FnMut(&[u8]) + Send + 'static) -> Journal {
        let (line, sink) = (Vec::new(), Box::new(sink));
        let state = State { sink, watcher: None, byte_count: 0, line_count: 0, line, is_mid_line: false };
        Journal { state: Arc::new(Mutex::new(state)), room: None }
    }

    /// Says how to wait for a sink that has no room for the output of commands. Our own lines never wait.
    pub fn with_room(self, room: impl Fn(usize) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Journal {
        Journal { room: Some(Arc::new(room)), ..self }
    }

    /// Makes a journal that nobody reads.
    pub fn nowhere() -> Journal {
        Journal::new(|_| {})
    }

    /// Shows every line from now on to `watcher`, with its number from 1 and without its end. There is one watcher.
    pub fn watch(&self, watcher: impl FnMut(u64, &str) + Send + 'static) {
        self.state().watcher = Some(Box::new(watcher));
    }

    /// Writes lines of our own; a line that a command left unfinished is ended before.
    pub fn say(&self, text: impl AsRef<str>) {
        let mut state = self.state();
        if state.is_mid_line {
            state.write(b"\n");
        }
        state.write(text.as_ref().trim_end_matches('\n').as_bytes());
        state.write(b"\n");
    }

    /// Writes output as it comes.
    pub fn write(&self, bytes: &[u8]) {
        self.state().write(bytes);
    }

    /// Writes output that is there already, as there is room for it.
    pub async fn pour(&self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.room(piece.len()).await;
            self.write(piece);
        }
    }

    /// Waits until there is room for so much output: who writes before may lose some of it.
    pub async fn room(&self, byte_count: usize) {
        if let Some(room) = &self.room {
            room(byte_count).await;
        }
    }

    /// Returns how many lines there are.
    pub fn line_count(&self) -> u64 {
        let state = self.state();
        state.line_count + u64::from(state.is_mid_line)
    }

    /// Returns how long it is.
    pub fn byte_count(&self) -> u64 {
        self.state().byte_count
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::io::Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Journal::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl State {
    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        (self.sink)(bytes);
        self.byte_count += bytes.len() as u64;
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.keep(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.keep(rest);
        self.is_mid_line = bytes.last() != Some(&b'\n');
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_WATCHED_LINE_BYTES.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
    }

    fn end_line(&mut self) {
        self.line_count += 1;
        if let Some(watcher) = &mut self.watcher {
            watcher(self.line_count, String::from_utf8_lossy(&self.line).trim_end_matches('\r'));
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = Arc<Mutex<Vec<(u64, String)>>>;

    fn journal() -> (Journal, Arc<Mutex<Vec<u8>>>, Lines) {
        let (bytes, lines) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (sink, watched) = (bytes.clone(), lines.clone());
        let journal = Journal::new(move |piece| sink.lock().unwrap().extend_from_slice(piece));
        journal.watch(move |number, line| watched.lock().unwrap().push((number, line.to_owned())));
        (journal, bytes, lines)
    }

    #[test]
    fn lines_are_numbered_however_they_come_in_pieces() {
        let (journal, bytes, lines) = journal();

        for piece in ["a", "b\n\nc", "\r\n", "rest"] {
            journal.write(piece.as_bytes());
        }

        assert_eq!(bytes.lock().unwrap().as_slice(), b"ab\n\nc\r\nrest");
        assert_eq!(*lines.lock().unwrap(), [(1, "ab".into()), (2, "".into()), (3, "c".into())]);
        assert_eq!((journal.line_count(), journal.byte_count()), (4, 11));
    }

    #[test]
    fn our_own_line_never_hangs_on_a_commands_unfinished_one() {
        let (journal, bytes, _) = journal();

        journal.write(b"95 %");
        journal.say("two\nlines\n");

        assert_eq!(bytes.lock().unwrap().as_slice(), b"95 %\ntwo\nlines\n");
        assert_eq!(journal.line_count(), 3);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let (journal, bytes, lines) = journal();

        for _ in 0..10 {
            journal.write(&[b'x'; 3000]);
        }
        journal.write(b"\n");

        assert_eq!(bytes.lock().unwrap().len(), 30_001);
        assert_eq!(lines.lock().unwrap()[0].1.len(), MAX_WATCHED_LINE_BYTES);
    }
}
