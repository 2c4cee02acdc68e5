//! The log in sections, one for each step, with its time.

use std::time::Instant;

use anima_environment::{Journal, Phases};

/// Does a step in a section of its own, and adds its time to the phases, whatever comes of it.
pub(crate) async fn step<T>(journal: &Journal, phases: &mut Phases, name: &str, work: impl Future<Output = T>) -> T {
    journal.say(format!("\n== {name} =="));
    let began = Instant::now();
    let result = phases.time(name, work).await;
    journal.say(format!("-- {name}: {:.2} s", began.elapsed().as_secs_f64()));
    result
}
