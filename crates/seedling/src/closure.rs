//! Checks that a repository is closed: that something in it meets every requirement of everything in it.
//!
//! It reads the metadata that was written, not what was meant to be written, so it sees what `dnf` will see.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use rpm_version::Evr;

use crate::error::{Error, Result, on};

/// Requirements on rpm itself, which no package provides.
const RPMLIB: &str = "rpmlib(";

/// A name with, perhaps, a version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Capability {
    name: String,
    constraint: Option<Constraint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Constraint {
    relation: Relation,
    epoch: String,
    version: String,
    release: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// The metadata of a repository, as far as the check needs it.
#[derive(Debug, Default)]
struct Repository {
    package_count: usize,
    provides: HashMap<String, Vec<Option<Constraint>>>,
    files: HashSet<String>,
    requires: Vec<(String, Capability)>,
}

/// Returns how many packages the repository has; requirements that are unmet are an error that lists them.
pub fn check(folder: &Path) -> Result<usize> {
    let mut repository = Repository::default();
    for kind in ["primary", "filelists"] {
        let path = metadata_file(folder, kind)?;
        let mut xml = String::new();
        let file = BufReader::new(File::open(&path).map_err(on("open", &path))?);
        flate2::bufread::GzDecoder::new(file).read_to_string(&mut xml).map_err(on("unpack", &path))?;
        read(&xml, &mut repository).map_err(|reason| Error::Metadata { path, reason })?;
    }
    let unmet = unmet(&repository);
    match unmet.is_empty() {
        true => Ok(repository.package_count),
        false => Err(Error::Unmet(unmet.into_iter().collect())),
    }
}

fn metadata_file(folder: &Path, kind: &str) -> Result<PathBuf> {
    let folder = folder.join("repodata");
    let entries = fs::read_dir(&folder).map_err(on("read", &folder))?.flatten().map(|entry| entry.path());
    let suffix = format!("-{kind}.xml.gz");
    let mut found = entries.filter(|path| path.to_string_lossy().ends_with(&suffix));
    found.next().ok_or(Error::Metadata { path: folder, reason: format!("there is no {kind}") })
}

fn unmet(repository: &Repository) -> BTreeSet<String> {
    let missing = repository.requires.iter().filter(|(_, wanted)| !is_met(repository, wanted));
    missing.map(|(package, wanted)| format!("  {package} requires {}", wanted.describe())).collect()
}

fn is_met(repository: &Repository, wanted: &Capability) -> bool {
    if wanted.name.starts_with(RPMLIB) || repository.files.contains(&wanted.name) {
        return true;
    }
    let offers = repository.provides.get(&wanted.name).map(Vec::as_slice).unwrap_or_default();
    offers.iter().any(|offer| match (&wanted.constraint, offer) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(offer)) => overlap(offer, wanted),
    })
}

/// Returns whether a version exists that both say yes to.
fn overlap(offer: &Constraint, wanted: &Constraint) -> bool {
    match compare(offer, wanted) {
        Ordering::Less => offer.relation.reaches_up() || wanted.relation.reaches_down(),
        Ordering::Greater => offer.relation.reaches_down() || wanted.relation.reaches_up(),
        Ordering::Equal => {
            (offer.relation.has_equal() && wanted.relation.has_equal())
                || (offer.relation.reaches_up() && wanted.relation.reaches_up())
                || (offer.relation.reaches_down() && wanted.relation.reaches_down())
        }
    }
}

/// Compares as rpm does: where one side has no release, any release is equal.
fn compare(one: &Constraint, other: &Constraint) -> Ordering {
    let (left, right) = match (&one.release, &other.release) {
        (Some(left), Some(right)) => (left.as_str(), right.as_str()),
        _ => ("", ""),
    };
    let left = Evr::new(one.epoch.as_str(), one.version.as_str(), left);
    let right = Evr::new(other.epoch.as_str(), other.version.as_str(), right);
    left.cmp(&right)
}

impl Relation {
    fn parse(flags: &str) -> Option<Relation> {
        match flags {
            "LT" => Some(Relation::Less),
            "LE" => Some(Relation::LessOrEqual),
            "EQ" => Some(Relation::Equal),
            "GE" => Some(Relation::GreaterOrEqual),
            "GT" => Some(Relation::Greater),
            _ => None,
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
            Relation::Equal => "=",
            Relation::GreaterOrEqual => ">=",
            Relation::Greater => ">",
        }
    }

    fn has_equal(self) -> bool {
        matches!(self, Relation::LessOrEqual | Relation::Equal | Relation::GreaterOrEqual)
    }

    fn reaches_up(self) -> bool {
        matches!(self, Relation::GreaterOrEqual | Relation::Greater)
    }

    fn reaches_down(self) -> bool {
        matches!(self, Relation::LessOrEqual | Relation::Less)
    }
}

impl Capability {
    fn describe(&self) -> String {
        let Some(constraint) = &self.constraint else { return self.name.clone() };
        let release = constraint.release.as_ref().map(|release| format!("-{release}")).unwrap_or_default();
        format!("{} {} {}{release}", self.name, constraint.relation.symbol(), constraint.version)
    }
}

