//! Package evolution events (PES): what became of packages from one release to the next.
//!
//! Both dialects are read: the one of leapp-data (`arches`, `module_stream`) and the newer one (`architectures`,
//! `modulestreams`, `modulestream_maps`). What this program does not know is kept, so that a file can be written back as it was.
//!
//! An entry of a file is as many events as leapp makes of it: one for each stream that its inputs are in (or that its map has a
//! line for), with those outputs that are in a stream which the map leads to.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{
    Origin,
    place::{Place, Source},
};
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
    /// Its events, in its order, which leapp goes by.
    pub events: Vec<Event>,
    /// Entries that are no event for leapp, as they have neither inputs nor a map of streams.
    pub idle: Vec<(i64, Place)>,
    /// Whose they are.
    pub origin: Origin,
    /// The whole file; shared, as the data is cloned for each machine of a fleet.
    pub raw: Arc<Value>,
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
    /// The release that it leads to; 0.0 where none is said, so that it is on no way.
    pub to: Release,
    /// Where it stands.
    pub place: Place,
    /// What leapp overlooks in it, or has to guess.
    pub oddities: Vec<Oddity>,
}

/// What an entry says that leapp does not do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Oddity {
    /// Its architectures stand under `arches`, which leapp does not read: for leapp it is for all of them.
    Arches,
    /// It is only for this stream, and none of its inputs is in it: it applies to every machine.
    NoInputInStream,
    /// An output is in several of the streams that the map leads to, of which one is taken.
    SeveralStreams,
    /// An output is in a stream that no map leads to, so that it does not come.
    OutputWithoutStream,
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
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    in_packageset: Option<SetForm>,
    #[serde(default)]
    out_packageset: Option<SetForm>,
    #[serde(default)]
    initial_release: Option<ReleaseForm>,
    #[serde(default)]
    release: Option<ReleaseForm>,
    #[serde(default)]
    modulestream_maps: Option<Vec<StreamMapForm>>,
}

/// A number; some files have it as a text.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum IdForm {
    #[default]
    None,
    Number(i64),
    Text(String),
}

impl IdForm {
    fn number(&self) -> i64 {
        match self {
            IdForm::None => 0,
            IdForm::Number(number) => *number,
            IdForm::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

#[derive(Deserialize)]
struct SetForm {
    #[serde(default, alias = "packages")]
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
    modulestream: Option<StreamForm>,
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

/// What a package of a set is: its name, its repository, and the streams that it may be in.
struct Listed {
    name: String,
    repository: String,
    streams: Vec<Option<Module>>,
}

/// Streams of the source with those of the target that each becomes, in the order of the file.
type StreamMap = Vec<(Option<Module>, BTreeSet<Option<Module>>)>;

impl Events {
    /// Reads a file.
    pub fn parse(path: &Path, text: &str) -> Result<Events> {
        let source = Source::new(path, text);
        // First for its faults' places, then for what else there is.
        let outer: Outer<'_> = source.parse()?;
        let mut file = Events { raw: Arc::new(source.parse()?), ..Events::default() };
        file.events.reserve(outer.packageinfo.len());
        for piece in outer.packageinfo {
            let (id, events) = entry(&source, piece)?;
            if events.is_empty() {
                file.idle.push((id, source.place(piece)));
            }
            file.events.extend(events);
        }
        Ok(file)
    }

    /// Returns the file with all that was in it.
    pub fn to_json(&self) -> &Value {
        &self.raw
    }
}

/// Reads one entry of a file, and returns its number and the events that it is.
fn entry(source: &Source<'_>, piece: &RawValue) -> Result<(i64, Vec<Event>)> {
    let form: EventForm = source.parse_piece(piece)?;
    let action = Action::from_number(form.action)
        .ok_or_else(|| source.refuse(piece, format!("action {} is none of 0 to 8", form.action)))?;
    let mut oddities = Vec::new();
    let architectures = match (form.architectures, form.arches) {
        (Some(list), _) => list,
        (None, Some(list)) if list.is_empty() => list,
        (None, Some(list)) => {
            oddities.push(Oddity::Arches);
            list
        }
        (None, None) => Vec::new(),
    };
    let base = Event {
        id: form.id.number(),
        action,
        architectures,
        inputs: Vec::new(),
        outputs: Vec::new(),
        from: form.initial_release.map(Release::from),
        to: form.release.map_or(Release { major: 0, minor: 0 }, Release::from),
        place: source.place(piece),
        oddities,
    };
    let (inputs, outputs) = (listed(form.in_packageset), listed(form.out_packageset));
    let map = stream_map(form.modulestream_maps.unwrap_or_default(), &inputs);
    Ok((base.id, map.iter().map(|line| of_stream(&base, line, &inputs, &outputs)).collect()))
}

/// The map of an entry; where it has none, each stream of its inputs becomes none.
fn stream_map(form: Vec<StreamMapForm>, inputs: &[Listed]) -> StreamMap {
    let mut map = StreamMap::new();
    let mut add = |from: Option<Module>, to: Option<Module>| match map.iter_mut().find(|line| line.0 == from) {
        Some(line) => drop(line.1.insert(to)),
        None => map.push((from, BTreeSet::from([to]))),
    };
    if form.is_empty() {
        inputs.iter().flat_map(|input| &input.streams).for_each(|stream| add(stream.clone(), None));
    }
    let module = |stream: Option<StreamForm>| stream.as_ref().and_then(StreamForm::module);
    form.into_iter().for_each(|line| add(module(line.in_modulestream), module(line.out_modulestream)));
    map
}

/// The event of one line of the map.
fn of_stream(
    base: &Event,
    (from, to): &(Option<Module>, BTreeSet<Option<Module>>),
    inputs: &[Listed],
    outputs: &[Listed],
) -> Event {
    let mut event = base.clone();
    let package = |listed: &Listed, module: &Option<Module>| Package {
        name: listed.name.clone(),
        module: module.clone(),
        repository: listed.repository.clone(),
    };
    event.inputs =
        inputs.iter().filter(|input| input.streams.contains(from)).map(|input| package(input, from)).collect();
    if event.inputs.is_empty() {
        event.oddities.push(Oddity::NoInputInStream);
    }
    for output in outputs {
        let mut streams: Vec<&Option<Module>> = output.streams.iter().filter(|stream| to.contains(*stream)).collect();
        streams.sort();
        match streams.first() {
            Some(stream) => event.outputs.push(package(output, stream)),
            None => event.oddities.push(Oddity::OutputWithoutStream),
        }
        if streams.len() > 1 {
            event.oddities.push(Oddity::SeveralStreams);
        }
    }
    event.oddities.sort_unstable();
    event.oddities.dedup();
    event
}

fn listed(set: Option<SetForm>) -> Vec<Listed> {
    let mut list: Vec<Listed> = Vec::new();
    for package in set.map(|set| set.package).unwrap_or_default() {
        let streams = package.streams();
        let is_there = |other: &Listed| other.name == package.name && other.streams == streams;
        if !list.iter().any(is_there) {
            list.push(Listed { name: package.name, repository: package.repository, streams });
        }
    }
    list
}

impl PackageForm {
    fn streams(&self) -> Vec<Option<Module>> {
        let module = |stream: &StreamForm| stream.module();
        match &self.modulestreams {
            Some(streams) if !streams.is_empty() => {
                streams.iter().map(|stream| stream.as_ref().and_then(module)).collect()
            }
            _ => vec![self.modulestream.as_ref().or(self.module_stream.as_ref()).and_then(module)],
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
