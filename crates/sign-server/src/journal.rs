//! What was signed, on the Sign Server's own disk: one JSON line for each signature, written and synced before it is given away.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anima_types::{Sha256, Timestamp, id::TaskId};
use serde::{Deserialize, Serialize};

/// The form of a line: readers of later versions tell old lines by it.
const VERSION: u32 = 1;

/// One signature that was made.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The form of this line.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// For which task.
    pub task: TaskId,
    /// With which key.
    pub fingerprint: String,
    /// The artifact that the master named.
    pub artifact: Sha256,
    /// The bytes that were signed.
    pub bytes_sha256: Sha256,
}

impl Line {
    /// Returns a line of today's form.
    pub fn new(at: Timestamp, task: TaskId, fingerprint: String, artifact: Sha256, bytes_sha256: Sha256) -> Line {
        Line { version: VERSION, at, task, fingerprint, artifact, bytes_sha256 }
    }
}

/// The open journal.
pub struct Journal(File);

impl Journal {
    /// Opens the journal at `path`, which is made where it is absent.
    pub fn open(path: &Path) -> std::io::Result<Journal> {
        Ok(Journal(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?))
    }

    /// Appends the lines and waits until they are on the disk.
    pub fn append(&mut self, lines: &[Line]) -> std::io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.0.write_all(&text)?;
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_when_the_journal_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let line = |task| Line::new(Timestamp(1), TaskId(task), "AB".into(), Sha256([1; 32]), Sha256([2; 32]));

        Journal::open(&path).unwrap().append(&[line(1), line(2)]).unwrap();
        Journal::open(&path).unwrap().append(&[line(3)]).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, [line(1), line(2), line(3)]);
    }
}
