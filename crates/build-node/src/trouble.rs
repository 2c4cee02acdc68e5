//! How a task ends that does not succeed.

use anima_client::lease::Stop;
use anima_types::work::{Failure, PhaseTime};

/// The code of a requirement of a build that nothing provides.
pub const MISSING_BUILD_REQUIRES: &str = "missing_build_requires";

/// Why a task does not go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// It cannot be done; this is reported.
    Failed(Box<Failure>),
    /// It was stopped, and nothing is to be said.
    Stopped,
}

impl Trouble {
    /// Returns whether it is the end of the task: what the node or the master lacks for the moment is not.
    pub fn is_final(&self) -> bool {
        matches!(self, Trouble::Failed(failure) if !Stop::gives_back(&failure.code) && failure.code != "unreachable")
    }

    /// Returns it in the words of the lease's protocol.
    pub fn into_stop(self, phases: Vec<PhaseTime>) -> Stop {
        match self {
            Trouble::Failed(failure) => Stop::of(failure, phases),
            Trouble::Stopped => Stop::Abandoned,
        }
    }
}

/// Returns that the task failed, in one sentence.
pub fn failed(code: &str, message: String, hint: Option<&str>) -> Trouble {
    Failure::new(code, message).with_hint(hint).into()
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(Box::new(failure))
    }
}

impl From<anima_environment::Error> for Trouble {
    fn from(error: anima_environment::Error) -> Trouble {
        match error.is_cancelled() {
            true => Trouble::Stopped,
            false => error.failure(MISSING_BUILD_REQUIRES).into(),
        }
    }
}

impl From<anima_client::Error> for Trouble {
    fn from(error: anima_client::Error) -> Trouble {
        match Stop::from(error) {
            Stop::Failed { failure, .. } | Stop::GivenBack { failure } => Trouble::Failed(failure),
            Stop::Abandoned => Trouble::Stopped,
        }
    }
}
