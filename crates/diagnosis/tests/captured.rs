//! Logs of failures that are not built in the build node's corpus, because the tools are not there: each says where it is from.

use std::path::Path;

use anima_diagnosis::{Classes, End, read};

/// Returns the value of a key of `expected.toml`, whose strings have no escapes.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
    Some(line.trim_matches(['\'', '"']).to_owned())
}

#[test]
fn each_captured_log_is_told_by_its_class_and_its_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let expected = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
        let log = std::fs::read(folder.join("captured.log")).unwrap();

        let findings = read(&log).findings(End::Unknown);

        let (class, message) = (value(&expected, "class"), value(&expected, "message").unwrap_or_default());
        let text = String::from_utf8_lossy(&log).into_owned();
        let line = |line: u64| text.lines().nth(line as usize - 1).unwrap_or_default();
        let is_right = findings.first().is_some_and(|first| {
            let line = line(first.log_line.unwrap());
            Some(&first.class) == class.as_ref()
                && line.contains(&value(&expected, "line").unwrap())
                && first.message.contains(&message)
        });
        if !is_right {
            let first = findings.first().map(|first| (&first.class, &first.message, first.log_line));
            wrong.push(format!("{}: {first:?}", folder.display()));
        }
        count += 1;
    }
    assert!(count > 20, "{count} logs are there");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_class_is_seen_in_a_corpus() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = std::collections::BTreeSet::new();
    for corpus in [own.join("tests/captured"), own.join("../build-node/tests/corpus")] {
        for entry in std::fs::read_dir(corpus).unwrap() {
            let expected = std::fs::read_to_string(entry.unwrap().path().join("expected.toml")).unwrap();
            seen.insert(value(&expected, "class").unwrap());
        }
    }
    // These say that something was told, not what.
    let general = ["script_error", "rpm_error", "traceback", "perl_error"];
    // These are told by a master or a node, without a log of a build.
    let told =
        ["bad_repository", "unsolvable", "bad_package", "node_lost", "node_disk_full", "noarch_differs", "internal"];

    let unseen = Classes::known().all().iter().map(|class| class.code.as_str());
    let unseen: Vec<_> =
        unseen.filter(|code| !seen.contains(*code) && !general.contains(code) && !told.contains(code)).collect();

    assert_eq!(unseen, [""; 0]);
}
