//! Programs of this machine in a root of Seed's machine, which has none, so that anima can work on itself there.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// What an upgrade of a running machine starts.
pub const PROGRAMS: [&str; 6] = ["rpm", "mount", "umount", "mkfs.ext4", "btrfs", "losetup"];
/// rpm's own configuration.
const FOLDERS: [&str; 1] = ["/usr/lib/rpm"];
/// Every Debian machine has these, and the machine's root none of them.
const LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
/// Where something is mounted when it runs.
const MOUNT_POINTS: [&str; 6] = ["proc", "sys", "dev", "run", "tmp", "state"];

/// Puts programs with their libraries into a root.
pub fn install(root: &Path, programs: &[&str]) {
    for name in MOUNT_POINTS {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in LINKS {
        fs::create_dir_all(root.join("usr").join(name)).unwrap();
        if !root.join(name).exists() {
            symlink(Path::new("usr").join(name), root.join(name)).unwrap();
        }
    }
    for program in programs {
        let path = find(program);
        put(root, &path, &Path::new("/usr/bin").join(path.file_name().unwrap()));
        for library in libraries(&path) {
            put(root, &library, &library);
        }
    }
    for folder in FOLDERS.iter().filter(|_| programs.contains(&"rpm")) {
        let target = root.join(folder.trim_start_matches('/'));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        super::run(Command::new("cp").arg("-a").arg(folder).arg(&target));
    }
}

/// Puts programs of unpacked packages, which are named by their paths there, into a root, with their libraries.
pub fn install_from(root: &Path, unpacked: &Path, programs: &[&str]) {
    let folders = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|folder| unpacked.join(folder));
    let search: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    for program in programs {
        let path = unpacked.join(program);
        put(root, &path, &Path::new("/usr/bin").join(path.file_name().unwrap()));
        for library in libraries_in(&path.canonicalize().unwrap(), &search.join(":")) {
            let place = library.strip_prefix(unpacked).map_or(library.clone(), |below| Path::new("/").join(below));
            put(root, &library, &place);
        }
    }
}

fn find(program: &str) -> PathBuf {
    if program.starts_with('/') {
        return program.into();
    }
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let path = folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    path.unwrap_or_else(|| panic!("{program} is not installed"))
}

fn libraries(program: &Path) -> Vec<PathBuf> {
    libraries_in(program, "")
}

fn libraries_in(program: &Path, search: &str) -> Vec<PathBuf> {
    let mut command = Command::new(program);
    let output = command.env("LD_TRACE_LOADED_OBJECTS", "1").env("LD_LIBRARY_PATH", search).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

/// Copies what is at a path here to a path there, through the links of the root.
fn put(root: &Path, from: &Path, to: &Path) {
    let to = root.join(to.strip_prefix("/").unwrap());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if !to.exists() {
        super::run(Command::new("cp").arg("-L").arg("--preserve=mode,timestamps").arg(from).arg(&to));
    }
}
