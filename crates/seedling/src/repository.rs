//! Puts packages together into an rpm-md repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command,
    error::{Result, on},
};

/// The time that the repository says it was made at, 2025-01-01, so that the same packages give the same bytes.
const REVISION_SECS: &str = "1735689600";

/// Links the packages into an empty folder (copies them where it cannot) and writes the repository's metadata.
pub fn make(packages: &[PathBuf], folder: &Path) -> Result<()> {
    for package in packages {
        let to = folder.join(package.file_name().unwrap_or_default());
        if fs::hard_link(package, &to).is_err() {
            fs::copy(package, &to).map_err(on("copy", package))?;
        }
    }
    let mut createrepo = Command::new("createrepo_c");
    createrepo.args(["--quiet", "--no-database", "--general-compress-type=gz"]);
    createrepo.args(["--revision", REVISION_SECS, "--set-timestamp-to-revision"]);
    command::run(createrepo.arg(folder)).map(drop)
}
