//! Reports: what a person reads first, what other programs read, and that a page needs nothing else.

mod common;

use anima_elevate::{
    data::Data,
    plan::{Fate, Target, TargetRepository, Wishes, plan},
    report::{self, Report},
};
use common::{event, facts, installed, repository};

/// A machine with a package of others, a changed configuration, one that was asked for and goes, and a repository's list.
fn sample() -> Report {
    let mut theirs = installed("agent", "7", &[]);
    theirs.vendor = "Watch & Co <script>".into();
    let mut httpd = installed("httpd", "1", &[]);
    httpd.changed_config = vec!["/etc/httpd/httpd.conf".into()];
    let mut games = installed("games", "1", &[]);
    games.is_wanted = Some(true);
    let mut machine = facts(vec![installed("bash", "1", &[]), theirs, httpd, games, installed("old", "1", &[])]);
    machine.os.release = "1".parse().unwrap();
    let events = [event(1, 1, &["games"], &[]), event(2, 7, &["old"], &["new"])];
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path(), &[("bash", "2", &[], &[]), ("httpd", "2", &[], &[]), ("new", "2", &[], &[])]);
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    let target = Target { release: "2".parse().unwrap(), repositories, cache: None };
    let data: Data = common::data(&events);
    let plan = plan(&machine, &data, &target, &Wishes::default()).unwrap();
    Report::new(&machine, &data, plan)
}

#[test]
fn what_is_the_owners_is_known() {
    let yours = sample().yours;

    assert_eq!((yours.packages.len(), yours.packages[0].fate), (1, Fate::Orphan));
    assert_eq!(yours.removed[0].nevra, "games-1-1.el1.x86_64");
    assert_eq!((yours.config[0].path.as_str(), yours.config[0].fate), ("/etc/httpd/httpd.conf", Fate::Upgrade));
    assert!(yours.config[0].what.contains(".rpmnew"));
}

#[test]
fn the_page_is_whole_and_what_is_the_owners_comes_first() {
    let page = report::html(&sample());

    for outside in ["http://", "https://", "<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(
        page.contains("Watch &#38; Co &#60;script&#62;") || page.contains("Watch &amp; Co &lt;script&gt;"),
        "escaped"
    );
    let at = |words: &str| page.find(words).unwrap_or_else(|| panic!("{words}"));
    assert!(at("What is yours</h2>") < at("In the way</h2>") && at("games-1-1.el1.x86_64") < at("<h2>Packages"));
    assert!(page.contains("old-1-1.el1.x86_64") && page.contains("Event 2: old renamed in 2.0"));
}

#[test]
fn leapps_form_has_what_readers_of_it_look_for() {
    let document = report::leapp(&sample(), "2026-11-25T12:00:00Z");

    let entries = document["entries"].as_array().unwrap();
    assert!(!entries.is_empty() && document["leapp_run_id"].is_string());
    for entry in entries {
        for field in ["title", "summary", "severity", "audience", "key", "id", "actor", "hostname", "timeStamp"] {
            assert!(entry[field].is_string(), "{field}: {entry}");
        }
        assert!(["info", "low", "medium", "high"].contains(&entry["severity"].as_str().unwrap()));
        assert!(entry["groups"].is_array() && entry["detail"].is_object());
    }
}

#[test]
fn the_text_says_it_in_the_same_order_and_the_document_is_read_back() {
    let report = sample();

    let text = report::text(&report);
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();

    assert!(text.find("What is yours").unwrap() < text.find("rename     old-1-1.el1.x86_64").unwrap(), "{text}");
    assert_eq!(again, report);
}
