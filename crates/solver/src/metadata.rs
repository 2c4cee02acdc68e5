//! Opening a metadata file: which compression it has, and whether it is the document that it should be.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::Error;

/// The largest document that is read, uncompressed. The largest known, Fedora's filelists, is under 1 GiB; a small file that
/// unpacks to more is an attack on the memory.
pub(crate) const MAX_DOCUMENT_BYTES: i64 = 4 << 30;

/// Opens the file and finds its compression by its first bytes, as files named by hash have no suffix.
///
/// Returns a name that has the suffix which libsolv goes by.
pub(crate) fn open(path: &Path) -> Result<(File, &'static CStr), Error> {
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
pub(crate) fn root_element(head: &str) -> Option<&str> {
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
        let head = "\u{feff}<?xml version=\"1.0\"?>\n<!-- <html> -->\n<!DOCTYPE x>\n<c:metadata xmlns:c=\"x\"><package>";

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
