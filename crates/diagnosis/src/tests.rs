//! Logs as rpmbuild wrote them, shortened. Those of real builds are in the corpus of the build node's tests.

use anima_types::diagnosis::{Finding, NeedKind};
use anima_types::work::Failure;

use super::{End, complete, read, tell_packages};

fn analyse(log: &str, end: End) -> Failure {
    let how = match end {
        End::Exited(code) => format!("it ended with status {code}"),
        _ => "it was ended".to_owned(),
    };
    read(log.as_bytes()).failure(end, &how)
}

fn first(log: &str) -> Finding {
    read(log.as_bytes()).findings(End::Exited(1)).into_iter().next().unwrap_or_else(|| panic!("{log} means nothing"))
}

/// Returns the class and the message of a line in `%build`.
fn of(line: &str) -> (String, String) {
    of_step("build", line)
}

fn of_step(step: &str, line: &str) -> (String, String) {
    let finding = first(&format!("Executing(%{step}): /bin/sh -e /var/tmp/rpm-tmp.1\n{line}\n"));
    (finding.class, finding.message)
}

#[test]
fn a_compilers_first_error_is_found_among_what_follows_from_it() {
    let log = "\
Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp.aG1zrd
+ cd /builddir/build/BUILD
Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.3bGZzC
+ make -j2
gcc -O2 -Wall -Werror=format-security -c -o src/hello.o src/hello.c
src/hello.c: In function 'main':
src/hello.c:12:3: warning: implicit declaration of function 'gets'
src/hello.c:14:5: error: expected ';' before 'return'
src/hello.c:20:5: error: 'x' undeclared
make: *** [Makefile:6: src/hello.o] Error 1
make: *** Waiting for unfinished jobs....
error: Bad exit status from /var/tmp/rpm-tmp.3bGZzC (%build)

RPM build errors:
    Bad exit status from /var/tmp/rpm-tmp.3bGZzC (%build)
";

    let failure = analyse(log, End::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("build_failed", Some(8)));
    assert_eq!(failure.message, "%build failed: src/hello.c:14:5: expected ';' before 'return'");
}

#[test]
fn a_failed_test_suite_is_no_failed_build() {
    let log = "\
Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.1
conftest.c:1:10: fatal error: ac_nonexistent.h: No such file or directory
Executing(%install): /bin/sh -e /var/tmp/rpm-tmp.2
Executing(%check): /bin/sh -e /var/tmp/rpm-tmp.3
+ make check
PASS: tests/mantest
FAIL: tests/jqtest
============================================================================
make[1]: *** [Makefile:1432: test-suite.log] Error 1
error: Bad exit status from /var/tmp/rpm-tmp.3 (%check)
";

    let failure = analyse(log, End::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("check_failed", Some(7)));
    assert_eq!(failure.message, "%check failed: tests of the package fail: tests/jqtest");
    assert!(failure.hint.unwrap().contains("what they find"));
}

#[test]
fn a_patch_that_does_not_fit_is_the_sources_fault() {
    let log = "\
Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp.1
+ /usr/bin/patch --no-backup-if-mismatch -f -p1 --fuzz=0
patching file src/main.c
Hunk #1 FAILED at 1.
1 out of 1 hunk FAILED -- saving rejects to file src/main.c.rej
error: Bad exit status from /var/tmp/rpm-tmp.1 (%prep)
";

    let failure = analyse(log, End::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("prep_failed", Some(4)));
    assert!(failure.hint.unwrap().starts_with("Make it anew"));
}

#[test]
fn files_that_no_package_has_are_named() {
    let log = "\
Executing(%install): /bin/sh -e /var/tmp/rpm-tmp.2
Processing files: jq-1.7-1.s1.x86_64
Checking for unpackaged file(s): /usr/lib/rpm/check-files /builddir/build/BUILDROOT/jq
error: Installed (but unpackaged) file(s) found:
   /usr/bin/jq-extra
   /usr/share/man/man1/jq-extra.1

RPM build errors:
    Installed (but unpackaged) file(s) found:
   /usr/bin/jq-extra
";

    let failure = analyse(log, End::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("files_failed", Some(4)));
    assert!(
        failure.message.ends_with("names: /usr/bin/jq-extra, /usr/share/man/man1/jq-extra.1"),
        "{}",
        failure.message
    );
}

#[test]
fn a_file_of_the_spec_that_is_not_there_is_named() {
    let log = "\
Processing files: jq-1.7-1.s1.x86_64
error: File not found: /builddir/build/BUILDROOT/jq-1.7-1.s1.x86_64/usr/bin/jqq

RPM build errors:
";

    let failure = analyse(log, End::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("files_failed", Some(2)));
    assert!(failure.message.ends_with("/usr/bin/jqq"), "{}", failure.message);
}

