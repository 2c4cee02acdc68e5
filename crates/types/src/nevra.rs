//! NEVRA: a package's name, epoch, version, release and architecture, and RPM's order of versions.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An epoch, version and release, ordered by RPM's rules (`rpmvercmp` on each part).
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Evr {
    /// Zero where the package names none.
    pub epoch: u32,
    /// Upstream's version.
    pub version: String,
    /// The distribution's release.
    pub release: String,
}

/// What identifies one package file among all others of a distribution.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Nevra {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub evr: Evr,
    /// Its architecture: `x86_64`, `noarch`, or `src` for a source package.
    pub arch: String,
}

/// Why a text is not a NEVRA or EVR.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// A part is missing or empty.
    #[error("could not read \"{0}\" as name-[epoch:]version-release.arch")]
    Nevra(String),
    /// A part is missing or empty.
    #[error("could not read \"{0}\" as [epoch:]version-release")]
    Evr(String),
}

impl Evr {
    /// Returns the version from its parts.
    pub fn new(epoch: u32, version: impl Into<String>, release: impl Into<String>) -> Evr {
        Evr { epoch, version: version.into(), release: release.into() }
    }
}

impl Nevra {
    /// Returns the file name that rpmbuild gives to this package: the epoch is left out.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.{}.rpm", self.name, self.evr.version, self.evr.release, self.arch)
    }
}

impl Ord for Evr {
    fn cmp(&self, other: &Evr) -> Ordering {
        let part = |a: &str, b: &str| rpm_version::rpm_evr_compare(a, b);
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| part(&self.version, &other.version))
            .then_with(|| part(&self.release, &other.release))
            // RPM calls some different texts equal ("1.0" and "1_0"); an order for maps must not.
            .then_with(|| (&self.version, &self.release).cmp(&(&other.version, &other.release)))
    }
}

impl PartialOrd for Evr {
    fn partial_cmp(&self, other: &Evr) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Nevra {
    fn cmp(&self, other: &Nevra) -> Ordering {
        (&self.name, &self.evr, &self.arch).cmp(&(&other.name, &other.evr, &other.arch))
    }
}

impl PartialOrd for Nevra {
    fn partial_cmp(&self, other: &Nevra) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Evr {
    /// `1:2.0-3`; an epoch of zero is not written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            0 => write!(f, "{}-{}", self.version, self.release),
            epoch => write!(f, "{epoch}:{}-{}", self.version, self.release),
        }
    }
}

impl fmt::Display for Nevra {
    /// `bash-1:5.2-3.x86_64`; an epoch of zero is not written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.name, self.evr, self.arch)
    }
}

impl FromStr for Evr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Evr, ParseError> {
        let error = || ParseError::Evr(text.to_string());
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().map_err(|_| error())?, rest),
            None => (0, text),
        };
        let (version, release) = rest.rsplit_once('-').ok_or_else(error)?;
        if version.is_empty() || release.is_empty() || version.contains('-') {
            return Err(error());
        }
        Ok(Evr::new(epoch, version, release))
    }
}

impl FromStr for Nevra {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Nevra, ParseError> {
        let error = || ParseError::Nevra(text.to_string());
        let (rest, arch) = text.rsplit_once('.').ok_or_else(error)?;
        let (rest, release) = rest.rsplit_once('-').ok_or_else(error)?;
        let (name, version) = rest.rsplit_once('-').ok_or_else(error)?;
        let evr = format!("{version}-{release}").parse().map_err(|_| error())?;
        if name.is_empty() || arch.is_empty() {
            return Err(error());
        }
        Ok(Nevra { name: name.to_string(), evr, arch: arch.to_string() })
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(Evr);
serde_as_text!(Nevra);
pub(crate) use serde_as_text;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn evr(text: &str) -> Evr {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_by_rpms_rules() {
        assert!(evr("1.10-1") > evr("1.9-1"));
        assert!(evr("1:1.0-1") > evr("2.0-1"));
        assert!(evr("1.0~rc1-1") < evr("1.0-1"));
        assert!(evr("1.0^git1-1") > evr("1.0-1"));
        assert!(evr("1.0-2.s1") > evr("1.0-1.s1"));
    }

    #[test]
    fn a_nevra_without_its_parts_is_refused() {
        for text in ["", "bash", "bash-5", "bash-5-1", "-5-1.noarch", "bash--1.x86_64", "bash-x:5-1.noarch"] {
            assert!(text.parse::<Nevra>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_name_leaves_the_epoch_out() {
        let nevra: Nevra = "perl-libs-4:5.36-1.s1.x86_64".parse().unwrap();

        assert_eq!(nevra.evr.epoch, 4);
        assert_eq!(nevra.file_name(), "perl-libs-5.36-1.s1.x86_64.rpm");
    }

    proptest! {
        #[test]
        fn a_printed_nevra_reads_back(
            name in "[a-z][a-z0-9+._-]{0,12}", epoch in 0u32..5, version in "[0-9][a-z0-9.~^]{0,6}",
            release in "[0-9][a-z0-9.]{0,6}", arch in "x86_64|noarch|src",
        ) {
            let nevra = Nevra { name, evr: Evr::new(epoch, version, release), arch };
            prop_assert_eq!(nevra.to_string().parse::<Nevra>().unwrap(), nevra);
        }

        #[test]
        fn the_order_of_versions_is_total(a in "[0-9a-z.~^]{1,6}", b in "[0-9a-z.~^]{1,6}", c in "[0-9a-z.~^]{1,6}") {
            let [a, b, c] = [a, b, c].map(|version| Evr::new(0, version, "1"));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c { prop_assert!(a <= c); }
        }
    }
}
