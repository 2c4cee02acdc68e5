//! Checks are gathered by package, and become verdicts.

use std::collections::BTreeMap;

use anima_types::Nevra;
use anima_types::work::{Check, TestPackage, Verdict};

/// What is known so far of each package.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(BTreeMap<Nevra, Vec<Check>>);

impl Verdicts {
    pub fn add(&mut self, nevra: &Nevra, check: Check) {
        self.0.entry(nevra.clone()).or_default().push(check);
    }

    /// Returns one verdict for each package, in the order of the task. A package without a check is not green.
    pub fn into_list(mut self, packages: &[TestPackage]) -> Vec<Verdict> {
        let verdict = |package: &TestPackage| {
            let checks = self.0.remove(&package.nevra).unwrap_or_default();
            let is_green = !checks.is_empty() && checks.iter().all(|check| check.is_green);
            Verdict { nevra: package.nevra.clone(), is_green, checks }
        };
        packages.iter().map(verdict).collect()
    }
}

/// Returns a check that held.
pub(crate) fn green(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), is_green: true, detail: detail.into() }
}

/// Returns a check that did not hold.
pub(crate) fn red(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), is_green: false, detail: detail.into() }
}
