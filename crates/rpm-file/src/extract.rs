//! From checked headers to [`PackageInfo`]: the only place that sees the `rpm` crate's types.

use std::{
    io::{Cursor, Read},
    path::Path,
};

use anima_types::{Evr, Nevra};
use rpm::{IndexTag as Tag, PackageMetadata};

use crate::{
    ChangelogEntry, Comparison, Dependency, DigestAlgorithm, Error, File, FileKind, PackageInfo, Result, Scriptlet,
    ScriptletKind, header::Part, segments::Segments,
};

const FILE_FLAG_GHOST: u32 = 1 << 6;
/// Linux opens no longer path.
const MAX_PATH_BYTES: usize = 4096;
/// All paths of a package: its header names each folder once, so that few bytes of it can put a long folder before each
/// of many files. The largest known package, with 100,000 files, has 15 MiB of them; metadata writes them several times.
const MAX_PATHS_BYTES: usize = 64 << 20;
const SIGTAG_PAYLOADSIZE: u32 = 1007;
const SIGTAG_LONGARCHIVESIZE: u32 = 271;

impl PackageInfo {
    /// Reads the headers of the package at `path`; the payload is not read, but the file has to be whole.
    pub fn read(path: &Path) -> Result<PackageInfo> {
        let (segments, _) = Segments::open(path)?;
        from_segments(&segments)
    }

    /// Reads the headers of a package and leaves the reader at its payload.
    pub fn from_reader(reader: &mut impl Read) -> Result<PackageInfo> {
        from_segments(&Segments::read(reader)?)
    }
}

pub(crate) fn from_segments(segments: &Segments) -> Result<PackageInfo> {
    let package = Fields(parse(segments)?);
    let is_source = package.0.is_source_package();
    Ok(PackageInfo {
        nevra: nevra(&package, is_source)?,
        is_source,
        summary: package.i18n(Tag::RPMTAG_SUMMARY)?.unwrap_or_default(),
        description: package.i18n(Tag::RPMTAG_DESCRIPTION)?.unwrap_or_default(),
        license: package.text(Tag::RPMTAG_LICENSE)?.unwrap_or_default(),
        url: package.text(Tag::RPMTAG_URL)?,
        vendor: package.text(Tag::RPMTAG_VENDOR)?,
        group: package.i18n(Tag::RPMTAG_GROUP)?,
        packager: package.text(Tag::RPMTAG_PACKAGER)?,
        build_time_secs: package.number(Tag::RPMTAG_BUILDTIME)?.unwrap_or(0),
        build_host: package.text(Tag::RPMTAG_BUILDHOST)?,
        source_rpm: package.text(Tag::RPMTAG_SOURCERPM)?,
        provides: package.dependencies([
            Tag::RPMTAG_PROVIDENAME,
            Tag::RPMTAG_PROVIDEFLAGS,
            Tag::RPMTAG_PROVIDEVERSION,
        ])?,
        requires: package.dependencies([
            Tag::RPMTAG_REQUIRENAME,
            Tag::RPMTAG_REQUIREFLAGS,
            Tag::RPMTAG_REQUIREVERSION,
        ])?,
        conflicts: package.dependencies([
            Tag::RPMTAG_CONFLICTNAME,
            Tag::RPMTAG_CONFLICTFLAGS,
            Tag::RPMTAG_CONFLICTVERSION,
        ])?,
        obsoletes: package.dependencies([
            Tag::RPMTAG_OBSOLETENAME,
            Tag::RPMTAG_OBSOLETEFLAGS,
            Tag::RPMTAG_OBSOLETEVERSION,
        ])?,
        recommends: package.dependencies([
            Tag::RPMTAG_RECOMMENDNAME,
            Tag::RPMTAG_RECOMMENDFLAGS,
            Tag::RPMTAG_RECOMMENDVERSION,
        ])?,
        suggests: package.dependencies([
            Tag::RPMTAG_SUGGESTNAME,
            Tag::RPMTAG_SUGGESTFLAGS,
            Tag::RPMTAG_SUGGESTVERSION,
        ])?,
        supplements: package.dependencies([
            Tag::RPMTAG_SUPPLEMENTNAME,
            Tag::RPMTAG_SUPPLEMENTFLAGS,
            Tag::RPMTAG_SUPPLEMENTVERSION,
        ])?,
        enhances: package.dependencies([
            Tag::RPMTAG_ENHANCENAME,
            Tag::RPMTAG_ENHANCEFLAGS,
            Tag::RPMTAG_ENHANCEVERSION,
        ])?,
        files: files(&package)?,
        file_digest_algorithm: digest_algorithm(package.number(Tag::RPMTAG_FILEDIGESTALGO)?),
        changelogs: changelogs(&package)?,
        scriptlets: scriptlets(&package)?,
        header_start: segments.header_start(),
        header_end: segments.header_end(),
        installed_size_bytes: package.number(Tag::RPMTAG_LONGSIZE)?.or(package.number(Tag::RPMTAG_SIZE)?).unwrap_or(0),
        archive_size_bytes: archive_size(segments, &package)?,
        payload_sha256: segments.payload_digest(),
        exclusive_archs: package.texts(Tag::RPMTAG_EXCLUSIVEARCH)?,
        exclude_archs: package.texts(Tag::RPMTAG_EXCLUDEARCH)?,
        build_archs: package.texts(Tag::RPMTAG_BUILDARCHS)?,
    })
}

