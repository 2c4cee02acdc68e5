//! What the rehearsed system has that a person should know of before it is the real one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{layer::Change, mounts::FileSystem};

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Acting is refused.
    Block,
    /// Something will not work as before.
    Warn,
    /// Good to know.
    Info,
}

impl Level {
    /// Returns the word of the document.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Block => "block",
            Level::Warn => "warn",
            Level::Info => "info",
        }
    }
}

/// One of them.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// A stable word for programs.
    pub id: String,
    /// What it is.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

/// Files that rpm leaves beside configuration that was changed.
const CONFIG_ENDS: [(&str, &str); 3] = [
    (".rpmnew", "the new version's file stands beside yours: merge them"),
    (".rpmsave", "your file was moved aside for the new version's: merge them"),
    (".rpmorig", "a file that was no package's was moved aside: merge them"),
];
/// A chain of links that is longer goes in a circle; the kernel's own bound.
const MAX_LINKS: usize = 40;

/// Looks at the rehearsed system in `root`.
pub(crate) fn after(root: &Path, log: &str, verify: (&[String], &[String])) -> Vec<Finding> {
    let mut findings = scripts(log);
    findings.extend(verified(verify.0, verify.1));
    findings.extend(units(root));
    findings.extend(fstab(root));
    findings.extend(kernels(root));
    findings
}

/// Returns configuration files to be merged.
pub(crate) fn config(changes: &[Change]) -> Vec<Finding> {
    let new = changes.iter().filter(|change| change.before.is_none() && change.after.is_some());
    let of = |change: &Change| {
        let path = change.path.to_string_lossy().into_owned();
        let (_, remedy) = CONFIG_ENDS.iter().find(|(end, _)| path.ends_with(end))?;
        Some(finding(Level::Info, "config_to_merge", format!("/{path}"), remedy))
    };
    new.filter_map(of).collect()
}

/// What is changed on a file system that no layer is over would be lost below it.
pub(crate) fn foreign(changes: &[Change], systems: &[FileSystem]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for system in systems {
        let is_in = |change: &&Change| change.path.starts_with(&system.place) && change.path != system.place;
        if let Some(change) = changes.iter().find(is_in) {
            let text = format!("the transaction writes {}, on {}", change.path.display(), system.describe());
            let remedy = "mount it so that it can be written, or unmount it, and rehearse again";
            findings.push(finding(Level::Block, "foreign_file_system", text, remedy));
        }
    }
    findings
}

/// Programs that refuse their configuration, and whether they did so before.
pub(crate) fn probes(before: &BTreeMap<&str, String>, after: &BTreeMap<&str, String>) -> Vec<Finding> {
    let of = |(program, said): (&&str, &String)| {
        let (level, when) = match before.contains_key(program) {
            true => (Level::Info, ", as before"),
            false => (Level::Warn, ""),
        };
        finding(
            level,
            "refuses_configuration",
            format!("{program}{when}: {said}"),
            "change its configuration, or merge the new one",
        )
    };
    after.iter().map(of).collect()
}

fn finding(level: Level, id: &str, text: impl Into<String>, remedy: &str) -> Finding {
    Finding { level, id: id.to_owned(), text: text.into(), remedy: remedy.to_owned() }
}

/// rpm goes on after the failure of a script that runs when files are already there.
fn scripts(log: &str) -> Vec<Finding> {
    let failed = log.lines().filter(|line| line.contains("scriptlet failed") || line.contains("lua script failed"));
    let remedy = "see rpm.log in the state folder; what the script was for is not done";
    failed.map(|line| finding(Level::Warn, "script_failed", line.trim(), remedy)).collect()
}

/// Only what verification did not say before.
fn verified(before: &[String], after: &[String]) -> Vec<Finding> {
    let known: BTreeSet<&String> = before.iter().collect();
    let new = after.iter().filter(|line| !known.contains(line));
    let remedy = "a file is not as its new package has it; compare it";
    new.map(|line| finding(Level::Info, "verify", line.as_str(), remedy)).collect()
}

/// Every unit that starts by itself has its program.
fn units(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (unit, path) in enabled_units(root) {
        let Some(text) = inside(root, &path).and_then(|path| fs::read_to_string(path).ok()) else {
            let text = format!("{unit} starts by itself, and its file {} is not there", path.display());
            findings.push(finding(Level::Warn, "unit_missing", text, "disable it, or install what has it"));
            continue;
        };
        for program in programs(&text) {
            if inside(root, Path::new(program)).is_none() {
                let text = format!("{unit} runs {program}, which is not there");
                let remedy = "install what has it, change the unit, or disable it";
                findings.push(finding(Level::Warn, "program_missing", text, remedy));
            }
        }
    }
    findings
}

