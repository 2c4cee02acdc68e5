//! P8: a mass rebuild of 16,000 source packages is put in order, and one of the packages of a real Enterprise Linux.

use std::{collections::BTreeMap, path::Path, time::Instant};

use anima_repodata::Repository;
use anima_schedule::{Graph, Source, simulate};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Figure, median, rounded};
use crate::tidy;

const SOURCES: usize = 16_000;
const SLOTS: usize = 500;
const RUNS: usize = 5;
const REPOSITORIES: [&str; 2] = ["el-baseos-x86_64", "el-appstream-x86_64"];
/// What a build packs, more or less, with its compiling.
const BYTES_A_SECOND: f64 = 100_000.0;

/// A generator (SplitMix64), so that every run has the same corpus.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

/// Sources like a distribution's: a few that nearly everything needs, a dozen needs each, some that nobody provides, some
/// circles near the bottom, and builds of which most take a minute and few take hours.
pub fn corpus(count: usize) -> Vec<Source> {
    let mut random = Random(8);
    (0..count)
        .map(|at| {
            let mut build_requires = vec!["gcc".to_string(), "make".to_string()];
            for _ in 0..random.below(20) {
                // Low numbers are needed most often; one in a thousand points upwards, which makes circles.
                let other = match random.below(1_000) {
                    0 => random.below(count.min(at + 200)),
                    _ => random.below(at + 1) * random.below(at + 1) / (at + 1),
                };
                build_requires.push(format!("pkgconfig(lib{other}) >= 1.{}", random.below(9)));
            }
            Source {
                name: format!("source{at}"),
                provides: vec![
                    format!("source{at} = 1.9-1"),
                    format!("source{at}-devel = 1.9-1"),
                    format!("pkgconfig(lib{at}) = 1.9"),
                    format!("lib{at}.so.1()(64bit)"),
                ],
                build_requires,
                cost_secs: 20.0 + 60.0 * 1.0 / (0.004 + random.below(1_000) as f64 / 1_000.0),
            }
        })
        .collect()
}

pub fn measure() -> Result<Vec<Figure>> {
    let mut figures = vec![figure("16000", &corpus(SOURCES), json!("synthetic sources"))?];
    let data = tidy::root().join("../shared/data/repodata");
    match REPOSITORIES.iter().all(|name| data.join(name).is_dir()) {
        true => figures.push(figure("el", &real(&data)?, json!("real sources by what their packages need to run"))?),
        false => eprintln!("the real metadata is not in {}: the case el is left out", data.display()),
    }
    Ok(figures)
}

fn figure(case: &'static str, sources: &[Source], what: Value) -> Result<Figure> {
    let mut times = Vec::new();
    let mut values = None;
    for _ in 0..RUNS {
        let began = Instant::now();
        let graph = Graph::new(sources);
        let (open, circles) = graph.without_circles();
        let waves = open.waves().map_err(anyhow::Error::new)?;
        let path = open.critical_path().map_err(anyhow::Error::new)?;
        let schedule = simulate(&open, SLOTS).map_err(anyhow::Error::new)?;
        times.push(began.elapsed().as_secs_f64());
        values = Some(json!({
            "what": what,
            "sources": sources.len(),
            "edges": graph.edge_count(),
            "circles": circles.len(),
            "largest_circle": circles.iter().map(|circle| circle.members.len()).max().unwrap_or(0),
            "taken_from_the_platform": graph.edge_count() - open.edge_count(),
            "waves": waves.len(),
            "critical_path": path.len(),
            "slots": SLOTS,
            "makespan_to_lower_bound": rounded(schedule.makespan_secs / schedule.lower_bound_secs),
            "peer": null,
        }));
    }
    let mut values = values.context("nothing was measured")?;
    values["ours_s"] = json!(rounded(median(times)));
    Ok(Figure { bench: "plan", case, values })
}

/// Returns the sources of the packages of a whole Enterprise Linux. Its metadata has no source packages, so nothing is known of
/// BuildRequires; what a source's packages need to run stands for it: it has more edges, and far larger circles, than a build has. How
/// long builds take is guessed by how large their packages are.
fn real(data: &Path) -> Result<Vec<Source>> {
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for name in REPOSITORIES {
        for package in Repository::open(&data.join(name))?.packages()? {
            let package = package?;
            let name = package.source_rpm.rsplitn(3, '-').nth(2).unwrap_or(&package.nevra.name).to_string();
            let source = sources.entry(name.clone()).or_insert_with(|| Source { name, ..Source::default() });
            source.provides.extend(package.provides.iter().map(ToString::to_string));
            source.provides.extend(package.files.into_iter().map(|file| file.path));
            source.build_requires.extend(package.requires.iter().map(ToString::to_string));
            source.cost_secs += 20.0 + package.size_bytes as f64 / BYTES_A_SECOND;
        }
    }
    Ok(sources.into_values().collect())
}
