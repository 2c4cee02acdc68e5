//! The report as one page that needs nothing else: no script, no picture, no other server.

use askama::Template;

use super::{
    Report,
    text::{TOLD, costs, verdict},
};
use crate::plan::{Fate, Finding, Level, Planned, Verdict};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    verdict: String,
    /// How many packages have which fate, in words.
    counts: Vec<(usize, &'static str, &'static str)>,
    verdict_class: &'static str,
    costs: String,
    blocks: Vec<&'a Finding>,
    asks: Vec<&'a Finding>,
    tells: Vec<&'a Finding>,
    told: Vec<Group<'a>>,
    rest: Vec<Group<'a>>,
}

/// Packages of one fate.
struct Group<'a> {
    fate: &'static str,
    meaning: &'static str,
    packages: Vec<&'a Planned>,
}

/// Returns the page.
pub fn html(report: &Report) -> String {
    let plan = &report.plan;
    let of_level = |level| plan.findings.iter().filter(|finding| finding.level == level).collect();
    let of_fate = |fate: Fate| {
        let packages: Vec<&Planned> = plan.packages.iter().filter(|package| package.fate == fate).collect();
        (!packages.is_empty()).then_some(Group { fate: fate.name(), meaning: meaning(fate), packages })
    };
    let verdict_class = match report.verdict {
        Verdict::Ready => "ready",
        Verdict::Fixable => "fixable",
        Verdict::Blocked => "blocked",
    };
    let count = |fate: Fate| plan.packages.iter().filter(|package| package.fate == fate).count();
    let counts = Fate::ALL.into_iter().map(|fate| (count(fate), fate.name(), meaning(fate)));
    let mut verdict = verdict(report.verdict).to_string();
    verdict[..1].make_ascii_uppercase();
    let page = Page {
        report,
        verdict,
        counts: counts.filter(|(count, ..)| *count > 0).collect(),
        verdict_class,
        costs: costs(plan),
        blocks: of_level(Level::Block),
        asks: of_level(Level::Ask),
        tells: of_level(Level::Tell),
        told: TOLD.into_iter().filter_map(of_fate).collect(),
        rest: [Fate::Install, Fate::Upgrade, Fate::Keep].into_iter().filter_map(of_fate).collect(),
    };
    page.render().expect("the template only prints what it is given")
}

/// What a fate means, for somebody who reads the word for the first time.
const fn meaning(fate: Fate) -> &'static str {
    match fate {
        Fate::Keep => "stay as they are",
        Fate::Upgrade => "get newer",
        Fate::Downgrade => "the target has an older version",
        Fate::Rename => "have another name",
        Fate::Replace => "something else takes their place",
        Fate::Split => "become several",
        Fate::Merge => "become one with others",
        Fate::Remove => "go, and nothing takes their place",
        Fate::Install => "come, because something needs them or you asked for them",
        Fate::Orphan => "stay, though the target does not have them: nobody will update them",
    }
}

/// Returns a sentence with what stands between backticks as code, escaped.
fn rich(text: &str) -> String {
    let escape =
        |part: &str| part.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { escape(part) } else { format!("<code>{}</code>", escape(part)) }).collect()
}

impl Planned {
    /// Returns all reasons as one text.
    fn why(&self) -> String {
        let place = |reason: &crate::plan::Reason| match &reason.place {
            Some(place) => format!("{} ({place})", reason.text),
            None => reason.text.clone(),
        };
        self.reasons.iter().map(place).collect::<Vec<_>>().join(" ")
    }
}
