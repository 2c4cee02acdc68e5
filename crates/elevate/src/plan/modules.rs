//! Modules of the target: of streams that are on by themselves, and of those that events lead to, packages may be taken; what
//! is of other streams is hidden, as dnf hides it.

use std::collections::BTreeSet;

use anima_repodata::{StreamError, Streams};
use anima_solver::Modules;

use super::{Finding, Level, findings};
use crate::evolve::Evolved;

/// Returns what may be taken. Streams that cannot be enabled together are told, and then only the default ones are.
pub fn visible(streams: &Streams, evolved: &Evolved<'_>, findings: &mut Vec<Finding>) -> Modules {
    let has = |name: &str, stream: &str| streams.streams().iter().any(|one| one.name == name && one.stream == stream);
    let named = evolved.packages.keys().filter_map(|key| key.1.as_ref());
    let there = named.filter(|module| has(&module.name, &module.stream));
    let enabled: BTreeSet<String> = there.map(|module| format!("{}:{}", module.name, module.stream)).collect();
    let enabled: Vec<String> = enabled.into_iter().collect();
    let filter = streams.filter(&enabled).or_else(|error: StreamError| {
        let message = format!("streams that events lead to cannot be enabled: {error}");
        let remedy = "mend the data, or enable the streams after the upgrade";
        findings.push(findings::finding(Level::Ask, "streams", message, remedy));
        streams.filter(&[])
    });
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
    let filter = filter.unwrap_or_default();
    let (shown, hidden, names) = (list(filter.shown), list(filter.hidden), list(filter.names));
    Modules { shown, hidden, names, open_repositories: Vec::new() }
}