#[test]
fn what_stopped_the_build_from_outside_is_told_as_that() {
    let log = "Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.1\nc++: fatal error: Killed signal terminated program cc1plus\n";

    assert_eq!(analyse(log, End::OutOfMemory).code, "out_of_memory");
    assert_eq!(analyse(log, End::Exited(1)).code, "out_of_memory");
    let late = analyse("Executing(%check): /bin/sh\n+ make check\nPASS: one\n", End::TimedOut);
    assert_eq!(late.message, "%check failed: it was not done when the time was over");
    assert_eq!((late.log_line, late.findings[0].excerpt.len()), (Some(3), 3));
    assert_eq!(analyse("", End::LogTooLong).code, "log_too_long");
}

#[test]
fn whose_room_was_not_enough_is_told_by_what_is_known_of_the_end() {
    let log = "Executing(%build): x\n/usr/bin/ld: final link failed: No space left on device\nmake: *** [a] Error 1\n";
    let told = |end| {
        let failure = analyse(log, end);
        (failure.code, failure.message, failure.log_line)
    };
    let expected = |code: &str, message: &str| (code.to_owned(), format!("%build failed: {message}"), Some(2));

    let unknown = "there was no room left on the file system that it wrote to";
    assert_eq!(told(End::Exited(1)), expected("no_space", unknown));
    let own = "it took more room on the disk than it may have";
    assert_eq!(told(End::DiskFull), expected("out_of_disk", own));
    let full = "the disk of the machine was full, which is not the build's doing: it had not reached its own limit";
    assert_eq!(told(End::NodeDiskFull), expected("node_disk_full", full));
}

#[test]
fn a_failure_that_says_nothing_is_told_with_its_last_command() {
    let log = "Executing(%install): x\n+ false\nerror: Bad exit status from /var/tmp/rpm-tmp.1 (%install)\n";

    let failure = analyse(log, End::Exited(1));

    assert_eq!(failure.code, "install_failed");
    assert_eq!(failure.message, "%install failed: it ended with status 1, and the last command was \"false\"");
    assert_eq!(failure.log_line, Some(2));
    assert_eq!(analyse("", End::Signaled(9)).code, "rpmbuild_failed");
}

#[test]
fn an_excerpt_has_the_lines_around_with_their_numbers() {
    let finding = first("1\n2\n3\n4\nx.c:1:1: error: no\n6\n7\n8\n9\n");

    let lines: Vec<_> = finding.excerpt.iter().map(|line| (line.number, line.text.as_str())).collect();
    assert_eq!(lines, [(2, "2"), (3, "3"), (4, "4"), (5, "x.c:1:1: error: no"), (6, "6"), (7, "7"), (8, "8")]);
    assert_eq!((finding.log_line, finding.section), (Some(5), None));
}

#[test]
fn what_is_missing_is_named_with_what_to_look_for() {
    let need = |line: &str| {
        let finding = first(&format!("Executing(%build): x\n{line}\n"));
        let need = finding.need.unwrap_or_else(|| panic!("{line} is a {}", finding.class));
        (need.kind, need.name)
    };
    let expected = [
        ("src/main.c:3:10: fatal error: sys/zlib.h: No such file or directory", NeedKind::Header, "sys/zlib.h"),
        ("x.cc:1:10: fatal error: 'boost/any.hpp' file not found", NeedKind::Header, "boost/any.hpp"),
        ("ModuleNotFoundError: No module named 'setuptools'", NeedKind::Python, "setuptools"),
        ("/usr/bin/python3: No module named build", NeedKind::Python, "build"),
        ("/var/tmp/rpm-tmp.Ab1: line 37: cmake: command not found", NeedKind::Command, "cmake"),
        ("make: bison: No such file or directory", NeedKind::Command, "bison"),
        ("/bin/sh: 1: flex: not found", NeedKind::Command, "flex"),
        ("/usr/bin/env: \u{2018}node\u{2019}: No such file or directory", NeedKind::Command, "node"),
        ("/usr/bin/ld: cannot find -lcurl: No such file or directory", NeedKind::Library, "curl"),
        ("Can't locate ExtUtils/MakeMaker.pm in @INC (you may need to install", NeedKind::Perl, "ExtUtils/MakeMaker"),
        ("No package 'libxml-2.0' found", NeedKind::Pkgconfig, "libxml-2.0"),
        ("meson.build:9:0: ERROR: Dependency \"glib-2.0\" not found, tried pkgconfig", NeedKind::Pkgconfig, "glib-2.0"),
        (
            "  Could not find a package configuration file provided by \"Qt6Core\" with any of",
            NeedKind::Cmake,
            "Qt6Core",
        ),
        (
            "./x: error while loading shared libraries: libfoo.so.1: cannot open shared object file",
            NeedKind::Soname,
            "libfoo.so.1",
        ),
        ("error: no matching package named `serde` found", NeedKind::Crate, "serde"),
    ];

    for (line, kind, name) in expected {
        assert_eq!(need(line), (kind, name.to_owned()), "{line}");
    }
}

