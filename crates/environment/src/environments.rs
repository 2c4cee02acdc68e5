//! From wishes to a mounted root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anima_buildroot::{HostRpm, Layer, LayerPackage, Layers, LockInput, Most, Root};
use anima_sandbox::Emulator;
use anima_solver::{Lock, LockedPackage};
use anima_types::Arch;
use anima_types::diagnosis::Need;
use anima_types::dist_git::Algorithm;
use anima_types::platform::Bootstrap;
use anima_types::work::{Input, Usage};
use tokio_util::sync::CancellationToken;

use crate::condition;
use crate::makings::Makings;
use crate::metadata::below;
use crate::run::{blocking, usage_of};
use crate::solve::{self, Solutions, Solved};
use crate::trust;
use crate::who_has;
use crate::{Downloads, Emulators, Error, FileHash, Journal, Phases, Result, Wanted};

/// On a disk that is short of room, what was not used for so long goes first, then what was not used for the next. What was used
/// later may be in the hands of a task that is just making its root.
const SPARED_WHEN_SHORT: [Duration; 4] = [
    Duration::from_secs(7 * DAY_SECS),
    Duration::from_secs(DAY_SECS),
    Duration::from_secs(DAY_SECS / 4),
    Duration::from_secs(DAY_SECS / 24),
];
/// A maker that was stopped is gone within a moment; who waits for another process's maker does not wait for that.
const STOPPING_LIMIT: Duration = Duration::from_secs(10);
const DAY_SECS: u64 = 24 * 60 * 60;
/// The caches are swept this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The room on the disk is looked at this often: it costs nothing, and a large build may take it in a few minutes.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Tells the root whose rpm makes the others from one of the same packages that is built in.
pub(crate) const BOOTSTRAP: &str = " bootstrap";
/// A solution that was not used for so long is solved again.
const KEEP_SOLUTIONS: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Makes environments, and keeps what the next ones may need.
#[derive(Debug)]
pub struct Environments {
    dir: PathBuf,
    downloads: Downloads,
    solutions: Solutions,
    layers: Arc<Layers>,
    makings: Makings,
    emulators: Emulators,
    budget: Budget,
}

/// How much is kept on the disk for later tasks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// Layers.
    pub layer_bytes: u64,
    /// Packages and metadata.
    pub download_bytes: u64,
}

impl Default for Budget {
    fn default() -> Budget {
        // Some hundred of different BuildRequires; and a distribution's buildroots use around 2 GB of packages.
        Budget { layer_bytes: 40 << 30, download_bytes: 20 << 30 }
    }
}

/// What an environment is to contain.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// The platform's name: layers of two platforms are never shared.
    pub platform: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// Where packages come from.
    pub inputs: &'a [Input],
    /// What every environment of this kind has: a layer of its own.
    pub base: &'a [String],
    /// What this one needs besides.
    pub extra: &'a [String],
    /// Packages that must not be chosen: names, or patterns of them.
    pub exclude: &'a [String],
    /// Modules that are enabled, each with its stream.
    pub modules: &'a [String],
    /// Whether documentation is left out, as in buildroots.
    pub without_docs: bool,
    /// Whose rpm installs all this.
    pub bootstrap: Bootstrap,
    /// What installing may take, with the packages' scripts.
    pub most: Most,
}

/// A mounted root and what is in it. Dropping it unmounts it and removes what was written.
#[derive(Debug)]
pub struct Environment {
    root: Root,
    /// Exactly which packages are installed.
    pub lock: Lock,
    /// The same as the artifact is written.
    pub lock_json: String,
    /// Whether all layers were there already.
    pub layers_hit: bool,
    /// What runs its programs, where the machine's processor does not.
    pub emulators: Vec<Emulator>,
    /// How it was made, in a line.
    pub summary: String,
    /// How much of it was there already.
    usage: Usage,
}

/// The rpm that installs into the roots of some wishes.
#[derive(Debug)]
pub struct Installer {
    rpm: HostRpm,
    /// The root that it is of; it must not be swept before.
    _maker: Option<Layer>,
}

