//! ELevate's hands: rehearses an upgrade in a layer over a root, commits that layer, and takes it back.
//!
//! ```text
//!   rehearse ──► layer over the root: one rpm transaction with scripts, no network; the root is proved unchanged
//!   act      ──► staging ─► keeping ─► replacing ─► [trying] ─► done
//!   rollback ──►    └──────────┴───────────┴────────────┴────────┴──► restoring ─► restored
//! ```
//!
//! There are three backends behind the same journal: a clone of the root's btrfs subvolume or of its thin logical volume is
//! upgraded and becomes the root, or the layer is committed in place with an undo store. Killed at any instant, `resume` ends
//! in exactly the new system, and `rollback` in exactly the old one.
//!
//! It refuses to plan (that is `elevate`'s) and to fetch packages.

mod backend;
mod boot;
mod clones;
mod command;
mod commit;
mod entry;
mod error;
mod findings;
mod health;
mod home;
mod image;
mod installer;
mod journal;
mod layer;
mod mounts;
mod place;
mod rehearse;
mod restore;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use boot::{Loader, Trial};
use clones::{Cloned, Side};
use error::At;
use home::Home;
use journal::{Journal, Record};
use mounts::FileSystems;

pub use backend::{Backend, Offer};
pub use entry::{Entry, Kind, Manifest};
pub use error::Error;
pub use findings::{Finding, Level};
pub use health::{Rules, Sight, Verdict};
pub use journal::{Event, Phase, STORE};
pub use layer::Change;
pub use rehearse::{Package, Rehearsal, Work};

/// Another process that works on the root is waited for so long before that is said.
const BUSY_WAIT: std::time::Duration = std::time::Duration::from_millis(100);
/// It is looked at this often.
const BUSY_LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// Room that is left free for the running system while new files are staged.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;
/// Of a small file system not more than this part of it.
const SPARE_PART: u64 = 20;

/// Who follows the work.
pub trait Watch {
    /// A step of the journal is about to be done.
    fn step(&mut self) {}
    /// So much of the phase is done.
    fn progress(&mut self, _done: usize, _count: usize) {}
    /// The upgrade is in another phase.
    fn phase(&mut self, _phase: Phase) {}
    /// Something long begins.
    fn tell(&mut self, _what: &str) {}
}

impl Watch for () {}

/// How an upgrade stands.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its phase; none if nothing was begun.
    pub phase: Option<Phase>,
    /// Whether a rehearsal can be acted with.
    pub is_rehearsed: bool,
    /// By which way it was begun.
    pub backend: Option<Backend>,
    /// Ways to upgrade this root, the best first.
    pub offers: Vec<Offer>,
    /// How many paths change, of what was begun or rehearsed.
    pub change_count: usize,
    /// What can be done next.
    pub hint: String,
}

/// How an upgrade is to be done.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// By which way; none for the best one that is there.
    pub backend: Option<Backend>,
    /// A program and its arguments that calls [`Elevation::at_boot`] with the root that is appended, and so takes back from
    /// the initramfs what was cut off or failed. Without one the boot loader's entries are left alone.
    pub returner: Option<Vec<String>>,
}

/// The upgrade of one root.
#[derive(Debug)]
pub struct Elevation {
    root: PathBuf,
    state: PathBuf,
}

impl Elevation {
    /// Opens a root; `state` is a folder for what is rehearsed. Where that is in the root, the layer is in an image.
    pub fn open(root: &Path, state: &Path) -> Result<Elevation> {
        fs::create_dir_all(state).at("make", state)?;
        let whole = |path: &Path| path.canonicalize().at("find", path);
        Ok(Elevation { root: whole(root)?, state: whole(state)? })
    }

    /// Rehearses a transaction. `helper` is a program that calls [`anima_sandbox::init_main`].
    pub fn rehearse(&self, work: &Work, helper: &Path, watch: &mut dyn Watch) -> Result<Rehearsal> {
        let _lock = self.lock()?;
        self.must_be_root()?;
        let systems = FileSystems::of(&self.root, &self.state)?;
        let phase = self.read()?.map(|journal| journal.phase);
        if let Some(phase) = phase.filter(|phase| *phase != Phase::Restored) {
            let hint = "`resume` or `rollback` what was begun, and `finish` it, first";
            return Err(Error::Phase { verb: "rehearse", phase: phase.name(), hint });
        }
        rehearse::rehearse(&self.root, &self.state, &systems, work, helper, watch)
    }

    /// Returns the ways to upgrade this root, the best first.
    pub fn backends(&self) -> Result<Vec<Offer>> {
        backend::offers(&self.root, &FileSystems::of(&self.root, &self.state)?)
    }

