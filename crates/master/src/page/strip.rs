//! A task's time as a strip: what it waited for, and each of its phases, to the scale of the whole build.

use anima_types::{Timestamp, task::Task};

use super::words::duration;

/// The strip's width in its own units.
const WIDTH: f64 = 1_000.0;
/// What is narrower would not be seen.
const NARROWEST: f64 = 2.0;

/// A strip.
pub struct Strip {
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
    /// The same in words.
    pub words: String,
}

/// A piece of a strip.
pub struct Piece {
    /// `wait`, or the phase's class.
    pub class: &'static str,
    /// Where it begins.
    pub x: String,
    /// How wide it is.
    pub width: String,
    /// What it was and how long it took.
    pub title: String,
}

/// What strips are drawn on.
#[derive(Clone, Copy)]
pub struct Scale {
    begin: Timestamp,
    secs: f64,
}

impl Scale {
    /// Returns a scale that shows these tasks whole.
    pub fn of(tasks: &[Task], now: Timestamp) -> Scale {
        let begin = tasks.iter().map(|task| task.created_at).min().unwrap_or(now);
        let end = tasks.iter().map(|task| end(task, now)).max().unwrap_or(now);
        Scale { begin, secs: end.secs_since(begin).max(1e-3) }
    }

    fn at(self, moment: Timestamp) -> f64 {
        (moment.secs_since(self.begin) / self.secs * WIDTH).clamp(0.0, WIDTH)
    }

    fn piece(self, class: &'static str, name: &str, begin: Timestamp, secs: f64) -> Piece {
        let x = self.at(begin).min(WIDTH - NARROWEST);
        let width = (secs / self.secs * WIDTH).clamp(NARROWEST, WIDTH - x);
        Piece { class, x: format!("{x:.1}"), width: format!("{width:.1}"), title: words(name, secs) }
    }
}

fn end(task: &Task, now: Timestamp) -> Timestamp {
    task.ended_at.unwrap_or(if task.status.is_ended() { task.created_at } else { now })
}

fn words(name: &str, secs: f64) -> String {
    format!("{name} {}", duration(secs))
}

/// Draws a task's time.
pub fn strip(task: &Task, scale: Scale, now: Timestamp) -> Strip {
    let end = end(task, now);
    let started = task.started_at.unwrap_or(end);
    let mut pieces = Vec::new();
    let waited_secs = started.secs_since(task.created_at);
    if waited_secs > 0.0 {
        pieces.push(scale.piece("p-wait", "waited", task.created_at, waited_secs));
    }
    let mut at = started;
    for phase in &task.phases {
        pieces.push(scale.piece(class(&phase.name), &phase.name, at, phase.secs));
        at = Timestamp(at.0.saturating_add((phase.secs.max(0.0) * 1e6) as i64));
    }
    let rest_secs = end.secs_since(at);
    if task.started_at.is_some() && task.phases.is_empty() && rest_secs > 0.0 {
        pieces.push(scale.piece("p-run", "ran", at, rest_secs));
    }
    let words = pieces.iter().map(|piece| piece.title.as_str()).collect::<Vec<_>>().join(", ");
    Strip { pieces, words }
}

/// Returns the colour of a phase: what is fetched, what is made ready, what is done, what is sent.
fn class(phase: &str) -> &'static str {
    match phase {
        "clone" | "sources" | "download" | "fetch" => "p-fetch",
        "solve" | "buildroot" | "root" | "layers" | "environment" | "mount" => "p-ready",
        "upload" | "report" | "send" => "p-send",
        _ => "p-run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::{
        id::TaskId,
        task::{Kind, Status},
        work::PhaseTime,
    };

    #[test]
    fn pieces_are_to_scale_and_stay_inside() {
        let start = Timestamp(1_000_000_000);
        let phase = |name: &str, secs| PhaseTime { name: name.into(), secs, ..PhaseTime::default() };
        let task = Task {
            id: TaskId(1),
            kind: Kind::Build,
            status: Status::Succeeded,
            build: None,
            release: None,
            package: None,
            platform: None,
            arch: None,
            why: String::new(),
            waits_for: Vec::new(),
            estimate_secs: None,
            attempts: 1,
            node: None,
            is_emulated: false,
            created_at: start,
            started_at: Some(start.plus_secs(10)),
            ended_at: Some(start.plus_secs(20)),
            phases: vec![phase("buildroot", 2.0), phase("build", 500.0)],
            failure: None,
            artifacts: Vec::new(),
            log_size_bytes: 0,
            attempt: 1,
            logs: Vec::new(),
            history: Vec::new(),
            result: None,
        };
        let tasks = [task];

        let strip = strip(&tasks[0], Scale::of(&tasks, start), start);

        let drawn: Vec<_> = strip.pieces.iter().map(|p| (p.class, p.x.as_str(), p.width.as_str())).collect();
        assert_eq!(
            drawn,
            [("p-wait", "0.0", "500.0"), ("p-ready", "500.0", "100.0"), ("p-run", "600.0", "400.0")],
            "a phase that claims to be longer than its task ends with the strip"
        );
        assert_eq!(strip.words, "waited 10 s, buildroot 2.0 s, build 8 min 20 s");
    }
}
