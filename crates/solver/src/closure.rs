//! Which packages of repositories can be installed, from all that there is or will be: closure.
//!
//! A package is asked for alone, with everything that is not hidden at hand. That is less than a user may want (two packages
//! that conflict are both fine), and more than looking for providers: a provider that cannot be installed is none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;

use crate::pool::text;
use crate::{Error, Pool, ffi};

/// How many sentences are taken from the solver for each broken package.
const MAX_RULES: c_int = 20;
/// How many of them are kept: the chain from the package to what is in the way. Longer ones were not seen to help anybody.
const MAX_CHAIN: usize = 8;

/// A package of a repository: the repository's name and the package's NEVRA.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The name that the repository was added under.
    pub repository: String,
    /// The package.
    pub nevra: String,
}

/// What can be installed and what cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// How many packages were asked for.
    pub asked_count: usize,
    /// Those that cannot be installed, in the order of repositories and names.
    pub broken: Vec<Broken>,
}

/// A package that cannot be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The package.
    pub place: Place,
    /// Why, from the package to what is in the way, in the solver's sentences.
    pub chain: Vec<String>,
    /// The dependencies on the way that nothing provides.
    pub missing: Vec<String>,
}

impl Pool {
    /// Asks for every package of these repositories, each alone, as if what is hidden were not there.
    ///
    /// With `changed`, packages that need none of those, and nothing that needs one, are only looked at for what surely is
    /// missing: nothing else can have become of them when only these come and go.
    pub fn closure(
        &mut self,
        repositories: &[&str],
        hidden: &BTreeSet<Place>,
        changed: Option<&BTreeSet<Place>>,
    ) -> Result<Closure, Error> {
        let touched = changed.map(|changed| self.touched(changed)).transpose()?;
        let candidates = self.begin_with(repositories, hidden)?;
        let mut closure = Closure { asked_count: candidates.len(), broken: Vec::new() };
        let (lacking, left) = self.suspects(&candidates, touched.as_ref());
        for (id, place) in &candidates {
            if lacking.contains(id) {
                let (chain, missing) = self.chain_of_lacks(*id);
                closure.broken.push(Broken { place: place.clone(), chain, missing });
            } else if left.contains(id) && self.try_all(&[*id]) > 0 {
                let (chain, missing) = self.chain(*id);
                closure.broken.push(Broken { place: place.clone(), chain, missing });
            }
        }
        closure.broken.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(closure)
    }

    /// Returns those of the packages that can be installed, each alone, as if what is hidden were not there. Those that are
    /// hidden or unknown cannot.
    pub fn installable(&mut self, wanted: &[Place], hidden: &BTreeSet<Place>) -> Result<BTreeSet<Place>, Error> {
        let names: BTreeSet<&str> = wanted.iter().map(|place| place.repository.as_str()).collect();
        let known: Vec<&str> = names.into_iter().filter(|name| self.repository(name).is_some()).collect();
        let wanted: BTreeSet<&Place> = wanted.iter().collect();
        let candidates: Vec<(c_int, Place)> =
            self.begin_with(&known, hidden)?.into_iter().filter(|(_, place)| wanted.contains(place)).collect();
        let (lacking, left) = self.suspects(&candidates, None);
        let is_fine = |pool: &mut Pool, id| !lacking.contains(&id) && (!left.contains(&id) || pool.try_all(&[id]) == 0);
        Ok(candidates.into_iter().filter(|(id, _)| is_fine(self, *id)).map(|(_, place)| place).collect())
    }

    /// Returns those of the packages that surely cannot be installed, and those that have to be asked for one by one.
    fn suspects(
        &mut self,
        candidates: &[(c_int, Place)],
        touched: Option<&BTreeSet<c_int>>,
    ) -> (BTreeSet<c_int>, BTreeSet<c_int>) {
        unsafe { ffi::anima_solv_find_lacking(self.raw()) };
        let ids = candidates.iter().map(|(id, _)| *id);
        let (lacking, others): (BTreeSet<c_int>, BTreeSet<c_int>) =
            ids.partition(|id| unsafe { ffi::anima_solv_lacks(self.raw(), *id) } != 0);
        let is_touched = |id: &c_int| touched.is_none_or(|touched| touched.contains(id));
        let ids: Vec<c_int> = others.into_iter().filter(is_touched).collect();
        let count = c_int::try_from(ids.len()).unwrap_or(c_int::MAX);
        unsafe { ffi::anima_solv_sieve(self.raw(), ids.as_ptr(), count) };
        (lacking, self.list(ffi::LIST_FOUND).into_iter().collect())
    }

    /// Returns the packages that these may matter to.
    fn touched(&mut self, changed: &BTreeSet<Place>) -> Result<BTreeSet<c_int>, Error> {
        unsafe {
            ffi::anima_solv_reset(self.raw());
            ffi::anima_solv_prepare(self.raw());
        }
        let names: BTreeSet<&str> = changed.iter().map(|place| place.repository.as_str()).collect();
        let mut ids = Vec::new();
        for name in names {
            if self.repository(name).is_some() {
                let its = self.packages(name)?.into_iter().filter(|(_, place)| changed.contains(place));
                ids.extend(its.map(|(id, _)| id));
            }
        }
        let count = c_int::try_from(ids.len()).unwrap_or(c_int::MAX);
        unsafe { ffi::anima_solv_find_touched(self.raw(), ids.as_ptr(), count) };
        Ok(self.list(ffi::LIST_FOUND).into_iter().collect())
    }

