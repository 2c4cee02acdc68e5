//! `anima maintenance`: let the whole come to rest, for an update or a stop.

use std::time::Duration;

use anima_types::maintenance::{BeginMaintenance, MaintenanceState};
use clap::Subcommand;

use super::Ask;
use crate::exit::Result;

/// It is looked so often whether all tasks have ended.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Give out no task for a while, so that all can be updated or stopped with nothing under way
#[derive(Debug, Subcommand)]
pub enum Maintenance {
    /// Give out no task from now on; nodes end what they have
    Begin {
        /// Why, for others who look
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Wait until no node works on anything
        #[arg(long)]
        wait: bool,
    },
    /// Give out tasks again
    End,
    /// Show whether tasks are given out, and how many run
    Show,
}

impl Maintenance {
    pub async fn run(self, ask: &Ask) -> Result {
        let state = match self {
            Maintenance::Begin { reason, wait } => {
                let mut state = ask.client.begin_maintenance(&BeginMaintenance { reason }).await?;
                while wait && state.running_count > 0 {
                    tokio::time::sleep(LOOK_EVERY).await;
                    state = ask.client.maintenance().await?;
                }
                state
            }
            Maintenance::End => {
                ask.client.end_maintenance().await?;
                ask.client.maintenance().await?
            }
            Maintenance::Show => ask.client.maintenance().await?,
        };
        ask.output.show(&state, said)
    }
}

fn said(state: &MaintenanceState) -> String {
    match (&state.maintenance, state.running_count) {
        (None, running) => format!("Tasks are given out; {running} run."),
        (Some(maintenance), 0) => format!("{}; no task runs: all can be stopped.", maintenance.sentence()),
        (Some(maintenance), running) => format!("{}; {running} tasks run still.", maintenance.sentence()),
    }
}
