//! The plan as text: what is the owner's, what is in the way, what goes, what changes its name; what merely gets newer is
//! counted.

use std::fmt::Write as _;

use super::Report;
use crate::plan::{Fate, Finding, Level, Plan, Verdict};

/// Fates that a person wants to see one by one.
pub(super) const TOLD: [Fate; 7] =
    [Fate::Remove, Fate::Replace, Fate::Rename, Fate::Split, Fate::Merge, Fate::Orphan, Fate::Downgrade];
/// Evidence that is printed with a finding.
const MAX_EVIDENCE: usize = 5;

/// Returns the text.
pub fn text(report: &Report) -> String {
    let plan = &report.plan;
    let mut out = format!("{} → {}: {}\n", plan.source.name, plan.target, verdict(report.verdict));
    let yours = &report.yours;
    if !yours.is_empty() {
        out.push_str("\nWhat is yours\n");
        for package in yours.packages.iter().chain(&yours.removed) {
            let after =
                if package.after.is_empty() { String::new() } else { format!(" → {}", package.after.join(", ")) };
            let _ = writeln!(out, "  {:<10} {} ({}){after}", package.fate.name(), package.nevra, package.vendor);
        }
        for config in &yours.config {
            let _ = writeln!(out, "  {:<10} {}: {}", "config", config.path, config.what);
        }
        for service in &yours.services {
            let _ = writeln!(out, "  {:<10} {service}", "service");
        }
    }
    for finding in &plan.findings {
        out.push('\n');
        add_finding(&mut out, finding);
    }
    add_packages(&mut out, plan);
    out
}

fn add_finding(out: &mut String, finding: &Finding) {
    let level = match finding.level {
        Level::Block => "BLOCKS",
        Level::Ask => "ask",
        Level::Tell => "note",
    };
    let _ = writeln!(out, "{level}: {} [{}]", finding.message, finding.code);
    for evidence in finding.evidence.iter().take(MAX_EVIDENCE) {
        let _ = writeln!(out, "    {evidence}");
    }
    if finding.evidence.len() > MAX_EVIDENCE {
        let _ = writeln!(out, "    and {} more", finding.evidence.len() - MAX_EVIDENCE);
    }
    if let Some(remedy) = &finding.remedy {
        let _ = writeln!(out, "    do: {remedy}");
    }
    if finding.can_be_fixed {
        let _ = writeln!(out, "    or: anima elevate fix --rule {}", finding.code);
    }
}

fn add_packages(out: &mut String, plan: &Plan) {
    out.push('\n');
    for package in TOLD.iter().flat_map(|fate| plan.packages.iter().filter(move |package| package.fate == *fate)) {
        let before = package.before.as_deref().unwrap_or(&package.name);
        let shows_after = !package.after.is_empty() && package.fate != Fate::Orphan;
        let after = if shows_after { format!(" → {}", package.after.join(", ")) } else { String::new() };
        let _ = writeln!(out, "{:<10} {before}{after}", package.fate.name());
    }
    let count = |fate: Fate| plan.packages.iter().filter(|package| package.fate == fate).count();
    let counts =
        Fate::ALL.iter().filter(|fate| count(**fate) > 0).map(|fate| format!("{} {}", count(*fate), fate.name()));
    let _ = writeln!(out, "\n{}", counts.collect::<Vec<_>>().join(", "));
    let _ = write!(out, "{}", costs(plan));
}

/// What it takes, in one or two lines.
pub(super) fn costs(plan: &Plan) -> String {
    let transaction = &plan.transaction;
    let grows = size(transaction.grows_bytes.unsigned_abs());
    let more = if transaction.grows_bytes < 0 { "less" } else { "more" };
    let mut out = format!(
        "{} to download (about {}), about {} to install, {grows} {more} afterwards.",
        size(transaction.download_bytes),
        span(plan.costs.download_secs),
        span(plan.costs.install_secs)
    );
    for room in &plan.costs.rooms {
        let _ = write!(out, " {} needs {} of {} free.", room.path, size(room.needed_bytes), size(room.free_bytes));
    }
    out
}

/// What can be done now, in a few words.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "nothing is in the way",
        Verdict::Fixable => "what is in the way can be mended with `anima elevate fix`",
        Verdict::Blocked => "something is in the way that only you can remove",
    }
}

/// Returns a size in powers of 1,024.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// Returns a span as people say it.
pub(super) fn span(secs: u64) -> String {
    match secs {
        0..90 => format!("{secs} s"),
        _ => format!("{} min", secs.div_ceil(60)),
    }
}
