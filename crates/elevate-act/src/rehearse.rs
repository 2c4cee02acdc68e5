//! The whole transaction in a layer over the root, which stays as it is, and is proved to.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Watch,
    entry::{Entry, Manifest, sha256},
    error::{At, Error},
    findings::{self, Finding, Level},
    image::Image,
    installer::Installer,
    journal::{STORE, read_if_there, sync, write},
    layer::{Change, LAYER, Layers, changes},
    mounts::{FileSystems, Places, detach_all},
};

const REHEARSAL: &str = "rehearsal.json";
/// All that rpm and the scripts said.
const LOG: &str = "rpm.log";

/// Where a machine's own units are.
const UNITS: &str = "etc/systemd/system";
const WANTS: &str = "multi-user.target.wants";
/// The unit that asks whether the new system is well.
const ASKER: &str = "anima-elevate-health.service";
/// Where programs of a running system and its people write.
const LIVELY: [&str; 7] = ["var", "home", "root", "srv", "tmp", "run", "etc/resolv.conf"];
/// But nobody writes there meanwhile: rpm's list of packages.
const DATABASE: &str = "var/lib/rpm";

/// A package of the transaction.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Name, version, release and architecture.
    pub nevra: String,
    /// The file.
    pub path: PathBuf,
    /// What the plan says of its content; none where no plan was made.
    pub sha256: Option<String>,
}

/// What is to be done, and with what.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// What comes, in its order.
    pub install: Vec<Package>,
    /// NEVRAs of what goes and nothing takes the place of.
    pub erase: Vec<String>,
    /// A root of the target's packages whose rpm does it; none for the host's rpm.
    pub userspace: Option<PathBuf>,
    /// Packages without a signature of a key in the root's database are refused.
    pub wants_signatures: bool,
    /// A program and its arguments that the new system starts when it is up, to find out whether it is well.
    pub asker: Option<Vec<String>>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The file systems that it may write to.
    pub places: Places,
    /// What changes in the root.
    pub changes: Vec<Change>,
    /// What a person should know of, the worst first.
    pub findings: Vec<Finding>,
    /// What was installed.
    pub before: Vec<String>,
    /// What will be installed.
    pub after: Vec<String>,
    /// Files of the root that were compared, before and after, and are the same.
    pub unchanged_count: usize,
    /// Files that programs which run on the root wrote meanwhile. The transaction has nothing to do with them.
    pub changed_meanwhile: Vec<PathBuf>,
}

impl Rehearsal {
    /// Returns whether acting is refused.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Block)
    }
}

/// Reads the last rehearsal.
pub(crate) fn read(state: &Path) -> Result<Option<Rehearsal>, Error> {
    read_if_there(&state.join(REHEARSAL))
}

/// Forgets the last rehearsal and its layer. One that was killed left it mounted: what is removed through a mounted layer is
/// the root's, in whiteouts.
pub(crate) fn forget(state: &Path) -> Result<(), Error> {
    detach_all(&state.join(LAYER))?;
    Image::remove(state)?;
    for name in [REHEARSAL, LAYER] {
        let path = state.join(name);
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match gone {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.at("remove", &path)?,
        }
    }
    Ok(())
}

/// Rehearses; nothing of the root is written.
pub(crate) fn rehearse(
    root: &Path,
    state: &Path,
    systems: &FileSystems,
    work: &Work,
    helper: &Path,
    watch: &mut dyn Watch,
) -> Result<Rehearsal, Error> {
    compare(&work.install)?;
    forget(state)?;
    watch.tell("reading the root");
    let before = manifest(root, state, systems, watch)?;
    let layers = Layers::mount(root, state, systems)?;
    let merged = layers.merged();
    let installer = Installer::new(&state.join("rpm"), helper, work.userspace.as_deref(), work.wants_signatures)?;
    let installed = installer.installed(&merged)?;
    watch.tell("verifying the installed packages");
    let verified = installer.verify(&merged)?;
    let refusing = installer.probes(&merged)?;

    watch.tell("running the transaction in the layer");
    let log = state.join(LOG);
    let mut written = File::create(&log).at("write", &log)?;
    installer.transaction(&merged, &work.install, &work.erase, &mut written, watch)?;

    if let Some(asker) = &work.asker {
        install_asker(&merged, asker)?;
    }

    watch.tell("looking at the new system");
    let after = installer.installed(&merged)?;
    let said = String::from_utf8_lossy(&fs::read(&log).at("read", &log)?).into_owned();
    let mut findings = findings::after(&merged, &said, (&verified, &installer.verify(&merged)?));
    findings.extend(not_as_planned(work, &after));
    findings.extend(findings::probes(&refusing, &installer.probes(&merged)?));
    let _image = layers.unmount()?;
    let changes = changes(root, state, systems)?;
    findings.extend(findings::config(&changes));
    findings.extend(findings::foreign(&changes, &systems.foreign));
    findings.sort();

    watch.tell("proving that the root is as it was");
    let now = manifest(root, state, systems, watch)?;
    let changed_meanwhile = changed_meanwhile(&before.differences(&now), &changes)?;
    sync(&state.join(LAYER))?;
    sync(state)?;
    let unchanged_count = now.entries.len() - changed_meanwhile.len();
    let places = systems.places();
    let rehearsal =
        Rehearsal { places, changes, findings, before: installed, after, unchanged_count, changed_meanwhile };
    write(state, REHEARSAL, &rehearsal)?;
    Ok(rehearsal)
}

