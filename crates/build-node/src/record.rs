//! What was run for a task in its roots, and what it used: for its statistics and its provenance.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anima_environment::usage_of;
use anima_sandbox::Outcome;
use anima_types::work::Usage;

/// Grows with each command.
#[derive(Debug, Default)]
pub struct Record(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    commands: Vec<Vec<String>>,
    usage: Usage,
}

impl Record {
    /// Notes a command that has ended.
    pub fn note(&self, command: &[&str], outcome: &Outcome) {
        let mut state = self.state();
        state.commands.push(command.iter().map(|word| (*word).to_owned()).collect());
        state.usage = state.usage.and(usage_of(outcome));
    }

    /// Returns what the commands used since this was last asked.
    pub fn take_usage(&self) -> Usage {
        std::mem::take(&mut self.state().usage)
    }

    /// Returns all commands, in order.
    pub fn commands(&self) -> Vec<Vec<String>> {
        self.state().commands.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
