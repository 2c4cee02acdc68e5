//! Why a request cannot be met, for a person and for a program.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many sentences the one-line form has; all of them are in [`Problem::problems`].
const SENTENCES_SHOWN: usize = 4;

/// Everything that stands in the way of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Sentences in libsolv's words, the most telling first, none twice.
    pub problems: Vec<String>,
    /// The requirements that nothing provides.
    pub missing: Vec<MissingRequirement>,
}

/// One requirement that nothing provides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingRequirement {
    /// The dependency or exact package as it was asked for.
    pub wanted: String,
    /// The NEVRA of the package that needs it; nothing when the request itself does.
    pub needed_by: Option<String>,
    /// What there is instead, nearest first: names, capabilities, paths, other versions.
    pub near: Vec<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.problems.len().min(SENTENCES_SHOWN);
        f.write_str(&self.problems[..shown].join("; "))?;
        if self.problems.len() > shown {
            write!(f, "; and {} more", self.problems.len() - shown)?;
        }
        for missing in self.missing.iter().filter(|missing| !missing.near.is_empty()).take(SENTENCES_SHOWN) {
            write!(f, "; near {}: {}", missing.wanted, missing.near.join(", "))?;
        }
        Ok(())
    }
}

impl Problem {
    pub(crate) fn add_sentence(&mut self, sentence: String) {
        if !sentence.is_empty() && !self.problems.contains(&sentence) {
            self.problems.push(sentence);
        }
    }

    pub(crate) fn add_missing(&mut self, wanted: String, needed_by: Option<String>) {
        if !self.missing.iter().any(|known| known.wanted == wanted && known.needed_by == needed_by) {
            self.missing.push(MissingRequirement { wanted, needed_by, near: Vec::new() });
        }
    }
}
