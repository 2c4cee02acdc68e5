//! The numbers of refused system calls, per instruction set.

use super::{Arch, Rule};

/// Calls that have one number everywhere, because they came after the numbers were made common (and a few that are
/// newer than the C library's list).
const COMMON: [u32; 10] = [
    425, // io_uring_setup: a second way into the kernel that filters do not see
    428, // open_tree
    429, // move_mount
    430, // fsopen
    431, // fsconfig
    432, // fsmount
    433, // fspick
    442, // mount_setattr
    443, // quotactl_fd
    467, // open_tree_attr
];
const CLONE3: u32 = 435;

/// Numbers of the machine's own instruction set.
const NATIVE: [libc::c_long; 28] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_vhangup,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_nfsservctl,
];

/// The same for i686 programs on x86_64.
#[cfg(target_arch = "x86_64")]
const I386: [u32; 33] = [
    21,  // mount
    22,  // umount
    25,  // stime
    51,  // acct
    52,  // umount2
    74,  // sethostname
    79,  // settimeofday
    87,  // swapon
    88,  // reboot
    101, // ioperm
    103, // syslog
    110, // iopl
    111, // vhangup
    115, // swapoff
    121, // setdomainname
    128, // init_module
    129, // delete_module
    131, // quotactl
    169, // nfsservctl
    217, // pivot_root
    264, // clock_settime
    283, // kexec_load
    286, // add_key
    287, // request_key
    288, // keyctl
    336, // perf_event_open
    338, // fanotify_init
    342, // open_by_handle_at
    346, // setns
    350, // finit_module
    357, // bpf
    374, // userfaultfd
    404, // clock_settime64
];

pub(super) fn arches() -> Vec<Arch> {
    let native = NATIVE.iter().chain(&native_only()).map(|number| *number as u32).collect::<Vec<_>>();
    let clone = (libc::SYS_clone as u32, CLONE_FLAGS);
    let (unshare, fallocate) = (libc::SYS_unshare as u32, libc::SYS_fallocate as u32);
    let mut arches = vec![Arch { audit: AUDIT, end: X32, rules: rules(&native, clone, unshare, fallocate) }];
    arches.extend(second());
    arches
}

fn rules(own: &[u32], (clone, clone_flags): (u32, usize), unshare: u32, fallocate: u32) -> Vec<Rule> {
    let mut rules: Vec<_> = own.iter().chain(&COMMON).map(|number| Rule::Refused(*number)).collect();
    rules.push(Rule::NoUserNamespace(clone, clone_flags));
    rules.push(Rule::NoUserNamespace(unshare, 0));
    rules.push(Rule::NoReservation(fallocate));
    rules.push(Rule::Unknown(CLONE3));
    rules
}

#[cfg(target_arch = "x86_64")]
fn second() -> Option<Arch> {
    Some(Arch { audit: 0x4000_0003, end: None, rules: rules(&I386, (120, 0), 310, 324) })
}

#[cfg(not(target_arch = "x86_64"))]
fn second() -> Option<Arch> {
    None
}

#[cfg(target_arch = "x86_64")]
fn native_only() -> Vec<libc::c_long> {
    vec![libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_kexec_file_load]
}

#[cfg(not(target_arch = "x86_64"))]
fn native_only() -> Vec<libc::c_long> {
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
const AUDIT: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const AUDIT: u32 = 0xC000_00B7;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
const AUDIT: u32 = 0xC000_0015;
#[cfg(target_arch = "s390x")]
const AUDIT: u32 = 0x8000_0016;

/// x32 programs run under x86_64's name with numbers from here on; no distribution has any.
const X32: Option<u32> = if cfg!(target_arch = "x86_64") { Some(0x4000_0000) } else { None };

/// Which argument of `clone` has the flags.
const CLONE_FLAGS: usize = if cfg!(target_arch = "s390x") { 1 } else { 0 };