/// Reads everything that the root's file systems have, but for what is ours.
fn manifest(root: &Path, state: &Path, systems: &FileSystems, watch: &mut dyn Watch) -> Result<Manifest, Error> {
    let places: Vec<PathBuf> = systems.covered.iter().map(|system| system.place.clone()).collect();
    let mut without: Vec<PathBuf> = places.iter().map(|place| place.join(STORE)).collect();
    without.extend(state.strip_prefix(root).map(Path::to_owned));
    Manifest::read_all(root, &places, &without, &mut |done, count| watch.progress(done, count))
}

/// Programs of a running system write to their own folders all the time. What nobody but an upgrade changes has to be as it
/// was, and so has everything that the transaction changes.
fn changed_meanwhile(differences: &[PathBuf], changes: &[Change]) -> Result<Vec<PathBuf>, Error> {
    let is_lively = |path: &&PathBuf| {
        LIVELY.iter().any(|folder| path.starts_with(folder))
            && !path.starts_with(DATABASE)
            && changes.iter().all(|change| change.path != **path || change.after.as_ref().is_some_and(Entry::is_folder))
    };
    let strange: Vec<&PathBuf> = differences.iter().filter(|path| !is_lively(path)).collect();
    match strange.first() {
        Some(example) => Err(Error::Changed { count: strange.len(), example: (*example).clone() }),
        None => Ok(differences.to_vec()),
    }
}

/// The unit of the new system that asks whether it is well. Without systemd nobody asks.
fn install_asker(root: &Path, command: &[String]) -> Result<(), Error> {
    let folder = root.join(UNITS);
    if !root.join("usr/lib/systemd/systemd").exists() || !folder.is_dir() {
        return Ok(());
    }
    let text = format!(
        "[Unit]\nDescription=Asks whether the upgraded system is well\nAfter=multi-user.target\n\n\
         [Service]\nType=oneshot\nExecStart={}\n\n[Install]\nWantedBy=multi-user.target\n",
        command.join(" ")
    );
    let unit = folder.join(ASKER);
    fs::write(&unit, text).at("write", &unit)?;
    let wants = folder.join(WANTS);
    fs::create_dir_all(&wants).at("make", &wants)?;
    let link = wants.join(ASKER);
    match std::os::unix::fs::symlink(Path::new("/").join(UNITS).join(ASKER), &link) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.at("link", &link),
    }
}

/// Takes the unit away, when nothing is tried any more.
pub(crate) fn forget_asker(root: &Path) -> Result<(), Error> {
    let folder = root.join(UNITS);
    for path in [folder.join(WANTS).join(ASKER), folder.join(ASKER)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.at("remove", &path)?,
        }
    }
    Ok(())
}

/// Compares packages with the plan: a mirror that cut off, or a repository that went on, is found here.
fn compare(packages: &[Package]) -> Result<(), Error> {
    for package in packages {
        let found = sha256(&package.path)?;
        if let Some(planned) = package.sha256.as_ref().filter(|planned| **planned != found) {
            return Err(Error::Package { path: package.path.clone(), planned: planned.clone(), found });
        }
    }
    Ok(())
}

fn not_as_planned(work: &Work, after: &[String]) -> Vec<Finding> {
    let is_there = |nevra: &String| after.iter().any(|is| without_zero(is) == without_zero(nevra));
    let finding = |nevra: &String, text: &str| Finding {
        level: Level::Block,
        id: "not_as_planned".to_owned(),
        text: format!("{nevra} {text}"),
        remedy: "see rpm.log in the state folder".to_owned(),
    };
    let lacks = work.install.iter().map(|package| &package.nevra).filter(|nevra| !is_there(nevra));
    let stays = work.erase.iter().filter(|nevra| is_there(nevra));
    lacks
        .map(|nevra| finding(nevra, "is not installed after the transaction"))
        .chain(stays.map(|nevra| finding(nevra, "is still installed after the transaction")))
        .collect()
}

/// The epoch 0 is written, or not.
fn without_zero(nevra: &str) -> String {
    nevra.replacen("-0:", "-", 1)
}
