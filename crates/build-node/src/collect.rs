//! Packages that rpmbuild left in the root, on their way out: everything in there was written by the build itself, and is
//! looked at as such.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anima_environment::{Inside, Kind, blocking};
use anima_rpm_file::PackageInfo;
use anima_types::{Nevra, dist_git::is_file_name};

use crate::files::Files;
use crate::trouble::{Trouble, failed};

/// A source package makes at most so many packages; the kernel and texlive have a few thousand.
const MAX_PACKAGES: usize = 10_000;

/// A package that has been copied out of the root.
#[derive(Debug)]
pub struct Collected {
    /// Where it is now.
    pub path: PathBuf,
    /// What it says that it is. The rest that it says of itself may be large, and there may be many.
    pub nevra: Nevra,
    /// Whether it is a source package.
    pub is_source: bool,
}

/// Copies the packages below a folder of the root into `to`, and reads them; each has the name that its header gives. All
/// together may have `most_bytes`.
pub async fn collect(
    files: &Files,
    folder: &'static str,
    to: &Path,
    most_bytes: u64,
) -> Result<Vec<Collected>, Trouble> {
    let (files, to) = (files.clone(), to.to_owned());
    blocking(move || copy_out(files.inside(), folder, &to, most_bytes)).await
}

/// What the build made of the folder of packages is the package's fault.
fn no_packages(error: anima_environment::Error) -> Trouble {
    match error {
        anima_environment::Error::Inside { .. } => failed("bad_package", format!("could not {error}"), None),
        error => error.into(),
    }
}

/// Reads what a package that was copied out says of itself.
pub fn read(copy: &Path) -> Result<PackageInfo, Trouble> {
    let name = copy.file_name().unwrap_or_default().display();
    PackageInfo::read(copy).map_err(|error| failed("bad_package", format!("{name}: {error}"), None))
}

fn copy_out(inside: &Inside, folder: &str, to: &Path, most_bytes: u64) -> Result<Vec<Collected>, Trouble> {
    let mut collected: Vec<Collected> = Vec::new();
    let mut left_bytes = most_bytes;
    for (path, kind) in inside.walk(folder).map_err(no_packages)? {
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
        let source = inside.file(&path).map_err(no_packages)?;
        // A file with holes takes no room there, and all of it here.
        let size_bytes = source.metadata().map_err(anima_environment::Error::file("read", &path))?.len();
        if size_bytes > left_bytes {
            let message = format!("{} and the packages before it have more than {most_bytes} bytes", path.display());
            return Err(failed("bad_package", message, None));
        }
        left_bytes -= size_bytes;
        std::io::copy(&mut source.take(size_bytes), &mut target)
            .map_err(anima_environment::Error::file("write", &copy))?;
        let PackageInfo { nevra, is_source, .. } = read(&copy)?;
        if nevra.file_name() != name {
            return Err(failed("bad_package", format!("{name} says in its header that it is {nevra}"), None));
        }
        collected.push(Collected { path: copy, nevra, is_source });
    }
    Ok(collected)
}
