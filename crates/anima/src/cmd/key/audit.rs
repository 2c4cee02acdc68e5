//! `anima key audit`: what the Sign Server wrote down that it signed, beside what the master knows of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
};

use anima_sign_server::journal::{self, Line};
use anima_types::{Sha256, Timestamp, id::TaskId, key::Key, signature::Form};
use serde::Serialize;

use super::Ask;
use crate::{
    args::Global,
    config::Config,
    data::DataFolder,
    exit::{Exit, Failure, Result},
    output,
    role::Role,
};

/// Lines of text at most; `--json` has all.
const MAX_SHOWN: usize = 100;

/// What came of the comparison.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Signatures that both know.
    both: usize,
    /// Signatures that the Sign Server is making: their tasks are not ended.
    under_way: usize,
    /// What only one of them knows.
    differences: Vec<Difference>,
}

#[derive(Debug, Eq, PartialEq, Serialize)]
struct Difference {
    /// Who knows it: `journal` or `master`.
    known_by: &'static str,
    at: Timestamp,
    task: TaskId,
    key: String,
    form: Option<Form>,
    name: String,
    artifact: Sha256,
    bytes_sha256: Sha256,
}

/// What makes two signatures the same. Those of files are by a key of their own, which belongs to one of ours.
type Essence = (String, Form, Sha256);

pub async fn run(ask: &Ask, global: &Global, journals: Vec<PathBuf>) -> Result {
    let journals = if journals.is_empty() { vec![own_journal(global)?] } else { journals };
    let mut lines = Vec::new();
    for path in &journals {
        lines.extend(read(path)?);
    }
    let known = known(ask).await?;
    let mut report = compare(&lines, known);
    tell_under_way(ask, &mut report).await?;
    ask.output.show(&report, text)?;
    match report.differences.len() {
        0 => Ok(()),
        count => {
            let message = format!("{count} signatures stand in one record only");
            Err(Failure::new(Exit::Differs, message)
                .hint("docs/OPERATIONS.md, \"Keys\", says what each of them may mean, and what to do"))
        }
    }
}

fn own_journal(global: &Global) -> Result<PathBuf> {
    let data = DataFolder::new(global.data.as_deref());
    let config = Config::load(global.config.as_deref(), &data)?;
    let folder = config.sign_server.data.unwrap_or_else(|| data.of_role(Role::SignServer.folder()));
    Ok(anima_sign_server::journal_file(&folder))
}

fn read(path: &Path) -> Result<Vec<Line>> {
    let failed = |error: std::io::Error| {
        Failure::user(format!("could not read the journal {}: {error}", path.display()))
            .hint("run it as root on the Sign Server's machine, or name the journal with --journal")
    };
    journal::read(&mut File::open(path).map_err(failed)?).map_err(failed)
}

/// Returns all that the master knows of.
async fn known(ask: &Ask) -> Result<BTreeMap<Essence, Difference>> {
    let mut known = BTreeMap::new();
    for key in ask.client.keys().await? {
        let mut after = 0;
        loop {
            let records = ask.client.key_signatures(key.id, after).await?;
            let Some(last) = records.last() else { break };
            after = last.id;
            for record in records {
                let difference = Difference {
                    known_by: "master",
                    at: record.signed_at,
                    task: record.task,
                    key: key.key.name.clone(),
                    form: Some(record.form),
                    name: record.name,
                    artifact: record.artifact,
                    bytes_sha256: record.bytes_sha256,
                };
                known.insert(essence(&fingerprint(&key), record.form, record.bytes_sha256), difference);
            }
        }
    }
    Ok(known)
}

fn fingerprint(key: &Key) -> String {
    key.fingerprint.clone().unwrap_or_default().to_uppercase()
}

fn essence(fingerprint: &str, form: Form, bytes_sha256: Sha256) -> Essence {
    let by = if form == Form::RpmFiles { String::new() } else { fingerprint.to_uppercase() };
    (by, form, bytes_sha256)
}

