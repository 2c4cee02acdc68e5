//! A root for tests: an empty directory that sees the host's `/usr`, read-only.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anima_sandbox::{Access, Mount, Outcome, Sandbox, Spec};
use tempfile::TempDir;

pub struct Root {
    dir: TempDir,
}

impl Root {
    pub fn new() -> Root {
        let dir = tempfile::tempdir().expect("make a directory");
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("open it to all");
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(Path::new("usr").join(name), dir.path().join(name)).expect("link");
        }
        let home = dir.path().join("home");
        std::fs::create_dir(&home).expect("make home");
        std::os::unix::fs::chown(&home, Some(1000), Some(1000)).expect("give home away");
        Root { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A spec that runs a bash script.
    pub fn spec(&self, script: &str) -> Spec {
        let mut spec = Spec::new(self.path(), ["/bin/bash", "-c", script]);
        spec.mounts.push(Mount::Bind { source: "/usr".into(), target: "/usr".into(), access: Access::ReadOnly });
        spec.cwd = "/home".into();
        spec
    }
}

pub fn helper() -> PathBuf {
    env!("CARGO_BIN_EXE_anima-sandbox-init").into()
}

/// Runs to the end; returns the log and what became of it.
pub fn run(spec: &Spec) -> (String, Outcome) {
    let mut log = Vec::new();
    let outcome = Sandbox::spawn(spec, &helper()).expect("spawn").wait_with_log(&mut log).expect("wait");
    (String::from_utf8_lossy(&log).into_owned(), outcome)
}
