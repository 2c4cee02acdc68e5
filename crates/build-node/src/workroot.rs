//! A buildroot with a build user in it, and rpmbuild's folders in the user's home.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anima_environment::{Environment, Journal};
use anima_sandbox::{Disk, Identity, Outcome, Spec};
use anima_types::Arch;
use anima_types::platform::{PackageOptions, Platform};
use tokio_util::sync::CancellationToken;

use crate::entry::Entry;
use crate::files::Files;
use crate::job::Target;
use crate::limits::Limits;
use crate::record::Record;
use crate::trouble::Trouble;

/// The home of the build user, as mock has it: some packages know the path.
pub const HOME: &str = "/builddir";
/// rpmbuild's `_topdir`.
pub const TOP: &str = "/builddir/build";
/// Where rpmbuild leaves binary packages.
pub const RPMS: &str = "/builddir/build/RPMS";
/// Where it leaves source packages, among them the one that lists dynamic requirements.
pub const SRPMS: &str = "/builddir/build/SRPMS";
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
    limits: Limits,
    /// When the build began.
    began_at: Instant,
    record: Arc<Record>,
    /// What `SOURCE_DATE_EPOCH` is; rpm takes it from the changelog where nothing is said.
    source_date_secs: Option<i64>,
}

impl Workroot {
    /// Puts the user, the folders and the platform's macros into a clean root.
    pub fn new(
        environment: Environment,
        target: &Target<'_>,
        (limits, began_at): (Limits, Instant),
        record: Arc<Record>,
    ) -> Result<Workroot, Trouble> {
        let macros = macros(target.platform, target.platform.options(target.package), limits);
        let files = Files::prepare(environment.root(), &macros)?;
        Ok(Workroot { environment, files, arch: target.arch, limits, began_at, record, source_date_secs: None })
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
        let spec = self.spec(command, effort, journal.byte_count());
        let outcome = anima_environment::run(spec, helper, journal, cancel).await?;
        self.record.note(command, &outcome);
        Ok(outcome)
    }

    /// Runs a command as the build user and returns its output.
    pub async fn capture(
        &self,
        command: &[&str],
        helper: &Path,
        cancel: &CancellationToken,
    ) -> Result<(Outcome, String), Trouble> {
        let (outcome, output) = anima_environment::capture(self.spec(command, Effort::Spec, 0), helper, cancel).await?;
        self.record.note(command, &outcome);
        Ok((outcome, output))
    }

    /// Gives what is made in it a date, for a package that has no changelog to take one from.
    pub fn set_source_date(&mut self, secs: i64) {
        self.source_date_secs = Some(secs);
    }

    /// Returns what it is for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Returns what runs in it may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns how a person enters it.
    pub fn entry(&self, helper: &Path) -> Entry {
        let (root, helper) = (self.environment.root().to_owned(), helper.to_owned());
        let emulators = self.environment.emulators.clone();
        let (owner, written) = (self.files.owner(), self.environment.written());
        Entry { root, owner, arch: self.arch, emulators, helper, written, limits: self.limits }
    }

    /// Copies the root as it is into a folder.
    pub async fn copy_to(&self, folder: &Path) -> Result<(), anima_environment::Error> {
        self.environment.copy_to(folder).await
    }

    /// Unmounts the root and keeps what was written into it under a name.
    pub async fn keep(self, name: &str, about: &str) -> Result<(), anima_environment::Error> {
        drop(self.files);
        self.environment.keep(name, about).await
    }

    /// Unmounts the root and removes what was written into it.
    pub async fn remove(self) -> Result<(), Trouble> {
        drop(self.files);
        Ok(self.environment.remove().await?)
    }