impl Installer {
    /// Returns the rpm.
    pub fn rpm(&self) -> &HostRpm {
        &self.rpm
    }
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Bytes of packages and metadata.
    pub download_bytes: u64,
    /// Bytes of layers.
    pub layer_bytes: u64,
    /// Layers.
    pub layer_count: u64,
    /// Roots and unfinished layers of processes that are gone.
    pub leftover_count: u64,
    /// Solutions and repositories in the solver's form.
    pub solution_count: u64,
}

impl<'a> From<Wishes<'a>> for solve::Wishes<'a> {
    fn from(wishes: Wishes<'a>) -> solve::Wishes<'a> {
        let Wishes { arch, inputs, base, extra, exclude, modules, .. } = wishes;
        solve::Wishes { arch, inputs, base, extra, exclude, modules }
    }
}

impl Environments {
    /// Opens the folder, and makes it when it is missing. Many processes may share it.
    pub fn open(dir: &Path, helper: &Path) -> Result<Environments> {
        Ok(Environments {
            dir: dir.to_owned(),
            downloads: Downloads::open(&dir.join("downloads"))?,
            solutions: Solutions::open(&dir.join("solutions"))?,
            layers: Arc::new(Layers::open(dir.join("roots"), helper)?),
            makings: Makings::default(),
            emulators: Emulators::default(),
            budget: Budget::default(),
        })
    }

    /// Reads repositories in folders of this machine, too (`file:///…`): see [`Downloads::with_folders`].
    pub fn with_folders(mut self) -> Environments {
        self.downloads = self.downloads.with_folders();
        self
    }

    /// Returns the layers, for roots that are kept.
    pub fn layers(&self) -> &Arc<Layers> {
        &self.layers
    }

    /// Makes environments of other architectures, too.
    pub fn with_emulators(self, emulators: Emulators) -> Environments {
        Environments { emulators, ..self }
    }

    /// Keeps so much.
    pub fn with_budget(self, budget: Budget) -> Environments {
        Environments { budget, ..self }
    }

    /// Returns what runs an architecture's programs here: nothing where the machine does it by itself.
    pub fn emulators(&self, arch: Arch) -> Result<Vec<Emulator>> {
        self.emulators.of(arch)
    }

    /// Returns the cache of files, for what else a task needs from elsewhere.
    pub fn downloads(&self) -> &Downloads {
        &self.downloads
    }

    /// Makes an environment: solves (phase `solve`), fetches what is missing and mounts (phase `buildroot`).
    pub async fn prepare(
        &self,
        wishes: Wishes<'_>,
        journal: &Journal,
        phases: &mut Phases,
        cancel: &CancellationToken,
    ) -> Result<Environment> {
        let emulators = self.emulators(wishes.arch)?;
        if let Some(emulator) = emulators.first() {
            journal.say(format!("emulated: {} programs run by {}", wishes.arch, emulator.interpreter.display()));
        }
        let solving = self.solutions.solve(wishes.into(), &self.downloads, cancel);
        let solved = phases.time("solve", solving).await?;
        if let Some(names) = trust::unchecked(&solved.whole.packages, wishes.inputs) {
            journal.say(format!(
                "packages of {names}: signatures are not checked: the platform names no gpg_keys for them"
            ));
        }
        let mut environment = phases.time("buildroot", self.make(wishes, solved, emulators, journal, cancel)).await?;
        phases.used("buildroot", environment.usage);
        let hit = if environment.layers_hit { "layer hit" } else { "layer made" };
        let (count, secs) = (environment.lock.packages.len(), phases.secs("solve") + phases.secs("buildroot"));
        let emulated = if environment.emulators.is_empty() { "" } else { ", emulated" };
        environment.summary = format!("buildroot: {count} packages, {hit}, {secs:.2} s{emulated}");
        journal.say(&environment.summary);
        Ok(environment)
    }

