//! What to run and what it may see: plain data that travels to the helper as JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Emulator, Error};

/// The version of [`Spec`] that this library writes and reads; helper and caller are usually one binary.
pub(crate) const VERSION: u32 = 3;

/// Longest run that is allowed without saying so: the slowest packages of a distribution take most of a day.
const DEFAULT_WALL: Duration = Duration::from_secs(24 * 60 * 60);
/// Enough for a parallel build of the largest packages, too few for a fork bomb to hurt the host.
const DEFAULT_PIDS: u64 = 16_384;
/// A log that is longer than this is a loop.
const DEFAULT_LOG_BYTES: u64 = 256 * 1024 * 1024;
/// Larger than any one file that a package build leaves behind.
const DEFAULT_FILE_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// What builds expect of a server; some test suites try to open "all" of them, so not a million.
const DEFAULT_OPEN_FILES: u64 = 65_536;

/// A command, the root it runs in, and everything it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub(crate) version: u32,
    /// The directory that becomes `/`.
    pub root: PathBuf,
    /// Whether the command may change the root.
    pub root_access: Access,
    /// Program and arguments. A program without a slash is looked for in `PATH` of [`Spec::env`], inside the root.
    pub command: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Where the command starts, inside the root.
    pub cwd: PathBuf,
    /// Who the command runs as.
    pub identity: Identity,
    /// What is mounted besides `/proc`, `/dev`, `/sys` and `/run`, in this order.
    pub mounts: Vec<Mount>,
    /// The host's name as the command sees it.
    pub hostname: String,
    /// Whether a user namespace stands between the command and the host.
    pub user_namespace: UserNamespace,
    /// What stops the command.
    pub limits: Limits,
    /// What it may write, where somebody counts; nothing is counted without it.
    pub disk: Option<Disk>,
    /// Whether stdin, stdout and stderr are a terminal: see [`crate::Sandbox::spawn_on_terminal`].
    pub(crate) has_terminal: bool,
    /// What runs programs that this machine's processor cannot. Needs a user namespace of its own.
    pub emulators: Vec<Emulator>,
}

/// How much may be written below a folder of the host: the upper folder of an overlay.
///
/// It is counted while the command runs, a few times a second, so the last of it may be late; what is written in such
/// a time is bounded, because room on the disk cannot be taken without writing (`fallocate` and its like are refused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The folder on the host.
    pub path: PathBuf,
    /// Blocks that files below it take.
    pub bytes: u64,
    /// Files and folders below it.
    pub files: u64,
}

/// Read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Every write is refused with `EROFS`.
    ReadOnly,
    /// Writes reach what is mounted.
    ReadWrite,
}

/// Who the command runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// Ordinary ids, no other groups, no capability.
    User {
        /// User id, below 65,536.
        uid: u32,
        /// Group id, below 65,536.
        gid: u32,
    },
    /// Id 0 with the capabilities that installing packages takes (change owner and mode, switch ids, set file
    /// capabilities, chroot) and no other: no mounts, no device nodes, no network administration.
    Root,
}

/// Something more to see inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// A file or directory of the host, with everything mounted below it.
    Bind {
        /// Path on the host.
        source: PathBuf,
        /// Path inside; made when it is missing.
        target: PathBuf,
        /// Whether it can be changed from inside.
        access: Access,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Path inside; made when it is missing.
        target: PathBuf,
        /// How much it may hold.
        size_bytes: u64,
        /// Permissions of its top.
        mode: u32,
    },
    /// What is at one path inside, at a second path inside, too: `/dev` for the root of an installation.
    Mirror {
        /// Path inside.
        of: PathBuf,
        /// Path inside; made when it is missing.
        target: PathBuf,
    },
}

/// Whether a user namespace is used. Ids are the same on both sides of it (0 to 65,535), so that files keep their
/// owners; what it takes away is every power over the host that an id or a kernel bug could give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserNamespace {
    /// Used unless the host's kernel refuses; [`crate::Enforced`] tells.
    WhenPossible,
    /// Not used.
    Off,
}

/// What stops the command. Every run has a bound in time, processes, log and file size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest run.
    pub wall: Duration,
    /// Memory of all processes together, page cache that they dirty and tmpfs included.
    pub memory_bytes: Option<u64>,
    /// Processors' time for each second; `None` is all that the host has.
    pub cores: Option<u32>,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes on stdout and stderr together.
    pub log_bytes: u64,
    /// Size of any one file.
    pub file_bytes: u64,
    /// Open files of one process; never more than the host gives the caller.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wall: DEFAULT_WALL,
            memory_bytes: None,
            cores: None,
            pids: DEFAULT_PIDS,
            log_bytes: DEFAULT_LOG_BYTES,
            file_bytes: DEFAULT_FILE_BYTES,
            open_files: DEFAULT_OPEN_FILES,
        }
    }
}