    /// Makes the rehearsed system the real one. If that cannot be, the root is the old one again.
    pub fn act(&self, how: &How, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        self.must_be_root()?;
        if let Some(journal) = self.read()?.filter(|journal| journal.phase != Phase::Restored) {
            let hint = "`resume`, `rollback` or `finish`";
            return Err(Error::Phase { verb: "act", phase: journal.phase.name(), hint });
        }
        let rehearsal = rehearse::read(&self.state)?.ok_or(Error::NotRehearsed)?;
        if rehearsal.is_blocked() {
            let hint = "look at the findings that block, change what they say, and rehearse again";
            return Err(Error::Phase { verb: "act", phase: "blocked", hint });
        }
        let systems = FileSystems::of(&self.root, &self.state)?;
        if systems.places() != rehearsal.places {
            let why = "act: other file systems are mounted in the root than when it was rehearsed; rehearse again";
            return Err(Error::Unsupported(why.to_owned()));
        }
        self.must_be_as_rehearsed(&rehearsal)?;
        self.must_have_room(&rehearsal)?;
        self.forget_restored()?;
        let _image = image::Image::open(&self.state)?;
        let record = self.record(how, rehearsal, &systems)?;
        if let Some(trial) = &record.trial {
            self.must_have(&layer::join(&self.root, trial.partition()), trial.needed_bytes(&self.root)?)?;
        }
        let home = Home::of(&self.root, record.cloned.as_ref().map(|cloned| &cloned.clones))?;
        let journal = Journal::begin(&self.root, home, record, watch)?;
        self.forward(journal, watch)
    }

    /// Decides what is changed in place and what in a clone, and how it is tried.
    fn record(&self, how: &How, rehearsal: Rehearsal, systems: &FileSystems) -> Result<Record> {
        let (backend, clones) = backend::choose(how.backend, &self.root, systems)?;
        let places = rehearsal.places;
        let loader = Loader::find(&self.root).filter(|loader| boot::is_shared(loader, &places, clones.is_some()));
        let text_of = |change: &Change| fs::read_to_string(layer::layered(&places, change, &self.state)).ok();
        let trial = match (loader, &how.returner) {
            (Some(loader), Some(returner)) => {
                let changes = &rehearsal.changes;
                Some(Trial::plan(&self.root, loader, clones.as_ref(), changes, &text_of, returner)?)
            }
            _ => None,
        };
        // What starts is ours to say while the new system is tried.
        let is_ours = |change: &Change| trial.as_ref().is_some_and(|trial| trial.choice() == change.path);
        let in_clone = |change: &Change| clones.is_some() && places.number_of(&change.path) == 0;
        let changes = select(&rehearsal.changes, |change| !is_ours(change) && !in_clone(change));
        let cloned = clones.clone().map(|clones| Cloned { clones, changes: select(&rehearsal.changes, in_clone) });
        // Only of the system that runs can be seen what it does.
        let sight = (self.root == Path::new("/")).then(|| Sight::that_comes_back(&self.root));
        Ok(Record { backend, places, changes, cloned, trial, sight })
    }

    /// Goes on with what a process that was killed began, in the direction that it went.
    pub fn resume(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        let _image = image::Image::open(&self.state)?;
        match self.journal("resume")? {
            Some(mut journal) if journal.phase == Phase::Restoring => restore::backward(&mut journal, watch),
            Some(journal) if journal.phase != Phase::Restored => self.forward(journal, watch),
            _ => Ok(()),
        }
    }

    /// Takes everything back, however far it went.
    pub fn rollback(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        let Some(mut journal) = self.journal("rollback")? else { return Ok(()) };
        restore::backward(&mut journal, watch)?;
        match restore::not_as_before(&self.root, &journal.record.changes, &journal.record.places)?.into_iter().next() {
            Some(path) => Err(Error::NotAsRehearsed { path }),
            None => Ok(()),
        }
    }

    /// Says that the new system, which was started to be tried, is well: it is the one that starts from now on.
    pub fn confirm(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        let Some(mut journal) = self.journal("confirm")? else { return Ok(()) };
        if journal.phase != Phase::Trying {
            let hint = "only what is tried can be found to be well";
            return Err(Error::Phase { verb: "confirm", phase: journal.phase.name(), hint });
        }
        commit::switch(&journal, Side::New, watch)?;
        if let Some(trial) = &journal.record.trial {
            watch.step();
            trial.confirm(&self.root, journal.record.cloned.as_ref().map(|cloned| &cloned.clones), watch)?;
        }
        journal.event(Event::Finished, watch)
    }

    /// Looks once whether the system that runs in the root is well.
    pub fn health_once(&self) -> Result<Vec<Verdict>> {
        let before = self.read()?.and_then(|journal| journal.record.sight).unwrap_or_default();
        Ok(Rules::of(&self.root)?.judge(&self.root, &before, &Sight::of(&self.root)))
    }

