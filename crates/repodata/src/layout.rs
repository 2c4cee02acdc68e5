//! Where what stands in the metadata files, so that one package's change rewrites a piece and not the whole.
//!
//! Each of the three files is a row of frames, which are gzip members or zstd frames of their own: the head, the buckets,
//! the tail. A package's bucket follows from its file's name and the number of buckets, so it stays where it is when others
//! come and go. Readers of both formats read frames one after another as if they were one
//! ([RFC 1952, 2.2](https://www.rfc-editor.org/rfc/rfc1952), [RFC 8878, 3.1](https://www.rfc-editor.org/rfc/rfc8878)).

use std::ops::Range;

use anima_types::repository::Compression;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Part, Result, compression::MAX_OPEN_BYTES};

/// What a layout is written as; others are not read.
const VERSION: u32 = 1;
const NAME: &str = "the layout";
/// So many packages are in a bucket when all is written anew. Fewer would pack worse (gzip looks back 32 KB, and these have
/// 200 KB), more would cost more for each change.
const BUCKET_PACKAGES: u64 = 64;
/// A bucket of 100,000 packages has a hundred then; the row of frames is a list of some 100 KB.
const MAX_BUCKETS: u32 = 2_048;
/// All is written anew when buckets have become so full …
const MAX_BUCKET_PACKAGES: u64 = 4 * BUCKET_PACKAGES;
/// … or so empty on the average.
const MIN_BUCKET_PACKAGES: u64 = BUCKET_PACKAGES / 8;

/// The frames of the three files of one state of a repository.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    version: u32,
    /// How the frames are packed.
    pub compression: Compression,
    /// How many buckets there are.
    pub bucket_count: u32,
    /// How many packages are in them.
    pub package_count: u64,
    primary: Vec<Frame>,
    filelists: Vec<Frame>,
    other: Vec<Frame>,
}

/// The sizes of one frame: packed and open. An empty bucket has no frame: both are 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frame(pub(crate) u64, pub(crate) u64);

impl Layout {
    pub(crate) fn new(
        compression: Compression,
        bucket_count: u32,
        package_count: u64,
        [primary, filelists, other]: [Vec<Frame>; 3],
    ) -> Layout {
        Layout { version: VERSION, compression, bucket_count, package_count, primary, filelists, other }
    }

    /// Reads a layout, and refuses one that cannot be.
    pub fn parse(json: &[u8]) -> Result<Layout> {
        let layout: Layout = serde_json::from_slice(json).map_err(|error| Error::malformed(NAME, error))?;
        if layout.version != VERSION {
            return Err(Error::malformed(NAME, format!("its version is {}, not {VERSION}", layout.version)));
        }
        if layout.bucket_count == 0 || layout.bucket_count > MAX_BUCKETS {
            return Err(Error::malformed(NAME, format!("it has {} buckets", layout.bucket_count)));
        }
        for part in Part::ALL {
            let frames = layout.frames(part);
            let sum =
                |size: fn(&Frame) -> u64| frames.iter().try_fold(0_u64, |sum, frame| sum.checked_add(size(frame)));
            let is_whole = frames.len() == layout.bucket_count as usize + 2;
            let is_sane =
                sum(|frame| frame.0).is_some() && sum(|frame| frame.1).is_some_and(|sum| sum <= MAX_OPEN_BYTES);
            if !is_whole || !is_sane {
                return Err(Error::malformed(NAME, format!("the frames of {} cannot be", part.kind())));
            }
        }
        Ok(layout)
    }

