//! A build done twice, and what differs.

use std::collections::BTreeMap;
use std::path::Path;

use anima_rpm_file::PackageInfo;
use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::Report;

/// So many differences of one package are told.
const MAX_TOLD: usize = 20;
/// Where the header lies in the file follows from what is in it.
const PLACES: [&str; 2] = ["header_start", "header_end"];

/// What two builds of the same sources made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// How many packages are the same, bit for bit.
    pub equal_count: usize,
    /// The others.
    pub differences: Vec<Difference>,
}

/// A package that came out otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The package's file name.
    pub file: String,
    /// What differs, in a line each.
    pub what: Vec<String>,
}

/// Compares what two orders made.
pub fn compare(first: &Report, second: &Report) -> anyhow::Result<Verification> {
    let mut verification = Verification { equal_count: 0, differences: Vec::new() };
    let (one, other) = (files(first), files(second));
    for (file, (path, sha256)) in &one {
        match other.get(file) {
            Some((_, other_sha256)) if other_sha256 == sha256 => verification.equal_count += 1,
            Some((other_path, _)) => {
                let what = differences(path, other_path)?;
                verification.differences.push(Difference { file: file.clone(), what });
            }
            None => verification.differences.push(alone(file, "only the first build made it")),
        }
    }
    let new = other.keys().filter(|file| !one.contains_key(*file));
    verification.differences.extend(new.map(|file| alone(file, "only the second build made it")));
    Ok(verification)
}

fn alone(file: &str, what: &str) -> Difference {
    Difference { file: file.to_owned(), what: vec![what.to_owned()] }
}

fn files(report: &Report) -> BTreeMap<String, (std::path::PathBuf, anima_types::Sha256)> {
    let mut files = BTreeMap::new();
    for package in &report.packages {
        for made in package.steps.iter().flat_map(|step| &step.packages) {
            files.insert(made.file.clone(), (package.folder.join(&made.file), made.sha256));
        }
    }
    files
}

fn differences(one: &Path, other: &Path) -> anyhow::Result<Vec<String>> {
    let read = |path: &Path| -> anyhow::Result<Value> {
        let info = PackageInfo::read(path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(serde_json::to_value(info).expect("plain data"))
    };
    let mut what = Vec::new();
    walk("", &read(one)?, &read(other)?, &mut what);
    if what.is_empty() {
        what.push(
            "what the packages say of themselves is the same: the order of files, or how they are packed".to_owned(),
        );
    }
    let more = what.len().saturating_sub(MAX_TOLD);
    what.truncate(MAX_TOLD);
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    Ok(what)
}

/// Lists of things with a path, such as files, are compared by it; other lists as they are.
fn walk(place: &str, one: &Value, other: &Value, what: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in ours.iter().filter(|(key, _)| !PLACES.contains(&key.as_str())) {
                let place = if place.is_empty() { key.clone() } else { format!("{place} {key}") };
                walk(&place, value, theirs.get(key).unwrap_or(&Value::Null), what);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.iter().chain(theirs).any(|it| path(it).is_some()) => {
            let ours: BTreeMap<_, _> = ours.iter().filter_map(|it| Some((path(it)?, it))).collect();
            let theirs: BTreeMap<_, _> = theirs.iter().filter_map(|it| Some((path(it)?, it))).collect();
            for (name, value) in &ours {
                match theirs.get(name) {
                    Some(their) => walk(name, value, their, what),
                    None => what.push(format!("{name}: only in the first")),
                }
            }
            what.extend(
                theirs
                    .keys()
                    .filter(|name| !ours.contains_key(*name))
                    .map(|name| format!("{name}: only in the second")),
            );
        }
        (one, other) if one != other => what.push(format!("{place}: {one} and {other}")),
        _ => {}
    }
}

fn path(value: &Value) -> Option<&str> {
    value.get("path")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_told_by_its_place_and_files_by_their_paths() {
        let one = json!({"build_time_secs": 1, "header_end": 9, "files": [{"path": "/a", "digest": "1"}, {"path": "/b", "digest": "2"}]});
        let other = json!({"build_time_secs": 2, "header_end": 8, "files": [{"path": "/b", "digest": "3"}, {"path": "/c", "digest": "4"}]});
        let mut what = Vec::new();

        walk("", &one, &other, &mut what);

        what.sort();
        let expected = [
            "/a: only in the first",
            "/b digest: \"2\" and \"3\"",
            "/c: only in the second",
            "build_time_secs: 1 and 2",
        ];
        assert_eq!(what, expected);
    }
}
