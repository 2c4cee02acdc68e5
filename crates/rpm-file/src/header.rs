//! One header of a package, checked as strictly as rpm itself does before anything reads from it.
//!
//! The `rpm` crate trusts offsets and counts; a hostile file would make it panic or fill the
//! memory. So no header reaches it that has not passed here.

use std::io::Read;

use crate::{Error, Result};

/// The most index entries of a main header: rpm's own limit.
const MAX_ENTRIES: u32 = 65_535;
/// The most data of a main header. rpm allows 256 MiB; the largest known package, with 100,000
/// files, needs 20 MiB.
const MAX_DATA: u32 = 64 << 20;
/// The most index entries of a signature header: rpm's own limit.
const MAX_SIGNATURE_ENTRIES: u32 = 32;
/// The most data of a signature header: signatures of each file (IMA) make it large.
const MAX_SIGNATURE_DATA: u32 = 64 << 20;
/// The most texts in lists: each is one byte there at least, and thirty times as much in memory. 300,000 files have nine
/// tenths of so many.
const MAX_TEXTS: u64 = 3_000_000;

const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
const INTRO_SIZE: usize = 16;
const ENTRY_SIZE: usize = 16;

/// The type of the region entry and of raw bytes.
pub(crate) const BIN: u32 = 7;
/// The type of numbers of 32 bits.
pub(crate) const INT32: u32 = 4;
/// The type of one text.
pub(crate) const STRING: u32 = 6;
/// The type of a list of texts.
pub(crate) const STRING_ARRAY: u32 = 8;
/// The type of a text in several languages.
const I18N_STRING: u32 = 9;

/// Which of the two headers of a package it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Signature,
    Main,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Signature => "signature header",
            Part::Main => "header",
        }
    }

    /// The tag of the entry that frames all others.
    pub(crate) fn region_tag(self) -> u32 {
        match self {
            Part::Signature => 62,
            Part::Main => 63,
        }
    }

    fn limits(self) -> (u32, u32) {
        match self {
            Part::Signature => (MAX_SIGNATURE_ENTRIES, MAX_SIGNATURE_DATA),
            Part::Main => (MAX_ENTRIES, MAX_DATA),
        }
    }
}

/// A header whose every entry lies within its data, in order, terminated, not overlapping.
#[derive(Clone)]
pub(crate) struct Header {
    /// The header as it stands in the file, from its magic on, without padding.
    pub(crate) bytes: Vec<u8>,
    entries: Vec<Entry>,
    data_start: usize,
}

/// One tag of a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) tag: u32,
    pub(crate) kind: u32,
    pub(crate) count: u32,
    offset: usize,
    len: usize,
}

impl Header {
    /// Reads one header and refuses it if it breaks a rule; never allocates more than the file has.
    pub(crate) fn read(reader: &mut impl Read, part: Part) -> Result<Header> {
        let mut bytes = Vec::with_capacity(INTRO_SIZE);
        take(reader, INTRO_SIZE, &mut bytes, part)?;
        if bytes[..8] != MAGIC {
            return Err(Error::malformed(part.name(), "its magic is wrong"));
        }
        let (entry_count, data_size) = (word(&bytes, 8), word(&bytes, 12));
        let (max_entries, max_data) = part.limits();
        if entry_count == 0 || entry_count > max_entries || data_size > max_data {
            return Err(Error::malformed(
                part.name(),
                format!("{entry_count} entries and {data_size} bytes are out of bounds"),
            ));
        }

        let index_size = entry_count as usize * ENTRY_SIZE;
        take(reader, index_size + data_size as usize, &mut bytes, part)?;
        let data_start = INTRO_SIZE + index_size;
        let entries = check(&bytes[INTRO_SIZE..data_start], &bytes[data_start..], part)
            .map_err(|reason| Error::malformed(part.name(), reason))?;
        Ok(Header { bytes, entries, data_start })
    }

    /// Returns all entries but the region's.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the raw data of an entry of this header.
    pub(crate) fn data(&self, entry: &Entry) -> &[u8] {
        let start = self.data_start + entry.offset;
        &self.bytes[start..start + entry.len]
    }

    /// Returns the raw data of a tag that is there with the wanted type.
    pub(crate) fn get(&self, tag: u32, kind: u32) -> Option<&[u8]> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag && entry.kind == kind)?;
        Some(self.data(entry))
    }

    /// Returns the first text of a tag.
    pub(crate) fn text(&self, tag: u32) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag && matches!(entry.kind, 6 | 8 | 9))?;
        let data = self.data(entry);
        let end = data.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&data[..end]).ok()
    }

    /// Returns all texts of a tag; nothing where one is not UTF-8.
    pub(crate) fn texts(&self, tag: u32) -> Option<Vec<&str>> {
        let data = self.get(tag, STRING_ARRAY)?;
        let texts = data.strip_suffix(&[0])?.split(|byte| *byte == 0);
        texts.map(|text| std::str::from_utf8(text).ok()).collect()
    }

    /// Returns the first number of a tag of 32 or 64 bits.
    pub(crate) fn number(&self, tag: u32) -> Option<u64> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag && matches!(entry.kind, 4 | 5))?;
        let data = self.data(entry);
        match entry.kind {
            4 => Some(u64::from(word(data, 0))),
            _ => Some(u64::from(word(data, 0)) << 32 | u64::from(word(data, 4))),
        }
    }
}

