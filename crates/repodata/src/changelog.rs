//! Which entries of a changelog go into metadata: createrepo_c's rules.

use anima_rpm_file::ChangelogEntry;

/// How many entries metadata keeps; the package has them all.
const MAX_ENTRIES: usize = 10;

/// Returns the newest entries, oldest first, with times that grow.
///
/// Entries of one day have one time in a spec; the later ones are moved on by a second each, so
/// that clients that sort by time keep the order.
pub(crate) fn select(entries: &[ChangelogEntry]) -> Vec<ChangelogEntry> {
    let mut kept: Vec<ChangelogEntry> = Vec::new();
    let mut last_time = 0;
    for entry in entries.iter().take(MAX_ENTRIES) {
        let time = entry.time_secs;
        if time == last_time {
            kept.iter_mut()
                .rev()
                .zip(time..)
                .take_while(|(newer, taken)| newer.time_secs == *taken)
                .for_each(|(newer, _)| newer.time_secs += 1);
        }
        last_time = time;
        kept.push(ChangelogEntry { author: author(&entry.author).to_string(), ..entry.clone() });
    }
    kept.reverse();
    kept
}

fn author(text: &str) -> &str {
    text.trim_end_matches(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time_secs: i64, text: &str) -> ChangelogEntry {
        ChangelogEntry { author: "A  ".to_string(), time_secs, text: text.to_string() }
    }

    #[test]
    fn entries_of_one_day_get_times_that_keep_their_order() {
        let entries = [entry(200, "e"), entry(100, "d"), entry(100, "c"), entry(100, "b"), entry(50, "a")];

        let selected = select(&entries);

        let times: Vec<_> = selected.iter().map(|entry| (entry.time_secs, entry.text.as_str())).collect();
        assert_eq!(times, [(50, "a"), (100, "b"), (101, "c"), (102, "d"), (200, "e")]);
        assert_eq!(selected[0].author, "A");
    }

    #[test]
    fn only_the_newest_entries_are_kept() {
        let entries: Vec<_> = (0..30).rev().map(|day| entry(day * 86_400, "x")).collect();

        let selected = select(&entries);

        assert_eq!(selected.len(), MAX_ENTRIES);
        assert_eq!(selected.last().unwrap().time_secs, 29 * 86_400);
    }
}
