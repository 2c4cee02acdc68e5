//! Reports: a plan for people and for other programs. What happens to what is somebody's own comes first.

mod html;
mod leapp;
mod text;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    data::{Data, signatures::Known},
    facts::{Facts, Installed},
    plan::{Fate, Plan, Planned, SERVICE_GONE, Verdict},
};

pub use html::html;
pub use leapp::leapp;
pub use text::text;

/// The newest form of the document.
pub const REPORT_VERSION: u32 = 1;

/// A plan, and what of it concerns what is the owner's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The form.
    pub version: u32,
    /// What can be done now.
    pub verdict: Verdict,
    /// What is the owner's.
    pub yours: Yours,
    /// The plan.
    pub plan: Plan,
}

/// What is the owner's and not the distribution's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Yours {
    /// Packages of others.
    pub packages: Vec<Owned>,
    /// Configuration that was changed.
    pub config: Vec<Config>,
    /// Packages that were asked for, and go.
    pub removed: Vec<Owned>,
    /// Services that lose their programs, each in a sentence.
    #[serde(default)]
    pub services: Vec<String>,
}

impl Yours {
    /// Returns whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.config.is_empty() && self.removed.is_empty() && self.services.is_empty()
    }
}

/// A package of the owner's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Owned {
    /// What is installed.
    pub nevra: String,
    /// Who made it, as it says itself.
    pub vendor: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What takes its place.
    pub after: Vec<String>,
    /// Why, in one sentence.
    pub why: String,
}

/// A file of configuration that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Its path.
    pub path: String,
    /// The package that brought it.
    pub package: String,
    /// What becomes of that.
    pub fate: Fate,
    /// What happens to the file.
    pub what: String,
}

impl Report {
    /// Puts a plan and the facts that it was made from together.
    pub fn new(facts: &Facts, data: &Data, plan: Plan) -> Report {
        let data = data.of_way(facts, plan.target);
        let known = Known::new(&data.signatures);
        let yours = Yours {
            packages: packages(facts, &plan, &known),
            config: config(facts, &plan),
            removed: removed(facts, &plan, &known),
            services: services(&plan),
        };
        Report { version: REPORT_VERSION, verdict: plan.verdict(), yours, plan }
    }
}

/// The vendor of most packages.
fn main_vendor(facts: &Facts) -> Option<&str> {
    let vendors: BTreeSet<&str> = facts.packages.iter().map(|package| package.vendor.as_str()).collect();
    vendors.into_iter().max_by_key(|vendor| facts.packages.iter().filter(|package| package.vendor == **vendor).count())
}

fn of<'a>(plan: &'a Plan, package: &Installed) -> Option<&'a Planned> {
    let nevra = package.nevra();
    plan.packages.iter().find(|planned| planned.before.as_deref() == Some(nevra.as_str()))
}

fn owned(package: &Installed, planned: &Planned) -> Owned {
    let why = planned.reasons.last().map(|reason| reason.text.clone()).unwrap_or_default();
    let vendor = if package.vendor.is_empty() { "nobody".to_string() } else { package.vendor.clone() };
    Owned { nevra: package.nevra(), vendor, fate: planned.fate, after: planned.after.clone(), why }
}

fn packages(facts: &Facts, plan: &Plan, known: &Known<'_>) -> Vec<Owned> {
    let main = main_vendor(facts);
    // By its key where keys are known, else by its vendor.
    let is_of_others = |package: &&Installed| match known.is_empty() {
        false => !known.is_ours(package),
        true => main.is_some_and(|vendor| vendor != package.vendor),
    };
    let others = facts.packages.iter().filter(is_of_others);
    let mut owned: Vec<Owned> = others.filter_map(|package| Some(owned(package, of(plan, package)?))).collect();
    owned.sort_by_key(|package| (!matches!(package.fate, Fate::Remove | Fate::Replace), package.nevra.clone()));
    owned
}

fn removed(facts: &Facts, plan: &Plan, known: &Known<'_>) -> Vec<Owned> {
    let asked_for = facts.packages.iter().filter(|package| package.is_wanted == Some(true));
    let ours = asked_for.filter(|package| known.is_empty() || known.is_ours(package));
    let with_fate = ours.filter_map(|package| Some((package, of(plan, package)?)));
    with_fate
        .filter(|(_, planned)| planned.fate == Fate::Remove)
        .map(|(package, planned)| owned(package, planned))
        .collect()
}

fn services(plan: &Plan) -> Vec<String> {
    plan.findings.iter().filter(|found| found.code == SERVICE_GONE).map(|found| found.message.clone()).collect()
}

fn config(facts: &Facts, plan: &Plan) -> Vec<Config> {
    let changed = facts.packages.iter().filter(|package| !package.changed_config.is_empty());
    let with_fate = changed.filter_map(|package| Some((package, of(plan, package)?)));
    with_fate
        .flat_map(|(package, planned)| {
            package.changed_config.iter().map(move |path| Config {
                path: path.clone(),
                package: package.name.clone(),
                fate: planned.fate,
                what: what_happens(path, planned.fate, package.replaced_config.contains(path)),
            })
        })
        .collect()
}

/// What rpm does with a changed file of configuration.
fn what_happens(path: &str, fate: Fate, is_replaced: bool) -> String {
    match fate {
        Fate::Upgrade | Fate::Downgrade | Fate::Split if is_replaced => {
            format!("the new one takes its place where it differs; yours is kept as {path}.rpmsave")
        }
        Fate::Remove | Fate::Replace => format!("goes with its package; yours is kept as {path}.rpmsave"),
        Fate::Keep | Fate::Orphan => "stays as it is".to_string(),
        _ => format!("yours stays; the new one comes beside it as {path}.rpmnew where it differs"),
    }
}