    /// What the initramfs does before a system starts: takes back what was cut off in the middle or is not well. `options` are
    /// the kernel's. Returns whether it did so.
    pub fn at_boot(&self, options: &str, watch: &mut dyn Watch) -> Result<bool> {
        let _mounted = mounts::mount_for_boot(&self.root, watch)?;
        let is_return = options.split_whitespace().any(|option| option == boot::RETURN);
        let goes_back = match self.read()?.map(|journal| journal.phase) {
            Some(Phase::Replacing | Phase::Restoring) => true,
            Some(Phase::Trying) => is_return,
            _ => false,
        };
        if goes_back {
            self.rollback(watch)?;
        }
        Ok(goes_back)
    }

    /// Gives up what was rehearsed or begun, as long as nothing of the root was replaced.
    pub fn abort(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        if let Some(journal) = self.read()? {
            if !matches!(journal.phase, Phase::Staging | Phase::Keeping) {
                let hint = "`rollback` takes it back";
                return Err(Error::Phase { verb: "abort", phase: journal.phase.name(), hint });
            }
            self.forget(journal, Side::New, watch)?;
        }
        self.forget_unbegun(watch)?;
        rehearse::forget(&self.state)
    }

    /// Says goodbye to the way back, and frees what it takes.
    pub fn finish(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        if let Some(journal) = self.read()? {
            let side = match journal.phase {
                Phase::Done => Side::Old,
                Phase::Restored => Side::New,
                phase => {
                    let hint = match phase {
                        Phase::Trying => "it is tried: restart, and `confirm` that it is well",
                        _ => "`resume` or `rollback` first",
                    };
                    return Err(Error::Phase { verb: "finish", phase: phase.name(), hint });
                }
            };
            self.forget(journal, side, watch)?;
        }
        self.forget_unbegun(watch)?;
        rehearse::forget_asker(&self.root)?;
        rehearse::forget(&self.state)
    }

    /// Removes a system that is not wanted, and the journal.
    fn forget(&self, journal: Journal, side: Side, watch: &mut dyn Watch) -> Result<()> {
        if let Some(cloned) = &journal.record.cloned {
            watch.step();
            cloned.clones.remove(side)?;
        }
        if let Some(trial) = &journal.record.trial {
            watch.step();
            match journal.phase {
                Phase::Done => trial.forget_old(&self.root)?,
                // It was disarmed when it was taken back.
                Phase::Restored => {}
                _ => trial.disarm(&self.root, watch)?,
            }
        }
        journal.remove(watch)
    }

    /// What was taken back is replaced by what begins.
    fn forget_restored(&self) -> Result<()> {
        if let Some(journal) = self.read()? {
            self.forget(journal, Side::New, &mut ())?;
        }
        self.forget_unbegun(&mut ())
    }

    /// Killed before there was a journal: nothing was done.
    fn forget_unbegun(&self, watch: &mut dyn Watch) -> Result<()> {
        let stores = self.stores()?;
        stores.iter().try_for_each(|store| journal::remove_store(store, watch))
    }

    /// All folders where stores and journals can be.
    fn stores(&self) -> Result<Vec<PathBuf>> {
        let systems = FileSystems::of(&self.root, &self.state)?;
        let in_place = systems.covered.iter().map(|system| layer::join(&self.root, &system.place).join(STORE));
        Ok(in_place.filter(|store| store.exists()).collect())
    }

    /// Returns how it stands.
    pub fn status(&self) -> Result<Status> {
        let journal = self.read()?;
        let rehearsal = rehearse::read(&self.state)?;
        let phase = journal.as_ref().map(|journal| journal.phase);
        let rehearsed_count = rehearsal.as_ref().map_or(0, |rehearsal| rehearsal.changes.len());
        let hint = match phase {
            None if rehearsal.is_some() => "`act` does it, `abort` forgets it",
            None => "`rehearse` it",
            Some(Phase::Staging | Phase::Keeping) => "the root is as it was: `resume` goes on, `abort` gives up",
            Some(Phase::Replacing) => "the root is neither old nor new: `resume` goes on, `rollback` takes it back",
            Some(Phase::Trying) => {
                "the next start is the new system, and the one after it the old one: restart, and `confirm` or `health --act`"
            }
            Some(Phase::Done) if journal.as_ref().is_some_and(|it| it.record.cloned.is_some()) => {
                "the new system is the one that starts: restart; `rollback` takes it back, `finish` removes the old one"
            }
            Some(Phase::Done) => "the root is new: `rollback` takes it back, `finish` frees what that takes",
            Some(Phase::Restoring) => {
                "the root is neither old nor new: `resume` or `rollback` takes it back to its end"
            }
            Some(Phase::Restored) => "the root is old: `finish` forgets the rest, `rehearse` begins anew",
        };
        Ok(Status {
            phase,
            is_rehearsed: rehearsal.is_some(),
            backend: journal.as_ref().map(|journal| journal.record.backend),
            offers: self.backends()?,
            change_count: journal.map_or(rehearsed_count, |journal| journal.record.change_count()),
            hint: hint.to_owned(),
        })
    }

