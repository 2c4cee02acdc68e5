//! The locked list: exactly which packages, from where, with which checksums. It is kept as an artifact of every build and
//! is the key of a buildroot's layer.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// The version of the document that this code writes, and the only one it reads.
pub const LOCK_VERSION: u32 = 1;

/// One chosen package, with all that is needed to fetch and verify it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LockedPackage {
    /// `gcc`.
    pub name: String,
    /// `0` for most.
    pub epoch: u32,
    /// `11.5.0`.
    pub version: String,
    /// `2.el9`.
    pub release: String,
    /// `x86_64`, `noarch`.
    pub arch: String,
    /// The name that the repository was added under.
    pub repository: String,
    /// Where the file is: relative to the repository, or a full URL when the metadata names another base.
    pub location: String,
    /// `sha256`.
    pub checksum_type: String,
    /// In lower-case hexadecimal digits.
    pub checksum: String,
    /// The size of the file.
    pub size_bytes: u64,
}

impl LockedPackage {
    /// Returns `name-version-release.arch`, with the epoch before the version when it is not 0.
    pub fn nevra(&self) -> String {
        let Self { name, epoch, version, release, arch, .. } = self;
        match epoch {
            0 => format!("{name}-{version}-{release}.{arch}"),
            _ => format!("{name}-{epoch}:{version}-{release}.{arch}"),
        }
    }

    /// Returns what is wrong with it, if something is: metadata comes from outside and names files that we will write.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let parts = [&self.name, &self.version, &self.release, &self.arch];
        if parts.iter().any(|part| part.is_empty() || !part.chars().all(is_nevra_char)) {
            return Some("its name, version, release or architecture is empty or has a forbidden character");
        }
        if !is_safe_location(&self.location) {
            return Some("its location is empty or leads out of the repository");
        }
        if self.checksum_type.is_empty() || self.checksum.is_empty() {
            return Some("it has no checksum");
        }
        if hex::decode(&self.checksum).is_err() || self.checksum.bytes().any(|b| b.is_ascii_uppercase()) {
            return Some("its checksum is not in lower-case hexadecimal digits");
        }
        None
    }
}

fn is_nevra_char(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && c != '/'
}

fn is_safe_location(location: &str) -> bool {
    let path = ["https://", "http://", "file://"].iter().find_map(|scheme| location.strip_prefix(scheme));
    let relative = path.unwrap_or(location);
    !relative.is_empty()
        && !location.chars().any(char::is_control)
        && (path.is_some() || !location.starts_with('/'))
        && relative.split('/').all(|part| part != "..")
}

/// The locked list of one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// [`LOCK_VERSION`].
    pub version: u32,
    /// The architecture that it was solved for.
    pub arch: String,
    /// Sorted by name, architecture and version.
    pub packages: Vec<LockedPackage>,
}

impl Lock {
    /// Makes the document; the order of the given packages does not matter.
    pub fn new(arch: impl Into<String>, mut packages: Vec<LockedPackage>) -> Self {
        sort_packages(&mut packages);
        Self { version: LOCK_VERSION, arch: arch.into(), packages }
    }

    /// Returns the document as indented JSON with a final newline, the same bytes for the same list.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a lock is plain data");
        text.push('\n');
        text
    }

    /// Reads a document and checks every package in it, as it may come from anywhere.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| Error::Lock { reason: error.to_string() };

        // The version first: a newer document may have another shape altogether.
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != LOCK_VERSION {
            return Err(Error::Lock {
                reason: format!("it has version {version}, this program reads version {LOCK_VERSION}"),
            });
        }
        let lock: Self = serde_json::from_str(text).map_err(unreadable)?;
        if let Some((package, fault)) = lock.packages.iter().find_map(|package| Some((package, package.fault()?))) {
            return Err(Error::Lock { reason: format!("package {}: {fault}", package.nevra()) });
        }
        Ok(Self::new(lock.arch, lock.packages))
    }

    /// Returns the bytes that say what a root made from this list contains: two locks with the same bytes make the same root.
    ///
    /// Repositories and locations are left out: a package that moved to another mirror is still the same package.
    pub fn content_key(&self) -> Vec<u8> {
        let mut packages = self.packages.clone();
        sort_packages(&mut packages);
        let mut lines = format!("anima-lock {LOCK_VERSION}\narch {}\n", self.arch);
        for package in &packages {
            lines.push_str(&format!("{} {}:{}\n", package.nevra(), package.checksum_type, package.checksum));
        }
        lines.into_bytes()
    }

    /// Returns the SHA-256 of [`Lock::content_key`] in hexadecimal digits.
    pub fn content_hash(&self) -> String {
        hex::encode(Sha256::digest(self.content_key()))
    }
}

