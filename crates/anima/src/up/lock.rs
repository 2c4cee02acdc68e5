//! One Anima at a time on a data folder.
//!
//! The lock belongs to an open file that the roles inherit: if the supervisor is killed, the next one waits until the
//! last role that works on the folder has ended, too.

use std::{
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;

use crate::{
    data::DataFolder,
    exit::{Failure, Result},
    role::Role,
};

/// Roles of a supervisor that was killed are told by the kernel at once; so long may they take to end.
const LEFT_OVER_LIMIT: Duration = Duration::from_secs(40);
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Takes the lock; it is held as long as any copy of the file is open.
pub fn take(data: &DataFolder) -> Result<OwnedFd> {
    let path = data.lock();
    let open = || fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let file = open().map_err(|error| Failure::config(format!("could not open {}: {error}", path.display())))?;
    let begin = Instant::now();
    while !try_lock(&file).map_err(|error| Failure::config(format!("could not lock {}: {error}", path.display())))? {
        let owner = data.read_running().map(|running| running.pid).filter(|pid| is_alive(*pid));
        if owner.is_some() || begin.elapsed() > LEFT_OVER_LIMIT {
            return Err(taken(data, owner));
        }
        std::thread::sleep(TRY_EVERY);
    }
    Ok(file.into())
}

/// Takes the lock of one role's folder: two of a kind in one folder would remove each other's work.
pub fn take_role(folder: &Path, role: Role) -> Result<OwnedFd> {
    let path = folder.join(format!("{}.lock", role.name()));
    fs::create_dir_all(folder)
        .map_err(|error| Failure::config(format!("could not create {}: {error}", folder.display())))?;
    let open = || fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = open().map_err(|error| Failure::config(format!("could not open {}: {error}", path.display())))?;
    match try_lock(&file) {
        Ok(true) => Ok(file.into()),
        Ok(false) => Err(Failure::config(format!("{} is in use by another {}", folder.display(), role.name()))
            .hint("stop that one first, or name another folder with --folder")),
        Err(error) => Err(Failure::config(format!("could not lock {}: {error}", path.display()))),
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A process that has ended stays known until its parent has asked for its end: that one does not count.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn taken(data: &DataFolder, owner: Option<u32>) -> Failure {
    let whom = owner.map_or_else(String::new, |pid| format!(" (process {pid})"));
    Failure::config(format!("data folder {} is in use by another Anima{whom}", data.path().display()))
        .hint("stop that one first, or name another folder with --data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Running, write_whole};

    #[test]
    fn a_second_anima_on_the_folder_is_refused_while_the_first_runs() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(Some(folder.path()));
        data.create().unwrap();
        let first = take(&data).unwrap();
        let running = Running { pid: std::process::id(), master_url: String::new(), git_url: String::new() };
        write_whole(&data.running(), &serde_json::to_string(&running).unwrap()).unwrap();

        let refused = take(&data).unwrap_err();
        drop(first);

        assert!(refused.message.contains("in use by another Anima"), "{}", refused.message);
        assert!(take(&data).is_ok());
    }

    #[test]
    fn what_a_killed_supervisor_left_behind_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(Some(folder.path()));
        data.create().unwrap();
        let left_over = take(&data).unwrap();
        let (begun, has_begun) = std::sync::mpsc::channel();

        let next = std::thread::spawn(move || {
            begun.send(()).unwrap();
            take(&data).is_ok()
        });
        has_begun.recv().unwrap();
        drop(left_over);

        assert!(next.join().unwrap());
    }
}