fn parse(segments: &Segments) -> Result<PackageMetadata> {
    let mut bytes = segments.lead.clone();
    bytes.extend_from_slice(&segments.signature.bytes);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend_from_slice(&segments.header.bytes);
    PackageMetadata::parse(&mut Cursor::new(bytes)).map_err(malformed)
}

fn malformed(reason: impl ToString) -> Error {
    Error::malformed(Part::Main.name(), reason.to_string())
}

/// Typed reading of tags where an absent tag is no error and a tag of the wrong type is one.
struct Fields(PackageMetadata);

impl Fields {
    fn text(&self, tag: Tag) -> Result<Option<String>> {
        present(self.0.header.get_entry_data_as_string(tag).map(str::to_string))
    }

    fn i18n(&self, tag: Tag) -> Result<Option<String>> {
        present(self.0.header.get_entry_data_as_i18n_string(tag).map(str::to_string))
    }

    fn texts(&self, tag: Tag) -> Result<Vec<String>> {
        let texts = self.0.header.get_entry_data_as_string_array(tag);
        Ok(present(texts.map(|texts| texts.into_iter().map(str::to_string).collect()))?.unwrap_or_default())
    }

    fn number(&self, tag: Tag) -> Result<Option<u64>> {
        Ok(self.numbers(tag)?.first().copied())
    }

    fn numbers(&self, tag: Tag) -> Result<Vec<u64>> {
        let header = &self.0.header;
        let numbers = header
            .get_entry_data_as_u32_array(tag)
            .map(|numbers| numbers.into_iter().map(u64::from).collect())
            .or_else(|_| header.get_entry_data_as_u64_array(tag))
            .or_else(|_| {
                header.get_entry_data_as_u16_array(tag).map(|numbers| numbers.into_iter().map(u64::from).collect())
            });
        Ok(present(numbers)?.unwrap_or_default())
    }

    fn dependencies(&self, [names, senses, versions]: [Tag; 3]) -> Result<Vec<Dependency>> {
        let (names, senses, versions) = (self.texts(names)?, self.numbers(senses)?, self.texts(versions)?);
        same_length("a list of dependencies", &[names.len(), senses.len(), versions.len()])?;
        Ok(names
            .into_iter()
            .zip(senses)
            .zip(versions)
            .map(|((name, sense), version)| {
                let sense = sense as u32;
                Dependency { name, comparison: Comparison::from_sense(sense), version, sense }
            })
            .collect())
    }
}

fn present<T>(value: std::result::Result<T, rpm::Error>) -> Result<Option<T>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(rpm::Error::TagNotFound(_)) => Ok(None),
        Err(error) => Err(malformed(error)),
    }
}

fn same_length(what: &str, lengths: &[usize]) -> Result<()> {
    match lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        true => Ok(()),
        false => Err(malformed(format!("{what} has columns of different lengths"))),
    }
}