#[test]
fn a_cure_names_the_packages_when_they_are_known() {
    let mut finding = first("Executing(%build): x\nx.c:3:10: fatal error: zlib.h: No such file or directory\n");
    assert!(finding.cure.as_ref().unwrap().starts_with("Add a BuildRequires on the -devel package that has zlib.h."));

    tell_packages(&mut finding, vec!["zlib-devel".to_owned()]);

    assert_eq!(finding.cure.unwrap(), "Add `BuildRequires: zlib-devel`, which has zlib.h.");
    assert_eq!(finding.need.unwrap().packages, ["zlib-devel"]);
}

#[test]
fn failing_tests_are_gathered_whatever_runs_them() {
    let log = "\
Executing(%check): /bin/sh -e /var/tmp/rpm-tmp.3
FAIL: tests/one
PASS: tests/two
not ok 3 - reads a file
not ok 4 - later # TODO some day
--- FAIL: TestFour (0.00s)
FAILED tests/test_x.py::test_five - assert 1 == 2
\t 12 - six (Failed)
test seven ... FAILED
[  FAILED  ] Suite.Eight
# FAIL: 3
FAIL:  3
error: Bad exit status from /var/tmp/rpm-tmp.3 (%check)
";

    let failure = analyse(log, End::Exited(1));

    assert_eq!(failure.findings.len(), 1, "{:#?}", failure.findings);
    assert_eq!(
        failure.findings[0].message,
        "tests of the package fail: tests/one, 3 - reads a file, TestFour, tests/test_x.py::test_five, six and 2 more"
    );
}

#[test]
fn a_patch_is_named() {
    let log = "\
Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp.1
Patch #1 (fix-build.patch):
+ /usr/bin/patch --no-backup-if-mismatch -f -p1 --fuzz=0
patching file src/main.c
Hunk #1 FAILED at 1.
";

    assert_eq!(first(log).message, "the patch fix-build.patch does not fit the sources");
}

#[test]
fn what_cmake_says_below_its_error_is_its_reason() {
    let log = "Executing(%build): x\nCMake Error at CMakeLists.txt:3 (message):\n  The moon is not full\n\n\n-- Configuring incomplete, errors occurred!\n";

    assert_eq!(first(log).message, "CMake stopped at CMakeLists.txt:3: The moon is not full");
}

#[test]
fn a_log_of_something_that_succeeded_has_no_findings() {
    let log = "Executing(%build): x\nconfigure: error: just a test\nmake: *** [x] Error 1\nWrote: /builddir/build/RPMS/x86_64/x-1-1.x86_64.rpm\n";

    assert_eq!(read(log.as_bytes()).findings(End::Unknown), []);
    assert_eq!(read(log.as_bytes()).findings(End::Exited(0)), []);
    assert_ne!(read(log.as_bytes()).findings(End::Exited(1)), []);
}

#[test]
fn what_an_earlier_step_said_did_not_stop_the_later_one() {
    let log = "Executing(%build): x\nx.c:1:1: error: no\nExecuting(%install): x\n+ false\nerror: Bad exit status from /var/tmp/rpm-tmp.1 (%install)\n";

    assert_eq!(first(log).class, "command_failed");
}

#[test]
fn colours_hide_nothing() {
    assert_eq!(of("\u{1b}[1mx.c:3:1: \u{1b}[31merror: \u{1b}[0mno such thing").1, "x.c:3:1: no such thing");
}

