//! A task's logs. Each attempt at a task has three: what the package's own tools said, how the root was made, and which
//! step began and ended when.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::TaskId;

/// So many earlier attempts keep their logs.
pub const KEPT_ATTEMPTS: i64 = 3;
/// A search answers with so many lines at most, and says where to go on.
pub const MAX_MATCHES: usize = 200;
/// What is searched for has so many characters at most.
pub const MAX_SEARCH_CHARS: usize = 200;

/// One of a task's logs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogName {
    /// What the package's own tools said.
    #[default]
    Build,
    /// How the root was made: solved, fetched, installed, and the list of what is in it.
    Root,
    /// Which step began and ended when, and what it used.
    State,
}

impl LogName {
    /// All of them.
    pub const ALL: [LogName; 3] = [LogName::Build, LogName::Root, LogName::State];

    /// Returns the word in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            LogName::Build => "build",
            LogName::Root => "root",
            LogName::State => "state",
        }
    }
}

impl FromStr for LogName {
    type Err = String;

    fn from_str(text: &str) -> Result<LogName, String> {
        let found = LogName::ALL.into_iter().find(|name| name.name() == text);
        found.ok_or_else(|| format!("there is no log \"{text}\": there are build, root and state"))
    }
}

/// Which log of which attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct LogId {
    /// The task.
    pub task: TaskId,
    /// Which of its logs.
    pub name: LogName,
    /// The number of the attempt's lease; none is the newest where somebody asks, and a log from before they had numbers where
    /// they are kept.
    pub attempt: Option<i64>,
}

impl LogId {
    /// Returns a log of no attempt that is named.
    pub const fn new(task: TaskId, name: LogName) -> LogId {
        LogId { task, name, attempt: None }
    }

    /// Returns a log of an attempt. It is named by it from its first byte to its last, so that what is done with an ended
    /// attempt's log, late or by another master, never meets the next one's.
    pub const fn of_attempt(task: TaskId, name: LogName, attempt: i64) -> LogId {
        LogId { task, name, attempt: Some(attempt) }
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<LogId> {
        let (head, name) = text.split_once('.').unwrap_or((text, LogName::Build.name()));
        let (task, attempt) = match head.split_once('@') {
            Some((task, attempt)) => (task, Some(attempt.parse().ok()?)),
            None => (head, None),
        };
        Some(LogId { task: TaskId(task.parse().ok()?), name: name.parse().ok()?, attempt })
    }
}

impl From<TaskId> for LogId {
    fn from(task: TaskId) -> LogId {
        LogId::new(task, LogName::Build)
    }
}

/// `17`, `17.root`, `17@2.root`: the names of the files that they are kept in.
impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.task)?;
        if let Some(attempt) = self.attempt {
            write!(f, "@{attempt}")?;
        }
        match self.name {
            LogName::Build => Ok(()),
            name => write!(f, ".{}", name.name()),
        }
    }
}

/// `GET /api/v1/tasks/{task}/log/search`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogFound {
    /// The lines that have it, in order, at most [`MAX_MATCHES`].
    pub matches: Vec<LogMatch>,
    /// Where to go on (`from_line`); none when the whole log was searched.
    #[serde(default)]
    pub next_line: Option<u64>,
}

/// A line that has what was searched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogMatch {
    /// Its number, from 1.
    pub line: u64,
    /// The byte at which it begins.
    pub offset: u64,
    /// What it says, cut off where it is long.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_files_read_back() {
        for attempt in [None, Some(2)] {
            for name in LogName::ALL {
                let id = LogId { task: TaskId(17), name, attempt };
                assert_eq!(LogId::parse(&id.to_string()), Some(id));
            }
        }
        assert_eq!(LogId::of_attempt(TaskId(17), LogName::Root, 2).to_string(), "17@2.root");
        assert!(["x", "17.zst", "17@x", ".tmp1"].iter().all(|text| LogId::parse(text).is_none()));
    }
}
