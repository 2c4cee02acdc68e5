//! From the log of a build to why it failed: which step, which line first, and what to do about it.
//!
//! Classes of failures are data ([`classes.toml`](../src/classes.toml)): a new one is a record there and an example in the
//! corpus of the build node's tests. [`Reader`] takes a log line by line while it is written, or at once ([`read`]).
//!
//! It refuses to do I/O, to know nodes and repositories, and to guess: where no class fits, it says what ran last.

mod class;
mod need;
mod reader;
mod section;
mod spec;
#[cfg(test)]
mod tests;
mod text;

use anima_types::diagnosis::{Finding, Need};
use anima_types::work::Failure;

pub use class::{Class, Classes, Groups, Rank};
pub use need::{Question, questions};
pub use reader::Reader;
pub use section::Section;
pub use spec::{SpecError, spec_error};

/// How the command that wrote a log ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Nobody knows: only the log is there.
    Unknown,
    /// By itself, with this code.
    Exited(i32),
    /// By a signal from inside.
    Signaled(i32),
    /// It needed more memory than it may have.
    OutOfMemory,
    /// It took more room on the disk than it may.
    DiskFull,
    /// It failed while the disk of the machine was full.
    NodeDiskFull,
    /// Its time was over.
    TimedOut,
    /// Its log is longer than it may be.
    LogTooLong,
    /// It wanted more processes than it may have.
    TooManyProcesses,
}

impl End {
    /// Returns the word that classes have for an end from outside.
    fn word(self) -> Option<&'static str> {
        Some(match self {
            End::Unknown | End::Exited(_) => return None,
            End::Signaled(_) => "signal",
            End::OutOfMemory => "out_of_memory",
            End::DiskFull => "out_of_disk",
            End::NodeDiskFull => "node_disk_full",
            End::TimedOut => "timed_out",
            End::LogTooLong => "log_too_long",
            End::TooManyProcesses => "too_many_processes",
        })
    }
}

/// Reads a whole log.
pub fn read(log: &[u8]) -> Reader {
    let mut reader = Reader::default();
    let log = log.strip_suffix(b"\n").unwrap_or(log);
    for (line, number) in log.split(|&byte| byte == b'\n').zip(1..) {
        reader.see(number, &String::from_utf8_lossy(line));
    }
    reader
}

/// Gives a failure that nobody found in a log a finding, by its code or by what its sentence says, so that each has one.
pub fn complete(failure: &mut Failure) {
    if !failure.findings.is_empty() {
        return;
    }
    let known = Classes::known();
    let said = known.of_line(None, &failure.message).class.filter(|(class, _)| class.rank == Rank::Cause);
    let (class, groups) = match (said, known.of_failure(&failure.code)) {
        (Some((class, groups)), _) => (Some(class), groups),
        (None, class) => (class, Groups::default()),
    };
    let name = groups.get("what").cloned();
    failure.findings.push(Finding {
        class: class.map_or(&failure.code, |class| &class.code).clone(),
        title: class.map_or_else(|| failure.code.replace('_', " "), |class| class.title.clone()),
        message: failure.message.clone(),
        log_line: failure.log_line,
        cure: failure.hint.clone().or_else(|| class?.cure(&groups, &[])),
        need: class.and_then(|class| class.need).zip(name).map(|(kind, name)| Need {
            kind,
            name,
            packages: Vec::new(),
        }),
        ..Finding::default()
    });
    failure.hint = failure.hint.take().or_else(|| failure.findings[0].cure.clone());
}

/// Adds the packages of the platform that have what a finding misses; its cure is then more exact.
pub fn tell_packages(finding: &mut Finding, packages: Vec<String>) {
    let (Some(need), Some(class)) = (&mut finding.need, Classes::known().of_code(&finding.class)) else { return };
    need.packages = packages;
    if !need.packages.is_empty() {
        let groups = [("what".to_owned(), need.name.clone())].into();
        finding.cure = class.cure(&groups, &need.packages);
    }
}
