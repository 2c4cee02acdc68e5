//! The boot loader's entries: the new system is tried once, and what starts after that is the old one, until the new one was
//! found to be well.
//!
//! ```text
//!   prepare   kernel and initramfs of the old system are copied beside; entries `anima-elevate-old` and `anima-elevate-new`
//!   guard     the default is the old one, which also takes back what was cut off
//!   arm       the next start, and only that, is the new one
//!   confirm   the default is the new system's own entry
//!   disarm    everything is as it was
//! ```
//!
//! Each ends with all of it in its place on the disk, where a boot loader finds it that replays no log (`freeze`).
//!
//! It works on files: GRUB's environment block with entries of the Boot Loader Specification (Enterprise Linux 8 and later), or
//! systemd-boot's configuration with its counted entries. It refuses to write anything else of a boot loader.

mod entry;
mod freeze;
mod grubenv;
mod returner;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Watch,
    clones::{Clones, Side},
    error::{At, Error},
    findings::inside,
    journal::write_whole,
    layer::Change,
    mounts::Places,
};
use entry::BootEntry;
use grubenv::GrubEnv;

/// Our folder beside the entries' kernels.
const FOLDER: &str = "anima-elevate";
const OLD: &str = "anima-elevate-old";
const NEW: &str = "anima-elevate-new";
/// systemd-boot takes the try off the name by itself.
const NEW_COUNTED: &str = "anima-elevate-new+1";
const RETURNER: &str = "return.img";
const ENTRIES: &str = "loader/entries";
/// A kernel that cannot go on starts again after so many seconds.
const PANIC: &str = "panic=30";
/// The kernel's option that tells a trial.
const TRYING: &str = "anima.elevate=trying";
/// The kernel's option that tells that the old system is to come back.
pub(crate) const RETURN: &str = "anima.elevate=return";
/// Where GRUB's block is.
const BLOCKS: [&str; 2] = ["boot/grub2/grubenv", "boot/grub/grubenv"];
/// Where systemd-boot's partition is.
const PARTITIONS: [&str; 3] = ["boot", "efi", "boot/efi"];

/// A boot loader that we know.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Loader {
    /// GRUB, and where its block is.
    Grub(PathBuf),
    /// systemd-boot, and where its partition is.
    SystemdBoot(PathBuf),
}

impl Loader {
    /// Returns the one of a root.
    pub fn find(root: &Path) -> Option<Loader> {
        let below = |path: &Path| inside(root, path).and_then(|it| it.strip_prefix(root).ok().map(Path::to_owned));
        let has_entries = |partition: &str| root.join(partition).join(ENTRIES).is_dir();
        if has_entries("boot")
            && let Some(block) = BLOCKS.iter().find_map(|path| below(Path::new(path)))
        {
            return Some(Loader::Grub(block));
        }
        let partition =
            PARTITIONS.iter().find(|it| has_entries(it) && root.join(it).join("loader/loader.conf").is_file());
        partition.map(|partition| Loader::SystemdBoot(partition.into()))
    }

    /// Where kernels and entries are, below the root.
    pub fn partition(&self) -> &Path {
        match self {
            Loader::Grub(_) => Path::new("boot"),
            Loader::SystemdBoot(partition) => partition,
        }
    }

    /// The file that says what starts, below the root.
    pub fn choice(&self) -> PathBuf {
        match self {
            Loader::Grub(block) => block.clone(),
            Loader::SystemdBoot(partition) => partition.join("loader/loader.conf"),
        }
    }
}

/// How a new system is tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trial {
    loader: Loader,
    /// What starts when nothing is said, as it was.
    was: Option<String>,
    /// What starts when nothing is said, when all went well.
    becomes: Option<String>,
    old: BootEntry,
    new: BootEntry,
    /// The program that takes back, and its arguments.
    returner: Vec<String>,
}

