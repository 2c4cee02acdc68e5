//! Files of one name that two packages bring, which one machine can have together.
//!
//! rpm refuses such a pair unless both files are equal. So the headers of the pairs are fetched and compared: two packages may
//! well share a file. What comes is compared with everything; what users have already, with what comes.
//!
//! Where there is more than the bounds let us look at, a finding says so: what could not be asked counts as found.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use anima_repodata::{FilelistsReader, PrimaryReader};
use anima_rpm_file::{File, FileKind, PackageInfo};
use anima_solver::{Place, Pool};
use anima_types::{Nevra, gate::Finding};
use tokio_util::sync::CancellationToken;

use super::{
    Gatherer,
    world::{Error, World},
};

/// What is looked into at most: a release in which more share files moves them from one package to another as a whole.
struct Bounds {
    /// Pairs that share paths, of which the solver is asked whether one machine can have both: each is one question.
    candidates: usize,
    /// Paths of all of these.
    paths: usize,
    /// Pairs that one machine can have together, whose headers are fetched.
    pairs: usize,
    /// The same of one package for two architectures: almost all share files, and they leave the others their places.
    twins: usize,
}

const BOUNDS: Bounds = Bounds { candidates: 10_000, paths: 2_000_000, pairs: 2_000, twins: 4_000 };
/// Paths that a finding names.
const MAX_NAMED: usize = 5;

/// Two packages with paths that both have.
#[derive(Debug)]
pub struct Pair {
    urls: [String; 2],
    of: Candidate,
}

/// Two packages that share paths, whether one machine can have both or not.
#[derive(Clone, Debug)]
struct Candidate {
    places: [Place; 2],
    is_twin: bool,
    paths: Vec<Arc<str>>,
}

/// What is to be compared, and what will not be.
#[derive(Debug, Default)]
pub struct Pairs {
    pairs: Vec<Pair>,
    /// Why something is not compared, in words.
    cuts: BTreeSet<String>,
}

impl Pairs {
    /// Adds those of another world.
    pub fn add(&mut self, other: Pairs) {
        self.pairs.extend(other.pairs);
        self.cuts.extend(other.cuts);
    }
}

/// Returns the pairs that one machine can have together and that share paths.
pub fn pairs(world: &World, pool: &mut Pool) -> Result<Pairs, Error> {
    let (candidates, mut cuts) = candidates(world, &BOUNDS)?;
    let places: Vec<[Place; 2]> = candidates.iter().map(|candidate| candidate.places.clone()).collect();
    let together = pool.together(&places, &world.gone)?;
    let (wanted, cut) = choose(candidates, &together, &BOUNDS);
    cuts.extend(cut);
    let urls = urls(world, wanted.iter().flat_map(|candidate| &candidate.places).cloned().collect())?;
    let pair = |of: Candidate| {
        let [one, other] = &of.places;
        let urls = [urls.get(one)?.clone(), urls.get(other)?.clone()];
        Some(Pair { urls, of })
    };
    Ok(Pairs { pairs: wanted.into_iter().filter_map(pair).collect(), cuts })
}

/// Returns what comes with all that has a path of it, and whether there is more.
fn candidates(world: &World, bounds: &Bounds) -> Result<(Vec<Candidate>, BTreeSet<String>), Error> {
    let mut owners: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
    let mut new: Vec<(Place, Nevra)> = Vec::new();
    for member in world.members.iter().filter(|member| member.url.is_none()) {
        let Some(reader) = member.filelists()? else { continue };
        for package in FilelistsReader::new(reader, &member.name) {
            let package = package?;
            for file in package.files.into_iter().filter(|file| file.kind == FileKind::File) {
                owners.entry(file.path.into()).or_default().push(new.len());
            }
            let place = Place { repository: member.name.clone(), nevra: package.nevra.to_string() };
            new.push((place, package.nevra));
        }
    }
    let (mut found, mut path_count, mut cuts) = (Vec::new(), 0, BTreeSet::new());
    for member in &world.members {
        let Some(reader) = member.filelists()? else { continue };
        for package in FilelistsReader::new(reader, &member.name) {
            let package = package?;
            let place = Place { repository: member.name.clone(), nevra: package.nevra.to_string() };
            if world.gone.contains(&place) {
                continue;
            }
            let mut shared: BTreeMap<usize, Vec<Arc<str>>> = BTreeMap::new();
            for file in package.files.iter().filter(|file| file.kind == FileKind::File) {
                let Some((path, owners)) = owners.get_key_value(file.path.as_str()) else { continue };
                for &owner in owners {
                    let (own, nevra) = &new[owner];
                    // Of two that both come, each pair once; versions of one package take each other's place.
                    let is_other = *own != place && (member.url.is_some() || *own < place);
                    let is_version = nevra.name == package.nevra.name && nevra.arch == package.nevra.arch;
                    if is_other && !is_version {
                        shared.entry(owner).or_default().push(path.clone());
                    }
                }
            }
            for (owner, paths) in shared {
                path_count += paths.len();
                if found.len() >= bounds.candidates || path_count > bounds.paths {
                    let (pairs, paths) = (bounds.candidates, bounds.paths);
                    cuts.insert(format!(
                        "more than {pairs} pairs of packages, or {paths} paths of them, are shared; not all were looked at"
                    ));
                    return Ok((found, cuts));
                }
                let (own, nevra) = &new[owner];
                let is_twin = nevra.name == package.nevra.name;
                found.push(Candidate { places: [own.clone(), place.clone()], is_twin, paths });
            }
        }
    }
    Ok((found, cuts))
}

