//! Events against a plain model of what leapp does with them, on random sets; and the files' dialects and faults.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anima_elevate::{
    Error,
    data::{Data, Event, Events, check::check},
    evolve::{Key, evolve, relevant},
    release::Release,
};
use common::{data, event, model::Model};
use proptest::prelude::*;

fn agrees(installed: &BTreeSet<Key>, events: &[Event], source: Release, target: Release) -> Result<(), String> {
    let ours: BTreeSet<Key> =
        evolve(installed, &relevant(events, "x86_64", source, target)).packages.into_keys().collect();
    let theirs = Model::new(events, "x86_64", source, target).apply(installed);
    if ours == theirs { Ok(()) } else { Err(format!("{installed:?}\nours {ours:?}\nmodel {theirs:?}")) }
}

prop_compose! {
    fn any_event()(
        id in 0..1000_i64,
        action in 0..9_u64,
        inputs in prop::collection::btree_set(0..8_u8, 0..3),
        outputs in prop::collection::btree_set(0..8_u8, 0..3),
        minor in 0..3_u32,
        arch in prop::sample::select(vec!["x86_64", "aarch64"]),
    ) -> String {
        let names = |set: &BTreeSet<u8>| set.iter().map(|name| format!("p{name}")).collect::<Vec<_>>();
        let (inputs, outputs) = (names(&inputs), names(&outputs));
        event(id, action, &inputs.iter().map(String::as_str).collect::<Vec<_>>(), &outputs.iter().map(String::as_str).collect::<Vec<_>>())
            .replace("\"x86_64\"", &format!("\"{arch}\""))
            .replace("\"major_version\": 2, \"minor_version\": 0", &format!("\"major_version\": 2, \"minor_version\": {minor}"))
    }
}

proptest! {
    #[test]
    fn events_do_what_the_model_does(
        events in prop::collection::vec(any_event(), 0..12),
        installed in prop::collection::btree_set(0..8_u8, 0..8),
    ) {
        let installed: BTreeSet<Key> = installed.into_iter().map(|name| (format!("p{name}"), None)).collect();
        let events = data(&events).events.remove(0).events;
        let outcome = agrees(&installed, &events, "1".parse().unwrap(), "2.1".parse().unwrap());
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }

    #[test]
    fn their_order_changes_nothing(events in prop::collection::vec(any_event(), 0..12)) {
        let installed: BTreeSet<Key> = (0..8).map(|name| (format!("p{name}"), None)).collect();
        let mut events = data(&events).events.remove(0).events;
        let names = |events: &[Event]| -> BTreeMap<Key, ()> {
            let relevant = relevant(events, "x86_64", "1".parse().unwrap(), "2.2".parse().unwrap());
            evolve(&installed, &relevant).packages.into_keys().map(|key| (key, ())).collect()
        };
        let forwards = names(&events);
        events.reverse();
        prop_assert_eq!(forwards, names(&events));
    }
}

#[test]
fn both_dialects_are_read_and_written_back_whole() {
    let text = r#"{
  "legal_notice": "ours",
  "packageinfo": [
    {"action": 6, "architectures": ["x86_64"], "id": 7, "more": {"kept": [1]},
     "in_packageset": {"package": [{"name": "perl", "repository": "base", "modulestreams": [null]}], "set_id": 1},
     "out_packageset": {"package": [{"name": "perl", "repository": "apps", "modulestreams": [null]}], "set_id": 2},
     "modulestream_maps": [{"in_modulestream": null, "out_modulestream": {"name": "perl", "stream": "5.30"}}],
     "initial_release": null, "release": {"major_version": 9, "minor_version": 2, "os_name": "X"}}
  ]
}"#;

    let events = Events::parse(Path::new("new.json"), text).unwrap();

    let event = &events.events[0];
    assert_eq!(
        (event.architectures.as_slice(), event.from, event.place.line),
        (["x86_64".to_string()].as_slice(), None, 4)
    );
    assert_eq!(event.outputs[0].module.as_ref().unwrap().stream, "5.30");
    assert_eq!(events.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn a_fault_in_a_file_is_told_with_its_line_and_column() {
    let broken = |text: &str| match Events::parse(Path::new("x.json"), text) {
        Err(Error::Data { place, reason }) => (place.line, place.column, reason),
        other => panic!("{other:?}"),
    };
    let good = event(1, 1, &["a"], &[]);

    assert_eq!(broken("{\"packageinfo\": [\n  1,\n]}").0, 3);
    let (line, _, reason) =
        broken(&format!("{{\"packageinfo\": [\n{good},\n{}]}}", good.replace("\"action\": 1", "\"action\": \"one\"")));
    assert!(line == 5 && reason.contains("invalid type: string \"one\""), "{line} {reason}");
    let (line, _, reason) = broken(&format!("{{\"packageinfo\": [\n{}]}}", event(1, 12, &["a"], &[])));
    assert!(line == 2 && reason == "action 12 is none of 0 to 8", "{line} {reason}");
}

#[test]
fn what_is_wrong_with_events_is_found() {
    let events = [
        event(1, 7, &["a"], &["b"]),
        event(2, 7, &["b"], &["a"]),
        event(3, 3, &["self"], &["self"]),
        event(4, 1, &["bash"], &[]),
        event(5, 3, &["c"], &["d"]),
        event(6, 1, &["c"], &[]),
        event(7, 4, &["nothing"], &[]),
        event(8, 1, &["e"], &[]),
        event(9, 1, &["e"], &[]),
        event(10, 7, &["f"], &["e"]),
    ];

    let found: Vec<(String, usize)> =
        check(&data(&events)).into_iter().map(|finding| (finding.code, finding.place.line)).collect();

    let has = |code: &str, id: usize| found.contains(&(code.to_string(), 3 * id));
    assert!(has("circle", 2), "{found:?}");
    assert!(has("self_reference", 3) && has("protected", 4) && has("contradiction", 6), "{found:?}");
    assert!(has("no_outputs", 7) && has("duplicate", 9) && has("brought_and_removed", 10), "{found:?}");
    assert!(check(&Data::default()).is_empty());
}
