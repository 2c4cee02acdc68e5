//! A repository in a folder: its metadata, checked before it is believed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    Checksum, Error, Package, PrimaryReader, Record, Repomd, Result,
    compression::{MAX_OPEN_BYTES, open},
    repomd::MAX_REPOMD_BYTES,
};

const READ_BUFFER_BYTES: usize = 256 << 10;

/// A repository's folder and its index.
#[derive(Clone, Debug)]
pub struct Repository {
    dir: PathBuf,
    /// The index.
    pub repomd: Repomd,
}

impl Repository {
    /// Reads the index of the repository in `dir`.
    pub fn open(dir: &Path) -> Result<Repository> {
        let path = dir.join("repodata/repomd.xml");
        let file = File::open(&path).map_err(Error::file("open", &path))?;
        let mut bytes = Vec::new();
        file.take(MAX_REPOMD_BYTES + 1).read_to_end(&mut bytes).map_err(Error::file("read", &path))?;
        Ok(Repository { dir: dir.to_path_buf(), repomd: Repomd::parse(&bytes)? })
    }

    /// Checks every file that the index names: size, checksum, and what it unpacks to.
    pub fn verify(&self) -> Result<()> {
        self.repomd.records.iter().try_for_each(|record| self.verify_record(record))
    }

    /// Returns the unpacked content of a file whose size and checksum have been checked.
    pub fn open_record(&self, record: &Record) -> Result<Box<dyn BufRead>> {
        self.verify_packed(record)?;
        self.unpacked(record)
    }

    /// Returns the packages, read one by one.
    pub fn packages(&self) -> Result<PrimaryReader<Box<dyn BufRead>>> {
        let record = self.repomd.record("primary")?;
        Ok(PrimaryReader::new(self.open_record(record)?, &record.location))
    }

    /// Returns all packages at once.
    pub fn read_packages(&self) -> Result<Vec<Package>> {
        self.packages()?.collect()
    }

    fn verify_record(&self, record: &Record) -> Result<()> {
        self.verify_packed(record)?;
        if let Some(checksum) = &record.open_checksum {
            let reader = self.unpacked(record)?;
            check(&record.location, reader, checksum, record.open_size_bytes)
                .map_err(|error| self.unpacking(record, error))?;
        }
        Ok(())
    }

    fn verify_packed(&self, record: &Record) -> Result<()> {
        check(&record.location, self.file(record)?, &record.checksum, record.size_bytes)
    }

    fn unpacked(&self, record: &Record) -> Result<Box<dyn BufRead>> {
        let max_bytes = record.open_size_bytes.unwrap_or(MAX_OPEN_BYTES).min(MAX_OPEN_BYTES);
        let name = record.location.clone();
        open(&record.location, BufReader::new(self.file(record)?), max_bytes).map_err(|source| Error::Stream {
            action: "unpack",
            name,
            source,
        })
    }

    fn unpacking(&self, record: &Record, error: Error) -> Error {
        match error {
            Error::Stream { source, .. } => Error::Stream { action: "unpack", name: record.location.clone(), source },
            error => error,
        }
    }

    fn file(&self, record: &Record) -> Result<File> {
        let path = self.dir.join(&record.location);
        File::open(&path).map_err(Error::file("open", &path))
    }
}

/// Reads to the end and compares size and checksum; stops as soon as there is too much.
fn check(name: &str, mut reader: impl Read, checksum: &Checksum, size_bytes: Option<u64>) -> Result<()> {
    let mut hasher = checksum.hasher(name)?;
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut actual_bytes = 0;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::Stream { action: "read", name: name.to_string(), source }),
        };
        actual_bytes += read as u64;
        hasher.update(&buffer[..read]);
        if size_bytes.is_some_and(|expected| actual_bytes > expected) {
            break;
        }
    }
    let mismatch =
        |what, expected: String, actual: String| Error::Mismatch { name: name.to_string(), what, expected, actual };
    if let Some(expected) = size_bytes.filter(|expected| *expected != actual_bytes) {
        return Err(mismatch("size", expected.to_string(), actual_bytes.to_string()));
    }
    let actual = hex::encode(hasher.finalize());
    match actual == checksum.hex {
        true => Ok(()),
        false => Err(mismatch("checksum", checksum.hex.clone(), actual)),
    }
}
