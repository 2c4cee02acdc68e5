//! The four packages that no Debian package can become: `filesystem`, `setup`, `seed-release`, `seed-rpm-config`.

use std::{fs, path::Path, process::Command};

use crate::{
    arch::Arch,
    command,
    error::{Result, on},
};

/// The time stamp of our own packages, 2025-01-01, so that they come out the same on every machine.
const SOURCE_DATE_EPOCH_SECS: i64 = 1_735_689_600;

const PASSWD: &str = include_str!("../files/passwd");
const GROUP: &str = include_str!("../files/group");

/// One embedded file: its name and what it holds.
pub type File = (&'static str, &'static str);

/// The specs, one package each.
pub const SPECS: [File; 4] = [
    ("filesystem.spec", include_str!("../files/filesystem.spec")),
    ("setup.spec", include_str!("../files/setup.spec")),
    ("seed-release.spec", include_str!("../files/seed-release.spec")),
    ("seed-rpm-config.spec", include_str!("../files/seed-rpm-config.spec")),
];

/// What the specs name as their sources.
pub const SOURCES: [File; 10] = [
    ("passwd", PASSWD),
    ("group", GROUP),
    ("profile", include_str!("../files/profile")),
    ("nsswitch.conf", include_str!("../files/nsswitch.conf")),
    ("os-release", include_str!("../files/os-release")),
    ("macros.dist", include_str!("../files/macros.dist")),
    ("macros.seed", include_str!("../files/macros.seed")),
    ("macros.tools", include_str!("../files/macros.tools")),
    ("macros.systemd", include_str!("../files/macros.systemd")),
    ("brp-mangle-shebangs", include_str!("../files/brp-mangle-shebangs")),
];

/// Returns the name of a system user; whoever is not in the table of `setup` is root.
pub fn user_name(uid: u32) -> &'static str {
    name_of(PASSWD, uid)
}

/// Returns the name of a system group; whichever is not in the table of `setup` is root.
pub fn group_name(gid: u32) -> &'static str {
    name_of(GROUP, gid)
}

/// The first id of ordinary users: a build user's files are root's in a package.
const FIRST_ORDINARY_ID: u32 = 100;

fn name_of(table: &'static str, id: u32) -> &'static str {
    let wanted = id.to_string();
    let mut rows = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let row = rows.find(|row| id < FIRST_ORDINARY_ID && row.get(2) == Some(&wanted.as_str()));
    row.and_then(|row| row.first().copied()).unwrap_or("root")
}

/// Builds one of [`SPECS`] into `rpms`, working in `work`.
pub fn build(arch: Arch, (name, text): File, work: &Path, rpms: &Path) -> Result<()> {
    let sources = work.join("sources");
    fs::create_dir_all(&sources).map_err(on("create", &sources))?;
    for (source, text) in SOURCES {
        let path = sources.join(source);
        fs::write(&path, text).map_err(on("write", &path))?;
    }
    let spec = work.join(name);
    fs::write(&spec, text).map_err(on("write", &spec))?;
    let mut rpmbuild = rpmbuild(arch, arch.rpm(), work, rpms, SOURCE_DATE_EPOCH_SECS);
    let triplet = format!("triplet {}", arch.triplet());
    let source_folder = format!("_sourcedir {}", sources.display());
    rpmbuild.args(["--define", &triplet, "--define", &source_folder]).arg(spec);
    command::run(&mut rpmbuild).map(drop)
}

/// Returns an `rpmbuild -bb` that works in `work` and takes nothing from the host's or the user's configuration of RPM
/// but its generators. `target` is the name of the architecture, or `noarch`. The caller adds the spec.
pub fn rpmbuild(arch: Arch, target: &str, work: &Path, rpms: &Path, source_date_epoch_secs: i64) -> Command {
    let mut command = Command::new("rpmbuild");
    command.args(["-bb", "--quiet", "--target", target]);
    let defines = [
        format!("_topdir {}", work.join("top").display()),
        format!("_rpmdir {}", rpms.display()),
        "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned(),
        format!("_dbpath {}", work.join("db").display()),
        "_buildshell /bin/bash".to_owned(),
        "source_date_epoch_from_changelog 0".to_owned(),
        format!("_libdir /usr/{}", arch.lib()),
        format!("_lib {}", arch.lib()),
    ];
    for define in defines {
        command.arg("--define").arg(define);
    }
    command.arg("--buildroot").arg(work.join("buildroot"));
    command.env("HOME", work).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command.env("SOURCE_DATE_EPOCH", source_date_epoch_secs.to_string());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_owners_have_names_and_everybody_else_is_root() {
        assert_eq!((user_name(0), group_name(42), group_name(50)), ("root", "shadow", "staff"));
        assert_eq!((user_name(1000), group_name(135), user_name(77)), ("root", "root", "root"));
    }

    #[test]
    fn the_build_user_is_in_the_tables() {
        assert!(PASSWD.contains("\nmockbuild:x:1000:135:"));
        assert!(GROUP.contains("\nmock:x:135:mockbuild\n"));
    }

    #[test]
    fn every_source_that_a_spec_names_is_embedded() {
        for (name, spec) in SPECS {
            for line in spec.lines().filter(|line| line.starts_with("Source")) {
                let source = line.split_whitespace().nth(1).unwrap();
                assert!(SOURCES.iter().any(|(file, _)| *file == source), "{name} names {source}");
            }
        }
    }
}
