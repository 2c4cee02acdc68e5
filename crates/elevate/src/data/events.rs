//! Package evolution events (PES): what became of packages from one release to the next.
//!
//! Both dialects are read: the one of leapp-data (`arches`, `module_stream`) and the newer one (`architectures`,
//! `modulestreams`, `modulestream_maps`). What this program does not know is kept, so that a file can be written back as it was.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::place::{Place, Source};
use crate::{Result, release::Release};

/// What an event says. The numbers are those of the files.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// 0: it is there in the release.
    Present,
    /// 1: it is gone.
    Removed,
    /// 2: it is there, and will go.
    Deprecated,
    /// 3: something else does what it did.
    Replaced,
    /// 4: it became several.
    Split,
    /// 5: several became one.
    Merged,
    /// 6: it is in another repository.
    Moved,
    /// 7: it has another name.
    Renamed,
    /// 8: it has to be installed again from the target.
    Reinstalled,
}

/// One file.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// Its events, in its order.
    pub events: Vec<Event>,
    /// What else the file says (`legal_notice`, `timestamp`, …).
    pub more: BTreeMap<String, Value>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number in the file.
    pub id: i64,
    /// What it says.
    pub action: Action,
    /// The architectures that it is for; empty means all.
    pub architectures: Vec<String>,
    /// What has to be installed for it to apply.
    pub inputs: Vec<Package>,
    /// What is installed after it.
    pub outputs: Vec<Package>,
    /// The release that it starts from, where one is said.
    pub from: Option<Release>,
    /// The release that it leads to.
    pub to: Release,
    /// Where it stands.
    pub place: Place,
    /// The whole event as it stands in the file.
    pub raw: Value,
}

/// A package in an event.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its module and stream, where it is of one.
    pub module: Option<Module>,
    /// The repository, by the name that repository maps have for it.
    pub repository: String,
}

/// A stream of a module.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct Module {
    /// The module's name.
    pub name: String,
    /// The stream's.
    pub stream: String,
}

impl Action {
    /// Returns the action of that number.
    pub const fn from_number(number: u64) -> Option<Action> {
        Some(match number {
            0 => Action::Present,
            1 => Action::Removed,
            2 => Action::Deprecated,
            3 => Action::Replaced,
            4 => Action::Split,
            5 => Action::Merged,
            6 => Action::Moved,
            7 => Action::Renamed,
            8 => Action::Reinstalled,
            _ => return None,
        })
    }

    /// Returns the word for it, as in "jq was … in 9.0".
    pub const fn word(self) -> &'static str {
        match self {
            Action::Present => "kept",
            Action::Removed => "removed",
            Action::Deprecated => "deprecated",
            Action::Replaced => "replaced",
            Action::Split => "split",
            Action::Merged => "merged",
            Action::Moved => "moved",
            Action::Renamed => "renamed",
            Action::Reinstalled => "reinstalled",
        }
    }
}

/// The file without the events, which flattening would hide the places of.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    packageinfo: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct EventForm {
    action: u64,
    #[serde(default)]
    id: IdForm,
    #[serde(default, alias = "architectures")]
    arches: Option<Vec<String>>,
    #[serde(default)]
    in_packageset: Option<SetForm>,
    #[serde(default)]
    out_packageset: Option<SetForm>,
    #[serde(default)]
    initial_release: Option<ReleaseForm>,
    release: ReleaseForm,
    #[serde(default)]
    modulestream_maps: Option<Vec<StreamMapForm>>,
}

/// A number; some files have it as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum IdForm {
    Number(i64),
    Text(String),
}

impl Default for IdForm {
    fn default() -> IdForm {
        IdForm::Number(0)
    }
}

