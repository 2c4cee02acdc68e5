//! In which order the packages of a build are made: a package waits for those that provide what it needs. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// What a source package says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unit {
    /// Its name.
    pub package: String,
    /// What its binary packages provide; versions may follow the names.
    pub provides: Vec<String>,
    /// What it needs to be built; versions may follow the names.
    pub build_requires: Vec<String>,
}

/// Packages that wait for one another in a circle, in the order in which they wait; the first stands at the end again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("could not order the packages: {} wait for one another", .0.join(" → "))]
pub struct Cycle(pub Vec<String>);

/// What each package waits for.
pub type Waits = BTreeMap<String, BTreeSet<String>>;

/// Returns what each package waits for. A package that needs what it provides itself takes it from the platform.
pub fn order(units: &[Unit]) -> Result<Waits, Cycle> {
    let mut providers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for unit in units {
        for provided in unit.provides.iter().flat_map(|text| names(text)) {
            providers.entry(provided).or_default().insert(&unit.package);
        }
    }
    let waits = units.iter().map(|unit| {
        let needed = unit.build_requires.iter().flat_map(|text| names(text)).filter_map(|name| providers.get(name));
        let needed = needed.flatten().filter(|package| **package != unit.package);
        (unit.package.clone(), needed.map(|package| package.to_string()).collect())
    });
    let waits: Waits = waits.collect();
    match cycle(&waits) {
        None => Ok(waits),
        Some(cycle) => Err(Cycle(cycle)),
    }
}

/// Returns the names in a dependency: one, or in a rich one each of them.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_rich = text.starts_with('(');
    let (mut skip_version, mut taken) = (false, false);
    let words = text.split_whitespace().map(move |word| if is_rich { rich_word(word) } else { word });
    words.filter(move |word| {
        if matches!(*word, "=" | "<" | ">" | "<=" | ">=") {
            skip_version = true;
            return false;
        }
        if std::mem::take(&mut skip_version)
            || matches!(*word, "and" | "or" | "if" | "else" | "unless" | "with" | "without" | "")
        {
            return false;
        }
        is_rich || !std::mem::replace(&mut taken, true)
    })
}

/// Takes the parentheses of a rich dependency off, but not those of a name such as `pkgconfig(zlib)`.
fn rich_word(word: &str) -> &str {
    let word = word.trim_start_matches('(');
    let surplus = word.matches(')').count().saturating_sub(word.matches('(').count());
    &word[..word.len() - surplus]
}

/// Finds a circle: takes away, again and again, what waits for nothing that is left; what remains has one.
fn cycle(waits: &Waits) -> Option<Vec<String>> {
    let mut left: BTreeMap<&str, BTreeSet<&str>> =
        waits.iter().map(|(name, needs)| (name.as_str(), needs.iter().map(String::as_str).collect())).collect();
    loop {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, needs)| needs.iter().all(|need| !left.contains_key(need)))
            .map(|(name, _)| *name)
            .collect();
        if free.is_empty() {
            break;
        }
        free.into_iter().for_each(|name| drop(left.remove(name)));
    }
    let mut path = vec![*left.keys().next()?];
    loop {
        let last = path[path.len() - 1];
        let next = left[last].iter().copied().find(|need| left.contains_key(need))?;
        if let Some(at) = path.iter().position(|name| *name == next) {
            path.push(next);
            return Some(path[at..].iter().map(|name| name.to_string()).collect());
        }
        path.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(package: &str, provides: &[&str], build_requires: &[&str]) -> Unit {
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect();
        Unit { package: package.into(), provides: texts(provides), build_requires: texts(build_requires) }
    }

    fn waits(waits: &Waits, package: &str) -> Vec<String> {
        waits[package].iter().cloned().collect()
    }

    #[test]
    fn a_package_waits_for_what_provides_what_it_needs_whatever_they_are_called() {
        let units = [
            unit("jq", &["jq = 1.6"], &["gcc", "oniguruma-devel >= 6.0"]),
            unit("oniguruma", &["oniguruma = 6.9", "oniguruma-devel = 6.9"], &["gcc"]),
        ];

        let order = order(&units).unwrap();

        assert_eq!(waits(&order, "jq"), ["oniguruma"]);
        assert!(waits(&order, "oniguruma").is_empty());
    }

    #[test]
    fn rich_and_parenthesised_names_are_understood() {
        let units = [
            unit("a", &["a"], &["(pkgconfig(z) >= 1.2 or other)", "pkgconfig(y)"]),
            unit("z", &["pkgconfig(z) = 1.3"], &[]),
            unit("y", &["pkgconfig(y) = 1"], &[]),
        ];

        assert_eq!(waits(&order(&units).unwrap(), "a"), ["y", "z"]);
    }

    #[test]
    fn a_package_does_not_wait_for_itself() {
        let units = [unit("gcc", &["gcc"], &["gcc"])];

        assert!(waits(&order(&units).unwrap(), "gcc").is_empty());
    }

    #[test]
    fn a_circle_is_named() {
        let units = [unit("free", &[], &["a"]), unit("a", &["a"], &["b"]), unit("b", &["b"], &["a"])];

        let error = order(&units).unwrap_err();

        assert_eq!(error.to_string(), "could not order the packages: a → b → a wait for one another");
    }

    #[test]
    fn every_order_that_is_given_can_be_gone_through() {
        // A fixed sequence of pseudo-random graphs: edges go to earlier packages only, so that there is no circle.
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below.max(1)
        };
        for size in 1..40 {
            let units: Vec<Unit> = (0..size)
                .map(|at| {
                    let needs =
                        (0..random(4)).map(|_| format!("p{}", random(at))).filter(|name| *name != format!("p{at}"));
                    Unit {
                        package: format!("p{at}"),
                        provides: vec![format!("p{at}")],
                        build_requires: needs.collect(),
                    }
                })
                .collect();

            let waits = order(&units).unwrap();

            let mut done = BTreeSet::new();
            while done.len() < size {
                let next = waits
                    .iter()
                    .find(|(name, needs)| !done.contains(*name) && needs.iter().all(|need| done.contains(need)));
                done.insert(next.expect("somebody can go on").0.clone());
            }
        }
    }
}
