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

/// The releases: the folder, the spec, and whether it is the sibling.
const RELEASES: [(&str, &str, bool); 3] = [
    ("1", include_str!("../files/machine/1.spec"), false),
    ("2", include_str!("../files/machine/2.spec"), false),
    ("sibling", include_str!("../files/machine/2.spec"), true),
];

/// Makes `machine/{1,2,sibling}/{base,extras}` in a folder, or finds it made, and returns `machine`.
pub fn make(out: &Path, arch: Arch) -> Result<PathBuf> {
    fs::create_dir_all(out).map_err(on("create", out))?;
    let out = out.canonicalize().map_err(on("find", out))?;
    let _lock = cache::Lock::take(out.join("machine.lock"))?;
    let version = command::run(std::process::Command::new("rpmbuild").arg("--version"))?;
    let code = include_str!("machine.rs");
    let inputs = [version.as_str(), arch.rpm(), code].into_iter().chain(RELEASES.iter().map(|release| release.1));
    let key = cache::key(inputs);
    let folder = out.join("machine");
    if cache::Marker::read(&folder).is_some_and(|marker| marker.key == key) {
        return Ok(folder);
    }
    let staged = out.join(".machine.new");
    cache::empty(&staged)?;
    let mut package_count = 0;
    for (name, spec, is_sibling) in RELEASES {
        package_count += release(arch, spec, is_sibling, &staged.join(name))?;
    }
    cache::Marker::new(key, package_count).write(&staged)?;
    cache::replace(&staged, &folder)?;
    Ok(folder)
}

/// Makes one release and returns how many packages it has.
fn release(arch: Arch, spec: &str, is_sibling: bool, folder: &Path) -> Result<usize> {
    let (work, rpms) = (folder.join("work"), folder.join("rpms"));
    for path in [&work, &rpms] {
        fs::create_dir_all(path).map_err(on("create", path))?;
    }
    let file = work.join("machine.spec");
    fs::write(&file, spec).map_err(on("write", &file))?;
    let mut rpmbuild = own::rpmbuild(arch, arch.rpm(), &work, &rpms, SOURCE_DATE_EPOCH_SECS);
    if is_sibling {
        rpmbuild.args(["--define", "sibling 1"]);
    }
    command::run(rpmbuild.arg("--nodeps").arg(&file))?;
    let mut packages = [Vec::new(), Vec::new()];
    for entry in fs::read_dir(&rpms).map_err(on("list", &rpms))? {
        let path = entry.map_err(on("list", &rpms))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_extra = !spec.contains("first release") && name.starts_with(EXTRAS);
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
