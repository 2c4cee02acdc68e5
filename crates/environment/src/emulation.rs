//! Which architectures' programs this machine runs: by itself, and with an emulator.

use std::collections::BTreeMap;
use std::path::Path;

use anima_sandbox::{Emulator, Endian};
use anima_types::Arch;

use crate::{Error, Result};

/// How the kernel knows the programs of an architecture (`e_machine` of `elf.h`), and what QEMU calls it.
const MACHINES: [(Arch, u16, Endian, &str); 5] = [
    (Arch::X86_64, 62, Endian::Little, "x86_64"),
    (Arch::Aarch64, 183, Endian::Little, "aarch64"),
    (Arch::Ppc64le, 21, Endian::Little, "ppc64le"),
    (Arch::S390x, 22, Endian::Big, "s390x"),
    (Arch::Riscv64, 243, Endian::Little, "riscv64"),
];
/// What a processor has to say of itself in `/proc/cpuinfo` for `x86_64_v2` (the psABI's level 2; `pni` is SSE3).
const V2_FLAGS: [&str; 7] = ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"];

/// The first Linux with a list of emulators for each user namespace.
const LEAST_KERNEL: [u32; 2] = [6, 7];

/// The emulators that a node may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emulators(BTreeMap<Arch, Emulator>);

impl Emulators {
    /// Returns the emulators in a folder, of the architectures that this machine does not run by itself.
    ///
    /// They are QEMU's, linked statically, under the names that distributions give them (`qemu-aarch64-static`).
    /// There are none for a kernel that would register them for the whole machine.
    pub fn find(folder: &Path) -> Emulators {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        if !can_register(&release) {
            return Emulators::default();
        }
        let native = native_architectures();
        let there = MACHINES.into_iter().filter(|(arch, ..)| !native.contains(arch)).filter_map(|it| {
            let (arch, machine, endian, name) = it;
            let interpreter = folder.join(format!("qemu-{name}-static"));
            let is_there = interpreter.is_file();
            is_there.then(|| (arch, Emulator::of_elf64(&format!("qemu-{name}"), machine, endian, interpreter)))
        });
        Emulators(there.collect())
    }

    /// Returns those of the given architectures.
    pub fn only(self, architectures: &[Arch]) -> Emulators {
        Emulators(self.0.into_iter().filter(|(arch, _)| architectures.contains(arch)).collect())
    }

    /// Returns the architectures that they stand for.
    pub fn architectures(&self) -> Vec<Arch> {
        self.0.keys().copied().collect()
    }

    /// Returns what runs an architecture's programs: nothing where the machine does it by itself.
    pub(crate) fn of(&self, arch: Arch) -> Result<Vec<Emulator>> {
        match (native_architectures().contains(&arch), self.0.get(&arch)) {
            (true, _) => Ok(Vec::new()),
            (false, Some(emulator)) => Ok(vec![emulator.clone()]),
            (false, None) => Err(Error::Foreign { arch }),
        }
    }
}

/// Returns the architectures whose programs this machine runs by itself; nothing if it is of none that packages are built for.
pub fn native_architectures() -> Vec<Arch> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    natives(std::env::consts::ARCH, cfg!(target_endian = "little"), &cpuinfo)
}

/// Returns whether a kernel keeps a list of emulators for each user namespace.
fn can_register(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)] >= LEAST_KERNEL
}

fn natives(machine: &str, is_little: bool, cpuinfo: &str) -> Vec<Arch> {
    let own = match machine {
        "x86_64" if is_v2(cpuinfo) => Arch::X86_64V2,
        "powerpc64" if is_little => Arch::Ppc64le,
        name => match name.parse() {
            Ok(own) => own,
            Err(_) => return Vec::new(),
        },
    };
    Arch::ALL.into_iter().filter(|other| own.runs(*other)).collect()
}

fn is_v2(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':').map(|(_, flags)| flags));
    let has = |wanted: &&str| flags.unwrap_or_default().split_whitespace().any(|flag| flag == *wanted);
    V2_FLAGS.iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "processor\t: 0\nflags\t\t: fpu pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm avx2\n";

    #[test]
    fn a_processor_runs_what_is_older_than_itself() {
        let old = NEW.replace("popcnt ", "");

        assert_eq!(natives("x86_64", true, NEW), [Arch::X86_64, Arch::X86_64V2, Arch::I686]);
        assert_eq!(natives("x86_64", true, &old), [Arch::X86_64, Arch::I686]);
        assert_eq!(natives("aarch64", true, ""), [Arch::Aarch64]);
        assert_eq!(natives("powerpc64", true, ""), [Arch::Ppc64le]);
        assert_eq!(natives("powerpc64", false, ""), []);
        assert_eq!(natives("mips", true, ""), []);
    }

    #[test]
    fn a_kernel_that_knows_one_list_for_all_is_given_none() {
        assert!(can_register("6.7.0") && can_register("6.18.44-fc-v657") && can_register("7.0"));
        assert!(!can_register("6.1.0-18-amd64") && !can_register("5.14.0-427.el9.x86_64") && !can_register("linux"));
    }

    #[test]
    fn an_emulator_is_found_by_its_name_and_used_only_where_the_processor_does_not_do() {
        let folder = tempfile::tempdir().unwrap();
        for (_, _, _, name) in MACHINES {
            std::fs::write(folder.path().join(format!("qemu-{name}-static")), "").unwrap();
        }
        let native = native_architectures();

        let found = Emulators::find(folder.path());

        assert!(!native.is_empty() && found.architectures().iter().all(|arch| !native.contains(arch)));
        assert!(found.of(native[0]).unwrap().is_empty());
        for arch in found.architectures() {
            assert_eq!(found.of(arch).unwrap().len(), 1);
        }
        let (first, none) = (found.architectures()[0], Emulators::find(Path::new("/nonexistent")));
        assert_eq!(found.only(&[first]).architectures(), [first]);
        assert!(none.of(first).unwrap_err().to_string().contains(first.name()));
    }
}
