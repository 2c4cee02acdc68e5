//! Folders of packages beside createrepo_c's metadata of the same: a made-up distribution, Seed Linux, and packages whose
//! texts are no UTF-8. What all say of every package is compared.

#[path = "../../rpm-file/tests/support/mod.rs"]
mod support;

use std::{fs, path::Path, process::Command};

use anima_repodata::{Compression, IndexOptions, Indexed, Repository, index};
use anima_testkit::corpus;
use support::{Packages, run};
use tempfile::TempDir;

/// So many that there are several buckets.
const COUNT: u32 = 150;

fn options(compression: Compression, is_whole: bool) -> IndexOptions {
    IndexOptions { compression, revision_secs: 1_700_000_000, is_whole }
}

fn made(folder: &Path, is_whole: bool) -> Indexed {
    index(folder, &options(Compression::Gzip, is_whole)).unwrap()
}

/// Links all packages below a folder into one more, where createrepo_c works.
fn compare_with_createrepo(folder: &Path) {
    let theirs = TempDir::new().unwrap();
    run(Command::new("createrepo_c")
        .args(["--quiet", "--no-database", "--general-compress-type=gz", "--outputdir"])
        .arg(theirs.path())
        .arg(folder));
    let (ours, theirs) = (Repository::open(folder).unwrap(), Repository::open(theirs.path()).unwrap());
    ours.verify().unwrap();
    for kind in ["primary", "filelists", "other"] {
        let digests = |repository: &Repository| repository.digests(repository.repomd.record(kind).unwrap()).unwrap();
        let (ours, theirs) = (digests(&ours), digests(&theirs));
        assert!(!ours.is_empty());
        let differing: Vec<_> = theirs.iter().filter(|(id, digest)| ours.get(*id) != Some(digest)).collect();
        assert!(differing.is_empty() && ours.len() == theirs.len(), "{kind}: {differing:?}");
    }
}

fn corpus_of(count: u32) -> TempDir {
    let folder = TempDir::new().unwrap();
    (0..count).for_each(|number| drop(corpus::package(folder.path(), number).unwrap()));
    folder
}

fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let repository = Repository::open(folder).unwrap();
    let locations = repository.repomd.records.iter().map(|record| record.location.clone());
    locations.map(|location| (location.clone(), fs::read(folder.join(&location)).unwrap())).collect()
}

#[test]
fn a_folder_says_what_createrepo_says_after_every_change_and_reads_only_what_changed() {
    let folder = corpus_of(COUNT);
    let first = made(folder.path(), false);
    assert_eq!(
        first,
        Indexed { package_count: COUNT.into(), read_count: COUNT as usize, removed_count: 0, is_new: true }
    );
    compare_with_createrepo(folder.path());
    assert!(!made(folder.path(), false).is_new);

    let gone = corpus::package(folder.path(), 7).unwrap();
    fs::remove_file(gone).unwrap();
    corpus::package(folder.path(), COUNT).unwrap();
    let second = made(folder.path(), false);

    assert_eq!(second, Indexed { package_count: COUNT.into(), read_count: 1, removed_count: 1, is_new: true });
    compare_with_createrepo(folder.path());
    let updated = files_of(folder.path());
    made(folder.path(), true);
    assert!(files_of(folder.path()) == updated, "the same bytes as made anew");
}

#[test]
fn metadata_of_others_is_made_anew_and_what_they_attached_stays() {
    let folder = corpus_of(5);
    run(Command::new("createrepo_c").arg("--quiet").arg(folder.path()));
    let comps = folder.path().join("comps.xml");
    fs::write(&comps, "<comps><group><id>core</id></group></comps>").unwrap();
    run(Command::new("modifyrepo_c").args(["--mdtype=group"]).arg(&comps).arg(folder.path().join("repodata")));

    assert_eq!(made(folder.path(), false).read_count, 5);

    let repository = Repository::open(folder.path()).unwrap();
    repository.verify().unwrap();
    let kinds: Vec<&str> = repository.repomd.records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["primary", "filelists", "other", "group"]);
    compare_with_createrepo(folder.path());
}

#[test]
fn who_reads_the_state_before_still_finds_its_files_and_no_older_ones_pile_up() {
    let folder = corpus_of(3);
    let mut states = Vec::new();
    for number in 3..6 {
        made(folder.path(), false);
        states.push(Repository::open(folder.path()).unwrap());
        corpus::package(folder.path(), number).unwrap();
    }

    states[2].verify().unwrap();
    states[1].verify().unwrap();
    assert!(states[0].verify().is_err());
}

#[test]
fn a_file_that_lies_at_two_places_may_go_from_one() {
    let folder = corpus_of(3);
    let (first, second) =
        (corpus::package(folder.path(), 0).unwrap(), folder.path().join("Packages/other-1-1.noarch.rpm"));
    fs::copy(&first, &second).unwrap();
    made(folder.path(), false);

    fs::remove_file(&second).unwrap();
    made(folder.path(), false);

    compare_with_createrepo(folder.path());
}

#[test]
fn a_damaged_or_foreign_package_is_named() {
    let folder = corpus_of(2);
    fs::write(folder.path().join("Packages/broken-1-1.noarch.rpm"), "no package").unwrap();

    let error = index(folder.path(), &options(Compression::Zstd, false)).unwrap_err().to_string();

    assert!(error.contains("Packages/broken-1-1.noarch.rpm"), "{error}");
}

#[test]
fn seed_linux_says_what_createrepo_says() {
    let seed = anima_testkit::seed().unwrap();
    let folder = TempDir::new_in(&seed).unwrap();
    let target = folder.path().join("packages");
    let packages = seed.join("seed-1").join(std::env::consts::ARCH);
    assert!(Command::new("cp").args(["-aL", "--link"]).arg(&packages).arg(&target).status().unwrap().success());
    fs::remove_dir_all(target.join("repodata")).unwrap();

    let indexed = made(&target, true);

    assert!(indexed.package_count > 100, "{indexed:?}");
    compare_with_createrepo(&target);
}

/// Texts in Latin 1, as packages of the last century have them.
const LATIN_SPEC: &str = r#"
%define _invalid_encoding_terminates_build 0
Name: latin
Version: 1
Release: 1
Summary: gr%{lua:io.write(string.char(252))}n
License: MIT
BuildArch: noarch
%description
na%{lua:io.write(string.char(239))}ve
%files
%changelog
* Tue Nov 14 2023 J%{lua:io.write(string.char(252))}rgen <j@example.org>
- gr%{lua:io.write(string.char(246))}ber
"#;

#[test]
fn texts_that_are_no_utf_8_say_what_createrepo_makes_of_them() {
    let packages = Packages::build(LATIN_SPEC);
    let folder = TempDir::new().unwrap();
    for file in &packages.files {
        fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
    }

    made(folder.path(), false);

    compare_with_createrepo(folder.path());
}