/// Adds what a primary or a filelists document says; the names of its elements tell the two apart where they differ.
fn read(xml: &str, repository: &mut Repository) -> std::result::Result<(), String> {
    let mut reader = Reader::from_str(xml);
    let (mut inside, mut text, mut package) = (String::new(), String::new(), String::new());
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Eof => return Ok(()),
            Event::Start(element) | Event::Empty(element) if element.name().as_ref() == "rpm:entry" => {
                let capability = capability(&element)?;
                match inside.as_str() {
                    "rpm:provides" => {
                        repository.provides.entry(capability.name).or_default().push(capability.constraint);
                    }
                    "rpm:requires" => repository.requires.push((package.clone(), capability)),
                    _ => {}
                }
            }
            Event::Start(element) => {
                text.clear();
                if element.name().as_ref().starts_with("rpm:") {
                    inside = element.name().as_ref().to_owned();
                }
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(reference) => text.push_str(&resolve(&reference)?),
            Event::End(element) => match element.name().as_ref() {
                "name" => {
                    package = std::mem::take(&mut text);
                    repository.package_count += 1;
                }
                "file" => {
                    repository.files.insert(std::mem::take(&mut text));
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn capability(element: &BytesStart) -> std::result::Result<Capability, String> {
    let attribute = |name: &str| -> std::result::Result<Option<String>, String> {
        let found = element.try_get_attribute(name).map_err(|error| error.to_string())?;
        let value =
            found.map(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).map(|value| value.into_owned()));
        value.transpose().map_err(|error| error.to_string())
    };
    let name = attribute("name")?.ok_or("an entry has no name")?;
    let constraint = match attribute("flags")?.as_deref().and_then(Relation::parse) {
        None => None,
        Some(relation) => Some(Constraint {
            relation,
            epoch: attribute("epoch")?.unwrap_or_default(),
            version: attribute("ver")?.unwrap_or_default(),
            release: attribute("rel")?,
        }),
    };
    Ok(Capability { name, constraint })
}

fn resolve(reference: &quick_xml::events::BytesRef) -> std::result::Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let name = reference.xml10_content();
    let text =
        quick_xml::escape::resolve_predefined_entity(&name).ok_or_else(|| format!("entity {name} is unknown"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, provides: &str, requires: &str) -> String {
        format!(
            "<package type=\"rpm\"><name>{name}</name><format><rpm:provides>{provides}</rpm:provides>\
             <rpm:requires>{requires}</rpm:requires><file>/usr/bin/{name}</file></format></package>"
        )
    }

    fn entry(text: &str) -> String {
        let words: Vec<&str> = text.split(' ').collect();
        let release = words.get(3).map(|release| format!(" rel=\"{release}\"")).unwrap_or_default();
        match words.as_slice() {
            [name] => format!("<rpm:entry name=\"{name}\"/>"),
            [name, flags, version, ..] => {
                format!("<rpm:entry name=\"{name}\" flags=\"{flags}\" epoch=\"0\" ver=\"{version}\"{release}/>")
            }
            _ => panic!("{text}"),
        }
    }

    fn unmet_of(provides: &str, requires: &str) -> Vec<String> {
        let mut repository = Repository::default();
        let xml = package("a", &entry(provides), "") + &package("b", "", &entry(requires));
        read(&format!("<metadata>{xml}</metadata>"), &mut repository).unwrap();
        assert_eq!(repository.package_count, 2);
        unmet(&repository).into_iter().collect()
    }

    #[test]
    fn requirements_are_met_by_provides_files_and_rpm_itself() {
        let table = [
            ("x", "x"),
            ("x EQ 2 0.1", "x GE 1"),
            ("x EQ 2 0.1", "x EQ 2"),
            ("x EQ 2 0.1", "x LE 2 0.1"),
            ("x EQ 2 0.1", "x LT 2 1"),
            ("x GE 1", "x GT 5"),
            ("x", "/usr/bin/a"),
            ("x", "rpmlib(PayloadIsZstd) LE 5.4.18 1"),
        ];
        for (provides, requires) in table {
            assert!(unmet_of(provides, requires).is_empty(), "{provides} for {requires}");
        }
    }

    #[test]
    fn requirements_that_nothing_meets_are_listed_with_who_has_them() {
        let table = [
            ("x", "y", "  b requires y"),
            ("x", "x GE 1", "  b requires x >= 1"),
            ("x EQ 2 0.1", "x GT 2", "  b requires x > 2"),
            ("x EQ 2 0.1", "x GE 2 1", "  b requires x >= 2-1"),
            ("x EQ 2 0.1", "/usr/bin/c", "  b requires /usr/bin/c"),
        ];
        for (provides, requires, said) in table {
            assert_eq!(unmet_of(provides, requires), [said]);
        }
    }

    #[test]
    fn escaped_names_are_compared_unescaped() {
        let mut repository = Repository::default();

        read("<l><package><file>/usr/share/a&amp;b&#33;</file></package></l>", &mut repository).unwrap();

        assert!(repository.files.contains("/usr/share/a&b!"));
    }
}
