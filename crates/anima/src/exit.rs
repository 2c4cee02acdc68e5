//! How a command ends: one table of exit codes, and one form of error with a hint where the cure is known.

use std::fmt;

use anima_types::error::ErrorBody;

/// How a command ended, as its exit code tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    Ok,
    Internal,
    User,
    Config,
    Remote,
    Unsuccessful,
    Denied,
    Missing,
    Fixable,
    Differs,
    Damaged,
    Idle,
    GivenBack,
}

impl Exit {
    pub const ALL: [Exit; 13] = [
        Exit::Ok,
        Exit::Internal,
        Exit::User,
        Exit::Config,
        Exit::Remote,
        Exit::Unsuccessful,
        Exit::Denied,
        Exit::Missing,
        Exit::Fixable,
        Exit::Differs,
        Exit::Damaged,
        Exit::Idle,
        Exit::GivenBack,
    ];

    /// Returns the number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Internal => 1,
            Exit::User => 2,
            Exit::Config => 3,
            Exit::Remote => 4,
            Exit::Unsuccessful => 5,
            Exit::Denied => 6,
            Exit::Missing => 7,
            Exit::Fixable => 8,
            Exit::Differs => 9,
            Exit::Damaged => 10,
            Exit::Idle => 11,
            Exit::GivenBack => 12,
        }
    }

    /// Returns the word for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Internal => "internal",
            Exit::User => "user",
            Exit::Config => "config",
            Exit::Remote => "remote",
            Exit::Unsuccessful => "unsuccessful",
            Exit::Denied => "denied",
            Exit::Missing => "missing",
            Exit::Fixable => "fixable",
            Exit::Differs => "differs",
            Exit::Damaged => "damaged",
            Exit::Idle => "idle",
            Exit::GivenBack => "given_back",
        }
    }

    /// Returns what the number means, for the help text.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "done",
            Exit::Internal => "this machine or the program itself: a full disk, a missing file, a bug",
            Exit::User => "what was asked for cannot be: wrong arguments, no such thing, not possible in its state",
            Exit::Config => "the configuration, a platform's file or the data folder is wrong",
            Exit::Remote => "a service could not be reached, or could not do it",
            Exit::Unsuccessful => {
                "the build, release or task that was waited for failed, or was cancelled; something forbids the upgrade"
            }
            Exit::Denied => "the token is missing, unknown, or may not do this",
            Exit::Missing => "`anima doctor` found that something is missing",
            Exit::Fixable => "what forbids the upgrade can be mended by `anima elevate fix`",
            Exit::Differs => "`anima key audit` found signatures that only the journal or only the master knows",
            Exit::Damaged => "`anima fsck` found that something is missing or damaged",
            Exit::Idle => "`--once`: there was no task",
            Exit::GivenBack => "`--once`: the task was given back, or is no longer this node's; another node does it",
        }
    }

    /// Returns the table of all exit codes, as it stands below the help text.
    pub fn table() -> String {
        let line = |exit: Exit| format!("  {}  {}\n", exit.code(), exit.meaning());
        format!("Exit codes:\n{}", Exit::ALL.map(line).concat())
    }
}

/// Why a command could not be done.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// The sentence that follows "error: ".
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The word for programs, where a service said one.
    pub code: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None, code: None }
    }

    pub fn user(message: impl Into<String>) -> Failure {
        Failure::new(Exit::User, message)
    }

    pub fn config(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Config, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Returns what is printed: a text for people, or with `--json` an object in one line, of the form that the API's errors
    /// have.
    pub fn told(&self, json: bool) -> String {
        if !json {
            return self.to_string();
        }
        let code = self.code.clone().unwrap_or_else(|| self.exit.name().to_string());
        let body = ErrorBody { code, message: self.message.clone(), hint: self.hint.clone() };
        serde_json::to_string(&body).expect("our own types are always JSON")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// What is not sorted into another kind is this machine's or the program's own fault.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(Exit::Internal, format!("{error:#}"))
    }
}

pub type Result<T = ()> = std::result::Result<T, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_used_once_and_stands_in_the_table() {
        let codes: std::collections::BTreeSet<u8> = Exit::ALL.map(Exit::code).into();

        assert_eq!(codes.len(), Exit::ALL.len());
        assert!(Exit::ALL.iter().all(|exit| Exit::table().contains(exit.meaning())));
    }

    #[test]
    fn an_error_for_programs_has_the_form_of_the_apis_and_its_word() {
        let own = Failure::config("could not read \"x\"").hint("look");
        let of_service = Failure { code: Some("not_found".into()), ..Failure::user("no such build") };

        assert_eq!(own.told(true), r#"{"code":"config","message":"could not read \"x\"","hint":"look"}"#);
        assert_eq!(of_service.told(true), r#"{"code":"not_found","message":"no such build"}"#);
        assert_eq!(of_service.told(false), "error: no such build");
    }

    #[test]
    fn an_error_is_one_line_and_its_hint_the_next() {
        let failure = Failure::user("could not find build 7").hint("see `anima build list`");

        assert_eq!(failure.to_string(), "error: could not find build 7\nhint: see `anima build list`");
    }
}
