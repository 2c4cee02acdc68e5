//! The processor architectures that a seed can be made for, in the three spellings that meet here.

use std::{fmt, str::FromStr};

/// A processor architecture of Seed Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    I686,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit little-endian POWER.
    Ppc64le,
    /// IBM Z.
    S390x,
}

impl Arch {
    /// Every architecture that a seed can be made for.
    pub const ALL: [Arch; 5] = [Arch::X86_64, Arch::I686, Arch::Aarch64, Arch::Ppc64le, Arch::S390x];

    /// Returns the architecture of the machine this program was compiled for.
    pub fn of_this_program() -> Option<Arch> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Arch::X86_64),
            "x86" => Some(Arch::I686),
            "aarch64" => Some(Arch::Aarch64),
            "powerpc64" if cfg!(target_endian = "little") => Some(Arch::Ppc64le),
            "s390x" => Some(Arch::S390x),
            _ => None,
        }
    }

    /// Returns the name that RPM uses.
    pub fn rpm(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::I686 => "i686",
            Arch::Aarch64 => "aarch64",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
        }
    }

    /// Returns the name that dpkg uses.
    pub fn debian(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::I686 => "i386",
            Arch::Aarch64 => "arm64",
            Arch::Ppc64le => "ppc64el",
            Arch::S390x => "s390x",
        }
    }

    /// Returns the folder name under `/usr/lib` where Debian keeps the libraries.
    pub fn triplet(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-linux-gnu",
            Arch::I686 => "i386-linux-gnu",
            Arch::Aarch64 => "aarch64-linux-gnu",
            Arch::Ppc64le => "powerpc64le-linux-gnu",
            Arch::S390x => "s390x-linux-gnu",
        }
    }

    /// Returns the folder under `/usr` where Enterprise Linux keeps the libraries.
    pub fn lib(self) -> &'static str {
        match self {
            Arch::I686 => "lib",
            Arch::X86_64 | Arch::Aarch64 | Arch::Ppc64le | Arch::S390x => "lib64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rpm())
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Arch::ALL.into_iter().find(|arch| arch.rpm() == text).ok_or_else(|| {
            let known: Vec<&str> = Arch::ALL.iter().map(|arch| arch.rpm()).collect();
            format!("{text:?} is not one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_reads_back_what_it_prints() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse(), Ok(arch));
        }
    }

    #[test]
    fn an_unknown_architecture_is_refused_with_the_known_ones() {
        assert!("vax".parse::<Arch>().unwrap_err().contains("x86_64, i686, aarch64"));
    }
}
