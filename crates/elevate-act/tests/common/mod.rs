//! A machine of Seed's first release in a folder, and the way to the second.
#![allow(dead_code, reason = "each test uses its part")]

pub mod tools;
pub mod vm;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anima_elevate_act::{Elevation, Manifest, Package, Rehearsal, STORE, Work};
use anima_seedling::{Arch, machine};
use tempfile::TempDir;

/// What goes on the way from the first release to the second.
pub const GONE: [&str; 5] = ["agent", "games", "old-ftp", "python2", "runtime-8"];
/// Packages of the second release that no plan has.
pub const TRAPS: [&str; 2] = ["clash", "refuser"];

/// XFS makes none that is smaller than 300 MiB; it is a file with holes.
const DISK_BYTES: u64 = 512 * 1024 * 1024;

pub fn helper() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_anima-elevate-act-test-helper"))
}

/// Returns the folder with the releases `1`, `2` and `sibling`.
pub fn machines() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seed");
    machine::make(&folder, Arch::of_this_program().unwrap()).unwrap()
}

/// File systems that are mounted until this is dropped, the last one first.
#[derive(Default)]
pub struct Mounts(Vec<PathBuf>);

impl Mounts {
    pub fn add(&mut self, arguments: &[&str], at: &Path) {
        fs::create_dir_all(at).unwrap();
        run(Command::new("mount").args(arguments).arg(at));
        self.0.push(at.to_owned());
    }

    /// Unmounts one. A process that was killed has a file of it open for a moment: so the place is free at once, and the file
    /// system goes when that process has.
    pub fn take(&mut self, at: &Path) {
        run(Command::new("umount").arg("--lazy").arg(at));
        self.0.retain(|place| place != at);
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for place in self.0.iter().rev() {
            let _ = Command::new("umount").arg(place).status();
        }
    }
}

/// A root, the state folder beside it, and copies of both.
pub struct World {
    pub mounts: Mounts,
    folder: TempDir,
    /// The disk that all of it is on, where that is one of its own.
    _disk: Option<TempDir>,
}

impl World {
    /// Installs the first release, and does to it what owners of machines do.
    pub fn new() -> World {
        World::make(tempfile::tempdir().unwrap(), Mounts::default(), None, |_, _| {})
    }

    /// The same in memory, where nothing waits for a disk: many upgrades are done there.
    pub fn in_memory() -> World {
        World::in_memory_on(|_, _| {})
    }

    /// The same on file systems that are mounted by `prepare`, at a folder `root`.
    pub fn in_memory_on(prepare: impl FnOnce(&Path, &mut Mounts)) -> World {
        World::make(tempfile::tempdir_in("/dev/shm").unwrap(), Mounts::default(), None, prepare)
    }

    /// The same, with all of it on one file system that a program makes.
    pub fn on(mkfs: &str) -> World {
        let memory = || tempfile::tempdir_in("/dev/shm").unwrap();
        let (folder, disk, mut mounts) = (memory(), memory(), Mounts::default());
        let image = disk.path().join("image");
        fs::File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
        run(Command::new(mkfs).arg("-q").arg(&image));
        mounts.add(&["-o", "loop", image.to_str().unwrap()], folder.path());
        World::make(folder, mounts, Some(disk), |_, _| {})
    }

