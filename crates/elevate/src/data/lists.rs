//! What the machine's owner wants, in leapp's files: `to_install`, `to_keep`, `to_remove`, `to_reinstall`, a name a line.

use std::{collections::BTreeMap, path::Path};

use super::Place;
use crate::{Error, Result};

/// The lists of a folder, each name with its place.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lists {
    /// Packages to be installed besides.
    pub install: BTreeMap<String, Place>,
    /// Packages that stay, whatever the events say.
    pub keep: BTreeMap<String, Place>,
    /// Packages that go.
    pub remove: BTreeMap<String, Place>,
    /// Packages that are installed again, though the target has the same version.
    pub reinstall: BTreeMap<String, Place>,
}

impl Lists {
    /// Reads a folder; a file that is not there is an empty list.
    pub fn read(folder: &Path) -> Result<Lists> {
        let list = |name: &str| {
            let path = folder.join(name);
            if path.is_file() { parse(&path, &super::read(&path)?) } else { Ok(BTreeMap::new()) }
        };
        Ok(Lists {
            install: list("to_install")?,
            keep: list("to_keep")?,
            remove: list("to_remove")?,
            reinstall: list("to_reinstall")?,
        })
    }

    /// Returns what stands in two lists that exclude each other, kept or installed and removed; it is not removed.
    pub fn contradictions(&self) -> Vec<(&str, &Place, &Place)> {
        let wanted = self.keep.iter().chain(&self.install);
        wanted.filter_map(|(name, place)| Some((name.as_str(), place, self.remove.get(name)?))).collect()
    }
}

/// Reads a list; lines that begin with `#` say nothing.
fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Place>> {
    let mut names = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let name = line.trim();
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        let place = Place { file: path.to_path_buf(), line: at + 1, column: line.len() - line.trim_start().len() + 1 };
        if name.contains(char::is_whitespace) {
            let reason = format!("\"{name}\" is no package's name: one stands on each line");
            return Err(Error::Data { place, reason });
        }
        names.entry(name.to_string()).or_insert(place);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_their_places_and_their_contradictions_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("to_keep"), "### ours\n\n  bash\nzsh\n").unwrap();
        std::fs::write(folder.path().join("to_remove"), "zsh\n").unwrap();

        let lists = Lists::read(folder.path()).unwrap();

        assert_eq!((lists.keep["bash"].line, lists.keep["bash"].column), (3, 3));
        assert!(lists.install.is_empty());
        assert_eq!(lists.contradictions().into_iter().map(|found| found.0).collect::<Vec<_>>(), ["zsh"]);
    }

    #[test]
    fn a_line_of_two_words_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("to_install"), "a\nb c\n").unwrap();

        assert!(Lists::read(folder.path()).unwrap_err().to_string().contains("to_install:2:1"));
    }
}
