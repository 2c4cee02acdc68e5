//! Logs as rpmbuild wrote them, shortened.

use anima_sandbox::Exit;
use anima_types::work::Failure;

use super::Analysis;

fn analyse(log: &str, exit: Exit) -> Failure {
    let mut analysis = Analysis::default();
    for (line, number) in log.lines().zip(1..) {
        analysis.see(number, line);
    }
    analysis.failure(exit)
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

    let failure = analyse(log, Exit::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("build_failed", Some(8)));
    assert_eq!(failure.message, "%build failed: src/hello.c:14:5: error: expected ';' before 'return'");
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

    let failure = analyse(log, Exit::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("check_failed", Some(7)));
    assert_eq!(failure.message, "%check failed: FAIL: tests/jqtest");
    assert!(failure.hint.unwrap().contains("own tests"));
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

    let failure = analyse(log, Exit::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("prep_failed", Some(4)));
    assert!(failure.hint.unwrap().starts_with("A patch does not fit"));
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

    let failure = analyse(log, Exit::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("files_failed", Some(4)));
    assert!(
        failure.message.ends_with("found: /usr/bin/jq-extra, /usr/share/man/man1/jq-extra.1"),
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

    let failure = analyse(log, Exit::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("files_failed", Some(2)));
    assert!(failure.message.ends_with("/usr/bin/jqq"), "{}", failure.message);
}

#[test]
fn what_stopped_the_build_from_outside_is_told_as_that() {
    let log = "Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.1\nc++: fatal error: Killed signal terminated program cc1plus\n";

    assert_eq!(analyse(log, Exit::OutOfMemory).code, "out_of_memory");
    assert_eq!(analyse(log, Exit::Exited(1)).code, "out_of_memory");
    assert_eq!(analyse("Executing(%check): x\n", Exit::TimedOut).message, "%check was not done when the time was over");
    assert_eq!(analyse("", Exit::LogTooLong).code, "log_too_long");
}

#[test]
fn a_full_disk_is_not_the_packages_fault() {
    let log = "Executing(%build): x\n/usr/bin/ld: final link failed: No space left on device\nmake: *** [a] Error 1\n";

    let failure = analyse(log, Exit::Exited(1));

    assert_eq!((failure.code.as_str(), failure.log_line), ("out_of_disk", Some(2)));
}

#[test]
fn a_failure_that_says_nothing_is_told_with_its_last_command() {
    let log = "Executing(%install): x\n+ false\nerror: Bad exit status from /var/tmp/rpm-tmp.1 (%install)\n";

    let failure = analyse(log, Exit::Exited(1));

    assert_eq!(failure.code, "install_failed");
    assert_eq!(failure.message, "%install failed: it ended with status 1, and its last command was \"false\"");
    assert_eq!(failure.log_line, Some(2));
    assert_eq!(analyse("", Exit::Signaled(9)).code, "rpmbuild_failed");
}
