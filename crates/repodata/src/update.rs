//! Makes the next state's metadata out of the last one's: a recipe of what to copy from the old files and what is new.
//!
//! The result has the same bytes as metadata that is made anew with as many buckets. It needs the old frames of the buckets
//! that change, and nothing else of what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use anima_types::Sha256;

use crate::{
    Error, Layout, PackageXml, Part, Result,
    compression::unpack,
    frames::{Packed, ends, pack_bucket},
    layout::Frame,
    part::elements,
};

/// A package that goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gone {
    /// Where it lies, relative to the repository.
    pub location: String,
    /// The digest of its file.
    pub sha256: Sha256,
}

/// What is different in the next state.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What comes; what is there already stays.
    pub added: &'a [PackageXml],
    /// What goes; it has to be there.
    pub removed: &'a [Gone],
}

/// A piece of a new file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// These bytes of the old file.
    Old(Range<u64>),
    /// These bytes.
    New(Vec<u8>),
}

/// How the next state's files are made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Update {
    /// Where what stands in the new files.
    pub layout: Layout,
    /// The pieces of each file, in the order of [`Part::ALL`].
    pub pieces: [Vec<Piece>; 3],
}

impl Change<'_> {
    /// Returns the buckets that change.
    pub fn buckets(&self, layout: &Layout) -> BTreeSet<u32> {
        let added = self.added.iter().map(|package| &package.location);
        added.chain(self.removed.iter().map(|gone| &gone.location)).map(|location| layout.bucket(location)).collect()
    }
}

/// Returns how the next state's files are made; `old` gives the frame of a bucket that changes, which is where
/// [`Layout::range`] says. An error means that the old files are not what the layout says, or that `removed` is not in them.
pub fn update(base: &Layout, change: &Change<'_>, old: impl Fn(Part, u32) -> Result<Vec<u8>>) -> Result<Update> {
    let removed: BTreeSet<String> = change.removed.iter().map(|gone| gone.sha256.to_string()).collect();
    let mut found: BTreeMap<Part, usize> = BTreeMap::new();
    let mut package_count = base.package_count;
    let mut changed: BTreeMap<(Part, u32), Packed> = BTreeMap::new();
    for number in change.buckets(base) {
        let added: Vec<&PackageXml> =
            change.added.iter().filter(|package| base.bucket(&package.location) == number).collect();
        let mut counts = BTreeSet::new();
        for part in Part::ALL {
            let text = open_bucket(base, part, number, &old(part, number)?)?;
            let there = elements(&text);
            let before = there.len();
            let mut after: Vec<&str> = there
                .into_iter()
                .filter(|element| !part.key(element).is_some_and(|(_, id)| removed.contains(id)))
                .collect();
            *found.entry(part).or_default() += before - after.len();
            after.extend(added.iter().map(|package| part.of(package)));
            let packed = pack_bucket(base.compression, part, after)?;
            counts.insert((before, packed.package_count));
            changed.insert((part, number), packed);
        }
        let [(before, after)] = counts.into_iter().collect::<Vec<_>>()[..] else {
            return Err(Error::malformed("the old metadata", format!("its files differ in bucket {number}")));
        };
        package_count = (package_count + after).saturating_sub(before as u64);
    }
    if let Some(part) = Part::ALL.into_iter().find(|part| found.get(part).copied().unwrap_or(0) != removed.len()) {
        return Err(Error::malformed("the old metadata", format!("{} lacks a package that goes", part.kind())));
    }
    let mut frames: [Vec<Frame>; 3] = Default::default();
    let mut pieces: [Vec<Piece>; 3] = Default::default();
    for (at, part) in Part::ALL.into_iter().enumerate() {
        (frames[at], pieces[at]) = splice(base, part, package_count, &mut changed)?;
    }
    Ok(Update { layout: Layout::new(base.compression, base.bucket_count, package_count, frames), pieces })
}

fn open_bucket(base: &Layout, part: Part, number: u32, packed: &[u8]) -> Result<String> {
    let frame = base.frames(part)[number as usize + 1];
    let name = || format!("bucket {number} of the old {}", part.kind());
    if packed.len() as u64 != frame.0 {
        return Err(Error::malformed(&name(), format!("it has {} bytes, not {}", packed.len(), frame.0)));
    }
    if packed.is_empty() {
        return Ok(String::new());
    }
    let unpacked = unpack(base.compression, packed, frame.1);
    let text = unpacked.map_err(|source| Error::Stream { action: "unpack", name: name(), source })?;
    if text.len() as u64 != frame.1 {
        return Err(Error::malformed(&name(), format!("it opens to {} bytes, not {}", text.len(), frame.1)));
    }
    String::from_utf8(text).map_err(|error| Error::malformed(&name(), error))
}

/// Puts one new file together: the head has the number of packages, so it is always new.
fn splice(
    base: &Layout,
    part: Part,
    package_count: u64,
    changed: &mut BTreeMap<(Part, u32), Packed>,
) -> Result<(Vec<Frame>, Vec<Piece>)> {
    let old = base.frames(part);
    let (head, _) = ends(base.compression, part, package_count)?;
    let mut frames = vec![head.frame];
    let mut pieces = vec![Piece::New(head.bytes)];
    let mut at = old[0].0;
    for (frame, number) in old[1..].iter().zip(0..) {
        let range = at..at + frame.0;
        at = range.end;
        match changed.remove(&(part, number)) {
            Some(packed) => {
                frames.push(packed.frame);
                append(&mut pieces, Piece::New(packed.bytes));
            }
            None => {
                frames.push(*frame);
                append(&mut pieces, Piece::Old(range));
            }
        }
    }
    Ok((frames, pieces))
}

/// Adds a piece to the row; what belongs together is one piece.
fn append(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (_, Piece::Old(range)) if range.is_empty() => {}
        (Some(Piece::Old(last)), Piece::Old(range)) if last.end == range.start => last.end = range.end,
        (Some(Piece::New(last)), Piece::New(bytes)) => last.extend_from_slice(&bytes),
        (_, piece) => pieces.push(piece),
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
