//! `anima task`: one task.

use anima_types::{id::TaskId, task, why::Why};
use clap::Subcommand;

use super::{Ask, diagnose::described, log};
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Look at one task, try it again, or stop it
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Show a task
    Show {
        /// The task's id
        id: TaskId,
    },
    /// Say why a task stands where it stands, and when it should begin and end
    Why {
        /// The task's id
        id: TaskId,
    },
    /// Print a task's log
    Log {
        /// The task's id
        id: TaskId,
        /// Go on until the task ends
        #[arg(long, short)]
        follow: bool,
    },
    /// Try a task again that failed or was cancelled
    Restart {
        /// The task's id
        id: TaskId,
    },
    /// Stop a task
    Cancel {
        /// The task's id
        id: TaskId,
    },
}

impl Task {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Task::Show { id } => ask.output.show(&ask.client.task(id).await?, describe),
            Task::Why { id } => ask.output.show(&ask.client.why(id).await?, because),
            Task::Log { id, follow } => log::print(ask, &ask.client.task(id).await?, follow).await,
            Task::Restart { id } => {
                ask.client.restart_task(id).await?;
                ask.output.show(&ask.client.task(id).await?, |task| format!("{} is {}", name(task), task.status.name()))
            }
            Task::Cancel { id } => {
                ask.client.cancel_task(id).await?;
                ask.output.show(&ask.client.task(id).await?, |task| format!("{} is {}", name(task), task.status.name()))
            }
        }
    }
}

fn because(why: &Why) -> String {
    let mut fields = vec![("task", why.task.to_string()), ("status", why.status.name().to_string())];
    fields.push(("why", why.summary.clone()));
    fields.extend(why.facts.iter().map(|fact| ("fact", fact.text.clone())));
    fields.extend(why.starts_at.map(|at| ("begins", output::moment(at))));
    fields.extend(why.ends_at.map(|at| ("ends", output::moment(at))));
    fields.extend(why.hint.clone().map(|hint| ("hint", hint)));
    output::fields(&fields)
}

/// Returns what people call a task: `build jq x86_64`.
pub fn name(task: &task::Task) -> String {
    let arch = task.arch.filter(|_| task.kind != task::Kind::Src).map(|arch| arch.name().to_string());
    let parts = [Some(task.kind.name().to_string()), task.package.clone(), arch];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Returns how long a task took, if it has begun and ended.
pub fn took(task: &task::Task) -> Option<f64> {
    Some(task.ended_at?.secs_since(task.started_at?))
}

fn node_of(node: &str, task: &task::Task) -> String {
    match task.arch {
        Some(arch) if task.is_emulated => format!("{node}, which emulates {arch}"),
        _ => node.to_string(),
    }
}

fn describe(task: &task::Task) -> String {
    let mut fields = vec![
        ("task", format!("{} ({})", task.id, name(task))),
        ("status", task.status.name().to_string()),
        ("why", task.why.clone()),
        ("build", or_dash(task.build)),
        ("release", or_dash(task.release)),
        ("platform", or_dash(task.platform.as_ref())),
        ("node", or_dash(task.node.as_ref().map(|node| node_of(node, task)))),
        ("attempts", task.attempts.to_string()),
        ("began", or_dash(task.started_at.map(output::moment))),
        ("took", or_dash(took(task).map(output::span))),
        ("log", output::size(task.log_size_bytes)),
    ];
    let ids: Vec<_> = task.waits_for.iter().map(TaskId::to_string).collect();
    if !ids.is_empty() {
        fields.push(("waits for", ids.join(", ")));
    }
    for phase in &task.phases {
        fields.push(("step", format!("{} {}", phase.name, output::span(phase.secs))));
    }
    if let Some(failure) = &task.failure {
        fields.push(("failure", failure_text(failure)));
        fields.extend(failure.hint.as_ref().map(|hint| ("hint", hint.clone())));
    }
    for artifact in &task.artifacts {
        fields.push((
            "artifact",
            format!("{} {} ({})", artifact.kind.name(), artifact.name, output::size(artifact.size_bytes)),
        ));
    }
    let findings = task.failure.as_ref().map_or(&[][..], |failure| &failure.findings);
    output::fields(&fields) + &described(findings)
}

/// Returns why a task failed, with the place in its log.
pub fn failure_text(failure: &anima_types::work::Failure) -> String {
    let place = failure.log_line.map(|line| format!(", log line {line}")).unwrap_or_default();
    format!("{} ({}{place})", failure.message, failure.code)
}
