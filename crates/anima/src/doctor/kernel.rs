//! What the kernel allows: namespaces, overlay mounts, limits.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::UnshareFlags,
};

use super::{Check, machine};

/// Overlay with many layers and `fsconfig` of single ones: 5.2 has the calls, 6.5 the option `lowerdir+`.
const LEAST_VERSION: [u32; 2] = [5, 11];

/// The kernel's version.
pub fn version() -> Check {
    const NAME: &str = "kernel";
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let [major, minor] = LEAST_VERSION;
    match release_numbers(&release) {
        Some(numbers) if numbers >= LEAST_VERSION => Check::ok(NAME, release),
        _ => Check::missing(NAME, format!("{release} is too old"), format!("boot Linux {major}.{minor} or later")),
    }
}

fn release_numbers(release: &str) -> Option<[u32; 2]> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??])
}

/// Tries namespaces, and an overlay mount in the data folder.
pub fn isolation(data: &Path) -> Vec<Check> {
    const NAMESPACES: &str = "namespaces";
    if !rustix::process::geteuid().is_root() {
        return vec![Check::warning(NAMESPACES, "not tried: only root makes them here", "run `sudo anima doctor`")];
    }
    let namespaces = match try_in_namespaces(|| Ok(())) {
        Ok(()) => Check::ok(NAMESPACES, "mount, process, network, IPC and host name can be set apart"),
        Err(error) => {
            let cure = "give the container CAP_SYS_ADMIN (`--privileged`), or use a machine of its own";
            return vec![Check::missing(NAMESPACES, error.to_string(), cure)];
        }
    };
    vec![namespaces, overlay(data)]
}

fn overlay(data: &Path) -> Check {
    const NAME: &str = "overlayfs";
    let folder = machine::existing(data);
    match try_overlay(&folder) {
        Ok(()) => Check::ok(NAME, format!("works in {}", folder.display())),
        Err(error) => Check::missing(
            NAME,
            format!("does not work in {}: {error}", folder.display()),
            "modprobe overlay; the data folder has to be on ext4, xfs, btrfs or tmpfs, not on an overlay itself (--data)",
        ),
    }
}

fn try_overlay(folder: &Path) -> io::Result<()> {
    let scratch = tempfile::Builder::new().prefix(".anima-doctor-").tempdir_in(folder)?;
    let path = |name: &str| scratch.path().join(name);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(path(name))?;
    }
    let c_text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::other);
    let merged = c_text(path("merged").as_os_str().as_bytes())?;
    let option = |key: &str, name: &str| [key.as_bytes(), path(name).as_os_str().as_bytes()].concat();
    let options =
        [option("lowerdir=", "lower"), option("upperdir=", "upper"), option("workdir=", "work")].join(&b","[..]);
    let options = c_text(&options)?;
    try_in_namespaces(move || {
        mount(c"overlay", merged.as_c_str(), c"overlay", MountFlags::empty(), options.as_c_str())?;
        Ok(())
    })
}

/// Runs `act` in a process with namespaces of its own, which end with it.
fn try_in_namespaces(mut act: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
    let flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    let mut command = Command::new("/proc/self/exe");
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: between fork and exec there are only system calls; nothing allocates, locks or unwinds.
    unsafe {
        command.pre_exec(move || {
            rustix::thread::unshare_unsafe(flags)?;
            mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            act()
        });
    }
    command.status().map(|_| ())
}

/// Which hierarchies of cgroups can limit a build.
pub fn limits() -> Check {
    const NAME: &str = "cgroups";
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let v2_controllers = cgroup2_folder(&mounts)
        .and_then(|folder| fs::read_to_string(Path::new(&folder).join("cgroup.controllers")).ok())
        .unwrap_or_default();
    judge_limits(&mounts, &v2_controllers)
        .map_or_else(|lacking| Check::warning(NAME, lacking, CGROUP_CURE), |detail| Check::ok(NAME, detail))
}

const CGROUP_CURE: &str = "builds run, but memory and processes are bounded by rlimits only; mount cgroup2 with the memory and pids controllers";

fn cgroup2_folder(mounts: &str) -> Option<String> {
    mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find_map(|fields| match fields[..] {
        [_, folder, "cgroup2", ..] => Some(folder.to_string()),
        _ => None,
    })
}

/// Returns where the limits come from, or what is lacking.
fn judge_limits(mounts: &str, v2_controllers: &str) -> Result<String, String> {
    const WANTED: [&str; 2] = ["memory", "pids"];
    let in_v2 = |wanted: &str| v2_controllers.split_whitespace().any(|controller| controller == wanted);
    let in_v1 = |wanted: &str| {
        mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).any(
            |fields| matches!(fields[..], [_, _, "cgroup", options, ..] if options.split(',').any(|option| option == wanted)),
        )
    };
    if WANTED.into_iter().all(in_v2) {
        return Ok("version 2 limits memory and processes".into());
    }
    let lacking: Vec<_> = WANTED.into_iter().filter(|wanted| !in_v2(wanted) && !in_v1(wanted)).collect();
    match lacking.is_empty() {
        true => Ok("version 1 limits memory and processes".into()),
        false => Err(format!("nothing limits {}", lacking.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_by_number() {
        assert_eq!(release_numbers("6.1.0-18-amd64"), Some([6, 1]));
        assert_eq!(release_numbers("5.14.0-427.el9.x86_64"), Some([5, 14]));
        assert_eq!(release_numbers("linux"), None);
    }

    #[test]
    fn limits_come_from_either_version_of_cgroups() {
        let v1 = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n";
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";

        assert!(judge_limits(v2, "cpu memory pids").unwrap().contains("version 2"));
        assert!(judge_limits(v1, "").unwrap().contains("version 1"));
        assert_eq!(judge_limits(v2, "cpu pids"), Err("nothing limits memory".into()));
        assert_eq!(judge_limits("", ""), Err("nothing limits memory and pids".into()));
        assert_eq!(cgroup2_folder(v2).as_deref(), Some("/sys/fs/cgroup"));
    }

    #[test]
    fn a_try_that_fails_in_its_namespaces_tells_why() {
        if !rustix::process::geteuid().is_root() {
            return; // there is nothing to try without root
        }
        let error = try_in_namespaces(|| Err(io::Error::from_raw_os_error(libc::EPERM))).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