    /// `logged_bytes` is how long the task's log is already: the limits hold for the task, whatever it runs.
    fn spec(&self, command: &[&str], effort: Effort, logged_bytes: u64) -> Spec {
        let mut spec = Spec::new(self.environment.root(), personality(self.arch).iter().chain(command).copied());
        let (uid, gid) = self.files.owner();
        spec.identity = Identity::User { uid, gid };
        spec.emulators.clone_from(&self.environment.emulators);
        spec.cwd = TOP.into();
        spec.env = environment_variables();
        spec.env.extend(self.source_date_secs.map(|secs| ("SOURCE_DATE_EPOCH".to_owned(), secs.to_string())));
        let left = self.limits.wall.saturating_sub(self.began_at.elapsed());
        let wall = match effort {
            Effort::Spec => SPEC_LIMIT.min(left),
            Effort::Build => left,
        };
        spec.limits = anima_sandbox::Limits {
            wall,
            memory_bytes: Some(self.limits.memory_bytes),
            cores: self.limits.cores,
            pids: self.limits.processes,
            log_bytes: self.limits.log_bytes.saturating_sub(logged_bytes),
            // The disk's limit says more; this one is for what comes between two looks at the disk.
            file_bytes: self.limits.disk_bytes.saturating_mul(2),
            ..anima_sandbox::Limits::default()
        };
        let Limits { disk_bytes: bytes, files, .. } = self.limits;
        spec.disk = Some(Disk { path: self.environment.written(), bytes, files });
        spec
    }
}

/// A machine runs its own 32-bit programs, but calls itself by its own name unless it is told otherwise.
pub fn personality(arch: Arch) -> &'static [&'static str] {
    if arch == Arch::I686 { &["setarch", "i686"] } else { &[] }
}

/// What mock gives to a build.
pub fn environment_variables() -> BTreeMap<String, String> {
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

/// The user's macros: ours first, so that a platform can say otherwise, and after it the package's options.
fn macros(platform: &Platform, options: &PackageOptions, limits: Limits) -> String {
    let ours = [
        ("_topdir", TOP),
        ("dist", &platform.dist),
        ("source_date_epoch_from_changelog", "1"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
        ("_buildhost", "buildhost"),
    ];
    let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let own = |macros: &BTreeMap<String, String>| macros.clone().into_iter().collect::<Vec<_>>();
    // What rpmbuild makes of `--with` and `--without`, here for each of rpm's programs.
    let with = options.with.iter().map(|name| (format!("_with_{name}"), format!("--with-{name}")));
    let without = options.without.iter().map(|name| (format!("_without_{name}"), format!("--without-{name}")));
    let cores = limits.cores.map(|cores| ("_smp_ncpus_max".to_owned(), cores.to_string()));
    let all = ours.into_iter().chain(own(&platform.macros)).chain(cores).chain(own(&options.macros));
    all.chain(with)
        .chain(without)
        .map(|(name, value)| format!("%{} {}\n", name.trim_start_matches('%'), value.trim_end().replace('\n', "\\\n")))
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

    fn limits(said: anima_types::platform::Limits) -> Limits {
        let machine = crate::limits::Machine { memory_bytes: 1, free_disk_bytes: 1, free_files: 1, slots: 1 };
        Limits::of_node(machine, said)
    }

    #[test]
    fn a_platforms_macros_come_after_ours_and_may_have_many_lines() {
        let platform = platform("_buildhost = \"builder\"\n\"%post\" = \"a\\nb\"\n");
        let text = macros(&platform, platform.options("x"), limits(Default::default()));

        assert!(text.contains("%dist .x1\n") && text.contains("%_topdir /builddir/build\n"), "{text}");
        assert!(text.ends_with("%post a\\\nb\n%_buildhost builder\n"), "{text}");
    }

    #[test]
    fn a_packages_options_come_last() {
        let platform = platform(
            "a = \"1\"\n[packages.jq]\nwith = [\"docs\"]\nwithout = [\"tests\"]\n[packages.jq.macros]\na = \"2\"\n",
        );
        let limits = limits(anima_types::platform::Limits { cores: Some(3), ..Default::default() });
        let text = macros(&platform, platform.options("jq"), limits);

        let end = "%a 1\n%_smp_ncpus_max 3\n%a 2\n%_with_docs --with-docs\n%_without_tests --without-tests\n";
        assert!(text.ends_with(end), "{text}");
    }
}
