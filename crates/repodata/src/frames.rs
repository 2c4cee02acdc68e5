//! Packs packages into frames, bucket by bucket.

use std::borrow::Borrow;

use anima_types::repository::Compression;
use rayon::prelude::*;

use crate::{
    Error, Layout, PackageXml, Part, Result,
    compression::pack,
    layout::{Frame, bucket_count},
};

/// The three files of a repository.
pub(crate) struct Composed {
    pub(crate) layout: Layout,
    pub(crate) files: [Vec<u8>; 3],
}

/// A frame, or nothing where its bucket is empty.
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frame: Frame,
    pub(crate) package_count: u64,
}

/// Composes the files of packages that `bucket` gives for each of so many buckets. Only the packages of the buckets that are
/// being packed are in memory at once, if `bucket` makes them.
pub(crate) fn compose<P: Borrow<PackageXml>>(
    compression: Compression,
    bucket_count: u32,
    bucket: impl Fn(u32) -> Result<Vec<P>> + Sync,
) -> Result<Composed> {
    let packed: Vec<[Packed; 3]> = (0..bucket_count)
        .into_par_iter()
        .map(|number| {
            let packages = bucket(number)?;
            let part = |part: Part| {
                pack_bucket(compression, part, packages.iter().map(|package| part.of(package.borrow())).collect())
            };
            Ok([part(Part::Primary)?, part(Part::Filelists)?, part(Part::Other)?])
        })
        .collect::<Result<_>>()?;
    let package_count = packed.iter().map(|bucket| bucket[0].package_count).sum();
    let mut frames: [Vec<Frame>; 3] = Default::default();
    let mut files: [Vec<u8>; 3] = Default::default();
    for (at, part) in Part::ALL.into_iter().enumerate() {
        let (head, tail) = ends(compression, part, package_count)?;
        let all = || [&head].into_iter().chain(packed.iter().map(|bucket| &bucket[at])).chain([&tail]);
        files[at] = Vec::with_capacity(all().map(|packed| packed.bytes.len()).sum());
        for packed in all() {
            frames[at].push(packed.frame);
            files[at].extend_from_slice(&packed.bytes);
        }
    }
    Ok(Composed { layout: Layout::new(compression, bucket_count, package_count, frames), files })
}

/// Composes the files of packages that are in memory.
pub(crate) fn compose_all(compression: Compression, packages: &[&PackageXml]) -> Result<Composed> {
    let count = bucket_count(packages.len() as u64);
    let mut buckets: Vec<Vec<&PackageXml>> = vec![Vec::new(); count as usize];
    for package in packages {
        buckets[crate::layout::bucket(&package.location, count) as usize].push(package);
    }
    compose(compression, count, |number| Ok(buckets[number as usize].clone()))
}

/// Returns the first and the last frame of a file.
pub(crate) fn ends(compression: Compression, part: Part, package_count: u64) -> Result<(Packed, Packed)> {
    Ok((pack_text(compression, &part.head(package_count))?, pack_text(compression, &part.tail())?))
}

/// Packs the elements of a bucket in their order; the same package twice is there once.
pub(crate) fn pack_bucket(compression: Compression, part: Part, elements: Vec<&str>) -> Result<Packed> {
    let mut keyed = elements
        .into_iter()
        .map(|element| {
            let element = element.trim();
            let nameless = || Error::malformed("a package's metadata", format!("its {} has no id", part.kind()));
            part.key(element).map(|key| (key, element)).ok_or_else(nameless)
        })
        .collect::<Result<Vec<_>>>()?;
    keyed.sort_unstable();
    keyed.dedup_by_key(|(key, _)| *key);
    let mut text = String::with_capacity(keyed.iter().map(|(_, element)| element.len() + 1).sum());
    for (_, element) in &keyed {
        text.push_str(element);
        text.push('\n');
    }
    Ok(Packed { package_count: keyed.len() as u64, ..pack_text(compression, &text)? })
}

fn pack_text(compression: Compression, text: &str) -> Result<Packed> {
    if text.is_empty() {
        return Ok(Packed { bytes: Vec::new(), frame: Frame(0, 0), package_count: 0 });
    }
    let packing = |source| Error::Stream { action: "pack", name: "metadata".to_string(), source };
    let bytes = pack(compression, text.as_bytes()).map_err(packing)?;
    let frame = Frame(bytes.len() as u64, text.len() as u64);
    Ok(Packed { bytes, frame, package_count: 0 })
}
