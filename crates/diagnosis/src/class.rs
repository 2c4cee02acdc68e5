//! The classes of failures, as `classes.toml` has them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anima_types::diagnosis::NeedKind;
use regex::{Captures, Regex, RegexSet};
use serde::Deserialize;

use crate::Section;

/// How much a class says of the cause; the first is the most.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// The build reached a bound: whatever it said then follows from it.
    Limit,
    /// It is why it failed.
    Cause,
    /// It mostly has a cause that is told elsewhere.
    Symptom,
    /// It follows from a failure.
    Consequence,
}

/// One class.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its stable word.
    pub code: String,
    /// What people call it.
    pub title: String,
    /// How much it says.
    pub rank: Rank,
    #[serde(default)]
    sections: Vec<String>,
    #[serde(default)]
    patterns: Vec<Pattern>,
    #[serde(default)]
    except: Vec<Pattern>,
    /// The lines after the first in which `then` is looked for.
    #[serde(default)]
    pub within: u64,
    /// Adds its groups from one of the next lines.
    pub then: Option<Pattern>,
    /// Adds its groups from an earlier line of the step.
    pub context: Option<Pattern>,
    /// Gathers the lines right after the first.
    pub items: Option<Pattern>,
    /// Whether more lines of the class in the same step are its items.
    #[serde(default)]
    pub gather: bool,
    message: String,
    cure: Option<String>,
    cure_known: Option<String>,
    /// What is missing, by `{what}`.
    pub need: Option<NeedKind>,
    /// A class whose lines say this, too, once the end is known.
    said_as: Option<String>,
    #[serde(default)]
    ends: Vec<String>,
    #[serde(default)]
    failures: Vec<String>,
}

/// A regular expression of the file.
#[derive(Debug)]
pub struct Pattern(Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Pattern).map_err(serde::de::Error::custom)
    }
}

/// What groups of patterns matched.
pub type Groups = BTreeMap<String, String>;

impl Pattern {
    /// Returns the groups of a line that it matches.
    pub fn groups(&self, line: &str) -> Option<Groups> {
        let captures: Captures<'_> = self.0.captures(line)?;
        let named = self.0.capture_names().flatten();
        Some(
            named.filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().trim().to_owned()))).collect(),
        )
    }
}

/// All classes, with one automaton over all patterns.
pub struct Classes {
    classes: Vec<Class>,
    set: RegexSet,
    /// What each pattern of the set is.
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
enum Place {
    /// A class's pattern of that number.
    Pattern(usize, usize),
    /// A class's context.
    Context(usize),
}

/// What a line says.
#[derive(Debug, Default)]
pub struct Hits {
    /// The class that it is of, with the groups of the pattern that knows it.
    pub class: Option<(&'static Class, Groups)>,
    /// The classes that it is the context of.
    pub context_of: Vec<&'static Class>,
}

#[derive(Deserialize)]
struct File {
    class: Vec<Class>,
}

static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
    Classes::parse(include_str!("classes.toml")).unwrap_or_else(|error| panic!("classes.toml: {error}"))
});

impl Classes {
    /// Returns those of the program.
    pub fn known() -> &'static Classes {
        &CLASSES
    }

    fn parse(text: &str) -> Result<Classes, String> {
        let File { class: classes } = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut places = Vec::new();
        let mut texts = Vec::new();
        for (at, class) in classes.iter().enumerate() {
            for (number, pattern) in class.patterns.iter().enumerate() {
                places.push(Place::Pattern(at, number));
                texts.push(pattern.0.as_str());
            }
            if let Some(context) = &class.context {
                places.push(Place::Context(at));
                texts.push(context.0.as_str());
            }
        }
        let set = RegexSet::new(texts).map_err(|error| error.to_string())?;
        Ok(Classes { classes, set, places })
    }

    /// Returns what a line of a step says; most lines say nothing.
    pub fn of_line(&'static self, section: Option<Section>, line: &str) -> Hits {
        let mut hits = Hits::default();
        // What configure looks for is no failure, but what it says of a failure may stand behind it.
        let is_looked_for = line.starts_with("checking ") && !line.contains("configure: error: ");
        if line.ends_with("(ignored)") || is_looked_for {
            return hits;
        }
        for index in self.set.matches(line) {
            match self.places[index] {
                Place::Context(at) => hits.context_of.push(&self.classes[at]),
                Place::Pattern(at, number) if hits.class.is_none() && self.classes[at].is_for(section, line) => {
                    let class = &self.classes[at];
                    hits.class = Some((class, class.patterns[number].groups(line).unwrap_or_default()));
                }
                Place::Pattern(..) => {}
            }
        }
        hits
    }

    /// Returns the class of a code.
    pub fn of_code(&self, code: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.code == code)
    }

    /// Returns the class of a build that was ended from outside.
    pub fn of_end(&self, end: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.ends.iter().any(|known| known == end))
    }

    /// Returns the class of a failure that is told by its code alone.
    pub fn of_failure(&self, code: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.failures.iter().any(|known| known == code))
    }

    /// Returns all of them, in the order of the file.
    pub fn all(&self) -> &[Class] {
        &self.classes
    }
}