    /// Returns the rpm for further work on a root of these wishes: the same that made it, so that it finds the list of packages
    /// where, and in the format in which, that is.
    pub async fn installer(
        &self,
        wishes: Wishes<'_>,
        journal: &Journal,
        cancel: &CancellationToken,
    ) -> Result<Installer> {
        if wishes.bootstrap == Bootstrap::Host {
            return Ok(Installer { rpm: self.layers.rpm().clone(), _maker: None });
        }
        let solved = self.solutions.solve(wishes.into(), &self.downloads, cancel).await?;
        let (input, sources) = self.bootstrap_input(&wishes, &solved.base.packages, &self.emulators(wishes.arch)?)?;
        let asked = Asked { input, sources, parent: None, most: wishes.most };
        let maker = self.layer(asked, journal, cancel).await?.layer;
        Ok(Installer { rpm: self.layers.rpm_of(&maker)?, _maker: Some(maker) })
    }

    /// Solves and makes nothing: returns what an environment of these wishes would have.
    pub async fn solve(&self, wishes: Wishes<'_>, cancel: &CancellationToken) -> Result<Lock> {
        Ok(self.solutions.solve(wishes.into(), &self.downloads, cancel).await?.whole)
    }

    /// Returns for each need the packages of the repositories that have it, the likeliest first.
    pub async fn who_has(
        &self,
        arch: Arch,
        inputs: &[Input],
        needs: &[Need],
        cancel: &CancellationToken,
    ) -> Result<Vec<Vec<String>>> {
        who_has::who_has(arch, inputs, needs, (&self.downloads, self.solutions.pools()), cancel).await
    }

