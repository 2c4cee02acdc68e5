//! Architectures as RPM names them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An architecture that packages are built for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum Arch {
    I686,
    X86_64,
    X86_64V2,
    Aarch64,
    Ppc64le,
    S390x,
    Riscv64,
}

/// The text names no architecture that we know.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "could not find an architecture named \"{0}\": known are i686, x86_64, x86_64_v2, aarch64, ppc64le, s390x, riscv64"
)]
pub struct UnknownArch(String);

impl Arch {
    /// All of them, in the order of pages and tables.
    pub const ALL: [Arch; 7] =
        [Arch::X86_64, Arch::X86_64V2, Arch::I686, Arch::Aarch64, Arch::Ppc64le, Arch::S390x, Arch::Riscv64];

    /// Returns RPM's name.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::I686 => "i686",
            Arch::X86_64 => "x86_64",
            Arch::X86_64V2 => "x86_64_v2",
            Arch::Aarch64 => "aarch64",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
            Arch::Riscv64 => "riscv64",
        }
    }

    /// Returns whether a machine of this architecture runs programs of `other` without emulation. The same tells whether packages
    /// of `other` may be installed beside those of this one.
    pub fn runs(self, other: Arch) -> bool {
        match self {
            Arch::X86_64V2 => matches!(other, Arch::X86_64V2 | Arch::X86_64 | Arch::I686),
            Arch::X86_64 => matches!(other, Arch::X86_64 | Arch::I686),
            _ => self == other,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Arch, UnknownArch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == text).ok_or_else(|| UnknownArch(text.to_string()))
    }
}

crate::nevra::serde_as_text!(Arch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_reads_back_from_its_name() {
        for arch in Arch::ALL {
            assert_eq!(arch.name().parse(), Ok(arch));
        }
        assert!("vax".parse::<Arch>().is_err());
    }

    #[test]
    fn a_newer_x86_runs_what_was_built_for_older_ones_and_nothing_else_is_so() {
        let runs = |own: Arch| Arch::ALL.into_iter().filter(|other| own.runs(*other)).collect::<Vec<_>>();

        assert_eq!(runs(Arch::X86_64V2), [Arch::X86_64, Arch::X86_64V2, Arch::I686]);
        assert_eq!(runs(Arch::X86_64), [Arch::X86_64, Arch::I686]);
        for own in [Arch::I686, Arch::Aarch64, Arch::Ppc64le, Arch::S390x, Arch::Riscv64] {
            assert_eq!(runs(own), [own]);
        }
    }
}