impl Spec {
    /// Returns a spec with an ordinary user (1000), a plain environment, default limits and no extra mounts.
    pub fn new<S: Into<String>>(root: impl Into<PathBuf>, command: impl IntoIterator<Item = S>) -> Spec {
        Spec {
            version: VERSION,
            root: root.into(),
            root_access: Access::ReadWrite,
            command: command.into_iter().map(Into::into).collect(),
            env: plain_environment(),
            cwd: PathBuf::from("/"),
            identity: Identity::User { uid: 1000, gid: 1000 },
            mounts: Vec::new(),
            hostname: "buildhost".to_owned(),
            user_namespace: UserNamespace::WhenPossible,
            limits: Limits::default(),
            disk: None,
            has_terminal: false,
            emulators: Vec::new(),
        }
    }

    /// Refuses what could only fail later, inside, with a worse message.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |why: String| Err(Error::Spec(why));
        if self.command.first().is_none_or(String::is_empty) {
            return wrong("the command is empty".to_owned());
        }
        if self.hostname.is_empty() || self.hostname.len() > 64 {
            return wrong(format!("{:?} is no host name", self.hostname));
        }
        if let Identity::User { uid, gid } = self.identity
            && (uid >= MAPPED_IDS || gid >= MAPPED_IDS)
        {
            return wrong(format!("user {uid}, group {gid}: ids end at {MAPPED_IDS}"));
        }
        let strings = self.command.iter().chain(self.env.keys()).chain(self.env.values());
        if let Some(text) = strings.into_iter().find(|text| text.contains('\0')) {
            return wrong(format!("{text:?} contains a zero byte"));
        }
        if let Some(key) = self.env.keys().find(|key| key.is_empty() || key.contains('=')) {
            return wrong(format!("{key:?} is no name of a variable"));
        }
        if self.limits.cores == Some(0) {
            return wrong("no core at all is too few".to_owned());
        }
        if !self.emulators.is_empty() && self.user_namespace == UserNamespace::Off {
            return wrong("an emulator is registered in a user namespace, and there is none".to_owned());
        }
        if let Some(emulator) = self.emulators.iter().find(|emulator| !emulator.is_possible()) {
            return wrong(format!("emulator {:?}: the kernel takes no such description", emulator.name));
        }
        match self.paths().find(|path| !path.is_absolute()) {
            Some(path) => wrong(format!("path {} is not absolute", path.display())),
            None => Ok(()),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let mounts = self.mounts.iter().flat_map(|mount| match mount {
            Mount::Bind { source, target, .. } => vec![source.as_path(), target.as_path()],
            Mount::Tmpfs { target, .. } => vec![target.as_path()],
            Mount::Mirror { of, target } => vec![of.as_path(), target.as_path()],
        });
        let disk = self.disk.iter().map(|disk| disk.path.as_path());
        let emulators = self.emulators.iter().map(|emulator| emulator.interpreter.as_path());
        [self.root.as_path(), self.cwd.as_path()].into_iter().chain(mounts).chain(disk).chain(emulators)
    }
}

/// How many ids exist inside: what an Enterprise Linux root knows (`nobody` is 65,534).
pub(crate) const MAPPED_IDS: u32 = 65_536;

fn plain_environment() -> BTreeMap<String, String> {
    [("PATH", "/usr/bin:/usr/sbin:/bin:/sbin"), ("HOME", "/"), ("LANG", "C.UTF-8"), ("TERM", "dumb")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endian;

    #[test]
    fn a_spec_survives_the_way_to_the_helper() {
        let mut spec = Spec::new("/root", ["/bin/true", "a b"]);
        spec.mounts.push(Mount::Tmpfs { target: "/tmp".into(), size_bytes: 1, mode: 0o1777 });

        let json = serde_json::to_vec(&spec).expect("write");

        assert_eq!(serde_json::from_slice::<Spec>(&json).expect("read"), spec);
    }

    #[test]
    fn what_could_only_fail_inside_is_refused_before() {
        let good = Spec::new("/root", ["true"]);
        let spoil = |change: &dyn Fn(&mut Spec)| {
            let mut spec = good.clone();
            change(&mut spec);
            spec.check().expect_err("refused").to_string()
        };

        assert!(good.check().is_ok());
        assert!(spoil(&|spec| spec.command.clear()).contains("command is empty"));
        assert!(spoil(&|spec| spec.root = "root".into()).contains("not absolute"));
        assert!(spoil(&|spec| spec.cwd = "x".into()).contains("not absolute"));
        assert!(spoil(&|spec| spec.hostname.clear()).contains("host name"));
        assert!(spoil(&|spec| spec.command.push("a\0b".into())).contains("zero byte"));
        assert!(spoil(&|spec| drop(spec.env.insert("A=B".into(), "".into()))).contains("variable"));
        assert!(spoil(&|spec| spec.identity = Identity::User { uid: 70_000, gid: 0 }).contains("70000"));
        let emulator = Emulator::of_elf64("qemu", 183, Endian::Little, "qemu".into());
        assert!(spoil(&|spec| spec.emulators.push(emulator.clone())).contains("not absolute"));
        assert!(
            spoil(&|spec| {
                spec.user_namespace = UserNamespace::Off;
                spec.emulators.push(Emulator { interpreter: "/qemu".into(), ..emulator.clone() });
            })
            .contains("there is none")
        );
        assert!(
            spoil(&|spec| spec.emulators.push(Emulator { name: "a/b".into(), ..emulator.clone() })).contains("a/b")
        );
    }
}
