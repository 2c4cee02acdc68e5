//! The report in leapp's own format (`leapp-report.json`, schema 1.2.0), so that what reads leapp's reads ours.

use serde_json::{Value, json};

use super::Report;
use crate::{
    plan::{Finding, Level},
    rules,
};

/// Returns the document. leapp has a moment in it, which is passed in as RFC 3339.
pub fn leapp(report: &Report, moment: &str) -> Value {
    let host = report.plan.host.clone().unwrap_or_default();
    let entries: Vec<Value> =
        report.plan.findings.iter().enumerate().map(|(at, finding)| entry(finding, at, &host, moment)).collect();
    json!({ "entries": entries, "leapp_run_id": format!("anima-{}-{}", report.plan.source.release, report.plan.target) })
}

fn entry(finding: &Finding, at: usize, host: &str, moment: &str) -> Value {
    let rule = rules::by_id(&finding.code);
    let mut groups = vec![group(&finding.group)];
    if finding.level == Level::Block {
        groups.push("inhibitor");
    }
    let mut remediations = Vec::new();
    if let Some(remedy) = &finding.remedy {
        remediations.push(json!({ "type": "hint", "context": remedy }));
    }
    if rule.is_some_and(|rule| !rule.edits.is_empty()) {
        let command = ["anima", "elevate", "fix", "--rule", finding.code.as_str()];
        remediations.push(json!({ "type": "command", "context": command }));
    }
    let resources: Vec<Value> = finding.evidence.iter().map(|what| resource(what)).collect();
    let summary = match &finding.explanation {
        Some(explanation) => format!("{}. {explanation}", finding.message),
        None => finding.message.clone(),
    };
    json!({
        "title": rule.map_or(finding.message.as_str(), |rule| rule.title.as_str()),
        "summary": summary,
        "severity": severity(finding.level),
        "audience": "sysadmin",
        "groups": groups,
        "key": finding.code,
        "id": format!("{}-{at}", finding.code),
        "actor": format!("anima_{}", finding.code),
        "hostname": host,
        "timeStamp": moment,
        "detail": { "remediations": remediations, "related_resources": resources },
    })
}

const fn severity(level: Level) -> &'static str {
    match level {
        Level::Block => "high",
        Level::Ask => "medium",
        Level::Tell => "info",
    }
}

/// leapp's name for what our rules look at.
fn group(own: &str) -> &'static str {
    match own {
        "storage" => "filesystem",
        "boot" => "boot",
        "network" => "network",
        "access" => "authentication",
        "services" => "services",
        "packages" => "repository",
        "system" => "OS facts",
        _ => "upgrade process",
    }
}

fn resource(evidence: &str) -> Value {
    let path = evidence.split(": ").next().unwrap_or(evidence);
    match path.starts_with('/') {
        true => json!({ "scheme": "file", "title": path.split(':').next().unwrap_or(path) }),
        false => json!({ "scheme": "package", "title": evidence }),
    }
}
