//! Debian versions as RPM versions.
//!
//! Epochs are dropped, repacking marks are stripped, and every release begins with `0.`, so that a package which
//! Anima builds from the same upstream version with release 1 is newer than the converted one.

/// Marks of a repacked upstream archive; from there on nothing of the upstream version follows.
const REPACK_MARKS: [&str; 5] = [".dfsg", "+dfsg", "~dfsg", "+ds", "~ds"];

/// The release of a package whose Debian version has no revision.
pub const NO_REVISION: &str = "0";

/// What dependencies say for "any revision of this upstream version": it is later than each of them (`git-man (<< 1:2.39.5-.)`).
const LATER_THAN_ALL: &str = ".";

/// A version with, where the Debian version carries a revision, a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The upstream version.
    pub version: String,
    /// `0.` and the Debian revision.
    pub release: Option<String>,
}

impl Version {
    /// Translates a Debian version, `[epoch:]upstream[-revision]`.
    pub fn from_debian(text: &str) -> Version {
        let without_epoch = text.split_once(':').map_or(text, |(_, rest)| rest);
        let (upstream, revision) = match without_epoch.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (without_epoch, None),
        };
        let end = REPACK_MARKS.iter().filter_map(|mark| upstream.find(mark)).min().unwrap_or(upstream.len());
        Version {
            version: rpm_characters(&upstream[..end]),
            release: revision.map(|revision| match revision {
                LATER_THAN_ALL => "1".to_owned(),
                revision => format!("0.{}", rpm_characters(revision)),
            }),
        }
    }

    /// Returns the release of a package of this version.
    pub fn release_or_default(&self) -> &str {
        self.release.as_deref().unwrap_or(NO_REVISION)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.release {
            Some(release) => write!(f, "{}-{release}", self.version),
            None => f.write_str(&self.version),
        }
    }
}

fn rpm_characters(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._+~".contains(c) { c } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_above_all_revisions_is_above_all_releases() {
        assert_eq!(Version::from_debian("1:2.39.5-.").to_string(), "2.39.5-1");
    }

    #[test]
    fn epochs_repacking_marks_and_revisions_become_what_rpm_orders_right() {
        let table = [
            ("5.2.15-2+b13", "5.2.15-0.2+b13"),
            ("1:1.2.13.dfsg-1", "1.2.13-0.1"),
            ("2:6.2.1+dfsg1-1.1", "6.2.1-0.1.1"),
            ("1.3.3+ds-1", "1.3.3-0.1"),
            ("1.13.4~dfsg+~1.11.4-3", "1.13.4-0.3"),
            ("2.0207+dfsg+really+2.0134-1+deb12u1", "2.0207-0.1+deb12u1"),
            ("20250419~deb12u2", "20250419~deb12u2"),
            ("2.4+20151223.gitfa8646d.1-2+b2", "2.4+20151223.gitfa8646d.1-0.2+b2"),
            ("37", "37"),
        ];
        for (debian, rpm) in table {
            assert_eq!(Version::from_debian(debian).to_string(), rpm, "{debian}");
        }
    }

    #[test]
    fn a_package_built_with_release_1_is_newer_than_the_converted_one() {
        use rpm_version::rpm_evr_compare;

        let converted = Version::from_debian("1:1.2.13.dfsg-9+deb12u1").to_string();

        assert_eq!(rpm_evr_compare("1.2.13-1", &converted), std::cmp::Ordering::Greater);
    }
}
