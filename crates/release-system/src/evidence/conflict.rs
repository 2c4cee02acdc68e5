//! Files of one name that two packages bring, which one machine can have together.
//!
//! rpm refuses such a pair unless both files are equal. So the headers of the pairs are fetched and compared: two packages may
//! well share a file. What comes is compared with everything; what users have already, with what comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anima_repodata::{FilelistsReader, PrimaryReader};
use anima_rpm_file::{FileKind, PackageInfo};
use anima_solver::{Place, Pool};
use anima_types::{Nevra, gate::Finding};
use tokio_util::sync::CancellationToken;

use super::{
    Gatherer,
    world::{Error, World},
};

/// Pairs that are looked into: a release in which more share files moves them from one package to another as a whole.
const MAX_PAIRS: usize = 2_000;
/// Paths of a pair that are kept.
const MAX_PATHS: usize = 200;
/// Paths that a finding names.
const MAX_NAMED: usize = 5;

/// Two packages with paths that both have.
#[derive(Debug)]
pub struct Pair {
    places: [Place; 2],
    urls: [String; 2],
    paths: Vec<String>,
}

/// Returns the pairs that one machine can have together and that share paths.
pub fn pairs(world: &World, pool: &mut Pool) -> Result<Vec<Pair>, Error> {
    let mut owners: HashMap<String, Vec<usize>> = HashMap::new();
    let mut new: Vec<(Place, Nevra)> = Vec::new();
    for member in world.members.iter().filter(|member| member.url.is_none()) {
        let Some(reader) = member.filelists()? else { continue };
        for package in FilelistsReader::new(reader, &member.name) {
            let package = package?;
            for file in package.files.into_iter().filter(|file| file.kind == FileKind::File) {
                owners.entry(file.path).or_default().push(new.len());
            }
            let place = Place { repository: member.name.clone(), nevra: package.nevra.to_string() };
            new.push((place, package.nevra));
        }
    }
    let mut shared: BTreeMap<(usize, Place), Vec<String>> = BTreeMap::new();
    for member in &world.members {
        let Some(reader) = member.filelists()? else { continue };
        for package in FilelistsReader::new(reader, &member.name) {
            let package = package?;
            let place = Place { repository: member.name.clone(), nevra: package.nevra.to_string() };
            if world.gone.contains(&place) {
                continue;
            }
            for file in package.files.iter().filter(|file| file.kind == FileKind::File) {
                for &owner in owners.get(&file.path).into_iter().flatten() {
                    let (own, nevra) = &new[owner];
                    // Of two that both come, each pair once; versions of one package take each other's place.
                    let is_other = *own != place && (member.url.is_some() || *own < place);
                    let is_version = nevra.name == package.nevra.name && nevra.arch == package.nevra.arch;
                    if is_other && !is_version && shared.len() <= MAX_PAIRS {
                        let paths = shared.entry((owner, place.clone())).or_default();
                        if paths.len() < MAX_PATHS {
                            paths.push(file.path.clone());
                        }
                    }
                }
            }
        }
    }
    let places: Vec<[Place; 2]> = shared.keys().map(|(owner, place)| [new[*owner].0.clone(), place.clone()]).collect();
    let together = pool.together(&places, &world.gone)?;
    let wanted: Vec<([Place; 2], Vec<String>)> = places
        .into_iter()
        .zip(shared.into_values())
        .zip(together)
        .filter_map(|(pair, is_together)| is_together.then_some(pair))
        .collect();
    let urls = urls(world, wanted.iter().flat_map(|(places, _)| places).cloned().collect())?;
    let pair = |(places, paths): ([Place; 2], Vec<String>)| {
        let [one, other] = &places;
        let urls = [urls.get(one)?.clone(), urls.get(other)?.clone()];
        Some(Pair { places, urls, paths })
    };
    Ok(wanted.into_iter().filter_map(pair).collect())
}

/// Finds the addresses of packages.
fn urls(world: &World, wanted: BTreeSet<Place>) -> Result<BTreeMap<Place, String>, Error> {
    let mut urls = BTreeMap::new();
    for member in world.members.iter().filter(|member| wanted.iter().any(|place| place.repository == member.name)) {
        for package in PrimaryReader::new(member.primary()?, &member.name) {
            let package = package?;
            let place = Place { repository: member.name.clone(), nevra: package.nevra.to_string() };
            if wanted.contains(&place) {
                let own = || Some(format!("{}{}", world.artifacts_url, world.artifacts.get(&package.nevra)?));
                let url = member.package_url(&package.location).or_else(own);
                urls.extend(url.map(|url| (place, url)));
            }
        }
    }
    Ok(urls)
}

/// Fetches the headers of the pairs and returns those whose shared files differ.
pub async fn compare(gatherer: &Gatherer, pairs: Vec<Pair>, cancel: &CancellationToken) -> Result<Vec<Finding>, Error> {
    let mut infos: BTreeMap<String, PackageInfo> = BTreeMap::new();
    let mut found: BTreeMap<String, Finding> = BTreeMap::new();
    for pair in pairs {
        for url in &pair.urls {
            if !infos.contains_key(url) {
                let (head, _) = gatherer.head(url, cancel).await?;
                infos.insert(url.clone(), head.info);
            }
        }
        let [one, other] = pair.urls.each_ref().map(|url| &infos[url]);
        let differ: Vec<&String> = pair.paths.iter().filter(|path| !is_equal(one, other, path)).collect();
        if differ.is_empty() {
            continue;
        }
        let [nevra, with] = pair.places.each_ref().map(|place| place.nevra.clone());
        let named = differ.iter().take(MAX_NAMED).map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
        let more = match differ.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!("{nevra} and {with} have different files {named}{more}");
        let finding = Finding { text: text.clone(), package: Some(nevra), ..Finding::default() };
        found.insert(text, finding.with("with", with).with("paths", differ.len()));
    }
    Ok(found.into_values().collect())
}

/// Returns whether rpm takes a path of two packages for the same file.
fn is_equal(one: &PackageInfo, other: &PackageInfo, path: &str) -> bool {
    let find = |info: &PackageInfo| info.files.iter().find(|file| file.path == path).cloned();
    let (Some(left), Some(right)) = (find(one), find(other)) else { return true };
    // Of a 32-bit and a 64-bit program rpm takes the 64-bit one; that both are programs shows in where they are.
    let is_program = ["/bin/", "/sbin/", "/libexec/"].iter().any(|folder| path.contains(folder));
    if is_program && one.nevra.name == other.nevra.name && one.nevra.arch != other.nevra.arch {
        return true;
    }
    let look = |file: &anima_rpm_file::File| {
        (file.mode, file.digest.clone(), file.link_to.clone(), file.user.clone(), file.group.clone())
    };
    look(&left) == look(&right)
}
