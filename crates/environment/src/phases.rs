//! How long each step of a task took, also of a task that fails on the way.

use std::time::Instant;

use anima_types::work::PhaseTime;

/// The steps so far, in the order in which they first began.
#[derive(Clone, Debug, Default)]
pub struct Phases(Vec<PhaseTime>);

impl Phases {
    /// Returns that no step has begun.
    pub fn new() -> Phases {
        Phases::default()
    }

    /// Does a step and adds its time, whatever comes of it.
    pub async fn time<T>(&mut self, name: &str, step: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let result = step.await;
        self.add(name, began.elapsed().as_secs_f64());
        result
    }

    /// Adds time to a step.
    pub fn add(&mut self, name: &str, secs: f64) {
        match self.0.iter_mut().find(|phase| phase.name == name) {
            Some(phase) => phase.secs += secs,
            None => self.0.push(PhaseTime { name: name.to_owned(), secs, ..PhaseTime::default() }),
        }
    }

    /// Returns the seconds of a step so far.
    pub fn secs(&self, name: &str) -> f64 {
        self.0.iter().find(|phase| phase.name == name).map_or(0.0, |phase| phase.secs)
    }

    /// Returns them for a report.
    pub fn into_vec(self) -> Vec<PhaseTime> {
        self.0
    }
}

#[cfg(test)]
mod tests {
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
}
