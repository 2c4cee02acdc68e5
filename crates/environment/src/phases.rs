//! How long each step of a task took and what it used, also of a task that fails on the way.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anima_types::Timestamp;
use anima_types::work::{PhaseTime, Usage};

use crate::Journal;

/// The steps so far, in the order in which they first began.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    steps: Vec<PhaseTime>,
    journal: Option<Journal>,
}

impl Phases {
    /// Returns that no step has begun.
    pub fn new() -> Phases {
        Phases::default()
    }

    /// Returns the same; what begins and ends is told in a log of its own.
    pub fn told(journal: Journal) -> Phases {
        Phases { journal: Some(journal), ..Phases::default() }
    }

    /// Does a step and adds its time, whatever comes of it.
    pub async fn time<T>(&mut self, name: &str, step: impl Future<Output = T>) -> T {
        let began = Instant::now();
        self.tell(format!("{name} begins"));
        let result = step.await;
        let secs = began.elapsed().as_secs_f64();
        self.tell(format!("{name} took {secs:.3} s"));
        self.add(name, secs);
        result
    }

    /// Adds time to a step.
    pub fn add(&mut self, name: &str, secs: f64) {
        self.step(name).secs += secs;
    }

    /// Adds what a step used.
    pub fn used(&mut self, name: &str, usage: Usage) {
        if !usage.is_nothing() {
            self.tell(format!("{name} used {}", in_words(&usage)));
            let step = self.step(name);
            step.usage = step.usage.and(usage);
        }
    }

    /// Returns the seconds of a step so far.
    pub fn secs(&self, name: &str) -> f64 {
        self.steps.iter().find(|phase| phase.name == name).map_or(0.0, |phase| phase.secs)
    }

    /// Returns them for a report.
    pub fn into_vec(self) -> Vec<PhaseTime> {
        self.steps
    }

    fn step(&mut self, name: &str) -> &mut PhaseTime {
        let at = self.steps.iter().position(|phase| phase.name == name).unwrap_or_else(|| {
            self.steps.push(PhaseTime { name: name.to_owned(), ..PhaseTime::default() });
            self.steps.len() - 1
        });
        &mut self.steps[at]
    }

    fn tell(&self, what: String) {
        if let Some(journal) = &self.journal {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            journal.say(format!("{} {what}", Timestamp(since.as_micros() as i64)));
        }
    }
}

fn in_words(usage: &Usage) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0));
    let words = [
        usage.cpu_secs.map(|secs| format!("{secs:.3} s of processors' time")),
        usage.peak_memory_bytes.map(|bytes| format!("at most {} of memory", mib(bytes))),
        usage.read_bytes.map(|bytes| format!("{} read", mib(bytes))),
        usage.written_bytes.map(|bytes| format!("{} written", mib(bytes))),
        usage.cache_hits.map(|count| format!("{count} things that were there")),
        usage.cache_misses.map(|count| format!("{count} that were not")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_step_that_comes_again_is_told_once_with_both_times() {
        let mut phases = Phases::new();

        phases.add("solve", 1.0);
        phases.add("build", 3.0);
        phases.add("solve", 0.5);

        let names: Vec<_> = phases.clone().into_vec().into_iter().map(|phase| (phase.name, phase.secs)).collect();
        assert_eq!(names, [("solve".to_owned(), 1.5), ("build".to_owned(), 3.0)]);
        assert_eq!((phases.secs("solve"), phases.secs("upload")), (1.5, 0.0));
    }

    #[test]
    fn what_commands_used_adds_up_but_for_the_memory_of_which_the_most_counts() {
        let mut phases = Phases::new();
        let usage = |cpu, memory| Usage { cpu_secs: Some(cpu), peak_memory_bytes: Some(memory), ..Usage::default() };

        phases.used("build", usage(1.0, 700));
        phases.used("build", usage(0.5, 300));

        assert_eq!(phases.into_vec()[0].usage, usage(1.5, 700));
    }

    #[tokio::test]
    async fn a_log_tells_when_each_step_began_and_ended() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = text.clone();
        let mut phases = Phases::told(Journal::new(move |bytes| sink.lock().unwrap().extend_from_slice(bytes)));

        phases.time("solve", async {}).await;
        phases.used("solve", Usage { cache_hits: Some(2), ..Usage::default() });

        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let words: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!((words[0], words[2]), ("solve begins", "solve used 2 things that were there"));
        assert!(words[1].starts_with("solve took 0.0"), "{text}");
    }
}
