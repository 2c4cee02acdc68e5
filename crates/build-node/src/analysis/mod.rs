//! Why a build failed, from its log while it is written: which step, which line first, and what to do about it.

mod pattern;
mod section;
mod spec;
#[cfg(test)]
mod tests;

use anima_sandbox::Exit;
use anima_types::work::Failure;

use pattern::{Meaning, Rank, meaning};
pub use section::Section;
pub use spec::spec_error;

/// Of a line so many characters go into a message: a compiler's sentence, not its template arguments.
const MAX_SHOWN_CHARS: usize = 300;
/// A message names so many files at most; the log has all of them.
const MAX_NAMED_FILES: usize = 5;

/// Reads a log line by line, and remembers what matters.
#[derive(Debug, Default)]
pub struct Analysis {
    section: Option<Section>,
    failed: Option<Section>,
    findings: Vec<Finding>,
    disk_full_line: Option<u64>,
    memory_line: Option<u64>,
    /// What the shell of the step ran last, with its line.
    last_command: Option<(u64, String)>,
    /// Files that rpmbuild names below its last complaint about %files.
    files: Vec<String>,
    is_naming_files: bool,
}

/// The best line of one step.
#[derive(Clone, Debug)]
struct Finding {
    section: Option<Section>,
    meaning: Meaning,
    line: u64,
    text: String,
}

impl Analysis {
    /// Takes the next line, with its number from 1.
    pub fn see(&mut self, number: u64, line: &str) {
        if let Some(section) = Section::begins(line) {
            self.section = Some(section);
            self.last_command = None;
        }
        if let Some(command) = line.strip_prefix("+ ") {
            self.last_command = Some((number, shown(command)));
        }
        if let Some(section) = Section::fails(line) {
            self.failed = Some(section);
        }
        if line.contains("No space left on device") || line.contains("Disk quota exceeded") {
            self.disk_full_line.get_or_insert(number);
        }
        if line.contains("Killed signal terminated program") || line.contains("virtual memory exhausted") {
            self.memory_line.get_or_insert(number);
        }
        self.see_files(line);
        if let Some(meaning) = self.meaning(line) {
            self.find(Finding { section: self.section, meaning, line: number, text: shown(line) });
        }
    }

    /// Returns why the command that wrote the log did not succeed.
    pub fn failure(&self, exit: Exit) -> Failure {
        let section = self.failed.or(self.section);
        let found = self.found(section);
        let place = section.map_or("rpmbuild", Section::name);
        let line = found.map(|it| it.line).or(self.last_command.as_ref().map(|(line, _)| *line));
        match exit {
            Exit::OutOfMemory => out_of_memory(place, line),
            Exit::TimedOut => failure("timed_out", format!("{place} was not done when the time was over"), line, None),
            Exit::LogTooLong => failure("log_too_long", format!("{place} wrote more than a log may have"), line, None),
            Exit::DiskFull => {
                failure("out_of_disk", format!("{place} took more room on the disk than it may"), line, None)
            }
            Exit::TooManyProcesses => {
                failure("too_many_processes", format!("{place} started more processes than it may have"), line, None)
            }
            _ if self.disk_full_line.is_some() => out_of_disk(place, self.disk_full_line),
            _ if self.memory_line.is_some() => out_of_memory(place, self.memory_line),
            exit => {
                let how = found.map_or_else(|| self.last_words(exit), |it| self.with_files(&it.text));
                let hint = found.and_then(|it| it.meaning.hint.clone()).or_else(|| section_hint(section));
                failure(
                    section.map_or("rpmbuild_failed", Section::failure_code),
                    format!("{place} failed: {how}"),
                    line,
                    hint,
                )
            }
        }
    }

    /// A step that says nothing fails with its last command.
    fn last_words(&self, exit: Exit) -> String {
        let how = anima_environment::exit_in_words(exit);
        match &self.last_command {
            Some((_, command)) => format!("{how}, and its last command was \"{command}\""),
            None => how,
        }
    }

    fn meaning(&self, line: &str) -> Option<Meaning> {
        // Outside of the steps' shells, whatever rpmbuild itself calls an error is the cause.
        let is_rpms = matches!(self.section, None | Some(Section::Files))
            && line.starts_with("error: ")
            && Section::fails(line).is_none();
        match is_rpms {
            true => Some(Meaning { rank: Rank::Cause, hint: None }),
            false => meaning(self.section, line),
        }
    }

    /// Keeps the first line of the best rank of each step.
    fn find(&mut self, new: Finding) {
        match self.findings.iter_mut().find(|known| known.section == new.section) {
            Some(known) if new.meaning.rank < known.meaning.rank => *known = new,
            Some(_) => {}
            None => self.findings.push(new),
        }
    }

    fn found(&self, section: Option<Section>) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.section == section)
    }

    fn see_files(&mut self, line: &str) {
        if self.section != Some(Section::Files) {
            return;
        }
        if line.starts_with("error: ") {
            self.is_naming_files = self.files.is_empty() && line.ends_with(':');
        } else if self.is_naming_files && line.trim_start().starts_with('/') && line.starts_with(' ') {
            self.files.push(line.trim().to_owned());
        } else {
            self.is_naming_files = false;
        }
    }

    /// `error: Installed (but unpackaged) file(s) found:` says which in the lines after it.
    fn with_files(&self, text: &str) -> String {
        if !text.ends_with(':') || self.files.is_empty() {
            return text.to_owned();
        }
        let shown = self.files.iter().take(MAX_NAMED_FILES).cloned().collect::<Vec<_>>().join(", ");
        match self.files.len().saturating_sub(MAX_NAMED_FILES) {
            0 => format!("{text} {shown}"),
            more => format!("{text} {shown} and {more} more"),
        }
    }
}

fn section_hint(section: Option<Section>) -> Option<String> {
    let hint = match section? {
        Section::Files => "Compare %files of the spec with what %install puts into the buildroot.",
        Section::Check => "The package's own tests fail: the log shows which.",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn out_of_memory(place: &str, line: Option<u64>) -> Failure {
    let hint = "Let it compile fewer files at once, or build it on a node with more memory.";
    failure("out_of_memory", format!("{place} needed more memory than it may have"), line, Some(hint.to_owned()))
}

fn out_of_disk(place: &str, line: Option<u64>) -> Failure {
    let hint = "Give the node's data folder more room, or let fewer tasks run on it at once.";
    failure("out_of_disk", format!("{place} failed: the node's disk is full"), line, Some(hint.to_owned()))
}

fn failure(code: &str, message: String, log_line: Option<u64>, hint: Option<String>) -> Failure {
    Failure { code: code.to_owned(), message, log_line, hint }
}

fn shown(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
