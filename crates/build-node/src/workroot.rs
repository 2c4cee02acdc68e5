//! A buildroot with a build user in it, and rpmbuild's folders in the user's home.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anima_environment::{Environment, Inside, Journal};
use anima_sandbox::{Identity, Limits, Outcome, Spec};
use anima_types::{Arch, platform::Platform};
use tokio_util::sync::CancellationToken;

use crate::trouble::Trouble;

/// The home of the build user, as mock has it: some packages know the path.
const HOME: &str = "/builddir";
/// rpmbuild's `_topdir`.
const TOP: &str = "/builddir/build";
/// The user id that builds run with.
const UID: u32 = 1000;
/// The group of the build user where a root has none.
const GID: u32 = 135;
/// The largest file of accounts that is read.
const MAX_ACCOUNTS_BYTES: u64 = 1024 * 1024;
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
    inside: Inside,
    owner: (u32, u32),
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
        let inside = Inside::open(environment.root())?;
        let owner = (UID, user(&inside)?);
        for folder in [HOME, TOP] {
            inside.create_dir(folder, owner, 0o755)?;
        }
        for name in ["BUILD", "BUILDROOT", "RPMS", "SOURCES", "SPECS", "SRPMS", "originals"] {
            inside.create_dir(format!("{TOP}/{name}"), owner, 0o755)?;
        }
        inside.replace(format!("{HOME}/.rpmmacros"), owner, 0o644, &mut macros(platform).as_bytes())?;
        Ok(Workroot { environment, inside, owner, arch, memory_bytes })
    }

    /// Returns the environment that it is made from.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns its files.
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Writes a file below rpmbuild's top folder, with the folders on the way; returns its path inside.
    pub fn put(&self, path: &str, is_executable: bool, content: &mut dyn Read) -> Result<String, Trouble> {
        let mut folder = TOP.to_owned();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() {
                folder = format!("{folder}/{part}");
                self.inside.create_dir(&folder, self.owner, 0o755)?;
            }
        }
        let path = format!("{TOP}/{path}");
        self.inside.create(&path, self.owner, if is_executable { 0o755 } else { 0o644 }, content)?;
        Ok(path)
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
        drop(self.inside);
        Ok(self.environment.remove().await?)
    }

    fn spec(&self, command: &[&str], effort: Effort) -> Spec {
        // A machine runs its own 32-bit programs, but calls itself by its own name unless it is told otherwise.
        let personality: &[&str] = if self.arch == Arch::I686 { &["setarch", "i686"] } else { &[] };
        let mut spec = Spec::new(self.environment.root(), personality.iter().chain(command).copied());
        spec.identity = Identity::User { uid: self.owner.0, gid: self.owner.1 };
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

/// Returns the group of the build user, who is added to the root's accounts where he is missing.
fn user(inside: &Inside) -> Result<u32, Trouble> {
    let read = |path: &str| match inside.kind(path)? {
        Some(_) => inside.read_text(path, MAX_ACCOUNTS_BYTES),
        None => Ok(String::new()),
    };
    let accounts = read("/etc/passwd")?;
    if let Some(gid) = group_of(&accounts, UID) {
        return Ok(gid);
    }
    let line = format!("mockbuild:x:{UID}:{GID}:Build user:{HOME}:/bin/bash\n");
    inside.replace("/etc/passwd", (0, 0), 0o644, &mut with_line(&accounts, &line).as_bytes())?;
    let groups = read("/etc/group")?;
    if !groups.lines().any(|line| line.split(':').nth(2) == Some(&GID.to_string())) {
        let line = format!("mock:x:{GID}:\n");
        inside.replace("/etc/group", (0, 0), 0o644, &mut with_line(&groups, &line).as_bytes())?;
    }
    Ok(GID)
}

fn group_of(accounts: &str, uid: u32) -> Option<u32> {
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut own = fields.filter(|fields| fields.get(2).is_some_and(|id| *id == uid.to_string()));
    own.next()?.get(3)?.parse().ok()
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{line}")
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

    fn root_with(accounts: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), accounts).unwrap();
        root
    }

    #[test]
    fn a_root_with_a_build_user_is_left_as_it_is() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\nmockbuild:x:1000:42::/builddir:/bin/bash\n";
        let root = root_with(accounts);

        assert_eq!(user(&Inside::open(root.path()).unwrap()), Ok(42));
        assert_eq!(std::fs::read_to_string(root.path().join("etc/passwd")).unwrap(), accounts);
    }

    #[test]
    fn a_root_without_a_build_user_gets_one() {
        let root = root_with("root:x:0:0:root:/root:/bin/bash");

        assert_eq!(user(&Inside::open(root.path()).unwrap()), Ok(135));

        let accounts = std::fs::read_to_string(root.path().join("etc/passwd")).unwrap();
        assert!(accounts.ends_with("\nmockbuild:x:1000:135:Build user:/builddir:/bin/bash\n"), "{accounts}");
        assert_eq!(std::fs::read_to_string(root.path().join("etc/group")).unwrap(), "mock:x:135:\n");
    }
}
