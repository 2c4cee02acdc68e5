//! Which packages may be chosen where modules are: of each at most one stream is enabled (`modules.yaml`, modulemd version 2).
//!
//! Packages of streams that are not enabled must not be chosen, and packages of no module must not be chosen in place of those
//! of an enabled one. [`Streams::filter`] says which, as dnf decides it. It refuses to write modules, to build them, and to
//! choose profiles.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};

use crate::compression::{MAX_OPEN_BYTES, open};
use crate::{Error, Result, modules, yaml::Yaml};

/// What every stream says it needs, and nothing installs: the distribution itself.
const PLATFORM: &str = "platform";

/// One build of a stream: what is told apart by version and context.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stream {
    /// The module.
    pub name: String,
    /// The stream.
    pub stream: String,
    /// Counts up.
    pub version: u64,
    /// Tells builds against other modules apart.
    pub context: String,
    /// Sets of other modules, each with the streams that would do; one of the sets is enough. No stream means any.
    pub requires: Vec<BTreeMap<String, Vec<String>>>,
    /// Its packages: `name-epoch:version-release.arch`.
    pub artifacts: Vec<String>,
}

/// The modules of some repositories.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Streams {
    streams: Vec<Stream>,
    defaults: BTreeMap<String, String>,
}

/// What of some repositories may be chosen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StreamFilter {
    /// Packages of enabled streams.
    pub shown: BTreeSet<String>,
    /// Packages of other streams.
    pub hidden: BTreeSet<String>,
    /// Names that belong to enabled streams: packages with them that are of no module must not be chosen.
    pub names: BTreeSet<String>,
}

/// Why streams cannot be enabled.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StreamError {
    /// The wish is no `name:stream`.
    #[error("could not enable \"{0}\": a module is named with its stream, such as perl:5.26")]
    Wish(String),
    /// Two streams of a module are wished for.
    #[error("could not enable two streams of module {name}: {one} and {other}")]
    Twice {
        /// The module.
        name: String,
        /// A stream.
        one: String,
        /// Another.
        other: String,
    },
    /// No repository has it.
    #[error("could not enable module {name}:{stream}: {}", known(.streams))]
    Unknown {
        /// The module.
        name: String,
        /// The stream.
        stream: String,
        /// The streams that there are.
        streams: Vec<String>,
    },
    /// It needs streams that are not enabled.
    #[error("could not enable module {name}:{stream}: it needs {needs}, too")]
    Needs {
        /// The module.
        name: String,
        /// The stream.
        stream: String,
        /// Other streams.
        needs: String,
    },
}

fn known(streams: &[String]) -> String {
    match streams.is_empty() {
        true => "no repository has that module".to_owned(),
        false => format!("its streams are {}", streams.join(", ")),
    }
}

