//! Logs of tasks on the terminal.

use std::pin::pin;

use anima_types::task::Task;
use futures_util::StreamExt;
use serde::Serialize;

use super::Ask;
use crate::{
    exit::Result,
    output::{self, Output},
};

/// A piece of log as JSON: one a line.
#[derive(Serialize)]
struct Piece<'a> {
    task: i64,
    end_offset: u64,
    text: &'a str,
}

/// Prints a task's log: what there is, or with `follow` all of it until the task ends.
pub async fn print(ask: &Ask, task: &Task, follow: bool) -> Result {
    if !follow && task.log_size_bytes == 0 {
        return Ok(());
    }
    let mut pieces = pin!(ask.client.follow_log(task.id, 0));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        match ask.output {
            Output::Text => output::raw(&piece.text)?,
            Output::Json => {
                ask.output.json_line(&Piece { task: task.id.0, end_offset: piece.end_offset, text: &piece.text })?
            }
        }
        if !follow && piece.end_offset >= task.log_size_bytes {
            break;
        }
    }
    Ok(())
}
