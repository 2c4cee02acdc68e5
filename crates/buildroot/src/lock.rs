//! The locked list that a layer is made from, and the name it gives to the layer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use anima_sandbox::Emulator;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::At;
use crate::{Error, host_rpm};

/// Part of every name: raised when layers are made differently, so that old ones are not taken for new ones.
const RECIPE: &str = "anima-layer 1";

/// One package of a locked list, and where its file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPackage {
    /// `name-[epoch:]version-release.arch`.
    pub nevra: String,
    /// Of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The file. Only looked at when the layer is not there yet.
    pub path: PathBuf,
}

/// What a layer is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockInput {
    /// The packages. Their order is of no account: rpm sorts them by their dependencies, as it does for dnf.
    pub packages: Vec<LayerPackage>,
    /// What else tells this layer from others: the platform and architecture it is for.
    pub configuration: String,
    /// Macros for rpm while it installs (`_excludedocs`, `_install_langs`), by name.
    pub macros: BTreeMap<String, String>,
    /// The layer whose own rpm makes this one, by its name ([`LockInput::layer_name`]); the host's where nothing is said.
    pub made_by: Option<String>,
    /// What runs the packages' scripts, where the machine's processor does not. The result is the same, so they are no
    /// part of the name.
    pub emulators: Vec<Emulator>,
}

impl LockInput {
    /// Returns the name of the layer that this list gives on top of `parent`. The host's rpm is asked for its version, once in the
    /// life of a process, where it is to make the layer: another one may make another list of what is installed.
    pub fn layer_name(&self, parent: Option<&str>) -> Result<String, Error> {
        match &self.made_by {
            Some(layer) => self.name_by(("rpm of", layer), parent),
            None => self.name_by(("rpm", host_rpm::version()?), parent),
        }
    }

    fn name_by(&self, (kind, rpm): (&str, &str), parent: Option<&str>) -> Result<String, Error> {
        let lines = self.checked_lines()?;
        let mut hash = Sha256::new();
        let mut line = |kind: &str, text: &str| hash.update(format!("{kind} {}:{text}\n", text.len()));
        line("recipe", RECIPE);
        line("parent", parent.unwrap_or(""));
        line("configuration", &self.configuration);
        line(kind, rpm);
        self.macros.iter().for_each(|(name, value)| line("macro", &format!("{name} {value}")));
        lines.iter().for_each(|text| line("package", text));
        Ok(hex::encode(hash.finalize()))
    }

    /// Sorted, so that the same set has the same name.
    fn checked_lines(&self) -> Result<BTreeSet<String>, Error> {
        if self.packages.is_empty() {
            return Err(Error::Lock("it is empty".to_owned()));
        }
        let mut names = BTreeSet::new();
        for package in &self.packages {
            if !is_nevra(&package.nevra) {
                return Err(Error::Lock(format!("{:?} is no NEVRA", package.nevra)));
            }
            if package.sha256.len() != 64
                || !package.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            {
                return Err(Error::Lock(format!("{:?} of {} is no SHA-256", package.sha256, package.nevra)));
            }
            if !names.insert(with_epoch(&package.nevra)) {
                return Err(Error::Lock(format!("{} is in it twice", package.nevra)));
            }
        }
        Ok(self.packages.iter().map(|it| format!("{} {}", with_epoch(&it.nevra), it.sha256)).collect())
    }

    /// Compares every file with the list, on all cores.
    pub(crate) fn verify_files(&self) -> Result<(), Error> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = self.packages.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let work: Vec<_> = self
                .packages
                .chunks(share)
                .map(|packages| scope.spawn(|| packages.iter().try_for_each(verify_file)))
                .collect();
            work.into_iter().try_for_each(|thread| thread.join().expect("hashing does not panic"))
        })
    }
}

fn verify_file(package: &LayerPackage) -> Result<(), Error> {
    let found = sha256_of(&package.path).at("read package", &package.path)?;
    if found == package.sha256 {
        return Ok(());
    }
    Err(Error::Checksum {
        nevra: package.nevra.clone(),
        path: package.path.clone(),
        locked: package.sha256.clone(),
        found,
    })
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}

/// The characters that rpm allows, none of which a path or a pattern could be made of.
fn is_nevra(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+._~^:-".contains(&byte);
    !text.starts_with(['.', '-', '~'])
        && text.matches('-').count() >= 2
        && text.contains('.')
        && text.bytes().all(allowed)
}

/// Writes the epoch out, as rpm's own query does here: `a-1-1.x` is `a-0:1-1.x`.
pub(crate) fn with_epoch(nevra: &str) -> String {
    let mut parts = nevra.rsplitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(release), Some(version), Some(name)) if !version.contains(':') => format!("{name}-0:{version}-{release}"),
        _ => nevra.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(nevra: &str, digit: &str) -> LayerPackage {
        LayerPackage { nevra: nevra.to_owned(), sha256: digit.repeat(64), path: PathBuf::new() }
    }

    fn list(packages: &[(&str, &str)]) -> LockInput {
        let packages = packages.iter().map(|(nevra, digit)| package(nevra, digit)).collect();
        LockInput { packages, ..LockInput::default() }
    }

    #[test]
    fn the_same_set_has_the_same_name_in_any_order() {
        let one = list(&[("a-1-1.x86_64", "1"), ("b-1:2-1.noarch", "2")]);
        let other = list(&[("b-1:2-1.noarch", "2"), ("a-0:1-1.x86_64", "1")]);

        assert_eq!(one.layer_name(None).expect("name"), other.layer_name(None).expect("name"));
    }

    #[test]
    fn a_host_with_another_rpm_makes_layers_of_its_own() {
        let list = list(&[("a-1-1.x86_64", "1")]);
        let name = |rpm| list.name_by(("rpm", rpm), None).expect("name");

        assert_eq!(list.layer_name(None).expect("name"), name(host_rpm::version().expect("ask rpm")));
        assert_ne!(name("RPM version 4.20.0"), name("RPM version 4.20.1"));
    }

    #[test]
    fn whatever_changes_the_result_changes_the_name() {
        let one = list(&[("a-1-1.x86_64", "1")]);
        let name = |list: &LockInput, parent| list.layer_name(parent).expect("name");
        let configuration = LockInput { configuration: "el9".to_owned(), ..one.clone() };
        let by_itself = LockInput { made_by: Some("bootstrap".to_owned()), ..one.clone() };
        let macros = LockInput { macros: [("_excludedocs".to_owned(), "1".to_owned())].into(), ..one.clone() };

        let names = BTreeSet::from([
            name(&one, None),
            name(&one, Some("parent")),
            name(&configuration, None),
            name(&macros, None),
            name(&by_itself, None),
            name(&list(&[("a-1-1.x86_64", "2")]), None),
            name(&list(&[("a-1-2.x86_64", "1")]), None),
        ]);

        assert_eq!(names.len(), 7);
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused() {
        let refused = |packages: &[(&str, &str)]| list(packages).layer_name(None).expect_err("refused").to_string();

        assert_eq!(refused(&[]), "use locked list: it is empty");
        assert!(refused(&[("../../etc-1-1.x", "1")]).contains("no NEVRA"));
        assert!(refused(&[("a", "1")]).contains("no NEVRA"));
        assert!(refused(&[("a-1-1.x", "G")]).contains("no SHA-256"));
        assert!(refused(&[("a-1-1.x", "1"), ("a-0:1-1.x", "1")]).contains("twice"));
    }
}