impl Streams {
    /// Reads a repository's `modules.yaml`, packed as the end of its name says.
    pub fn read(name: &str, packed: impl BufRead) -> Result<Streams> {
        let fail = |source| Error::Stream { action: "unpack", name: name.to_owned(), source };
        let mut bytes = Vec::new();
        open(name, packed, MAX_OPEN_BYTES).map_err(fail)?.read_to_end(&mut bytes).map_err(fail)?;
        Streams::parse(name, &bytes)
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Streams> {
        let mut modules = Streams::default();
        for (_, document) in modules::documents(name, bytes)? {
            let data = document.get("data");
            match (document.text("document"), data) {
                (Some("modulemd"), Some(data)) => modules.streams.extend(stream(data)),
                (Some("modulemd-defaults"), Some(data)) => {
                    if let (Some(module), Some(stream)) = (data.text("module"), data.text("stream")) {
                        modules.defaults.insert(module.to_owned(), stream.to_owned());
                    }
                }
                // Translations and notices of end of life choose nothing.
                _ => {}
            }
        }
        Ok(modules)
    }

    /// Adds those of another repository; of two defaults, the first stays.
    pub fn merge(&mut self, other: Streams) {
        self.streams.extend(other.streams);
        for (name, stream) in other.defaults {
            self.defaults.entry(name).or_insert(stream);
        }
    }

    /// Returns all streams.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Returns what may be chosen when these streams (`name:stream`) are enabled beside the default ones.
    pub fn filter(&self, enabled: &[String]) -> std::result::Result<StreamFilter, StreamError> {
        let enabled = self.enabled(enabled)?;
        let active = self.active(&enabled)?;
        let is_active = |stream: &&Stream| active.get(stream.name.as_str()).is_some_and(|it| it.contains(&id(stream)));
        let mut filter = StreamFilter::default();
        for stream in &self.streams {
            let into = if is_active(&stream) { &mut filter.shown } else { &mut filter.hidden };
            into.extend(stream.artifacts.iter().cloned());
        }
        filter.hidden = filter.hidden.difference(&filter.shown).cloned().collect();
        let binaries = filter.shown.iter().filter(|artifact| !artifact.ends_with(".src"));
        filter.names = binaries.filter_map(|artifact| package_name(artifact)).map(str::to_owned).collect();
        Ok(filter)
    }

    /// Checks the wishes: one known stream for each module.
    fn enabled(&self, wishes: &[String]) -> std::result::Result<BTreeMap<String, String>, StreamError> {
        let mut enabled: BTreeMap<String, String> = BTreeMap::new();
        for wish in wishes {
            let parts = wish.split_once(':').filter(|(name, stream)| !name.is_empty() && !stream.is_empty());
            let (name, stream) = parts.ok_or_else(|| StreamError::Wish(wish.clone()))?;
            let streams: BTreeSet<String> =
                self.streams.iter().filter(|it| it.name == name).map(|it| it.stream.clone()).collect();
            if !streams.contains(stream) {
                let (name, stream) = (name.to_owned(), stream.to_owned());
                return Err(StreamError::Unknown { name, stream, streams: streams.into_iter().collect() });
            }
            if let Some(one) = enabled.insert(name.to_owned(), stream.to_owned()).filter(|one| one != stream) {
                return Err(StreamError::Twice { name: name.to_owned(), one, other: stream.to_owned() });
            }
        }
        Ok(enabled)
    }

    /// Returns the builds of the streams that are active: those enabled, and of the defaults those whose needs are met.
    fn active<'a>(
        &'a self,
        enabled: &'a BTreeMap<String, String>,
    ) -> std::result::Result<BTreeMap<&'a str, BTreeSet<Id<'a>>>, StreamError> {
        let mut chosen: BTreeMap<&str, &str> =
            self.defaults.iter().map(|(name, stream)| (name.as_str(), stream.as_str())).collect();
        chosen.extend(enabled.iter().map(|(name, stream)| (name.as_str(), stream.as_str())));
        loop {
            let mut active: BTreeMap<&str, BTreeSet<Id<'_>>> = BTreeMap::new();
            let mut unmet = None;
            for (&name, &stream) in &chosen {
                let builds: Vec<&Stream> =
                    self.streams.iter().filter(|it| it.name == name && it.stream == stream).collect();
                let fit: BTreeSet<Id<'_>> =
                    builds.iter().filter(|build| is_met(build, &chosen)).map(|build| id(build)).collect();
                match fit.is_empty() {
                    // Older builds of the stream stay in sight: of their packages the newest is chosen anyhow.
                    false => drop(active.insert(name, fit)),
                    // A default of which this repository has no build hides nothing.
                    true if builds.is_empty() => {}
                    true => unmet = Some((name, stream, needs(&builds))),
                }
            }
            let Some((name, stream, needs)) = unmet else { return Ok(active) };
            if enabled.contains_key(name) {
                let (name, stream) = (name.to_owned(), stream.to_owned());
                return Err(StreamError::Needs { name, stream, needs });
            }
            // Others may need it in turn, so all is looked at again.
            chosen.remove(name);
        }
    }
}