    /// Returns the last rehearsal.
    pub fn rehearsal(&self) -> Result<Option<Rehearsal>> {
        rehearse::read(&self.state)
    }

    /// A failure on the way must not leave a system that is neither old nor new.
    fn forward(&self, mut journal: Journal, watch: &mut dyn Watch) -> Result<()> {
        // What is begun or gone on with was not told by a change of the phase.
        watch.phase(journal.phase);
        let Err(failed) = commit::forward(&mut journal, &self.state, watch) else { return Ok(()) };
        match journal.phase {
            // A disk that is full has no room for another word.
            Phase::Staging | Phase::Keeping => self.forget(journal, Side::New, &mut ())?,
            _ => restore::backward(&mut journal, &mut ())?,
        }
        Err(failed)
    }

    fn read(&self) -> Result<Option<Journal>> {
        Journal::read(&self.root, &self.state)
    }

    fn journal(&self, verb: &'static str) -> Result<Option<Journal>> {
        match self.read()? {
            Some(journal) => journal.must_be_mounted().map(|()| Some(journal)),
            None if !self.stores()?.is_empty() => self.forget_unbegun(&mut ()).map(|()| None),
            None => Err(Error::Phase { verb, phase: "not begun", hint: "see `status`" }),
        }
    }

    /// A program that this process starts has the lock, too, from its fork to its exec; that is over in a moment.
    fn lock(&self) -> Result<File> {
        let folder = File::open(&self.root).at("open", &self.root)?;
        let until = std::time::Instant::now() + BUSY_WAIT;
        loop {
            match rustix::fs::flock(&folder, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) if std::time::Instant::now() < until => {
                    std::thread::sleep(BUSY_LOOK);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy { root: self.root.clone() }),
                other => return other.at("lock", &self.root).map(|()| folder),
            }
        }
    }

    fn must_be_root(&self) -> Result<()> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Error::Unsupported("work on a root as an ordinary user: run it as root; nothing was changed".to_owned()))
    }

    fn must_be_as_rehearsed(&self, rehearsal: &Rehearsal) -> Result<()> {
        let now = restore::not_as_before(&self.root, &rehearsal.changes, &rehearsal.places)?;
        match now.first() {
            Some(example) => Err(Error::Changed { count: now.len(), example: example.clone() }),
            None => Ok(()),
        }
    }

    fn must_have_room(&self, rehearsal: &Rehearsal) -> Result<()> {
        let mut needed = BTreeMap::<PathBuf, u64>::new();
        for change in &rehearsal.changes {
            let new_bytes = match change.after.as_ref().map(|after| &after.kind) {
                Some(Kind::File { size_bytes, .. }) if change.link_of.is_none() => *size_bytes,
                _ => 0,
            };
            let place = rehearsal.places.of(&change.path);
            // Where there are no second names, old files are copied.
            let old_bytes = match change.before.as_ref().map(|before| &before.kind) {
                Some(Kind::File { size_bytes, .. }) if place.is_bare => *size_bytes,
                _ => 0,
            };
            *needed.entry(place.path.clone()).or_default() += new_bytes + old_bytes;
        }
        for (place, bytes) in needed {
            self.must_have(&layer::join(&self.root, &place), bytes)?;
        }
        Ok(())
    }

    fn must_have(&self, path: &Path, bytes: u64) -> Result<()> {
        let room = rustix::fs::statvfs(path).at("look at the room of", path)?;
        let (all_bytes, free_bytes) =
            (room.f_blocks.saturating_mul(room.f_frsize), room.f_bavail.saturating_mul(room.f_frsize));
        // A small `/boot` cannot spare what a root can.
        let needed_bytes = bytes + SPARE_BYTES.min(all_bytes / SPARE_PART);
        if needed_bytes > free_bytes {
            return Err(Error::Space { root: path.to_owned(), needed_bytes, free_bytes });
        }
        Ok(())
    }
}

/// Returns some of a list of changes; links to changes keep to them.
fn select(changes: &[Change], is_wanted: impl Fn(&Change) -> bool) -> Vec<Change> {
    let mut numbers = BTreeMap::new();
    let mut selected = Vec::new();
    for (number, change) in changes.iter().enumerate().filter(|(_, change)| is_wanted(change)) {
        numbers.insert(number, selected.len());
        let link_of = change.link_of.and_then(|first| numbers.get(&first).copied());
        selected.push(Change { link_of, ..change.clone() });
    }
    selected
}
