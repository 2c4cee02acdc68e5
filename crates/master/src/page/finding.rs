//! A finding of the diagnosis as pages show it: what, where in the log, and what to do.

use anima_types::diagnosis::Finding;

/// One finding.
pub struct FindingView {
    /// What its class is called.
    pub title: String,
    /// The class.
    pub class: String,
    /// The step of rpmbuild.
    pub section: Option<String>,
    /// What happened.
    pub message: String,
    /// The line of the log, and where it is.
    pub line: Option<(u64, String)>,
    /// The lines around it.
    pub excerpt: Vec<ExcerptLine>,
    /// What to do.
    pub cure: Option<String>,
}

/// A line of the log.
pub struct ExcerptLine {
    /// Its number.
    pub number: u64,
    /// What it says.
    pub text: String,
    /// Whether it is the line that says it.
    pub is_it: bool,
}

impl FindingView {
    /// Returns a finding whose line is at `address`.
    pub fn new(finding: &Finding, address: impl FnOnce(u64) -> String) -> FindingView {
        let line = |line: &anima_types::diagnosis::LogLine| ExcerptLine {
            number: line.number,
            text: line.text.clone(),
            is_it: finding.log_line == Some(line.number),
        };
        FindingView {
            title: finding.title.clone(),
            class: finding.class.clone(),
            section: finding.section.clone(),
            message: finding.message.clone(),
            line: finding.log_line.map(|number| (number, address(number))),
            excerpt: finding.excerpt.iter().map(line).collect(),
            cure: finding.cure.clone(),
        }
    }
}
