//! Repositories of the target in dnf's form: `leapp_upgrade_repositories.repo`, and `NAME.repo` of vendors.

use std::path::Path;

use super::{Origin, Place};
use crate::{Error, Result};

/// One file.
#[derive(Clone, Debug, Default)]
pub struct RepositoryFile {
    /// Its repositories, in its order.
    pub repositories: Vec<Configured>,
    /// Whose they are.
    pub origin: Origin,
    /// The whole file.
    pub raw: String,
}

/// A repository of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Configured {
    /// Its name in dnf's configuration.
    pub id: String,
    /// Its settings, in the order of the file.
    pub settings: Vec<(String, String)>,
    /// Where it stands.
    pub place: Place,
}

impl RepositoryFile {
    /// Reads a file. A line that begins with a blank goes on with the setting before it.
    pub fn parse(path: &Path, text: &str) -> Result<RepositoryFile> {
        let mut repositories: Vec<Configured> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let place = Place { file: path.to_path_buf(), line: at + 1, column: 1 };
            let words = line.trim();
            if words.is_empty() || words.starts_with(['#', ';']) {
                continue;
            }
            if let Some(id) = words.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                repositories.push(Configured { id: id.to_string(), settings: Vec::new(), place });
                continue;
            }
            let refused = |reason: &str| Error::Data { place: place.clone(), reason: reason.to_string() };
            let last =
                repositories.last_mut().ok_or_else(|| refused("a setting stands before the first [repository]"))?;
            match (line.starts_with([' ', '\t']), words.split_once('='), last.settings.last_mut()) {
                (true, _, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(words);
                }
                (_, Some((key, value)), _) => last.settings.push((key.trim().to_string(), value.trim().to_string())),
                _ => return Err(refused("this is neither [repository] nor key=value")),
            }
        }
        Ok(RepositoryFile { repositories, origin: Origin::default(), raw: text.to_string() })
    }
}

impl Configured {
    /// Returns a setting; the last one counts, as for dnf.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns the files of keys that it names on this machine.
    pub fn key_paths(&self) -> impl Iterator<Item = &str> {
        self.setting("gpgkey").unwrap_or_default().split([' ', ',', '\t']).filter_map(|url| url.strip_prefix("file://"))
    }

    /// Returns whether packages are checked with keys.
    pub fn wants_signatures(&self) -> bool {
        !matches!(self.setting("gpgcheck").map(str::to_lowercase).as_deref(), Some("0" | "false" | "no" | "off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_read_with_their_keys() {
        let text = "# ours\n[a]\nname = A\nbaseurl=https://example.org/\n  https://example.net/\ngpgkey=file:///k/A, file:///k/B\n\n[b]\ngpgcheck = 0\n";

        let file = RepositoryFile::parse(Path::new("a.repo"), text).unwrap();

        let [a, b] = file.repositories.as_slice() else { panic!("{file:?}") };
        assert_eq!(a.setting("baseurl"), Some("https://example.org/ https://example.net/"));
        assert_eq!(a.key_paths().collect::<Vec<_>>(), ["/k/A", "/k/B"]);
        assert_eq!((a.wants_signatures(), b.wants_signatures(), b.place.line), (true, false, 8));
        assert_eq!(file.raw, text);
    }

    #[test]
    fn a_line_that_is_nothing_is_told_with_its_number() {
        let error = |text: &str| RepositoryFile::parse(Path::new("a.repo"), text).unwrap_err().to_string();
        assert!(error("name=x\n").contains("a.repo:1:1"));
        assert!(error("[a]\nnonsense\n").contains("a.repo:2:1"));
    }
}
