//! From a request to a solution or an explanation.

use std::ffi::c_int;

use crate::dependency::normal_evr;
use crate::lock::sort_packages;
use crate::pool::{Pool, c_text, text};
use crate::{Error, Lock, LockedPackage, Modules, Problem, Request, ffi, near, nevra};

/// How many sentences are kept for each problem: a conflict deep in a distribution can have thousands, nobody reads them.
const MAX_RULES_PER_PROBLEM: c_int = 50;

/// For how many missing requirements near names are looked for.
const MAX_NEAR_SEARCHES: usize = 20;

/// What to do so that the request is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The packages to install, sorted by name, architecture and version.
    pub packages: Vec<LockedPackage>,
    /// Indexes into `packages`: the order in which a package comes after what it needs, as far as there are no circles; any
    /// order where none was asked for.
    pub install_order: Vec<usize>,
    /// The NEVRAs of installed packages that go away: removed, replaced or obsoleted. Sorted as text.
    pub removed: Vec<String>,
    /// What takes the place of what, and why, for each package that comes or goes; those that come first, in the order of
    /// installation.
    pub steps: Vec<Step>,
}

/// A package that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its NEVRA.
    pub nevra: String,
    /// Whether it comes.
    pub is_installed: bool,
    /// The NEVRAs of the installed packages that it takes the place of; or of those that take its place.
    pub counterparts: Vec<String>,
    /// Bytes of its files once it is installed, where the metadata says it.
    pub installed_size_bytes: u64,
    /// Why the solver decided so, in its words, where it had to.
    pub why: Option<String>,
}

impl Solution {
    /// Returns the locked list of a root that is made of these packages.
    pub fn lock(&self, arch: &str) -> Lock {
        Lock::new(arch, self.packages.clone())
    }

    /// Walks the packages in the order of installation.
    pub fn in_install_order(&self) -> impl Iterator<Item = &LockedPackage> {
        self.install_order.iter().map(|&index| &self.packages[index])
    }
}

impl Pool {
    /// Answers the request. The same repositories, added in the same order, give the same answer.
    ///
    /// When the wishes cannot be met together, [`Error::Unsolvable`] explains all that is in the way.
    pub fn solve(&mut self, request: &Request) -> Result<Solution, Error> {
        check_patterns(request.remove.iter().chain(&request.exclude))?;
        unsafe { ffi::anima_solv_reset(self.raw()) };
        let wanted = request.install.iter().map(|wish| self.intern(wish)).collect::<Result<Vec<_>, _>>()?;
        unsafe { ffi::anima_solv_prepare(self.raw()) };

        let mut problem = Problem::default();
        self.ask(request, &wanted, &mut problem)?;
        let conflict_count = unsafe { ffi::anima_solv_solve(self.raw(), flags(request), MAX_RULES_PER_PROBLEM) };
        if conflict_count > 0 {
            self.explain(&mut problem);
        }
        if problem != Problem::default() {
            near::propose(self, &mut problem, MAX_NEAR_SEARCHES);
            return Err(Error::Unsolvable(problem));
        }
        self.solution()
    }

    /// Writes the request's lines into the pool; what speaks of no package at all is a problem already.
    fn ask(&mut self, request: &Request, wanted: &[c_int], problem: &mut Problem) -> Result<(), Error> {
        self.hide(&request.modules)?;
        for pattern in &request.exclude {
            unsafe { ffi::anima_solv_exclude(self.raw(), c_text(pattern).as_ptr()) };
        }
        for &dependency in wanted {
            unsafe { ffi::anima_solv_want(self.raw(), dependency) };
        }
        for exact in &request.install_exact {
            let parts = parse_exact(exact)?;
            let (name, evr, arch) = (c_text(parts.name), c_text(normal_evr(parts.evr)), c_text(parts.arch));
            let found = unsafe { ffi::anima_solv_want_exact(self.raw(), name.as_ptr(), evr.as_ptr(), arch.as_ptr()) };
            if found == 0 {
                problem.add_sentence(format!("no repository has {exact}"));
                problem.add_missing(exact.clone(), None);
            }
        }
        for pattern in &request.remove {
            if unsafe { ffi::anima_solv_unwant(self.raw(), c_text(pattern).as_ptr()) } == 0 {
                problem.add_sentence(format!("no installed package is named by {pattern}"));
            }
        }
        Ok(())
    }

    /// Hides first and shows then: what an enabled module has bears its own names.
    fn hide(&mut self, modules: &Modules) -> Result<(), Error> {
        for name in &modules.open_repositories {
            unsafe { ffi::anima_solv_open_repo(self.raw(), c_text(name).as_ptr()) };
        }
        self.show(&modules.hidden, false)?;
        for name in &modules.names {
            unsafe { ffi::anima_solv_hide_name(self.raw(), c_text(name).as_ptr()) };
        }
        self.show(&modules.shown, true)
    }

    fn show(&mut self, packages: &[String], is_shown: bool) -> Result<(), Error> {
        for exact in packages {
            let parts = parse_exact(exact)?;
            let (name, evr, arch) = (c_text(parts.name), c_text(normal_evr(parts.evr)), c_text(parts.arch));
            unsafe {
                ffi::anima_solv_show_exact(self.raw(), name.as_ptr(), evr.as_ptr(), arch.as_ptr(), is_shown.into());
            }
        }
        Ok(())
    }

