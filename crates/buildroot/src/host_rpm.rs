//! The host's rpm, at work on a root that is not the host's; or the rpm of another root, in the host's place.
//!
//! A root without a shell or without rpm can only be filled from outside. rpm then enters the root itself for each
//! script, and a root process leaves such a cage at will. So rpm runs in a sandbox: without a network, with the
//! capabilities that installing takes and no other, and in a tree that has nothing but the host's `/usr` (read-only), the
//! root and the packages. A script that leaves the cage has won the sight of programs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anima_sandbox::{Access, Disk, Emulator, Identity, Mount, Outcome, Sandbox, Spec};

use crate::error::At;
use crate::{Error, Most, Stop};

/// Where the root is inside the sandbox.
const ROOT: &str = "/layer";
/// Where the packages are inside the sandbox.
const PACKAGES: &str = "/packages";
/// Empty files that packages are mounted over.
const PACKAGES_BYTES: u64 = 16 * 1024 * 1024;
/// The largest sets take minutes; what takes longer is a script that waits for something.
const WALL: Duration = Duration::from_secs(60 * 60);
/// Scripts build caches of fonts, icons and manuals; what needs more leaks.
const MEMORY_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// What scripts say is a few lines each; more is a loop.
const LOG_BYTES: u64 = 64 * 1024 * 1024;
/// Where Enterprise Linux, and Fedora by a link, has its list of packages; the host's own default may be another.
const DB_PATH: &str = "/var/lib/rpm";
/// Folders of the tree around the root that something is mounted at.
const STAGE_FOLDERS: [&str; 10] = ["usr", "layer", "packages", "proc", "dev", "sys", "run", "tmp", "etc", "etc/rpm"];
/// Links of the tree around the root, as every host has them.
const STAGE_LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
/// Enough for rpm to find names before it enters the root.
const STAGE_FILES: [(&str, &str); 2] = [("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"), ("etc/group", "root:x:0:\n")];

/// The host's rpm, as sandboxes see it.
const PROGRAM: &str = "/usr/bin/rpm";

