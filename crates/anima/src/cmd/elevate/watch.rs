//! Progress with the time that is left.

use anima_elevate_act::{Phase, Watch};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing where that is no terminal.
pub struct Bar(ProgressBar);

impl Bar {
    pub fn new() -> Bar {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
        Bar(ProgressBar::new(0).with_style(style.expect("the template is right")))
    }
}

impl Watch for Bar {
    fn progress(&mut self, done: usize, count: usize) {
        self.0.set_length(count as u64);
        self.0.set_position(done as u64);
    }

    fn phase(&mut self, phase: Phase) {
        self.0.reset_eta();
        self.0.set_message(phase.name());
    }

    fn tell(&mut self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
