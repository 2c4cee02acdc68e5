//! What was signed, on the Sign Server's own disk: one JSON line for each signature, written and synced before it is made.
//!
//! So the journal may name a signature that a crash kept from being made, but never misses one that was.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anima_types::{Sha256, Timestamp, id::TaskId};
use serde::{Deserialize, Serialize};

/// The form of a line: readers of later versions tell old lines by it.
const VERSION: u32 = 1;

/// One signature.
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
        Ok(Journal(OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?))
    }

    /// Appends the lines and waits until they are on the disk.
    pub fn append(&mut self, lines: &[Line]) -> std::io::Result<()> {
        let mut text = Vec::new();
        if is_cut_off(&mut self.0)? {
            // A crash or a full disk cut the last line off: what follows does not run into it.
            text.push(b'\n');
        }
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.0.write_all(&text)?;
        self.0.sync_data()
    }
}

fn is_cut_off(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
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

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let line = Line::new(Timestamp(1), TaskId(7), "AB".into(), Sha256([1; 32]), Sha256([2; 32]));
        Journal::open(&path).unwrap().append(std::slice::from_ref(&line)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();

        Journal::open(&path).unwrap().append(std::slice::from_ref(&line)).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n{whole}", &whole[..whole.len() / 2]));
    }
}
