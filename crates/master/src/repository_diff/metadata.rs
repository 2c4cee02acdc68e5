//! What the metadata beside that of the packages says differently.

use std::{collections::BTreeMap, fs::File, io::Read};

use anima_repodata::{Items, ItemsDiff, Modules, Part, Repomd, unpacked};
use anima_store::LocalFile;
use anima_types::{Sha256, repository_diff::MetadataChange};
use anyhow::Context as _;

const INDEX: &str = "repodata/repomd.xml";
/// An index at most.
const MAX_INDEX_BYTES: u64 = 1 << 20;
/// Advisories of all of a distribution's life, open.
const MAX_OPEN_BYTES: u64 = 256 << 20;

type Files = [(String, Sha256)];
type Place<'a> = &'a dyn Fn(Sha256) -> anyhow::Result<LocalFile>;

/// Returns what differs, kind by kind; kinds that are the same are left out.
pub fn changes(old: &Files, new: &Files, place: Place<'_>) -> anyhow::Result<Vec<MetadataChange>> {
    let (old, new) = (attached(old, place)?, attached(new, place)?);
    let mut changes = Vec::new();
    for (kind, named) in old.iter().chain(new.iter().filter(|(kind, _)| !old.contains_key(*kind))) {
        if new.get(kind) == Some(named) && old.contains_key(kind) {
            continue;
        }
        let diff = diff(kind, old.get(kind), new.get(kind), place)?;
        if !diff.is_empty() {
            let ItemsDiff { added, removed, changed } = diff;
            changes.push(MetadataChange { what: kind.clone(), added, removed, changed });
        }
    }
    Ok(changes)
}

/// A file of metadata: its path, which tells how it is packed, and the artifact.
type Named = (String, Sha256);

/// Returns what an index names beside the packages, by its kind.
fn attached(files: &Files, place: Place<'_>) -> anyhow::Result<BTreeMap<String, Named>> {
    let Some((_, index)) = files.iter().find(|(path, _)| path == INDEX) else { return Ok(BTreeMap::new()) };
    let mut bytes = Vec::new();
    File::open(place(*index)?)?.take(MAX_INDEX_BYTES).read_to_end(&mut bytes)?;
    let records = Repomd::parse(&bytes)?.records.into_iter();
    let is_own = |kind: &str| Part::ALL.iter().any(|part| part.kind() == kind);
    let named = records.filter(|record| !is_own(&record.kind)).filter_map(|record| {
        let (path, sha256) = files.iter().find(|(path, _)| *path == record.location)?;
        Some((record.kind, (path.clone(), *sha256)))
    });
    Ok(named.collect())
}

fn diff(kind: &str, old: Option<&Named>, new: Option<&Named>, place: Place<'_>) -> anyhow::Result<ItemsDiff> {
    let bytes = |named: Option<&Named>| {
        let read = |(path, sha256): &Named| {
            let packed = std::fs::read(place(*sha256)?).with_context(|| format!("could not read {path}"))?;
            anyhow::Ok(unpacked(path, &packed, MAX_OPEN_BYTES)?)
        };
        named.map(read).transpose()
    };
    let (old, new) = (bytes(old)?, bytes(new)?);
    if old == new {
        return Ok(ItemsDiff::default());
    }
    match kind {
        "updateinfo" | "group" => {
            let list = |bytes: Option<Vec<u8>>| bytes.map_or(Ok(Items::default()), |bytes| Items::parse(&bytes, kind));
            Ok(list(old)?.diff(&list(new)?))
        }
        "modules" => {
            let list = |bytes: Option<Vec<u8>>| bytes.map_or(Ok(Modules::default()), |bytes| Modules::parse(&bytes));
            Ok(list(old)?.diff(&list(new)?))
        }
        _ => Ok(match (old, new) {
            (None, _) => ItemsDiff { added: vec![kind.to_string()], ..ItemsDiff::default() },
            (_, None) => ItemsDiff { removed: vec![kind.to_string()], ..ItemsDiff::default() },
            _ => ItemsDiff { changed: vec![kind.to_string()], ..ItemsDiff::default() },
        }),
    }
}
