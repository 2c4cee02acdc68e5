//! Which program of the host runs which programs of a root.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The kernel looks at so many bytes of a program at most.
const LOOKED_AT_BYTES: usize = 128;
/// `ET_EXEC` and `ET_DYN` differ in the lowest bit.
const ELF_TYPE_MASK: u16 = 0xfffe;
/// `ET_EXEC`.
const ELF_EXECUTABLE: u16 = 2;

/// A program of the host that runs programs of another architecture. Inside, the kernel starts it in their place.
///
/// It is registered for one sandbox alone, opened outside of it: neither the host nor another sandbox knows of it, and the root
/// need not have it. It has to be linked statically, because its libraries are not in the root either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// What the kernel calls it.
    pub name: String,
    /// The program on the host.
    pub interpreter: PathBuf,
    /// How the programs begin that it runs.
    pub magic: Vec<u8>,
    /// Which bits of the beginning count.
    pub mask: Vec<u8>,
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endian {
    /// The lowest.
    Little,
    /// The highest.
    Big,
}

impl Emulator {
    /// Returns the emulator of 64-bit ELF programs for a machine, by its number in `e_machine`.
    pub fn of_elf64(name: &str, machine: u16, endian: Endian, interpreter: PathBuf) -> Emulator {
        let (data, number): (u8, fn(u16) -> [u8; 2]) = match endian {
            Endian::Little => (1, u16::to_le_bytes),
            Endian::Big => (2, u16::to_be_bytes),
        };
        let header = |ident: [u8; 16], kind, machine| [&ident[..], &number(kind), &number(machine)].concat();
        let mut ident = [0; 16];
        ident[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, data, 1]);
        // What follows is the system's name and padding: programs say different things there, and mean Linux.
        let mut ident_mask = [0; 16];
        ident_mask[..7].fill(0xff);
        Emulator {
            name: name.to_owned(),
            interpreter,
            magic: header(ident, ELF_EXECUTABLE, machine),
            mask: header(ident_mask, ELF_TYPE_MASK, u16::MAX),
        }
    }

    /// Returns whether the kernel's one line can say it.
    pub(crate) fn is_possible(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        !self.name.is_empty()
            && self.name.chars().all(plain)
            && !["register", "status"].contains(&self.name.as_str())
            && (1..=LOOKED_AT_BYTES).contains(&self.magic.len())
            && self.magic.len() == self.mask.len()
    }

    /// Returns the line that registers it, with the interpreter as the kernel finds it at that moment.
    ///
    /// `O`: the program is opened for it. `P`: it is told the program's own first argument. `F`: the interpreter is opened now.
    pub(crate) fn line(&self, interpreter: &str) -> String {
        let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        format!(":{}:M::{}:{}:{interpreter}:OPF", self.name, escaped(&self.magic), escaped(&self.mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_one_that_distributions_register() {
        let s390x = Emulator::of_elf64("qemu-s390x", 22, Endian::Big, "/usr/bin/qemu-s390x-static".into());
        let aarch64 = Emulator::of_elf64("qemu-aarch64", 183, Endian::Little, "/usr/bin/qemu-aarch64-static".into());

        let (zeros, mask) = ("\\x00".repeat(9), "\\xff".repeat(7) + &"\\x00".repeat(9));
        assert_eq!(
            s390x.line("/i"),
            format!(
                ":qemu-s390x:M::\\x7f\\x45\\x4c\\x46\\x02\\x02\\x01{zeros}\\x00\\x02\\x00\\x16:{mask}\\xff\\xfe\\xff\\xff:/i:OPF"
            )
        );
        assert_eq!(
            aarch64.line("/i"),
            format!(
                ":qemu-aarch64:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01{zeros}\\x02\\x00\\xb7\\x00:{mask}\\xfe\\xff\\xff\\xff:/i:OPF"
            )
        );
    }

    #[test]
    fn a_name_that_could_change_the_line_is_not_possible() {
        let good = Emulator::of_elf64("qemu-s390x", 22, Endian::Big, "/q".into());

        assert!(good.is_possible());
        for name in ["", "a:b", "a/b", "register", "status", "a\nb"] {
            assert!(!Emulator { name: name.into(), ..good.clone() }.is_possible(), "{name:?}");
        }
        assert!(!Emulator { magic: Vec::new(), mask: Vec::new(), ..good.clone() }.is_possible());
        assert!(!Emulator { mask: vec![0xff], ..good }.is_possible());
    }
}
