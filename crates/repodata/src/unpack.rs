//! Reads a metadata file that was fetched under a name of its own: what packed it is known by its first bytes.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek},
    path::Path,
};

use crate::{
    Error, Result,
    compression::{MAX_OPEN_BYTES, open},
};

/// The first bytes of packed files, and the suffix that is usual for each.
const MAGIC: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "x.gz"),
    (b"\x28\xb5\x2f\xfd", "x.zst"),
    (b"\xfd7zXZ\x00", "x.xz"),
    (b"BZh", "x.bz2"),
    (b"\0ZCK1", "x.zck"),
];

/// Returns what the file at `path` unpacks to, within bounds. Its checksum is the caller's to check.
pub fn unpacked_file(path: &Path) -> Result<Box<dyn BufRead>> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let mut start = Vec::new();
    (&mut file).take(6).read_to_end(&mut start).map_err(Error::file("read", path))?;
    file.rewind().map_err(Error::file("read", path))?;
    let name = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map_or("x", |(_, name)| name);
    let failed = |source| Error::Stream { action: "unpack", name: path.display().to_string(), source };
    open(name, BufReader::new(file), MAX_OPEN_BYTES).map_err(failed)
}
