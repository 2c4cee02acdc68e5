//! ELevate's hands: rehearses an upgrade in a layer over a root, commits that layer, and takes it back.
//!
//! ```text
//!   rehearse ──► layer over the root: one rpm transaction with scripts, no network; the root is proved unchanged
//!   act      ──► staging ─► keeping ─► replacing ─► done          journal and undo store in ROOT/.anima-elevate
//!   rollback ──►    └──────────┴───────────┴──────────┴──► restoring ─► restored
//! ```
//!
//! Killed at any instant, `resume` ends in exactly the new system, and `rollback` in exactly the old one: old files are
//! kept by a second name and come back with their own inodes.
//!
//! It refuses to plan (that is `elevate`'s), to fetch packages, and to work on a root that is not one file system.

mod commit;
mod entry;
mod error;
mod findings;
mod installer;
mod journal;
mod layer;
mod place;
mod rehearse;
mod restore;

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use error::At;
use journal::Journal;

pub use entry::{Entry, Kind, Manifest};
pub use error::Error;
pub use findings::{Finding, Level};
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
    /// How many paths change, of what was begun or rehearsed.
    pub change_count: usize,
    /// What can be done next.
    pub hint: String,
}

/// The upgrade of one root.
#[derive(Debug)]
pub struct Elevation {
    root: PathBuf,
    state: PathBuf,
}

impl Elevation {
    /// Opens a root; `state` is a folder that is not in it, or on another file system.
    pub fn open(root: &Path, state: &Path) -> Result<Elevation> {
        fs::create_dir_all(state).at("make", state)?;
        let whole = |path: &Path| path.canonicalize().at("find", path);
        Ok(Elevation { root: whole(root)?, state: whole(state)? })
    }

    /// Rehearses a transaction. `helper` is a program that calls [`anima_sandbox::init_main`].
    pub fn rehearse(&self, work: &Work, helper: &Path, watch: &mut dyn Watch) -> Result<Rehearsal> {
        let _lock = self.lock()?;
        self.must_be_root()?;
        self.must_be_one_file_system()?;
        let phase = Journal::read(&self.root)?.map(|journal| journal.phase);
        if let Some(phase) = phase.filter(|phase| *phase != Phase::Restored) {
            let hint = "`resume` or `rollback` what was begun, and `finish` it, first";
            return Err(Error::Phase { verb: "rehearse", phase: phase.name(), hint });
        }
        rehearse::rehearse(&self.root, &self.state, work, helper, watch)
    }

    /// Makes the rehearsed system the real one. If that cannot be, the root is the old one again.
    pub fn act(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        self.must_be_root()?;
        if let Some(journal) = Journal::read(&self.root)?.filter(|journal| journal.phase != Phase::Restored) {
            let hint = "`resume`, `rollback` or `finish`";
            return Err(Error::Phase { verb: "act", phase: journal.phase.name(), hint });
        }
        let rehearsal = rehearse::read(&self.state)?.ok_or(Error::NotRehearsed)?;
        if rehearsal.is_blocked() {
            let hint = "look at the findings that block, change what they say, and rehearse again";
            return Err(Error::Phase { verb: "act", phase: "blocked", hint });
        }
        self.must_be_as_rehearsed(&rehearsal.changes)?;
        self.must_have_room(&rehearsal.changes)?;
        journal::remove_store(&self.root, &mut ())?;
        let mut journal = Journal::begin(&self.root, rehearsal.changes, watch)?;
        self.forward(&mut journal, watch)
    }

    /// Goes on with what a process that was killed began, in the direction that it went.
    pub fn resume(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        match self.journal("resume")? {
            Some(mut journal) if journal.phase == Phase::Restoring => restore::backward(&mut journal, watch),
            Some(mut journal) if journal.phase != Phase::Restored => self.forward(&mut journal, watch),
            _ => Ok(()),
        }
    }

    /// Takes everything back, however far it went.
    pub fn rollback(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        let Some(mut journal) = self.journal("rollback")? else { return Ok(()) };
        restore::backward(&mut journal, watch)?;
        match restore::not_as_before(&self.root, &journal.changes)?.into_iter().next() {
            Some(path) => Err(Error::NotAsRehearsed { path }),
            None => Ok(()),
        }
    }

    /// Gives up what was rehearsed or begun, as long as nothing of the root was replaced.
    pub fn abort(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        if let Some(journal) = Journal::read(&self.root)?
            && !matches!(journal.phase, Phase::Staging | Phase::Keeping)
        {
            let hint = "`rollback` takes it back";
            return Err(Error::Phase { verb: "abort", phase: journal.phase.name(), hint });
        }
        journal::remove_store(&self.root, watch)?;
        rehearse::forget(&self.state)
    }