impl Class {
    fn is_for(&self, section: Option<Section>, line: &str) -> bool {
        let word = section.map_or("outside", Section::word);
        let is_here = self.sections.is_empty() || self.sections.iter().any(|wanted| wanted == word);
        is_here && !self.except.iter().any(|pattern| pattern.0.is_match(line))
    }

    /// Returns whether lines of another class say this one.
    pub fn is_said_by(&self, other: &Class) -> bool {
        self.code == other.code || self.said_as.as_ref() == Some(&other.code)
    }

    /// Returns the sentence of a finding.
    pub fn message(&self, groups: &Groups) -> String {
        fill(&self.message, groups)
    }

    /// Returns what to do: better, when it is known which packages have what is missing.
    pub fn cure(&self, groups: &Groups, packages: &[String]) -> Option<String> {
        let known = self.cure_known.as_ref().filter(|_| !packages.is_empty());
        let mut groups = groups.clone();
        groups.insert("packages".to_owned(), packages.join(" or "));
        known.or(self.cure.as_ref()).map(|text| put_in(text, &groups))
    }
}

/// Fills a sentence in; a part in brackets goes when one of its groups is empty.
fn fill(template: &str, groups: &Groups) -> String {
    let mut sentence = String::new();
    let mut rest = template;
    while let Some((before, part)) = rest.split_once('[') {
        sentence += &put_in(before, groups);
        let (part, after) = part.split_once(']').unwrap_or((part, ""));
        if names(part).all(|name| groups.get(name).is_some_and(|value| !value.is_empty())) {
            sentence += &put_in(part, groups);
        }
        rest = after;
    }
    sentence += &put_in(rest, groups);
    sentence
}

fn put_in(text: &str, groups: &Groups) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = next_place(rest) {
        filled += before;
        filled += groups.get(name).map_or("", String::as_str);
        rest = after;
    }
    filled + rest
}

/// Returns the names of a text's places.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, name, after) = next_place(rest)?;
        rest = after;
        Some(name)
    })
}

/// Returns the next place with what is before and after it: a lower-case word in braces; `%{name}` is a macro, and none.
fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let is_word = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'2');
    text.match_indices('{').find_map(|(at, _)| {
        let (name, after) = text[at + 1..].split_once('}')?;
        (is_word(name) && !text[..at].ends_with('%')).then_some((&text[..at], name, after))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn groups(pairs: &[(&str, &str)]) -> Groups {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_part_of_a_sentence_goes_with_its_group() {
        let filled = |pairs| fill("it stopped[ at {where}][: {why}]", &groups(pairs));

        assert_eq!(filled(&[("where", "a.c:3"), ("why", "no [x] {where}")]), "it stopped at a.c:3: no [x] {where}");
        assert_eq!(filled(&[("why", "")]), "it stopped");
        assert_eq!(put_in("use %{what}, not {what}", &groups(&[("what", "x")])), "use %{what}, not x");
    }

    #[test]
    fn every_group_that_a_sentence_needs_is_in_every_pattern() {
        for class in Classes::known().all() {
            assert!(
                class
                    .cure
                    .iter()
                    .chain(&class.cure_known)
                    .flat_map(|cure| names(cure))
                    .all(|name| { name == "packages" || name == "what" })
            );
            let more = [&class.then, &class.context].into_iter().flatten();
            let mut given: BTreeSet<&str> = more.flat_map(|pattern| pattern.0.capture_names().flatten()).collect();
            if class.items.is_some() || class.gather {
                given.insert("items");
            }
            let needed = class.message.split('[').map(|part| part.rsplit(']').next().unwrap());
            let needed: Vec<&str> = needed.flat_map(names).collect();
            for pattern in &class.patterns {
                let own: BTreeSet<&str> = pattern.0.capture_names().flatten().collect();
                let is_bare = own.is_empty() && class.rank == Rank::Limit;
                for name in &needed {
                    let is_there = own.contains(name) || given.contains(name) || is_bare;
                    assert!(is_there, "{}: {:?} has no {name}", class.code, pattern.0.as_str());
                }
                assert!(!class.gather || own.contains("what"), "{}: {:?}", class.code, pattern.0.as_str());
            }
        }
    }

    #[test]
    fn codes_are_unique_words_and_sections_are_known() {
        let mut seen = BTreeSet::new();
        for class in Classes::known().all() {
            assert!(seen.insert(&class.code), "{} is there twice", class.code);
            assert!(class.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", class.code);
            let known = Section::ALL.map(Section::word);
            for section in &class.sections {
                assert!(section == "outside" || known.contains(&section.as_str()), "{}: {section}", class.code);
            }
        }
        assert!(seen.len() >= 30, "{}", seen.len());
    }
}
