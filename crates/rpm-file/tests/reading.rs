//! What is read from real packages, beside what rpm reads from them.

mod support;

use std::{fs, io::Cursor, path::Path, process::Command};

use anima_rpm_file::{Comparison, Dependency, DigestAlgorithm, FileKind, PackageInfo, ScriptletKind, header_bytes};
use support::{odd, run};

fn query(package: &Path, format: &str) -> String {
    run(Command::new("rpm").args(["-qp", "--qf", format]).arg(package).env("LC_ALL", "C"))
}

fn find<'a>(dependencies: &'a [Dependency], name: &str) -> &'a Dependency {
    dependencies.iter().find(|dependency| dependency.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_binary_package_is_read_in_full() {
    let info = PackageInfo::read(&odd().named("odd-1.0")).unwrap();

    assert_eq!(info.nevra.to_string(), "odd-2:1.0~rc1-3.s1.noarch");
    assert!(!info.is_source);
    assert_eq!(info.summary, "Ein Päckchen mit <Sonderzeichen> & Umlauten");
    assert_eq!(info.description, "Zeile eins — with a dash.\n\n  Indented \"quotes\" and 'apostrophes'.");
    assert_eq!(info.license, "MIT AND (BSD-2-Clause OR Apache-2.0)");
    assert_eq!(info.url.as_deref(), Some("https://example.org/odd?a=1&b=2"));
    assert_eq!(info.vendor.as_deref(), Some("Anima Test"));
    assert_eq!(info.packager.as_deref(), Some("Nobody <nobody@example.org>"));
    assert_eq!(info.group.as_deref(), Some("Applications/Text"));
    assert_eq!(info.build_host.as_deref(), Some("builder.example"));
    assert_eq!(info.source_rpm.as_deref(), Some("odd-1.0~rc1-3.s1.src.rpm"));
    assert_eq!(info.file_digest_algorithm, DigestAlgorithm::Sha256);
    assert_eq!(info.changelogs.len(), 2);
    assert_eq!(info.changelogs[0].author, "Jürgen Müller <jm@example.org> - 2:1.0~rc1-3");
    assert_eq!(info.changelogs[0].text, "- größer & <besser>");
    assert!(info.payload_sha256.is_some());
}

#[test]
fn every_kind_of_dependency_is_read_with_its_flags() {
    let info = PackageInfo::read(&odd().named("odd-1.0")).unwrap();

    let thing = find(&info.provides, "odd-thing");
    assert_eq!((thing.comparison, thing.version.as_str()), (Some(Comparison::Equal), "7:2-1"));
    assert_eq!(find(&info.provides, "config(odd-thing)").comparison, None);
    let pre = find(&info.requires, "coreutils");
    assert!(pre.is_pre() && pre.comparison == Some(Comparison::GreaterOrEqual), "{pre:?}");
    assert!(!find(&info.requires, "(bash if coreutils)").is_pre());
    assert!(find(&info.requires, "rpmlib(CompressedFileNames)").is_rpmlib());
    assert_eq!(find(&info.conflicts, "even").to_string(), "even < 2");
    assert_eq!(find(&info.obsoletes, "strange").to_string(), "strange <= 1:0.9-2");
    assert_eq!(info.recommends[0].to_string(), "tea");
    assert_eq!(info.suggests[0].to_string(), "biscuits > 1");
    assert_eq!(info.supplements[0].to_string(), "kettle");
    assert_eq!(info.enhances[0].to_string(), "table = 4");
    assert_eq!(info.build_requires().count(), 0, "only a source package has them");
}

#[test]
fn files_are_read_with_their_kinds_modes_and_links() {
    let info = PackageInfo::read(&odd().named("odd-1.0")).unwrap();
    let file = |path: &str| info.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}"));

    assert_eq!(file("/usr/share/odd").kind, FileKind::Dir);
    assert_eq!(file("/var/log/odd.log").kind, FileKind::Ghost);
    assert_eq!(file("/usr/bin/odd").mode, 0o100755);
    assert!(file("/usr/bin/odd").is_regular());
    assert_eq!(file("/usr/bin/odder").link_to.as_deref(), Some("odd"));
    assert!(file("/usr/bin/odder").is_symlink() && !file("/usr/bin/odder").is_regular());
    let conf = file("/etc/odd.conf");
    assert_eq!((conf.size_bytes, conf.user.as_str(), conf.group.as_str()), (5, "root", "root"));
    assert_eq!(conf.digest.as_deref().unwrap().len(), 64);
    assert_eq!(file("/usr/share/odd/dir/größe mit leer.txt").size_bytes, 3);
}

