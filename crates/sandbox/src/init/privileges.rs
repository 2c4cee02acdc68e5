//! Giving up power: ids, capabilities and resource limits of the command.

use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::sys;
use crate::wire::{Failure, Step};
use crate::{Identity, Limits};

/// What installing packages takes: unpack with owners and modes, let scripts act as any user, set file capabilities,
/// enter the root. Not among them: mounts, device nodes, network, tracing, raising of limits.
const ROOT_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SYS_CHROOT);

/// The kernel's sets have so many bits.
const CAPABILITY_NUMBERS: u32 = 64;

/// Takes id 0 of a user namespace that has just been mapped; without one, changes nothing but the groups.
pub(super) fn become_root_inside() -> Result<(), Failure> {
    set_ids(0, 0)
}

/// Gives the log's pipe to the command's user: opening `/dev/stderr` asks for its owner.
pub(super) fn give_log(identity: Identity) -> Result<(), Failure> {
    let (uid, gid) = match identity {
        Identity::User { uid, gid } => (uid, gid),
        Identity::Root => (0, 0),
    };
    rustix::fs::fchown(std::io::stdout(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .step(|| "give the log away".to_owned())
}

/// Becomes who the command is to run as. There is no way back.
pub(super) fn become_identity(identity: Identity) -> Result<(), Failure> {
    let (uid, gid, kept) = match identity {
        Identity::User { uid, gid } => (uid, gid, CapabilitySet::empty()),
        Identity::Root => (0, 0, ROOT_CAPABILITIES),
    };
    let step = || "drop capabilities".to_owned();
    for number in 0..CAPABILITY_NUMBERS {
        if kept.bits() & (1 << number) == 0 && !sys::drop_from_bounding_set(number).step(step)? {
            break;
        }
    }
    clear_ambient_capability_set().step(step)?;
    set_ids(uid, gid)?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).step(step)?;
    set_no_new_privs(true).step(|| "refuse new privileges".to_owned())
}

fn set_ids(uid: u32, gid: u32) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[]).step(|| "leave all groups".to_owned())?;
    set_thread_res_gid(gid, gid, gid).step(|| format!("become group {gid}"))?;
    set_thread_res_uid(uid, uid, uid).step(|| format!("become user {uid}"))
}

/// Sets what one process may use. `processes`, too: for hosts where no control group counts them.
pub(super) fn set_limits(limits: &Limits, processes: bool) -> Result<(), Failure> {
    set_limit(Resource::Core, 0)?;
    set_limit(Resource::Fsize, limits.file_bytes)?;
    set_limit(Resource::Nofile, limits.open_files)?;
    if processes {
        set_limit(Resource::Nproc, limits.pids)?;
    }
    Ok(())
}

/// What the host gives the caller is the most there is.
fn set_limit(resource: Resource, value: u64) -> Result<(), Failure> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(most));
    setrlimit(resource, Rlimit { current: value, maximum: value }).step(|| format!("limit {resource:?}"))
}
