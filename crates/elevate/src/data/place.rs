//! Where in a file something stands.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// A file, a line and a column, both counted from 1.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column, in bytes.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A document, so that the place of each piece of it can be told.
pub(crate) struct Source<'a> {
    pub file: &'a Path,
    pub text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Source<'a> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { file, text, lines }
    }

    /// Returns the place of a byte of the text.
    fn place_at(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        Place { file: self.file.to_path_buf(), line: line.max(1), column: offset - start + 1 }
    }

    /// Returns the document's first place.
    pub fn beginning(&self) -> Place {
        self.place_at(0)
    }

    /// Returns the place of a piece of the text.
    pub fn place(&self, piece: &RawValue) -> Place {
        self.place_at(self.offset(piece.get()))
    }

    fn offset(&self, piece: &str) -> usize {
        (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    /// Reads the whole document.
    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T> {
        serde_json::from_str(self.text).map_err(|error| self.failed(self.text, &error))
    }

    /// Reads a piece of it.
    pub fn parse_piece<T: serde::de::DeserializeOwned>(&self, piece: &RawValue) -> Result<T> {
        serde_json::from_str(piece.get()).map_err(|error| self.failed(piece.get(), &error))
    }

    /// The parser counts lines and columns from the beginning of what it was given.
    fn failed(&self, piece: &str, error: &serde_json::Error) -> Error {
        let before: usize = piece.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let offset = self.offset(piece) + before + error.column().saturating_sub(1);
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text).to_string();
        Error::Data { place: self.place_at(offset.min(self.text.len())), reason }
    }

    /// Checks a text of the document that stands for something; its place is that of its first occurrence.
    pub fn check_text<T: std::str::FromStr<Err: fmt::Display>>(&self, text: &str) -> Result<()> {
        let Err(error) = text.parse::<T>() else { return Ok(()) };
        let offset = self.text.find(&format!("\"{text}\"")).unwrap_or(0);
        Err(Error::Data { place: self.place_at(offset), reason: error.to_string() })
    }

    /// Returns the error for a piece that says what cannot be.
    pub fn refuse(&self, piece: &RawValue, reason: impl Into<String>) -> Error {
        Error::Data { place: self.place(piece), reason: reason.into() }
    }
}