impl IdForm {
    fn number(&self) -> i64 {
        match self {
            IdForm::Number(number) => *number,
            IdForm::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

#[derive(Deserialize)]
struct SetForm {
    #[serde(default)]
    package: Vec<PackageForm>,
}

#[derive(Clone, Deserialize)]
struct PackageForm {
    name: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    module_stream: Option<StreamForm>,
    #[serde(default)]
    modulestreams: Option<Vec<Option<StreamForm>>>,
}

/// `"perl:5.24"`, `{"name": "perl", "stream": "5.24"}`, or, as some files have it, a list of one, which may be `null`.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum StreamForm {
    Text(String),
    Fields { name: String, stream: String },
    List(Vec<Option<StreamForm>>),
}

#[derive(Deserialize)]
struct StreamMapForm {
    #[serde(default)]
    in_modulestream: Option<StreamForm>,
    #[serde(default)]
    out_modulestream: Option<StreamForm>,
}

#[derive(Deserialize)]
struct ReleaseForm {
    major_version: u32,
    #[serde(default)]
    minor_version: u32,
}

impl Events {
    /// Reads a file. An event of the newer dialect with a map of module streams is one event for each line of the map.
    pub fn parse(path: &Path, text: &str) -> Result<Events> {
        let source = Source::new(path, text);
        // First for its faults' places, then for what else there is.
        let outer: Outer<'_> = source.parse()?;
        let more = serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap_or_default();
        let more = more.into_iter().filter(|(key, _)| key != "packageinfo").collect();
        let mut events = Vec::with_capacity(outer.packageinfo.len());
        for piece in outer.packageinfo {
            events.extend(event(&source, piece)?);
        }
        Ok(Events { events, more })
    }

    /// Writes the file with all that was in it; an event that was read as several is written once.
    pub fn to_json(&self) -> Value {
        let mut whole: serde_json::Map<String, Value> = self.more.clone().into_iter().collect();
        let mut list: Vec<Value> = Vec::new();
        let mut last = None;
        for event in &self.events {
            if last != Some(&event.place) {
                list.push(event.raw.clone());
            }
            last = Some(&event.place);
        }
        whole.insert("packageinfo".to_string(), Value::Array(list));
        Value::Object(whole)
    }
}

fn event(source: &Source<'_>, piece: &RawValue) -> Result<Vec<Event>> {
    let form: EventForm = source.parse_piece(piece)?;
    let action = Action::from_number(form.action)
        .ok_or_else(|| source.refuse(piece, format!("action {} is none of 0 to 8", form.action)))?;
    let raw: Value = serde_json::from_str(piece.get()).expect("it was read before");
    let base = Event {
        id: form.id.number(),
        action,
        architectures: form.arches.unwrap_or_default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        from: form.initial_release.map(|release| release.into()),
        to: form.release.into(),
        place: source.place(piece),
        raw,
    };
    let set = |form: Option<SetForm>| form.map(|set| set.package).unwrap_or_default();
    let (inputs, outputs) = (set(form.in_packageset), set(form.out_packageset));
    let maps = form.modulestream_maps.unwrap_or_default();
    if maps.is_empty() {
        let all = |list: &[PackageForm]| list.iter().flat_map(PackageForm::packages).collect();
        return Ok(vec![Event { inputs: all(&inputs), outputs: all(&outputs), ..base }]);
    }
    Ok(maps
        .into_iter()
        .map(|map| {
            let of = |list: &[PackageForm], stream: &Option<StreamForm>| {
                list.iter().map(|package| package.with_stream(stream)).collect()
            };
            Event {
                inputs: of(&inputs, &map.in_modulestream),
                outputs: of(&outputs, &map.out_modulestream),
                ..base.clone()
            }
        })
        .collect())
}

impl PackageForm {
    fn packages(&self) -> Vec<Package> {
        match &self.modulestreams {
            Some(streams) if !streams.is_empty() => streams.iter().map(|stream| self.with_stream(stream)).collect(),
            _ => vec![self.with_stream(&self.module_stream)],
        }
    }

    fn with_stream(&self, stream: &Option<StreamForm>) -> Package {
        Package {
            name: self.name.clone(),
            module: stream.as_ref().and_then(StreamForm::module),
            repository: self.repository.clone(),
        }
    }
}

impl StreamForm {
    fn module(&self) -> Option<Module> {
        match self {
            StreamForm::Text(text) => {
                let (name, stream) = text.split_once(':')?;
                Some(Module { name: name.to_string(), stream: stream.to_string() })
            }
            StreamForm::List(list) => list.iter().flatten().find_map(StreamForm::module),
            StreamForm::Fields { name, stream } => Some(Module { name: name.clone(), stream: stream.clone() }),
        }
    }
}

impl From<ReleaseForm> for Release {
    fn from(form: ReleaseForm) -> Release {
        Release { major: form.major_version, minor: form.minor_version }
    }
}
