//! A part of a log as lines: its end, or what is around a line. Colours of terminals become classes; other escapes go.

use anima_store::LogReader;

use crate::error::ApiResult;

/// A page shows so much of a log at most; the rest is a click away.
const PART_BYTES: u64 = 256 * 1024;
/// A page shows so many lines at most, however short they are.
const MAX_LINES: usize = 5_000;
/// A line on a page has so many characters at most; the whole is in the text.
const MAX_LINE_CHARS: usize = 4_000;
/// A log is read in pieces of this size.
const READ_BYTES: usize = 1024 * 1024;
/// What stands before the line that somebody asks for.
const LEAD_LINES: u64 = 50;

/// Some lines of a log.
#[derive(Debug, Default)]
pub struct Part {
    /// The lines.
    pub lines: Vec<Line>,
    /// The offset behind the last of them.
    pub end: u64,
    /// The number of the line that begins there.
    pub next_number: u64,
    /// Whether there is something before them.
    pub has_earlier: bool,
    /// Whether there is something behind them.
    pub has_later: bool,
}

impl Part {
    /// Returns the number of the first line.
    pub fn first_number(&self) -> u64 {
        self.lines.first().map_or(self.next_number, |line| line.number)
    }

    /// Returns whether a line is among them.
    pub fn has(&self, number: u64) -> bool {
        (self.first_number()..self.next_number).contains(&number)
    }
}

/// A line.
#[derive(Debug, Eq, PartialEq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its text in pieces of one look.
    pub spans: Vec<Span>,
    /// Whether it says why the task failed.
    pub is_error: bool,
}

/// A piece of a line.
#[derive(Debug, Eq, PartialEq)]
pub struct Span {
    /// Classes such as `c1 b`; empty where it looks like the rest.
    pub class: String,
    /// What it says.
    pub text: String,
}

/// Returns the end of a log, or what is around line `around`. `is_over` says that nothing more comes; `errors` are the
/// lines that say why the task failed.
pub async fn part(reader: &LogReader, is_over: bool, around: Option<u64>, errors: &[u64]) -> ApiResult<Part> {
    let size = reader.size().await?;
    let (begin, number) = match around {
        Some(line) => find(reader, Until::Line(line.saturating_sub(LEAD_LINES).max(1)), size).await?,
        None => find(reader, Until::Offset(size.saturating_sub(PART_BYTES)), size).await?,
    };
    let end = size.min(begin + PART_BYTES);
    let mut bytes = Vec::new();
    while begin + (bytes.len() as u64) < end {
        let at = begin + bytes.len() as u64;
        let piece = reader.read(at, READ_BYTES.min((end - at) as usize)).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    // The beginning of a line that is not whole comes with the stream, or on the next page.
    let is_whole = is_over && begin + bytes.len() as u64 >= size;
    if !is_whole && let Some(last) = bytes.iter().rposition(|&byte| byte == b'\n') {
        bytes.truncate(last + 1);
    } else if !is_whole && (bytes.len() as u64) < PART_BYTES {
        bytes.clear();
    }
    let mut part = lines(&bytes, begin, number, around.is_some(), errors);
    part.has_later |= end < size;
    Ok(part)
}

/// Takes bytes apart that begin at an offset with the line of a number; what is too much goes at the end, or where the
/// end of the log is wanted, at the beginning.
fn lines(bytes: &[u8], begin: u64, number: u64, from_begin: bool, errors: &[u64]) -> Part {
    let mut raw: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let (mut number, mut end) = (number, begin + bytes.len() as u64);
    let mut has_earlier = begin > 0;
    let surplus = raw.len().saturating_sub(MAX_LINES);
    if from_begin {
        end -= raw.drain(raw.len() - surplus..).map(|line| line.len() as u64).sum::<u64>();
    } else if surplus > 0 {
        raw.drain(..surplus);
        number += surplus as u64;
        has_earlier = true;
    }
    let line = |(index, line): (usize, &&[u8])| {
        let number = number + index as u64;
        Line { number, spans: spans(&text(line)), is_error: errors.contains(&number) }
    };
    let lines: Vec<Line> = raw.iter().enumerate().map(line).collect();
    let next_number = number + lines.len() as u64;
    Part { lines, end, next_number, has_earlier, has_later: from_begin && surplus > 0 }
}

/// Returns a line as people see it, without looks.
pub fn plain_line(line: &[u8]) -> String {
    let text = text(line);
    if !text.contains(char::is_control) { text } else { spans(&text).into_iter().map(|span| span.text).collect() }
}

fn text(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    // Of what a terminal writes over itself, the last is what is seen.
    let text = text.rsplit('\r').next().unwrap_or(text);
    if text.chars().count() <= MAX_LINE_CHARS {
        return text.to_string();
    }
    text.chars().take(MAX_LINE_CHARS).chain(['…']).collect()
}

enum Until {
    /// The line with this number.
    Line(u64),
    /// The first line that begins here or later.
    Offset(u64),
}

/// Returns where a line begins, and its number. Where the log ends first, that is its end.
async fn find(reader: &LogReader, until: Until, size: u64) -> ApiResult<(u64, u64)> {
    if matches!(until, Until::Line(1) | Until::Offset(0)) {
        return Ok((0, 1));
    }
    let (mut at, mut number, mut line_begin) = (0, 1, (0, 1));
    while at < size {
        let piece = reader.read(at, READ_BYTES).await?;
        if piece.is_empty() {
            break;
        }
        for (index, _) in piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            number += 1;
            line_begin = (at + index as u64 + 1, number);
            let is_there = match until {
                Until::Line(wanted) => number >= wanted,
                Until::Offset(wanted) => line_begin.0 >= wanted,
            };
            if is_there {
                return Ok(line_begin);
            }
        }
        at += piece.len() as u64;
    }
    Ok(line_begin)
}