/// The parts become file names and URLs, so a slash, a space or a control character is refused here.
fn nevra(package: &Fields, is_source: bool) -> Result<Nevra> {
    let word = |tag: Tag, what: &str, forbidden: &[char]| {
        let text = package.text(tag)?.unwrap_or_default();
        let is_bad = |c: char| c == '/' || c.is_whitespace() || c.is_control() || forbidden.contains(&c);
        match text.is_empty() || text.starts_with('.') || text.contains(is_bad) {
            true => Err(malformed(format!("its {what} is \"{}\"", text.escape_default()))),
            false => Ok(text),
        }
    };
    let epoch = package.number(Tag::RPMTAG_EPOCH)?.unwrap_or(0) as u32;
    let version = word(Tag::RPMTAG_VERSION, "version", &['-', ':'])?;
    let release = word(Tag::RPMTAG_RELEASE, "release", &['-', ':'])?;
    let arch = match is_source {
        true => "src".to_string(),
        false => word(Tag::RPMTAG_ARCH, "architecture", &['-', ':', '.'])?,
    };
    Ok(Nevra { name: word(Tag::RPMTAG_NAME, "name", &[':'])?, evr: Evr::new(epoch, version, release), arch })
}

fn files(package: &Fields) -> Result<Vec<File>> {
    let names = package.texts(Tag::RPMTAG_BASENAMES)?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let dirs = package.texts(Tag::RPMTAG_DIRNAMES)?;
    let dir_indexes = package.numbers(Tag::RPMTAG_DIRINDEXES)?;
    let modes = package.numbers(Tag::RPMTAG_FILEMODES)?;
    let flags = package.numbers(Tag::RPMTAG_FILEFLAGS)?;
    let sizes = match package.numbers(Tag::RPMTAG_LONGFILESIZES)? {
        long if !long.is_empty() => long,
        _ => package.numbers(Tag::RPMTAG_FILESIZES)?,
    };
    let digests = package.texts(Tag::RPMTAG_FILEDIGESTS)?;
    let links = package.texts(Tag::RPMTAG_FILELINKTOS)?;
    let users = package.texts(Tag::RPMTAG_FILEUSERNAME)?;
    let groups = package.texts(Tag::RPMTAG_FILEGROUPNAME)?;
    // Absent where no file has any.
    let capabilities = package.texts(Tag::RPMTAG_FILECAPS)?;
    let lengths = [
        dir_indexes.len(),
        modes.len(),
        flags.len(),
        sizes.len(),
        digests.len(),
        links.len(),
        users.len(),
        groups.len(),
    ];
    same_length("its list of files", &[&[names.len()], &lengths[..]].concat())?;
    if !capabilities.is_empty() {
        same_length("its list of files", &[names.len(), capabilities.len()])?;
    }

    let dirs = folders_of_files(&dirs, &dir_indexes, &names)?;
    let not_empty = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    (0..names.len())
        .map(|i| {
            Ok(File {
                path: format!("{}{}", dirs[i], names[i]),
                mode: modes[i] as u16,
                kind: file_kind(modes[i] as u16, flags[i] as u32),
                size_bytes: sizes[i],
                digest: not_empty(&digests[i]),
                link_to: not_empty(&links[i]),
                user: users[i].clone(),
                group: groups[i].clone(),
                flags: flags[i] as u32,
                capabilities: capabilities.get(i).and_then(not_empty),
            })
        })
        .collect()
}

/// Returns the folder of each file; refuses paths that no file system takes, and more of them than memory should hold,
/// before any is made.
fn folders_of_files<'a>(dirs: &'a [String], indexes: &[u64], names: &[String]) -> Result<Vec<&'a str>> {
    let mut left_bytes = MAX_PATHS_BYTES;
    let folder_of = |(index, name): (&u64, &String)| {
        let dir = dirs.get(*index as usize).ok_or_else(|| malformed("a file lies in no directory"))?;
        let length = dir.len() + name.len();
        if length > MAX_PATH_BYTES {
            return Err(malformed(format!(
                "a file has a path of {length} bytes; {MAX_PATH_BYTES} at most are possible"
            )));
        }
        left_bytes = left_bytes
            .checked_sub(length)
            .ok_or_else(|| malformed(format!("the paths of its files have more than {MAX_PATHS_BYTES} bytes")))?;
        Ok(dir.as_str())
    };
    indexes.iter().zip(names).map(folder_of).collect()
}

fn file_kind(mode: u16, flags: u32) -> FileKind {
    match mode & 0o170000 == 0o040000 {
        true => FileKind::Dir,
        false if flags & FILE_FLAG_GHOST != 0 => FileKind::Ghost,
        false => FileKind::File,
    }
}

