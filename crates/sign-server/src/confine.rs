//! Takes from this process what a Sign Server has no use for, before it opens a key.
//!
//! No memory image of it can be had, none of it goes to the swap, it can neither listen nor start a program nor look into
//! another, and of the file system it has its own folder and what resolving names and TLS read. It is called before there
//! is a second thread: Landlock and no-new-privileges are a thread's own, and only later threads inherit them.

use std::{collections::BTreeMap, io, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, path_beneath_rules,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::{file, wipe};

/// The newest rules that this program knows; an older kernel keeps those that it has.
const LANDLOCK: ABI = ABI::V5;

/// What is read besides our own folder: programs' libraries, names and addresses, certificates, time zones.
const READABLE: [&str; 9] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/etc/pki",
    "/run/systemd/resolve",
];

/// Calls with which a process listens, starts another, looks into another, or gets around what confines it.
const REFUSED: [i64; 27] = [
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // Its queue does what is asked for without the calls of this list.
    libc::SYS_io_uring_setup,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_add_key,
    libc::SYS_keyctl,
];

/// Why the process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refuses.
    #[error("could not {what}: {source}")]
    Kernel {
        /// What was asked for.
        what: &'static str,
        /// What it answers.
        source: io::Error,
    },
    /// Rules for files and ports.
    #[error("could not restrict the Sign Server to its files: {0}")]
    Landlock(#[from] RulesetError),
    /// Rules for system calls.
    #[error("could not restrict the Sign Server's system calls: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// Our own folder.
    #[error(transparent)]
    File(#[from] file::Error),
}

/// What holds now. All but these holds wherever there was no error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Confined {
    /// Files and ports are restricted by Landlock; a kernel may be without it.
    pub has_landlock: bool,
    /// System calls are restricted; the filter's library does not know every architecture.
    pub has_seccomp: bool,
    /// Nothing goes to the swap; the limit of locked memory may be too low.
    pub is_locked: bool,
}

/// Lets this process leave nothing of what is in its memory: no image, nothing in the swap (if the limit of locked memory
/// allows that, which is returned), nothing in what it gives back.
pub fn shield() -> Result<bool, Error> {
    wipe::begin();
    leave_no_image()?;
    lock_memory()
}

/// Confines this process for good to `data`, what it may read besides, and what the modules of its tokens use. All memory
/// that it gives back is overwritten from now on.
pub fn confine(data: &Path, also_readable: &[&Path], of_tokens: &[&Path]) -> Result<Confined, Error> {
    file::make_private_dir(data)?;
    let is_locked = shield()?;
    let has_landlock = restrict_files(data, also_readable, of_tokens)?;
    let has_seccomp = restrict_calls()?;
    Ok(Confined { has_landlock, has_seccomp, is_locked })
}

fn leave_no_image() -> Result<(), Error> {
    let failed = |source: rustix::io::Errno| Error::Kernel { what: "turn memory images off", source: source.into() };
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(failed)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)
}

/// Keeps all memory out of the swap, if as much may be locked as is wanted: with less, the next allocation would fail.
fn lock_memory() -> Result<bool, Error> {
    if getrlimit(Resource::Memlock).current.is_some() {
        return Ok(false);
    }
    // SAFETY: it changes how memory is kept, not what is in it.
    match unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) } {
        0 => Ok(true),
        _ => Err(Error::Kernel { what: "lock the memory", source: io::Error::last_os_error() }),
    }
}

fn restrict_files(data: &Path, also_readable: &[&Path], of_tokens: &[&Path]) -> Result<bool, Error> {
    let (all, reading) = (AccessFs::from_all(LANDLOCK), AccessFs::from_read(LANDLOCK) & !AccessFs::Execute);
    let status: RestrictionStatus = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::BindTcp)?
        .create()?
        .add_rules(path_beneath_rules(READABLE, reading))?
        .add_rules(path_beneath_rules(["/dev/urandom", "/dev/null"], reading))?
        .add_rules(path_beneath_rules(also_readable, reading))?
        .add_rules(path_beneath_rules([data], all & !AccessFs::Execute))?
        .add_rules(path_beneath_rules(of_tokens, all & !AccessFs::Execute))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

fn restrict_calls() -> Result<bool, Error> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(false) };
    let rules = REFUSED.into_iter().map(|call| (call, Vec::new())).collect::<BTreeMap<_, _>>();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(seccompiler::Error::from)?;
    let program = BpfProgram::try_from(filter).map_err(seccompiler::Error::from)?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(true)
}