    /// Says goodbye to the way back, and frees what it takes.
    pub fn finish(&self, watch: &mut dyn Watch) -> Result<()> {
        let _lock = self.lock()?;
        if let Some(journal) = Journal::read(&self.root)?
            && !matches!(journal.phase, Phase::Done | Phase::Restored)
        {
            let hint = "`resume` or `rollback` first";
            return Err(Error::Phase { verb: "finish", phase: journal.phase.name(), hint });
        }
        journal::remove_store(&self.root, watch)?;
        rehearse::forget(&self.state)
    }

    /// Returns how it stands.
    pub fn status(&self) -> Result<Status> {
        let journal = Journal::read(&self.root)?;
        let rehearsal = rehearse::read(&self.state)?;
        let phase = journal.as_ref().map(|journal| journal.phase);
        let rehearsed_count = rehearsal.as_ref().map_or(0, |rehearsal| rehearsal.changes.len());
        let hint = match phase {
            None if rehearsal.is_some() => "`act` does it, `abort` forgets it",
            None => "`rehearse` it",
            Some(Phase::Staging | Phase::Keeping) => "the root is as it was: `resume` goes on, `abort` gives up",
            Some(Phase::Replacing) => "the root is neither old nor new: `resume` goes on, `rollback` takes it back",
            Some(Phase::Done) => "the root is new: `rollback` takes it back, `finish` frees what that takes",
            Some(Phase::Restoring) => {
                "the root is neither old nor new: `resume` or `rollback` takes it back to its end"
            }
            Some(Phase::Restored) => "the root is old: `finish` forgets the rest, `rehearse` begins anew",
        };
        Ok(Status {
            phase,
            is_rehearsed: rehearsal.is_some(),
            change_count: journal.map_or(rehearsed_count, |journal| journal.changes.len()),
            hint: hint.to_owned(),
        })
    }

    /// Returns the last rehearsal.
    pub fn rehearsal(&self) -> Result<Option<Rehearsal>> {
        rehearse::read(&self.state)
    }

    /// A failure on the way must not leave a system that is neither old nor new.
    fn forward(&self, journal: &mut Journal, watch: &mut dyn Watch) -> Result<()> {
        let failed = match commit::forward(journal, &rehearse::upper(&self.state), watch) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match journal.phase {
            Phase::Staging | Phase::Keeping => journal::remove_store(&self.root, &mut ())?,
            _ => restore::backward(journal, watch)?,
        }
        Err(failed)
    }

    fn journal(&self, verb: &'static str) -> Result<Option<Journal>> {
        match Journal::read(&self.root)? {
            Some(journal) => Ok(Some(journal)),
            // Killed before there was a journal: nothing was done.
            None if Journal::store_of(&self.root).exists() => {
                journal::remove_store(&self.root, &mut ())?;
                Ok(None)
            }
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

    /// The layer is one folder, and a rename stays on one file system.
    fn must_be_one_file_system(&self) -> Result<()> {
        let device = |path: &Path| fs::metadata(path).at("look at", path).map(|data| data.dev());
        if self.state.starts_with(&self.root) && device(&self.state)? == device(&self.root)? {
            let (state, root) = (self.state.display(), self.root.display());
            return Err(Error::Unsupported(format!(
                "make a layer over {root}: the state folder {state} is in it; name one on another file system with --state"
            )));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new).find(|mount| {
            let path = mount.strip_prefix(&self.root).unwrap_or(Path::new(""));
            let is_apart = WITHOUT.iter().any(|apart| path.starts_with(apart)) || self.state.starts_with(mount);
            !path.as_os_str().is_empty() && !is_apart
        });
        match below {
            Some(mount) => Err(Error::Unsupported(format!(
                "upgrade {}: {} is a file system of its own, and this backend works with one only",
                self.root.display(),
                mount.display()
            ))),
            None => Ok(()),
        }
    }

    fn must_be_as_rehearsed(&self, changes: &[Change]) -> Result<()> {
        let now = restore::not_as_before(&self.root, changes)?;
        match now.first() {
            Some(example) => Err(Error::Changed { count: now.len(), example: example.clone() }),
            None => Ok(()),
        }
    }

    fn must_have_room(&self, changes: &[Change]) -> Result<()> {
        let room = rustix::fs::statvfs(&self.root).at("look at the room of", &self.root)?;
        let free_bytes = room.f_bavail.saturating_mul(room.f_frsize);
        let size = |change: &Change| match change.after.as_ref().map(|after| &after.kind) {
            Some(Kind::File { size_bytes, .. }) if change.link_of.is_none() => *size_bytes,
            _ => 0,
        };
        let needed_bytes = changes.iter().map(size).sum::<u64>() + SPARE_BYTES;
        if needed_bytes > free_bytes {
            return Err(Error::Space { root: self.root.clone(), needed_bytes, free_bytes });
        }
        Ok(())
    }
}

/// What is mounted there is the kernel's or the running system's, and no package's.
const WITHOUT: [&str; 5] = ["proc", "sys", "dev", "run", "tmp"];