/// Takes a line apart by the escapes of terminals.
fn spans(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut look = Look::default();
    for (index, part) in text.split('\u{1b}').enumerate() {
        let rest = if index == 0 { part } else { look.read(part) };
        let shown: String = rest.chars().filter(|&c| c == '\t' || !c.is_control()).collect();
        if shown.is_empty() {
            continue;
        }
        let class = look.class();
        match spans.last_mut() {
            Some(last) if last.class == class => last.text += &shown,
            _ => spans.push(Span { class, text: shown }),
        }
    }
    spans
}

#[derive(Default)]
struct Look {
    colour: Option<u8>,
    is_bold: bool,
}

impl Look {
    /// Reads what follows an ESC, and returns what follows the escape.
    fn read<'a>(&mut self, text: &'a str) -> &'a str {
        let Some(sequence) = text.strip_prefix('[') else { return other_escape(text) };
        let Some(end) = sequence.find(|c: char| ('@'..='~').contains(&c)) else { return "" };
        if sequence[end..].starts_with('m') {
            let mut codes = sequence[..end].split(';').map(|code| code.parse().unwrap_or(0));
            while let Some(code) = codes.next() {
                self.apply(code, &mut codes);
            }
        }
        &sequence[end + 1..]
    }

    fn apply(&mut self, code: u32, rest: &mut impl Iterator<Item = u32>) {
        match code {
            0 => *self = Look::default(),
            1 => self.is_bold = true,
            22 => self.is_bold = false,
            30..=37 => self.colour = Some((code - 30) as u8),
            90..=97 => self.colour = Some((code - 90) as u8),
            39 => self.colour = None,
            // Of 256 colours and of all colours nothing is kept, but their numbers are no codes.
            38 | 48 => match rest.next() {
                Some(5) => drop(rest.next()),
                Some(2) => drop(rest.nth(2)),
                _ => {}
            },
            _ => {}
        }
    }

    fn class(&self) -> String {
        let mut class = self.colour.map_or_else(String::new, |colour| format!("c{colour}"));
        if self.is_bold {
            class += if class.is_empty() { "b" } else { " b" };
        }
        class
    }
}

/// An operating system command ends with BEL or ST (whose ESC was split off); others are one character.
fn other_escape(text: &str) -> &str {
    if text.starts_with(']') {
        return text.split_once('\u{7}').map_or("", |(_, rest)| rest);
    }
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, String)> {
        spans(text).into_iter().map(|span| (span.class, span.text)).collect()
    }

    #[test]
    fn colours_become_classes_and_other_escapes_go() {
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();

        assert_eq!(shown("plain\ttext"), of(&[("", "plain\ttext")]));
        assert_eq!(shown("a \u{1b}[1;31merror:\u{1b}[0m b"), of(&[("", "a "), ("c1 b", "error:"), ("", " b")]));
        assert_eq!(shown("\u{1b}[38;5;31mx\u{1b}[38;2;31;32;33my"), of(&[("", "xy")]));
        assert_eq!(shown("\u{1b}[2K\u{1b}]0;title\u{7}\u{1b}(x\u{8}"), of(&[("", "x")]));
        assert_eq!(shown("cut \u{1b}[3"), of(&[("", "cut ")]));
    }

    #[test]
    fn lines_are_numbered_and_bounded_from_the_side_that_is_asked_for() {
        let text = "x\n".repeat(MAX_LINES + 2);

        let end = lines(text.as_bytes(), 0, 1, false, &[5]);
        assert_eq!((end.first_number(), end.next_number, end.lines.len()), (3, MAX_LINES as u64 + 3, MAX_LINES));
        assert!(end.has_earlier && !end.has_later && end.lines[2].is_error && !end.has(2));

        let begin = lines(text.as_bytes(), 0, 1, true, &[]);
        assert_eq!((begin.first_number(), begin.next_number), (1, MAX_LINES as u64 + 1));
        assert_eq!(begin.end, 2 * MAX_LINES as u64);
        assert!(!begin.has_earlier && begin.has_later);
    }

    #[test]
    fn what_a_terminal_writes_over_itself_is_seen_last() {
        assert_eq!(text(b"10%\r50%\r100%\r\n"), "100%");
        assert_eq!(text("é".repeat(MAX_LINE_CHARS + 1).as_bytes()).chars().count(), MAX_LINE_CHARS + 1);
    }
}
