//! Each operation of the API has a method of the client, or a reason why it has none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Operations without a method, each with its reason.
const WITHOUT: [(&str, &str, &str); 6] = [
    ("GET", "api/v1/openapi.json", "it is what clients are made by, and ours is"),
    ("GET", "api/v1/releases/{}/packages", "its address is in the work that the Release System gets"),
    ("GET", "api/v1/releases/{}/repositories/{}/packages", "its address is in the work that the Release System gets"),
    ("GET", "api/v1/releases/{}/repositories/{}/added", "its address is in the work that the Release System gets"),
    ("PUT", "api/v1/maintenance", "its methods share an address (maintenance.rs)"),
    ("DELETE", "api/v1/maintenance", "its methods share an address (maintenance.rs)"),
];

/// What methods call, and with which of HTTP's.
const VERBS: [(&str, &str); 10] = [
    ("Method::GET", "GET"),
    ("Method::POST", "POST"),
    ("Method::PUT", "PUT"),
    ("Method::DELETE", "DELETE"),
    (".get(", "GET"),
    (".list(", "GET"),
    (".post(", "POST"),
    (".post_as_nobody(", "POST"),
    (".post_waiting(", "POST"),
    (".put_json(", "PUT"),
];
/// Characters before and after an address among which its verb stands.
const BEFORE: usize = 70;
const AFTER: usize = 300;

/// Returns an address with nothing between its braces.
fn bare(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |bare, part| bare + "{}" + part.split_once('}').map_or("", |(_, rest)| rest))
}

/// Returns the operations that the reference has, which a test of the master compares with its routes.
fn operations() -> BTreeSet<(String, String)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/API.md")).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')?.0.split_once(" /"));
    let operations = lines.filter(|(_, path)| path.starts_with("api/v1/"));
    operations.map(|(method, path)| (method.to_string(), bare(path))).collect()
}

fn sources(folder: &Path, text: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, text),
            false => {
                let words: Vec<String> =
                    fs::read_to_string(path).unwrap().split_whitespace().map(str::to_string).collect();
                text.push(words.join(" "));
            }
        }
    }
}

/// Returns what the sources call, by address: its verb stands before it, or in the call that follows.
fn called() -> BTreeSet<(String, String)> {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let mut called = BTreeSet::new();
    for text in &texts {
        for (at, _) in text.match_indices("\"api/v1/") {
            let path = bare(text[at + 1..].split('"').next().unwrap());
            let before: String = text[..at].chars().rev().take(BEFORE).collect::<String>().chars().rev().collect();
            let after: String = text[at..].chars().take(AFTER).collect();
            let last = VERBS.iter().filter_map(|(word, verb)| Some((before.rfind(word)?, verb))).max();
            let next = || VERBS.iter().filter_map(|(word, verb)| Some((after.find(word)?, verb))).min();
            // What is followed is read.
            let verb = last.or_else(next).map_or("GET", |(_, verb)| verb);
            called.insert((verb.to_string(), path));
        }
    }
    // Its last word is a variable: `disable` or `enable`.
    if called.remove(&("POST".to_string(), "api/v1/accounts/{}/{}".to_string())) {
        for verb in ["disable", "enable"] {
            called.insert(("POST".to_string(), format!("api/v1/accounts/{{}}/{verb}")));
        }
    }
    called
}

#[test]
fn each_operation_of_the_api_has_a_method_or_a_reason_why_not() {
    let (operations, called) = (operations(), called());
    let reasons: BTreeMap<(String, String), &str> =
        WITHOUT.iter().map(|(method, path, why)| ((method.to_string(), path.to_string()), *why)).collect();
    assert!(operations.len() > 100, "the reference was read");

    let without: Vec<_> = operations.iter().filter(|one| !called.contains(one) && !reasons.contains_key(one)).collect();
    let stale: Vec<_> = reasons.keys().filter(|one| called.contains(one) || !operations.contains(one)).collect();
    let unknown: Vec<_> = called.iter().filter(|one| !operations.contains(one)).collect();

    assert_eq!(without, [] as [&(String, String); 0], "these have no method");
    assert_eq!(stale, [] as [&(String, String); 0], "these have a method, or are not there");
    assert_eq!(unknown, [] as [&(String, String); 0], "these are no operations");
}
