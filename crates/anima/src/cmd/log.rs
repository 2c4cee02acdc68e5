//! Logs of tasks on the terminal.

use std::pin::pin;

use anima_types::{
    task::Task,
    task_log::{LogId, LogName},
};
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
pub async fn print(ask: &Ask, task: &Task, is_followed: bool) -> Result {
    if is_followed {
        return follow(ask, task, LogName::Build).await;
    }
    if task.log_size_bytes == 0 {
        return Ok(());
    }
    pieces(ask, task.id.into(), task.log_size_bytes).await
}

/// Prints what there is of a log.
pub async fn print_one(ask: &Ask, log: LogId) -> Result {
    let task = ask.client.task(log.task).await?;
    let attempt = log.attempt.unwrap_or(task.attempt);
    match task.logs.iter().find(|known| known.name == log.name && known.attempt == attempt) {
        Some(known) => pieces(ask, LogId { attempt: Some(attempt), ..log }, known.size_bytes).await,
        None => Ok(()),
    }
}

/// Prints a log until the task ends. When the task is tried again, its log begins again.
pub async fn follow(ask: &Ask, task: &Task, name: LogName) -> Result {
    let mut attempt = task.attempt;
    loop {
        let log = LogId { task: task.id, name, attempt: (attempt > 0).then_some(attempt) };
        pieces(ask, log, u64::MAX).await?;
        let now = ask.client.task(task.id).await?;
        if now.attempt <= attempt.max(1) {
            return Ok(());
        }
        attempt = now.attempt;
        if ask.output == Output::Text {
            output::line(&format!("==> task {}: attempt {attempt}", task.id))?;
        }
    }
}

async fn pieces(ask: &Ask, log: LogId, until_offset: u64) -> Result {
    let mut pieces = pin!(ask.client.follow_log_of(log, 0));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        match ask.output {
            Output::Text => output::raw(&piece.text)?,
            Output::Json => {
                ask.output.json_line(&Piece { task: log.task.0, end_offset: piece.end_offset, text: &piece.text })?
            }
        }
        if piece.end_offset >= until_offset {
            break;
        }
    }
    Ok(())
}

/// Prints the lines of a log that have a text.
pub async fn search(ask: &Ask, log: LogId, text: &str, is_regex: bool) -> Result {
    let mut from_line = 0;
    loop {
        let found = ask.client.search_log(log, text, is_regex, from_line).await?;
        for one in &found.matches {
            match ask.output {
                Output::Text => output::line(&format!("{}: {}", one.line, one.text))?,
                Output::Json => ask.output.json_line(one)?,
            }
        }
        match found.next_line {
            Some(next) => from_line = next,
            None => return Ok(()),
        }
    }
}
