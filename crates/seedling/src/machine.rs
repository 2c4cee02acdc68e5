//! A small machine in two releases, and a sibling of another brand: what upgrades are tried with.
//!
//! Each package of the first release becomes something else in the second: upgraded, renamed with and without Obsoletes,
//! replaced, split, merged, removed, moved to another repository, of no architecture; with scripts that fail, files that
//! change their owner or their kind, and configuration of both kinds. No package needs a shell, so a root of them is a
//! few hundred kilobytes and made in a second.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    arch::Arch,
    cache, command,
    error::{Result, on},
    own, repository,
};

/// The time stamp of these packages, 2025-01-01.
const SOURCE_DATE_EPOCH_SECS: i64 = 1_735_689_600;
/// Packages of the second release that are in the other repository.
const EXTRAS: &str = "mover-";

/// The distribution's packages of the first release, as one spec.
pub const FIRST: &str = include_str!("../files/machine/1.spec");
/// Those of the second; with the macro `sibling` they are of another brand, and of the first one's version.
pub const SECOND: &str = include_str!("../files/machine/2.spec");
/// A third party's packages for the first release.
pub const OTHERS_FIRST: &str = include_str!("../files/machine/elsewhere-1.spec");
/// A third party's packages for the second release.
pub const OTHERS_SECOND: &str = include_str!("../files/machine/elsewhere-2.spec");

/// A kernel for the machines that are started, in the folder `kernel` beside the repositories; the macro `number` is its release.
const KERNEL: &str = include_str!("../files/machine/kernel.spec");

/// The releases: the folder, the specs, and whether it is the sibling.
const RELEASES: [(&str, [&str; 2], bool); 3] = [
    ("1", [FIRST, OTHERS_FIRST], false),
    ("2", [SECOND, OTHERS_SECOND], false),
    ("sibling", [SECOND, OTHERS_SECOND], true),
];

/// Makes `machine/{1,2,sibling}/{base,extras}` and `machine/{1,2}/kernel` in a folder, or finds it made, and returns `machine`.
pub fn make(out: &Path, arch: Arch) -> Result<PathBuf> {
    fs::create_dir_all(out).map_err(on("create", out))?;
    let out = out.canonicalize().map_err(on("find", out))?;
    let _lock = cache::Lock::take(out.join("machine.lock"))?;
    let version = command::run(std::process::Command::new("rpmbuild").arg("--version"))?;
    let code = include_str!("machine.rs");
    let inputs = [version.as_str(), arch.rpm(), code].into_iter().chain(RELEASES.iter().flat_map(|release| release.1));
    let inputs = inputs.chain([KERNEL]);
    let key = cache::key(inputs);
    let folder = out.join("machine");
    if cache::Marker::read(&folder).is_some_and(|marker| marker.key == key) {
        return Ok(folder);
    }
    let staged = out.join(".machine.new");
    cache::empty(&staged)?;
    let mut package_count = 0;
    for (name, specs, is_sibling) in RELEASES {
        package_count += release(arch, specs, is_sibling, &staged.join(name))?;
    }
    for number in ["1", "2"] {
        kernel(arch, number, &staged.join(number).join("kernel"))?;
    }
    cache::Marker::new(key, package_count).write(&staged)?;
    cache::replace(&staged, &folder)?;
    Ok(folder)
}

/// Makes one release and returns how many packages it has.
fn release(arch: Arch, specs: [&str; 2], is_sibling: bool, folder: &Path) -> Result<usize> {
    let (work, rpms) = (folder.join("work"), folder.join("rpms"));
    for path in [&work, &rpms] {
        fs::create_dir_all(path).map_err(on("create", path))?;
    }
    let files = ["machine.spec", "elsewhere.spec"].map(|name| work.join(name));
    for (file, spec) in files.iter().zip(specs) {
        fs::write(file, spec).map_err(on("write", file))?;
    }
    let mut rpmbuild = own::rpmbuild(arch, arch.rpm(), &work, &rpms, SOURCE_DATE_EPOCH_SECS);
    if is_sibling {
        rpmbuild.args(["--define", "sibling 1"]);
    }
    command::run(rpmbuild.arg("--nodeps").args(&files))?;
    let mut packages = [Vec::new(), Vec::new()];
    for entry in fs::read_dir(&rpms).map_err(on("list", &rpms))? {
        let path = entry.map_err(on("list", &rpms))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_extra = specs[0] != FIRST && name.starts_with(EXTRAS);
        packages[usize::from(is_extra)].push(path);
    }
    let package_count = packages.iter().map(Vec::len).sum();
    for (mut packages, name) in packages.into_iter().zip(["base", "extras"]) {
        let repository = folder.join(name);
        fs::create_dir(&repository).map_err(on("create", &repository))?;
        packages.sort();
        repository::make(&packages, &repository)?;
    }
    cache::remove(&work)?;
    cache::remove(&rpms)?;
    Ok(package_count)
}

/// Makes the kernel of a release.
fn kernel(arch: Arch, number: &str, folder: &Path) -> Result<()> {
    let work = folder.join("work");
    fs::create_dir_all(&work).map_err(on("create", &work))?;
    let file = work.join("kernel.spec");
    fs::write(&file, KERNEL).map_err(on("write", &file))?;
    let mut rpmbuild = own::rpmbuild(arch, arch.rpm(), &work, folder, SOURCE_DATE_EPOCH_SECS);
    command::run(rpmbuild.args(["--define", &format!("number {number}"), "--nodeps"]).arg(&file))?;
    cache::remove(&work)
}
