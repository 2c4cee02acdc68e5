//! Debian's dependencies as RPM's: which packages there are, and what a requirement of one is called.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    deb::{Alternatives, Deb, Dependency},
    names,
    version::Version,
};

/// The packages of one seed by their Debian names.
#[derive(Debug, Default)]
pub struct World {
    packages: BTreeMap<String, String>,
    virtuals: BTreeSet<String>,
}

/// What became of one Debian dependency.
#[derive(Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The text of a `Requires` line.
    Requires(String),
    /// Met by the distribution itself.
    Dropped,
    /// Nothing in the seed meets it.
    Unmet,
}

impl World {
    /// Collects the names that the packages have and provide.
    pub fn of<'a>(debs: impl IntoIterator<Item = &'a Deb>) -> World {
        let mut world = World::default();
        for deb in debs.into_iter().filter(|deb| !names::is_left_out(deb.name())) {
            world.packages.insert(deb.name().to_owned(), names::rpm_name(deb.name()));
            world.virtuals.extend(deb.control.provides().into_iter().map(|provided| provided.name));
        }
        world
    }

    /// Returns the requirement that stands for the first alternative that the seed has.
    pub fn requirement(&self, alternatives: &Alternatives) -> Requirement {
        for one in alternatives {
            if names::is_left_out(&one.name) {
                return Requirement::Dropped;
            }
            if let Some(name) = self.packages.get(&one.name) {
                return Requirement::Requires(with_constraint(name, one));
            }
            if self.virtuals.contains(&one.name) {
                return Requirement::Requires(one.name.clone());
            }
        }
        Requirement::Unmet
    }
}

/// Returns the text of a `Provides` line for a virtual package.
pub fn provided(dependency: &Dependency) -> String {
    with_constraint(&dependency.name, dependency)
}

fn with_constraint(name: &str, dependency: &Dependency) -> String {
    match &dependency.constraint {
        None => name.to_owned(),
        Some((relation, version)) => {
            let version = Version::from_debian(version);
            format!("{name} {} {version}", rpm_relation(relation, &version))
        }
    }
}

/// Debian's `>> 1` without a revision is also true of `1-1`, and RPM's `> 1` is not.
fn rpm_relation<'a>(debian: &'a str, version: &Version) -> &'a str {
    match (debian, &version.release) {
        (">>", Some(_)) => ">",
        (">>", None) => ">=",
        ("<<", _) => "<",
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::{Control, parse_dependencies};

    fn world() -> World {
        let deb = |text: &str| Deb { path: "x.deb".into(), control: Control::parse(text) };
        World::of(&[
            deb("Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\n"),
            deb("Package: gawk\nVersion: 5\nArchitecture: amd64\nProvides: awk"),
            deb("Package: dpkg\nVersion: 1\nArchitecture: amd64\nProvides: dpkg-core"),
        ])
    }

    fn requirement(text: &str) -> Requirement {
        world().requirement(&parse_dependencies(text)[0])
    }

    #[test]
    fn constraints_lose_epochs_and_gain_converted_releases() {
        let table = [
            ("libc6", "glibc"),
            ("libc6 (>= 2.36)", "glibc >= 2.36"),
            ("libc6 (= 1:2.36-9+deb12u14)", "glibc = 2.36-0.9+deb12u14"),
            ("libc6 (>> 2.36)", "glibc >= 2.36"),
            ("libc6 (>> 2.36-1)", "glibc > 2.36-0.1"),
            ("libc6 (<< 2.37)", "glibc < 2.37"),
        ];
        for (debian, rpm) in table {
            assert_eq!(requirement(debian), Requirement::Requires(rpm.to_owned()));
        }
    }

    #[test]
    fn the_first_alternative_that_the_seed_has_is_required() {
        assert_eq!(requirement("mawk | gawk (>= 5)"), Requirement::Requires("gawk >= 5".to_owned()));
        assert_eq!(requirement("mawk | awk"), Requirement::Requires("awk".to_owned()));
    }

    #[test]
    fn what_the_distribution_itself_stands_for_is_dropped() {
        assert_eq!(requirement("dpkg (>= 1.15) | other"), Requirement::Dropped);
    }

    #[test]
    fn what_nothing_meets_is_said_to_be_unmet() {
        assert_eq!(requirement("systemd | dpkg-core"), Requirement::Unmet);
    }
}
