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
/// The longest usual name of a task.
const WHOM_WIDTH: usize = 24;
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
    pub fn event(&self, event: &Event, detail: &BuildDetail) -> Result {
        let line = || output::line(&line(event, detail, self.began_at));
        match (self.output, &self.bar) {
            (Output::Json, _) => self.output.json_line(event),
            (Output::Text, _) if is_noise(event) => Ok(()),
            (Output::Text, None) => line(),
            (Output::Text, Some(bar)) => bar.suspend(line),
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

fn line(event: &Event, detail: &BuildDetail, began_at: Timestamp) -> String {
    let at = format!("+{:.1} s", event.at.secs_since(began_at).max(0.0));
    let task = detail.tasks.iter().find(|task| Some(task.id) == event.task);
    let whom = match (task, event.release) {
        (Some(task), _) => name(task),
        (None, Some(release)) => format!("release {release}"),
        (None, None) => event.noun.clone(),
    };
    format!("{at:>9}  {whom:<WHOM_WIDTH$}  {}", event.message)
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
    fn a_line_tells_when_after_the_builds_beginning_what_happened_to_which_task() {
        let detail = crate::cmd::build::times::tests::detail();
        let began_at = Timestamp(10_000_000);
        let of_task = Event { task: Some(detail.tasks[2].id), ..event("task", "succeeded") };

        assert_eq!(line(&of_task, &detail, began_at), "   +2.3 s  build a                   jq is built");
        assert_eq!(
            line(&event("build", "testing"), &detail, began_at),
            "   +2.3 s  build                     jq is built"
        );
    }

    #[test]
    fn that_a_task_waits_or_is_ready_is_not_told() {
        assert!(is_noise(&event("task", "ready")) && is_noise(&event("task", "waiting")));
        assert!(!is_noise(&event("task", "leased")) && !is_noise(&event("release", "planned")));
    }
}
