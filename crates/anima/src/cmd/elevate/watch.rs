//! Progress with the time that is left: a bar on a terminal, lines of JSON with `--json`.

use std::time::{Duration, Instant};

use anima_elevate_act::{Phase, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::output::Output;

/// Programs that follow are told this often at most.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// Progress on standard error.
pub struct Bar {
    bar: ProgressBar,
    is_json: bool,
    what: String,
    told_at: Option<Instant>,
    began_at: Instant,
}

/// One line for a program.
#[derive(Serialize)]
struct Told<'a> {
    what: &'a str,
    done: usize,
    count: usize,
    left_secs: Option<u64>,
}

impl Bar {
    pub fn new(output: Output) -> Bar {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
        let bar = if output == Output::Json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        Bar {
            bar: bar.with_style(style.expect("the template is right")),
            is_json: output == Output::Json,
            what: String::new(),
            told_at: None,
            began_at: Instant::now(),
        }
    }

    fn begin(&mut self, what: &str) {
        self.bar.reset();
        self.bar.set_message(what.to_owned());
        self.what = what.to_owned();
        self.began_at = Instant::now();
        self.told_at = None;
        if self.is_json {
            self.line(0, 0);
        }
    }

    fn line(&self, done: usize, count: usize) {
        let left_secs = left_secs(self.began_at.elapsed(), done, count);
        let told = Told { what: &self.what, done, count, left_secs };
        eprintln!("{}", serde_json::to_string(&told).expect("our own types are always JSON"));
    }
}

/// Returns how long the rest takes, if it goes on as it went; none before anything is done.
fn left_secs(spent: Duration, done: usize, count: usize) -> Option<u64> {
    (done > 0).then(|| (spent.as_secs_f64() / done as f64 * count.saturating_sub(done) as f64).ceil() as u64)
}

impl Watch for Bar {
    fn progress(&mut self, done: usize, count: usize) {
        self.bar.set_length(count as u64);
        self.bar.set_position(done as u64);
        if self.is_json && self.told_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            self.told_at = Some(Instant::now());
            self.line(done, count);
        }
    }

    fn phase(&mut self, phase: Phase) {
        self.begin(phase.name());
    }

    fn tell(&mut self, what: &str) {
        self.begin(what);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_that_of_the_rest_at_the_pace_so_far() {
        let spent = Duration::from_secs(10);

        assert_eq!((left_secs(spent, 0, 100), left_secs(spent, 25, 100)), (None, Some(30)));
        assert_eq!((left_secs(spent, 100, 100), left_secs(spent, 7, 5)), (Some(0), Some(0)));
    }
}
