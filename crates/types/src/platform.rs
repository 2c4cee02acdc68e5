//! A platform: a distribution line being built, as its file in `platforms/` says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Arch;

/// A platform's file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Its name, such as `almalinux-10`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// What `%dist` is, such as `.el10`.
    pub dist: String,
    /// The branch of the Git Service whose pushes are built for this platform.
    pub branch: String,
    /// Architectures that it has.
    #[schema(value_type = Vec<String>)]
    pub architectures: Vec<Arch>,
    /// Whether a build was seen to work with it; if not, why not.
    #[serde(default)]
    pub not_verified: Option<String>,
    /// The product that a push's build is released to when every verdict is green; none means that a person releases.
    #[serde(default)]
    pub release_to: Option<String>,
    /// What is in every buildroot.
    pub buildroot: Buildroot,
    /// Where its packages come from.
    pub repositories: Vec<Repository>,
    /// RPM macros for every build.
    #[serde(default)]
    pub macros: BTreeMap<String, String>,
}

/// What is in every buildroot of a platform.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Buildroot {
    /// Packages (or anything that packages provide) that every build finds installed.
    pub packages: Vec<String>,
    /// Packages that every test environment starts with.
    pub test_packages: Vec<String>,
}

/// One repository that a platform is built from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// A short name, such as `BaseOS`.
    pub name: String,
    /// Its address; `{arch}` stands for the architecture and `{master}` for the Master Service's own address.
    pub url: String,
    /// The lower, the rather taken; 99 where nothing is said, as in dnf.
    #[serde(default = "default_priority")]
    pub priority: i32,
}

const fn default_priority() -> i32 {
    99
}

/// Why a platform's file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not TOML of the right form.
    #[error("could not read platform file: {0}")]
    Form(#[from] toml::de::Error),
    /// It says something that cannot be.
    #[error("could not use platform \"{name}\": {reason}")]
    Meaning {
        /// The platform.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Platform {
    /// Reads a platform's file.
    pub fn parse(text: &str) -> Result<Platform, Error> {
        let platform: Platform = toml::from_str(text)?;
        let wrong = |reason| Err(Error::Meaning { name: platform.name.clone(), reason });
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
        if platform.name.is_empty() || !platform.name.chars().all(plain) {
            return wrong("its name may have only lower-case letters, digits, '-', '.' and '_'");
        }
        if platform.architectures.is_empty() {
            return wrong("it names no architecture");
        }
        if platform.repositories.is_empty() {
            return wrong("it names no repository");
        }
        if platform.buildroot.packages.is_empty() {
            return wrong("its buildroot has no packages");
        }
        Ok(platform)
    }
}

impl Repository {
    /// Returns the address for one architecture.
    pub fn url_for(&self, arch: Arch, master: &str) -> String {
        self.url.replace("{arch}", arch.name()).replace("{master}", master.trim_end_matches('/'))
    }
}
