//! What commands print: tables for people, readable without colour, or JSON for programs.

use std::io::{self, Write};

use anima_types::Timestamp;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Result;

/// The two forms of output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    Text,
    Json,
}

impl Output {
    pub fn new(json: bool) -> Output {
        if json { Output::Json } else { Output::Text }
    }

    /// Prints a thing: as JSON, or as the text that `text` makes of it.
    pub fn show<T: Serialize>(self, thing: &T, text: impl FnOnce(&T) -> String) -> Result {
        match self {
            Output::Json => line(&to_json(thing)),
            Output::Text => line(&text(thing)),
        }
    }

    /// Prints one thing of a stream as JSON in one line.
    pub fn json_line(self, thing: &impl Serialize) -> Result {
        line(&serde_json::to_string(thing).expect("our own types are always JSON"))
    }

    /// Prints a list: as JSON, or as a table with a line for each.
    pub fn list<T: Serialize, const N: usize>(
        self,
        things: &[T],
        header: [&str; N],
        row: impl Fn(&T) -> [String; N],
        none: &str,
    ) -> Result {
        match self {
            Output::Json => line(&to_json(&things)),
            Output::Text if things.is_empty() => line(none),
            Output::Text => line(&table(header, things.iter().map(row))),
        }
    }
}

fn to_json(thing: &impl Serialize) -> String {
    serde_json::to_string_pretty(thing).expect("our own types are always JSON")
}

/// Returns a table without borders, whose first column is the thing's name.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.map(str::to_uppercase));
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}

/// Returns names and values, one a line, the values below one another.
pub fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}").trim_end().to_string();
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Prints a line. A reader that has gone away, such as `head`, ends the program in peace.
pub fn line(text: &str) -> Result {
    raw(&format!("{text}\n"))
}

/// Tells a person something beside the answer, on the standard error.
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// Prints a text as it is.
pub fn raw(text: &str) -> Result {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(anyhow::Error::new(error).context("could not write to standard output").into()),
        Ok(()) => Ok(()),
    }
}

/// Returns a moment to the second.
pub fn moment(at: Timestamp) -> String {
    match jiff::Timestamp::from_second(at.epoch_secs()) {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => at.to_string(),
    }
}

/// Returns a span of time as people say it: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
pub fn span(secs: f64) -> String {
    let whole = secs.max(0.0).round() as u64;
    match whole {
        _ if secs < 9.95 => format!("{:.1} s", secs.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Returns a size as people say it, in powers of 1,024.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Returns the text, or a dash for none.
pub fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_string(), |text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_no_borders_and_no_trailing_blanks() {
        let text = table(["name", "count"], [["bash".to_string(), "1".to_string()], ["b".into(), "".into()]]);

        assert_eq!(text, "NAME  COUNT\nbash  1\nb");
    }

    #[test]
    fn fields_stand_below_one_another() {
        assert_eq!(fields(&[("id", "7".into()), ("status", "ready".into())]), "id      7\nstatus  ready");
    }

    #[test]
    fn spans_and_sizes_are_told_as_people_do() {
        assert_eq!([0.4, 12.4, 185.0, 7620.0].map(span), ["0.4 s", "12 s", "3 min 05 s", "2 h 07 min"]);
        assert_eq!([12, 2048, 5 << 30].map(size), ["12 bytes", "2.0 KiB", "5.0 GiB"]);
    }

    #[test]
    fn moments_are_told_to_the_second() {
        assert_eq!(moment(Timestamp(1_700_000_000_123_456)), "2023-11-14 22:13:20");
    }
}
