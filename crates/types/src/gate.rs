//! Gates: what a release's plan is asked before users get it. Which levels a product wants is data, and each answer
//! carries its evidence. Whether a plan may go on is decided here, by [`decide`], and nowhere else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// A newer version is there.
    Downgrade,
    /// The source package of a package is neither in the release nor in the source repository.
    MissingSource,
    /// A source brings packages for an architecture, and nothing to debug them with.
    MissingDebug,
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
    /// The first of it, in words: [`MAX_FOUND`] at most.
    pub found: Vec<String>,
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

impl Gate {
    /// All of them, the most severe first.
    pub const ALL: [Gate; 5] =
        [Gate::Duplicate, Gate::Downgrade, Gate::MissingSource, Gate::MissingDebug, Gate::Placement];

    /// Returns the word that is kept in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Gate::Duplicate => "duplicate",
            Gate::Downgrade => "downgrade",
            Gate::MissingSource => "missing-source",
            Gate::MissingDebug => "missing-debug",
            Gate::Placement => "placement",
        }
    }

    /// Returns the gate of that name.
    pub fn from_name(name: &str) -> Option<Gate> {
        Gate::ALL.into_iter().find(|gate| gate.name() == name)
    }

    /// Returns what the gate wants, for people.
    pub const fn wants(self) -> &'static str {
        match self {
            Gate::Duplicate => "no package has the NEVRA of another that users have",
            Gate::Downgrade => "nothing newer is replaced",
            Gate::MissingSource => "each package's source package is there",
            Gate::MissingDebug => "there is something to debug each architecture's packages with",
            Gate::Placement => "something tells where each package belongs",
        }
    }

    /// Returns the level for a product that says none.
    pub const fn usual_level(self) -> Level {
        match self {
            Gate::Duplicate => Level::Block,
            Gate::Downgrade | Gate::MissingSource => Level::Ask,
            // Scripts and data have nothing to debug, and a first release finds nothing: both are no fault by themselves.
            Gate::MissingDebug | Gate::Placement => Level::Tell,
        }
    }

    /// Returns the level that a product gives the gate.
    pub fn level(self, of_product: &BTreeMap<Gate, Level>) -> Level {
        of_product.get(&self).copied().unwrap_or(self.usual_level())
    }
}

impl Level {
    /// All of them, the mildest first.
    pub const ALL: [Level; 3] = [Level::Tell, Level::Ask, Level::Block];

    /// Returns the word that is kept in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Tell => "tell",
            Level::Ask => "ask",
            Level::Block => "block",
        }
    }

    /// Returns the level of that name.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl Answer {
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
        Answer { gate, level, found_count, found: Vec::new() }
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
}
