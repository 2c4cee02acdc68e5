//! The parts of a package file: lead, signature header, header, payload.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use anima_types::{Evr, Nevra, Sha256};
use sha2::Digest;

use crate::{
    DigestState, Error, Result,
    header::{Header, Part},
    install::each_piece,
};

/// The size of the lead, which only tells that the file is an RPM.
pub(crate) const LEAD_SIZE: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

const SIGTAG_SHA256: u32 = 273;
const SIGTAG_SIZE: u32 = 1000;
const SIGTAG_LONGSIZE: u32 = 270;
const TAG_PAYLOADDIGEST: u32 = 5092;
const TAG_NAME: u32 = 1000;
const TAG_VERSION: u32 = 1001;
const TAG_RELEASE: u32 = 1002;
const TAG_EPOCH: u32 = 1003;
const TAG_ARCH: u32 = 1022;
const TAG_SOURCERPM: u32 = 1044;

/// All of a package but its payload.
pub(crate) struct Segments {
    pub(crate) lead: Vec<u8>,
    pub(crate) signature: Header,
    pub(crate) header: Header,
}

/// A package's header exactly as it is signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderBytes {
    /// The header, from its magic to its last byte.
    pub bytes: Vec<u8>,
    /// The digest of these bytes.
    pub sha256: Sha256,
}

/// Returns what a signature on the package at `path` has to cover.
///
/// The payload is not read, but a package that is cut off or whose header was altered is refused.
pub fn header_bytes(path: &Path) -> Result<HeaderBytes> {
    let (segments, _) = Segments::open(path)?;
    let sha256 = segments.check_header_digest()?;
    Ok(HeaderBytes { bytes: segments.header.bytes, sha256 })
}

/// Returns what SHA-256 remembers of a package's header and payload, which is what a signature for old clients covers.
pub fn digest_state(path: &Path) -> Result<DigestState> {
    let (segments, mut payload) = Segments::open(path)?;
    segments.check_header_digest()?;
    let mut state = DigestState::default();
    state.update(&segments.header.bytes);
    each_piece(&mut payload, |piece| state.update(piece)).map_err(Error::file("read", path))?;
    Ok(state)
}

/// Returns the package that a header says it is of; the architecture of a source package is `src`.
pub fn header_nevra(bytes: &[u8]) -> Result<Nevra> {
    let header = Header::read(&mut &bytes[..], Part::Main)?;
    let missing = |what: &str| Error::malformed(Part::Main.name(), format!("it has no {what}"));
    let text = |tag, what| header.text(tag).map(str::to_string).ok_or_else(|| missing(what));
    // Only binary packages name the source package that they were made from.
    let is_source = header.text(TAG_SOURCERPM).is_none();
    let arch = if is_source { "src".to_string() } else { text(TAG_ARCH, "architecture")? };
    Ok(Nevra {
        name: text(TAG_NAME, "name")?,
        evr: Evr {
            epoch: header.number(TAG_EPOCH).unwrap_or(0) as u32,
            version: text(TAG_VERSION, "version")?,
            release: text(TAG_RELEASE, "release")?,
        },
        arch,
    })
}

/// Checks that these bytes are one package's header as it is signed, and nothing besides.
///
/// It is for who signs what others send: a package, a payload or a header with something behind it is refused.
pub fn check_header_bytes(bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    Header::read(&mut rest, Part::Main)?;
    match rest.len() {
        0 => Ok(()),
        behind => Err(Error::malformed(Part::Main.name(), format!("{behind} bytes follow it"))),
    }
}

/// Returns whether a file begins as packages do.
pub fn is_package(bytes: &[u8]) -> bool {
    bytes.starts_with(&LEAD_MAGIC)
}

impl Segments {
    /// Reads them from a file and leaves the reader at the payload; the file has to be whole.
    pub(crate) fn open(path: &Path) -> Result<(Segments, BufReader<File>)> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        let size = file.metadata().map_err(Error::file("read", path))?.len();
        let mut reader = BufReader::new(file);
        let segments = Segments::read(&mut reader)?;
        segments.check_size(size)?;
        Ok((segments, reader))
    }

    /// Reads them and leaves the reader at the payload.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Segments> {
        let mut lead = Vec::with_capacity(LEAD_SIZE);
        reader.by_ref().take(LEAD_SIZE as u64).read_to_end(&mut lead).map_err(Error::Read)?;
        if !lead.starts_with(&LEAD_MAGIC) {
            return Err(Error::NotRpm);
        }
        if lead.len() < LEAD_SIZE {
            return Err(Error::CutOff { part: "lead" });
        }
        let signature = Header::read(reader, Part::Signature)?;
        let padding = signature.bytes.len().next_multiple_of(8) - signature.bytes.len();
        let mut skipped = Vec::with_capacity(8);
        reader.by_ref().take(padding as u64).read_to_end(&mut skipped).map_err(Error::Read)?;
        if skipped.len() < padding {
            return Err(Error::CutOff { part: Part::Signature.name() });
        }
        let header = Header::read(reader, Part::Main)?;
        Ok(Segments { lead, signature, header })
    }

    pub(crate) fn header_start(&self) -> u64 {
        (LEAD_SIZE + self.signature.bytes.len().next_multiple_of(8)) as u64
    }

    pub(crate) fn header_end(&self) -> u64 {
        self.header_start() + self.header.bytes.len() as u64
    }

    /// Returns how long the file should be, if the package says so.
    pub(crate) fn file_size(&self) -> Option<u64> {
        let size = self.signature.number(SIGTAG_LONGSIZE).or_else(|| self.signature.number(SIGTAG_SIZE))?;
        self.header_start().checked_add(size)
    }

    pub(crate) fn payload_digest(&self) -> Option<Sha256> {
        self.header.text(TAG_PAYLOADDIGEST)?.parse().ok()
    }

    /// Checks the header against the digest beside it and returns the digest.
    pub(crate) fn check_header_digest(&self) -> Result<Sha256> {
        let part = Part::Main.name();
        let wanted = self.signature.text(SIGTAG_SHA256).ok_or(Error::NoDigest { part })?;
        let actual = Sha256(sha2::Sha256::digest(&self.header.bytes).into());
        match wanted.eq_ignore_ascii_case(&actual.to_string()) {
            true => Ok(actual),
            false => Err(Error::WrongDigest { part }),
        }
    }

    fn check_size(&self, actual: u64) -> Result<()> {
        match self.file_size() {
            Some(expected) if expected != actual => Err(Error::WrongLength { expected, actual }),
            _ => Ok(()),
        }
    }
}
