//! Looking for a text in a whole log, however long it is, within bounds: so many lines an answer, so many searches at once.

use anima_store::{LOG_READ_BYTES, LogReader};
use anima_types::{
    id::TaskId,
    task_log::{LogFound, LogMatch, LogName, MAX_MATCHES, MAX_SEARCH_CHARS},
};
use axum::extract::State;
use bytes::Bytes;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path, Query},
    log::{WhichLog, task_row},
    page::plain_line,
};

/// A search of a log of the largest size takes a second of a core: more at once would be felt by everybody else.
static AT_ONCE: Semaphore = Semaphore::const_new(2);
/// Of a longer line only the beginning is looked at.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// An expression that would be larger in memory is refused.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// What is asked.
#[derive(Debug, Deserialize)]
pub struct SearchQuery {
    q: String,
    /// Whether `q` is a regular expression, and not a text.
    #[serde(default)]
    regex: bool,
    #[serde(default, deserialize_with = "anima_types::natural::deserialize")]
    from_line: u64,
    #[serde(default)]
    name: LogName,
    attempt: Option<i64>,
}

/// `GET /api/v1/tasks/{task}/log/search`
pub async fn search(
    State(app): State<App>,
    Path(task): Path<TaskId>,
    Query(query): Query<SearchQuery>,
    caller: Caller,
) -> ApiResult<Json<LogFound>> {
    app.limits.dear(&caller)?;
    let task = task_row(&app, task).await?;
    let which: WhichLog = WhichLog::new(query.name, query.attempt);
    let wanted = wanted(&query.q, query.regex)?;
    Ok(Json(find(which.open(&app, &task).await?, wanted, query.from_line).await?))
}

/// Returns what is looked for; capitals are like small letters.
pub fn wanted(text: &str, is_regex: bool) -> ApiResult<Regex> {
    if text.is_empty() || text.chars().count() > MAX_SEARCH_CHARS {
        let message = format!("what is searched for has 1 to {MAX_SEARCH_CHARS} characters");
        return Err(ApiError::unprocessable("bad_search", message));
    }
    let pattern = if is_regex { text.to_string() } else { regex::escape(text) };
    let mut builder = RegexBuilder::new(&pattern);
    let regex = builder.case_insensitive(true).size_limit(MAX_REGEX_BYTES).build();
    regex.map_err(|error| ApiError::unprocessable("bad_search", format!("the expression cannot be read: {error}")))
}

/// Returns the lines of a log from `from_line` on that have it.
pub async fn find(reader: LogReader, wanted: Regex, from_line: u64) -> ApiResult<LogFound> {
    let _permit = AT_ONCE.acquire().await;
    let mut scan = Scan::new(wanted, from_line);
    let mut at = 0;
    loop {
        let piece = reader.read(at, LOG_READ_BYTES).await?;
        at += piece.len() as u64;
        let is_end = piece.is_empty();
        let looking = tokio::task::spawn_blocking(move || {
            scan.see(&piece, is_end);
            scan
        });
        scan = looking.await.map_err(ApiError::internal)?;
        if is_end || scan.found.next_line.is_some() {
            return Ok(scan.found);
        }
    }
}

/// A search on its way through a log.
struct Scan {
    wanted: Regex,
    from_line: u64,
    found: LogFound,
    /// The number of the line that begins at `offset`, and what was read of it.
    number: u64,
    offset: u64,
    line: Vec<u8>,
    line_length: u64,
}

impl Scan {
    fn new(wanted: Regex, from_line: u64) -> Scan {
        let (found, line) = (LogFound::default(), Vec::new());
        Scan { wanted, from_line, found, number: 1, offset: 0, line, line_length: 0 }
    }

    fn see(&mut self, piece: &Bytes, is_end: bool) {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len()).min(part.len());
            self.line.extend_from_slice(&part[..room]);
            self.line_length += part.len() as u64;
            if part.ends_with(b"\n") {
                self.end_line();
            }
            if self.found.next_line.is_some() {
                return;
            }
        }
        if is_end && self.line_length > 0 {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if self.number >= self.from_line {
            let text = plain_line(&self.line);
            if self.wanted.is_match(&text) {
                self.note(text);
            }
        }
        self.number += 1;
        self.offset += self.line_length;
        self.line_length = 0;
        self.line.clear();
    }

    fn note(&mut self, text: String) {
        if self.found.matches.len() == MAX_MATCHES {
            self.found.next_line = Some(self.number);
            return;
        }
        const MAX_SHOWN_CHARS: usize = 300;
        let text = match text.char_indices().nth(MAX_SHOWN_CHARS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        };
        self.found.matches.push(LogMatch { line: self.number, offset: self.offset, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(log: &str, wanted: Regex, from_line: u64, piece: usize) -> LogFound {
        let mut scan = Scan::new(wanted, from_line);
        for piece in log.as_bytes().chunks(piece) {
            scan.see(&Bytes::copy_from_slice(piece), false);
        }
        scan.see(&Bytes::new(), true);
        scan.found
    }

    #[test]
    fn lines_are_found_with_their_numbers_and_places_however_the_log_comes_in_pieces() {
        let log = "one\nTwo error\n10%\r\u{1b}[31mthree ERR\u{1b}[0mOR\nfour error";

        for piece in [1, 3, 7, 1000] {
            let found = found(log, wanted("error", false).unwrap(), 0, piece);
            let lines: Vec<_> = found.matches.iter().map(|one| (one.line, one.offset, one.text.as_str())).collect();
            assert_eq!(lines, [(2, 4, "Two error"), (3, 14, "three ERROR"), (4, 39, "four error")], "{piece}");
        }
        assert_eq!(found(log, wanted("^(one|four)", true).unwrap(), 2, 5).matches[0].line, 4);
    }

    #[test]
    fn an_answer_is_bounded_and_says_where_to_go_on() {
        let log = "x\n".repeat(MAX_MATCHES + 5);

        let first = found(&log, wanted("x", false).unwrap(), 0, 100);
        let next = found(&log, wanted("x", false).unwrap(), first.next_line.unwrap(), 100);

        assert_eq!((first.matches.len(), first.next_line), (MAX_MATCHES, Some(MAX_MATCHES as u64 + 1)));
        assert_eq!((next.matches.len(), next.next_line), (5, None));
    }

    #[test]
    fn what_cannot_be_searched_for_is_refused() {
        assert!(wanted("", false).is_err() && wanted("(", true).is_err() && wanted("(", false).is_ok());
        assert!(wanted(&"x".repeat(MAX_SEARCH_CHARS + 1), false).is_err());
        assert!(wanted("(a{1000}){1000}", true).is_err());
    }
}
