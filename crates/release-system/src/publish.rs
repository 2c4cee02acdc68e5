//! Makes the metadata of one repository from the fragments of its packages. It reads and writes no file.

use anima_repodata::{Compression, PackageXml, Repodata, RepodataBuilder};

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

/// Returns the metadata. It is packed with gzip, which the clients of every Enterprise Linux since 6 read.
pub fn make(packages_json: &[u8], revision_secs: i64) -> Result<(usize, Repodata), Error> {
    let packages: Vec<PackageXml> = serde_json::from_slice(packages_json)?;
    for package in &packages {
        package.check()?;
    }
    let builder = packages.iter().fold(RepodataBuilder::new(Compression::Gzip), RepodataBuilder::add);
    Ok((packages.len(), builder.finish(revision_secs)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_repository_has_metadata_too_and_the_same_input_gives_the_same_bytes() {
        let (count, first) = make(b"[]", 17).unwrap();
        let (_, second) = make(b"[]", 17).unwrap();

        assert_eq!(count, 0);
        assert_eq!(first.repomd_xml, second.repomd_xml);
        assert!(String::from_utf8(first.repomd_xml).unwrap().contains("<revision>17</revision>"));
        assert!(first.files.iter().any(|file| file.name.ends_with("-primary.xml.gz")), "{:?}", first.files);
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        let error = make(b"{}", 17).unwrap_err();

        assert!(error.to_string().starts_with("could not read the list of packages: "), "{error}");
    }
}