#[test]
fn scripts_and_triggers_are_read_with_their_interpreters() {
    let info = PackageInfo::read(&odd().named("odd-1.0")).unwrap();
    let found: Vec<_> = info.scriptlets.iter().map(|s| (s.kind, s.interpreter.join(" "), s.body.as_deref())).collect();

    assert_eq!(
        found,
        [
            (ScriptletKind::PostInstall, "/bin/sh".to_string(), Some("echo posted")),
            (ScriptletKind::PreUninstall, "/usr/bin/true".to_string(), None),
            (ScriptletKind::PostTransaction, "<lua>".to_string(), Some("print(\"done\")")),
            (ScriptletKind::Trigger, "/bin/sh".to_string(), Some("echo bash came")),
            (ScriptletKind::TransactionFileTrigger, "/bin/sh".to_string(), Some("cat")),
        ]
    );
}

#[test]
fn a_source_package_tells_what_its_build_needs_and_where_it_builds() {
    let spec = support::ODD_SPEC.replace("BuildArch: noarch", "ExclusiveArch: x86_64 aarch64\nExcludeArch: s390x");
    let packages = support::Packages::build(&spec);

    let info = PackageInfo::read(&packages.named("odd-1.0~rc1-3.s1.src")).unwrap();
    let noarch = PackageInfo::read(&odd().named("odd-1.0~rc1-3.s1.src")).unwrap();

    assert!(info.is_source);
    assert_eq!(info.nevra.to_string(), "odd-2:1.0~rc1-3.s1.src");
    assert_eq!(info.source_rpm, None);
    assert_eq!(info.build_requires().map(Dependency::to_string).collect::<Vec<_>>(), ["bash >= 4"]);
    assert_eq!(info.exclusive_archs, ["x86_64", "aarch64"]);
    assert_eq!(info.exclude_archs, ["s390x"]);
    assert_eq!(noarch.build_archs, ["noarch"]);
    assert_eq!(info.files[0].path, "package.spec");
}

#[test]
fn sizes_times_and_counts_are_the_ones_that_rpm_tells() {
    for package in &odd().files {
        let info = PackageInfo::read(package).unwrap();
        let ours = format!(
            "{} {} {} {} {} {} {}",
            info.build_time_secs,
            info.installed_size_bytes,
            info.archive_size_bytes,
            info.requires.len(),
            info.provides.len(),
            info.files.len(),
            header_bytes(package).unwrap().sha256
        );
        let format = "%{BUILDTIME} %{LONGSIZE} %{LONGARCHIVESIZE} %{REQUIRENAME:arraysize} %{PROVIDENAME:arraysize} \
                      %|BASENAMES?{%{BASENAMES:arraysize}}:{0}| %{SHA256HEADER}";

        let theirs = query(package, format).replace("(none)", "0");

        assert_eq!(ours, theirs, "{package:?}");
    }
}

#[test]
fn a_package_without_files_and_a_reader_instead_of_a_path_are_read() {
    let path = odd().named("odd-sub");
    let bytes = fs::read(&path).unwrap();

    let info = PackageInfo::from_reader(&mut Cursor::new(&bytes)).unwrap();

    assert!(info.files.is_empty() && info.changelogs.len() == 2);
    assert_eq!(info, PackageInfo::read(&path).unwrap());
}
