//! Ours beside createrepo_c's, over the same packages: every element, attribute and text is compared.

#[path = "../../rpm-file/tests/support/mod.rs"]
mod support;

mod common;

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use anima_repodata::{Compression, RepodataBuilder, Repository};
use common::{Tree, published, tree};
use support::{Packages, run};
use tempfile::TempDir;

const LIBC_SPEC: &str = r#"
Name: needy
Version: 1
Release: 1
Summary: Needs many versions of libc
License: MIT
BuildArch: noarch
AutoReqProv: no
Provides: same = 1
Provides: half = 3:1
Provides: bare-epoch = 3:4
Requires: libc.so.6(GLIBC_2.9)(64bit)
Requires: libc.so.6(GLIBC_2.34)(64bit)
Requires: libc.so.6()(64bit)
Requires: libc.so.6(GLIBC_2.4)(64bit)
Requires: same = 1
Requires: same = 2
Requires: /usr/bin/needy
Requires: /usr/share/needy/file
Requires(post): repeated >= 2
Requires: repeated >= 2
Requires: repeated > 2
Requires: repeated >= 2
Recommends: soft(thing)
%description
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/share/needy %{buildroot}/usr/lib %{buildroot}/etc/needy.d
touch %{buildroot}/usr/bin/needy %{buildroot}/usr/share/needy/file %{buildroot}/usr/lib/sendmail
touch "%{buildroot}/etc/needy.d/<a>&'b' \"c\""
%files
/usr/bin/needy
/usr/share/needy/file
/usr/lib/sendmail
/etc/needy.d
%ghost %dir /var/lib/needy
%ghost /usr/bin/ghost
%changelog
* Wed Nov 15 2023 A <a@example.org>   
- trailing spaces above
* Wed Nov 15 2023 B <b@example.org> - 2
- same day
* Wed Nov 15 2023 C <c@example.org> - 1
- same day again
* Tue Nov 14 2023 D <d@example.org>
- <xml> & "quotes" ]]>
* Mon Nov 13 2023 E
- 5
* Sun Nov 12 2023 E
- 6
* Sat Nov 11 2023 E
- 7
* Fri Nov 10 2023 E
- 8
* Thu Nov 09 2023 E
- 9
* Wed Nov 08 2023 E
- 10
* Tue Nov 07 2023 E
- 11, which metadata leaves out
"#;

/// A repository with copies of packages below it, as createrepo_c makes it and as we do.
struct Both {
    theirs: TempDir,
    ours: TempDir,
}

impl Both {
    fn of(sets: &[&Packages], compression: Compression) -> Both {
        let both = Both { theirs: TempDir::new().unwrap(), ours: TempDir::new().unwrap() };
        let mut fragments = Vec::new();
        for path in sets.iter().flat_map(|set| &set.files) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let location = format!("Packages/{}/{name}", &name[..1]);
            for dir in [&both.theirs, &both.ours] {
                let target = dir.path().join(&location);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::copy(path, target).unwrap();
            }
            let modified_at = fs::metadata(both.theirs.path().join(&location)).unwrap().mtime();
            fragments.push(published(path, &location, modified_at));
        }
        run(Command::new("createrepo_c")
            .args(["--quiet", "--no-database", "--general-compress-type=gz"])
            .arg(both.theirs.path()));
        let built =
            fragments.iter().fold(RepodataBuilder::new(compression), RepodataBuilder::add).finish(1_700_000_000);
        built.unwrap().write_to(both.ours.path()).unwrap();
        both
    }
}

/// The packages of a metadata file by their id, and the root without them.
fn parts(repository: &Path, kind: &str) -> (Tree, BTreeMap<String, Tree>) {
    let repository = Repository::open(repository).unwrap();
    let record = repository.repomd.record(kind).unwrap();
    let mut root = tree(repository.open_record(record).unwrap());
    let packages = root.children.drain(..).map(|package| (package.package_id(), package)).collect();
    (root, packages)
}

