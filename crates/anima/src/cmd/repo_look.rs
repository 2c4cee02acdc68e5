//! `anima repo search`, `anima repo attachments`: what is in a repository as users see it.

use anima_types::{
    repository::Attachment,
    search::{Search as Found, SearchKind},
};
use clap::{Args, ValueEnum};

use super::{Ask, repo::find};
use crate::{exit::Result, output};

/// A search in one repository.
#[derive(Args, Debug)]
pub struct Search {
    /// Its id, or its address: `PRODUCT/BaseOS/x86_64`; `anima search` looks in all
    repository: String,
    /// What to find
    text: String,
    /// Where to look: in names and summaries, in what packages provide, or in their paths
    #[arg(long = "in", value_enum, default_value = "packages", value_name = "WHAT")]
    kind: Kind,
}

/// What is searched in.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Packages,
    Provides,
    Files,
}

impl From<Kind> for SearchKind {
    fn from(kind: Kind) -> SearchKind {
        match kind {
            Kind::Packages => SearchKind::Packages,
            Kind::Provides => SearchKind::Provides,
            Kind::Files => SearchKind::Files,
        }
    }
}

impl Search {
    pub async fn run(self, ask: &Ask) -> Result {
        let repository = find(ask, &self.repository).await?;
        let found = ask.client.search_repository(repository.id, self.kind.into(), &self.text).await?;
        ask.output.show(&found, describe)
    }
}

fn describe(found: &Found) -> String {
    let rows = found.hits.iter().map(|hit| {
        let what = if hit.found.is_empty() { hit.summary.clone() } else { hit.found.join(", ") };
        [hit.nevra.clone(), what]
    });
    match (found.hits.is_empty(), found.is_cut) {
        (true, _) => "No package has this.".to_string(),
        (_, false) => output::table(["package", "found"], rows),
        (_, true) => {
            format!("{}\nThere are more: a longer text finds fewer.", output::table(["package", "found"], rows))
        }
    }
}

/// Lists what a repository has beside the metadata of its packages.
pub async fn attachments(ask: &Ask, repository: &str) -> Result {
    let repository = find(ask, repository).await?;
    let row = |one: &Attachment| {
        [one.kind.clone(), one.path.clone(), output::size(one.size_bytes), one.open_sha256.to_string()]
    };
    let none = "It has none: `anima repo attach` gives it one.";
    ask.output.list(
        &ask.client.attachments(repository.id).await?,
        ["kind", "path", "size", "sha256 of the open file"],
        row,
        none,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::search::Hit;

    #[test]
    fn what_was_found_stands_beside_its_package() {
        let hit = Hit { nevra: "jq-1.7-1.x86_64".into(), summary: "JSON".into(), found: vec!["/usr/bin/jq".into()] };
        let found = Found { hits: vec![hit], is_cut: true };

        let text = describe(&found);

        assert!(text.contains("jq-1.7-1.x86_64  /usr/bin/jq\nThere are more"), "{text}");
        assert_eq!(describe(&Found::default()), "No package has this.");
    }
}