impl Trial {
    /// Plans a trial from the entries that are there, and those that the upgrade brings; `text_of` reads a new file of it.
    pub fn plan(
        root: &Path,
        loader: Loader,
        clones: Option<&Clones>,
        changes: &[Change],
        text_of: &dyn Fn(&Change) -> Option<String>,
        returner: &[String],
    ) -> Result<Trial, Error> {
        let was = choice_of(root, &loader)?;
        let current = current(root, &loader, was.as_deref())?;
        let coming = newest(coming(&loader, changes, text_of));
        if coming.is_none() {
            must_stay(&loader, &current, changes)?;
        }
        let options = |entry: &BootEntry| expand(root, &loader, entry.get("options").unwrap_or_default());
        let side = |text: String, side| clones.map_or(text.clone(), |clones| clones.boot_options(&text, side));

        let mut old = current.clone();
        old.id = OLD.to_owned();
        let title = current.get("title").unwrap_or("the system").to_owned();
        let beside = |path: &String| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            format!("{folder}/{FOLDER}/{name}")
        };
        old.set("title", &[format!("{title} (before the upgrade)")]);
        old.set("linux", &current.get("linux").map(|path| beside(&path.to_owned())).into_iter().collect::<Vec<_>>());
        let mut images: Vec<String> = current.files().iter().skip(1).map(beside).collect();
        images.push(beside(&current.files().first().map_or(String::new(), |linux| with_name(linux, RETURNER))));
        old.set("initrd", &images);
        old.set("options", &[format!("{} {RETURN}", side(options(&current), Side::Old))]);
        old.set("sort-key", &["00-anima-1".to_owned()]);

        let mut new = coming.clone().unwrap_or_else(|| current.clone());
        new.id = if matches!(loader, Loader::Grub(_)) { NEW } else { NEW_COUNTED }.to_owned();
        new.set("title", &[format!("{} (tried once)", new.get("title").unwrap_or("the new system"))]);
        new.set("options", &[format!("{} {PANIC} {TRYING}", side(options(&new), Side::New))]);
        new.set("sort-key", &["00-anima-0".to_owned()]);

