//! What tells where packages belong: what users see now, and what another distribution has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anima_types::{Nevra, release::Trust};

use crate::plan::is_same;

/// How much a repository has of a package, the most first.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Seen {
    /// It itself.
    Itself,
    /// The same name and version.
    Version,
    /// The same name.
    Name,
    /// Another package of its source.
    Source,
}

impl Seen {
    /// Returns how sure that is.
    pub fn trust(self) -> Trust {
        match self {
            Seen::Itself => Trust::Exact,
            Seen::Version => Trust::SameVersion,
            Seen::Name => Trust::SameName,
            Seen::Source => Trust::SameSource,
        }
    }

    /// Returns what is there, in words.
    pub fn words(self) -> &'static str {
        match self {
            Seen::Itself => "this very package",
            Seen::Version => "the same name and version",
            Seen::Name => "the same name",
            Seen::Source => "another package of its source",
        }
    }
}

/// The packages of one repository, by name.
#[derive(Clone, Debug, Default)]
pub struct Holder<'a> {
    by_name: HashMap<&'a str, Vec<&'a Nevra>>,
    sources: BTreeSet<&'a str>,
}

impl<'a> Holder<'a> {
    /// Makes it of packages with the names of their sources.
    pub fn new(packages: impl Iterator<Item = (&'a Nevra, &'a str)>) -> Holder<'a> {
        let mut holder = Holder::default();
        for (nevra, source) in packages {
            holder.by_name.entry(nevra.name.as_str()).or_default().push(nevra);
            holder.sources.insert(source);
        }
        holder
    }

    /// Returns the packages of a name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &'a Nevra> + use<'a> {
        self.by_name.get(name).cloned().unwrap_or_default().into_iter()
    }

    /// Returns how much of a package is there.
    pub fn look(&self, nevra: &Nevra, source: &str) -> Option<Seen> {
        look(self.named(&nevra.name), nevra).or_else(|| self.sources.contains(source).then_some(Seen::Source))
    }
}

fn look<'a>(named: impl Iterator<Item = &'a Nevra>, nevra: &Nevra) -> Option<Seen> {
    let seen = |other: &Nevra| match (&other.evr, &nevra.evr) {
        (other, wanted) if other == wanted => Seen::Itself,
        (other, wanted) if (other.epoch, &other.version) == (wanted.epoch, &wanted.version) => Seen::Version,
        _ => Seen::Name,
    };
    named.filter(|other| is_same(other, nevra)).map(seen).min()
}

/// What another distribution has, by the addresses of the product's repositories that its repositories tell of.
#[derive(Clone, Debug, Default)]
pub struct Reference(BTreeMap<String, Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    by_name: HashMap<String, Vec<Nevra>>,
    sources: BTreeSet<String>,
}

impl Reference {
    /// Adds the packages of a repository with the names of their sources.
    pub fn add(&mut self, path: &str, packages: impl Iterator<Item = (Nevra, String)>) {
        let known = self.0.entry(path.to_string()).or_default();
        for (nevra, source) in packages {
            known.by_name.entry(nevra.name.clone()).or_default().push(nevra);
            known.sources.insert(source);
        }
    }

    /// Returns the packages of a name that belong into a repository.
    pub fn named(&self, path: &str, name: &str) -> impl Iterator<Item = &Nevra> {
        self.0.get(path).and_then(|known| known.by_name.get(name)).into_iter().flatten()
    }

    /// Returns how much of a package belongs into a repository.
    pub fn look(&self, path: &str, nevra: &Nevra, source: &str) -> Option<Seen> {
        let known = self.0.get(path)?;
        let seen = look(self.named(path, &nevra.name), nevra);
        seen.or_else(|| known.sources.contains(source).then_some(Seen::Source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_a_package_that_is_there_is_told() {
        let there: Vec<Nevra> = ["jq-1.6-1.x86_64", "jq-1.7-1.x86_64", "tz-1-1.noarch", "lib-1-1.i686"]
            .map(|text| text.parse().unwrap())
            .into();
        let holder = Holder::new(there.iter().map(|nevra| (nevra, "source")));
        let look = |nevra: &str, source| holder.look(&nevra.parse().unwrap(), source);

        assert_eq!(look("jq-1.7-1.x86_64", "x"), Some(Seen::Itself));
        assert_eq!(look("jq-1.7-2.x86_64", "x"), Some(Seen::Version));
        assert_eq!(look("jq-1.8-1.x86_64", "x"), Some(Seen::Name));
        assert_eq!(look("tz-2-1.x86_64", "x"), Some(Seen::Name));
        assert_eq!(look("lib-1-1.x86_64", "x"), None, "a 32-bit library is another package");
        assert_eq!(look("jq-devel-1.8-1.x86_64", "source"), Some(Seen::Source));
    }
}
