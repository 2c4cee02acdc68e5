//! Gates: what a release's plan is asked before users get it. Which levels a product wants is data, and each answer
//! carries its evidence. Whether a plan may go on is decided here, by [`decide`], and nowhere else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Nevra, words::words};

/// Findings that one gate lists at most; the rest is counted. Nobody reads more before deciding, and a plan stays a page.
pub const MAX_FOUND: usize = 100;

/// A reason at most: some paragraphs, in characters.
pub const MAX_REASON_CHARS: usize = 2000;

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// A package of this NEVRA is with users already, and is another file: clients that have one never take the other.
    Duplicate,
    /// A package could not be installed any more, or a new one cannot be.
    Closure,
    /// A package has no signature by the product's key.
    Signature,
    /// The product would have more packages, or more bytes of them, than it may.
    Quota,
    /// The tests said no of a package, or nothing.
    Verdict,
    /// Two packages that one machine can have bring different files of one name.
    FileConflict,
    /// A newer version is there.
    Downgrade,
    /// A package runs scripts, or gives a program rights, that the one before it did not.
    Privilege,
    /// A package has another licence than the one before it.
    Licence,
    /// The source package of a package is neither in the release nor in the source repository.
    MissingSource,
    /// A source brings packages for an architecture, and nothing to debug them with.
    MissingDebug,
    /// A package is much larger or smaller than the one before it.
    Size,
    /// Nothing told where a package belongs: it goes where the product puts what is new.
    Placement,
}

/// What happens when something is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It stands on the plan.
    Tell,
    /// A person gives a reason before users get it.
    Ask,
    /// Users do not get it, unless somebody who may configure products forces it.
    Block,
}

/// What a gate found in a plan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// The gate.
    pub gate: Gate,
    /// How strict the product was about it when the plan was made.
    pub level: Level,
    /// How much was found; 0: the gate is open.
    pub found_count: u64,
    /// The first of it: [`MAX_FOUND`] at most.
    pub found: Vec<Finding>,
    /// How much of the same was so before, and is not this release's doing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub known_count: u64,
    /// The first of that: [`MAX_FOUND`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Finding>,
    /// What was asked, or why it could not be, where that is not always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One thing that a gate found: in words, and as data.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(from = "FindingForm")]
#[schema(as = GateFinding)]
pub struct Finding {
    /// One sentence without its full stop.
    pub text: String,
    /// The NEVRA of the package that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The address of the repository, within the product, that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// What was measured or compared, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// What a finding is read from: the first ones were a sentence alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum FindingForm {
    Text(String),
    Whole {
        text: String,
        #[serde(default)]
        package: Option<String>,
        #[serde(default)]
        repository: Option<String>,
        #[serde(default)]
        facts: BTreeMap<String, String>,
    },
}

impl From<FindingForm> for Finding {
    fn from(form: FindingForm) -> Finding {
        match form {
            FindingForm::Text(text) => Finding { text, ..Finding::default() },
            FindingForm::Whole { text, package, repository, facts } => Finding { text, package, repository, facts },
        }
    }
}

impl Finding {
    /// Returns a finding about a package.
    pub fn of(package: &Nevra, text: String) -> Finding {
        Finding { text, package: Some(package.to_string()), ..Finding::default() }
    }

    /// Says in which repository.
    pub fn at(mut self, path: &str) -> Finding {
        self.repository = Some(path.to_string());
        self
    }

    /// Adds a fact.
    pub fn with(mut self, name: &str, value: impl ToString) -> Finding {
        self.facts.insert(name.to_string(), value.to_string());
        self
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Whether a plan may go to users.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Nothing is in the way.
    Open,
    /// A person has to give a reason, because of these gates.
    Asks(Vec<Gate>),
    /// It has to be forced, because of these gates.
    Blocked(Vec<Gate>),
}

// The most severe first.
words!(Gate {
    Duplicate = "duplicate",
    Closure = "closure",
    Signature = "signature",
    Quota = "quota",
    Verdict = "verdict",
    FileConflict = "file-conflict",
    Downgrade = "downgrade",
    Privilege = "privilege",
    Licence = "licence",
    MissingSource = "missing-source",
    MissingDebug = "missing-debug",
    Size = "size",
    Placement = "placement",
});

impl Gate {
    /// Returns what the gate wants, for people.
    pub const fn wants(self) -> &'static str {
        match self {
            Gate::Duplicate => "no package has the NEVRA of another that users have",
            Gate::Closure => "everything that could be installed still can be, and so can what is new",
            Gate::Signature => "each package is signed with the product's key",
            Gate::Quota => "the product stays within what it may hold",
            Gate::Verdict => "the tests found each package good",
            Gate::FileConflict => "no two packages of one machine bring different files of one name",
            Gate::Downgrade => "nothing newer is replaced",
            Gate::Privilege => "no script, setuid program or capability is newly there",
            Gate::Licence => "each licence is what it was",
            Gate::MissingSource => "each package's source package is there",
            Gate::MissingDebug => "there is something to debug each architecture's packages with",
            Gate::Size => "no package is suddenly much larger or smaller",
            Gate::Placement => "something tells where each package belongs",
        }
    }

