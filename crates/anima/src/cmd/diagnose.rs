//! `anima diagnose`: why a build failed, from its log, without a server.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anima_diagnosis::{End, Reader};
use anima_types::diagnosis::{Finding, LogLine};
use anyhow::Context;
use clap::Args;

use crate::{
    args::Global,
    exit::{Exit, Failure, Result},
    output::Output,
};

/// Of a line so many bytes are read: what matters stands at its beginning.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Say why a build failed, from its log: of this system, of rpmbuild, mock or Koji
#[derive(Args, Debug)]
pub struct Diagnose {
    /// The log; `-` is standard input
    #[arg(value_name = "LOGFILE")]
    log: PathBuf,
}

impl Diagnose {
    pub fn run(self, global: &Global) -> Result {
        let reader = match self.log.to_str() {
            Some("-") => read(std::io::stdin().lock()).context("could not read standard input")?,
            _ => open(&self.log)?,
        };
        let findings = reader.findings(End::Unknown);
        let none = "Nothing in this log says that anything failed.";
        let text = |findings: &Vec<Finding>| match findings.is_empty() {
            true => none.to_string(),
            false => described(findings).trim_start().to_string(),
        };
        Output::new(global.json).show(&findings, text)
    }
}

fn open(path: &Path) -> Result<Reader> {
    let file = std::fs::File::open(path)
        .map_err(|error| Failure::new(Exit::User, format!("could not read {}: {error}", path.display())))?;
    Ok(read(BufReader::new(file)).with_context(|| format!("could not read {}", path.display()))?)
}

fn read(mut log: impl BufRead) -> std::io::Result<Reader> {
    let (mut reader, mut line) = (Reader::default(), Vec::new());
    for number in 1.. {
        line.clear();
        if log.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        reader.see(number, &String::from_utf8_lossy(&line));
        while !line.ends_with(b"\n") {
            line.clear();
            if log.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
                break;
            }
        }
    }
    Ok(reader)
}

/// Returns findings with their excerpts, a paragraph each; the first is the likeliest cause.
pub fn described(findings: &[Finding]) -> String {
    findings.iter().map(paragraph).collect()
}

fn paragraph(finding: &Finding) -> String {
    let place = finding.section.as_ref().map(|section| format!(" in {section}")).unwrap_or_default();
    let mut text = format!("\n\n{} ({}){place}: {}", finding.title, finding.class, finding.message);
    text += &excerpt(finding);
    if let Some(cure) = &finding.cure {
        text += &format!("\n  {cure}");
    }
    text
}

/// Returns a finding's lines of the log, each with its number; the one that says it is marked.
pub fn excerpt(finding: &Finding) -> String {
    let width = finding.excerpt.last().map_or(0, |line| line.number.to_string().len());
    let line = |line: &LogLine| {
        let mark = if Some(line.number) == finding.log_line { ">" } else { " " };
        format!("\n  {mark} {:width$}  {}", line.number, line.text).trim_end().to_string()
    };
    finding.excerpt.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_with_its_lines_and_its_cure() {
        let log = "Executing(%build): /bin/sh\n+ make\nx.c:1:10: fatal error: zlib.h: No such file or directory\n";

        let findings = read(log.as_bytes()).unwrap().findings(End::Unknown);

        assert_eq!(
            described(&findings).lines().take(5).collect::<Vec<_>>().join("\n"),
            "\n\nA header is missing (missing_header) in %build: the header zlib.h is missing\n    1  Executing(%build): /bin/sh\n    2  + make"
        );
        assert!(described(&findings).contains("\n  > 3  x.c:1:10"), "{}", described(&findings));
    }

    #[test]
    fn a_line_without_end_counts_as_one() {
        let log = format!("{}\nx.c:1:1: error: no\n", "x".repeat(3 * MAX_LINE_BYTES as usize));

        assert_eq!(read(log.as_bytes()).unwrap().findings(End::Unknown)[0].log_line, Some(2));
    }
}
