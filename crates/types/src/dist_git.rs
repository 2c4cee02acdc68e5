//! How a package's git repository is laid out, in the two forms that Enterprise Linux has:
//!
//! - CentOS Stream: `NAME.spec` and everything else at the top, large sources listed in `sources`
//!   (`SHA512 (file) = hash`, of old `md5  file`);
//! - AlmaLinux: `SPECS/NAME.spec`, `SOURCES/`, large sources listed in `.NAME.metadata` (`hash SOURCES/file`).
//!
//! It reads names and texts only; the caller does the I/O.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// A list of large sources is at most so long: thousands of files, and no way to fill a node's memory.
pub const MAX_LIST_BYTES: usize = 1024 * 1024;

/// The folder of sources in AlmaLinux's layout.
const SOURCES_DIR: &str = "SOURCES";

/// A hash function that a list of sources names.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Old `sources` files have it.
    Md5,
    /// `.NAME.metadata` of Enterprise Linux 8 has it.
    Sha1,
    /// Newer `.NAME.metadata` have it.
    Sha256,
    /// `sources` of today have it.
    Sha512,
}

/// A source that is kept in the lookaside.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LookasideFile {
    /// The file's name, without a path.
    pub name: String,
    /// Which hash.
    pub algorithm: Algorithm,
    /// The hash in lower-case hexadecimal.
    pub hash: String,
}

/// How one commit is laid out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    /// The spec's path.
    pub spec: String,
    /// The folder with the sources: empty for the top, or `SOURCES`. Files of the lookaside belong there as well.
    pub sources_dir: String,
    /// The list of large sources, if there is one.
    pub list: Option<List>,
}

/// A list of large sources.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct List {
    /// Its path.
    pub path: String,
    /// Its form.
    pub form: Form,
}

/// The form of a list of large sources.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `sources` of CentOS Stream and Fedora.
    Sources,
    /// `.NAME.metadata` of AlmaLinux.
    Metadata,
}

/// Why a repository is of no use as a package.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is no spec.
    #[error("could not find a spec: neither {package}.spec nor SPECS/{package}.spec is there")]
    NoSpec {
        /// The package.
        package: String,
    },
    /// There are many, and none has the package's name.
    #[error("could not choose a spec for {package}: there are {}", found.join(", "))]
    ManySpecs {
        /// The package.
        package: String,
        /// What is there.
        found: Vec<String>,
    },
    /// A line is not of the form.
    #[error("could not read line {line} of the list of sources: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The list has no bound.
    #[error("could not read the list of sources: it is longer than {MAX_LIST_BYTES} bytes")]
    TooLong,
    /// Two lines contradict each other.
    #[error("could not read the list of sources: it has two different hashes for {name}")]
    Contradiction {
        /// The file.
        name: String,
    },
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 4] = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

    /// Returns the word that addresses have.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Returns the algorithm of that name, in either case.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Returns how many hexadecimal digits its hash has.
    pub const fn hex_len(self) -> usize {
        match self {
            Algorithm::Md5 => 32,
            Algorithm::Sha1 => 40,
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }

    /// Returns the hash in lower case if it is one of this algorithm.
    pub fn parse_hash(self, text: &str) -> Option<String> {
        let is_hash = text.len() == self.hex_len() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| text.to_ascii_lowercase())
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl LookasideFile {
    /// Returns its address: `{lookaside_url}/{package}/{file}/{algorithm}/{hash}/{file}`.
    pub fn url(&self, lookaside_url: &str, package: &str) -> String {
        let (package, name) = (percent_encoded(package), percent_encoded(&self.name));
        format!("{}/{package}/{name}/{}/{}/{name}", lookaside_url.trim_end_matches('/'), self.algorithm, self.hash)
    }
}

/// Returns how the repository of `package` is laid out, given the paths of all its files.
pub fn layout<'a>(package: &str, paths: impl IntoIterator<Item = &'a str>) -> Result<Layout, Error> {
    let metadata = format!(".{package}.metadata");
    let (mut specs, mut lists) = (Vec::new(), Vec::new());
    for path in paths {
        if path == "sources" {
            lists.push(List { path: path.to_string(), form: Form::Sources });
        } else if path == metadata {
            lists.push(List { path: path.to_string(), form: Form::Metadata });
        } else if spec_name(path).is_some() {
            specs.push(path.to_string());
        }
    }
    let spec = choose_spec(package, specs)?;
    let sources_dir = if spec.starts_with("SPECS/") { SOURCES_DIR } else { "" }.to_string();
    // A repository in AlmaLinux's layout may carry the list of the other one from its import, and the other way round.
    let wanted = if sources_dir.is_empty() { Form::Sources } else { Form::Metadata };
    lists.sort_by_key(|list| list.form != wanted);
    Ok(Layout { spec, sources_dir, list: lists.into_iter().next() })
}

