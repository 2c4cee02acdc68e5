//! Edits, as rules name them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::State;
use crate::{
    pattern,
    rules::{Format, settings},
};

/// Files of one pattern.
const MAX_FILES: usize = 200;
/// What a file that is moved out of the way is called besides.
const ASIDE: &str = ".anima-off";

/// One edit.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Gives a setting a value: where it stands, or at the end of its section.
    Set {
        /// The file.
        file: String,
        /// How it is written.
        #[serde(default)]
        format: Format,
        /// The section.
        #[serde(default)]
        section: Option<String>,
        /// The setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// Makes lines comments.
    Comment {
        /// The file.
        file: String,
        /// Which lines.
        matches: Words,
    },
    /// Replaces parts of lines.
    Replace {
        /// The file.
        file: String,
        /// Which parts.
        matches: Words,
        /// By what; `$1` is the first group.
        with: String,
    },
    /// Moves a file aside.
    Move {
        /// The file.
        file: String,
    },
    /// Makes a link in the root's own folder lead to the same place from there.
    RelativeLink {
        /// The link.
        file: String,
    },
    /// Lets a unit start no more by itself.
    Disable {
        /// The unit.
        unit: String,
    },
}

/// The pattern of an edit.
pub type Words = crate::rules::Pattern;

impl Edit {
    /// Returns the paths that it speaks of in a root, with the new one of a file that is moved.
    pub(super) fn paths(&self, root: &Path) -> Vec<(String, Option<String>)> {
        let expand = |pattern: &str| pattern::expand(root, pattern, MAX_FILES);
        let found = match self {
            Edit::Set { file, .. } | Edit::Comment { file, .. } | Edit::Replace { file, .. } => {
                let mut found = expand(file);
                found.retain(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()));
                found
            }
            Edit::Move { file } => expand(file),
            Edit::RelativeLink { file } => {
                let mut found = expand(file);
                found.retain(|path| path.is_symlink());
                found
            }
            Edit::Disable { unit } => {
                let mut found = expand(&format!("/etc/systemd/system/*.wants/{unit}"));
                found.retain(|path| path.is_symlink());
                found
            }
        };
        let inside = |path: &PathBuf| format!("/{}", path.strip_prefix(root).unwrap_or(path).display());
        let target = |path: &str| matches!(self, Edit::Move { .. }).then(|| format!("{path}{ASIDE}"));
        found.iter().map(inside).map(|path| (path.clone(), target(&path))).collect()
    }

    /// Returns what a path is after it.
    pub(super) fn apply(&self, path: &str, state: &State) -> State {
        match (self, state) {
            (Edit::Set { format, section, key, value, .. }, State::Text { text }) => {
                State::Text { text: set(text, *format, section.as_deref(), key, value) }
            }
            (Edit::Comment { matches, .. }, State::Text { text }) => {
                let line = |line: &str| match matches.0.is_match(line) && !line.trim_start().starts_with('#') {
                    true => format!("#{line}"),
                    false => line.to_string(),
                };
                State::Text { text: text.split('\n').map(line).collect::<Vec<_>>().join("\n") }
            }
            (Edit::Replace { matches, with, .. }, State::Text { text }) => {
                let line = |line: &str| match line.trim_start().starts_with('#') {
                    true => line.to_string(),
                    false => matches.0.replace_all(line, with.as_str()).into_owned(),
                };
                State::Text { text: text.split('\n').map(line).collect::<Vec<_>>().join("\n") }
            }
            (Edit::RelativeLink { .. }, State::Link { target }) if path.matches('/').count() == 1 => {
                State::Link { target: target.trim_start_matches('/').to_string() }
            }
            (Edit::Disable { .. }, State::Link { .. }) => State::Absent,
            _ => state.clone(),
        }
    }
}

/// Gives a setting a value: in the last line that has it, else at the end of its section, else at the end.
fn set(text: &str, format: Format, section: Option<&str>, key: &str, value: &str) -> String {
    let sign = match format {
        Format::Equals => "=",
        Format::Words => " ",
        Format::Colon => ": ",
    };
    let new = format!("{key}{sign}{value}");
    let is_it = |found: &crate::rules::Setting<'_>| {
        found.key.eq_ignore_ascii_case(key) && section.is_none_or(|section| found.section.eq_ignore_ascii_case(section))
    };
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let at = settings(text, format).filter(is_it).last().map(|found| found.line - 1);
    match at {
        Some(at) => lines[at] = new,
        None => {
            let header = section.map(|section| format!("[{section}]"));
            let begin = header.as_ref().and_then(|header| lines.iter().position(|line| line.trim() == header));
            match (header, begin) {
                (Some(_), Some(begin)) => lines.insert(begin + 1, new),
                (Some(header), None) => lines.extend([header, new]),
                // `Match` blocks of sshd go on to the end of the file.
                (None, _) if lines.iter().any(|line| line.trim_start().starts_with("Match ")) => lines.insert(0, new),
                (None, _) => lines.push(new),
            }
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_set_where_it_stands_or_added_where_it_belongs() {
        let set = |text, section, key, value| super::set(text, Format::Equals, section, key, value);
        assert_eq!(set("a=1\n#b=2\n", None, "A", "2"), "A=2\n#b=2\n");
        assert_eq!(set("[x]\na=1\n[y]\nb=1\n", Some("x"), "c", "3"), "[x]\nc=3\na=1\n[y]\nb=1\n");
        assert_eq!(set("[x]\n", Some("y"), "c", "3"), "[x]\n[y]\nc=3\n");
        let sshd = super::set("Port 22\nMatch User x\n  PermitTTY no\n", Format::Words, None, "PermitRootLogin", "no");
        assert!(sshd.starts_with("PermitRootLogin no\nPort 22\n"), "{sshd}");
    }
}
