//! How a task ends that has no verdicts.

use anima_client::lease::Stop;
use anima_types::work::{Failure, PhaseTime};

/// The code of a test package of the platform that nothing provides.
const MISSING_TEST_PACKAGE: &str = "missing_test_package";

/// Why a task does not go on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trouble {
    /// It cannot be done; this is reported.
    Failed(Box<Failure>),
    /// It was stopped, and nothing is to be said.
    Stopped,
}

impl Trouble {
    /// Returns it in the words of the lease's protocol.
    pub fn into_stop(self, phases: Vec<PhaseTime>) -> Stop {
        match self {
            Trouble::Failed(failure) => Stop::of(failure, phases),
            Trouble::Stopped => Stop::Abandoned,
        }
    }
}

/// Returns that the task failed, in one sentence.
pub(crate) fn failed(code: &str, message: String) -> Trouble {
    Trouble::Failed(Box::new(Failure::new(code, message)))
}

impl From<anima_environment::Error> for Trouble {
    fn from(error: anima_environment::Error) -> Trouble {
        match error.is_cancelled() {
            true => Trouble::Stopped,
            false => Trouble::Failed(Box::new(error.failure(MISSING_TEST_PACKAGE))),
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
