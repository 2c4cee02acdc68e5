//! Debian packages: their control fields and their dependency expressions.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command,
    error::{Error, Result},
};

/// One Debian package file with its control fields.
#[derive(Debug, Clone)]
pub struct Deb {
    /// Where the file lies.
    pub path: PathBuf,
    /// What it says about itself.
    pub control: Control,
}

impl Deb {
    /// Reads the control fields of a package file.
    pub fn open(path: &Path) -> Result<Deb> {
        let text = command::run(Command::new("dpkg-deb").arg("-f").arg(path))?;
        let control = Control::parse(&text);
        for field in ["Package", "Version", "Architecture"] {
            if control.get(field).is_none() {
                return Err(Error::Package { package: file_name(path), reason: format!("no field {field}") });
            }
        }
        Ok(Deb { path: path.to_owned(), control })
    }

    /// Returns the package's Debian name.
    pub fn name(&self) -> &str {
        self.control.get("Package").unwrap_or_default()
    }

    /// Returns the Debian version as it is written.
    pub fn version(&self) -> &str {
        self.control.get("Version").unwrap_or_default()
    }

    /// Returns the name of the source package that it was built from.
    pub fn source(&self) -> &str {
        let source = self.control.get("Source").unwrap_or_else(|| self.name());
        source.split_whitespace().next().unwrap_or_default()
    }

    /// Returns whether the package is the same for every architecture.
    pub fn is_noarch(&self) -> bool {
        self.control.get("Architecture") == Some("all")
    }

    /// Returns the file's name.
    pub fn file_name(&self) -> String {
        file_name(&self.path)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The fields of a control file.
#[derive(Debug, Clone, Default)]
pub struct Control(BTreeMap<String, String>);

impl Control {
    /// Parses one paragraph; a continuation line keeps its text after the first space.
    pub fn parse(text: &str) -> Control {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(more) = line.strip_prefix([' ', '\t']) {
                if let Some(value) = fields.get_mut(&current) {
                    value.push('\n');
                    value.push_str(more);
                }
            } else if let Some((name, value)) = line.split_once(':') {
                current = name.to_owned();
                fields.insert(current.clone(), value.trim().to_owned());
            }
        }
        Control(fields)
    }

    /// Returns a field's value.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns everything that the package must have beside it, one entry per comma.
    pub fn dependencies(&self) -> Vec<Alternatives> {
        let fields = ["Pre-Depends", "Depends"].into_iter().filter_map(|field| self.get(field));
        fields.flat_map(parse_dependencies).collect()
    }

    /// Returns the virtual packages that the package stands for.
    pub fn provides(&self) -> Vec<Dependency> {
        self.get("Provides").map(parse_dependencies).unwrap_or_default().into_iter().flatten().collect()
    }
}

/// Packages of which one is enough.
pub type Alternatives = Vec<Dependency>;

/// One package in a dependency expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The Debian name, without an architecture.
    pub name: String,
    /// The relation as Debian writes it and the Debian version.
    pub constraint: Option<(String, String)>,
}

/// Parses `a (>= 1) | b:any, c`.
pub fn parse_dependencies(text: &str) -> Vec<Alternatives> {
    let groups = text.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(parse_dependency).collect()).collect()
}

fn parse_dependency(text: &str) -> Dependency {
    let (name, constraint) = match text.split_once('(') {
        Some((name, constraint)) => (name, Some(constraint.trim().trim_end_matches(')'))),
        None => (text, None),
    };
    let name = name.trim().split(':').next().unwrap_or_default().to_owned();
    let constraint = constraint.map(|text| {
        let end = text.find(|c: char| !"<>=".contains(c)).unwrap_or(text.len());
        (text[..end].to_owned(), text[end..].trim().to_owned())
    });
    Dependency { name, constraint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_fields_keep_their_continuation_lines() {
        let control = Control::parse("Package: bash\nDescription: a shell\n It runs.\n .\n Well.\nEmpty:\n");

        assert_eq!(control.get("Package"), Some("bash"));
        assert_eq!(control.get("Description"), Some("a shell\nIt runs.\n.\nWell."));
        assert_eq!(control.get("Empty"), None);
    }

    #[test]
    fn dependency_expressions_are_split_into_alternatives() {
        let parsed = parse_dependencies("libc6 (>= 2.36), perl:any | perlapi-5.36.0,g++ (= 4:12.2.0-3)");

        let on = |name: &str, constraint: Option<(&str, &str)>| Dependency {
            name: name.to_owned(),
            constraint: constraint.map(|(relation, version)| (relation.to_owned(), version.to_owned())),
        };
        assert_eq!(
            parsed,
            [
                vec![on("libc6", Some((">=", "2.36")))],
                vec![on("perl", None), on("perlapi-5.36.0", None)],
                vec![on("g++", Some(("=", "4:12.2.0-3")))],
            ]
        );
    }

    #[test]
    fn dependencies_join_what_must_be_there_before_and_after() {
        let control = Control::parse("Pre-Depends: a\nDepends: b, c\n");

        let names: Vec<String> = control.dependencies().into_iter().flatten().map(|one| one.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
