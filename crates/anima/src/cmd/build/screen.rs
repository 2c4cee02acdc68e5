//! What is seen while a build is watched: a line for each event, and on a terminal below them one that tells how far
//! it is.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use anima_types::{
    Timestamp,
    build::BuildDetail,
    event::Event,
    task::{Kind, Status, Task},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cmd::task::name,
    exit::Result,
    output::{self, Output},
};

/// How often the seconds of the last line move.
const TICK: Duration = Duration::from_millis(200);
/// Tasks that are named in the last line.
const NAMED_TASKS: usize = 3;

pub struct Screen {
    output: Output,
    began_at: Timestamp,
    bar: Option<ProgressBar>,
}

impl Screen {
    pub fn new(output: Output, began_at: Timestamp) -> Screen {
        let is_live = output == Output::Text && io::stdout().is_terminal() && io::stderr().is_terminal();
        let bar = is_live.then(|| {
            let style = ProgressStyle::with_template("{spinner} [{pos}/{len}] {msg}  {elapsed}");
            let bar = ProgressBar::new(0).with_style(style.expect("the template is well formed"));
            bar.enable_steady_tick(TICK);
            bar
        });
        Screen { output, began_at, bar }
    }

    /// Shows an event.
    pub fn event(&self, event: &Event) -> Result {
        match (self.output, &self.bar) {
            (Output::Json, _) => self.output.json_line(event),
            (Output::Text, _) if is_noise(event) => Ok(()),
            (Output::Text, None) => output::line(&line(event, self.began_at)),
            (Output::Text, Some(bar)) => bar.suspend(|| output::line(&line(event, self.began_at))),
        }
    }

    /// Shows how far it is.
    pub fn progress(&mut self, detail: &BuildDetail) {
        let Some(bar) = &self.bar else { return };
        let (ended, all) = counts(detail);
        bar.set_length(all);
        bar.set_position(ended);
        bar.set_message(works_on(detail));
    }

    pub fn close(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// That a task became ready is the scheduler's business: the line after it says that it was taken.
fn is_noise(event: &Event) -> bool {
    event.noun == "task" && event.status.as_deref().is_some_and(|status| matches!(status, "waiting" | "ready"))
}

fn line(event: &Event, began_at: Timestamp) -> String {
    format!("{:>9}  {}", format!("+{:.1} s", event.at.secs_since(began_at).max(0.0)), event.message)
}

/// Returns how many tasks have ended, of how many. Those that will follow the sources are not known before.
fn counts(detail: &BuildDetail) -> (u64, u64) {
    let ended = detail.tasks.iter().filter(|task| task.status.is_ended()).count();
    (ended as u64, detail.tasks.len() as u64)
}

fn works_on(detail: &BuildDetail) -> String {
    let is_worked_on = |task: &&Task| task.status == Status::Leased;
    let mut names: Vec<_> = detail.tasks.iter().filter(is_worked_on).map(name).collect();
    let more = names.len().saturating_sub(NAMED_TASKS);
    names.truncate(NAMED_TASKS);
    match (names.is_empty(), more) {
        (true, _) if detail.tasks.iter().any(|task| task.kind != Kind::Src) => detail.build.status.name().to_string(),
        (true, _) => "sources".to_string(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::id::EventId;

    fn event(noun: &str, status: &str) -> Event {
        Event {
            id: EventId(1),
            at: Timestamp(12_340_000),
            noun: noun.into(),
            verb: "x".into(),
            status: Some(status.into()),
            actor: "anima".into(),
            build: None,
            task: None,
            release: None,
            message: "jq is built".into(),
        }
    }

    #[test]
    fn a_line_tells_how_long_after_the_builds_beginning_it_happened() {
        assert_eq!(line(&event("task", "succeeded"), Timestamp(10_000_000)), "   +2.3 s  jq is built");
    }

    #[test]
    fn that_a_task_waits_or_is_ready_is_not_told() {
        assert!(is_noise(&event("task", "ready")) && is_noise(&event("task", "waiting")));
        assert!(!is_noise(&event("task", "leased")) && !is_noise(&event("release", "planned")));
    }
}
