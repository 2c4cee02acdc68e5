//! `anima doctor`: what this machine lacks, and how to get it.

use clap::Args;

use crate::{
    args::Global,
    data::DataFolder,
    doctor::{self, Check, State},
    exit::{Exit, Failure, Result},
    output::{self, Output},
};

/// Look at this machine: what is there, what is missing, how to get it
#[derive(Args, Debug)]
pub struct Doctor {}

impl Doctor {
    pub fn run(self, global: &Global) -> Result {
        let checks = doctor::examine(&DataFolder::new(global.data.as_deref()));
        Output::new(global.json).show(&checks, |checks| describe(checks))?;
        match checks.iter().filter(|check| check.state == State::Missing).count() {
            0 => Ok(()),
            1 => Err(Failure::new(Exit::Missing, "one thing is missing")),
            count => Err(Failure::new(Exit::Missing, format!("{count} things are missing"))),
        }
    }
}

fn describe(checks: &[Check]) -> String {
    let rows =
        checks.iter().map(|check| [check.state.name().to_string(), check.name.to_string(), check.detail.clone()]);
    let table = output::table(["state", "what", "seen"], rows);
    let cures: Vec<String> = checks
        .iter()
        .filter_map(|check| Some(format!("{} ({}): {}", check.name, check.state.name(), check.cure.as_ref()?)))
        .collect();
    match cures.is_empty() {
        true => format!("{table}\n\nNothing is missing."),
        false => format!("{table}\n\nWhat to do:\n  {}", cures.join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_its_cure() {
        let checks = [
            Check { name: "git", state: State::Ok, detail: "2.39".into(), cure: None },
            Check {
                name: "rpm",
                state: State::Missing,
                detail: "not found".into(),
                cure: Some("apt-get install rpm".into()),
            },
        ];

        let text = describe(&checks);

        assert_eq!(
            text,
            "STATE    WHAT  SEEN\nok       git   2.39\nmissing  rpm   not found\n\nWhat to do:\n  rpm (missing): apt-get install rpm"
        );
    }
}
