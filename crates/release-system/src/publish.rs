//! Makes the metadata of one repository: anew from the fragments of all its packages, or from the last state's files and
//! what changed. It reads and writes no file.

use std::collections::BTreeMap;

use anima_repodata::{
    Change, Checksum, Compression, Gone, Layout, PackageXml, Part, Record, Repodata, RepodataBuilder, Repomd, Update,
    update,
};
use anima_types::{Sha256, repository::Attachment, work::RemovedPackage};

/// Why a repository's metadata cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of packages is not one.
    #[error("could not read the list of packages: {0}")]
    List(#[from] serde_json::Error),
    /// A package's metadata is not in order, or it cannot be written.
    #[error(transparent)]
    Metadata(#[from] anima_repodata::Error),
}

/// Reads a list of packages, each of which has to be what it says.
pub fn read_list(json: &[u8]) -> Result<Vec<PackageXml>, Error> {
    let packages: Vec<PackageXml> = serde_json::from_slice(json)?;
    for package in &packages {
        package.check()?;
    }
    Ok(packages)
}

/// Returns the metadata of all packages, without its index.
pub fn make(packages_json: &[u8], compression: Compression, revision_secs: i64) -> Result<Repodata, Error> {
    let packages = read_list(packages_json)?;
    let builder = packages.iter().fold(RepodataBuilder::new(compression), RepodataBuilder::add);
    Ok(builder.finish(revision_secs)?)
}

/// What the last state becomes.
#[derive(Clone, Debug)]
pub struct Renewal {
    base: Layout,
    added: Vec<PackageXml>,
    removed: Vec<Gone>,
}

impl Renewal {
    /// Reads what is different. Nothing is returned where all has to be made anew: the last state is packed otherwise, or
    /// its buckets have become too full or too empty.
    pub fn new(
        layout_json: &[u8],
        added_json: &[u8],
        removed: Vec<RemovedPackage>,
        compression: Compression,
    ) -> Result<Option<Renewal>, Error> {
        let (base, added) = (Layout::parse(layout_json)?, read_list(added_json)?);
        let gone = |package: RemovedPackage| Gone { location: package.location, sha256: package.sha256 };
        let removed: Vec<Gone> = removed.into_iter().map(gone).collect();
        let count = (base.package_count + added.len() as u64).saturating_sub(removed.len() as u64);
        let is_possible = base.compression == compression && base.suits(count);
        Ok(is_possible.then_some(Renewal { base, added, removed }))
    }

    /// Returns which frames of the last state's files are needed.
    pub fn frames(&self) -> Vec<(Part, u32, std::ops::Range<u64>)> {
        let buckets = self.change().buckets(&self.base);
        let frames = buckets.into_iter().flat_map(|bucket| Part::ALL.map(|part| (part, bucket)));
        frames.map(|(part, bucket)| (part, bucket, self.base.range(part, bucket))).collect()
    }

    /// Returns how the new files are made.
    pub fn update(&self, frames: &BTreeMap<(Part, u32), Vec<u8>>) -> Result<Update, Error> {
        Ok(update(&self.base, &self.change(), |part, bucket| {
            Ok(frames.get(&(part, bucket)).cloned().unwrap_or_default())
        })?)
    }

    fn change(&self) -> Change<'_> {
        Change { added: &self.added, removed: &self.removed }
    }
}

/// Returns the index of files that are in the store already.
pub fn index(layout: &Layout, files: &[Sha256], attachments: &[Attachment], revision_secs: i64) -> Repomd {
    let own = Part::ALL.into_iter().zip(files).map(|(part, sha256)| layout.record(part, *sha256, revision_secs));
    let records = own.chain(attachments.iter().map(|attachment| record(attachment, revision_secs))).collect();
    Repomd { revision: revision_secs.to_string(), tags: Vec::new(), records }
}

fn record(attachment: &Attachment, timestamp_secs: i64) -> Record {
    Record {
        kind: attachment.kind.clone(),
        location: attachment.path.clone(),
        checksum: Checksum::from(attachment.sha256),
        size_bytes: Some(attachment.size_bytes),
        open_checksum: Some(Checksum::from(attachment.open_sha256)),
        open_size_bytes: Some(attachment.open_size_bytes),
        timestamp_secs,
        extras: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_repository_has_metadata_too_and_the_same_input_gives_the_same_bytes() {
        let first = make(b"[]", Compression::Gzip, 17).unwrap();
        let second = make(b"[]", Compression::Gzip, 17).unwrap();

        assert_eq!(first.layout.package_count, 0);
        assert_eq!(first.repomd_xml, second.repomd_xml);
        assert!(String::from_utf8(first.repomd_xml).unwrap().contains("<revision>17</revision>"));
        assert!(first.files.iter().any(|file| file.name.ends_with("-primary.xml.gz")), "{:?}", first.files);
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        let error = make(b"{}", Compression::Gzip, 17).unwrap_err();

        assert!(error.to_string().starts_with("could not read the list of packages: "), "{error}");
    }

    #[test]
    fn another_compression_is_no_reason_to_fail_but_to_make_all_anew() {
        let layout = make(b"[]", Compression::Gzip, 17).unwrap().layout.to_json();

        let renewal = |compression| Renewal::new(&layout, b"[]", Vec::new(), compression).unwrap();

        assert!(renewal(Compression::Gzip).is_some());
        assert!(renewal(Compression::Zstd).is_none());
    }

    #[test]
    fn the_index_of_files_in_the_store_is_the_same_as_that_of_files_in_memory() {
        let made = make(b"[]", Compression::Zstd, 17).unwrap();
        let files: Vec<Sha256> = made.files.iter().map(|file| file.sha256).collect();

        assert_eq!(index(&made.layout, &files, &[], 17), made.repomd);
    }
}
