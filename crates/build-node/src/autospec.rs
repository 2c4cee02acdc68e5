//! `%autorelease` and `%autochangelog`: release and changelog of a package from its git history, as rpmautospec makes them.
//!
//! The release counts the commits since the version changed; the changelog has an entry for each commit, down to the one that
//! changed the file `changelog` last, whose text follows. History is the line of first parents. The result is written into
//! the spec of the source package, so that nobody needs the history again.

use std::sync::LazyLock;

use regex::Regex;

/// What stands for the release in `Release:`.
static AUTORELEASE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)(^|[^%])%(\{\s*\??\s*)?autorelease\b").expect("the pattern is well-formed"));
static AUTOCHANGELOG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^%(\{\s*\??\s*autochangelog\s*\}|autochangelog\b).*$").expect("the pattern is well-formed")
});
static BUMP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\[bump release:\s*(\d{1,6})\s*\]").expect("the pattern is well-formed"));
const SKIP: &str = "[skip changelog]";

/// What a history is read with: the macros do not exist in a root, and `base` of the release is all that is wanted.
pub const DEFINES: [&str; 2] = ["autorelease(e:s:pb:n) %{?-p:0.}%{!?-b:1}%{?-b*}", "autochangelog %{nil}"];

/// One commit of a package's history.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// Seconds since 1970.
    pub time_secs: i64,
    /// `Name <mail>`.
    pub author: String,
    /// The message.
    pub message: String,
    /// What its spec says, where it can be read.
    pub version: Option<Version>,
}

/// Epoch, version and the release that counting begins with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// `[epoch:]version`.
    pub epoch_version: String,
    /// What [`DEFINES`] makes of `Release:`.
    pub base: String,
}

/// Returns whether a spec wants anything of this.
pub fn is_wanted(spec: &str) -> bool {
    AUTORELEASE.is_match(spec) || AUTOCHANGELOG.is_match(spec)
}

/// Returns the spec with its release and changelog; `history` is newest first, up to where `changelog` was changed last
/// in `changelog_from` entries.
pub fn expand(spec: &str, history: &[Entry], changelog_from: usize, old_changelog: &str) -> String {
    let numbers = numbers(history);
    let number = numbers.first().copied().unwrap_or(1);
    let head = format!(
        "## START: set by anima from the git history, in the way of rpmautospec\n\
         %define autorelease(e:s:pb:n) %{{?-p:0.}}%{{lua:\n    \
         release_number = {number};\n    \
         base_release_number = tonumber(rpm.expand(\"%{{?-b*}}%{{!?-b:1}}\"));\n    \
         print(release_number + base_release_number - 1);\n\
         }}%{{?-e:.%{{-e*}}}}%{{?-s:.%{{-s*}}}}%{{!?-n:%{{?dist}}}}\n\
         ## END: set by anima\n\n"
    );
    let text = AUTOCHANGELOG
        .replace(spec, |_: &regex::Captures<'_>| changelog(history, &numbers, changelog_from, old_changelog));
    if AUTORELEASE.is_match(spec) { format!("{head}{text}") } else { text.into_owned() }
}

/// Counts for each commit how many there are of its version, up to it.
fn numbers(history: &[Entry]) -> Vec<u64> {
    let mut numbers = Vec::with_capacity(history.len());
    let (mut version, mut number) = (None, 0);
    for entry in history.iter().rev() {
        let own = entry.version.as_ref().map(|it| &it.epoch_version);
        // What cannot be read changes nothing.
        if own.is_some() && own != version {
            (version, number) = (own, 0);
        }
        let step = BUMP.captures(&entry.message).and_then(|found| found[1].parse().ok()).unwrap_or(1);
        number += step;
        numbers.push(number);
    }
    numbers.reverse();
    numbers
}

fn changelog(history: &[Entry], numbers: &[u64], count: usize, old: &str) -> String {
    let mut text = String::new();
    let mut known: Option<&Version> = None;
    let versions: Vec<Option<&Version>> = {
        // A spec that cannot be read has the version of the one before it.
        let mut versions: Vec<_> = history
            .iter()
            .rev()
            .map(|entry| {
                known = entry.version.as_ref().or(known);
                known
            })
            .collect();
        versions.reverse();
        versions
    };
    for ((entry, version), number) in history.iter().zip(versions).zip(numbers).take(count) {
        if entry.message.contains(SKIP) {
            continue;
        }
        let version = version.map_or(String::new(), |version| {
            format!(" - {}-{}", version.epoch_version, release(&version.base, *number))
        });
        text += &format!(
            "* {} {}{version}\n- {}\n\n",
            day(entry.time_secs),
            one_line(&entry.author),
            one_line(&entry.message)
        );
    }
    text += &old.replace('\r', "");
    text.trim_end().to_owned() + "\n"
}

/// `1` and 3 are `3`; `0.2` and 3 are `0.4`.
fn release(base: &str, number: u64) -> String {
    let (start, last) = base.rsplit_once('.').map_or(("", base), |(start, last)| (start, last));
    let counted = last.parse::<u64>().unwrap_or(1) + number - 1;
    if start.is_empty() { counted.to_string() } else { format!("{start}.{counted}") }
}

/// A message is text, and not for rpm to expand.
fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("No message");
    let line = BUMP.replace(line, "");
    line.trim()
        .trim_start_matches(['-', '*'])
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .collect::<String>()
        .replace('%', "%%")
}

