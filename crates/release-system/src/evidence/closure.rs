//! Whether everything that could be installed still can be, and what is new can be.

use std::collections::BTreeSet;

use anima_solver::{Broken, Place, Pool};
use anima_types::gate::Finding;

use super::world::{Error, World};

/// What was found, over all architectures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Closure {
    /// How many packages were asked for.
    pub asked_count: usize,
    /// What the release breaks.
    pub broken: Vec<Finding>,
    /// What was broken before.
    pub known: Vec<Finding>,
    /// How long it took.
    pub secs: f64,
}

impl Eq for Closure {}

/// What was found on one architecture.
#[derive(Debug, Default)]
pub struct OfArch {
    asked_count: usize,
    broken: Vec<Finding>,
    known: Vec<Finding>,
    /// Whether a path is missing that only the lists of files may have.
    pub misses_a_path: bool,
}

impl Closure {
    /// Adds what was found on an architecture.
    pub fn add(&mut self, found: OfArch, arch: &str) {
        let on = |mut finding: Finding| {
            finding.text = format!("{} (on {arch})", finding.text);
            finding.with("arch", arch)
        };
        self.asked_count += found.asked_count;
        self.broken.extend(found.broken.into_iter().map(on));
        self.known.extend(found.known.into_iter().map(on));
    }
}

/// Asks for everything as it will be; what cannot be installed then is asked for as it is now.
pub fn ask(world: &World, pool: &mut Pool) -> Result<OfArch, Error> {
    let changed: BTreeSet<Place> = world.gone.union(&world.new).cloned().collect();
    let after = pool.closure(&world.own(), &world.gone, Some(&changed))?;
    let mut asked: BTreeSet<Place> = BTreeSet::new();
    for broken in &after.broken {
        match world.replaced.get(&broken.place) {
            // A new version of what was broken before is no worse.
            Some(replaced) => asked.extend(replaced.iter().cloned()),
            None => drop(asked.insert(broken.place.clone())),
        }
    }
    let asked: Vec<Place> = asked.into_iter().collect();
    let fine_before = pool.installable(&asked, &world.new)?;
    let mut found = OfArch { asked_count: after.asked_count, ..OfArch::default() };
    for broken in after.broken {
        found.misses_a_path |= broken.missing.iter().any(|missing| has_path(missing));
        let was_broken = match world.replaced.get(&broken.place) {
            Some(replaced) => replaced.iter().any(|old| !fine_before.contains(old)),
            None => !fine_before.contains(&broken.place),
        };
        let list = if was_broken { &mut found.known } else { &mut found.broken };
        list.push(finding(world, broken));
    }
    Ok(found)
}

fn has_path(dependency: &str) -> bool {
    dependency.split([' ', '(']).any(|word| word.starts_with('/'))
}

fn finding(world: &World, broken: Broken) -> Finding {
    let path = world.member(&broken.place).and_then(|member| member.path.clone());
    let what = match broken.chain.is_empty() {
        true => "the solver gives no reason".to_string(),
        false => broken.chain.join("; "),
    };
    let missing = broken.missing.join(", ");
    let text = format!("{} could not be installed: {what}", broken.place.nevra);
    let finding = Finding { text, package: Some(broken.place.nevra), repository: path, ..Finding::default() };
    if missing.is_empty() { finding } else { finding.with("missing", missing) }
}
