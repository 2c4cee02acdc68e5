//! Pushes, and other changes, that the master has still to be told of: one file each, written before the pusher is answered,
//! taken away when the master has it. So none is lost while the master is away, or when this service is killed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anima_types::push::{GitChanges, Push};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The form of the files.
const VERSION: u32 = 1;
/// Where pushes are that the master refuses for good.
const REFUSED: &str = "refused";
/// So many of them are kept: each is told of in the log as well, and who looks for a cause needs some.
const MAX_REFUSED: usize = 1_000;

/// The folder; names of files count up, so that their order is that of the pushes.
pub(crate) struct Outbox {
    folder: PathBuf,
    next: AtomicU64,
}

#[derive(Serialize, Deserialize)]
struct Letter {
    version: u32,
    #[serde(flatten)]
    word: Word,
}

/// What the master is told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Push(Push),
    Changes(GitChanges),
}

impl Word {
    /// Returns the package that it is about.
    pub fn package(&self) -> &str {
        match self {
            Word::Push(push) => &push.package,
            Word::Changes(changes) => &changes.package,
        }
    }
}

/// What the references of a repository were when the master was last told.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    version: u32,
    /// By their names below `refs/heads`.
    pub branches: BTreeMap<String, String>,
    /// Tags and others, by their full names. None where a version wrote it that did not look at them.
    #[serde(default)]
    pub others: Option<BTreeMap<String, String>>,
}

impl Seen {
    pub fn new(branches: BTreeMap<String, String>, others: BTreeMap<String, String>) -> Seen {
        Seen { version: VERSION, branches, others: Some(others) }
    }
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

    /// Writes down what is to be told; it is on the disk when this returns.
    pub fn put(&self, word: &Word) -> io::Result<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        write(&self.path(number), &Letter { version: VERSION, word: word.clone() })?;
        Ok(number)
    }

    /// Returns what the master has still to be told, the oldest first. What cannot be read is told in the log.
    pub fn waiting(&self) -> io::Result<Vec<(u64, Word)>> {
        let mut waiting = Vec::new();
        for number in numbers(&self.folder)? {
            match read::<Letter>(&self.path(number)) {
                Ok(letter) => waiting.push((number, letter.word)),
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

    /// Puts aside what the master will never take, so that it does not stop what comes after it. It is kept for whoever looks why,
    /// as one of the newest [`MAX_REFUSED`].
    pub fn set_aside(&self, number: u64) -> io::Result<()> {
        let (name, refused) = (file_name(number), self.folder.join(REFUSED));
        fs::rename(self.folder.join(&name), refused.join(&name))?;
        let mut numbers = numbers(&refused)?;
        numbers.sort_unstable();
        let too_many = numbers.len().saturating_sub(MAX_REFUSED);
        numbers[..too_many].iter().try_for_each(|&number| fs::remove_file(refused.join(file_name(number))))
    }

    /// Returns what a repository's references were when they were last written down. In one that is new there were none.
    pub fn seen(&self, repository: &str) -> Seen {
        read::<Seen>(&self.seen_path(repository)).unwrap_or_else(|_| Seen::new(BTreeMap::new(), BTreeMap::new()))
    }

    /// Writes down what a repository's references are, after what is to be told of them is.
    pub fn set_seen(&self, repository: &str, seen: &Seen) -> io::Result<()> {
        write(&self.seen_path(repository), seen)
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

    fn push(commit: &str) -> Word {
        let text = |text: &str| text.to_string();
        Word::Push(Push {
            package: text("a"),
            branch: text("s1"),
            commit: text(commit),
            subject: text("x"),
            pusher: text("p"),
            via: None,
            address: None,
        })
    }

    fn commit(word: Word) -> String {
        match word {
            Word::Push(push) => push.commit,
            Word::Changes(changes) => panic!("{changes:?}"),
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

        let waiting = outbox.waiting().unwrap().into_iter().map(|(_, word)| commit(word)).collect::<Vec<_>>();
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
        assert_eq!(commit(kept.word), "1");
    }

    #[test]
    fn of_what_was_put_aside_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let refused = folder.path().join(REFUSED);
        fs::create_dir(&refused).unwrap();
        for number in 1..=MAX_REFUSED as u64 {
            fs::write(refused.join(file_name(number)), "{}").unwrap();
        }
        let outbox = Outbox::open(folder.path()).unwrap();

        let newest = outbox.put(&push("1")).unwrap();
        outbox.set_aside(newest).unwrap();

        let kept = numbers(&refused).unwrap();
        assert_eq!((kept.len(), kept.iter().min(), kept.contains(&newest)), (MAX_REFUSED, Some(&2), true));
    }

    #[test]
    fn what_was_seen_is_remembered_for_each_repository() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        let branches = BTreeMap::from([("s1".to_string(), "c".to_string())]);

        let seen = Seen::new(branches.clone(), BTreeMap::new());

        outbox.set_seen("a", &seen).unwrap();

        assert_eq!(Outbox::open(folder.path()).unwrap().seen("a"), seen);
        assert!(outbox.seen("b").branches.is_empty());
        fs::write(folder.path().join("seen/c.json"), r#"{"version":1,"branches":{"s1":"c"}}"#).unwrap();
        let of_before = outbox.seen("c");
        assert_eq!((of_before.branches, of_before.others), (branches, None), "nobody looked at tags");
    }

    #[test]
    fn what_a_version_before_wrote_down_is_told() {
        let text = r#"{"version":1,"push":{"package":"a","branch":"s1","commit":"1","subject":"x","pusher":"p"}}"#;

        assert_eq!(serde_json::from_str::<Letter>(text).unwrap().word, push("1"));
    }
}
