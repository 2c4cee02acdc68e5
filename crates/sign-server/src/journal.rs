//! What was signed, on the Sign Server's own disk: one JSON line for each signature, written and synced before it is made.
//!
//! So the journal may name a signature that a crash kept from being made, but never misses one that was. What stands in it
//! already is not written again: the same bytes signed again by the same key get the same signature, of the first time.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anima_types::{
    Sha256, Timestamp,
    id::TaskId,
    signature::{Form, Kind},
};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The form of a line: readers of later versions tell old lines by it. Version 1 had neither form nor kind nor name.
const VERSION: u32 = 2;
/// Signatures that are remembered, so that the same is signed as it was before: some 50 MB, a mass rebuild with all its
/// packages. What is older would get a signature with a new time, which is as good.
const MAX_REMEMBERED: usize = 500_000;

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
    /// What kind of signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// What it is, as the master said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// How it is called, as the master said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Line {
    /// Returns a line of today's form that says no more than what is signed.
    pub fn new(at: Timestamp, task: TaskId, fingerprint: String, artifact: Sha256, bytes_sha256: Sha256) -> Line {
        Line {
            version: VERSION,
            at,
            task,
            fingerprint,
            artifact,
            bytes_sha256,
            form: None,
            kind: None,
            name: String::new(),
        }
    }

    /// Returns what makes two signatures the same.
    fn essence(&self) -> [u8; 32] {
        let form = self.form.map_or("", Form::name);
        let mut hasher = sha2::Sha256::new();
        hasher.update(format!("{} {form} ", self.fingerprint));
        hasher.update(self.bytes_sha256.0);
        hasher.finalize().into()
    }
}

/// The open journal.
pub struct Journal {
    file: File,
    /// When what was signed, in seconds.
    signed: HashMap<[u8; 32], i64>,
}

impl Journal {
    /// Opens the journal at `path`, which is made where it is absent.
    pub fn open(path: &Path) -> std::io::Result<Journal> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut signed = HashMap::new();
        if file.metadata()?.is_file() {
            for line in read(&mut file)? {
                remember(&mut signed, &line);
            }
        }
        Ok(Journal { file, signed })
    }

    /// Appends the lines that are not there yet, waits until they are on the disk, and returns for each when it was signed
    /// first, in seconds since 1970.
    pub fn append(&mut self, lines: &[Line]) -> std::io::Result<Vec<i64>> {
        let mut text = Vec::new();
        if is_cut_off(&mut self.file)? {
            // A crash or a full disk cut the last line off: what follows does not run into it.
            text.push(b'\n');
        }
        let before = text.len();
        let mut first = Vec::with_capacity(lines.len());
        let mut fresh: HashMap<[u8; 32], i64> = HashMap::new();
        for line in lines {
            let essence = line.essence();
            if let Some(&at_secs) = self.signed.get(&essence).or_else(|| fresh.get(&essence)) {
                first.push(at_secs);
                continue;
            }
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
            fresh.insert(essence, line.at.epoch_secs());
            first.push(line.at.epoch_secs());
        }
        if text.len() > before {
            self.file.write_all(&text)?;
            self.file.sync_data()?;
        }
        if self.signed.len() + fresh.len() > MAX_REMEMBERED {
            self.signed.clear();
        }
        self.signed.extend(fresh);
        Ok(first)
    }
}

/// Returns the lines of a journal that can be read; what was cut off is left out.
pub fn read(file: &mut File) -> std::io::Result<Vec<Line>> {
    file.seek(SeekFrom::Start(0))?;
    let mut lines = Vec::new();
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    loop {
        text.clear();
        if reader.read_until(b'\n', &mut text)? == 0 {
            return Ok(lines);
        }
        lines.extend(serde_json::from_slice::<Line>(&text).ok());
    }
}

fn remember(signed: &mut HashMap<[u8; 32], i64>, line: &Line) {
    if signed.len() >= MAX_REMEMBERED {
        signed.clear();
    }
    signed.entry(line.essence()).or_insert(line.at.epoch_secs());
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

    fn line(task: i64, byte: u8) -> Line {
        Line::new(Timestamp(task * 1_000_000), TaskId(task), "AB".into(), Sha256([1; 32]), Sha256([byte; 32]))
    }

    #[test]
    fn lines_are_kept_when_the_journal_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");

        Journal::open(&path).unwrap().append(&[line(1, 1), line(2, 2)]).unwrap();
        Journal::open(&path).unwrap().append(&[line(3, 3)]).unwrap();

        let lines = read(&mut File::open(&path).unwrap()).unwrap();
        assert_eq!(lines, [line(1, 1), line(2, 2), line(3, 3)]);
    }

    #[test]
    fn what_is_signed_again_is_not_written_again_and_has_its_first_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        Journal::open(&path).unwrap().append(&[line(5, 1)]).unwrap();

        let mut journal = Journal::open(&path).unwrap();
        let first = journal.append(&[line(9, 1), line(9, 2), line(9, 2)]).unwrap();

        assert_eq!(first, [5, 9, 9]);
        assert_eq!(read(&mut File::open(&path).unwrap()).unwrap().len(), 2);
        let other_form = Line { form: Some(Form::Detached), ..line(11, 1) };
        assert_eq!(journal.append(&[other_form]).unwrap(), [11]);
    }

    #[test]
    fn lines_of_the_first_version_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut old: serde_json::Value = serde_json::to_value(line(1, 1)).unwrap();
        old["version"] = 1.into();
        std::fs::write(&path, format!("{old}\n")).unwrap();

        let lines = read(&mut File::open(&path).unwrap()).unwrap();

        assert_eq!((lines[0].version, lines[0].form), (1, None));
        assert_eq!(Journal::open(&path).unwrap().append(&[line(7, 1)]).unwrap(), [1]);
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        Journal::open(&path).unwrap().append(&[line(7, 1)]).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();

        Journal::open(&path).unwrap().append(&[line(7, 1)]).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n{whole}", &whole[..whole.len() / 2]));
    }
}