    fn explain(&self, problem: &mut Problem) {
        for index in 0..unsafe { ffi::anima_solv_rule_count(self.raw()) } {
            let (mut package, mut dependency) = (0, 0);
            let kind = unsafe { ffi::anima_solv_rule_kind(self.raw(), index, &mut package, &mut dependency) };
            let wanted =
                || text(unsafe { ffi::anima_solv_dependency_text(self.raw(), dependency) }).unwrap_or_default();
            match kind {
                ffi::RULE_MISSING_FOR_JOB => problem.add_missing(wanted(), None),
                ffi::RULE_MISSING_FOR_PACKAGE => problem.add_missing(wanted(), Some(self.nevra(package))),
                _ => {}
            }
            problem
                .add_sentence(plain(text(unsafe { ffi::anima_solv_rule_text(self.raw(), index) }).unwrap_or_default()));
        }
    }

    fn solution(&self) -> Result<Solution, Error> {
        let ordered = self
            .list(ffi::LIST_INSTALL)
            .into_iter()
            .map(|package| self.locked(package))
            .collect::<Result<Vec<_>, _>>()?;
        let mut packages = ordered.clone();
        sort_packages(&mut packages);
        let install_order = ordered
            .iter()
            .map(|package| packages.iter().position(|sorted| sorted == package).expect("the same packages, sorted"))
            .collect();
        let mut removed: Vec<String> =
            self.list(ffi::LIST_REMOVE).into_iter().map(|package| self.nevra(package)).collect();
        removed.sort();
        let come = self.list(ffi::LIST_INSTALL).into_iter().map(|package| (package, true));
        let go = self.list(ffi::LIST_REMOVE).into_iter().map(|package| (package, false));
        let steps: Vec<_> = come.chain(go).collect();
        let steps = steps.into_iter().map(|(package, is_installed)| self.step(package, is_installed)).collect();
        Ok(Solution { packages, install_order, removed, steps })
    }

    fn step(&self, package: c_int, is_installed: bool) -> Step {
        unsafe { ffi::anima_solv_counterparts(self.raw(), package) };
        let mut counterparts: Vec<String> =
            self.list(ffi::LIST_FOUND).into_iter().map(|other| self.nevra(other)).collect();
        counterparts.sort();
        let why = text(unsafe { ffi::anima_solv_decision_text(self.raw(), package) });
        let installed_size_bytes = unsafe { ffi::anima_solv_installed_size(self.raw(), package) };
        Step { nevra: self.nevra(package), is_installed, counterparts, installed_size_bytes, why }
    }

    fn locked(&self, package: c_int) -> Result<LockedPackage, Error> {
        let field = |field| self.field(package, field);
        let refused = |reason: &str| Error::Package {
            package: self.nevra(package),
            repository: field(ffi::FIELD_REPOSITORY),
            reason: reason.to_owned(),
        };
        let evr = field(ffi::FIELD_EVR);
        let (epoch, version, release) = nevra::split_evr(&evr).ok_or_else(|| refused("its epoch is no number"))?;
        let (base, location) = (field(ffi::FIELD_BASE), field(ffi::FIELD_LOCATION));
        let locked = LockedPackage {
            name: field(ffi::FIELD_NAME),
            epoch,
            version: version.to_owned(),
            release: release.to_owned(),
            arch: field(ffi::FIELD_ARCH),
            repository: field(ffi::FIELD_REPOSITORY),
            location: if base.is_empty() { location } else { format!("{}/{location}", base.trim_end_matches('/')) },
            checksum_type: field(ffi::FIELD_CHECKSUM_TYPE),
            checksum: field(ffi::FIELD_CHECKSUM),
            size_bytes: unsafe { ffi::anima_solv_size(self.raw(), package) },
        };
        match locked.fault() {
            Some(fault) => Err(refused(fault)),
            None => Ok(locked),
        }
    }
}

fn parse_exact(exact: &str) -> Result<nevra::ExactName<'_>, Error> {
    nevra::parse_exact(exact).ok_or_else(|| Error::Request {
        text: exact.to_owned(),
        reason: "an exact package is name-[epoch:]version-release.arch".to_owned(),
    })
}

/// libsolv calls a package disabled that the request excludes.
fn plain(sentence: String) -> String {
    match sentence.strip_suffix(" is disabled") {
        Some(package) => format!("{package} is excluded by the request"),
        None => sentence,
    }
}

fn flags(request: &Request) -> c_int {
    let chosen = [
        (request.weak, ffi::FLAG_WEAK),
        (request.allow_erasing, ffi::FLAG_ALLOW_ERASING),
        (request.best, ffi::FLAG_BEST),
        (request.upgrade_all, ffi::FLAG_UPGRADE_ALL),
        (request.unordered, ffi::FLAG_UNORDERED),
    ];
    chosen.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum()
}

fn check_patterns<'a>(patterns: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    for pattern in patterns {
        if pattern.is_empty() || pattern.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let reason = "a pattern has at least one character, none of them blank".to_owned();
            return Err(Error::Request { text: pattern.clone(), reason });
        }
    }
    Ok(())
}
