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
/// Sets what [`reserving_ioctls`] refuses to set; programs then use that.
const FILE_SETATTR: u32 = 469;

/// Makes sockets, too, on machines that had it before they had calls for each thing (102 on all of them); its arguments, and so the
/// family, no filter sees.
const SOCKETCALL: u32 = 102;
/// POWER's C library and Go use none. Those of s390x do: glibc asks by `socket` only where it is built for kernels from 4.3 on, and
/// Enterprise Linux builds it for 3.2. So it stays there, and with it all families, as for programs of i686.
const IS_SOCKETCALL_UNUSED: bool = cfg!(target_arch = "powerpc64");

/// Calls that are looked at more closely, by their numbers.
struct Particular {
    clone: u32,
    /// Which argument of `clone` has the flags.
    clone_flags: usize,
    unshare: u32,
    fallocate: u32,
    ioctl: u32,
    socket: u32,
    socketpair: u32,
}

/// Commands of `ioctl` that take room on a disk without writing, with the size of their argument for programs of 64 bits and of
/// 32: XFS's own, which others took over, and the attributes with the size of the pieces (`extsize`) that a file grows by.
const RESERVING: [(u32, [u32; 2]); 6] = [
    (10, [48, 44]), // XFS_IOC_ALLOCSP
    (32, [28, 28]), // FS_IOC_FSSETXATTR
    (36, [48, 44]), // XFS_IOC_ALLOCSP64
    (40, [48, 44]), // FS_IOC_RESVSP
    (42, [48, 44]), // FS_IOC_RESVSP64
    (57, [48, 44]), // FS_IOC_ZERO_RANGE
];
/// That an argument goes to the kernel, as it stands in a command's number.
const IOC_WRITE: u32 = if cfg!(target_arch = "powerpc64") { 4 << 29 } else { 1 << 30 };

/// Returns these commands' whole numbers.
pub(super) fn reserving_ioctls() -> Vec<u32> {
    let whole = |(number, sizes): (u32, [u32; 2])| sizes.map(|size| IOC_WRITE | size << 16 | 0x5800 | number);
    let mut all: Vec<u32> = RESERVING.into_iter().flat_map(whole).collect();
    all.dedup();
    all
}

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
    let particular = Particular {
        clone: libc::SYS_clone as u32,
        clone_flags: CLONE_FLAGS,
        unshare: libc::SYS_unshare as u32,
        fallocate: libc::SYS_fallocate as u32,
        ioctl: libc::SYS_ioctl as u32,
        socket: libc::SYS_socket as u32,
        socketpair: libc::SYS_socketpair as u32,
    };
    let mut arches = vec![Arch { audit: AUDIT, end: X32, rules: rules(&native, &particular) }];
    arches.extend(second());
    arches
}

fn rules(own: &[u32], particular: &Particular) -> Vec<Rule> {
    let mut rules: Vec<_> = own.iter().chain(&COMMON).map(|number| Rule::Refused(*number)).collect();
    rules.push(Rule::NoUserNamespace(particular.clone, particular.clone_flags));
    rules.push(Rule::NoUserNamespace(particular.unshare, 0));
    rules.push(Rule::NoReservation(particular.fallocate));
    rules.push(Rule::NoReservingIoctl(particular.ioctl));
    rules.push(Rule::FewFamilies(particular.socket));
    rules.push(Rule::FewFamilies(particular.socketpair));
    rules.push(Rule::Unknown(CLONE3));
    rules.push(Rule::Unknown(FILE_SETATTR));
    rules.extend(IS_SOCKETCALL_UNUSED.then_some(Rule::Unknown(SOCKETCALL)));
    rules
}

/// The C library of i686 makes sockets by `socketcall`, whose arguments no filter sees: it stays, and with it all families for
/// who writes a program of 32 bits (glibc knows `socket` there only where it is built for kernels from 4.3 on, and Enterprise
/// Linux builds it for 3.2).
#[cfg(target_arch = "x86_64")]
fn second() -> Option<Arch> {
    let particular = Particular {
        clone: 120,
        clone_flags: 0,
        unshare: 310,
        fallocate: 324,
        ioctl: 54,
        socket: 359,
        socketpair: 360,
    };
    Some(Arch { audit: 0x4000_0003, end: None, rules: rules(&I386, &particular) })
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
