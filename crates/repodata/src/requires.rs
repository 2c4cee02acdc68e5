//! Which of a package's requirements go into metadata: createrepo_c's rules.

use std::collections::{HashMap, HashSet};

use anima_rpm_file::{Comparison, Dependency, PackageInfo};
use anima_types::Evr;

use crate::render::is_primary;

type Bound<'a> = (Option<Comparison>, &'a str);

/// Returns the requirements in order, and apart from them those that are mere hints.
///
/// Left out is what rpm itself answers, what the package itself provides, repetitions, and all
/// requirements on versions of libc but the highest, which implies the others.
pub(crate) fn select(info: &PackageInfo) -> (Vec<&Dependency>, Vec<&Dependency>) {
    let provided: HashSet<(&str, Bound)> = info.provides.iter().map(|d| (d.name.as_str(), bound(d))).collect();
    let own_files: HashSet<&str> = info.files.iter().map(|file| file.path.as_str()).collect();
    let is_own_file = |name: &str| name.starts_with('/') && is_primary(name) && own_files.contains(name);

    let mut last_of_name: HashMap<&str, (Bound, bool)> = HashMap::new();
    let mut libc: Option<&Dependency> = None;
    let (mut kept, mut hints) = (Vec::new(), Vec::new());
    for dependency in &info.requires {
        let name = dependency.name.as_str();
        if name.starts_with("rpmlib(") || is_own_file(name) || provided.contains(&(name, bound(dependency))) {
            continue;
        }
        let identity = (bound(dependency), dependency.is_pre());
        if last_of_name.get(name) == Some(&identity) {
            continue;
        }
        if dependency.is_missing_ok() {
            hints.push(dependency);
        } else if name.starts_with("libc.so.6") {
            libc = Some(libc.map_or(dependency, |highest| higher_libc(highest, dependency)));
        } else {
            kept.push(dependency);
            last_of_name.insert(name, identity);
        }
    }
    kept.extend(libc);
    (kept, hints)
}

fn bound(dependency: &Dependency) -> Bound<'_> {
    (dependency.comparison, dependency.version.as_str())
}

fn higher_libc<'a>(one: &'a Dependency, other: &'a Dependency) -> &'a Dependency {
    let key = |dependency: &'a Dependency| libc_version(&dependency.name).map(|version| Evr::new(0, version, ""));
    match key(other) > key(one) {
        true => other,
        false => one,
    }
}

/// Returns `2.34` of `libc.so.6(GLIBC_2.34)(64bit)`, and nothing where no version is named.
fn libc_version(name: &str) -> Option<&str> {
    let inside = name.split_once('(')?.1.split_once(')')?.0;
    let digits = inside.find(|c: char| c.is_ascii_digit())?;
    Some(&inside[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_libc_is_found_where_there_is_one() {
        assert_eq!(libc_version("libc.so.6(GLIBC_2.34)(64bit)"), Some("2.34"));
        assert_eq!(libc_version("libc.so.6(GLIBC_2.2.5)(64bit)"), Some("2.2.5"));
        assert_eq!(libc_version("libc.so.6()(64bit)"), None);
        assert_eq!(libc_version("libc.so.6"), None);
    }
}
