//! Packages that rpmbuild left in the root, on their way out: everything in there was written by the build itself, and is
//! looked at as such.

use std::fs::File;
use std::path::{Path, PathBuf};

use anima_environment::{Inside, Kind, blocking};
use anima_rpm_file::PackageInfo;
use anima_types::dist_git::is_file_name;

use crate::files::Files;
use crate::trouble::{Trouble, failed};

/// A source package makes at most so many packages; the kernel and texlive have a few thousand.
const MAX_PACKAGES: usize = 10_000;

/// A package that has been copied out of the root.
#[derive(Debug)]
pub struct Collected {
    /// Where it is now.
    pub path: PathBuf,
    /// What it says of itself.
    pub info: PackageInfo,
}

/// Copies the packages below a folder of the root into `to`, and reads them; each has the name that its header gives.
pub async fn collect(files: &Files, folder: &'static str, to: &Path) -> Result<Vec<Collected>, Trouble> {
    let (files, to) = (files.clone(), to.to_owned());
    blocking(move || copy_out(files.inside(), folder, &to)).await
}

fn copy_out(inside: &Inside, folder: &str, to: &Path) -> Result<Vec<Collected>, Trouble> {
    let mut collected: Vec<Collected> = Vec::new();
    for (path, kind) in inside.walk(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".rpm")) else {
            continue;
        };
        if kind != Kind::File {
            return Err(failed("bad_package", format!("{} is no regular file", path.display()), None));
        }
        if !is_file_name(name) || collected.len() == MAX_PACKAGES {
            return Err(failed("bad_package", format!("{} cannot be taken out of the root", path.display()), None));
        }
        let copy = to.join(name);
        let mut target = File::create_new(&copy).map_err(anima_environment::Error::file("write", &copy))?;
        std::io::copy(&mut inside.file(&path)?, &mut target).map_err(anima_environment::Error::file("write", &copy))?;
        let info = PackageInfo::read(&copy).map_err(|error| failed("bad_package", format!("{name}: {error}"), None))?;
        if info.nevra.file_name() != name {
            return Err(failed("bad_package", format!("{name} says in its header that it is {}", info.nevra), None));
        }
        collected.push(Collected { path: copy, info });
    }
    Ok(collected)
}
