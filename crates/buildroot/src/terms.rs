//! On which terms a layer is made: what rpm and its scripts may take, and who may end it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anima_sandbox::{Canceller, Outcome};

/// The terms; as they are by default, it takes what [`crate::HostRpm`] gives, and nobody ends it.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// What it may take.
    pub most: Most,
    /// What ends it.
    pub stop: Stop,
    /// Where it says what it took.
    pub took: Took,
}

/// What installing took, told before anybody gets the layer: of those who wait for it, whoever is there first knows. Clones are of the
/// same one.
#[derive(Debug, Clone, Default)]
pub struct Took(Arc<Mutex<Option<Outcome>>>);

impl Took {
    /// Returns it once; nothing where the layer was there, or made on other terms.
    pub fn take(&self) -> Option<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn tell(&self, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

/// What rpm and its scripts may take where that is less than they get anyway. What they write is counted by
/// [`crate::room`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Most {
    /// Memory of all processes together.
    pub memory_bytes: Option<u64>,
    /// Processors' time for each second.
    pub cores: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Time.
    pub wall: Option<Duration>,
}

/// Ends, from any thread, what runs on its terms. Clones are of the same one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    running: Option<Canceller>,
}

/// Takes a run off again when it is over.
#[derive(Debug)]
pub(crate) struct Attached<'a>(&'a Stop);

impl Stop {
    /// Kills what runs, and lets nothing begin any more.
    pub fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        if let Some(running) = &state.running {
            running.cancel();
        }
    }

    /// Returns whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// Puts what has begun into its hands, where it stays until the result is dropped. One run at a time.
    pub(crate) fn attach(&self, running: Canceller) -> Attached<'_> {
        let mut state = self.state();
        if state.is_stopped {
            running.cancel();
        }
        state.running = Some(running);
        Attached(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.0.state().running = None;
    }
}
