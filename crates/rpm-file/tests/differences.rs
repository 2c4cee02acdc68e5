//! Two builds of a package are told apart by what a user would notice, and by nothing else.

mod support;

use anima_rpm_file::{PackageInfo, differences};
use support::odd;

fn info() -> PackageInfo {
    PackageInfo::read(&odd().named("odd-1.0")).unwrap()
}

fn lines(change: impl FnOnce(&mut PackageInfo)) -> Vec<String> {
    let (one, mut other) = (info(), info());
    change(&mut other);
    differences(("x86_64", &one), ("aarch64", &other))
}

#[test]
fn when_and_where_it_was_built_and_how_it_is_packed_is_no_difference() {
    let lines = lines(|other| {
        other.build_time_secs += 1;
        other.build_host = Some("another".into());
        other.payload_sha256 = None;
        other.archive_size_bytes += 1;
        other.header_end += 8;
    });

    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn a_field_a_dependency_and_a_script_are_named_with_both_sides() {
    let lines = lines(|other| {
        other.summary = "Else".into();
        other.requires.retain(|it| it.name != "coreutils");
        other.provides.push(anima_rpm_file::Dependency::new("new-thing", None, false));
        other.scriptlets[0].body = Some("echo other".into());
    });

    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert_eq!(lines[0], "summary: \"Ein Päckchen mit <Sonderzeichen> & Umlauten\" (x86_64), \"Else\" (aarch64)");
    assert_eq!(lines[1], "Provides: only aarch64: new-thing");
    assert_eq!(lines[2], "Requires: only x86_64: coreutils >= 8 (pre)");
    assert!(lines[3].starts_with("scripts: only x86_64: ") && lines[3].contains("echo other"), "{}", lines[3]);
}

#[test]
fn files_are_told_with_what_of_them_differs() {
    let lines = lines(|other| {
        let file = other.files.iter_mut().find(|file| file.path == "/usr/bin/odd").unwrap();
        file.mode = 0o100700;
        file.digest = Some("0123456789abcdef".into());
        other.files.retain(|file| file.path != "/usr/share/odd/numbers");
    });

    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(lines[0], "files: only x86_64: /usr/share/odd/numbers");
    assert!(lines[1].starts_with("/usr/bin/odd: mode 100755 (x86_64), 100700 (aarch64), digest "), "{}", lines[1]);
    assert!(lines[1].ends_with(" (x86_64), 0123456789ab (aarch64)"), "{}", lines[1]);
}

#[test]
fn a_files_capabilities_and_what_becomes_of_it_at_an_update_are_told() {
    let lines = lines(|other| {
        let file = |path: &str| other.files.iter().position(|file| file.path == path).unwrap();
        let (binary, config) = (file("/usr/bin/odd"), file("/etc/odd.conf"));
        other.files[binary].capabilities = Some("cap_net_raw=ep".into());
        other.files[config].flags = 1;
    });

    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(lines[0], "/etc/odd.conf: flags config noreplace (x86_64), config (aarch64)");
    assert_eq!(lines[1], "/usr/bin/odd: capabilities none (x86_64), cap_net_raw=ep (aarch64)");
}

#[test]
fn of_many_files_some_are_shown_and_the_others_counted() {
    let lines = lines(|other| {
        let template = other.files[0].clone();
        other
            .files
            .extend((0..20).map(|number| anima_rpm_file::File { path: format!("/x/{number:02}"), ..template.clone() }));
    });

    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("files: only aarch64: /x/00, ") && lines[0].ends_with(" and 12 more"), "{}", lines[0]);
}