fn compare(both: &Both) {
    for kind in ["primary", "filelists", "other"] {
        let (our_root, ours) = parts(both.ours.path(), kind);
        let (their_root, theirs) = parts(both.theirs.path(), kind);
        assert_eq!(our_root, their_root, "the root of {kind}");
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "the packages of {kind}");
        for (id, package) in &theirs {
            assert_eq!(format!("{:#?}", ours[id]), format!("{package:#?}"), "{kind}");
        }
    }
}

#[test]
fn packages_with_every_oddity_give_the_same_metadata_as_createrepo() {
    let needy = Packages::build(LIBC_SPEC);
    let both = Both::of(&[support::odd(), &needy], Compression::Gzip);

    compare(&both);
}

#[test]
fn an_empty_repository_is_the_same_as_createrepos() {
    compare(&Both::of(&[], Compression::Gzip));
}

#[test]
fn both_indexes_are_read_and_every_file_is_verified() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let both = Both::of(&[support::odd()], compression);
        for dir in [&both.theirs, &both.ours] {
            let repository = Repository::open(dir.path()).unwrap();

            repository.verify().unwrap();

            assert_eq!(repository.read_packages().unwrap().len(), support::odd().files.len());
        }
    }
}

#[test]
fn packages_read_back_are_the_ones_that_were_rendered() {
    let both = Both::of(&[support::odd()], Compression::Zstd);
    let theirs = Repository::open(both.theirs.path()).unwrap().read_packages().unwrap();
    let ours = Repository::open(both.ours.path()).unwrap().read_packages().unwrap();

    let odd = ours.iter().find(|package| package.nevra.to_string() == "odd-2:1.0~rc1-3.s1.noarch").unwrap();

    assert!(theirs.contains(odd));
    assert_eq!(odd.summary, "Ein Päckchen mit <Sonderzeichen> & Umlauten");
    let provides: Vec<String> = odd.provides.iter().map(ToString::to_string).collect();
    assert!(provides.contains(&"odd-thing = 7:2-1".to_string()), "{provides:?}");
    let pre: Vec<&str> = odd.requires.iter().filter(|need| need.is_pre()).map(|need| need.name.as_str()).collect();
    assert!(pre.contains(&"coreutils"), "{pre:?}");
    assert!(ours.iter().any(|package| package.is_source() && package.source_rpm.is_empty()));
}

/// dnf with nothing of the machine's own; its library writes to `var`.
fn dnf(repository: &Path, var: &TempDir, arguments: &[&str]) -> String {
    let dir = var.path().display();
    let options = [
        format!("--repofrompath=ours,file://{}", repository.display()),
        format!("--setopt=cachedir={dir}/cache"),
        format!("--setopt=persistdir={dir}/persist"),
        format!("--setopt=logdir={dir}"),
        format!("--setopt=reposdir={dir}/none"),
        format!("--installroot={dir}/root"),
    ];
    let fixed = [
        "-q",
        "--repo=ours",
        "--disableplugin=local",
        "--releasever=1",
        "--setopt=metadata_expire=1",
        "--forcearch=x86_64",
    ];
    run(Command::new("dnf").args(options).args(fixed).args(arguments).env("LC_ALL", "C.UTF-8"))
}

#[test]
fn dnf_reads_our_metadata_in_both_compressions() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let both = Both::of(&[support::odd()], compression);
        let var = TempDir::new().unwrap();
        let query = |arguments: &[&str]| dnf(both.ours.path(), &var, &[&["repoquery"], arguments].concat());

        assert_eq!(query(&["--whatprovides", "odd-thing"]).trim(), "odd-2:1.0~rc1-3.s1.noarch");
        assert_eq!(query(&["--whatrequires", "odd"]).trim(), "odd-sub-2:1.0~rc1-3.s1.noarch");
        assert!(query(&["--list", "odd"]).contains("/usr/share/odd/dir/größe mit leer.txt"));
        assert!(query(&["--changelog", "odd"]).contains("größer & <besser>"));
        assert!(query(&["--location", "odd-sub"]).contains("Packages/o/odd-sub-1.0~rc1-3.s1.noarch.rpm"));
    }
}
