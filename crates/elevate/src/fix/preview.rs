//! Changes as a person reads them.

use super::{Change, State};

/// Unchanged lines around what changes.
const CONTEXT: usize = 2;
/// Above this the whole middle counts as changed: the table of common lines would fill the memory.
const MAX_LINES: usize = 3000;

/// Returns the changes as a patch.
pub fn preview(changes: &[Change]) -> String {
    changes.iter().map(one).collect()
}

fn one(change: &Change) -> String {
    let head = format!("{} ({})\n", change.path, change.rules.join(", "));
    let body = match (&change.before, &change.after) {
        (State::Text { text: before }, State::Text { text: after }) => difference(before, after),
        (before, after) => format!("-{}\n+{}\n", describe(before), describe(after)),
    };
    head + &body + "\n"
}

fn describe(state: &State) -> String {
    match state {
        State::Absent => "(nothing)".to_string(),
        State::Text { text } => format!("a file of {} lines", text.lines().count()),
        State::Link { target } => format!("a link to {target}"),
    }
}

/// A line of a patch: kept, gone, new.
type Line<'a> = (char, &'a str);

fn difference(before: &str, after: &str) -> String {
    let lines = lines(&before.lines().collect::<Vec<_>>(), &after.lines().collect::<Vec<_>>());
    let is_near = |at: usize| {
        let (from, to) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(lines.len()));
        lines[from..to].iter().any(|line| line.0 != ' ')
    };
    let near = (0..lines.len()).filter(|at| is_near(*at));
    near.map(|at| format!("{}{}\n", lines[at].0, lines[at].1)).collect()
}

/// Compares by the longest common sequence of lines.
fn lines<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    if before.len().max(after.len()) > MAX_LINES {
        return before.iter().map(|line| ('-', *line)).chain(after.iter().map(|line| ('+', *line))).collect();
    }
    let mut common = vec![vec![0_u16; after.len() + 1]; before.len() + 1];
    for (at, old) in before.iter().enumerate().rev() {
        for (beside, new) in after.iter().enumerate().rev() {
            common[at][beside] = match old == new {
                true => common[at + 1][beside + 1] + 1,
                false => common[at + 1][beside].max(common[at][beside + 1]),
            };
        }
    }
    let (mut at, mut beside, mut lines) = (0, 0, Vec::new());
    while at < before.len() || beside < after.len() {
        if at < before.len() && beside < after.len() && before[at] == after[beside] {
            lines.push((' ', before[at]));
            (at, beside) = (at + 1, beside + 1);
        } else if beside == after.len() || (at < before.len() && common[at + 1][beside] >= common[at][beside + 1]) {
            lines.push(('-', before[at]));
            at += 1;
        } else {
            lines.push(('+', after[beside]));
            beside += 1;
        }
    }
    lines
}