/// The numbers are OpenPGP's; a package without one is from the days of MD5.
fn digest_algorithm(number: Option<u64>) -> DigestAlgorithm {
    match number {
        None | Some(1) => DigestAlgorithm::Md5,
        Some(2) => DigestAlgorithm::Sha1,
        Some(8) => DigestAlgorithm::Sha256,
        Some(9) => DigestAlgorithm::Sha384,
        Some(10) => DigestAlgorithm::Sha512,
        Some(11) => DigestAlgorithm::Sha224,
        Some(other) => DigestAlgorithm::Other(other as u32),
    }
}

fn changelogs(package: &Fields) -> Result<Vec<ChangelogEntry>> {
    let authors = package.texts(Tag::RPMTAG_CHANGELOGNAME)?;
    let times = package.numbers(Tag::RPMTAG_CHANGELOGTIME)?;
    let texts = package.texts(Tag::RPMTAG_CHANGELOGTEXT)?;
    same_length("its changelog", &[authors.len(), times.len(), texts.len()])?;
    let entries = authors.into_iter().zip(times).zip(texts);
    Ok(entries.map(|((author, time), text)| ChangelogEntry { author, time_secs: time as i64, text }).collect())
}

fn archive_size(segments: &Segments, package: &Fields) -> Result<u64> {
    let signature = &segments.signature;
    let size = signature.number(SIGTAG_LONGARCHIVESIZE).or_else(|| signature.number(SIGTAG_PAYLOADSIZE));
    Ok(size.or(package.number(Tag::RPMTAG_ARCHIVESIZE)?).unwrap_or(0))
}

const SCRIPTLETS: [(ScriptletKind, Tag, Tag); 9] = [
    (ScriptletKind::PreInstall, Tag::RPMTAG_PREIN, Tag::RPMTAG_PREINPROG),
    (ScriptletKind::PostInstall, Tag::RPMTAG_POSTIN, Tag::RPMTAG_POSTINPROG),
    (ScriptletKind::PreUninstall, Tag::RPMTAG_PREUN, Tag::RPMTAG_PREUNPROG),
    (ScriptletKind::PostUninstall, Tag::RPMTAG_POSTUN, Tag::RPMTAG_POSTUNPROG),
    (ScriptletKind::PreTransaction, Tag::RPMTAG_PRETRANS, Tag::RPMTAG_PRETRANSPROG),
    (ScriptletKind::PostTransaction, Tag::RPMTAG_POSTTRANS, Tag::RPMTAG_POSTTRANSPROG),
    (ScriptletKind::PreUntransaction, Tag::RPMTAG_PREUNTRANS, Tag::RPMTAG_PREUNTRANSPROG),
    (ScriptletKind::PostUntransaction, Tag::RPMTAG_POSTUNTRANS, Tag::RPMTAG_POSTUNTRANSPROG),
    (ScriptletKind::Verify, Tag::RPMTAG_VERIFYSCRIPT, Tag::RPMTAG_VERIFYSCRIPTPROG),
];

const TRIGGERS: [(ScriptletKind, Tag, Tag); 3] = [
    (ScriptletKind::Trigger, Tag::RPMTAG_TRIGGERSCRIPTS, Tag::RPMTAG_TRIGGERSCRIPTPROG),
    (ScriptletKind::FileTrigger, Tag::RPMTAG_FILETRIGGERSCRIPTS, Tag::RPMTAG_FILETRIGGERSCRIPTPROG),
    (
        ScriptletKind::TransactionFileTrigger,
        Tag::RPMTAG_TRANSFILETRIGGERSCRIPTS,
        Tag::RPMTAG_TRANSFILETRIGGERSCRIPTPROG,
    ),
];

fn scriptlets(package: &Fields) -> Result<Vec<Scriptlet>> {
    let mut found = Vec::new();
    for (kind, script, program) in SCRIPTLETS {
        let (body, interpreter) = (package.text(script)?, package.texts(program)?);
        if body.is_some() || !interpreter.is_empty() {
            found.push(Scriptlet { kind, interpreter, body });
        }
    }
    for (kind, scripts, programs) in TRIGGERS {
        let (bodies, programs) = (package.texts(scripts)?, package.texts(programs)?);
        same_length("its list of triggers", &[bodies.len(), programs.len()])?;
        found.extend(bodies.into_iter().zip(programs).map(|(body, program)| Scriptlet {
            kind,
            interpreter: vec![program],
            body: Some(body).filter(|body| !body.is_empty()),
        }));
    }
    Ok(found)
}