    fn make(folder: TempDir, mounts: Mounts, disk: Option<TempDir>, prepare: impl FnOnce(&Path, &mut Mounts)) -> World {
        let mut world = World { mounts, folder, _disk: disk };
        let root = world.path("root");
        fs::create_dir(&root).unwrap();
        prepare(&root, &mut world.mounts);
        fs::set_permissions(&root, fs::Permissions::from_mode(0o555)).unwrap();
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(&root).args(["--define", "_dbpath /var/lib/rpm", "--noplugins", "-U"]);
        run(rpm.args(packages("1").iter().map(|package| &package.path)));
        fs::write(root.join("etc/configured.conf"), "colour = mine\n").unwrap();
        fs::write(root.join("etc/replaced.conf"), "size = mine\n").unwrap();
        fs::create_dir(root.join("home")).unwrap();
        fs::write(root.join("home/letter"), "dear").unwrap();
        // Where `/usr` is a file system of its own, there is no second name of its files elsewhere.
        let linked = root.join("home/linked");
        if fs::hard_link(root.join("usr/bin/mover"), &linked).is_err() {
            fs::copy(root.join("usr/bin/mover"), &linked).unwrap();
        }
        xattr::set(root.join("home/letter"), "user.note", b"kept").unwrap();
        xattr::set(root.join("usr/share"), "user.note", b"kept").unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn elevation(&self) -> Elevation {
        Elevation::open(&self.path("root"), &self.path("state")).unwrap()
    }

    pub fn rehearse(&self) -> Rehearsal {
        self.elevation().rehearse(&work("2"), helper(), &mut ()).unwrap()
    }

    /// Makes a copy of the root whose files are the same by hard links: an upgrade writes into no file.
    pub fn copy(&self) -> PathBuf {
        let copy = self.path("copy");
        if copy.exists() {
            fs::remove_dir_all(&copy).unwrap();
        }
        run(Command::new("cp").arg("-al").arg(self.path("root")).arg(&copy));
        copy
    }
}

/// Returns all packages of a release.
pub fn packages(release: &str) -> Vec<Package> {
    let mut packages = Vec::new();
    for repository in ["base", "extras"] {
        for entry in fs::read_dir(machines().join(release).join(repository)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(nevra) = name.strip_suffix(".rpm") {
                packages.push(Package { nevra: nevra.to_owned(), path, sha256: None });
            }
        }
    }
    packages.sort_by(|a, b| a.nevra.cmp(&b.nevra));
    packages
}

/// Returns the way from the first release to another.
pub fn work(release: &str) -> Work {
    let is_trap = |package: &Package| TRAPS.iter().any(|trap| package.nevra.starts_with(trap));
    let install: Vec<Package> = packages(release).into_iter().filter(|package| !is_trap(package)).collect();
    let goes = |package: &&Package| GONE.iter().any(|gone| package.nevra.starts_with(&format!("{gone}-1-")));
    let erase = packages("1").iter().filter(goes).map(|package| package.nevra.clone()).collect();
    Work { install, erase, ..Work::default() }
}

/// Writes the way to another release as the helper reads it, with packages in another folder.
pub fn list(release: &str, folder: &Path) -> String {
    let work = work(release);
    let there = |path: &Path| folder.join(path.strip_prefix(machines()).unwrap());
    let install = work.install.iter().map(|package| format!("install {}\n", there(&package.path).display()));
    install.chain(work.erase.iter().map(|nevra| format!("erase {nevra}\n"))).collect()
}

/// Reads everything of a root but the store of the upgrade, and the time of the folder that this is in.
pub fn manifest(root: &Path) -> Manifest {
    manifest_of(root, &[""])
}

/// The same for a root of several file systems, which are mounted at these places.
pub fn manifest_of(root: &Path, places: &[&str]) -> Manifest {
    let places: Vec<PathBuf> = places.iter().map(PathBuf::from).collect();
    let stores: Vec<PathBuf> = places.iter().map(|place| place.join(STORE)).collect();
    let mut manifest = Manifest::read_all(root, &places, &stores, &mut |_, _| {}).unwrap();
    for place in &places {
        manifest.entries.get_mut(place).unwrap().modified = (0, 0);
    }
    manifest
}

/// Starts the helper, which is killed before a step of that number.
pub fn act(verb: &str, root: &Path, state: &Path, kill_at: u64) -> Output {
    act_by("layer", verb, root, state, kill_at)
}

/// The same by one of the backends.
pub fn act_by(backend: &str, verb: &str, root: &Path, state: &Path, kill_at: u64) -> Output {
    act_with(&[backend], verb, root, state, kill_at)
}

/// The same with more arguments.
pub fn act_with(more: &[&str], verb: &str, root: &Path, state: &Path, kill_at: u64) -> Output {
    let mut command = Command::new(helper());
    command.arg(verb).args([root, state]).arg(kill_at.to_string()).args(more).output().unwrap()
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