/// Writes a day as changelogs have it: `Tue Nov 24 2026`.
fn day(time_secs: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = time_secs.div_euclid(24 * 60 * 60);
    // Years that begin in March have their leap day last; 719,468 days lie between the year 0 and 1970.
    let since_zero = days + 719_468;
    let era = since_zero.div_euclid(146_097);
    let of_era = since_zero.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    format!("{} {} {day:02} {year}", DAYS[days.rem_euclid(7) as usize], MONTHS[month as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str, version: Option<&str>) -> Entry {
        let version = version.map(|text| Version { epoch_version: text.to_owned(), base: "1".to_owned() });
        Entry { time_secs: 1_795_478_400, author: "A <a@example.org>".to_owned(), message: message.to_owned(), version }
    }

    #[test]
    fn only_specs_with_the_macros_want_them() {
        assert!(is_wanted("Release: %autorelease\n") && is_wanted("Release: %{autorelease -b 3}\n"));
        assert!(is_wanted("%changelog\n%autochangelog\n") && is_wanted("%changelog\n%{?autochangelog}\n"));
        assert!(!is_wanted("Release: 1\n# was %%autorelease\n%changelog\n- %%autochangelog is nice\n"));
    }

    #[test]
    fn commits_are_counted_since_the_version_changed() {
        let history = [
            entry("Fix", Some("2")),
            entry("Broken spec", None),
            entry("Update to 2", Some("2")),
            entry("Rebuild [bump release: 4]", Some("1")),
            entry("First", Some("1")),
        ];

        assert_eq!(numbers(&history), [3, 2, 1, 5, 1]);
    }

    #[test]
    fn the_changelog_goes_down_to_where_it_was_last_written_by_hand() {
        let history = [
            entry("Fix 100% of it\n\nMore.", Some("2")),
            entry("Hide [skip changelog]", Some("2")),
            entry("- Update", Some("2")),
            entry("Old", Some("1")),
        ];
        let old = "* Mon Jan 01 2024 B <b@example.org> - 1-1\n- By hand\n";

        let text = expand("Release: %autorelease\n%changelog\n%autochangelog\n", &history, 3, old);

        assert!(text.contains("release_number = 3;"), "{text}");
        let end = "%changelog\n* Tue Nov 24 2026 A <a@example.org> - 2-3\n- Fix 100%% of it\n\n* Tue Nov 24 2026 A <a@example.org> - 2-1\n- Update\n\n\
                   * Mon Jan 01 2024 B <b@example.org> - 1-1\n- By hand\n\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_release_counts_from_its_base() {
        assert_eq!(
            (release("1", 3), release("10", 2), release("0.2", 3)),
            ("3".to_owned(), "11".to_owned(), "0.4".to_owned())
        );
    }

    #[test]
    fn days_are_written_as_rpm_reads_them() {
        assert_eq!(day(0), "Thu Jan 01 1970");
        assert_eq!(day(951_782_400), "Tue Feb 29 2000");
        assert_eq!(day(1_709_164_800), "Thu Feb 29 2024");
        assert_eq!(day(1_767_225_599), "Wed Dec 31 2025");
    }
}
