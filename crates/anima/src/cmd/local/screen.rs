//! What is seen while packages are built on this machine: a line when a step ends, below it what goes on just now, and of
//! a failure the lines of the log that say it.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use anima_build_node::{
    Entry, Who,
    local::{Event, Report, Status, StepReport, Watch},
};
use anima_types::work::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::{cmd::diagnose::described, output::span, terminal};

/// How often the seconds of the last line move.
const TICK: Duration = Duration::from_millis(200);
/// Of a log so many lines are shown before the one that says why, and so many after it.
const BEFORE: usize = 8;
const AFTER: usize = 3;
/// What a log ends with when a step fails; it is told already.
const LAST_WORDS: &str = "FAILED (";
/// Of a log that has no such line, so many of its last ones.
const LAST: usize = 15;

/// Writes to standard error, so that standard output is the result's alone.
#[derive(Debug)]
pub struct Screen {
    /// Whether logs are shown as they grow.
    follows: bool,
    bar: Option<ProgressBar>,
    /// Ends the shell that a person has in a root.
    cancel: CancellationToken,
    began_at: Mutex<Instant>,
}

impl Screen {
    pub fn new(follows: bool, cancel: CancellationToken) -> Screen {
        let is_live = !follows && io::stderr().is_terminal();
        let bar = is_live.then(|| {
            let style = ProgressStyle::with_template("{spinner} {prefix}  {elapsed}  {wide_msg}");
            let bar = ProgressBar::new_spinner().with_style(style.expect("the template is well formed"));
            bar.enable_steady_tick(TICK);
            bar
        });
        Screen { follows, bar, cancel, began_at: Mutex::new(Instant::now()) }
    }