/// Text order, not version order: it only has to be the same everywhere.
pub(crate) fn sort_packages(packages: &mut [LockedPackage]) {
    packages.sort_by(|a, b| {
        (&a.name, &a.arch, a.epoch, &a.version, &a.release, a)
            .cmp(&(&b.name, &b.arch, b.epoch, &b.version, &b.release, b))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> LockedPackage {
        LockedPackage {
            name: name.into(),
            epoch: 0,
            version: "1".into(),
            release: "2".into(),
            arch: "noarch".into(),
            repository: "base".into(),
            location: format!("Packages/{name}.rpm"),
            checksum_type: "sha256".into(),
            checksum: "00ff".into(),
            size_bytes: 3,
        }
    }

    #[test]
    fn a_lock_is_read_back_as_it_was_written() {
        let lock = Lock::new("x86_64", vec![package("b"), package("a")]);

        let read = Lock::from_json(&lock.to_json()).unwrap();

        assert_eq!(read, lock);
        assert_eq!(read.packages[0].name, "a");
        assert_eq!(read.to_json(), lock.to_json());
    }

    #[test]
    fn the_written_form_of_version_1_stays_readable() {
        let text = r#"{"version":1,"arch":"x86_64","packages":[{"name":"a","epoch":1,"version":"1","release":"2","arch":"noarch",
            "repository":"base","location":"a.rpm","checksum_type":"sha256","checksum":"00ff","size_bytes":3,"added_later":true}]}"#;

        assert_eq!(Lock::from_json(text).unwrap().packages[0].nevra(), "a-1:1-2.noarch");
    }

    #[test]
    fn a_newer_or_broken_lock_is_refused_with_the_reason() {
        let newer = Lock::from_json(r#"{"version":2,"roots":[]}"#).unwrap_err().to_string();

        assert_eq!(newer, "read lock: it has version 2, this program reads version 1");
        assert!(Lock::from_json("{").is_err());
        assert!(Lock::from_json(r#"{"version":1}"#).is_err());
    }

    #[test]
    fn a_lock_that_names_files_outside_the_repository_is_refused() {
        for location in ["../x.rpm", "/etc/passwd", "a/../../x.rpm", "", "a\n.rpm", "https://host/../x"] {
            let lock = Lock::new("x86_64", vec![LockedPackage { location: location.into(), ..package("a") }]);

            assert!(Lock::from_json(&lock.to_json()).is_err(), "{location:?} was taken");
        }
        let lock =
            Lock::new("x86_64", vec![LockedPackage { location: "https://host/a..b.rpm".into(), ..package("a") }]);
        assert!(Lock::from_json(&lock.to_json()).is_ok());
    }

    #[test]
    fn the_hash_follows_content_and_not_order_or_place() {
        let one = Lock::new("x86_64", vec![package("a"), package("b")]);
        let moved = LockedPackage { location: "elsewhere.rpm".into(), repository: "mirror".into(), ..package("a") };
        let two = Lock::new("x86_64", vec![package("b"), moved]);
        let rebuilt = LockedPackage { checksum: "00fe".into(), ..package("a") };

        assert_eq!(one.content_hash(), two.content_hash());
        assert_ne!(one.content_hash(), Lock::new("x86_64", vec![rebuilt, package("b")]).content_hash());
        assert_ne!(one.content_hash(), Lock::new("aarch64", vec![package("a"), package("b")]).content_hash());
        assert_eq!(
            String::from_utf8(Lock::new("x", vec![package("a")]).content_key()).unwrap(),
            "anima-lock 1\narch x\na-1-2.noarch sha256:00ff\n"
        );
    }
}