/// What tells builds of a module apart.
type Id<'a> = (&'a str, u64, &'a str);

fn id(stream: &Stream) -> Id<'_> {
    (&stream.stream, stream.version, &stream.context)
}

fn is_met(build: &Stream, chosen: &BTreeMap<&str, &str>) -> bool {
    let is_set_met = |set: &BTreeMap<String, Vec<String>>| {
        set.iter().all(|(name, streams)| {
            name == PLATFORM || chosen.get(name.as_str()).is_some_and(|stream| allows(streams, stream))
        })
    };
    build.requires.is_empty() || build.requires.iter().any(is_set_met)
}

/// A list may say what is allowed, or, each with a minus before it, what is not.
fn allows(streams: &[String], stream: &str) -> bool {
    let (not, only): (Vec<_>, Vec<_>) = streams.iter().partition(|it| it.starts_with('-'));
    !not.iter().any(|it| it[1..] == *stream) && (only.is_empty() || only.iter().any(|it| *it == stream))
}

fn needs(builds: &[&Stream]) -> String {
    let sets = builds.iter().flat_map(|build| &build.requires).map(|set| {
        let others = set.iter().filter(|(name, _)| *name != PLATFORM);
        others.map(|(name, streams)| format!("{name}:{}", streams.join("|"))).collect::<Vec<_>>().join(" and ")
    });
    sets.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", or ")
}

/// A document without name and stream is not enabled by anything.
fn stream(data: &Yaml) -> Option<Stream> {
    let requires = data.get("dependencies").into_iter().flat_map(Yaml::list).map(|one| {
        let requires = one.get("requires").into_iter().flat_map(Yaml::entries);
        requires.map(|(name, streams)| (name.to_owned(), streams.texts())).collect()
    });
    Some(Stream {
        name: data.text("name")?.to_owned(),
        stream: data.text("stream")?.to_owned(),
        version: data.text("version").and_then(|text| text.parse().ok()).unwrap_or(0),
        context: data.text("context").unwrap_or_default().to_owned(),
        requires: requires.collect(),
        artifacts: data.get("artifacts").and_then(|it| it.get("rpms")).map(Yaml::texts).unwrap_or_default(),
    })
}

