//! `anima task`: what runs and waits, and one task.

use anima_types::{
    Arch,
    id::TaskId,
    task::{self, Kind, Status},
    task_list::{ListQuery, ListedTask},
    task_log::{LogId, LogName},
    why::Why,
    work::PhaseTime,
};
use clap::{Args, Subcommand};

use super::{Ask, diagnose::described, log, task_download::Download};
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Look at what runs and waits and at one task, try one again, or stop it
#[derive(Debug, Subcommand)]
pub enum Task {
    /// List tasks with why each stands where it stands: those that have not ended in the order of the queue
    List(List),
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
        /// Which of its logs: build, root or state
        #[arg(long, default_value = "build", value_name = "NAME")]
        name: LogName,
        /// The log of an earlier attempt; `anima task show` names them
        #[arg(long, value_name = "NUMBER", conflicts_with = "follow")]
        attempt: Option<i64>,
        /// Print only lines with this text, with their numbers
        #[arg(long, value_name = "TEXT", conflicts_with = "follow")]
        search: Option<String>,
        /// The text to search for is a regular expression
        #[arg(long, requires = "search")]
        regex: bool,
    },
    /// Download what a task made: packages, its lock, its provenance
    Download(Download),
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
            Task::List(list) => list.run(ask).await,
            Task::Show { id } => ask.output.show(&ask.client.task(id).await?, describe),
            Task::Why { id } => ask.output.show(&ask.client.why(id).await?, because),
            Task::Log { id, follow: true, name, .. } => log::follow(ask, &ask.client.task(id).await?, name).await,
            Task::Log { id, name, attempt, search: Some(text), regex, .. } => {
                log::search(ask, LogId { task: id, name, attempt }, &text, regex).await
            }
            Task::Log { id, name, attempt, .. } => log::print_one(ask, LogId { task: id, name, attempt }).await,
            Task::Download(download) => download.run(ask).await,
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

/// Which tasks are listed.
#[derive(Debug, Args)]
pub struct List {
    /// Only tasks that stand so: waiting, ready, leased, succeeded, failed, blocked, excluded, cancelled; else those that have
    /// not ended
    #[arg(long, value_name = "STATUS", value_parser = parse_status)]
    status: Option<Status>,
    /// Only tasks for this architecture
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
    /// Only tasks that this node has or had
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only tasks that do this: src, build, test, sign, plan, publish, import
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Option<Kind>,
    /// Only tasks of builds that this one asked for
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// How many of each status at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

impl List {
    async fn run(self, ask: &Ask) -> Result {
        let open = [Status::Leased, Status::Ready, Status::Waiting];
        let statuses = self.status.map_or(open.to_vec(), |status| vec![status]);
        let mut tasks = Vec::new();
        for status in statuses {
            let query = ListQuery {
                limit: Some(self.limit),
                status: Some(status),
                arch: self.arch,
                node: self.node.clone(),
                kind: self.kind,
                owner: self.owner.clone(),
            };
            tasks.extend(ask.client.tasks(&query).await?);
        }
        let header = ["id", "task", "status", "build", "node", "begins", "why"];
        ask.output.list(&tasks, header, row, "There are no such tasks.")
    }
}

fn row(task: &ListedTask) -> [String; 7] {
    [
        task.id.to_string(),
        task.name(),
        task.status.name().to_string(),
        or_dash(task.build),
        or_dash(task.node.as_ref()),
        or_dash(task.starts_at.map(output::moment)),
        task.why.clone(),
    ]
}

fn parse_status(text: &str) -> std::result::Result<Status, String> {
    Status::from_name(text).ok_or_else(|| format!("it has to be one of: {}", Status::ALL.map(Status::name).join(", ")))
}

fn parse_kind(text: &str) -> std::result::Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| format!("it has to be one of: {}", Kind::ALL.map(Kind::name).join(", ")))
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
        ("attempts", task::attempts_in_words(task.attempt, task.attempts)),
        ("began", or_dash(task.started_at.map(output::moment))),
        ("took", or_dash(took(task).map(output::span))),
    ];
    fields.extend(task.logs.iter().map(|log| {
        let attempt = if log.attempt == task.attempt { String::new() } else { format!(" of attempt {}", log.attempt) };
        ("log", format!("{}{attempt} ({})", log.name.name(), output::size(log.size_bytes)))
    }));
    if task.history.len() > 1 {
        fields.extend(task.history.iter().map(|one| ("attempt", one.in_words())));
    }
    let ids: Vec<_> = task.waits_for.iter().map(TaskId::to_string).collect();
    if !ids.is_empty() {
        fields.push(("waits for", ids.join(", ")));
    }
    for phase in &task.phases {
        fields.push(("step", step(phase)));
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

/// Returns a step with its time and what it used.
pub fn step(phase: &PhaseTime) -> String {
    let usage = &phase.usage;
    let words = [
        Some(format!("{} {}", phase.name, output::span(phase.secs))),
        usage.cpu_secs.map(|secs| format!("{} of processors", output::span(secs))),
        usage.peak_memory_bytes.map(|bytes| format!("{} of memory", output::size(bytes))),
        usage.read_bytes.map(|bytes| format!("{} read", output::size(bytes))),
        usage.written_bytes.map(|bytes| format!("{} written", output::size(bytes))),
        usage.cache_hits.map(|hits| format!("{hits} of {} were there", hits + usage.cache_misses.unwrap_or(0))),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns why a task failed, with the place in its log.
pub fn failure_text(failure: &anima_types::work::Failure) -> String {
    let place = failure.log_line.map(|line| format!(", log line {line}")).unwrap_or_default();
    format!("{} ({}{place})", failure.message, failure.code)
}
