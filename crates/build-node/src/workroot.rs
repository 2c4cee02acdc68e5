//! A buildroot with a build user in it, and rpmbuild's folders in the user's home.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anima_environment::{Environment, Journal};
use anima_sandbox::{Identity, Limits, Outcome, Spec};
use anima_types::{Arch, platform::Platform};
use tokio_util::sync::CancellationToken;

use crate::files::Files;
use crate::trouble::Trouble;

/// The home of the build user, as mock has it: some packages know the path.
pub const HOME: &str = "/builddir";
/// rpmbuild's `_topdir`.
pub const TOP: &str = "/builddir/build";
/// Where rpmbuild leaves binary packages.
pub const RPMS: &str = "/builddir/build/RPMS";
/// Where it leaves source packages, among them the one that lists dynamic requirements.
pub const SRPMS: &str = "/builddir/build/SRPMS";
/// The slowest packages of a distribution (browsers, compilers on slow architectures) take most of a day.
const BUILD_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Reading a spec takes a second; one that takes longer runs something that it should not.
const SPEC_LIMIT: Duration = Duration::from_secs(10 * 60);

/// What commands of one kind may take.
#[derive(Clone, Copy, Debug)]
pub enum Effort {
    /// Reading a spec, packing sources.
    Spec,
    /// Building.
    Build,
}

/// A mounted root, ready for rpmbuild.
#[derive(Debug)]
pub struct Workroot {
    environment: Environment,
    files: Files,
    arch: Arch,
    /// What a build may use of the machine's memory.
    memory_bytes: Option<u64>,
}

impl Workroot {
    /// Puts the user, the folders and the platform's macros into a clean root.
    pub fn new(
        environment: Environment,
        platform: &Platform,
        arch: Arch,
        memory_bytes: Option<u64>,
    ) -> Result<Workroot, Trouble> {
        let files = Files::prepare(environment.root(), &macros(platform))?;
        Ok(Workroot { environment, files, arch, memory_bytes })
    }

    /// Returns the environment that it is made from.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Runs a command as the build user; its output goes into the journal.
    pub async fn run(
        &self,
        command: &[&str],
        effort: Effort,
        helper: &Path,
        journal: &Journal,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Trouble> {
        Ok(anima_environment::run(self.spec(command, effort), helper, journal, cancel).await?)
    }

    /// Runs a command as the build user and returns its output.
    pub async fn capture(
        &self,
        command: &[&str],
        helper: &Path,
        cancel: &CancellationToken,
    ) -> Result<(Outcome, String), Trouble> {
        Ok(anima_environment::capture(self.spec(command, Effort::Spec), helper, cancel).await?)
    }

    /// Unmounts the root and removes what was written into it.
    pub async fn remove(self) -> Result<(), Trouble> {
        drop(self.files);
        Ok(self.environment.remove().await?)
    }

    fn spec(&self, command: &[&str], effort: Effort) -> Spec {
        // A machine runs its own 32-bit programs, but calls itself by its own name unless it is told otherwise.
        let personality: &[&str] = if self.arch == Arch::I686 { &["setarch", "i686"] } else { &[] };
        let mut spec = Spec::new(self.environment.root(), personality.iter().chain(command).copied());
        let (uid, gid) = self.files.owner();
        spec.identity = Identity::User { uid, gid };
        spec.cwd = TOP.into();
        spec.env = environment_variables();
        let wall = match effort {
            Effort::Spec => SPEC_LIMIT,
            Effort::Build => BUILD_LIMIT,
        };
        spec.limits = Limits { wall, memory_bytes: self.memory_bytes, ..Limits::default() };
        spec
    }
}

/// What mock gives to a build.
fn environment_variables() -> BTreeMap<String, String> {
    [
        ("HOME", HOME),
        ("HOSTNAME", "buildhost"),
        ("LANG", "C.UTF-8"),
        ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
        ("SHELL", "/bin/bash"),
        ("TERM", "dumb"),
        ("USER", "mockbuild"),
        ("LOGNAME", "mockbuild"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The user's macros: ours first, so that a platform can say otherwise.
fn macros(platform: &Platform) -> String {
    let ours = [
        ("_topdir", TOP),
        ("dist", &platform.dist),
        ("source_date_epoch_from_changelog", "1"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
        ("_buildhost", "buildhost"),
    ];
    let platforms = platform.macros.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = ours.into_iter().chain(platforms);
    all.map(|(name, value)| format!("%{} {}\n", name.trim_start_matches('%'), value.trim_end().replace('\n', "\\\n")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(macros: &str) -> Platform {
        let text = format!(
            "name = \"x\"\ntitle = \"X\"\ndist = \".x1\"\nbranch = \"x\"\narchitectures = [\"x86_64\"]\n\
             [buildroot]\npackages = [\"bash\"]\ntest_packages = []\n[[repositories]]\nname = \"r\"\nurl = \"http://h\"\n[macros]\n{macros}"
        );
        Platform::parse(&text).unwrap()
    }

    #[test]
    fn a_platforms_macros_come_after_ours_and_may_have_many_lines() {
        let text = macros(&platform("_buildhost = \"builder\"\n\"%post\" = \"a\\nb\"\n"));

        assert!(text.contains("%dist .x1\n") && text.contains("%_topdir /builddir/build\n"), "{text}");
        assert!(text.ends_with("%post a\\\nb\n%_buildhost builder\n"), "{text}");
    }
}
