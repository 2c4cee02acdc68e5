//! What holds a build on this machine: a small program is run in the same kind of sandbox, and the kernel's answers are told.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use anima_environment::{Emulators, native_architectures};
use anima_sandbox::{Access, Emulator, Enforced, Mount, Sandbox, Spec, Via};

use super::{Check, machine};
use crate::cmd::role::EMULATORS;

/// What the program may use: enough for one that does nothing.
const MEMORY_BYTES: u64 = 64 << 20;
const PROCESSES: u64 = 16;
const CORES: u32 = 1;

const NAME: &str = "sandbox";
const CGROUP_CURE: &str =
    "mount cgroup2 with the cpu, memory and pids controllers; as a systemd unit, say Delegate=yes";

/// Runs the program, and tells what was enforced on it.
pub fn checks(data: &Path) -> Vec<Check> {
    if !rustix::process::geteuid().is_root() {
        return vec![Check::warning(NAME, "not tried: only root makes them here", "run `sudo anima doctor`")];
    }
    match run(data, &[]) {
        Ok(enforced) => told(enforced).into_iter().chain([emulation(data, enforced)]).collect(),
        Err(error) => {
            vec![Check::missing(NAME, error, "give the container CAP_SYS_ADMIN, or use a machine of its own")]
        }
    }
}

fn told(enforced: Enforced) -> Vec<Check> {
    let mut checks = vec![match enforced.user_namespace {
        true => Check::ok(NAME, "in a user namespace: id 0 inside has no power over the host"),
        false => Check::warning(
            NAME,
            "without a user namespace: capabilities, seccomp and mounts alone hold it",
            "sysctl user.max_user_namespaces=15000, and let root make user namespaces",
        ),
    }];
    for (name, via) in
        [("memory limit", enforced.memory), ("process limit", enforced.pids), ("core limit", enforced.cores)]
    {
        checks.push(match via {
            Some(Via::CgroupV2) => Check::ok(name, "by cgroup version 2, for each task as a whole"),
            Some(Via::CgroupV1) => Check::ok(name, "by cgroup version 1, for each task as a whole"),
            Some(Via::Rlimit) => {
                Check::warning(name, "by rlimit: all tasks of the machine count together", CGROUP_CURE)
            }
            None => Check::warning(name, "nothing holds it: one task can take all there is", CGROUP_CURE),
        });
    }
    let how = if enforced.cgroup_kill { "by cgroup.kill, and " } else { "" };
    checks.push(Check::ok("kill", format!("{how}by the end of the task's first process")));
    checks
}

/// Whether programs of other architectures can be run, and which.
fn emulation(data: &Path, enforced: Enforced) -> Check {
    const NAME: &str = "emulation";
    let native = native_architectures().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let there = Emulators::find(Path::new(EMULATORS)).architectures();
    let try_one = || run(data, &[nothing()]);
    if let (true, Err(error)) = (enforced.user_namespace, try_one()) {
        return Check::warning(
            NAME,
            format!("only {native}: {error}"),
            "boot Linux 6.7 or later with binfmt_misc, for others",
        );
    }
    match there.is_empty() {
        true => Check::ok(
            NAME,
            format!("only {native}; for others: apt-get install --no-install-recommends qemu-user-static (380 MB)"),
        ),
        false => Check::ok(
            NAME,
            format!(
                "{native}; emulated, slowly: {}",
                there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ),
        ),
    }
}

/// An emulator of programs that nobody has.
fn nothing() -> Emulator {
    let magic = b"ANIMA-DOCTOR".to_vec();
    Emulator {
        name: "anima-doctor".to_owned(),
        interpreter: "/proc/self/exe".into(),
        mask: vec![0xff; magic.len()],
        magic,
    }
}

/// Runs `true` in a tree that has the host's programs and nothing else.
fn run(data: &Path, emulators: &[Emulator]) -> Result<Enforced, String> {
    let folder = tree(&machine::existing(data)).map_err(|error| format!("could not make a tree: {error}"))?;
    let mut spec = Spec::new(folder.path(), ["true"]);
    spec.mounts.push(Mount::Bind { source: "/usr".into(), target: "/usr".into(), access: Access::ReadOnly });
    spec.limits.memory_bytes = Some(MEMORY_BYTES);
    spec.limits.pids = PROCESSES;
    spec.limits.cores = Some(CORES);
    spec.emulators = emulators.to_vec();
    let fail = |error: anima_sandbox::Error| format!("could not {error}");
    let running = Sandbox::spawn(&spec, Path::new("/proc/self/exe")).map_err(fail)?;
    let enforced = running.enforced();
    match running.wait().map_err(fail)?.exit.is_success() {
        true => Ok(enforced),
        false => Err("a program that does nothing failed".to_owned()),
    }
}

fn tree(folder: &Path) -> io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let tree = tempfile::Builder::new().prefix(".anima-doctor-").tempdir_in(folder)?;
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755))?;
    for name in ["bin", "lib", "lib64"] {
        symlink(Path::new("usr").join(name), tree.path().join(name))?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_nothing_holds_is_a_warning_with_a_cure() {
        let whole = Enforced {
            user_namespace: true,
            memory: Some(Via::CgroupV2),
            pids: Some(Via::CgroupV1),
            cores: Some(Via::CgroupV2),
            cgroup_kill: true,
        };
        let states = |enforced| told(enforced).into_iter().map(|check| check.state).collect::<Vec<_>>();

        assert_eq!(states(whole), [State::Ok; 5]);
        let bare = told(Enforced { pids: Some(Via::Rlimit), ..Enforced::default() });
        assert_eq!(bare.iter().filter(|check| check.state == State::Warning && check.cure.is_some()).count(), 4);
    }
}