/// Reads a list of large sources.
pub fn parse_list(form: Form, text: &str) -> Result<Vec<LookasideFile>, Error> {
    if text.len() > MAX_LIST_BYTES {
        return Err(Error::TooLong);
    }
    let mut files: BTreeMap<String, LookasideFile> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let file = match form {
            Form::Sources => sources_line(line),
            Form::Metadata => metadata_line(line),
        };
        let file = file.map_err(|reason| Error::Line { line: index + 1, reason })?;
        match files.get(&file.name) {
            Some(earlier) if *earlier != file => return Err(Error::Contradiction { name: file.name }),
            _ => files.insert(file.name.clone(), file),
        };
    }
    Ok(files.into_values().collect())
}

/// Returns whether the text is the name of a file and nothing else: no path, no control characters, not hidden.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.chars().any(|c| c == '/' || c == '\\' || c.is_control())
}

/// Returns whether the text can name a package, and so its repository.
pub fn is_package_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c))
        && !name.ends_with(".git")
        && !name.ends_with(".lock")
        && !name.contains("..")
}

fn spec_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix("SPECS/").unwrap_or(path);
    (!name.contains('/') && is_file_name(name)).then(|| name.strip_suffix(".spec")).flatten()
}

fn choose_spec(package: &str, mut specs: Vec<String>) -> Result<String, Error> {
    for wanted in [format!("SPECS/{package}.spec"), format!("{package}.spec")] {
        if specs.contains(&wanted) {
            return Ok(wanted);
        }
    }
    match specs.len() {
        0 => Err(Error::NoSpec { package: package.to_string() }),
        1 => Ok(specs.remove(0)),
        _ => {
            specs.sort();
            Err(Error::ManySpecs { package: package.to_string(), found: specs })
        }
    }
}

/// `SHA512 (file) = hash` or `md5  file`
fn sources_line(line: &str) -> Result<LookasideFile, &'static str> {
    let Some((algorithm, rest)) = line.split_once(" (") else {
        let (hash, name) = line.split_once(char::is_whitespace).ok_or("it has neither form of a line")?;
        return file(name.trim_start(), Algorithm::Md5, hash);
    };
    let algorithm = Algorithm::from_name(algorithm).ok_or("its hash function is not known")?;
    let (name, hash) = rest.rsplit_once(") = ").ok_or("it has neither form of a line")?;
    file(name, algorithm, hash)
}

/// `hash SOURCES/file`; the hash's length tells which one it is.
fn metadata_line(line: &str) -> Result<LookasideFile, &'static str> {
    let (hash, path) = line.split_once(char::is_whitespace).ok_or("it is not a hash and a path")?;
    let path = path.trim_start();
    let name = path.strip_prefix("SOURCES/").unwrap_or(path);
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.hex_len() == hash.len());
    file(name, algorithm.ok_or("its hash has the length of none that is known")?, hash)
}