fn enabled_units(root: &Path) -> BTreeMap<String, PathBuf> {
    let folder = root.join("etc/systemd/system");
    let mut units = BTreeMap::new();
    for wants in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = wants.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(".wants") && !name.ends_with(".requires") {
            continue;
        }
        for link in fs::read_dir(wants.path()).into_iter().flatten().flatten() {
            let target =
                fs::read_link(link.path()).unwrap_or_else(|_| Path::new("/etc/systemd/system").join(link.file_name()));
            units.insert(link.file_name().to_string_lossy().into_owned(), target);
        }
    }
    units
}

fn programs(unit: &str) -> impl Iterator<Item = &str> {
    let lines = unit.lines().filter_map(|line| line.trim().strip_prefix("ExecStart="));
    let first = lines.filter_map(|line| line.trim_start_matches(['-', '@', ':', '+', '!']).split_whitespace().next());
    first.filter(|program| program.starts_with('/') && !program.contains('%'))
}

/// Every place of fstab that is needed at boot is a folder, and no file system is asked for that is gone.
fn fstab(root: &Path) -> Vec<Finding> {
    let text = fs::read_to_string(root.join("etc/fstab")).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let mut findings = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, place, kind, ..] = words.as_slice() else {
            findings.push(finding(
                Level::Warn,
                "fstab",
                format!("/etc/fstab: {line:?} is no entry"),
                "correct the line",
            ));
            continue;
        };
        if *kind != "swap" && place.starts_with('/') && inside(root, Path::new(place)).is_none() {
            let text = format!("/etc/fstab mounts at {place}, which is not there");
            findings.push(finding(Level::Warn, "fstab", text, "make the folder, or remove the line"));
        }
    }
    findings
}

/// Every kernel has an initramfs, where there is a boot folder with kernels.
fn kernels(root: &Path) -> Vec<Finding> {
    let boot = root.join("boot");
    let names: Vec<String> = fs::read_dir(&boot)
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    let versions = names.iter().filter_map(|name| name.strip_prefix("vmlinuz-"));
    let lacks = versions.filter(|version| !names.contains(&format!("initramfs-{version}.img")));
    let text = |version: &str| format!("kernel {version} has no initramfs in /boot");
    lacks
        .map(|version| finding(Level::Warn, "initramfs", text(version), "make one with dracut before you restart"))
        .collect()
}

/// Returns where a path of the root is on the host, with links followed as from inside; none if it is not there.
pub(crate) fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut todo: Vec<std::ffi::OsString> = parts(path);
    let (mut at, mut links) = (PathBuf::new(), 0);
    while let Some(part) = todo.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let data = fs::symlink_metadata(root.join(&next)).ok()?;
        if !data.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        let target = fs::read_link(root.join(&next)).ok().filter(|_| links <= MAX_LINKS)?;
        if target.is_absolute() {
            at = PathBuf::new();
        }
        todo.extend(parts(&target));
    }
    Some(root.join(at))
}

/// The parts of a path, the last first.
fn parts(path: &Path) -> Vec<std::ffi::OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(part).rev().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_inside_the_root_and_never_out_of_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/tool"), "").unwrap();
        symlink("/usr/bin", root.path().join("bin")).unwrap();
        symlink("../../../../../usr/bin/tool", root.path().join("usr/bin/up")).unwrap();
        symlink("self", root.path().join("self")).unwrap();

        assert!(inside(root.path(), Path::new("/bin/tool")).is_some());
        assert!(inside(root.path(), Path::new("/bin/up")).is_some());
        assert!(inside(root.path(), Path::new("/self")).is_none());
        assert!(inside(root.path(), Path::new("/etc/passwd")).is_none());
    }

    #[test]
    fn a_unit_without_its_program_is_found() {
        let root = tempfile::tempdir().unwrap();
        let wants = root.path().join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        fs::create_dir_all(root.path().join("usr/lib/systemd/system")).unwrap();
        fs::write(root.path().join("usr/lib/systemd/system/a.service"), "[Service]\nExecStart=-/usr/bin/gone --now\n")
            .unwrap();
        symlink("/usr/lib/systemd/system/a.service", wants.join("a.service")).unwrap();
        symlink("/usr/lib/systemd/system/b.service", wants.join("b.service")).unwrap();

        let ids: Vec<String> = units(root.path()).into_iter().map(|finding| finding.id).collect();

        assert_eq!(ids, ["program_missing", "unit_missing"]);
    }

    #[test]
    fn a_kernel_without_an_initramfs_and_a_mount_at_nothing_are_found() {
        let root = tempfile::tempdir().unwrap();
        for name in ["boot", "etc"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("boot/vmlinuz-6.1"), "").unwrap();
        fs::write(root.path().join("etc/fstab"), "# a\nUUID=1 / xfs defaults 0 0\nUUID=2 /data ext4 defaults 0 0\n")
            .unwrap();

        let found = after(root.path(), "warning: %post(a-1-1.noarch) scriptlet failed, exit status 1\n", (&[], &[]));

        let ids: Vec<&str> = found.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(ids, ["script_failed", "fstab", "initramfs"]);
    }
}
