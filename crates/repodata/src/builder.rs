//! Composes metadata of fragments: a pure function of the fragments, the compression and the time.

use std::{fs, io::Write, path::Path};

use anima_types::{Sha256, repository::Compression};
use sha2::Digest;

use crate::{
    Attachment, Error, Layout, PackageXml, Part, Record, Repomd, Result,
    frames::{Composed, compose_all},
};

/// Gathers what goes into a repository's metadata.
#[derive(Clone, Debug)]
pub struct RepodataBuilder<'a> {
    compression: Compression,
    packages: Vec<&'a PackageXml>,
    attachments: Vec<(&'a str, &'a str, &'a [u8])>,
}

/// A repository's metadata, ready to be put in its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repodata {
    /// The index, which is `repodata/repomd.xml`.
    pub repomd: Repomd,
    /// The index as it is written and signed.
    pub repomd_xml: Vec<u8>,
    /// The files that the index names; the first three are those of [`Part::ALL`].
    pub files: Vec<MetadataFile>,
    /// Where what stands in the first three.
    pub layout: Layout,
}

/// One file of metadata, named by its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetadataFile {
    /// Where it lies, relative to the repository: `repodata/<sha256>-primary.xml.gz`.
    pub name: String,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// The file.
    pub bytes: Vec<u8>,
}

impl<'a> RepodataBuilder<'a> {
    /// Starts with no packages.
    pub fn new(compression: Compression) -> RepodataBuilder<'a> {
        RepodataBuilder { compression, packages: Vec::new(), attachments: Vec::new() }
    }

    /// Adds a package; their order does not matter, and the same package twice is there once.
    #[allow(clippy::should_implement_trait)] // it is no sum
    pub fn add(mut self, package: &'a PackageXml) -> RepodataBuilder<'a> {
        self.packages.push(package);
        self
    }

    /// Adds another file, such as `updateinfo`, `updateinfo.xml` and its content; it is packed as the others are.
    pub fn attach(mut self, kind: &'a str, file_name: &'a str, content: &'a [u8]) -> RepodataBuilder<'a> {
        self.attachments.push((kind, file_name, content));
        self
    }

    /// Renders everything; the same packages and the same `revision_secs` give the same bytes.
    pub fn finish(self, revision_secs: i64) -> Result<Repodata> {
        let composed = compose_all(self.compression, &self.packages)?;
        let attachments = self.attachments.into_iter();
        let attachments = attachments.map(|(kind, name, bytes)| Attachment::pack(self.compression, kind, name, bytes));
        Repodata::new(composed, attachments.collect::<Result<_>>()?, revision_secs)
    }
}

impl Layout {
    /// Returns what the index says of one of the three files. The digest of its open form is left out: the format does
    /// not ask for it, no client compares it, and it would cost reading all of what did not change.
    pub fn record(&self, part: Part, sha256: Sha256, revision_secs: i64) -> Record {
        Record {
            kind: part.kind().to_string(),
            location: format!("repodata/{sha256}-{}{}", part.file_name(), self.compression.suffix()),
            checksum: sha256.into(),
            size_bytes: Some(self.size_bytes(part)),
            open_checksum: None,
            open_size_bytes: Some(self.open_size_bytes(part)),
            timestamp_secs: revision_secs,
            extras: Vec::new(),
        }
    }
}

impl Repodata {
    pub(crate) fn new(composed: Composed, attachments: Vec<Attachment>, revision_secs: i64) -> Result<Repodata> {
        let Composed { layout, files } = composed;
        let mut records = Vec::new();
        let mut named = Vec::new();
        for (part, bytes) in Part::ALL.into_iter().zip(files) {
            let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
            let record = layout.record(part, sha256, revision_secs);
            named.push(MetadataFile { name: record.location.clone(), sha256, bytes });
            records.push(record);
        }
        for attachment in attachments {
            records.push(attachment.record(revision_secs));
            named.push(attachment.file);
        }
        let repomd = Repomd { revision: revision_secs.to_string(), tags: Vec::new(), records };
        Ok(Repodata { repomd_xml: repomd.to_xml(), repomd, files: named, layout })
    }

    /// Writes the metadata below a repository's folder, the index last, so that no client sees half of it.
    pub fn write_to(&self, repository: &Path) -> Result<()> {
        let dir = repository.join("repodata");
        fs::create_dir_all(&dir).map_err(Error::file("make", &dir))?;
        for file in &self.files {
            write_whole(&repository.join(&file.name), &file.bytes)?;
        }
        write_whole(&dir.join("repomd.xml"), &self.repomd_xml)
    }
}

/// Writes a file that is either there in full or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = begin(path)?;
    temporary.write_all(bytes).map_err(Error::file("write", path))?;
    place(temporary, path)
}

/// Begins a file beside its place.
pub(crate) fn begin(path: &Path) -> Result<tempfile::NamedTempFile> {
    let dir = path.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".writing-").tempfile_in(dir).map_err(Error::file("write", path))
}

/// Gives a file that is written its place.
pub(crate) fn place(temporary: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    let writing = || Error::file("write", path);
    // A temporary file is private; metadata is for everyone.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(permissions).map_err(writing())?;
    temporary.as_file().sync_all().map_err(writing())?;
    temporary.persist(path).map_err(|error| writing()(error.error))?;
    Ok(())
}
