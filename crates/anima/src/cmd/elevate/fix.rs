//! `anima elevate fix`: edits that rules propose, shown, made, and taken back.

use std::path::PathBuf;

use anima_elevate::{
    fix::{self, Change},
    release::Release,
    rules::{self, Rule},
};
use clap::Args;
use serde::Serialize;

use super::inputs;
use crate::{
    exit::{Failure, Result},
    output::Output,
};

/// Make the edits that rules propose, or show them, or take them back; without --safe or --rule nothing is changed
#[derive(Args, Debug)]
pub struct Fix {
    /// The root
    #[arg(long, default_value = "/", value_name = "FOLDER")]
    root: PathBuf,
    /// The release to go to, such as 9.4
    #[arg(long, value_name = "RELEASE", required_unless_present = "undo")]
    target: Option<Release>,
    /// Make all edits that change nothing which somebody may want as it is
    #[arg(long)]
    safe: bool,
    /// Make the edits of this rule; repeat it for more
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    preview: bool,
    /// Take back what was changed last
    #[arg(long, conflicts_with_all = ["safe", "rules", "preview", "target"])]
    undo: bool,
}

/// What was, or would be, changed.
#[derive(Serialize)]
struct Outcome {
    is_done: bool,
    changes: Vec<Change>,
}

impl Fix {
    pub fn run(&self, output: Output) -> Result {
        let failed = |error: anima_elevate::Error| Failure::user(error.to_string());
        if self.undo {
            let Some(applied) = fix::undo(&self.root).map_err(failed)? else {
                return Err(Failure::user("nothing was changed, or all of it was taken back"));
            };
            return output.show(&applied, |applied| {
                applied.changes.iter().map(|change| format!("restored {}", change.path)).collect::<Vec<_>>().join("\n")
            });
        }
        let wanted = self.wanted()?;
        let changes = fix::changes(&self.root, &wanted).map_err(failed)?;
        let is_done = !self.preview && (self.safe || !self.rules.is_empty()) && !changes.is_empty();
        if is_done {
            fix::apply(&self.root, &changes).map_err(|error| failed(error).hint("it needs root"))?;
        }
        output.show(&Outcome { is_done, changes }, describe)
    }

    /// Returns the rules that found something and whose edits are asked for.
    fn wanted(&self) -> Result<Vec<&'static Rule>> {
        for id in &self.rules {
            if rules::by_id(id).is_none_or(|rule| rule.edits.is_empty()) {
                return Err(Failure::user(format!("there is no rule {id} that proposes edits"))
                    .hint("`anima elevate fix --preview --target RELEASE` shows those that found something"));
            }
        }
        let Some(target) = self.target else { return Ok(Vec::new()) };
        let found = rules::ask(&inputs::collect(&self.root)?, target);
        let is_asked_for = |rule: &&Rule| match (self.safe, self.rules.is_empty()) {
            (false, true) => true,
            _ => (self.safe && rule.is_safe) || self.rules.contains(&rule.id),
        };
        Ok(found.iter().filter_map(|found| rules::by_id(&found.id)).filter(is_asked_for).collect())
    }
}

fn describe(outcome: &Outcome) -> String {
    let count = outcome.changes.len();
    let end = match (count, outcome.is_done) {
        (0, _) => "There is nothing that an edit could do.".to_string(),
        (_, true) => format!("{count} paths were changed; `anima elevate fix --undo` takes it back."),
        (_, false) => format!("{count} paths would be changed: --safe does what is safe, --rule RULE the others."),
    };
    fix::preview(&outcome.changes) + &end
}