fn compare(lines: &[Line], mut known: BTreeMap<Essence, Difference>) -> Report {
    let mut report = Report::default();
    let mut seen = BTreeSet::new();
    for line in lines {
        // The journal's first lines did not say the form: there were two.
        let forms = line.form.map_or(vec![Form::RpmHeader, Form::Detached], |form| vec![form]);
        let essences = forms.into_iter().map(|form| essence(&line.fingerprint, form, line.bytes_sha256));
        let essences = essences.collect::<Vec<_>>();
        if essences.iter().any(|essence| seen.contains(essence)) {
            continue;
        }
        match essences.iter().find(|essence| known.remove(*essence).is_some()) {
            Some(essence) => {
                seen.insert(essence.clone());
                report.both += 1;
            }
            None => {
                seen.insert(essences[0].clone());
                report.differences.push(Difference {
                    known_by: "journal",
                    at: line.at,
                    task: line.task,
                    key: line.fingerprint.clone(),
                    form: line.form,
                    name: line.name.clone(),
                    artifact: line.artifact,
                    bytes_sha256: line.bytes_sha256,
                });
            }
        }
    }
    report.differences.extend(known.into_values());
    report.differences.sort_by_key(|difference| difference.at);
    report
}

/// What is in the journal, and not yet reported, is no difference.
async fn tell_under_way(ask: &Ask, report: &mut Report) -> Result {
    let only_journal = report.differences.iter().filter(|difference| difference.known_by == "journal");
    let tasks: BTreeSet<TaskId> = only_journal.map(|difference| difference.task).collect();
    let mut is_open = BTreeMap::new();
    for id in tasks {
        // A task that the master does not know is the more suspicious.
        is_open.insert(id, ask.client.task(id).await.is_ok_and(|task| !task.status.is_ended()));
    }
    let before = report.differences.len();
    report.differences.retain(|one| one.known_by != "journal" || !is_open.get(&one.task).copied().unwrap_or(false));
    report.under_way = before - report.differences.len();
    Ok(())
}

fn text(report: &Report) -> String {
    let mut text = format!("{} signatures are known to both, {} are under way", report.both, report.under_way);
    if report.differences.is_empty() {
        return text + "; no other is known to one alone.";
    }
    let rows = report.differences.iter().take(MAX_SHOWN).map(|one| {
        [
            one.known_by.to_string(),
            output::moment(one.at),
            one.task.to_string(),
            one.key.clone(),
            one.form.map_or("-", Form::name).to_string(),
            if one.name.is_empty() { one.artifact.to_string() } else { one.name.clone() },
        ]
    });
    text += "\n\n";
    text += &output::table(["only in", "at", "task", "key", "form", "what"], rows);
    if report.differences.len() > MAX_SHOWN {
        text += &format!("\n… and {} more (--json has all)", report.differences.len() - MAX_SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8, form: Option<Form>) -> Line {
        let artifact = Sha256([byte; 32]);
        let line = Line::new(Timestamp(i64::from(byte)), TaskId(3), "AB".into(), artifact, artifact);
        Line { form, ..line }
    }

    fn known(bytes: &[(u8, Form)]) -> BTreeMap<Essence, Difference> {
        let one = |(byte, form): &(u8, Form)| {
            let sha256 = Sha256([*byte; 32]);
            let difference = Difference {
                known_by: "master",
                at: Timestamp(i64::from(*byte)),
                task: TaskId(3),
                key: "k".into(),
                form: Some(*form),
                name: String::new(),
                artifact: sha256,
                bytes_sha256: sha256,
            };
            (essence("ab", *form, sha256), difference)
        };
        bytes.iter().map(one).collect()
    }

    fn differences(report: &Report) -> Vec<(&str, i64)> {
        report.differences.iter().map(|one| (one.known_by, one.at.0)).collect()
    }

    #[test]
    fn what_both_know_is_no_difference_and_what_one_knows_is() {
        let lines = [line(1, Some(Form::RpmHeader)), line(2, Some(Form::Detached)), line(1, Some(Form::RpmHeader))];

        let report = compare(&lines, known(&[(1, Form::RpmHeader), (3, Form::Detached)]));

        assert_eq!(report.both, 1);
        assert_eq!(differences(&report), [("journal", 2), ("master", 3)]);
    }

    #[test]
    fn lines_of_the_journals_first_version_match_either_form() {
        let lines = [line(1, None), line(2, None)];

        let report = compare(&lines, known(&[(1, Form::RpmHeader), (2, Form::Detached)]));

        assert_eq!((report.both, report.differences.len()), (2, 0));
    }

    #[test]
    fn the_same_bytes_in_another_form_are_another_signature() {
        let report = compare(&[line(1, Some(Form::RpmHeader))], known(&[(1, Form::RpmPayload)]));

        assert_eq!(differences(&report), [("journal", 1), ("master", 1)]);
    }
}
