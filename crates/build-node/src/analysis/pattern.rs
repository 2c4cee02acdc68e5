//! Lines that say why a build failed, each with what to do about it.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::Section;

/// How much a line says about the cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Rank {
    /// It is the cause.
    Cause,
    /// It follows from the cause, which may not be told in any way that is known here.
    Consequence,
}

/// What a line means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meaning {
    pub rank: Rank,
    pub hint: Option<String>,
}

struct Pattern {
    regex: &'static str,
    rank: Rank,
    /// With `$1` for what the first group matched; empty where nothing can be advised.
    hint: &'static str,
    /// Only where this step runs.
    section: Option<Section>,
}

const fn cause(regex: &'static str, hint: &'static str) -> Pattern {
    Pattern { regex, rank: Rank::Cause, hint, section: None }
}

const fn consequence(regex: &'static str) -> Pattern {
    Pattern { regex, rank: Rank::Consequence, hint: "", section: None }
}

const fn test(regex: &'static str) -> Pattern {
    Pattern { regex, rank: Rank::Cause, hint: "", section: Some(Section::Check) }
}

/// The first that matches a line is its meaning: what is more special stands before what is more general.
static PATTERNS: &[Pattern] = &[
    cause(
        r"fatal error: '?([\w./+-]+)'?(?::| file) (?:No such file or directory|not found)",
        "A header is missing: add a BuildRequires on the package that has $1.",
    ),
    cause(
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        "A Python module is missing: add a BuildRequires: python3dist($1).",
    ),
    cause(r"Can't locate ([\w/]+)\.pm in @INC", "A Perl module is missing: add a BuildRequires on what provides $1."),
    cause(r"cannot find -l:?([\w.+-]+)", "A library is missing: add a BuildRequires on the -devel package of $1."),
    cause(r"No package '([\w.+-]+)' found", "Add BuildRequires: pkgconfig($1)."),
    cause(r"Package ([\w.+-]+) was not found in the pkg-config search path", "Add BuildRequires: pkgconfig($1)."),
    cause(r"Dependency \x22?([\w.+-]+)\x22? not found, tried pkgconfig", "Add BuildRequires: pkgconfig($1)."),
    cause(
        r"(?:line \d+|sh|bash|make(?:\[\d+\])?): ([\w.+-]+): (?:command not found|not found|No such file or directory)$",
        "Add BuildRequires: /usr/bin/$1.",
    ),
    cause(r"^env: .?([\w.+-]+).?: No such file or directory", "Add BuildRequires: /usr/bin/$1."),
    cause(
        r"internal compiler error|Killed signal terminated program|virtual memory exhausted",
        "The compiler ran out of memory or is broken: try fewer jobs at once (%global _smp_ncpus_max).",
    ),
    cause(r"^\S+:\d+(?::\d+)?: (?:fatal )?error: ", ""),
    cause(r"^(?:error\[E\d+\]: |error: could not compile )", ""),
    cause(r"^\S+\.go:\d+:\d+: ", ""),
    cause(r"undefined reference to", "The linker misses a symbol: a library is not named, or is of another version."),
    cause(r"^configure: error: |: configure: error: |^CMake Error|meson\.build:\d+:\d+: ERROR: ", ""),
    cause(
        r"^patch: \*\*\*\* |^Hunk #\d+ FAILED|\d+ out of \d+ hunks? FAILED|^error: patch failed: |^can't find file to patch",
        "A patch does not fit the sources: make it anew for this version.",
    ),
    cause(r"No rule to make target", ""),
    cause(r": line \d+: .*(?:Permission denied|No such file or directory|Exec format error|syntax error)", ""),
    cause(
        r"^(?:tar|unzip|gzip|xz): .*(?:Cannot open|cannot find|not in gzip format|format not recognized)",
        "A source cannot be unpacked: is it the right file?",
    ),
    cause(r"^(?:SyntaxError|ImportError|NameError|AttributeError|TypeError)\b", ""),
    cause(
        r"^(?:install|cp|mv|ln|mkdir|rm|chmod|cd|.*: line \d+: cd): .*(?:No such file or directory|Permission denied|cannot )",
        "",
    ),
    test(r"^(?:FAIL|XPASS|ERROR)[:\s]|^not ok \d|^--- FAIL|\bFAILED\b|Assertion .* failed|AssertionError|^panicked at"),
    consequence(r"^make(?:\[\d+\])?: \*\*\* .*|^ninja: build stopped|^gmake(?:\[\d+\])?: \*\*\*"),
    consequence(r"Segmentation fault|Aborted|Traceback \(most recent call last\)"),
    consequence(r"(?i)^(?:\S+: )?(?:fatal )?error:? "),
];

