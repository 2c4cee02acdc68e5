//! The whole transaction in a layer over the root, which stays as it is, and is proved to.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anima_buildroot::{Folders, Overlay};
use serde::{Deserialize, Serialize};

use crate::{
    Watch,
    entry::{Entry, Manifest, sha256},
    error::{At, Error},
    findings::{self, Finding, Level},
    installer::Installer,
    journal::{STORE, read_if_there, sync, write},
    layer::{Change, changes},
    place::dress,
};

const REHEARSAL: &str = "rehearsal.json";
/// All that rpm and the scripts said.
const LOG: &str = "rpm.log";

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
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
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
}

impl Rehearsal {
    /// Returns whether acting is refused.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Block)
    }
}

/// Where the rehearsed layer is.
pub(crate) fn upper(state: &Path) -> PathBuf {
    state.join("layer/upper")
}

/// Reads the last rehearsal.
pub(crate) fn read(state: &Path) -> Result<Option<Rehearsal>, Error> {
    read_if_there(&state.join(REHEARSAL))
}

/// Forgets the last rehearsal and its layer.
pub(crate) fn forget(state: &Path) -> Result<(), Error> {
    for name in [REHEARSAL, "layer"] {
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
    work: &Work,
    helper: &Path,
    watch: &mut dyn Watch,
) -> Result<Rehearsal, Error> {
    compare(&work.install)?;
    forget(state)?;
    watch.tell("reading the root");
    let before = Manifest::read(root, &[STORE.into()])?;
    let layer = Layer::mount(root, state)?;
    let merged = layer.merged();
    let installer = Installer::new(&state.join("rpm"), helper, work.userspace.as_deref(), work.wants_signatures)?;
    let installed = installer.installed(&merged)?;
    let verified = installer.verify(&merged)?;

    watch.tell("running the transaction in the layer");
    let log = state.join(LOG);
    installer.transaction(&merged, &work.install, &work.erase, &mut File::create(&log).at("write", &log)?)?;

    watch.tell("looking at the new system");
    let after = installer.installed(&merged)?;
    let said = String::from_utf8_lossy(&fs::read(&log).at("read", &log)?).into_owned();
    let mut findings = findings::after(&merged, &said, (&verified, &installer.verify(&merged)?));
    findings.extend(not_as_planned(work, &after));
    layer.unmount()?;
    let changes = changes(root, &upper(state))?;
    findings.extend(findings::config(&changes));
    findings.sort();

    watch.tell("proving that the root is as it was");
    let now = Manifest::read(root, &[STORE.into()])?;
    if let Some(example) = before.differences(&now).into_iter().next() {
        return Err(Error::Changed { count: before.differences(&now).len(), example });
    }
    sync(state)?;
    let unchanged_count = now.entries.len();
    let rehearsal = Rehearsal { changes, findings, before: installed, after, unchanged_count };
    write(state, REHEARSAL, &rehearsal)?;
    Ok(rehearsal)
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

/// An overlay over the root.
struct Layer {
    folder: PathBuf,
    overlay: Overlay,
}

impl Layer {
    fn mount(root: &Path, state: &Path) -> Result<Layer, Error> {
        let folder = state.join("layer");
        for name in ["upper", "work", "merged"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).at("make", &path)?;
        }
        // The top folder of an overlay is the upper one's.
        let upper = folder.join("upper");
        if let Some(top) = Entry::read(root)? {
            dress(&top, &upper)?;
        }
        let (work, merged) = (folder.join("work"), folder.join("merged"));
        let lowers = [root.to_owned()];
        let overlay = Overlay::mount(Folders { lowers: &lowers, upper: &upper, work: &work, target: &merged });
        Ok(Layer { folder, overlay: overlay.at("mount a layer over", root)? })
    }

    fn merged(&self) -> PathBuf {
        self.folder.join("merged")
    }

    fn unmount(self) -> Result<(), Error> {
        let merged = self.merged();
        self.overlay.unmount().at("unmount", &merged)
    }
}