    /// Follows what a package lacks to what nothing provides.
    fn chain_of_lacks(&mut self, package: c_int) -> (Vec<String>, Vec<String>) {
        let (mut chain, mut next) = (Vec::new(), package);
        while chain.len() < MAX_CHAIN {
            let dependency = unsafe { ffi::anima_solv_lacks(self.raw(), next) };
            let wanted = text(unsafe { ffi::anima_solv_dependency_text(self.raw(), dependency) }).unwrap_or_default();
            let needs = format!("{} needs {wanted}", self.nevra(next));
            let Some(provider) = self.providers(dependency).into_iter().next() else {
                chain.push(format!("{needs}, which nothing provides"));
                return (chain, vec![wanted]);
            };
            chain.push(format!("{needs}, which only {} provides", self.nevra(provider)));
            next = provider;
        }
        (chain, Vec::new())
    }

    /// Returns those of the pairs that one machine can have at once, as if what is hidden were not there.
    pub fn together(&mut self, pairs: &[[Place; 2]], hidden: &BTreeSet<Place>) -> Result<Vec<bool>, Error> {
        let names: BTreeSet<&str> = pairs.iter().flatten().map(|place| place.repository.as_str()).collect();
        let known: Vec<&str> = names.into_iter().filter(|name| self.repository(name).is_some()).collect();
        let candidates: BTreeMap<Place, c_int> =
            self.begin_with(&known, hidden)?.into_iter().map(|(id, place)| (place, id)).collect();
        let id_of = |place: &Place| candidates.get(place).copied();
        let ids: Vec<Option<[c_int; 2]>> =
            pairs.iter().map(|[one, other]| Some([id_of(one)?, id_of(other)?])).collect();
        Ok(ids.into_iter().map(|pair| pair.is_some_and(|pair| self.try_all(&pair) == 0)).collect())
    }

    /// Begins a question: what is hidden is taken away; returns what is left of the repositories.
    fn begin_with(&mut self, repositories: &[&str], hidden: &BTreeSet<Place>) -> Result<Vec<(c_int, Place)>, Error> {
        unsafe {
            ffi::anima_solv_reset(self.raw());
            ffi::anima_solv_prepare(self.raw());
        }
        let hiding: BTreeSet<&str> = hidden.iter().map(|place| place.repository.as_str()).collect();
        for name in hiding {
            if self.repository(name).is_none() {
                continue;
            }
            for (id, place) in self.packages(name)? {
                if hidden.contains(&place) {
                    unsafe { ffi::anima_solv_hide(self.raw(), id) };
                }
            }
        }
        unsafe { ffi::anima_solv_narrow(self.raw()) };
        let mut shown = Vec::new();
        for name in repositories {
            shown.extend(self.packages(name)?.into_iter().filter(|(_, place)| !hidden.contains(place)));
        }
        Ok(shown)
    }

    fn packages(&mut self, name: &str) -> Result<Vec<(c_int, Place)>, Error> {
        let id = self.repository(name).ok_or_else(|| Error::Repository {
            name: name.to_owned(),
            reason: "there is none of this name".to_owned(),
        })?;
        unsafe { ffi::anima_solv_packages(self.raw(), id) };
        let ids = self.list(ffi::LIST_FOUND);
        let place = |id| Place { repository: name.to_owned(), nevra: self.nevra(id) };
        Ok(ids.into_iter().map(|id| (id, place(id))).collect())
    }

    /// Asks for packages at once; returns the number of problems.
    fn try_all(&mut self, packages: &[c_int]) -> c_int {
        unsafe {
            ffi::anima_solv_ask_again(self.raw());
            packages.iter().for_each(|&package| ffi::anima_solv_want_package(self.raw(), package));
            ffi::anima_solv_solve(self.raw(), 0, MAX_RULES)
        }
    }

    /// Puts the solver's sentences into the order from the package to what is in the way.
    fn chain(&mut self, package: c_int) -> (Vec<String>, Vec<String>) {
        let mut rules = Vec::new();
        let mut missing = Vec::new();
        for index in 0..unsafe { ffi::anima_solv_rule_count(self.raw()) } {
            let (mut source, mut dependency) = (0, 0);
            let kind = unsafe { ffi::anima_solv_rule_kind(self.raw(), index, &mut source, &mut dependency) };
            let sentence = text(unsafe { ffi::anima_solv_rule_text(self.raw(), index) }).unwrap_or_default();
            if kind == ffi::RULE_MISSING_FOR_PACKAGE {
                missing.extend(text(unsafe { ffi::anima_solv_dependency_text(self.raw(), dependency) }));
            }
            // A rule without a package is our own wish.
            if source > 1 && !sentence.is_empty() {
                rules.push((source, dependency, sentence));
            }
        }
        let mut chain: Vec<String> = Vec::new();
        let mut next = vec![package];
        while let Some(index) = rules.iter().position(|(source, ..)| next.contains(source)) {
            let (_, dependency, sentence) = rules.remove(index);
            chain.push(sentence);
            next = match dependency {
                0 => Vec::new(),
                dependency => self.providers(dependency),
            };
        }
        chain.extend(rules.into_iter().map(|(.., sentence)| sentence));
        let mut seen = BTreeSet::new();
        chain.retain(|sentence| seen.insert(sentence.clone()));
        chain.truncate(MAX_CHAIN);
        missing.sort();
        missing.dedup();
        (chain, missing)
    }
}