        let becomes = match clones {
            // Only our entry names the new volume.
            Some(Clones::Lvm(_)) => Some(NEW.to_owned()),
            _ => coming.map(|entry| entry.id).or_else(|| was.clone()),
        };
        Ok(Trial { loader, was, becomes, old, new, returner: returner.to_vec() })
    }

    /// Copies what the old system starts from, and writes both entries. The entry that is looked for comes last.
    pub fn prepare(&self, root: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
        let folder = root.join(self.loader.partition()).join(FOLDER);
        fs::create_dir_all(&folder).at("make", &folder)?;
        for path in self.old.files() {
            let to = self.on_disk(root, &path);
            let name = to.file_name().unwrap_or_default().to_owned();
            if name == RETURNER {
                write_whole(&to, &returner::archive(&self.returner)?)?;
                continue;
            }
            let from = folder.with_file_name(&name);
            write_whole(&to, &fs::read(&from).at("read", &from)?)?;
        }
        self.write(root, &self.new)?;
        self.write(root, &self.old)?;
        self.settle(root, watch)
    }

    /// Returns how much room that takes.
    pub fn needed_bytes(&self, root: &Path) -> Result<u64, Error> {
        let size = |path: &String| fs::metadata(self.on_disk(root, path)).map_or(0, |data| data.len());
        // Ours is not there yet; and what is there counts once more.
        let files = self.old.files();
        let kept = files.iter().filter_map(|path| {
            let name = path.rsplit_once('/')?.1;
            Some(size(&format!("/{name}")))
        });
        Ok(kept.sum::<u64>() + returner::archive(&self.returner)?.len() as u64)
    }

    /// Where that is, below the root.
    pub fn partition(&self) -> &Path {
        self.loader.partition()
    }

    /// From here on the old system starts, whatever happens.
    pub fn guard(&self, root: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
        if !self.file(root, OLD).exists() {
            return Ok(());
        }
        self.choose(root, Some(OLD), None)?;
        self.settle(root, watch)
    }

    /// The next start is the new system.
    pub fn arm(&self, root: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
        if matches!(self.loader, Loader::SystemdBoot(_)) {
            // A try that was used up has another name.
            self.write(root, &self.new)?;
        }
        self.choose(root, Some(OLD), Some(NEW))?;
        self.settle(root, watch)
    }

    /// The new system is the one that starts.
    pub fn confirm(&self, root: &Path, clones: Option<&Clones>, watch: &mut dyn Watch) -> Result<(), Error> {
        if let Some(clones) = clones {
            // After the switch it has the other name, and it is not tried any more.
            let mut stays = self.new.clone();
            let options = stays.get("options").unwrap_or_default().replace(&format!(" {PANIC} {TRYING}"), "");
            stays.set("options", &[clones.kept_options(&options)]);
            stays.id = NEW.to_owned();
            self.write(root, &stays)?;
        }
        self.choose(root, self.becomes.as_deref(), None)?;
        self.settle(root, watch)
    }

    /// Everything of the boot loader is as it was.
    pub fn disarm(&self, root: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
        self.choose(root, self.was.as_deref(), None)?;
        // What is named no more has to be so on the disk before it goes.
        self.settle(root, watch)?;
        self.remove(root, &[OLD, NEW])
    }

    /// Removes the old system's entry and its files.
    pub fn forget_old(&self, root: &Path) -> Result<(), Error> {
        let is_ours = self.becomes.as_deref() == Some(NEW);
        self.remove(root, if is_ours { &[OLD] } else { &[OLD, NEW] })
    }

    /// The file that says what starts: it is ours while the new system is tried.
    pub fn choice(&self) -> PathBuf {
        self.loader.choice()
    }

    fn settle(&self, root: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
        freeze::empty_log(&root.join(self.loader.partition()), watch)
    }

    fn remove(&self, root: &Path, ids: &[&str]) -> Result<(), Error> {
        let entries = root.join(self.loader.partition()).join(ENTRIES);
        for entry in fs::read_dir(&entries).at("list", &entries)? {
            let path = entry.at("list", &entries)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let id = name.trim_end_matches(".conf").split('+').next().unwrap_or_default();
            if ids.contains(&id) {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        let folder = root.join(self.loader.partition()).join(FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.at("remove", &folder),
        }
    }

    fn write(&self, root: &Path, entry: &BootEntry) -> Result<(), Error> {
        write_whole(&self.file(root, &entry.id), entry.print().as_bytes())
    }

    fn file(&self, root: &Path, id: &str) -> PathBuf {
        root.join(self.loader.partition()).join(ENTRIES).join(format!("{id}.conf"))
    }

    fn on_disk(&self, root: &Path, path: &str) -> PathBuf {
        root.join(below(&self.loader, path))
    }

    /// Says in one write what starts when nothing is said, and what the next time.
    fn choose(&self, root: &Path, default: Option<&str>, next: Option<&str>) -> Result<(), Error> {
        let path = root.join(self.loader.choice());
        match &self.loader {
            Loader::Grub(_) => {
                let mut env = read_block(&path)?;
                env.set("saved_entry", default);
                env.set("next_entry", next);
                let bytes = env.print().map_err(|reason| Error::Document { path: path.clone(), reason })?;
                write_whole(&path, &bytes)
            }
            // Without a default it starts the first entry that has tries left; ours are sorted before all others.
            Loader::SystemdBoot(_) => {
                let text = fs::read_to_string(&path).at("read", &path)?;
                let is_default = |line: &&str| line.split_whitespace().next() == Some("default");
                let mut lines: Vec<String> = text.lines().filter(|line| !is_default(line)).map(str::to_owned).collect();
                let ours = |id: &&str| [OLD, NEW].contains(id) && next.is_some();
                lines.extend(default.filter(|id| !ours(id)).map(|id| format!("default {id}.conf")));
                write_whole(&path, (lines.join("\n") + "\n").as_bytes())
            }
        }
    }
}

fn with_name(path: &str, name: &str) -> String {
    format!("{}/{name}", path.rsplit_once('/').map_or("", |(folder, _)| folder))
}

fn read_block(path: &Path) -> Result<GrubEnv, Error> {
    let bytes = fs::read(path).at("read", path)?;
    GrubEnv::parse(&bytes).map_err(|reason| Error::Document { path: path.to_owned(), reason })
}

/// What starts when nothing is said.
fn choice_of(root: &Path, loader: &Loader) -> Result<Option<String>, Error> {
    let path = root.join(loader.choice());
    Ok(match loader {
        Loader::Grub(_) => read_block(&path)?.get("saved_entry").map(str::to_owned),
        Loader::SystemdBoot(_) => {
            let text = fs::read_to_string(&path).at("read", &path)?;
            let value = |line: &str| {
                line.trim().strip_prefix("default").map(|it| it.trim().trim_end_matches(".conf").to_owned())
            };
            text.lines().find_map(value)
        }
    })
}

/// The entry that starts now.
fn current(root: &Path, loader: &Loader, default: Option<&str>) -> Result<BootEntry, Error> {
    let folder = root.join(loader.partition()).join(ENTRIES);
    let mut entries = Vec::new();
    for file in fs::read_dir(&folder).at("list", &folder)? {
        let path = file.at("list", &folder)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(id) = name.strip_suffix(".conf").filter(|id| !id.starts_with(FOLDER)) {
            entries.push(BootEntry::parse(id, &fs::read_to_string(&path).at("read", &path)?));
        }
    }
    let named = entries.iter().find(|entry| Some(entry.id.as_str()) == default).cloned();
    named.or_else(|| newest(entries)).ok_or_else(|| {
        Error::Unsupported(format!("try the new system: no entry is in {}; use --no-trial", folder.display()))
    })
}

/// The entries that an upgrade brings.
fn coming(loader: &Loader, changes: &[Change], text_of: &dyn Fn(&Change) -> Option<String>) -> Vec<BootEntry> {
    let folder = loader.partition().join(ENTRIES);
    let new = changes.iter().filter(|change| change.after.is_some() && change.path.parent() == Some(&folder));
    let entry = |change: &Change| {
        let id = change.path.file_name()?.to_str()?.strip_suffix(".conf")?;
        Some(BootEntry::parse(id, &text_of(change)?))
    };
    new.filter_map(entry).collect()
}

/// Without an entry of its own the new system is started by the one that is there: what that names may not go.
fn must_stay(loader: &Loader, current: &BootEntry, changes: &[Change]) -> Result<(), Error> {
    let entry = loader.partition().join(ENTRIES).join(format!("{}.conf", current.id));
    let files = current.files().into_iter().map(|path| below(loader, &path)).chain([entry]);
    let goes = |path: &PathBuf| changes.iter().any(|change| change.path == *path && change.after.is_none());
    match files.into_iter().find(goes) {
        None => Ok(()),
        Some(path) => Err(Error::Unsupported(format!(
            "try the new system: the upgrade takes away /{} and brings no entry that starts another kernel; install a kernel \
             of the target, or use --no-trial and write the entry yourself",
            path.display()
        ))),
    }
}

/// Where a path of an entry is, below the root: it counts from the top of the partition, or of the root where that has `/boot` itself.
fn below(loader: &Loader, path: &str) -> PathBuf {
    let partition = loader.partition();
    let path = Path::new(path.trim_start_matches('/'));
    partition.join(path.strip_prefix(partition).unwrap_or(path))
}

/// The one of the newest version; a rescue entry is none.
fn newest(entries: Vec<BootEntry>) -> Option<BootEntry> {
    let usable = entries.into_iter().filter(|entry| !entry.id.contains("rescue"));
    usable.max_by(|a, b| {
        let version = |entry: &BootEntry| parts(entry.get("version").unwrap_or(&entry.id));
        version(a).cmp(&version(b))
    })
}

/// Numbers and words of a version, so that 5.14 comes after 5.9.
fn parts(version: &str) -> Vec<(u64, String)> {
    let part = |part: &str| part.parse().map_or_else(|_| (0, part.to_owned()), |number| (number, String::new()));
    version.split(|byte: char| !byte.is_ascii_alphanumeric()).map(part).collect()
}

/// Enterprise Linux 8 has most options in GRUB's block.
fn expand(root: &Path, loader: &Loader, options: &str) -> String {
    let Loader::Grub(block) = loader else { return options.to_owned() };
    let Ok(env) = read_block(&root.join(block)) else { return options.to_owned() };
    let word = |word: &str| match word.strip_prefix('$') {
        Some(name) => env.get(name).unwrap_or_default().to_owned(),
        None => word.to_owned(),
    };
    let words: Vec<String> = options.split_whitespace().map(word).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Returns whether the entries are where old and new system both see them: not in the clone.
pub(crate) fn is_shared(loader: &Loader, places: &Places, is_cloned: bool) -> bool {
    !is_cloned || places.number_of(&loader.choice()) != 0
}