    /// Fetches packages of a list, for who installs them without a layer, and returns where they are, in the same order.
    pub async fn packages(
        &self,
        packages: &[LockedPackage],
        inputs: &[Input],
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>> {
        let sources = packages.iter().map(|package| source(package, inputs)).collect::<Result<Vec<_>>>()?;
        let wanted: Vec<Wanted> = sources.iter().map(|source| source.wanted.clone()).collect();
        let paths = self.downloads.get_all(&wanted, cancel).await?;
        let checked: Vec<_> = sources.into_iter().zip(paths.clone()).collect();
        blocking(move || check_signatures(&checked)).await?;
        Ok(paths)
    }

    /// Removes the roots and unfinished layers of processes that are gone, and nothing that was made; returns how many.
    pub fn sweep_leftovers(&self) -> Result<u64> {
        Ok(self.layers.sweep_leftovers()?)
    }

    /// Removes what was least recently used, and what processes left that are gone. Where the disk is short of room, less is kept:
    /// a node that is unfit because of what it may need some day does nothing.
    pub fn sweep_once(&self, now: SystemTime) -> Result<Swept> {
        let layers = self.layers.sweep(now, self.budget.layer_bytes)?;
        let swept = Swept {
            download_bytes: self.downloads.sweep(now, self.budget.download_bytes)?,
            solution_count: self.solutions.sweep(now - KEEP_SOLUTIONS)?,
            layer_bytes: layers.layer_bytes,
            layer_count: layers.layer_count,
            leftover_count: layers.leftover_count,
        };
        self.give_back(now, swept, &|| condition::is_short_of_room(&self.dir))
    }

    /// Removes what was not used for long, and then for less and less long, as long as there is too little room.
    fn give_back(&self, now: SystemTime, mut swept: Swept, is_short: &dyn Fn() -> bool) -> Result<Swept> {
        for unused_for in SPARED_WHEN_SHORT {
            if !is_short() {
                break;
            }
            let layers = self.layers.sweep_unused(now, unused_for)?;
            swept.layer_bytes += layers.layer_bytes;
            swept.layer_count += layers.layer_count;
            swept.download_bytes += self.downloads.sweep_unused(now, unused_for)?;
        }
        Ok(swept)
    }

    /// Waits until the caches are to be swept again: an hour, or until the disk is short of room.
    pub async fn until_next_sweep(&self) {
        let began = Instant::now();
        while began.elapsed() < SWEEP_INTERVAL {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if condition::is_short_of_room(&self.dir) {
                return;
            }
        }
    }

    async fn make(
        &self,
        wishes: Wishes<'_>,
        solved: Solved,
        emulators: Vec<Emulator>,
        journal: &Journal,
        cancel: &CancellationToken,
    ) -> Result<Environment> {
        let (mut parent, mut layers_hit, mut usage) = (None, true, Usage::default());
        let maker = match wishes.bootstrap {
            Bootstrap::Host => None,
            Bootstrap::Own => Some(self.bootstrap_input(&wishes, &solved.base.packages, &emulators)?),
        };
        for packages in layers_of(&solved) {
            let (mut input, sources) = self.layer_input(&wishes, &packages, &emulators)?;
            input.made_by = maker.as_ref().map(|(input, _)| input.layer_name(None)).transpose()?;
            let _maker = match (&maker, self.find_layer_on(&input, parent.as_ref()).await?) {
                (Some((input, sources)), None) => {
                    let (input, sources) = (input.clone(), sources.clone());
                    let asked = Asked { input, sources, parent: None, most: wishes.most };
                    let made = self.layer(asked, journal, cancel).await?;
                    usage = usage.and(made.used);
                    Some(made.layer)
                }
                _ => None,
            };
            let made = self.layer(Asked { input, sources, parent, most: wishes.most }, journal, cancel).await?;
            layers_hit &= made.is_hit;
            usage = usage.and(made.used).and(match made.is_hit {
                true => counted(1, 0),
                false => counted((packages.len() - made.fetched_count) as u64, 1 + made.fetched_count as u64),
            });
            parent = Some(made.layer);
        }
        let layer = parent.expect("a base list without packages is refused by the platform");
        Ok(Environment { usage, ..self.mount(layer, solved.whole, layers_hit).await? })
    }

    /// Mounts a clean root over a layer.
    pub(crate) async fn mount(&self, layer: Layer, lock: Lock, layers_hit: bool) -> Result<Environment> {
        let root = blocking(move || layer.mount()).await?;
        let (lock_json, emulators) = (lock.to_json(), self.emulators_for(&lock)?);
        let (summary, usage) = (String::new(), Usage::default());
        Ok(Environment { root, lock, lock_json, layers_hit, emulators, summary, usage })
    }

    /// Returns what runs the programs of a locked list; a list names an architecture that its repositories have.
    pub(crate) fn emulators_for(&self, lock: &Lock) -> Result<Vec<Emulator>> {
        lock.arch.parse().map_or_else(|_| Ok(Vec::new()), |arch| self.emulators(arch))
    }

    /// Returns a layer, if it is there.
    pub(crate) async fn find_layer_on(&self, input: &LockInput, parent: Option<&Layer>) -> Result<Option<Layer>> {
        let (layers, input, parent) = (Arc::clone(&self.layers), input.clone(), parent.cloned());
        Ok(blocking(move || layers.find(&input, parent.as_ref())).await?)
    }

    /// Makes a layer whose packages are here; returns what installing them used. It ends when nobody waits for it any more: what is
    /// cancelled runs nothing, and the room of its task on the machine is given to others.
    pub(crate) async fn make_layer(
        &self,
        input: LockInput,
        parent: Option<Layer>,
        most: Most,
        cancel: &CancellationToken,
    ) -> Result<(Layer, Usage)> {
        let waiter = self.makings.join(input.layer_name(parent.as_ref().map(Layer::name))?);
        let (layers, terms) = (Arc::clone(&self.layers), waiter.terms(most));
        let mut making = std::pin::pin!(blocking(move || layers.layer_on(&input, parent.as_ref(), &terms)));
        tokio::select! {
            made = &mut making => {
                let layer = made?;
                Ok((layer, waiter.took().as_ref().map(usage_of).unwrap_or_default()))
            }
            () = cancel.cancelled() => {
                if waiter.go() {
                    // What comes of it is of no account, only that nothing of it is left.
                    let _ = tokio::time::timeout(STOPPING_LIMIT, making).await;
                }
                Err(Error::Cancelled)
            }
        }
    }

    /// Returns a layer, which is made when it is not there.
    async fn layer(&self, asked: Asked, journal: &Journal, cancel: &CancellationToken) -> Result<Made> {
        let Asked { input, sources, parent, most } = asked;
        if let Some(layer) = self.find_layer_on(&input, parent.as_ref()).await? {
            return Ok(Made { layer, is_hit: true, fetched_count: 0, used: Usage::default() });
        }
        let wanted: Vec<Wanted> = sources.iter().map(|source| source.wanted.clone()).collect();
        let (count, bytes) = self.downloads.missing(&wanted);
        if count > 0 {
            journal.say(format!("buildroot: fetching {count} packages, {:.1} MB", bytes as f64 / 1e6));
        }
        let paths = self.downloads.get_all(&wanted, cancel).await?;
        let checked = sources.into_iter().zip(paths).collect::<Vec<_>>();
        tokio::select! {
            are_signed = blocking(move || check_signatures(&checked)) => are_signed?,
            () = cancel.cancelled() => return Err(Error::Cancelled),
        }
        journal.say(format!("buildroot: installing {} packages into a new layer", wanted.len()));
        let (layer, used) = self.make_layer(input, parent, most, cancel).await?;
        Ok(Made { layer, is_hit: false, fetched_count: count, used })
    }

    /// Returns what the root is made from whose rpm makes the other layers.
    fn bootstrap_input(
        &self,
        wishes: &Wishes<'_>,
        packages: &[LockedPackage],
        emulators: &[Emulator],
    ) -> Result<(LockInput, Vec<Source>)> {
        let (mut input, sources) = self.layer_input(wishes, packages, emulators)?;
        input.configuration += BOOTSTRAP;
        Ok((input, sources))
    }

    /// Returns what the layer of these packages is made from, and the files that it takes.
    fn layer_input(
        &self,
        wishes: &Wishes<'_>,
        packages: &[LockedPackage],
        emulators: &[Emulator],
    ) -> Result<(LockInput, Vec<Source>)> {
        let sources = packages.iter().map(|package| source(package, wishes.inputs)).collect::<Result<Vec<_>>>()?;
        let layer_packages = packages.iter().zip(&sources).map(|(package, source)| LayerPackage {
            nevra: package.nevra(),
            sha256: package.checksum.clone(),
            path: self.downloads.place(&source.wanted.hash),
        });
        let macros = macros(wishes.without_docs);
        let mut configuration = format!("{} {}", wishes.platform, wishes.arch);
        // What nobody has checked is not taken for what was.
        if let Some(keys) = trust::name_of_keys(wishes.inputs) {
            configuration += &format!(" signed by {keys}");
        }
        let (packages, emulators) = (layer_packages.collect(), emulators.to_vec());
        Ok((LockInput { packages, configuration, macros, made_by: None, emulators }, sources))
    }
}

impl Environment {
    /// Returns where the root is mounted.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns the folder of the host that everything goes to that is written in the root.
    pub fn written(&self) -> PathBuf {
        self.root.written()
    }

