//! Puts signatures into a package.
//!
//! The signature header is written anew: older signatures go, digests stay, and rpmbuild's reserved space
//! shrinks by what the signatures take, so that nothing after it moves.
//! Where the space is too short the header grows; nothing in a package names its place in the file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use md5::Md5;
use sha1::Sha1;
use sha2::Digest;

use crate::{
    Error, Result,
    header::{BIN, Header, INT32, Part, STRING, STRING_ARRAY, compose},
    public_key::{Family, signature_family},
    segments::{LEAD_SIZE, Segments},
};

const SIGTAG_DSAHEADER: u32 = 267;
const SIGTAG_RSAHEADER: u32 = 268;
const SIGTAG_SHA1: u32 = 269;
pub(crate) const SIGTAG_FILESIGNATURES: u32 = 274;
const SIGTAG_FILESIGNATURELENGTH: u32 = 275;
const SIGTAG_OPENPGP: u32 = 278;
const SIGTAG_RESERVED: u32 = 999;
pub(crate) const SIGTAG_PGP: u32 = 1002;
const SIGTAG_MD5: u32 = 1004;
pub(crate) const SIGTAG_GPG: u32 = 1005;
const SIGTAG_RESERVEDSPACE: u32 = 1008;

const COPY_BUFFER_BYTES: usize = 256 << 10;

/// What a package is signed with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signatures<'a> {
    /// The signature packet over the header.
    pub header: &'a [u8],
    /// The signature packet over header and payload, for clients of before EL 8. The digests that those clients look
    /// for are added where they are missing.
    pub header_and_payload: Option<&'a [u8]>,
    /// A signature for each file in hexadecimal, none for what has no content ([`crate::SigningKey::sign_files`]).
    pub files: Option<&'a [String]>,
}

/// Writes to `output` the package at `input` with `signature` over its header as its only signature.
pub fn install_signature(input: &Path, output: &Path, signature: &[u8]) -> Result<()> {
    install_signatures(input, output, &Signatures { header: signature, ..Signatures::default() })
}

/// Writes to `output` the package at `input` with `signatures` as its only signatures.
///
/// The payload is copied byte for byte, and checked against its digest on the way. `output` appears
/// only when it is whole; it may be `input` itself. The signatures are not verified here.
pub fn install_signatures(input: &Path, output: &Path, signatures: &Signatures<'_>) -> Result<()> {
    let (segments, mut payload) = Segments::open(input)?;
    segments.check_header_digest()?;
    let wanted = segments.payload_digest().ok_or(Error::NoDigest { part: "payload" })?;
    let mut entries = new_entries(signatures)?;
    if signatures.header_and_payload.is_some() {
        entries.extend(old_digests(input, &segments)?);
    }

    let writing = || Error::file("write", output);
    let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".signing-").tempfile_in(dir).map_err(writing())?;
    let mut writer = BufWriter::with_capacity(COPY_BUFFER_BYTES, temporary.as_file_mut());
    let head = [&segments.lead[..], &signature_header(&segments.signature, &entries), &segments.header.bytes];
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

/// An entry that is added: tag, type, count, data.
type NewEntry = (u32, u32, u32, Vec<u8>);

fn new_entries(signatures: &Signatures<'_>) -> Result<Vec<NewEntry>> {
    let packet = |tag: u32, packet: &[u8]| (tag, BIN, packet.len() as u32, packet.to_vec());
    let family = signature_family(signatures.header)?;
    let mut entries = vec![match family {
        Family::Rsa => packet(SIGTAG_RSAHEADER, signatures.header),
        Family::Other => packet(SIGTAG_DSAHEADER, signatures.header),
    }];
    if let Some(signature) = signatures.header_and_payload {
        entries.push(match signature_family(signature)? {
            Family::Rsa => packet(SIGTAG_PGP, signature),
            Family::Other => packet(SIGTAG_GPG, signature),
        });
    }
    if let Some(files) = signatures.files.filter(|files| !files.is_empty()) {
        let length = files.iter().map(|file| file.len() / 2).max().unwrap_or(0) as u32;
        let texts = files.iter().flat_map(|file| file.bytes().chain([0])).collect();
        entries.push((SIGTAG_FILESIGNATURES, STRING_ARRAY, files.len() as u32, texts));
        entries.push((SIGTAG_FILESIGNATURELENGTH, INT32, 1, length.to_be_bytes().to_vec()));
    }
    Ok(entries)
}

/// Returns the digests that clients of before EL 8 look for and newer builders leave out.
fn old_digests(input: &Path, segments: &Segments) -> Result<Vec<NewEntry>> {
    let is_missing = |tag| !segments.signature.entries().iter().any(|entry| entry.tag == tag);
    let mut entries = Vec::new();
    if is_missing(SIGTAG_SHA1) {
        let text = hex::encode(Sha1::digest(&segments.header.bytes)) + "\0";
        entries.push((SIGTAG_SHA1, STRING, 1, text.into_bytes()));
    }
    if is_missing(SIGTAG_MD5) {
        let mut hasher = Md5::new_with_prefix(&segments.header.bytes);
        let (_, mut payload) = Segments::open(input)?;
        each_piece(&mut payload, |piece| hasher.update(piece)).map_err(Error::file("read", input))?;
        entries.push((SIGTAG_MD5, BIN, 16, hasher.finalize().to_vec()));
    }
    Ok(entries)
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
    let mut written = Ok(());
    each_piece(reader, |piece| {
        hasher.update(piece);
        if written.is_ok() {
            written = writer.write_all(piece);
        }
    })?;
    written.map(|()| hasher.finalize().into())
}

/// Reads to the end in pieces.
pub(crate) fn each_piece(reader: &mut impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            read => take(&buffer[..read]),
        }
    }
}

/// Returns the new signature header, padded to the old one's size where it fits.
fn signature_header(old: &Header, added: &[NewEntry]) -> Vec<u8> {
    let mut entries: Vec<(u32, u32, u32, &[u8])> = old
        .entries()
        .iter()
        .filter(|entry| !is_replaced(entry.tag))
        .map(|entry| (entry.tag, entry.kind, entry.count, old.data(entry)))
        .collect();
    entries.extend(added.iter().map(|(tag, kind, count, data)| (*tag, *kind, *count, &data[..])));
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

/// Signatures of other keys go, also those over header and payload together and of files: the package is ours now.
fn is_replaced(tag: u32) -> bool {
    matches!(
        tag,
        SIGTAG_DSAHEADER
            | SIGTAG_RSAHEADER
            | SIGTAG_FILESIGNATURES
            | SIGTAG_FILESIGNATURELENGTH
            | SIGTAG_OPENPGP
            | SIGTAG_RESERVED
            | SIGTAG_PGP
            | SIGTAG_GPG
            | SIGTAG_RESERVEDSPACE
    )
}