fn package_name(artifact: &str) -> Option<&str> {
    let mut parts = artifact.rsplitn(3, '-');
    let (_release, _version) = (parts.next()?, parts.next()?);
    parts.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two streams of perl, a module of perl's that has a build for each, and a default that needs what nobody enables.
    const TEXT: &str = "---
document: modulemd-defaults
version: 1
data: {module: perl, stream: '5.26', profiles: {5.26: [common]}}
---
document: modulemd-defaults
version: 1
data: {module: app, stream: 1}
---
document: modulemd
version: 2
data:
  name: perl
  stream: 5.26
  version: 1
  context: old
  artifacts: {rpms: [perl-4:5.26.0-1.el8.x86_64]}
---
document: modulemd
version: 2
data:
  name: perl
  stream: 5.26
  version: 2
  context: c
  dependencies: [{requires: {platform: [el8]}}]
  artifacts:
    rpms:
    - perl-4:5.26.3-1.el8.src
    - perl-4:5.26.3-1.el8.x86_64
    - perl-libs-4:5.26.3-1.el8.x86_64
---
document: modulemd
version: 2
data: {name: perl, stream: 5.30, version: 1, context: c, artifacts: {rpms: [perl-4:5.30.1-1.el8.x86_64]}}
---
document: modulemd
version: 2
data:
  {name: dbi, stream: 1, version: 1, context: a, dependencies: [{requires: {perl: [5.26]}}], artifacts: {rpms: [dbi-0:1-26.x86_64]}}
---
document: modulemd
version: 2
data:
  {name: dbi, stream: 1, version: 1, context: b, dependencies: [{requires: {perl: [5.30]}}], artifacts: {rpms: [dbi-0:1-30.x86_64]}}
---
document: modulemd
version: 2
data: {name: app, stream: 1, version: 1, context: a, dependencies: [{requires: {dbi: []}}], artifacts: {rpms: [app-0:1-1.x86_64]}}
---
document: modulemd-translations
version: 1
data: {module: perl, stream: 5.26, modified: 1}
...
";

    fn filter(enabled: &[&str]) -> std::result::Result<StreamFilter, StreamError> {
        let modules = Streams::read("modules.yaml", TEXT.as_bytes()).unwrap();
        modules.filter(&enabled.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    }

    fn shown(enabled: &[&str]) -> Vec<String> {
        filter(enabled).unwrap().shown.into_iter().collect()
    }

    #[test]
    fn a_default_stream_is_shown_and_its_names_belong_to_it() {
        let filter = filter(&[]).unwrap();

        assert_eq!(
            filter.shown.iter().collect::<Vec<_>>(),
            [
                "perl-4:5.26.0-1.el8.x86_64",
                "perl-4:5.26.3-1.el8.src",
                "perl-4:5.26.3-1.el8.x86_64",
                "perl-libs-4:5.26.3-1.el8.x86_64"
            ]
        );
        assert_eq!(filter.names.iter().collect::<Vec<_>>(), ["perl", "perl-libs"]);
        assert!(filter.hidden.contains("perl-4:5.30.1-1.el8.x86_64"));
        assert!(filter.hidden.contains("app-0:1-1.x86_64"), "its default needs what is not enabled");
    }

    #[test]
    fn an_enabled_stream_takes_the_place_of_the_default_and_the_build_for_it_is_chosen() {
        assert_eq!(
            shown(&["perl:5.30", "dbi:1"]),
            ["app-0:1-1.x86_64", "dbi-0:1-30.x86_64", "perl-4:5.30.1-1.el8.x86_64"]
        );
        assert!(shown(&["dbi:1"]).contains(&"dbi-0:1-26.x86_64".to_owned()));
    }

    #[test]
    fn a_wish_that_cannot_be_is_refused_with_what_there_is() {
        let said = |enabled: &[&str]| filter(enabled).unwrap_err().to_string();

        assert!(said(&["perl"]).contains("such as perl:5.26"));
        assert!(said(&["perl:6"]).ends_with("its streams are 5.26, 5.30"));
        assert!(said(&["ruby:1"]).ends_with("no repository has that module"));
        assert!(said(&["perl:5.26", "perl:5.30"]).contains("two streams of module perl"));
        assert!(said(&["app:1"]).ends_with("it needs dbi:, too"), "{}", said(&["app:1"]));
    }

    #[test]
    fn streams_may_be_named_by_what_they_are_not() {
        let list = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();

        assert!(allows(&list(&["-el7"]), "el8") && !allows(&list(&["-el8"]), "el8"));
        assert!(allows(&list(&[]), "x") && allows(&list(&["x", "y"]), "y") && !allows(&list(&["x"]), "y"));
    }

    #[test]
    fn repositories_add_up_and_the_first_default_stays() {
        let mut modules = Streams::parse("a", TEXT.as_bytes()).unwrap();
        let other =
            TEXT.replace("stream: '5.26', profiles", "stream: '5.30', profiles").replace("el8.x86_64", "el8.aarch64");

        modules.merge(Streams::parse("b", other.as_bytes()).unwrap());

        let filter = modules.filter(&[]).unwrap();
        assert!(
            filter.shown.contains("perl-4:5.26.3-1.el8.x86_64") && filter.shown.contains("perl-4:5.26.3-1.el8.aarch64")
        );
        assert!(filter.hidden.contains("perl-4:5.30.1-1.el8.aarch64"));
    }
}