    /// Returns the level for a product that says none.
    pub const fn usual_level(self) -> Level {
        match self {
            Gate::Duplicate | Gate::Closure | Gate::Signature | Gate::Quota => Level::Block,
            Gate::Verdict
            | Gate::FileConflict
            | Gate::Downgrade
            | Gate::Privilege
            | Gate::Licence
            | Gate::MissingSource => Level::Ask,
            // Scripts and data have nothing to debug, a first release finds nothing, and sizes do change: no fault by itself.
            Gate::MissingDebug | Gate::Size | Gate::Placement => Level::Tell,
        }
    }

    /// Returns the level that a product gives the gate.
    pub fn level(self, of_product: &BTreeMap<Gate, Level>) -> Level {
        of_product.get(&self).copied().unwrap_or(self.usual_level())
    }
}

// The mildest first.
words!(Level {
    Tell = "tell",
    Ask = "ask",
    Block = "block",
});

impl Answer {
    /// Returns the answer of a gate that found this, of which the first is kept.
    pub fn new(gate: Gate, level: Level, mut found: Vec<Finding>) -> Answer {
        let found_count = found.len() as u64;
        found.truncate(MAX_FOUND);
        Answer { gate, level, found_count, found, known_count: 0, known: Vec::new(), note: None }
    }

    /// Adds what was so before.
    pub fn with_known(mut self, mut known: Vec<Finding>) -> Answer {
        self.known_count = known.len() as u64;
        known.truncate(MAX_FOUND);
        self.known = known;
        self
    }

    /// Adds what was asked, or why it could not be.
    pub fn with_note(mut self, note: impl Into<String>) -> Answer {
        self.note = Some(note.into());
        self
    }

    /// Returns whether the gate keeps the plan from going by itself.
    pub fn is_shut(&self) -> bool {
        self.found_count > 0 && self.level > Level::Tell
    }
}

/// Returns whether a plan with these answers may go to users.
pub fn decide(answers: &[Answer]) -> Decision {
    let shut = |level| -> Vec<Gate> {
        answers.iter().filter(|answer| answer.is_shut() && answer.level == level).map(|answer| answer.gate).collect()
    };
    // What blocks first: a reason does not help there.
    match (shut(Level::Block), shut(Level::Ask)) {
        (blocks, _) if !blocks.is_empty() => Decision::Blocked(blocks),
        (_, asks) if !asks.is_empty() => Decision::Asks(asks),
        _ => Decision::Open,
    }
}

/// Returns the gates in one phrase: `downgrade, placement`.
pub fn list(gates: &[Gate]) -> String {
    gates.iter().map(|gate| gate.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(gate: Gate, level: Level, found_count: u64) -> Answer {
        Answer { found_count, ..Answer::new(gate, level, Vec::new()) }
    }

    #[test]
    fn every_level_is_decided_with_and_without_findings() {
        for level in Level::ALL {
            assert_eq!(decide(&[answer(Gate::Downgrade, level, 0)]), Decision::Open, "{level:?}");
        }
        assert_eq!(decide(&[answer(Gate::Downgrade, Level::Tell, 1)]), Decision::Open);
        assert_eq!(decide(&[answer(Gate::Downgrade, Level::Ask, 1)]), Decision::Asks(vec![Gate::Downgrade]));
        assert_eq!(decide(&[answer(Gate::Downgrade, Level::Block, 1)]), Decision::Blocked(vec![Gate::Downgrade]));
    }

    #[test]
    fn what_blocks_is_said_before_what_asks() {
        let answers = [answer(Gate::Downgrade, Level::Ask, 1), answer(Gate::Duplicate, Level::Block, 2)];

        assert_eq!(decide(&answers), Decision::Blocked(vec![Gate::Duplicate]));
    }

    #[test]
    fn a_product_may_be_stricter_or_milder_than_usual() {
        let own = BTreeMap::from([(Gate::Duplicate, Level::Tell)]);

        assert_eq!(Gate::Duplicate.level(&own), Level::Tell);
        assert_eq!(Gate::Downgrade.level(&own), Level::Ask);
    }

    #[test]
    fn names_read_back_and_are_the_wires() {
        for gate in Gate::ALL {
            assert_eq!(Gate::from_name(gate.name()), Some(gate));
            assert_eq!(serde_json::to_value(gate).unwrap(), gate.name());
        }
        for level in Level::ALL {
            assert_eq!(Level::from_name(level.name()), Some(level));
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
    }

    #[test]
    fn a_finding_that_was_written_as_a_sentence_is_still_read() {
        let old = r#"{"gate":"downgrade","level":"ask","found_count":1,"found":["a would replace b"]}"#;

        let answer: Answer = serde_json::from_str(old).unwrap();
        let again: Answer = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();

        assert_eq!(answer.found[0].text, "a would replace b");
        assert_eq!((again.known_count, &again), (0, &answer));
    }
}
