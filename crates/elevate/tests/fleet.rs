//! A fleet: equal plans are one group, who differs is named, and who may go goes in waves.

mod common;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use anima_elevate::{
    data::Data,
    facts::{Facts, Mount},
    fleet::{Fleet, plan_all},
    plan::{Target, TargetRepository, Verdict, Wishes},
};
use common::{facts, installed, repository};

fn fleet(hosts: &BTreeMap<String, Facts>) -> Fleet {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path(), &[("bash", "2", &[], &[]), ("httpd", "2", &[], &[])]);
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    let target = Target { release: "2".parse().unwrap(), repositories, cache: None };
    let done = AtomicUsize::new(0);
    let told = |count: usize| {
        done.fetch_max(count, Ordering::Relaxed);
    };
    let labels: Vec<String> = hosts.keys().cloned().collect();
    let facts_of = |label: &str| Ok(Facts { host: Some(label.to_owned()), ..hosts[label].clone() });
    let fleet = plan_all(&labels, facts_of, &Data::default(), &target, &Wishes::default(), 2, told).unwrap();
    assert_eq!(done.into_inner(), hosts.len());
    fleet
}

#[test]
fn equal_plans_are_a_group_and_the_one_that_differs_is_named_with_what_differs() {
    let mut hosts: BTreeMap<String, Facts> =
        (0..60).map(|at| (format!("web{at:02}"), facts(vec![installed("bash", "1", &[])]))).collect();
    hosts.insert("odd".into(), facts(vec![installed("bash", "1", &[]), installed("httpd", "1", &[])]));
    let mut full = facts(vec![installed("bash", "1", &[])]);
    full.mounts.push(Mount { path: "/".into(), kind: "xfs".into(), total_bytes: 9, free_bytes: 9, is_writable: true });
    hosts.insert("full".into(), full);

    let fleet = fleet(&hosts);

    let [web, full, odd] = fleet.groups.as_slice() else { panic!("{fleet:#?}") };
    assert_eq!((web.hosts.len(), web.is_outlier, web.differs.is_none()), (60, false, true));
    assert_eq!((odd.hosts.as_slice(), odd.is_outlier), (["odd".to_string()].as_slice(), true));
    assert_eq!(odd.differs.as_ref().unwrap().more, ["httpd-2-1.el2.x86_64"]);
    assert_eq!((full.hosts.as_slice(), full.verdict), (["full".to_string()].as_slice(), Verdict::Blocked));
    assert!(full.differs.as_ref().unwrap().findings.iter().any(|found| found.contains("[space]")), "{full:#?}");
}

#[test]
fn pilots_go_first_then_a_tenth_then_the_rest_and_who_is_blocked_stays() {
    let mut hosts: BTreeMap<String, Facts> =
        (0..21).map(|at| (format!("web{at:02}"), facts(vec![installed("bash", "1", &[])]))).collect();
    let mut old = facts(vec![installed("bash", "1", &[])]);
    old.os.release = "0.5".parse().unwrap();
    hosts.insert("old".into(), old);

    let fleet = fleet(&hosts);

    let waves: Vec<(&str, usize)> = fleet.waves.iter().map(|wave| (wave.name.as_str(), wave.hosts.len())).collect();
    assert_eq!(waves, [("pilot", 1), ("first", 2), ("rest", 18)]);
    assert!(fleet.waves.iter().all(|wave| !wave.hosts.contains(&"old".to_string())));
}

#[test]
fn two_machines_of_one_name_are_called_by_their_files_and_one_that_cannot_be_read_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path(), &[("bash", "2", &[], &[])]);
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    let target = Target { release: "2".parse().unwrap(), repositories, cache: None };
    let labels = ["a.json", "b.json", "broken.json"].map(String::from);
    let facts_of = |label: &str| match label {
        "broken.json" => Err("line 2 is none".to_string()),
        _ => Ok(facts(vec![installed("bash", "1", &[])])),
    };

    let fleet = plan_all(&labels, facts_of, &Data::default(), &target, &Wishes::default(), 2, |_| ()).unwrap();

    assert_eq!(fleet.groups[0].hosts, ["ada", "b.json"]);
    assert_eq!(fleet.failed["broken.json"], "line 2 is none");
}
