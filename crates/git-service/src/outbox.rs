//! Pushes that the master has still to be told of: one file each, written before the pusher is answered, taken away when
//! the master has it. So no push is lost while the master is away, or when this service is killed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anima_types::push::Push;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The form of the files.
const VERSION: u32 = 1;
/// Where pushes are that the master refuses for good.
const REFUSED: &str = "refused";

/// The folder; names of files count up, so that their order is that of the pushes.
pub(crate) struct Outbox {
    folder: PathBuf,
    next: AtomicU64,
}

#[derive(Serialize, Deserialize)]
struct Letter {
    version: u32,
    push: Push,
}

/// What the branches of a repository were when the master was last told.
#[derive(Default, Serialize, Deserialize)]
struct Seen {
    version: u32,
    branches: BTreeMap<String, String>,
}

impl Outbox {
    pub fn open(folder: &Path) -> anyhow::Result<Outbox> {
        for path in [folder.to_path_buf(), folder.join("seen"), folder.join(REFUSED)] {
            fs::create_dir_all(&path).with_context(|| format!("could not create {}", path.display()))?;
        }
        let outbox = Outbox { folder: folder.to_path_buf(), next: AtomicU64::new(1) };
        let last = [folder.to_path_buf(), folder.join(REFUSED)]
            .iter()
            .map(|path| numbers(path))
            .collect::<io::Result<Vec<_>>>()?;
        outbox.next.store(last.concat().into_iter().max().unwrap_or(0) + 1, Ordering::Relaxed);
        Ok(outbox)
    }

    /// Writes a push down; it is on the disk when this returns.
    pub fn put(&self, push: &Push) -> io::Result<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        write(&self.path(number), &Letter { version: VERSION, push: push.clone() })?;
        Ok(number)
    }

    /// Returns what the master has still to be told, the oldest first. What cannot be read is told in the log.
    pub fn waiting(&self) -> io::Result<Vec<(u64, Push)>> {
        let mut waiting = Vec::new();
        for number in numbers(&self.folder)? {
            match read::<Letter>(&self.path(number)) {
                Ok(letter) => waiting.push((number, letter.push)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!("could not read push {number} of the outbox: {error}"),
            }
        }
        waiting.sort_by_key(|(number, _)| *number);
        Ok(waiting)
    }

    /// Takes away what the master has.
    pub fn delivered(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts aside what the master will never take, so that it does not stop what comes after it. It is kept for whoever looks why.
    pub fn set_aside(&self, number: u64) -> io::Result<()> {
        let name = file_name(number);
        fs::rename(self.folder.join(&name), self.folder.join(REFUSED).join(&name))
    }

    /// Returns what a repository's branches were when pushes were last written down.
    pub fn seen(&self, repository: &str) -> BTreeMap<String, String> {
        read::<Seen>(&self.seen_path(repository)).unwrap_or_default().branches
    }

    /// Writes down what a repository's branches are, after their pushes are.
    pub fn set_seen(&self, repository: &str, branches: BTreeMap<String, String>) -> io::Result<()> {
        write(&self.seen_path(repository), &Seen { version: VERSION, branches })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(file_name(number))
    }

    fn seen_path(&self, repository: &str) -> PathBuf {
        self.folder.join("seen").join(format!("{repository}.json"))
    }
}

fn file_name(number: u64) -> String {
    format!("{number:016}.json")
}

/// Returns the numbers of the pushes in a folder.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        numbers.extend(name.strip_suffix(".json").and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
}

/// Writes a file that is the old one or the new one, whole, whatever happens.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    serde_json::to_writer(&mut file, value).map_err(io::Error::other)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(commit: &str) -> Push {
        let text = |text: &str| text.to_string();
        Push {
            package: text("a"),
            branch: text("s1"),
            commit: text(commit),
            subject: text("x"),
            pusher: text("p"),
            via: None,
            address: None,
        }
    }

    #[test]
    fn pushes_wait_in_their_order_also_after_a_restart_until_they_are_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        let first = outbox.put(&push("1")).unwrap();
        outbox.put(&push("2")).unwrap();

        let outbox = Outbox::open(folder.path()).unwrap();
        outbox.put(&push("3")).unwrap();
        outbox.delivered(first).unwrap();

        let waiting = outbox.waiting().unwrap().into_iter().map(|(_, push)| push.commit).collect::<Vec<_>>();
        assert_eq!(waiting, ["2", "3"]);
    }

    #[test]
    fn a_push_that_is_put_aside_waits_no_more_and_its_number_is_not_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        let first = outbox.put(&push("1")).unwrap();

        outbox.set_aside(first).unwrap();

        let outbox = Outbox::open(folder.path()).unwrap();
        assert!(outbox.waiting().unwrap().is_empty());
        assert_eq!(outbox.put(&push("2")).unwrap(), first + 1);
        let kept: Letter = read(&folder.path().join(REFUSED).join(file_name(first))).unwrap();
        assert_eq!(kept.push.commit, "1");
    }

    #[test]
    fn what_was_seen_is_remembered_for_each_repository() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        let branches = BTreeMap::from([("s1".to_string(), "c".to_string())]);

        outbox.set_seen("a", branches.clone()).unwrap();

        assert_eq!(Outbox::open(folder.path()).unwrap().seen("a"), branches);
        assert!(outbox.seen("b").is_empty());
    }
}