static SET: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(PATTERNS.iter().map(|pattern| pattern.regex)).expect("the patterns of this file are well-formed")
});

/// Returns what a line of a step says about a failure; most lines say nothing.
pub fn meaning(section: Option<Section>, line: &str) -> Option<Meaning> {
    if line.ends_with("(ignored)") || line.starts_with("checking ") || is_rpms_own(line) {
        return None;
    }
    let matches = SET.matches(line);
    let is_here = |pattern: &Pattern| pattern.section.is_none_or(|wanted| section == Some(wanted));
    let pattern = matches.into_iter().map(|index| &PATTERNS[index]).find(|pattern| is_here(pattern))?;
    Some(Meaning { rank: pattern.rank, hint: hint(pattern, line) })
}

/// What rpmbuild says of itself names no cause, only the step.
fn is_rpms_own(line: &str) -> bool {
    line.starts_with("error: Bad exit status") || line.starts_with("RPM build errors")
}

fn hint(pattern: &Pattern, line: &str) -> Option<String> {
    if pattern.hint.is_empty() {
        return None;
    }
    let regex = Regex::new(pattern.regex).expect("the patterns of this file are well-formed");
    let mut hint = String::new();
    regex.captures(line)?.expand(pattern.hint, &mut hint);
    Some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause_in(section: Section, line: &str) -> Option<String> {
        let meaning = meaning(Some(section), line).unwrap_or_else(|| panic!("{line:?} means nothing"));
        assert_eq!(meaning.rank, Rank::Cause, "{line:?}");
        meaning.hint
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_require() {
        let hint = |line| cause_in(Section::Build, line).unwrap();

        assert!(hint("src/main.c:3:10: fatal error: zlib.h: No such file or directory").ends_with("has zlib.h."));
        assert!(hint("ModuleNotFoundError: No module named 'setuptools'").ends_with("python3dist(setuptools)."));
        assert!(hint("/var/tmp/rpm-tmp.Ab1: line 37: cmake: command not found").ends_with("/usr/bin/cmake."));
        assert!(hint("make: bison: No such file or directory").ends_with("/usr/bin/bison."));
        assert!(hint("/usr/bin/ld: cannot find -lcurl: No such file or directory").ends_with("of curl."));
        assert!(
            hint("Can't locate ExtUtils/MakeMaker.pm in @INC (you may need to install")
                .ends_with("provides ExtUtils/MakeMaker.")
        );
        assert!(hint("No package 'libxml-2.0' found").ends_with("pkgconfig(libxml-2.0)."));
    }

    #[test]
    fn compilers_configurers_and_patches_are_causes() {
        for line in [
            "foo.c:12:5: error: expected ';' before 'return'",
            "Foo.java:12: error: cannot find symbol",
            "error[E0425]: cannot find value `x` in this scope",
            "cmd/main.go:10:2: undefined: x",
            "configure: error: C compiler cannot create executables",
            "CMake Error at CMakeLists.txt:3 (find_package):",
            "main.o: in function `main': main.c:(.text+0x5): undefined reference to `foo'",
            "Hunk #1 FAILED at 12.",
        ] {
            cause_in(Section::Build, line);
        }
    }

    #[test]
    fn what_the_shell_cannot_run_is_a_cause() {
        assert_eq!(cause_in(Section::Check, "/var/tmp/rpm-tmp.82WASk: line 30: ./anima-motd: Permission denied"), None);
        cause_in(Section::Build, "/var/tmp/rpm-tmp.82WASk: line 31: syntax error: unexpected end of file");
    }

    #[test]
    fn a_failed_test_counts_only_where_tests_run() {
        cause_in(Section::Check, "FAIL: tests/base64");
        cause_in(Section::Check, "not ok 3 - reads a file");
        assert_eq!(meaning(Some(Section::Build), "FAIL: tests/base64"), None);
    }

    #[test]
    fn what_is_ignored_or_only_looked_for_is_no_cause() {
        assert_eq!(meaning(Some(Section::Build), "make: [Makefile:3: x] Error 1 (ignored)"), None);
        assert_eq!(meaning(Some(Section::Build), "checking for error: command not found"), None);
        assert_eq!(meaning(Some(Section::Build), "error: Bad exit status from /var/tmp/rpm-tmp.x (%build)"), None);
        assert_eq!(meaning(Some(Section::Build), "gcc -Werror -c x.c"), None);
        let made = meaning(Some(Section::Build), "make: *** [Makefile:3: all] Error 2").unwrap();
        assert_eq!(made.rank, Rank::Consequence);
    }
}
