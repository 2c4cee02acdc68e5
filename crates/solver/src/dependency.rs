//! The text of one wish, parsed at the door: a name, a versioned name, a path, or a rich dependency.
//!
//! It refuses what RPM would read differently from what was meant: an operator without a version, a stray word, a glob.

use std::fmt;

/// No real dependency is longer; the longest in a whole Enterprise Linux is under 2,000 bytes.
const MAX_DEPENDENCY_BYTES: usize = 16 * 1024;

/// libsolv multiplies out what is nested, so each group can double its work; the most in a whole Enterprise Linux are 2. The
/// same number holds for metadata (`shim/guard.c`).
const MAX_GROUPS: usize = 16;

/// One dependency as RPM writes it in `Requires:` or `BuildRequires:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dependency {
    /// `foo`, `/usr/bin/foo`, `pkgconfig(foo)`.
    Plain(String),
    /// `foo >= 1.2`.
    Versioned { name: String, comparison: Comparison, evr: String },
    /// `(foo if bar)`: read by libsolv's own parser.
    Rich(String),
}

/// The operator of a versioned dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<" => Self::Less,
            "<=" | "=<" => Self::LessOrEqual,
            "=" | "==" => Self::Equal,
            ">=" | "=>" => Self::GreaterOrEqual,
            ">" => Self::Greater,
            _ => return None,
        })
    }

    /// libsolv's flags: 1 greater, 2 equal, 4 less.
    pub(crate) fn flags(self) -> i32 {
        match self {
            Self::Greater => 1,
            Self::Equal => 2,
            Self::GreaterOrEqual => 3,
            Self::Less => 4,
            Self::LessOrEqual => 6,
        }
    }
}

/// Why a text is no dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Dependency {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Malformed("it is empty"));
        }
        if text.len() > MAX_DEPENDENCY_BYTES {
            return Err(Malformed("it is too long"));
        }
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Malformed("it has a control character"));
        }
        if text.starts_with('(') {
            if group_count(text) > MAX_GROUPS {
                return Err(Malformed("it has too many groups"));
            }
            return Ok(Self::Rich(text.to_owned()));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            [name] => Ok(Self::Plain(checked_name(name)?)),
            [name, operator, evr] => Ok(Self::Versioned {
                name: checked_name(name)?,
                comparison: Comparison::parse(operator).ok_or(Malformed("the operator is not one of < <= = >= >"))?,
                evr: normal_evr(evr).to_owned(),
            }),
            [_, _] => Err(Malformed("an operator needs a version, and a list needs one entry for each name")),
            _ => Err(Malformed("it has more words than name, operator and version")),
        }
    }
}

/// A bracket opens a group unless it belongs to a name: `foo(x86-64)`.
fn group_count(rich: &str) -> usize {
    let before = std::iter::once(' ').chain(rich.chars());
    before.zip(rich.chars()).filter(|&(before, c)| c == '(' && (before == '(' || before.is_whitespace())).count()
}

/// Refuses globs and operators that are glued to the name: RPM would take them for a part of the name.
fn checked_name(name: &str) -> Result<String, Malformed> {
    if name.contains(['*', '?']) {
        return Err(Malformed("patterns are not allowed here"));
    }
    if !name.starts_with('/') && name.contains(['<', '>', '=']) && !name.contains('(') {
        return Err(Malformed("the operator needs spaces around it"));
    }
    Ok(name.to_owned())
}

/// libsolv knows packages of epoch 0 without an epoch.
pub(crate) fn normal_evr(evr: &str) -> &str {
    match evr.split_once(':') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b == b'0') => rest,
        _ => evr,
    }
}

/// The names that a rich dependency speaks of, without operators and versions.
pub(crate) fn names_in_rich(text: &str) -> Vec<String> {
    const WORDS: [&str; 8] = ["and", "or", "if", "unless", "else", "with", "without", ""];
    let mut names = Vec::new();
    let mut after_operator = false;
    for word in text.split_whitespace() {
        let opened = word.trim_start_matches('(');
        let name = strip_unbalanced(opened);
        if Comparison::parse(name).is_some() {
            after_operator = true;
        } else if std::mem::take(&mut after_operator) || WORDS.contains(&name) {
            continue;
        } else if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Takes off the closing brackets that belong to the expression, not to the name.
fn strip_unbalanced(mut word: &str) -> &str {
    while word.ends_with(')') && word.matches(')').count() > word.matches('(').count() {
        word = &word[..word.len() - 1];
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_dependency_is_read() {
        let versioned =
            |comparison, evr: &str| Ok(Dependency::Versioned { name: "foo".into(), comparison, evr: evr.into() });

        assert_eq!(Dependency::parse(" foo "), Ok(Dependency::Plain("foo".into())));
        assert_eq!(Dependency::parse("/usr/bin/awk"), Ok(Dependency::Plain("/usr/bin/awk".into())));
        assert_eq!(Dependency::parse("pkgconfig(x11)"), Ok(Dependency::Plain("pkgconfig(x11)".into())));
        assert_eq!(Dependency::parse("foo < 1"), versioned(Comparison::Less, "1"));
        assert_eq!(Dependency::parse("foo <= 1"), versioned(Comparison::LessOrEqual, "1"));
        assert_eq!(Dependency::parse("foo == 0:1-2"), versioned(Comparison::Equal, "1-2"));
        assert_eq!(Dependency::parse("foo\t>=  2:1"), versioned(Comparison::GreaterOrEqual, "2:1"));
        assert_eq!(Dependency::parse("foo > 1"), versioned(Comparison::Greater, "1"));
        assert_eq!(Dependency::parse("(a if b)"), Ok(Dependency::Rich("(a if b)".into())));
    }

    #[test]
    fn what_would_be_misread_is_refused() {
        for text in ["", "  ", "foo >=", "foo bar", "foo ~ 1", "foo >= 1 bar", "foo>=1", "foo*", "a\0b", "a\nb >= 1"] {
            assert!(Dependency::parse(text).is_err(), "{text:?} was taken");
        }
        assert!(Dependency::parse(&format!("{}a{}", "(a and ".repeat(17), ")".repeat(17))).is_err());
        assert!(Dependency::parse(&"x".repeat(MAX_DEPENDENCY_BYTES + 1)).is_err());
    }

    #[test]
    fn names_of_a_rich_dependency_are_found_without_versions() {
        assert_eq!(
            names_in_rich("(foo(x86-64) >= 1.2 if (bar or pkgconfig(baz) = 3) else foo(x86-64))"),
            ["foo(x86-64)", "bar", "pkgconfig(baz)"]
        );
    }
}
