//! Whether this machine can hold tasks to what they may use of its memory.
//!
//! Only a control group can. In a container or a service without groups of its own there is none: tasks then run without a bound,
//! and the first that needs too much takes the node and all its tasks with it. So it is told where somebody looks.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anima_sandbox::{Access, Mount, Sandbox, Spec};

use crate::{Error, Result};

/// Enough for a program that does nothing.
const MEMORY_BYTES: u64 = 64 * 1024 * 1024;
/// Links of a tree that has the host's programs, as every host has them.
const LINKS: [&str; 3] = ["bin", "lib", "lib64"];

/// Returns whether the memory of a sandbox is limited here, and warns where it is not. One program runs for that, in a folder in
/// `work`; where it cannot, tasks cannot either, and say why.
pub fn limits_memory(helper: &Path, work: &Path) -> bool {
    match try_it(helper, work) {
        Ok(true) => true,
        Ok(false) => {
            tracing::warn!(
                "no control group limits memory here: a task that needs too much takes the others with it; `anima doctor` says what helps"
            );
            false
        }
        Err(error) => {
            tracing::warn!(%error, "whether memory is limited here is not known: could not {error}");
            true
        }
    }
}

fn try_it(helper: &Path, work: &Path) -> Result<bool> {
    let tree =
        tempfile::Builder::new().prefix("limits-").tempdir_in(work).map_err(Error::file("make a folder in", work))?;
    let made = fs::set_permissions(tree.path(), Permissions::from_mode(0o755))
        .and_then(|()| LINKS.iter().try_for_each(|name| symlink(Path::new("usr").join(name), tree.path().join(name))));
    made.map_err(Error::file("fill", tree.path()))?;
    let mut spec = Spec::new(tree.path(), ["true"]);
    spec.mounts.push(Mount::Bind { source: "/usr".into(), target: "/usr".into(), access: Access::ReadOnly });
    spec.limits.memory_bytes = Some(MEMORY_BYTES);
    let running = Sandbox::spawn(&spec, helper)?;
    let is_limited = running.enforced().memory.is_some();
    running.wait()?;
    Ok(is_limited)
}