    /// Unmounts the root and keeps what was written into it under a name: see [`anima_buildroot::Root::keep`].
    pub async fn keep(self, name: &str, about: &str) -> Result<()> {
        let (name, about) = (name.to_owned(), about.to_owned());
        blocking(move || self.root.keep(&name, &about)).await?;
        Ok(())
    }

    /// Copies the root as it is into a folder that is empty or not there.
    pub async fn copy_to(&self, folder: &Path) -> Result<()> {
        let (from, to) = (self.root().join("."), folder.to_owned());
        blocking(move || {
            std::fs::create_dir_all(&to).map_err(Error::file("make", &to))?;
            let copied = Command::new("cp").args(["--archive", "--reflink=auto", "--"]).arg(&from).arg(&to).output();
            let copied = copied.map_err(Error::file("copy the root to", &to))?;
            match copied.status.success() {
                true => Ok(()),
                false => {
                    let said = String::from_utf8_lossy(&copied.stderr).trim().to_owned();
                    Err(Error::file("copy the root to", &to)(std::io::Error::other(said)))
                }
            }
        })
        .await
    }

    /// Unmounts the root and removes what was written into it, beside the runtime.
    pub async fn remove(self) -> Result<()> {
        blocking(move || self.root.remove()).await?;
        Ok(())
    }
}

/// Returns how many things were there already and how many were not.
fn counted(hits: u64, misses: u64) -> Usage {
    Usage { cache_hits: Some(hits), cache_misses: Some(misses), ..Usage::default() }
}

/// Splits the list where it can be split: what every environment has, and what is put on top of it. Where the whole needs
/// another version of something below, it is one layer for itself.
fn layers_of(solved: &Solved) -> Vec<Vec<LockedPackage>> {
    let key = |package: &LockedPackage| (package.nevra(), package.checksum.clone());
    let base: BTreeSet<_> = solved.base.packages.iter().map(key).collect();
    let (below, above): (Vec<_>, Vec<_>) =
        solved.whole.packages.iter().cloned().partition(|package| base.contains(&key(package)));
    let lists = if below.len() == base.len() { vec![below, above] } else { vec![solved.whole.packages.clone()] };
    lists.into_iter().filter(|list| !list.is_empty()).collect()
}

/// Returns the macros that packages are installed with.
pub(crate) fn macros(without_docs: bool) -> BTreeMap<String, String> {
    without_docs.then(|| ("_excludedocs".to_owned(), "1".to_owned())).into_iter().collect()
}

/// A layer to have.
struct Asked {
    input: LockInput,
    /// Where its packages come from.
    sources: Vec<Source>,
    parent: Option<Layer>,
    most: Most,
}

/// A layer that is there.
struct Made {
    layer: Layer,
    /// Whether it was there before.
    is_hit: bool,
    /// How many packages were fetched, which only one that has to be made needs.
    fetched_count: usize,
    /// What installing used.
    used: Usage,
}

/// Where a package comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    nevra: String,
    pub wanted: Wanted,
    input: Input,
}

