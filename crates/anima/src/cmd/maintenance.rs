//! `anima maintenance`: let the whole come to rest, for an update or a stop.

use std::{pin::pin, time::Duration};

use anima_client::Client;
use anima_types::maintenance::{BeginMaintenance, MaintenanceState};
use clap::Subcommand;
use futures_util::StreamExt;

use super::Ask;
use crate::exit::Result;

/// Events say when a task ends. One that came between a look and the stream's beginning is seen after this.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

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
                let state = ask.client.begin_maintenance(&BeginMaintenance { reason }).await?;
                if wait { rest(&ask.client, state).await? } else { state }
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

/// Waits until no node works on anything, or somebody ends the maintenance.
async fn rest(client: &Client, mut state: MaintenanceState) -> Result<MaintenanceState> {
    let mut events = pin!(client.follow_events(None, None));
    while state.maintenance.is_some() && state.running_count > 0 {
        let ended = async {
            while let Some(event) = events.next().await {
                if matches!(event?.noun.as_str(), "task" | "maintenance") {
                    break;
                }
            }
            Ok::<_, anima_client::Error>(())
        };
        if let Ok(failed) = tokio::time::timeout(LOOK_AGAIN, ended).await {
            failed?;
        }
        state = client.maintenance().await?;
    }
    Ok(state)
}

fn said(state: &MaintenanceState) -> String {
    match (&state.maintenance, state.running_count) {
        (None, running) => format!("Tasks are given out; {running} run."),
        (Some(maintenance), 0) => format!("{}; no task runs: all can be stopped.", maintenance.sentence()),
        (Some(maintenance), running) => format!("{}; {running} tasks run still.", maintenance.sentence()),
    }
}
