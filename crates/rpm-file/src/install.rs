//! Puts a signature into a package.
//!
//! The signature header is written anew: older signatures go, digests and file signatures stay, and
//! rpmbuild's reserved space shrinks by what the signature takes, so that nothing after it moves.
//! Where the space is too short the header grows; nothing in a package names its place in the file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use sha2::Digest;

use crate::{
    Error, Result,
    header::{BIN, Header, Part, compose},
    public_key::{Family, signature_family},
    segments::{LEAD_SIZE, Segments},
};

const SIGTAG_DSAHEADER: u32 = 267;
const SIGTAG_RSAHEADER: u32 = 268;
const SIGTAG_OPENPGP: u32 = 278;
const SIGTAG_RESERVED: u32 = 999;
const SIGTAG_PGP: u32 = 1002;
const SIGTAG_GPG: u32 = 1005;
const SIGTAG_RESERVEDSPACE: u32 = 1008;

const COPY_BUFFER_BYTES: usize = 256 << 10;

/// Writes to `output` the package at `input` with `signature` as its only signature.
///
/// The payload is copied byte for byte, and checked against its digest on the way. `output` appears
/// only when it is whole; it may be `input` itself. The signature is not verified here.
pub fn install_signature(input: &Path, output: &Path, signature: &[u8]) -> Result<()> {
    let family = signature_family(signature)?;
    let (segments, mut payload) = Segments::open(input)?;
    segments.check_header_digest()?;
    let wanted = segments.payload_digest().ok_or(Error::NoDigest { part: "payload" })?;

    let writing = || Error::file("write", output);
    let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".signing-").tempfile_in(dir).map_err(writing())?;
    let mut writer = BufWriter::with_capacity(COPY_BUFFER_BYTES, temporary.as_file_mut());
    let head = [&segments.lead[..], &signature_header(&segments.signature, family, signature), &segments.header.bytes];
    for bytes in head {
        writer.write_all(bytes).map_err(writing())?;
    }
    if copy(&mut payload, &mut writer).map_err(Error::file("copy", input))? != wanted.0 {
        return Err(Error::WrongDigest { part: "payload" });
    }
    writer.flush().map_err(writing())?;
    drop(writer);
    finish(input, output, temporary)
}

/// Moves the whole file to its place with the permissions of the old one.
fn finish(input: &Path, output: &Path, temporary: tempfile::NamedTempFile) -> Result<()> {
    let writing = || Error::file("write", output);
    let permissions = fs::metadata(input).map_err(Error::file("read", input))?.permissions();
    let file: &File = temporary.as_file();
    file.set_permissions(permissions).map_err(writing())?;
    file.sync_all().map_err(writing())?;
    temporary.persist(output).map_err(|error| writing()(error.error))?;
    Ok(())
}

fn copy(reader: &mut impl Read, writer: &mut impl Write) -> io::Result<[u8; 32]> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            read => {
                hasher.update(&buffer[..read]);
                writer.write_all(&buffer[..read])?;
            }
        }
    }
}

/// Returns the new signature header, padded to the old one's size where it fits.
fn signature_header(old: &Header, family: Family, signature: &[u8]) -> Vec<u8> {
    let tag = match family {
        Family::Rsa => SIGTAG_RSAHEADER,
        Family::Other => SIGTAG_DSAHEADER,
    };
    let mut entries: Vec<(u32, u32, u32, &[u8])> = old
        .entries()
        .iter()
        .filter(|entry| !is_replaced(entry.tag))
        .map(|entry| (entry.tag, entry.kind, entry.count, old.data(entry)))
        .collect();
    entries.push((tag, BIN, signature.len() as u32, signature));
    entries.sort_by_key(|entry| entry.0);

    let had_space = old.entries().iter().any(|entry| entry.tag == SIGTAG_RESERVEDSPACE);
    let mut new = compose(Part::Signature, &entries);
    if had_space {
        // One byte of space tells how much the entry itself takes.
        let with_byte = compose(Part::Signature, &with_space(&entries, &[0]));
        if let Some(rest) = padded(&old.bytes).checked_sub(with_byte.len()) {
            new = compose(Part::Signature, &with_space(&entries, &vec![0; rest + 1]));
        }
    }
    new.resize(padded(&new), 0);
    debug_assert!((LEAD_SIZE + new.len()).is_multiple_of(8));
    new
}

fn with_space<'a>(entries: &[(u32, u32, u32, &'a [u8])], space: &'a [u8]) -> Vec<(u32, u32, u32, &'a [u8])> {
    // The tag of the space is larger than any other that rpm writes.
    let mut entries = entries.to_vec();
    entries.push((SIGTAG_RESERVEDSPACE, BIN, space.len() as u32, space));
    entries
}

fn padded(header: &[u8]) -> usize {
    header.len().next_multiple_of(8)
}

/// Signatures of other keys and over header and payload together go: the package is ours now.
fn is_replaced(tag: u32) -> bool {
    matches!(
        tag,
        SIGTAG_DSAHEADER
            | SIGTAG_RSAHEADER
            | SIGTAG_OPENPGP
            | SIGTAG_RESERVED
            | SIGTAG_PGP
            | SIGTAG_GPG
            | SIGTAG_RESERVEDSPACE
    )
}
