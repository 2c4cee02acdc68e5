//! How things are said on pages: states, moments, durations and sizes.

use anima_types::{
    Timestamp, build,
    gate::{self, Level},
    key, node, release, task,
    work::PhaseTime,
};

/// Where something stands: a glyph, a colour (by its class) and a word, so that none of them is needed alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct State {
    /// One character.
    pub glyph: &'static str,
    /// `wait`, `run`, `good`, `bad` or `off`.
    pub class: &'static str,
    /// The word that the API has for it.
    pub word: &'static str,
}

const WAIT: (&str, &str) = ("○", "wait");
const RUN: (&str, &str) = ("◐", "run");
const GOOD: (&str, &str) = ("●", "good");
const BAD: (&str, &str) = ("✕", "bad");
const OFF: (&str, &str) = ("–", "off");

const fn state((glyph, class): (&'static str, &'static str), word: &'static str) -> State {
    State { glyph, class, word }
}

/// Nothing is there yet.
pub const NOTHING: State = state(OFF, "nothing yet");

impl From<build::Status> for State {
    fn from(status: build::Status) -> State {
        use build::Status::*;
        let look = match status {
            Sources | Building | Testing | Signing => RUN,
            Succeeded => GOOD,
            Failed => BAD,
            Cancelled => OFF,
        };
        state(look, status.name())
    }
}

impl From<&gate::Answer> for State {
    fn from(answer: &gate::Answer) -> State {
        match answer.level {
            _ if answer.found_count == 0 => state(GOOD, "holds"),
            Level::Tell => state(OFF, "tells"),
            Level::Ask => state(WAIT, "asks for a reason"),
            Level::Block => state(BAD, "blocks"),
        }
    }
}

impl From<task::Status> for State {
    fn from(status: task::Status) -> State {
        use task::Status::*;
        let look = match status {
            Waiting | Ready => WAIT,
            Leased => RUN,
            Succeeded => GOOD,
            Failed => BAD,
            Blocked | Excluded | Cancelled => OFF,
        };
        let word = match status {
            Leased => "running",
            other => other.name(),
        };
        state(look, word)
    }
}

impl From<release::Status> for State {
    fn from(status: release::Status) -> State {
        use release::Status::*;
        let look = match status {
            Planned | Scheduled => WAIT,
            Planning | Publishing | Signing => RUN,
            Released => GOOD,
            Failed => BAD,
            Reverted | Abandoned => OFF,
        };
        state(look, status.name())
    }
}

impl From<key::Status> for State {
    fn from(status: key::Status) -> State {
        use key::Status::*;
        let look = match status {
            Asked => WAIT,
            Active => GOOD,
            Retired | Expired => OFF,
            Revoked => BAD,
        };
        state(look, status.name())
    }
}

/// Returns what a check came to.
pub const fn verdict(is_green: bool) -> State {
    if is_green { state(GOOD, "green") } else { state(BAD, "red") }
}

/// Returns whether a node takes tasks, and works on any.
pub const fn presence(node: node::State, is_working: bool) -> State {
    match (node, is_working) {
        (node::State::Taking, true) => state(RUN, "working"),
        (node::State::Taking, false) => state(GOOD, "online"),
        (node::State::Draining, _) => state(RUN, "draining"),
        (node::State::Drained, _) => state(WAIT, "drained"),
        (node::State::Unfit, _) => state(BAD, "takes nothing"),
        (node::State::TooOld, _) => state(BAD, "too old"),
        (node::State::Away, _) => state(BAD, "not heard of"),
    }
}

/// A moment, for the `time` element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct When {
    /// By RFC 3339, to the second.
    pub iso: String,
    /// For people, in UTC: `2026-11-23 14:05:09 UTC`.
    pub utc: String,
    /// How long ago.
    pub ago: String,
}

