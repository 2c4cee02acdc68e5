//! `anima search`: everything that has a text.

use anima_types::search::{Everything, EverythingQuery, FoundKind};
use clap::Args;

use super::Ask;
use crate::{exit::Result, output};

/// Search for builds, packages, what users see in repositories, and people
#[derive(Debug, Args)]
pub struct Search {
    /// A build's number, who asked for it or its commit; a package, a NEVRA, what a package is for or provides; a path that
    /// begins with a slash; a person
    text: String,
    /// How many of each kind [default: 20, at most 100]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
}

impl Search {
    pub async fn run(self, ask: &Ask) -> Result {
        let found = ask.client.search(&EverythingQuery { q: self.text, limit: self.limit }).await?;
        ask.output.show(&found, describe)
    }
}

fn describe(found: &Everything) -> String {
    let mut parts = Vec::new();
    if !found.builds.is_empty() {
        let rows = found.builds.iter().map(|build| {
            [build.id.to_string(), build.status.name().into(), build.owner.clone(), build.summary.clone()]
        });
        parts.push(output::table(["build", "status", "owner", "summary"], rows));
    }
    if !found.packages.is_empty() {
        let rows = found.packages.iter().map(|package| [package.name.clone(), package.last_build.to_string()]);
        parts.push(output::table(["package", "newest build"], rows));
    }
    if !found.rpms.is_empty() {
        let rows = found.rpms.iter().map(|rpm| {
            let places: Vec<_> = rpm.repositories.iter().map(|place| place.address.as_str()).collect();
            let found = if rpm.found.is_empty() { rpm.summary.clone() } else { rpm.found.join(", ") };
            [rpm.nevra.clone(), places.join(", "), found]
        });
        parts.push(output::table(["nevra", "repositories", "found"], rows));
    }
    if !found.accounts.is_empty() {
        let rows = found.accounts.iter().map(|account| [account.name.clone(), account.title.clone()]);
        parts.push(output::table(["account", "name"], rows));
    }
    if !found.more.is_empty() {
        let kinds: Vec<_> = found.more.iter().map(|kind| kind_name(*kind)).collect();
        parts.push(format!("There are more {}: say --limit, or a longer text.", kinds.join(", ")));
    }
    if parts.is_empty() { "Nothing has this text.".to_string() } else { parts.join("\n\n") }
}

fn kind_name(kind: FoundKind) -> &'static str {
    match kind {
        FoundKind::Builds => "builds",
        FoundKind::Packages => "packages",
        FoundKind::Rpms => "packages in repositories",
        FoundKind::Accounts => "accounts",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::search::FoundAccount;

    #[test]
    fn each_kind_that_was_found_is_a_table() {
        let mut found = Everything::default();
        assert_eq!(describe(&found), "Nothing has this text.");
        found.accounts = vec![FoundAccount { name: "ada".into(), title: "Ada".into() }];
        found.more = vec![FoundKind::Accounts];

        let text = describe(&found);

        assert_eq!(text, "ACCOUNT  NAME\nada      Ada\n\nThere are more accounts: say --limit, or a longer text.");
    }
}
