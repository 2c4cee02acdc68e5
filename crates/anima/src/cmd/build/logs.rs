//! `anima build log`: the logs of all tasks of a build, one after another.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use anima_types::{
    id::{BuildId, TaskId},
    task::{Status, Task},
};
use futures_util::StreamExt;

use super::Ask;
use crate::{
    cmd::{log, task::name},
    exit::Result,
    output::{self, Output},
};

/// How long a look for new tasks may be late if an event was missed between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Prints them; with `follow` until the build ends.
pub async fn print_all(ask: &Ask, build: BuildId, follow: bool) -> Result {
    let mut events = pin!(ask.client.follow_events(None, Some(build)));
    let mut printed = BTreeSet::new();
    loop {
        let detail = ask.client.build(build).await?;
        match next(&detail.tasks, &printed) {
            Some(task) => {
                head(ask, task)?;
                log::print(ask, task, follow).await?;
                printed.insert(task.id);
            }
            None if !follow || detail.build.status.is_ended() => return Ok(()),
            None => {
                let _ = tokio::time::timeout(LOOK_AGAIN, events.next()).await;
            }
        }
    }
}

/// Returns the first task whose log is there, or being written, and not printed yet.
fn next<'a>(tasks: &'a [Task], printed: &BTreeSet<TaskId>) -> Option<&'a Task> {
    let has_log = |task: &&Task| task.log_size_bytes > 0 || task.status == Status::Leased;
    tasks.iter().filter(has_log).find(|task| !printed.contains(&task.id))
}

fn head(ask: &Ask, task: &Task) -> Result {
    match ask.output {
        Output::Text => output::line(&format!("==> task {}: {}", task.id, name(task))),
        Output::Json => Ok(()),
    }
}