impl When {
    /// Says when something was.
    pub fn new(moment: Timestamp, now: Timestamp) -> When {
        let second = Timestamp(moment.epoch_secs() * 1_000_000).to_string();
        let plain = second.split('.').next().unwrap_or(&second).trim_end_matches('Z');
        When { iso: format!("{plain}Z"), utc: format!("{} UTC", plain.replace('T', " ")), ago: ago(moment, now) }
    }
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

fn ago(moment: Timestamp, now: Timestamp) -> String {
    let secs = now.secs_since(moment).max(0.0);
    match secs {
        _ if secs < 10.0 => "just now".to_string(),
        _ if secs < MINUTE => format!("{secs:.0} s ago"),
        _ if secs < HOUR => format!("{:.0} min ago", (secs / MINUTE).floor()),
        _ if secs < 2.0 * DAY => format!("{:.0} h ago", (secs / HOUR).floor()),
        _ => format!("{:.0} days ago", (secs / DAY).floor()),
    }
}

/// Says how long something took.
pub fn duration(secs: f64) -> String {
    let whole = secs.round();
    match secs {
        _ if secs < 0.0995 => format!("{:.0} ms", secs.max(0.0) * 1e3),
        _ if secs < 9.95 => format!("{secs:.1} s"),
        _ if whole < MINUTE => format!("{whole:.0} s"),
        _ if whole < HOUR => format!("{:.0} min {:.0} s", (whole / MINUTE).floor(), whole % MINUTE),
        _ => format!("{:.0} h {:.0} min", (whole / HOUR).floor(), (whole % HOUR / MINUTE).floor()),
    }
}

/// Says how much something is.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64;
    let mut unit = "";
    for next in UNITS {
        amount /= 1e3;
        unit = next;
        if amount < 999.5 {
            break;
        }
    }
    if amount < 9.95 { format!("{amount:.1} {unit}") } else { format!("{amount:.0} {unit}") }
}

/// Says how many of something there are.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// A step of a task in words, for a table; what was not counted is empty.
pub struct StepRow {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub took: String,
    /// Processors' time.
    pub cpu: String,
    /// The most memory at one time.
    pub memory: String,
    /// What a disk had to read.
    pub read: String,
    /// What was written to a disk.
    pub written: String,
    /// How much of what it needed was there already.
    pub cached: String,
}

/// Returns a step in words.
pub fn step_row(phase: &PhaseTime) -> StepRow {
    let usage = &phase.usage;
    let bytes = |bytes: Option<u64>| bytes.map(size).unwrap_or_default();
    StepRow {
        name: phase.name.clone(),
        took: duration(phase.secs),
        cpu: usage.cpu_secs.map(duration).unwrap_or_default(),
        memory: bytes(usage.peak_memory_bytes),
        read: bytes(usage.read_bytes),
        written: bytes(usage.written_bytes),
        cached: match (usage.cache_hits, usage.cache_misses) {
            (None, None) => String::new(),
            (hits, misses) => {
                let (hits, misses) = (hits.unwrap_or(0), misses.unwrap_or(0));
                format!("{hits} of {}", hits + misses)
            }
        },
    }
}

/// Returns what a person calls a task.
pub fn task_name(task: &task::Task) -> String {
    use task::Kind::*;
    let package = task.package.as_deref().unwrap_or("packages");
    let arch = task.arch.map_or("", |arch| arch.name());
    match task.kind {
        Src => format!("source package of {package}"),
        Build => format!("{package} on {arch}"),
        Test => format!("test on {arch}"),
        Sign => "signing".to_string(),
        Plan => "release plan".to_string(),
        Publish => "publication".to_string(),
        Import => "import".to_string(),
    }
}

/// Returns a commit as people write it.
pub fn short_commit(commit: &str) -> String {
    commit.chars().take(10).collect()
}

/// Returns a text as one part of an address.
pub fn address_part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' => part.push(char::from(byte)),
            _ => part += &format!("%{byte:02X}"),
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_moments_are_short() {
        let durations = [0.004, 0.5, 9.96, 59.6, 72.0, 3_725.0].map(duration);
        assert_eq!(durations, ["4 ms", "0.5 s", "10 s", "1 min 0 s", "1 min 12 s", "1 h 2 min"]);
        assert_eq!([999, 1_234, 56_789_000].map(size), ["999 B", "1.2 kB", "57 MB"]);
        let when = When::new(Timestamp(1_700_000_000_123_456), Timestamp(1_700_000_000_123_456).plus_secs(7_300));
        assert_eq!(
            (when.iso.as_str(), when.utc.as_str(), when.ago.as_str()),
            ("2023-11-14T22:13:20Z", "2023-11-14 22:13:20 UTC", "2 h ago")
        );
    }

    #[test]
    fn a_name_is_one_part_of_an_address() {
        assert_eq!(address_part("gtk+-a/../b?c#\"é"), "gtk+-a%2F..%2Fb%3Fc%23%22%C3%A9");
    }

    #[test]
    fn states_with_the_same_colour_have_the_same_glyph() {
        let states = task::Status::ALL.map(State::from);
        for a in states {
            for b in states {
                assert_eq!(a.class == b.class, a.glyph == b.glyph, "{a:?} {b:?}");
            }
        }
    }
}
