//! A package under test, and the forms in which solver and rpm call it.

use std::path::PathBuf;

use anima_rpm_file::PackageInfo;
use anima_types::Nevra;

/// A package under test, on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub path: PathBuf,
    pub info: PackageInfo,
}

impl Subject {
    pub fn nevra(&self) -> &Nevra {
        &self.info.nevra
    }

    /// Returns the requirement that only this version of it meets.
    pub fn exact(&self) -> String {
        format!("{} = {}", self.nevra().name, self.nevra().evr)
    }
}

/// Returns `name-version-release.arch`, which is how rpm calls a package in messages and takes it in arguments.
pub(crate) fn nvra(nevra: &Nevra) -> String {
    nevra.file_name().trim_end_matches(".rpm").to_owned()
}

/// Returns `name-epoch:version-release.arch`, with an epoch of zero written out.
pub(crate) fn with_epoch(nevra: &Nevra) -> String {
    format!("{}-{}:{}-{}.{}", nevra.name, nevra.evr.epoch, nevra.evr.version, nevra.evr.release, nevra.arch)
}

/// Returns whether a message has the package's name with version and architecture as a word of its own.
pub(crate) fn is_named_in(nevra: &Nevra, message: &str) -> bool {
    let names = [nevra.to_string(), nvra(nevra), with_epoch(nevra)];
    let words = message.split(|c: char| c.is_whitespace() || "(),;'\"".contains(c));
    words.map(|word| word.trim_matches([':', '.'])).any(|word| names.iter().any(|name| name == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_recognised_as_rpm_and_libsolv_call_it_and_not_within_another_name() {
        let nevra: Nevra = "foo-1:2.0-3.noarch".parse().unwrap();

        for message in [
            "warning: %post(foo-2.0-3.noarch) scriptlet failed, exit status 1",
            "package foo-1:2.0-3.noarch requires bar, but none of the providers can be installed",
            "error: foo-2.0-3.noarch: install failed",
            "nothing provides x needed by foo-1:2.0-3.noarch.",
        ] {
            assert!(is_named_in(&nevra, message), "{message}");
        }
        for message in ["foo-libs-2.0-3.noarch", "libfoo-2.0-3.noarch", "foo-2.0-3.noarch.rpm", "foo", ""] {
            assert!(!is_named_in(&nevra, message), "{message}");
        }
    }
}
