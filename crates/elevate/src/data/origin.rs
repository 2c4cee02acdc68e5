//! Whose a file is and for which ways, by its name, as leapp's users name them.

use std::collections::BTreeSet;

/// Whose a file is, and for which ways.
#[derive(Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Origin {
    /// The vendor; none for the distribution's own.
    pub vendor: Option<String>,
    /// The target's major version, where the name says one.
    pub target_major: Option<u32>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Events,
    RepositoryMap,
    Drivers,
    Signatures,
    SignatureList,
    RepositoryFile,
    UpgradePaths,
}

impl Origin {
    /// Returns whether a file counts on a way to a major version, with these vendors active.
    pub fn counts(&self, active: &BTreeSet<&str>, target_major: u32) -> bool {
        self.target_major.is_none_or(|major| major == target_major)
            && self.vendor.as_deref().is_none_or(|vendor| active.contains(vendor))
    }
}

/// Returns what a file of that name is, and whose.
pub(super) fn of(name: &str, is_of_vendors: bool) -> Option<(Role, Origin)> {
    let mut target_major = None;
    let parts: Vec<&str> = name
        .split('.')
        .filter(|part| match part.strip_prefix("el").and_then(|major| major.parse().ok()) {
            Some(major) => {
                target_major = Some(major);
                false
            }
            None => true,
        })
        .collect();
    let name = parts.join(".");
    let (role, vendor) = role(&name)?;
    let vendor = vendor.filter(|_| is_of_vendors).map(str::to_string);
    Some((role, Origin { vendor, target_major }))
}

/// A file's role, and what its name says besides, which in the vendors' folder is the vendor.
fn role(name: &str) -> Option<(Role, Option<&str>)> {
    if let Some(vendor) = name.strip_suffix(".sigs") {
        return Some((Role::SignatureList, Some(vendor)));
    }
    if let Some(vendor) = name.strip_suffix(".repo") {
        return Some((Role::RepositoryFile, Some(vendor)));
    }
    let stem = name.strip_suffix(".json")?;
    Some(match stem {
        "gpg-signatures" => (Role::Signatures, None),
        "upgrade_paths" => (Role::UpgradePaths, None),
        _ if stem.ends_with("_pes") => (Role::Events, stem.strip_suffix("_pes")),
        _ if stem.starts_with("pes") => (Role::Events, None),
        _ if stem.ends_with("_map") => (Role::RepositoryMap, stem.strip_suffix("_map")),
        _ if stem.starts_with("repomap") => (Role::RepositoryMap, None),
        _ if stem.contains("driver_deprecation") => (Role::Drivers, None),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, is_of_vendors: bool) -> Option<(Role, Option<String>, Option<u32>)> {
        of(name, is_of_vendors).map(|(role, origin)| (role, origin.vendor, origin.target_major))
    }

    #[test]
    fn files_are_known_by_their_names() {
        assert_eq!(known("pes-events.json", false), Some((Role::Events, None, None)));
        assert_eq!(known("epel_pes.json", true), Some((Role::Events, Some("epel".into()), None)));
        assert_eq!(known("repomap.el9.json", false), Some((Role::RepositoryMap, None, Some(9))));
        assert_eq!(known("repomap.json.el8", false), Some((Role::RepositoryMap, None, Some(8))));
        assert_eq!(known("epel_map.json.el9", true), Some((Role::RepositoryMap, Some("epel".into()), Some(9))));
        assert_eq!(known("epel.repo.el10", true), Some((Role::RepositoryFile, Some("epel".into()), Some(10))));
        assert_eq!(known("nginx-stable.sigs", true), Some((Role::SignatureList, Some("nginx-stable".into()), None)));
        assert_eq!(known("device_driver_deprecation_data.json", false), Some((Role::Drivers, None, None)));
        assert_eq!(known("gpg-signatures.json", false), Some((Role::Signatures, None, None)));
        assert_eq!(known("upgrade_paths.json", false), Some((Role::UpgradePaths, None, None)));
        assert_eq!((known("LICENSE", false), known("config.json", false)), (None, None));
    }

    #[test]
    fn a_vendors_file_counts_where_the_vendor_is_active_and_on_its_way() {
        let of = |vendor: Option<&str>, target_major| Origin { vendor: vendor.map(str::to_string), target_major };
        let active = BTreeSet::from(["epel"]);

        assert!(of(None, None).counts(&active, 9) && of(Some("epel"), Some(9)).counts(&active, 9));
        assert!(!of(Some("epel"), Some(8)).counts(&active, 9) && !of(Some("nginx"), None).counts(&active, 9));
    }
}