pub(crate) fn source(package: &LockedPackage, inputs: &[Input]) -> Result<Source> {
    let wanted = wanted(package, inputs)?;
    let input = inputs.iter().find(|input| input.name == package.repository).cloned().unwrap_or_default();
    Ok(Source { nevra: package.nevra(), wanted, input })
}

fn check_signatures(packages: &[(Source, PathBuf)]) -> Result<()> {
    let signed = packages.iter().filter(|(source, _)| !source.input.gpg_keys.is_empty());
    let signed: Vec<_> = signed.map(|(source, path)| (source.nevra.clone(), path.as_path(), &source.input)).collect();
    trust::check_packages(&signed)
}

fn wanted(package: &LockedPackage, inputs: &[Input]) -> Result<Wanted> {
    let wrong = |reason: String| Error::Metadata { name: package.repository.clone(), reason };
    let hash = FileHash::of_metadata(&package.checksum_type, &package.checksum)
        .filter(|hash| hash.algorithm == Algorithm::Sha256);
    let hash =
        hash.ok_or_else(|| wrong(format!("{} has no SHA-256, but a \"{}\"", package.nevra(), package.checksum_type)))?;
    let input = inputs.iter().find(|input| input.name == package.repository);
    let input = input.ok_or_else(|| wrong(format!("{} is of no repository of this task", package.nevra())))?;
    Ok(Wanted { url: below(&input.url, &package.location), hash, size_bytes: Some(package.size_bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> LockedPackage {
        LockedPackage {
            name: name.into(),
            epoch: 0,
            version: version.into(),
            release: "1".into(),
            arch: "noarch".into(),
            repository: "base".into(),
            location: format!("{name}.rpm"),
            checksum_type: "sha256".into(),
            checksum: "ab".repeat(32),
            size_bytes: 1,
        }
    }

    fn lock(packages: &[(&str, &str)]) -> Lock {
        Lock::new("x86_64", packages.iter().map(|(name, version)| package(name, version)).collect())
    }

    fn names(base: &[(&str, &str)], whole: &[(&str, &str)]) -> Vec<Vec<String>> {
        let lists = layers_of(&Solved { base: lock(base), whole: lock(whole) });
        lists.iter().map(|list| list.iter().map(LockedPackage::nevra).collect()).collect()
    }

    #[test]
    fn on_a_full_disk_what_was_used_longest_ago_goes_until_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let environments = Environments::open(dir.path(), Path::new("/nonexistent")).unwrap();
        let now = SystemTime::now();
        let path = |name: &str| dir.path().join("downloads").join(name);
        for (name, hours) in [("ancient", 24 * 30), ("old", 30), ("earlier", 3), ("now", 0)] {
            let file = std::fs::File::create(path(name)).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(now - Duration::from_secs(hours * 3600)).unwrap();
        }
        let sweep = |is_short: &dyn Fn() -> bool| environments.give_back(now, Swept::default(), is_short).unwrap();
        let left = || ["ancient", "old", "earlier", "now"].map(|name| path(name).exists());

        assert_eq!(sweep(&|| false), Swept::default());
        assert_eq!(sweep(&|| path("old").exists()).download_bytes, 20);
        assert_eq!(left(), [false, false, true, true]);
        assert_eq!(sweep(&|| true).download_bytes, 10);
        assert_eq!(left(), [false, false, false, true], "it may be in use");
    }

    #[test]
    fn the_caches_keep_what_they_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Environments::open(dir.path(), Path::new("/nonexistent")).unwrap();
        let now = SystemTime::now();
        open();
        for name in ["one", "two"] {
            let file = std::fs::File::create(dir.path().join("downloads").join(name)).unwrap();
            file.set_len(1000).unwrap();
            file.set_modified(now - Duration::from_secs(2 * DAY_SECS)).unwrap();
        }
        let swept = |download_bytes| {
            let budget = Budget { download_bytes, ..Budget::default() };
            open().with_budget(budget).sweep_once(now).unwrap().download_bytes
        };

        assert_eq!((swept(2000), swept(1500), swept(0)), (0, 1000, 1000));
    }

    #[test]
    fn what_comes_on_top_of_the_base_is_a_layer_of_its_own() {
        let split = names(&[("bash", "5"), ("gcc", "14")], &[("bash", "5"), ("gcc", "14"), ("jq", "1")]);

        assert_eq!(split, [vec!["bash-5-1.noarch", "gcc-14-1.noarch"], vec!["jq-1-1.noarch"]]);
        assert_eq!(names(&[("bash", "5")], &[("bash", "5")]), [["bash-5-1.noarch"]]);
    }

    #[test]
    fn a_base_that_would_have_to_change_is_not_built_upon() {
        let whole = names(&[("bash", "5"), ("gcc", "14")], &[("bash", "5"), ("gcc", "13"), ("jq", "1")]);

        assert_eq!(whole, [["bash-5-1.noarch", "gcc-13-1.noarch", "jq-1-1.noarch"]]);
    }

    #[test]
    fn a_package_is_fetched_from_the_repository_that_it_was_found_in() {
        let inputs = [Input { name: "base".into(), url: "http://h/base/".into(), priority: 99, ..Input::default() }];
        let elsewhere = LockedPackage { location: "https://cdn/x.rpm".into(), ..package("x", "1") };
        let unknown = LockedPackage { repository: "other".into(), ..package("x", "1") };
        let weak = LockedPackage { checksum_type: "md5".into(), ..package("x", "1") };

        assert_eq!(wanted(&package("x", "1"), &inputs).unwrap().url, "http://h/base/x.rpm");
        assert_eq!(wanted(&elsewhere, &inputs).unwrap().url, "https://cdn/x.rpm");
        assert!(wanted(&unknown, &inputs).is_err() && wanted(&weak, &inputs).is_err());
    }
}