#[test]
fn compilers_linkers_and_configurers_are_causes() {
    for (line, class) in [
        ("foo.c:12:5: error: expected ';' before 'return'", "compile_error"),
        ("Foo.java:12: error: cannot find symbol", "compile_error"),
        ("error[E0425]: cannot find value `x` in this scope", "compile_error"),
        ("cmd/main.go:10:2: undefined: x", "compile_error"),
        ("x.c:3:3: error: unused variable 'y' [-Werror=unused-variable]", "warning_as_error"),
        ("gcc: error: unrecognized command-line option '-mfoo'", "unknown_option"),
        ("x.c:1:1: internal compiler error: Segmentation fault", "compiler_crash"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "out_of_memory"),
        ("configure: error: C compiler cannot create executables", "configure_failed"),
        ("../meson.build:3:0: ERROR: Unknown type", "meson_failed"),
        ("main.o: in function `main': main.c:(.text+0x5): undefined reference to `foo'", "undefined_reference"),
        ("ld: b.o:(.bss+0x0): multiple definition of `x'; a.o:(.bss+0x0): first defined here", "multiple_definition"),
        ("/usr/bin/ld: x.o: undefined reference to symbol 'log@@GLIBC_2.29'", "library_not_named"),
        (
            "ld: x.o: relocation R_X86_64_32 against `.rodata' can not be used when making a shared object; recompile with -fPIC",
            "not_position_independent",
        ),
        ("configure.ac:12: error: possibly undefined macro: AC_PROG_LIBTOOL", "autotools_macro"),
        ("make: *** No rule to make target 'missing.c', needed by 'missing.o'.  Stop.", "no_rule"),
        ("make: *** No targets specified and no makefile found.  Stop.", "no_makefile"),
        ("curl: (6) Could not resolve host: example.org", "network"),
        ("/var/tmp/rpm-tmp.82WASk: line 31: syntax error: unexpected end of file", "shell_syntax"),
        ("/var/tmp/rpm-tmp.82WASk: line 31: fg: no job control", "undefined_macro"),
        ("/var/tmp/rpm-tmp.82WASk: line 30: ./anima-motd: Permission denied", "permission_denied"),
        ("/var/tmp/rpm-tmp.1: line 30: ./x: cannot execute: required file not found", "missing_interpreter"),
        ("Requested 'glib-2.0 >= 2.99' but version of GLib is 2.74.6", "version_mismatch"),
        ("./x: /lib64/libc.so.6: version `GLIBC_2.99' not found (required by ./x)", "symbol_version"),
        ("/var/tmp/rpm-tmp.1: line 33:  4711 Segmentation fault      (core dumped) ./x", "crashed"),
        ("KeyError: 'x'", "python_error"),
        ("cp: cannot stat 'nothing': No such file or directory", "file_not_there"),
        ("/var/tmp/rpm-tmp.1: fork: retry: Resource temporarily unavailable", "too_many_processes"),
        ("make: *** [Makefile:3: all] Error 2", "make_failed"),
    ] {
        assert_eq!(of(line).0, class, "{line}");
    }
}

#[test]
fn what_rpm_says_of_a_spec_and_of_files_is_told_apart() {
    let outside = |line: &str| first(&format!("{line}\n")).class;
    let files = |line: &str| first(&format!("Processing files: x-1-1.x86_64\n{line}\n")).class;

    assert_eq!(outside("error: line 12: Unknown tag: Foo: bar"), "spec_parse");
    assert_eq!(outside("error: %changelog not in descending chronological order"), "changelog_order");
    assert_eq!(outside("error: bad date in %changelog: Mon Foo 42 2026 A"), "changelog_date");
    assert_eq!(outside("error: Architecture is not included: x86_64"), "arch_excluded");
    assert_eq!(outside("error: Bad source: /builddir/build/SOURCES/x.tar.gz: No such file or directory"), "bad_source");
    assert_eq!(
        outside("error: Failed build dependencies:\n\tzlib-devl is needed by x-1-1.x86_64"),
        "missing_build_requires"
    );
    assert_eq!(files("error: Empty %files file /builddir/build/BUILD/x/debugsourcefiles.list"), "empty_debugsource");
    assert_eq!(files("error: Arch dependent binaries in noarch package"), "arch_files_in_noarch");
    assert_eq!(
        of_step("install", "Found '/builddir/build/BUILDROOT/x' in installed files; aborting").0,
        "buildroot_in_files"
    );
    assert_eq!(
        of_step("install", "*** ERROR: ambiguous python shebang in /usr/bin/x: #!/usr/bin/python.").0,
        "bad_shebang"
    );
}

#[test]
fn what_is_ignored_or_only_looked_for_is_no_finding() {
    for line in [
        "make: [Makefile:3: x] Error 1 (ignored)",
        "checking for error: command not found",
        "gcc -Werror -c x.c",
        "sh: line 1: git: command not found",
    ] {
        let findings = read(format!("Executing(%build): x\n+ false\n{line}\n").as_bytes()).findings(End::Exited(1));
        assert_eq!(findings[0].class, "command_failed", "{line}");
    }
}

#[test]
fn a_failure_that_no_log_tells_has_a_finding_too() {
    let mut failure = Failure::new("bad_source", "the sha512 of x is a, and the list says b");

    complete(&mut failure);

    assert_eq!((failure.findings[0].class.as_str(), failure.findings.len()), ("bad_source", 1));
    assert_eq!(failure.hint, failure.findings[0].cure);
    complete(&mut failure);
    assert_eq!(failure.findings.len(), 1);
}

#[test]
fn a_log_that_says_one_thing_again_and_again_stays_small() {
    let log: String = (0..10_000).map(|line| format!("x.c:{line}:1: error: no\n")).collect();

    let failure = analyse(&format!("Executing(%build): x\n{log}"), End::Exited(1));

    assert_eq!((failure.findings.len(), failure.log_line), (3, Some(2)));
}
