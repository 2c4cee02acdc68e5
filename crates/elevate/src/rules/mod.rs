//! Rules: what is looked at before an upgrade, as data.
//!
//! A rule has a condition over facts and the way, and says what it means, what to do, and where that can be done by an edit,
//! which. All rules are asked in one pass. Nothing here reads a machine: what a rule may look at is in the facts
//! ([`crate::probes`]), so that a fleet can be asked a new question without being visited again.

mod condition;
mod view;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{facts::Facts, fix::Edit, plan::Level, release::Release};

pub use condition::{Condition, Format, Pattern};
use view::View;
pub(crate) use view::{Setting, settings};

/// The rules of this program, by what they look at.
const FILES: [(&str, &str); 7] = [
    ("storage", include_str!("data/storage.toml")),
    ("boot", include_str!("data/boot.toml")),
    ("network", include_str!("data/network.toml")),
    ("access", include_str!("data/access.toml")),
    ("services", include_str!("data/services.toml")),
    ("packages", include_str!("data/packages.toml")),
    ("system", include_str!("data/system.toml")),
];

/// How many of the things that a rule found are named.
const MAX_EVIDENCE: usize = 20;

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A word for it, which does not change.
    pub id: String,
    /// How much what it finds is in the way.
    pub level: Level,
    /// What is so, in one sentence.
    pub title: String,
    /// Why that matters.
    pub explanation: String,
    /// What to do about it.
    pub remedy: String,
    /// When it is so.
    pub when: Condition,
    /// What does it, where it can be done by editing files.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Whether the edits change nothing that somebody may want as it is.
    #[serde(default)]
    pub is_safe: bool,
    /// What it looks at: the file that it stands in.
    #[serde(skip)]
    pub group: String,
}

/// The form of a file of rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesForm {
    rule: Vec<Rule>,
}

/// What a rule found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The rule.
    pub id: String,
    /// What it was found in: packages, paths with lines, units.
    pub evidence: Vec<String>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let of_file = |(group, text): (&str, &str)| -> Vec<Rule> {
        let form: RulesForm = toml::from_str(text).unwrap_or_else(|error| panic!("rules of {group}: {error}"));
        form.rule.into_iter().map(|rule| Rule { group: group.to_string(), ..rule }).collect()
    };
    FILES.into_iter().flat_map(of_file).collect()
});

/// Returns all rules, by what they look at.
pub fn all() -> &'static [Rule] {
    &RULES
}

/// Returns the rule of that id.
pub fn by_id(id: &str) -> Option<&'static Rule> {
    all().iter().find(|rule| rule.id == id)
}

/// Asks every rule.
pub fn ask(facts: &Facts, target: Release) -> Vec<Found> {
    let view = View::new(facts, target);
    all().iter().filter_map(|rule| rule.ask(&view)).collect()
}

impl Rule {
    fn ask(&self, view: &View<'_>) -> Option<Found> {
        let mut evidence = self.when.holds(view)?;
        evidence.sort();
        evidence.dedup();
        let count = evidence.len();
        evidence.truncate(MAX_EVIDENCE);
        if count > MAX_EVIDENCE {
            evidence.push(format!("and {} more", count - MAX_EVIDENCE));
        }
        Some(Found { id: self.id.clone(), evidence })
    }
}
