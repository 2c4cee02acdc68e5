//! The three files that every repository has, and how packages stand in them.

use serde::{Deserialize, Serialize};

use crate::PackageXml;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const PACKAGE_END: &str = "</package>";

/// One of the three files.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What a package is, needs and provides.
    Primary,
    /// All its files.
    Filelists,
    /// Its changelog.
    Other,
}

impl Part {
    /// All of them, in the order of the index.
    pub const ALL: [Part; 3] = [Part::Primary, Part::Filelists, Part::Other];

    /// Returns the index's word for it.
    pub const fn kind(self) -> &'static str {
        match self {
            Part::Primary => "primary",
            Part::Filelists => "filelists",
            Part::Other => "other",
        }
    }

    /// Returns the end of its name, such as `primary.xml`.
    pub const fn file_name(self) -> &'static str {
        match self {
            Part::Primary => "primary.xml",
            Part::Filelists => "filelists.xml",
            Part::Other => "other.xml",
        }
    }

    const fn root(self) -> &'static str {
        match self {
            Part::Primary => "metadata",
            Part::Filelists => "filelists",
            Part::Other => "otherdata",
        }
    }

    const fn namespaces(self) -> &'static str {
        match self {
            Part::Primary => {
                "xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\""
            }
            Part::Filelists => "xmlns=\"http://linux.duke.edu/metadata/filelists\"",
            Part::Other => "xmlns=\"http://linux.duke.edu/metadata/other\"",
        }
    }

    /// Returns what stands before the packages.
    pub(crate) fn head(self, package_count: u64) -> String {
        format!("{HEAD}<{} {} packages=\"{package_count}\">\n", self.root(), self.namespaces())
    }

    /// Returns what stands after them.
    pub(crate) fn tail(self) -> String {
        format!("</{}>\n", self.root())
    }

    /// Returns a package's element.
    pub(crate) fn of(self, package: &PackageXml) -> &str {
        match self {
            Part::Primary => &package.primary,
            Part::Filelists => &package.filelists,
            Part::Other => &package.other,
        }
    }

    /// Returns a package's name and hash as they stand in its element, by which elements are ordered: the twins of one
    /// name are beside each other, where they pack best.
    pub(crate) fn key(self, element: &str) -> Option<(&str, &str)> {
        let (name, id) = match self {
            Part::Primary => (between(element, "<name>", "<")?, between(element, "pkgid=\"YES\">", "<")?),
            Part::Filelists | Part::Other => {
                let tag = element.split_once('>')?.0;
                (between(tag, " name=\"", "\"")?, between(tag, " pkgid=\"", "\"")?)
            }
        };
        Some((name, id))
    }
}

/// Returns the elements of a text that is nothing but packages. Text within elements has no angle brackets of its own.
pub(crate) fn elements(text: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    let mut rest = text.trim_start();
    while let Some(at) = rest.find(PACKAGE_END) {
        let (element, after) = rest.split_at(at + PACKAGE_END.len());
        elements.push(element);
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        elements.push(rest);
    }
    elements
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = text.split_once(start)?.1;
    rest.split_once(end).map(|(inside, _)| inside)
}
