//! `anima elevate report`: the plan for people and for other programs.

use std::{fs, path::PathBuf};

use anima_elevate::report::{self, Report};
use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::inputs::{self, PlanArgs};
use crate::{
    exit::Result,
    output::{self, Output},
};

/// Write the plan down: for a person to read, or for other programs
#[derive(Args, Debug)]
pub struct ReportCommand {
    #[command(flatten)]
    plan: PlanArgs,
    /// In which form
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Where to write it [default: print it]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Text
    Text,
    /// One page that needs nothing else
    Html,
    /// All of it as JSON
    Json,
    /// JSON as leapp-report.json has it
    Leapp,
}

impl ReportCommand {
    pub fn run(&self, output: Output) -> Result {
        let (facts, inputs, plan) = self.plan.plan(output)?;
        let report = Report::new(&facts, &inputs.data, plan);
        let json =
            |value: &serde_json::Value| serde_json::to_string_pretty(value).expect("our own types are always JSON");
        let text = match self.format {
            Format::Text => report::text(&report),
            Format::Html => report::html(&report),
            Format::Json => serde_json::to_string_pretty(&report).expect("our own types are always JSON"),
            Format::Leapp => json(&report::leapp(&report, &jiff::Timestamp::now().to_string())),
        };
        match &self.output {
            Some(path) => fs::write(path, text).with_context(|| format!("could not write {}", path.display()))?,
            None => output::line(&text)?,
        }
        inputs::verdict(report.verdict)
    }
}
