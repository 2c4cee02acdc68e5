//! Locks on layers, between threads and processes. Who dies lets go.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Error;
use crate::error::At;

/// A lock that was let go is held on by a program that another thread is just starting, until it has started; so one is looked at
/// a few times before its layer counts as used.
const LOOKS: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    /// Open as long as the lock is held.
    _file: File,
    path: PathBuf,
}

impl Hold {
    /// Waits until nobody makes or removes the layer, and keeps it so.
    pub(crate) fn shared(path: &Path) -> Result<Hold, Error> {
        Ok(Hold::take(path, FlockOperation::LockShared)?.expect("waited for"))
    }

    /// Keeps the layer, if nobody makes or removes it just now.
    pub(crate) fn try_shared(path: &Path) -> Result<Option<Hold>, Error> {
        Hold::take(path, FlockOperation::NonBlockingLockShared)
    }

    /// Waits until nobody uses the layer, and keeps it so.
    pub(crate) fn exclusive(path: &Path) -> Result<Hold, Error> {
        Ok(Hold::take(path, FlockOperation::LockExclusive)?.expect("waited for"))
    }

    /// Takes the layer for removal, if nobody uses it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Hold>, Error> {
        Hold::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// The same, with some looks in a short time.
    pub(crate) fn exclusive_soon(path: &Path) -> Result<Option<Hold>, Error> {
        for _ in 0..LOOKS {
            if let Some(hold) = Hold::try_exclusive(path)? {
                return Ok(Some(hold));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(None)
    }

    fn take(path: &Path, how: FlockOperation) -> Result<Option<Hold>, Error> {
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(path).at("open lock", path)?;
            match flock(&file, how) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error).at("lock", path),
            }
            // Between the two steps its last holder may have removed it.
            if is_same(&file, path) {
                return Ok(Some(Hold { _file: file, path: path.to_owned() }));
            }
        }
    }

    /// Removes the lock itself. Only an exclusive holder may.
    pub(crate) fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.path).at("remove lock", &self.path)
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    let ours = file.metadata().map(|it| (it.dev(), it.ino())).ok();
    ours.is_some() && ours == fs::metadata(path).map(|it| (it.dev(), it.ino())).ok()
}
