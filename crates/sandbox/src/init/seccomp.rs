//! The system calls that no build needs and every escape does.
//!
//! A list of what is refused, not of what is allowed: a build system runs programs that nobody has seen before. Written
//! as a filter of our own, because one sandbox runs programs of two instruction sets (i686 on x86_64), and the
//! libraries for filters know one at a time and not all of the distribution's architectures.

use std::io;
use std::mem::offset_of;

use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, EPERM, SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, seccomp_data, sock_filter,
};

use super::sys;

#[path = "seccomp_calls.rs"]
mod calls;

/// Sockets within a machine, of the two internets, and to the kernel about the sandbox's own network.
const FAMILIES: [u32; 4] = [libc::AF_UNIX as u32, libc::AF_INET as u32, libc::AF_INET6 as u32, libc::AF_NETLINK as u32];

/// What happens to one system call.
#[derive(Clone, Copy)]
enum Rule {
    /// Refused with EPERM.
    Refused(u32),
    /// Refused when it would make a user namespace; the number says which argument has the flags.
    NoUserNamespace(u32, usize),
    /// Refused as if the file system could not, unless it gives room back: whoever wants room writes, and is counted.
    NoReservation(u32),
    /// The same for the older ways to room, which its second argument names.
    NoReservingIoctl(u32),
    /// Refused for all families of sockets but those of [`FAMILIES`]: others lead past the sandbox's network, as that to the
    /// hypervisor (vsock) does, or load a module of the host's kernel.
    FewFamilies(u32),
    /// Said not to exist, so that programs use the older call, whose flags a filter can see.
    Unknown(u32),
}

/// The calls of one instruction set.
struct Arch {
    /// `AUDIT_ARCH_…` of the kernel.
    audit: u32,
    /// From this number on, calls belong to another set that shares the name (x32).
    end: Option<u32>,
    rules: Vec<Rule>,
}

/// Filters this process and everything it will start.
pub(super) fn apply() -> io::Result<()> {
    sys::set_seccomp_filter(&mut program(&calls::arches()))
}

fn program(arches: &[Arch]) -> Vec<sock_filter> {
    let mut all = vec![load(offset_of!(seccomp_data, arch))];
    for arch in arches {
        let block = block(arch);
        all.push(jump(BPF_JEQ, arch.audit, 1, 0));
        all.push(instruction(BPF_JMP | BPF_JA, block.len() as u32));
        all.extend(block);
    }
    all.push(answer(SECCOMP_RET_KILL_PROCESS));
    all
}

fn block(arch: &Arch) -> Vec<sock_filter> {
    let mut block = vec![load(offset_of!(seccomp_data, nr))];
    if let Some(end) = arch.end {
        block.extend([jump(BPF_JGE, end, 0, 1), refuse(libc::ENOSYS)]);
    }
    for rule in &arch.rules {
        match *rule {
            Rule::Refused(number) => block.extend([jump(BPF_JEQ, number, 0, 1), refuse(EPERM)]),
            Rule::Unknown(number) => block.extend([jump(BPF_JEQ, number, 0, 1), refuse(libc::ENOSYS)]),
            Rule::NoReservation(number) => block.extend([
                jump(BPF_JEQ, number, 0, 4),
                load(low_word(1)),
                jump(BPF_JSET, libc::FALLOC_FL_PUNCH_HOLE as u32, 1, 0),
                refuse(libc::EOPNOTSUPP),
                answer(SECCOMP_RET_ALLOW),
            ]),
            Rule::NoReservingIoctl(number) => {
                let (reserves, other) = (refuse(libc::EOPNOTSUPP), answer(SECCOMP_RET_ALLOW));
                block.extend(by_value(number, 1, &calls::reserving_ioctls(), (reserves, other)));
            }
            Rule::FewFamilies(number) => {
                let (known, other) = (answer(SECCOMP_RET_ALLOW), refuse(libc::EAFNOSUPPORT));
                block.extend(by_value(number, 0, &FAMILIES, (known, other)));
            }
            Rule::NoUserNamespace(number, argument) => block.extend([
                jump(BPF_JEQ, number, 0, 4),
                load(low_word(argument)),
                jump(BPF_JSET, libc::CLONE_NEWUSER as u32, 0, 1),
                refuse(EPERM),
                answer(SECCOMP_RET_ALLOW),
            ]),
        }
    }
    block.push(answer(SECCOMP_RET_ALLOW));
    block
}

/// Answers one call by whether an argument of 32 bits is one of some values, and goes on after others.
fn by_value(number: u32, argument: usize, values: &[u32], (one, none): (sock_filter, sock_filter)) -> Vec<sock_filter> {
    let count = values.len() as u8;
    let mut block = vec![jump(BPF_JEQ, number, 0, count + 3), load(low_word(argument))];
    block.extend((0..count).zip(values).map(|(before, value)| jump(BPF_JEQ, *value, count - before, 0)));
    block.extend([none, one]);
    block
}

fn low_word(argument: usize) -> usize {
    let high_first = if cfg!(target_endian = "big") { 4 } else { 0 };
    offset_of!(seccomp_data, args) + argument * 8 + high_first
}

fn load(offset: usize) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, offset as u32)
}

fn refuse(errno: i32) -> sock_filter {
    answer(SECCOMP_RET_ERRNO | errno as u32)
}

fn answer(value: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, value)
}

fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt, jf, k }
}
