//! Facts: one document about a root, which a plan is made from. It can be taken along, kept and planned with elsewhere.

use anima_types::Evr;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, data::events::Module, probes::Probes, release::Release};

/// The newest form of the document.
pub const FACTS_VERSION: u32 = 1;

/// All that is known of a root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The form.
    pub version: u32,
    /// The name of the machine, where it has one.
    #[serde(default)]
    pub host: Option<String>,
    /// What distribution it is.
    pub os: Os,
    /// Its architecture.
    pub arch: String,
    /// What is installed, by name.
    pub packages: Vec<Installed>,
    /// The repositories of its configuration.
    #[serde(default)]
    pub repositories: Vec<Repository>,
    /// The file systems that the upgrade writes to.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Services that start by themselves.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Kernel modules that are loaded; empty where the root is not the running system.
    #[serde(default)]
    pub modules_loaded: Vec<String>,
    /// What rules look at; none in facts of a program that had no rules.
    #[serde(default)]
    pub probes: Option<Probes>,
}

/// What `/etc/os-release` says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Os {
    /// `ID`.
    pub id: String,
    /// `PRETTY_NAME`.
    pub name: String,
    /// `VERSION_ID`.
    pub release: Release,
}

/// An installed package.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its epoch.
    #[serde(default)]
    pub epoch: u32,
    /// Its version.
    pub version: String,
    /// Its release.
    pub release: String,
    /// Its architecture.
    pub arch: String,
    /// Who made it.
    #[serde(default)]
    pub vendor: String,
    /// The key that signed it; empty for none.
    #[serde(default)]
    pub key_id: String,
    /// The source package's file name.
    #[serde(default)]
    pub source: String,
    /// The module and stream that it is of.
    #[serde(default)]
    pub module: Option<Module>,
    /// Whether a person asked for it, as far as dnf noted that.
    #[serde(default)]
    pub is_wanted: Option<bool>,
    /// When it was built, in seconds since 1970: two builds may have the same version.
    #[serde(default)]
    pub built_at_secs: u64,
    /// Bytes of its files.
    #[serde(default)]
    pub size_bytes: u64,
    /// What it provides, requires, conflicts with and obsoletes, as `rpm -q` writes them.
    #[serde(default)]
    pub provides: Vec<String>,
    /// See [`Installed::provides`].
    #[serde(default)]
    pub requires: Vec<String>,
    /// See [`Installed::provides`].
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// See [`Installed::provides`].
    #[serde(default)]
    pub obsoletes: Vec<String>,
    /// Its files that others may require by their paths: programs, and what is below `/etc`.
    #[serde(default)]
    pub files: Vec<String>,
    /// Its configuration files that were changed since they were installed.
    #[serde(default)]
    pub changed_config: Vec<String>,
    /// Those of them that a newer package puts its own in place of (`%config` without `noreplace`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced_config: Vec<String>,
}

/// A repository of the configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name in dnf's configuration.
    pub id: String,
    /// Whether it is used.
    pub is_enabled: bool,
    /// Where it is, as far as the configuration says it.
    #[serde(default)]
    pub url: Option<String>,
    /// The file that says so.
    pub file: String,
}

/// A file system.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is mounted, below the root.
    pub path: String,
    /// What kind it is (`ext4`).
    pub kind: String,
    /// Its size.
    pub total_bytes: u64,
    /// What root may still write.
    pub free_bytes: u64,
    /// Whether it can be written.
    pub is_writable: bool,
}

/// A service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its unit (`sshd.service`).
    pub unit: String,
    /// The programs that it runs, by their paths.
    pub programs: Vec<String>,
}

impl Facts {
    /// Reads a document.
    pub fn from_json(text: &str) -> Result<Facts> {
        let place = |error: &serde_json::Error| crate::data::Place {
            file: "facts".into(),
            line: error.line(),
            column: error.column(),
        };
        let failed = |error: serde_json::Error| Error::Data { place: place(&error), reason: error.to_string() };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version: found } = serde_json::from_str(text).map_err(failed)?;
        if found > FACTS_VERSION {
            return Err(Error::Version { what: "facts", found, known: FACTS_VERSION });
        }
        serde_json::from_str(text).map_err(failed)
    }
}

impl Facts {
    /// Returns the newest kernel that is installed.
    pub fn newest_kernel(&self) -> Option<&Installed> {
        self.newest("kernel-core").or_else(|| self.newest("kernel"))
    }

    /// Returns the newest package of a name that is installed.
    pub fn newest(&self, name: &str) -> Option<&Installed> {
        self.packages
            .iter()
            .filter(|package| package.name == name)
            .max_by_key(|package| Evr::new(package.epoch, package.version.as_str(), package.release.as_str()))
    }
}

impl Installed {
    /// Returns name, version, release and architecture, with the epoch where it is not 0.
    pub fn nevra(&self) -> String {
        format!("{}-{}.{}", self.name, self.evr(), self.arch)
    }

    /// Returns version and release, with the epoch where it is not 0.
    pub fn evr(&self) -> String {
        match self.epoch {
            0 => format!("{}-{}", self.version, self.release),
            epoch => format!("{epoch}:{}-{}", self.version, self.release),
        }
    }
}