/// Writes a header with its region around the entries, which stand in order of their tags.
pub(crate) fn compose(part: Part, entries: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let mut index = Vec::new();
    let mut data = Vec::new();
    for (tag, kind, count, bytes) in entries {
        data.resize(data.len().next_multiple_of(alignment(*kind)), 0);
        put_entry(&mut index, *tag, *kind, data.len() as u32, *count);
        data.extend_from_slice(bytes);
    }
    let entry_count = entries.len() as u32 + 1;
    let trailer_at = data.len() as u32;
    put_entry(&mut data, part.region_tag(), BIN, (entry_count * ENTRY_SIZE as u32).wrapping_neg(), ENTRY_SIZE as u32);

    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&entry_count.to_be_bytes());
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    put_entry(&mut out, part.region_tag(), BIN, trailer_at, ENTRY_SIZE as u32);
    out.extend_from_slice(&index);
    out.extend_from_slice(&data);
    out
}

fn put_entry(out: &mut Vec<u8>, tag: u32, kind: u32, offset: u32, count: u32) {
    for value in [tag, kind, offset, count] {
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn take(reader: &mut impl Read, size: usize, bytes: &mut Vec<u8>, part: Part) -> Result<()> {
    let read = reader.by_ref().take(size as u64).read_to_end(bytes).map_err(Error::Read)?;
    match read == size {
        true => Ok(()),
        false => Err(Error::CutOff { part: part.name() }),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn check(index: &[u8], data: &[u8], part: Part) -> std::result::Result<Vec<Entry>, String> {
    let mut raw =
        index.chunks_exact(ENTRY_SIZE).map(|entry| [word(entry, 0), word(entry, 4), word(entry, 8), word(entry, 12)]);
    let region = raw.next().ok_or("it has no entries")?;
    let data_end = check_region(region, index.len(), data, part)?;

    let (mut end, mut left_texts) = (0, MAX_TEXTS);
    let mut entries = Vec::with_capacity(raw.len());
    for [tag, kind, offset, count] in raw {
        let offset = offset as usize;
        if offset < end || offset > data_end || !offset.is_multiple_of(alignment(kind)) {
            return Err(format!("tag {tag} overlaps, is out of range, or is not aligned"));
        }
        if matches!(kind, STRING_ARRAY | I18N_STRING) {
            let left = left_texts.checked_sub(u64::from(count));
            left_texts = left.ok_or_else(|| format!("its lists have more than {MAX_TEXTS} texts"))?;
        }
        let len =
            length(kind, count, &data[offset..data_end]).ok_or_else(|| format!("tag {tag} does not fit its data"))?;
        end = offset + len;
        entries.push(Entry { tag, kind, count, offset, len });
    }
    Ok(entries)
}

/// Checks that the region frames all entries, as in every file (not so in databases), so that what
/// is signed is the whole header; returns where the framed data ends.
fn check_region(region: [u32; 4], index_size: usize, data: &[u8], part: Part) -> std::result::Result<usize, String> {
    let [tag, kind, offset, count] = region;
    if (tag, kind, count) != (part.region_tag(), BIN, ENTRY_SIZE as u32) {
        return Err("it does not start with its region".to_string());
    }
    if offset as usize + ENTRY_SIZE != data.len() {
        return Err("its region does not reach its end".to_string());
    }
    let trailer = &data[offset as usize..];
    let frame = [word(trailer, 0), word(trailer, 4), word(trailer, 8), word(trailer, 12)];
    if frame != [tag, BIN, (index_size as u32).wrapping_neg(), ENTRY_SIZE as u32] {
        return Err("its region's trailer is wrong".to_string());
    }
    Ok(offset as usize)
}

fn alignment(kind: u32) -> usize {
    match kind {
        3 => 2,
        4 => 4,
        5 => 8,
        _ => 1,
    }
}

/// Returns how many bytes `count` values of a type take, or nothing where they do not fit.
fn length(kind: u32, count: u32, rest: &[u8]) -> Option<usize> {
    let count = count as usize;
    let len = match kind {
        1 | 2 | BIN => count,
        3 => count.checked_mul(2)?,
        4 => count.checked_mul(4)?,
        5 => count.checked_mul(8)?,
        6 if count != 1 => return None,
        6 | 8 | 9 => texts_length(count, rest)?,
        _ => return None,
    };
    (count > 0 && len <= rest.len()).then_some(len)
}

fn texts_length(count: usize, rest: &[u8]) -> Option<usize> {
    let mut len = 0;
    for _ in 0..count {
        len += rest[len..].iter().position(|byte| *byte == 0)? + 1;
    }
    Some(len)
}