/// Keeps what one machine can have together, within the bounds, and says where there is more.
fn choose(candidates: Vec<Candidate>, together: &[bool], bounds: &Bounds) -> (Vec<Candidate>, BTreeSet<String>) {
    let possible = candidates.into_iter().zip(together).filter_map(|(one, is_together)| is_together.then_some(one));
    let (mut twins, mut wanted): (Vec<Candidate>, Vec<Candidate>) = possible.partition(|one| one.is_twin);
    let mut cuts = BTreeSet::new();
    for (pairs, bound, what) in
        [(&mut wanted, bounds.pairs, "pairs of packages"), (&mut twins, bounds.twins, "packages for two architectures")]
    {
        if pairs.len() > bound {
            pairs.truncate(bound);
            cuts.insert(format!("more than {bound} {what} share files on one machine; not all were compared"));
        }
    }
    wanted.append(&mut twins);
    (wanted, cuts)
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
pub async fn compare(gatherer: &Gatherer, pairs: Pairs, cancel: &CancellationToken) -> Result<Vec<Finding>, Error> {
    let mut infos: BTreeMap<String, PackageInfo> = BTreeMap::new();
    let mut found: BTreeMap<String, Finding> = BTreeMap::new();
    for text in pairs.cuts {
        found.insert(text.clone(), Finding { text, ..Finding::default() });
    }
    for pair in pairs.pairs {
        for url in &pair.urls {
            if !infos.contains_key(url) {
                let (head, _) = gatherer.head(url, cancel).await?;
                infos.insert(url.clone(), head.info);
            }
        }
        let [one, other] = pair.urls.each_ref().map(|url| &infos[url]);
        let (ones, others) = (files(one), files(other));
        let is_equal = |path: &str| match (ones.get(path), others.get(path)) {
            (Some(left), Some(right)) => is_taken_once(one, other, left, right),
            _ => true,
        };
        let differ: Vec<&Arc<str>> = pair.of.paths.iter().filter(|path| !is_equal(path)).collect();
        if differ.is_empty() {
            continue;
        }
        let [nevra, with] = pair.of.places.each_ref().map(|place| place.nevra.clone());
        let named = differ.iter().take(MAX_NAMED).map(|path| &***path).collect::<Vec<_>>().join(", ");
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

fn files(info: &PackageInfo) -> HashMap<&str, &File> {
    info.files.iter().map(|file| (file.path.as_str(), file)).collect()
}

/// Returns whether rpm takes a path of two packages for the same file.
fn is_taken_once(one: &PackageInfo, other: &PackageInfo, left: &File, right: &File) -> bool {
    let path = left.path.as_str();
    // Of a 32-bit and a 64-bit program rpm takes the 64-bit one; that both are programs shows in where they are.
    let is_program = ["/bin/", "/sbin/", "/libexec/"].iter().any(|folder| path.contains(folder));
    if is_program && one.nevra.name == other.nevra.name && one.nevra.arch != other.nevra.arch {
        return true;
    }
    let look =
        |file: &File| (file.mode, file.digest.clone(), file.link_to.clone(), file.user.clone(), file.group.clone());
    look(left) == look(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(one: &str, other: &str, is_twin: bool) -> Candidate {
        let place = |nevra: &str| Place { repository: "r".into(), nevra: nevra.into() };
        Candidate { places: [place(one), place(other)], is_twin, paths: vec!["/usr/share/x".into()] }
    }

    #[test]
    fn only_pairs_of_one_machine_use_up_the_bound_and_what_is_not_compared_is_told() {
        let bounds = Bounds { candidates: 9, paths: 9, pairs: 1, twins: 1 };
        let all = ["a", "b", "c"].map(|name| candidate(name, "z", false)).to_vec();

        let (wanted, cuts) = choose(all.clone(), &[false, false, true], &bounds);
        assert_eq!((wanted[0].places[0].nevra.as_str(), wanted.len(), cuts.len()), ("c", 1, 0));

        let (wanted, cuts) = choose(all, &[false, true, true], &bounds);
        assert_eq!(wanted.len(), 1);
        let cuts: Vec<String> = cuts.into_iter().collect();
        assert_eq!(cuts, ["more than 1 pairs of packages share files on one machine; not all were compared"]);
    }

    #[test]
    fn twins_leave_the_others_their_places() {
        let bounds = Bounds { candidates: 9, paths: 9, pairs: 1, twins: 1 };
        let all = vec![candidate("a.i686", "a.x86_64", true), candidate("b", "c", false)];

        let (wanted, cuts) = choose(all, &[true, true], &bounds);

        assert_eq!((wanted.len(), cuts.len()), (2, 0));
    }
}