/// Returns what the host's rpm says that it is.
pub(crate) fn version() -> Result<&'static str, Error> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version);
    }
    let (path, mut command) = (Path::new(PROGRAM), Command::new(PROGRAM));
    let output = command.arg("--version").env_clear().stdin(Stdio::null()).output().at("run", path)?;
    if !output.status.success() {
        return Err(io::Error::other(format!("its --version ended with {}", output.status))).at("run", path);
    }
    Ok(VERSION.get_or_init(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// The host's rpm in a sandbox.
#[derive(Debug, Clone)]
pub struct HostRpm {
    helper: PathBuf,
    stage: PathBuf,
    /// A root whose programs and configuration are used; none for the host's.
    programs: Option<PathBuf>,
}

/// One call of rpm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call<'a> {
    /// What to do, such as `["-U"]`.
    pub arguments: Vec<String>,
    /// Files that are named after the arguments; rpm sees them under the names that are given here.
    pub packages: Vec<(String, &'a Path)>,
    /// Macros for this call.
    pub macros: BTreeMap<String, String>,
    /// What runs the root's programs, where it is of another architecture than the machine.
    pub emulators: Vec<Emulator>,
    /// What it and its scripts may write: see [`crate::room`]. Without it nothing is counted.
    pub disk: Option<Disk>,
    /// What else they may take, where it is less than [`HostRpm`] gives.
    pub most: Most,
}

impl HostRpm {
    /// Makes the tree around roots in the folder `stage`, which processes may share. `helper` is a program that calls
    /// [`anima_sandbox::init_main`].
    pub fn new(stage: PathBuf, helper: &Path) -> Result<HostRpm, Error> {
        for name in STAGE_FOLDERS {
            let path = stage.join(name);
            fs::create_dir_all(&path).at("make", &path)?;
        }
        for name in STAGE_LINKS {
            let path = stage.join(name);
            unless_there(symlink(Path::new("usr").join(name), &path)).at("link", &path)?;
        }
        for (name, text) in STAGE_FILES {
            let path = stage.join(name);
            if !path.exists() {
                fs::write(&path, text).at("write", &path)?;
            }
        }
        Ok(HostRpm { helper: helper.to_owned(), stage, programs: None })
    }

    /// Returns the rpm of a root in place of the host's: with its own macros, which say where it keeps the list of packages and
    /// in which format.
    pub fn of(&self, root: &Path) -> Result<HostRpm, Error> {
        let program = root.join("usr/bin/rpm");
        // A link of it leads somewhere in the root, not here.
        if fs::symlink_metadata(&program).is_err() {
            let why = "its packages have no /usr/bin/rpm, which is to install all others";
            return Err(Error::Lock(why.to_owned()));
        }
        Ok(HostRpm { programs: Some(root.to_owned()), ..self.clone() })
    }

    /// Runs rpm on the root in the folder `root`. Its output goes to `log`, also what scripts say.
    pub fn run(&self, root: &Path, call: &Call<'_>, log: &mut dyn io::Write) -> Result<Outcome, Error> {
        self.run_until(root, call, log, &Stop::default())
    }

    /// The same, until somebody stops it.
    pub fn run_until(
        &self,
        root: &Path,
        call: &Call<'_>,
        log: &mut dyn io::Write,
        stop: &Stop,
    ) -> Result<Outcome, Error> {
        if stop.is_stopped() {
            return Err(Error::Stopped);
        }
        let running = Sandbox::spawn(&self.spec(root, call), &self.helper)?;
        let _attached = stop.attach(running.canceller());
        let outcome = running.wait_with_log(log)?;
        if stop.is_stopped() { Err(Error::Stopped) } else { Ok(outcome) }
    }

    /// Returns the sandbox of a call, for whoever wants to follow it.
    pub fn spec(&self, root: &Path, call: &Call<'_>) -> Spec {
        let mut spec = Spec::new(&self.stage, command(call, self.programs.is_none()));
        spec.root_access = Access::ReadOnly;
        spec.identity = Identity::Root;
        let Most { memory_bytes, cores, processes, wall } = call.most;
        spec.limits.wall = wall.map_or(WALL, |wall| wall.min(WALL));
        spec.limits.log_bytes = LOG_BYTES;
        spec.limits.memory_bytes = Some(memory_bytes.map_or(MEMORY_BYTES, |bytes| bytes.min(MEMORY_BYTES)));
        spec.limits.cores = cores;
        spec.limits.pids = processes.map_or(spec.limits.pids, |count| count.min(spec.limits.pids));
        spec.emulators.clone_from(&call.emulators);
        spec.disk.clone_from(&call.disk);
        let bind = |source: &Path, target: PathBuf, access| Mount::Bind { source: source.to_owned(), target, access };
        spec.mounts = vec![
            bind(&self.programs.as_deref().unwrap_or(Path::new("/")).join("usr"), "/usr".into(), Access::ReadOnly),
            bind(root, ROOT.into(), Access::ReadWrite),
            // Scripts expect them, and a file that is written to a /dev/null which is none stays in the layer.
            Mount::Mirror { of: "/dev".into(), target: Path::new(ROOT).join("dev") },
            Mount::Mirror { of: "/proc".into(), target: Path::new(ROOT).join("proc") },
            Mount::Tmpfs { target: "/tmp".into(), size_bytes: PACKAGES_BYTES, mode: 0o1777 },
            Mount::Tmpfs { target: PACKAGES.into(), size_bytes: PACKAGES_BYTES, mode: 0o755 },
        ];
        if let Some(own) = self.programs.as_ref().map(|root| root.join("etc/rpm")).filter(|folder| folder.is_dir()) {
            spec.mounts.push(bind(&own, "/etc/rpm".into(), Access::ReadOnly));
        }
        let packages =
            call.packages.iter().map(|(name, path)| bind(path, Path::new(PACKAGES).join(name), Access::ReadOnly));
        spec.mounts.extend(packages);
        spec
    }
}

/// The host keeps its list of packages somewhere else than the root does.
fn command(call: &Call<'_>, is_hosts: bool) -> Vec<String> {
    let mut command: Vec<String> = ["rpm", "--root", ROOT, "--noplugins"].map(str::to_owned).into();
    let mut define = |name: &str, value: &str| command.extend(["--define".to_owned(), format!("{name} {value}")]);
    if is_hosts && !call.macros.contains_key("_dbpath") {
        define("_dbpath", DB_PATH);
    }
    call.macros.iter().for_each(|(name, value)| define(name, value));
    command.extend(call.arguments.iter().cloned());
    command.extend(call.packages.iter().map(|(name, _)| format!("{PACKAGES}/{name}")));
    command
}

/// Another process may make the same tree at the same time.
fn unless_there(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_the_root_the_database_and_the_packages_as_they_are_inside() {
        let path = PathBuf::from("/downloads/ab");
        let call = Call {
            arguments: vec!["-U".to_owned()],
            packages: vec![("a-1-1.noarch".to_owned(), &path)],
            macros: [("_excludedocs".to_owned(), "1".to_owned())].into(),
            ..Call::default()
        };

        let hosts = command(&call, true).join(" ");
        let own = command(&call, false).join(" ");

        let expected = "rpm --root /layer --noplugins --define _dbpath /var/lib/rpm --define _excludedocs 1 -U /packages/a-1-1.noarch";
        assert_eq!(hosts, expected);
        assert_eq!(own, expected.replace("--define _dbpath /var/lib/rpm ", ""));
    }
}
