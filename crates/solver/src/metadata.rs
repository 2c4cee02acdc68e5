//! From metadata files to libsolv's own form of a repository.
//!
//! The XML is read into a pool of its own: whatever is in it cannot leave a half-read repository in the pool that answers, and
//! a repository from its cache is the same, to the order of its strings, as one that was read just now.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::IntoRawFd;
use std::path::Path;

use crate::pool::{Pool, text};
use crate::{Error, RepodataFiles, ffi};

/// The largest document that is read, uncompressed. The largest known, Fedora's filelists, is under 1 GiB; a small file that
/// unpacks to more is an attack on the memory.
const MAX_DOCUMENT_BYTES: i64 = 4 << 30;

/// Reads the files of one repository, checks that they are what they should be, and returns libsolv's form of it.
pub(crate) fn to_bytes(name: &str, arch: &str, files: &RepodataFiles<'_>) -> Result<Vec<u8>, Error> {
    let scratch = Pool::new(arch)?;
    let repoid = scratch.begin(name, 0);
    load_document(&scratch, name, repoid, files.primary, ffi::DOCUMENT_PRIMARY, "metadata")?;
    if let Some(path) = files.filelists {
        load_document(&scratch, name, repoid, path, ffi::DOCUMENT_FILELISTS, "filelists")?;
    }
    scratch.repository_bytes(repoid).ok_or_else(|| Error::Metadata {
        repository: name.to_owned(),
        path: files.primary.to_owned(),
        reason: scratch.last_error(),
    })
}

fn load_document(
    pool: &Pool,
    name: &str,
    repoid: c_int,
    path: &Path,
    document: c_int,
    root: &str,
) -> Result<(), Error> {
    let failed = |reason| Error::Metadata { repository: name.to_owned(), path: path.to_owned(), reason };
    let (file, suffix) = open(path)?;
    let (fd, limit) = (file.into_raw_fd(), MAX_DOCUMENT_BYTES);
    let result = unsafe { ffi::anima_solv_repo_add_xml(pool.raw(), repoid, fd, suffix.as_ptr(), document, limit) };
    if result != 0 {
        return Err(failed(pool.last_error()));
    }
    let head = text(unsafe { ffi::anima_solv_head(pool.raw()) }).unwrap_or_default();
    match root_element(&head) {
        Some(element) if element == root => Ok(()),
        Some(element) => Err(failed(format!("its root element is {element:?}, not {root:?}"))),
        None => Err(failed(format!("it has no root element {root:?}"))),
    }
}

/// Opens the file and finds its compression by its first bytes, as files named by hash have no suffix.
///
/// Returns a name that has the suffix which libsolv goes by.
fn open(path: &Path) -> Result<(File, &'static CStr), Error> {
    let failed = |source| Error::File { action: "open", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    (&mut file).take(6).read_to_end(&mut start).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok((file, compression(&start)))
}

fn compression(start: &[u8]) -> &'static CStr {
    const MAGIC: [(&[u8], &CStr); 5] = [
        (b"\x1f\x8b", c"x.gz"),
        (b"\x28\xb5\x2f\xfd", c"x.zst"),
        (b"\xfd7zXZ\x00", c"x.xz"),
        (b"BZh", c"x.bz2"),
        (b"\0ZCK1", c"x.zck"),
    ];
    MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map_or(c"x", |(_, name)| name)
}

/// Returns the local name of the document's root element, from its first bytes.
///
/// libsolv reads any well-formed XML: a server's error page would be an empty repository.
fn root_element(head: &str) -> Option<&str> {
    let mut rest = head;
    loop {
        rest = &rest[rest.find('<')? + 1..];
        let end = match rest.chars().next()? {
            '?' => "?>",
            '!' if rest.starts_with("!--") => "-->",
            '!' => ">",
            _ => break,
        };
        rest = &rest[rest.find(end)? + end.len()..];
    }
    let name = rest.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next()?;
    Some(name.rsplit(':').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_element_is_found_behind_declarations_and_comments() {
        let head =
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- <html> -->\n<!DOCTYPE x>\n<c:metadata xmlns:c=\"x\"><package>";

        assert_eq!(root_element(head), Some("metadata"));
        assert_eq!(root_element("<filelists/>"), Some("filelists"));
        assert_eq!(root_element("no xml at all"), None);
        assert_eq!(root_element("<!-- never closed"), None);
    }

    #[test]
    fn compression_is_known_by_the_first_bytes() {
        assert_eq!(compression(b"\x1f\x8b\x08\0"), c"x.gz");
        assert_eq!(compression(b"\x28\xb5\x2f\xfd\0"), c"x.zst");
        assert_eq!(compression(b"<?xml"), c"x");
        assert_eq!(compression(b""), c"x");
    }
}