    /// Writes it.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers are written as JSON")
    }

    pub(crate) fn frames(&self, part: Part) -> &[Frame] {
        match part {
            Part::Primary => &self.primary,
            Part::Filelists => &self.filelists,
            Part::Other => &self.other,
        }
    }

    /// Returns the size of a file when it is open.
    pub fn open_size_bytes(&self, part: Part) -> u64 {
        self.frames(part).iter().map(|frame| frame.1).sum()
    }

    /// Returns the size of a file.
    pub fn size_bytes(&self, part: Part) -> u64 {
        self.frames(part).iter().map(|frame| frame.0).sum()
    }

    /// Returns where the frame of a bucket is in its file.
    pub fn range(&self, part: Part, bucket: u32) -> Range<u64> {
        let frames = self.frames(part);
        let at = bucket as usize + 1;
        let start: u64 = frames[..at].iter().map(|frame| frame.0).sum();
        start..start + frames[at].0
    }

    /// Returns the bucket of the package at a location.
    pub fn bucket(&self, location: &str) -> u32 {
        bucket(location, self.bucket_count)
    }

    /// Returns whether so many packages still fit its buckets well. Where they do not, all is written anew, once in a
    /// long while.
    pub fn suits(&self, package_count: u64) -> bool {
        let buckets = u64::from(self.bucket_count);
        let is_too_full = package_count > buckets * MAX_BUCKET_PACKAGES && self.bucket_count < MAX_BUCKETS;
        let is_too_empty = package_count < buckets * MIN_BUCKET_PACKAGES && self.bucket_count > 1;
        !is_too_full && !is_too_empty
    }
}

/// Returns how many buckets so many packages are put into.
pub(crate) fn bucket_count(package_count: u64) -> u32 {
    let wanted = package_count.div_ceil(BUCKET_PACKAGES).max(1).next_power_of_two();
    u32::try_from(wanted).unwrap_or(MAX_BUCKETS).min(MAX_BUCKETS)
}

/// Returns the bucket of the package at a location: by its file's name without version, release and architecture, so
/// that a new version takes the place of the old one in the same bucket.
pub(crate) fn bucket(location: &str, bucket_count: u32) -> u32 {
    let file = location.rsplit('/').next().unwrap_or(location);
    let name = file.rsplitn(3, '-').nth(2).unwrap_or(file);
    let hash = Sha256::digest(name.as_bytes());
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    number % bucket_count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_architectures_of_one_name_share_a_bucket_and_names_spread() {
        let at = |location: &str| bucket(location, 256);

        assert_eq!(at("Packages/j/jq-1.7-1.el10.x86_64.rpm"), at("jq-2~rc1-9.i686.rpm"));
        assert_ne!(at("jq-1-1.x86_64.rpm"), at("jq-devel-1-1.x86_64.rpm"));
        let used: std::collections::BTreeSet<u32> = (0..10_000).map(|n| at(&format!("p{n}-1-1.noarch.rpm"))).collect();
        assert_eq!(used.len(), 256);
    }

    #[test]
    fn the_number_of_buckets_follows_the_number_of_packages_with_room_between() {
        let counts = [0, 1, 64, 65, 10_000, 100_000, u64::MAX].map(bucket_count);

        assert_eq!(counts, [1, 1, 1, 2, 256, 2_048, MAX_BUCKETS]);
        let of = |count| Layout::new(Compression::Gzip, bucket_count(count), count, Default::default());
        for count in [1, 64, 10_000, 100_000] {
            assert!(of(count).suits(count + 1) && of(count).suits(count - 1), "{count}");
        }
        assert!(!of(10_000).suits(100_000) && !of(10_000).suits(1_000));
        assert!(of(1).suits(0) && of(1_000_000).suits(2_000_000));
    }

    #[test]
    fn a_layout_that_cannot_be_is_refused() {
        let good = Layout::new(Compression::Zstd, 1, 1, [(); 3].map(|()| vec![Frame(10, 20); 3]));
        assert_eq!(Layout::parse(&good.to_json()).unwrap(), good);
        assert_eq!(good.range(Part::Other, 0), 10..20);

        let text = String::from_utf8(good.to_json()).unwrap();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"bucket_count\":1", "\"bucket_count\":0"),
            ("\"bucket_count\":1", "\"bucket_count\":2"),
            ("\"bucket_count\":1", "\"bucket_count\":4000000000"),
            ("[10,20]", "[10,18446744073709551615]"),
            ("[10,20]", "[18446744073709551615,1]"),
            ("[10,20]", "[-1,1]"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Layout::parse(text.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