    fn say(&self, text: &str) {
        // Who reads it may be gone; the result counts.
        let write = || drop(writeln!(io::stderr(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn log(&self, bytes: &[u8]) {
        if self.follows {
            drop(io::stderr().write_all(bytes));
        } else {
            self.last_line(bytes);
        }
    }

    /// Shows below all else what goes on just now.
    fn last_line(&self, bytes: &[u8]) {
        if let Some(bar) = &self.bar
            && let Some(line) = String::from_utf8_lossy(bytes).lines().rfind(|line| !line.trim().is_empty())
        {
            bar.set_message(line.chars().filter(|c| !c.is_control()).collect::<String>());
        }
    }
}

impl Watch for Screen {
    fn see(&self, event: Event<'_>) {
        let began_at = || self.began_at.lock().unwrap_or_else(|error| error.into_inner());
        match event {
            Event::Ordered(names) if names.len() > 1 => self.say(&format!("order: {}", names.join(", "))),
            Event::Ordered(_) => {}
            Event::Begins { package, step } => {
                *began_at() = Instant::now();
                if let Some(bar) = &self.bar {
                    bar.reset_elapsed();
                    bar.set_prefix(format!("{package} {step}"));
                    bar.set_message("");
                }
            }
            Event::Log(bytes) => self.log(bytes),
            Event::RootLog(bytes) => self.last_line(bytes),
            Event::Ends { package, step } => {
                let took = began_at().elapsed().as_secs_f64();
                self.say(&line(package, step, took));
                if step.failure.is_some() {
                    self.say(&failure(step));
                }
            }
        }
    }

    fn failed(&self, entry: &Entry, failure: &Failure) {
        self.show_root(entry, failure);
    }
}

impl Screen {
    /// Lets the person look at what failed.
    fn show_root(&self, entry: &Entry, failure: &Failure) {
        self.say(&format!("\n  {} ({})", failure.message, failure.code));
        self.say("  This is its root; it is removed when you leave.");
        let entered = match &self.bar {
            Some(bar) => bar.suspend(|| terminal::enter(entry, &[], Who::Builder, &self.cancel)),
            None => terminal::enter(entry, &[], Who::Builder, &self.cancel),
        };
        if let Err(failure) = entered {
            self.say(&failure.to_string());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(package: &str, step: &StepReport, took_secs: f64) -> String {
    let what = match (step.status, &step.why) {
        (Status::Built, _) => made(step),
        (Status::Failed, _) => "failed".to_string(),
        (Status::Excluded, Some(why)) => return format!("{package:<16} {:<8} excluded: {why}", step.step),
        (Status::LeftOut, Some(why)) => return format!("{package:<16} {:<8} left out: {why}", step.step),
        (Status::Excluded | Status::LeftOut, None) => "left out".to_string(),
    };
    let phases = step.phases.iter().filter(|phase| phase.secs >= 0.05);
    let phases: Vec<String> = phases.map(|phase| format!("{} {:.1}", phase.name, phase.secs)).collect();
    let phases = if phases.is_empty() { String::new() } else { format!(" ({})", phases.join(", ")) };
    format!("{package:<16} {:<8} {what}, {}{phases}", step.step, span(took_secs))
}

fn made(step: &StepReport) -> String {
    match &step.packages[..] {
        [] => "read".to_string(),
        [one] => format!("made {}", one.file),
        many => format!("made {} packages", many.len()),
    }
}

/// Returns why a step failed, with the lines of its log that say it, and what else was found there.
fn failure(step: &StepReport) -> String {
    let Some(failure) = &step.failure else { return String::new() };
    let mut text = format!("\n  {} ({})\n", failure.message, failure.code);
    if let Some(hint) = &failure.hint {
        text += &format!("  hint: {hint}\n");
    }
    if let Some(path) = &step.log {
        text += &excerpt(path, failure.log_line);
        // The first is what was just told.
        let others = described(failure.findings.get(1..).unwrap_or_default());
        if !others.is_empty() {
            let lines = others.trim_start().lines();
            let lines = lines.map(|line| if line.is_empty() { "\n".to_string() } else { format!("  {line}\n") });
            text += &format!("  found besides:\n\n{}\n", lines.collect::<String>());
        }
        text += &format!("  log: {}\n", path.display());
    }
    if let Some(path) = &step.root_log {
        text += &format!("  root: {}\n", path.display());
    }
    text
}

fn excerpt(path: &Path, line: Option<u64>) -> String {
    let Ok(bytes) = fs::read(path) else { return String::new() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with(LAST_WORDS)).collect();
    let lines = &lines[..lines.len() - lines.iter().rev().take_while(|line| line.trim().is_empty()).count()];
    let marked = line.and_then(|line| usize::try_from(line).ok()).filter(|line| (1..=lines.len()).contains(line));
    let (from, to) = match marked {
        Some(line) => (line.saturating_sub(BEFORE + 1), (line + AFTER).min(lines.len())),
        None => (lines.len().saturating_sub(LAST), lines.len()),
    };
    let shown = |at: usize| {
        let mark = if marked == Some(at + 1) { '>' } else { ' ' };
        format!("  {mark} {:>5} {}\n", at + 1, lines[at])
    };
    match from < to {
        true => format!("\n{}\n", (from..to).map(shown).collect::<String>()),
        false => String::new(),
    }
}

/// Returns what came of an order, in a few lines.
pub fn summary(report: &Report) -> String {
    let mut lines: Vec<String> = report
        .packages
        .iter()
        .flat_map(|package| {
            let made = package.steps.iter().flat_map(|step| &step.packages);
            made.map(|made| package.folder.join(&made.file).display().to_string()).collect::<Vec<_>>()
        })
        .collect();
    lines.push(format!("repository: {}", report.folder.display()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::{diagnosis::Finding, work::PhaseTime};

    #[test]
    fn a_step_is_one_line_with_its_time_and_the_parts_that_took_any() {
        let phases = [("solve", 0.01), ("build", 12.34)].map(|(name, secs)| PhaseTime {
            name: name.into(),
            secs,
            ..PhaseTime::default()
        });
        let step = StepReport { phases: phases.into(), ..StepReport::new("x86_64", Status::Built) };

        assert_eq!(line("jq", &step, 12.6), "jq               x86_64   read, 13 s (build 12.3)");
    }

    #[test]
    fn a_failure_is_shown_with_the_line_that_says_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x86_64.log");
        fs::write(&log, (1..=30).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
        let finding = |class: &str, message: &str| Finding {
            class: class.into(),
            title: "A title".into(),
            message: message.into(),
            cure: Some("Cure it.".into()),
            ..Finding::default()
        };
        let failed = Failure {
            log_line: Some(20),
            findings: vec![finding("build_failed", "%build failed"), finding("missing_header", "zlib.h is missing")],
            ..Failure::new("build_failed", "%build failed").with_hint(Some("Mend it."))
        };
        let root_log = Some(folder.path().join("x86_64.root.log"));
        let step =
            StepReport { failure: Some(failed), log: Some(log), root_log, ..StepReport::new("x86_64", Status::Failed) };

        let text = failure(&step);

        assert!(text.contains("%build failed (build_failed)\n  hint: Mend it."), "{text}");
        assert!(text.contains("  >    20 line 20\n       21 line 21\n"), "{text}");
        assert!(!text.contains("line 11\n") && !text.contains("line 24"), "{text}");
        let besides = "found besides:\n\n  A title (missing_header): zlib.h is missing\n    Cure it.\n";
        assert!(text.contains(besides) && text.matches("%build failed").count() == 1, "{text}");
        assert!(text.ends_with("x86_64.root.log\n"), "{text}");
    }
}