fn file(name: &str, algorithm: Algorithm, hash: &str) -> Result<LookasideFile, &'static str> {
    if !is_file_name(name) {
        return Err("its file's name is not a plain name");
    }
    let hash = algorithm.parse_hash(hash.trim()).ok_or("its hash is not one")?;
    Ok(LookasideFile { name: name.to_string(), algorithm, hash })
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' => all.push(byte as char),
            _ => all += &format!("%{byte:02X}"),
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sha512() -> String {
        "ab".repeat(64)
    }

    #[test]
    fn the_layout_of_centos_stream_is_seen() {
        let layout = layout("jq", ["jq.spec", "sources", "fix.patch", "tests/other.spec", ".gitignore"]).unwrap();

        assert_eq!(layout.spec, "jq.spec");
        assert_eq!(layout.sources_dir, "");
        assert_eq!(layout.list, Some(List { path: "sources".into(), form: Form::Sources }));
    }

    #[test]
    fn the_layout_of_almalinux_is_seen() {
        let layout = layout("jq", ["SPECS/jq.spec", "SOURCES/fix.patch", ".jq.metadata", ".gitignore"]).unwrap();

        assert_eq!(layout.spec, "SPECS/jq.spec");
        assert_eq!(layout.sources_dir, "SOURCES");
        assert_eq!(layout.list, Some(List { path: ".jq.metadata".into(), form: Form::Metadata }));
    }

    #[test]
    fn a_repository_with_both_lists_uses_the_one_of_its_layout() {
        let alma = layout("jq", ["sources", "SPECS/jq.spec", ".jq.metadata"]).unwrap();
        let stream = layout("jq", [".jq.metadata", "jq.spec", "sources"]).unwrap();

        assert_eq!(alma.list.unwrap().form, Form::Metadata);
        assert_eq!(stream.list.unwrap().form, Form::Sources);
    }

    #[test]
    fn a_spec_of_another_name_is_taken_when_it_is_the_only_one() {
        assert_eq!(layout("a", ["b.spec"]).unwrap().spec, "b.spec");
        assert_eq!(layout("a", ["b.spec", "a.spec"]).unwrap().spec, "a.spec");
        assert_eq!(
            layout("a", ["c.spec", "b.spec"]).unwrap_err().to_string(),
            "could not choose a spec for a: there are b.spec, c.spec"
        );
        assert_eq!(layout("a", ["README"]).unwrap_err(), Error::NoSpec { package: "a".into() });
    }

    #[test]
    fn both_forms_of_a_sources_line_are_read() {
        let text = format!("# comment\n\nSHA512 (jq (1).tar.gz) = {}\n{}  old.tar.gz\n", sha512(), "CD".repeat(16));

        let files = parse_list(Form::Sources, &text).unwrap();

        assert_eq!(files[0].name, "jq (1).tar.gz");
        assert_eq!((files[0].algorithm, &files[0].hash), (Algorithm::Sha512, &sha512()));
        assert_eq!((files[1].algorithm, files[1].hash.as_str()), (Algorithm::Md5, "cd".repeat(16).as_str()));
    }

    #[test]
    fn the_hash_of_a_metadata_line_tells_its_algorithm() {
        let text = format!("{} SOURCES/a.tar.gz\n{} SOURCES/b.tar.gz\n", "ab".repeat(20), "ab".repeat(32));

        let files = parse_list(Form::Metadata, &text).unwrap();

        assert_eq!((files[0].name.as_str(), files[0].algorithm), ("a.tar.gz", Algorithm::Sha1));
        assert_eq!((files[1].name.as_str(), files[1].algorithm), ("b.tar.gz", Algorithm::Sha256));
    }

    #[test]
    fn a_bad_line_is_told_by_its_number() {
        for bad in ["SHA512 (a) = 12", "nonsense", "SHA3 (a) = 00", "SHA512 (../a) = ", "SHA512 (a)"] {
            let text = format!("SHA512 (fine) = {}\n{bad}\n", sha512());
            let error = parse_list(Form::Sources, &text).unwrap_err();
            assert!(matches!(error, Error::Line { line: 2, .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn a_list_cannot_name_a_file_outside_the_folder_of_sources() {
        for path in ["../x", "SOURCES/../x", "SOURCES/a/b", "/etc/passwd", ".hidden", "SOURCES/.."] {
            let text = format!("{} {path}", "ab".repeat(32));
            assert!(parse_list(Form::Metadata, &text).is_err(), "{path}");
        }
    }

    #[test]
    fn two_hashes_for_one_file_are_a_contradiction() {
        let text = format!("SHA512 (a) = {}\nSHA256 (a) = {}\n", sha512(), "ab".repeat(32));

        assert_eq!(parse_list(Form::Sources, &text).unwrap_err(), Error::Contradiction { name: "a".into() });
    }

    #[test]
    fn the_address_of_a_file_names_its_hash() {
        let file = LookasideFile { name: "a b^1.tar.gz".into(), algorithm: Algorithm::Md5, hash: "00".repeat(16) };

        assert_eq!(
            file.url("http://h/lookaside/", "g++"),
            format!("http://h/lookaside/g++/a%20b%5E1.tar.gz/md5/{}/a%20b%5E1.tar.gz", "00".repeat(16))
        );
    }

    #[test]
    fn package_names_are_plain() {
        assert!(["jq", "gtk+", "python3.11", "libstdc++_x"].into_iter().all(is_package_name));
        for bad in ["", "..", "a..b", "a/b", "-rf", ".a", "a b", "a.git", "a.lock", "é", "a%2e", &"a".repeat(129)] {
            assert!(!is_package_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_or_yield_a_path(text in ".{0,200}", form in prop_oneof![Just(Form::Sources), Just(Form::Metadata)]) {
            if let Ok(files) = parse_list(form, &text) {
                prop_assert!(files.iter().all(|file| is_file_name(&file.name) && file.hash.len() == file.algorithm.hex_len()));
            }
        }
    }
}
