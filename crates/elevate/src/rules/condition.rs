//! The language of conditions: small, typed, and pure. Its words are read once, when the rules are: a word that does not exist,
//! or a pattern that is none, is found by a test and not on somebody's machine.

use regex::Regex;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::view::{Evidence, View};
use crate::pattern;

/// When a rule holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// All of these.
    All(Vec<Condition>),
    /// Any of these.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// The way leads from before this major version to it, or beyond.
    Crosses(u32),
    /// The architecture is this one.
    Arch(String),
    /// A package of that name is installed (`*` and `?` stand for others).
    Installed(String),
    /// A package of that architecture is installed.
    InstalledArch(String),
    /// A package with such a release is installed.
    InstalledRelease(String),
    /// More than one package of that name is installed.
    Several(String),
    /// The kernel that runs is not the newest that is installed.
    OldKernel(bool),
    /// A unit of that name starts by itself.
    Service(String),
    /// A module of that name is in the kernel.
    Module(String),
    /// A file or folder of that path is there.
    File(String),
    /// A file or folder of that path is there, and its path does not match.
    OtherFile {
        /// The path.
        file: String,
        /// What is not counted.
        except: Pattern,
    },
    /// A configuration file of a package is not as the package brought it.
    Changed(String),
    /// A link of that path leads to what this pattern matches.
    Link {
        /// The path.
        file: String,
        /// What is matched.
        matches: Pattern,
    },
    /// A line of a file matches; lines that are comments do not count.
    Text {
        /// The path.
        file: String,
        /// What is matched.
        matches: Pattern,
        /// Lines that do not count either.
        #[serde(default)]
        except: Option<Pattern>,
    },
    /// A setting of a file has a value that matches.
    Setting {
        /// The path.
        file: String,
        /// How it is written.
        #[serde(default)]
        format: Format,
        /// The section that it is in.
        #[serde(default)]
        section: Option<String>,
        /// Its name, with `*` for others; case does not matter.
        key: String,
        /// What is matched; anything where nothing is said.
        #[serde(default)]
        is: Option<Pattern>,
    },
    /// The file is there, and no file of that path has that setting.
    Unset {
        /// The path.
        file: String,
        /// How it is written.
        #[serde(default)]
        format: Format,
        /// Its name; case does not matter.
        key: String,
    },
    /// The number that a setting begins with is below this.
    Below {
        /// The path.
        file: String,
        /// How it is written.
        #[serde(default)]
        format: Format,
        /// Its name.
        key: String,
        /// The number.
        number: u64,
    },
    /// The file system that a path is on has less room than this.
    Free {
        /// The path.
        path: String,
        /// Room in MiB.
        below_mib: u64,
    },
    /// A file system of that kind is in use.
    FileSystem(String),
    /// Something is mounted there.
    Mounted(String),
    /// A file of that path may not be changed, by a flag of its own.
    Immutable(String),
    /// The package database is of that kind.
    Database(String),
}

/// How settings are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `key = value`, in sections or not.
    #[default]
    Equals,
    /// `key value`.
    Words,
    /// `key: value`.
    Colon,
}

/// A regular expression, read when the rules are.
#[derive(Clone, Debug)]
pub struct Pattern(pub(crate) Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Pattern).map_err(D::Error::custom)
    }
}

impl Condition {
    /// Returns what it was found in, or nothing where it does not hold.
    pub(super) fn holds(&self, view: &View<'_>) -> Option<Evidence> {
        match self {
            Condition::All(all) => {
                all.iter().map(|one| one.holds(view)).collect::<Option<Vec<_>>>().map(|all| all.concat())
            }
            Condition::Any(any) => {
                let found: Vec<Evidence> = any.iter().filter_map(|one| one.holds(view)).collect();
                (!found.is_empty()).then(|| found.concat())
            }
            Condition::Not(one) => one.holds(view).is_none().then(Vec::new),
            Condition::Crosses(major) => {
                (view.facts.os.release.major < *major && *major <= view.target.major).then(Vec::new)
            }
            Condition::Arch(arch) => (view.facts.arch == *arch).then(Vec::new),
            Condition::Installed(name) => found(view.installed(name).map(|package| package.nevra())),
            Condition::InstalledArch(arch) => {
                let packages = view.facts.packages.iter().filter(|package| package.arch == *arch);
                found(packages.map(|package| package.nevra()))
            }
            Condition::InstalledRelease(release) => {
                let packages = view.facts.packages.iter().filter(|package| pattern::matches(release, &package.release));
                found(packages.map(|package| package.nevra()))
            }
            Condition::Several(name) => {
                let all: Vec<String> = view.installed(name).map(|package| package.nevra()).collect();
                (all.len() > 1).then_some(all)
            }
            Condition::OldKernel(wanted) => view.old_kernel().filter(|_| *wanted),
            Condition::Service(name) => {
                let units = view.facts.services.iter().map(|service| &service.unit);
                found(units.filter(|unit| pattern::matches(name, unit)).cloned())
            }
            Condition::Module(name) => {
                found(view.facts.modules_loaded.iter().filter(|module| pattern::matches(name, module)).cloned())
            }
            Condition::File(path) => found(view.files(path).map(|(path, _)| path.clone())),
            Condition::Link { file, matches } => view.links(file, &matches.0),
            Condition::OtherFile { file, except } => {
                found(view.files(file).map(|(path, _)| path.clone()).filter(|path| !except.0.is_match(path)))
            }
            Condition::Changed(path) => {
                let changed = view.facts.packages.iter().flat_map(|package| &package.changed_config);
                found(changed.filter(|changed| pattern::matches_path(path, changed)).cloned())
            }
            Condition::Text { file, matches, except } => view.lines(file, |line| {
                matches.0.is_match(line) && except.as_ref().is_none_or(|except| !except.0.is_match(line))
            }),
            Condition::Setting { file, format, section, key, is } => {
                let is_it = |value: &str| is.as_ref().is_none_or(|pattern| pattern.0.is_match(value));
                view.settings(file, *format, section.as_deref(), key, is_it)
            }
            Condition::Unset { file, format, key } => {
                let there = found(view.files(file).map(|(path, _)| path.clone()))?;
                view.settings(file, *format, None, key, |_| true).is_none().then_some(there)
            }
            Condition::Below { file, format, key, number } => view.settings(file, *format, None, key, |value| {
                let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
                digits.parse::<u64>().is_ok_and(|value| value < *number)
            }),
            Condition::Free { path, below_mib } => view.free(path, *below_mib),
            Condition::FileSystem(kind) => {
                let mounts = view.facts.mounts.iter().filter(|mount| mount.kind == *kind);
                found(mounts.map(|mount| format!("{} ({})", mount.path, mount.kind)))
            }
            Condition::Mounted(path) => {
                found(view.facts.mounts.iter().filter(|mount| mount.path == *path).map(|mount| mount.path.clone()))
            }
            Condition::Immutable(path) => {
                found(view.files(path).filter(|(_, file)| file.is_immutable).map(|(path, _)| path.clone()))
            }
            Condition::Database(kind) => (view.probes.package_database.as_deref() == Some(kind)).then(Vec::new),
        }
    }
}

fn found(things: impl Iterator<Item = String>) -> Option<Evidence> {
    let things: Evidence = things.collect();
    (!things.is_empty()).then_some(things)
}
