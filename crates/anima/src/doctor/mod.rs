//! What this machine has to have, looked at one by one: what is there, what is missing, and how to get it.
//!
//! Nothing is changed: mounts are tried in namespaces of their own, which end with the try.

mod kernel;
mod machine;
mod platforms;
mod programs;
mod sandbox;
mod services;

use serde::Serialize;

use crate::data::DataFolder;

/// How a check came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// Anima runs, but something is less than it could be.
    Warning,
    /// A role does not work without it.
    Missing,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Missing => "missing",
        }
    }
}

/// One check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// How to get what is missing.
    pub cure: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Check {
        Check { name, state: State::Ok, detail: detail.into(), cure: None }
    }

    fn warning(name: &'static str, detail: impl Into<String>, cure: impl Into<String>) -> Check {
        Check { name, state: State::Warning, detail: detail.into(), cure: Some(cure.into()) }
    }

    fn missing(name: &'static str, detail: impl Into<String>, cure: impl Into<String>) -> Check {
        Check { name, state: State::Missing, detail: detail.into(), cure: Some(cure.into()) }
    }
}

/// Looks at everything; `folder` is where Anima would work.
pub fn examine(folder: &DataFolder) -> Vec<Check> {
    let data = folder.path();
    let mut checks = vec![machine::architecture(), machine::user(), kernel::version()];
    checks.extend(programs::all());
    checks.extend(kernel::isolation(data));
    checks.push(kernel::limits());
    checks.extend(sandbox::checks(data));
    checks.extend([machine::libsolv(), machine::memory(), machine::disk(data), machine::open_files()]);
    checks.extend([services::check(), platforms::signatures(&folder.platforms())]);
    checks
}
