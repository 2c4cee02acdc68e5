//! How busy a node was, as pictures: small lines over the same time, with gaps where it was not heard of.

use anima_types::{Timestamp, node_load::LoadSample};

/// A picture's size in its own units.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 60.0;
/// A point stands for so long: half an hour, the busiest moment of it.
const STEP_SECS: f64 = 1_800.0;

/// A picture.
pub struct Line {
    /// What it shows.
    pub name: &'static str,
    /// The same in words.
    pub words: String,
    /// The line, as SVG has it.
    pub path: String,
}

/// Returns the pictures of a node between two moments; none where nothing is known.
pub fn lines(samples: &[LoadSample], (from, to): (Timestamp, Timestamp), cores: Option<u32>) -> Vec<Line> {
    let slots = samples.iter().map(|sample| sample.slots).max().unwrap_or(0);
    let tasks = points(samples, from, |sample| Some(f64::from(sample.working)));
    let load = points(samples, from, |sample| sample.load_percent.map(|load| f64::from(load) / 100.0));
    let most = |points: &[(usize, f64)]| points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let mut lines = Vec::new();
    if !tasks.is_empty() {
        lines.push(Line {
            name: "Tasks at once",
            words: format!("at most {:.0} of {slots}", most(&tasks)),
            path: path(&tasks, f64::from(slots).max(most(&tasks)), to.secs_since(from)),
        });
    }
    if !load.is_empty() {
        let top = cores.map_or(1.0, f64::from).max(most(&load));
        let of = cores.map_or(String::new(), |cores| format!(" on {cores} processors"));
        lines.push(Line {
            name: "Load of the machine",
            words: format!("at most {:.2}{of}", most(&load)),
            path: path(&load, top, to.secs_since(from)),
        });
    }
    lines
}

/// Returns the busiest moment of each half hour that has one.
fn points(samples: &[LoadSample], from: Timestamp, value: impl Fn(&LoadSample) -> Option<f64>) -> Vec<(usize, f64)> {
    let mut points: Vec<(usize, f64)> = Vec::new();
    for sample in samples {
        let Some(value) = value(sample) else { continue };
        let step = (sample.at.secs_since(from).max(0.0) / STEP_SECS) as usize;
        match points.last_mut().filter(|(last, _)| *last == step) {
            Some((_, most)) => *most = most.max(value),
            None => points.push((step, value)),
        }
    }
    points
}

/// Draws each point as wide as its half hour, joined to the next where that has one, too.
fn path(points: &[(usize, f64)], top: f64, secs: f64) -> String {
    let step = WIDTH * STEP_SECS / secs.max(STEP_SECS);
    let mut path = String::new();
    let mut last = None;
    for &(at, value) in points {
        let x = at as f64 * step;
        let y = HEIGHT - 1.0 - value / top.max(f64::MIN_POSITIVE) * (HEIGHT - 2.0);
        let joins = last.is_some_and(|last| last + 1 == at);
        path += &format!("{}{x:.0} {y:.1}h{step:.1}", if joins { 'L' } else { 'M' });
        last = Some(at);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(secs: i64, working: u32, load_percent: Option<u32>) -> LoadSample {
        let at = Timestamp(0).plus_secs(secs);
        LoadSample { at, working, slots: 2, load_percent, free_memory_mib: None, free_disk_mib: None }
    }

    #[test]
    fn a_line_has_the_busiest_moments_and_gaps_where_nothing_is_known() {
        let samples =
            [sample(0, 0, None), sample(300, 2, Some(300)), sample(1_800, 1, Some(100)), sample(7_200, 0, None)];

        let lines = lines(&samples, (Timestamp(0), Timestamp(0).plus_secs(18_000)), Some(4));

        assert_eq!(lines[0].words, "at most 2 of 2");
        assert_eq!(lines[0].path, "M0 1.0h100.0L100 30.0h100.0M400 59.0h100.0");
        assert_eq!(lines[1].words, "at most 3.00 on 4 processors");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn of_nothing_there_is_no_picture() {
        assert!(lines(&[], (Timestamp(0), Timestamp(9)), None).is_empty());
    }
}
