//! Composes metadata of fragments: a pure function of the fragments, the compression and the time.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    thread,
};

use sha2::Digest;

use crate::{Checksum, Compression, Error, PackageXml, Record, Repomd, Result};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Gathers what goes into a repository's metadata.
#[derive(Clone, Debug)]
pub struct RepodataBuilder<'a> {
    compression: Compression,
    packages: Vec<&'a PackageXml>,
    attachments: Vec<Attachment<'a>>,
}

#[derive(Clone, Debug)]
struct Attachment<'a> {
    kind: &'a str,
    file_name: &'a str,
    content: &'a [u8],
}

/// A repository's metadata, ready to be put in its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repodata {
    /// The index, which is `repodata/repomd.xml`.
    pub repomd: Repomd,
    /// The index as it is written and signed.
    pub repomd_xml: Vec<u8>,
    /// The files that the index names.
    pub files: Vec<MetadataFile>,
}

/// One file of metadata, named by its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetadataFile {
    /// Where it lies, relative to the repository: `repodata/<sha256>-primary.xml.gz`.
    pub name: String,
    /// The digest of its bytes.
    pub sha256: anima_types::Sha256,
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
        self.attachments.push(Attachment { kind, file_name, content });
        self
    }

    /// Renders everything; the same packages and the same `revision_secs` give the same bytes.
    pub fn finish(mut self, revision_secs: i64) -> Result<Repodata> {
        let key = |package: &'a PackageXml| (&package.nevra, package.sha256, &package.location);
        self.packages.sort_by(|one, other| key(one).cmp(&key(other)));
        self.packages.dedup_by(|one, other| key(one) == key(other));

        let this = &self;
        let packed = thread::scope(|scope| {
            let threads = Part::ALL.map(|part| scope.spawn(move || this.pack_part(part)));
            threads.map(|thread| thread.join().expect("packing does not panic"))
        });
        let mut packed = packed.into_iter().collect::<Result<Vec<Packed>>>()?;
        for attachment in &self.attachments {
            packed.push(pack(self.compression, attachment.kind, attachment.file_name, |out| {
                out.write_all(attachment.content)
            })?);
        }
        let repomd = Repomd {
            revision: revision_secs.to_string(),
            records: packed.iter().map(|packed| packed.record(revision_secs)).collect(),
        };
        let repomd_xml = repomd.to_xml();
        Ok(Repodata { repomd, repomd_xml, files: packed.into_iter().map(|packed| packed.file).collect() })
    }

    fn pack_part(&self, part: Part) -> Result<Packed> {
        pack(self.compression, part.kind(), part.file_name(), |out| {
            out.write_all(HEAD.as_bytes())?;
            writeln!(out, "<{} packages=\"{}\">", part.root(), self.packages.len())?;
            self.packages.iter().try_for_each(|package| out.write_all(part.of(package).as_bytes()))?;
            writeln!(out, "</{}>", part.root().split(' ').next().unwrap_or_default())
        })
    }
}

impl Repodata {
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
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let writing = || Error::file("write", path);
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".writing-").tempfile_in(dir).map_err(writing())?;
    temporary.write_all(bytes).map_err(writing())?;
    // A temporary file is private; metadata is for everyone.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(permissions).map_err(writing())?;
    temporary.as_file().sync_all().map_err(writing())?;
    temporary.persist(path).map_err(|error| writing()(error.error))?;
    Ok(())
}

/// The three files that every repository has.
#[derive(Clone, Copy)]
enum Part {
    Primary,
    Filelists,
    Other,
}

impl Part {
    const ALL: [Part; 3] = [Part::Primary, Part::Filelists, Part::Other];

    fn kind(self) -> &'static str {
        match self {
            Part::Primary => "primary",
            Part::Filelists => "filelists",
            Part::Other => "other",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Part::Primary => "primary.xml",
            Part::Filelists => "filelists.xml",
            Part::Other => "other.xml",
        }
    }

    fn root(self) -> &'static str {
        match self {
            Part::Primary => {
                "metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\""
            }
            Part::Filelists => "filelists xmlns=\"http://linux.duke.edu/metadata/filelists\"",
            Part::Other => "otherdata xmlns=\"http://linux.duke.edu/metadata/other\"",
        }
    }

    fn of(self, package: &PackageXml) -> &str {
        match self {
            Part::Primary => &package.primary,
            Part::Filelists => &package.filelists,
            Part::Other => &package.other,
        }
    }
}

struct Packed {
    kind: String,
    file: MetadataFile,
    open_checksum: Checksum,
    open_size_bytes: u64,
}

impl Packed {
    fn record(&self, timestamp_secs: i64) -> Record {
        Record {
            kind: self.kind.clone(),
            location: self.file.name.clone(),
            checksum: Checksum { kind: "sha256".to_string(), hex: self.file.sha256.to_string() },
            size_bytes: Some(self.file.bytes.len() as u64),
            open_checksum: Some(self.open_checksum.clone()),
            open_size_bytes: Some(self.open_size_bytes),
            timestamp_secs,
        }
    }
}

fn pack(
    compression: Compression,
    kind: &str,
    file_name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Packed> {
    let packing = |source| Error::Stream { action: "pack", name: file_name.to_string(), source };
    let mut open = Hashing {
        writer: compression.encoder(Vec::new()).map_err(packing)?,
        hasher: sha2::Sha256::new(),
        size_bytes: 0,
    };
    write(&mut open).map_err(packing)?;
    let bytes = open.writer.finish().map_err(packing)?;
    let sha256 = anima_types::Sha256(sha2::Sha256::digest(&bytes).into());
    let name = format!("repodata/{sha256}-{file_name}{}", compression.suffix());
    Ok(Packed {
        kind: kind.to_string(),
        file: MetadataFile { name, sha256, bytes },
        open_checksum: Checksum { kind: "sha256".to_string(), hex: hex::encode(open.hasher.finalize()) },
        open_size_bytes: open.size_bytes,
    })
}

/// A writer that hashes what passes.
struct Hashing<W> {
    writer: W,
    hasher: sha2::Sha256,
    size_bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
