//! Where this process stands in the host's control group hierarchies.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The group that a caller's own processes move into, where the unified hierarchy gives controllers only to groups
/// without processes of their own.
const LEAF: &str = "anima-caller";
/// What is wanted of the unified hierarchy.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// The groups that new ones are made in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hierarchies {
    /// In the unified hierarchy.
    pub v2: Option<PathBuf>,
    /// By controller, in the hierarchies of one.
    pub v1: BTreeMap<String, PathBuf>,
}

/// Returns how much memory the groups of this process let it have with all that it starts, where one of them has a bound: a
/// container on a large machine is not given that machine's.
pub fn memory_limit_bytes() -> Option<u64> {
    let found = Hierarchies::found();
    let v2 = found.v2.as_deref().map(|group| (group, "memory.max"));
    let v1 = found.v1.get("memory").map(|group| (group.as_path(), "memory.limit_in_bytes"));
    v2.into_iter().chain(v1).filter_map(|(group, file)| lowest_limit(group, file)).min()
}

/// A group has what each group above it has as well. The top of a hierarchy has no such file, or one that says a number that no
/// machine has.
fn lowest_limit(group: &Path, file: &str) -> Option<u64> {
    let groups = group.ancestors().take_while(|folder| folder.join("cgroup.procs").exists());
    groups.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).min()
}

impl Hierarchies {
    fn found() -> Hierarchies {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
    }

    pub(super) fn of_this_process() -> Hierarchies {
        let found = Hierarchies::found();
        if let Some(group) = &found.v2 {
            give_controllers(group);
        }
        found
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.v2.iter().chain(self.v1.values()).map(PathBuf::as_path)
    }
}

/// Reads `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn parse(own_groups: &str, mounts: &str) -> Hierarchies {
    let mut found = Hierarchies::default();
    for line in own_groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        if controllers.is_empty() {
            let group = mounts.lines().find_map(|mount| directory(mount, "cgroup2", None, path));
            found.v2 = group.map(|group| if group.ends_with(LEAF) { parent(&group) } else { group });
        }
        for controller in controllers.split(',').filter(|name| CONTROLLERS.contains(name)) {
            let group = mounts.lines().find_map(|mount| directory(mount, "cgroup", Some(controller), path));
            found.v1.extend(group.map(|group| (controller.to_owned(), group)));
        }
    }
    found
}

fn parent(group: &Path) -> PathBuf {
    group.parent().unwrap_or(group).to_owned()
}

/// Returns where group `path` of a hierarchy is seen through the mount of one mountinfo line, if it is.
fn directory(mount: &str, kind: &str, controller: Option<&str>, path: &str) -> Option<PathBuf> {
    let (place, file_system) = mount.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (top, point) = (place.next()?, place.next()?);
    let mut file_system = file_system.split(' ');
    let options = (file_system.next()? == kind).then(|| file_system.nth(1))??;
    if controller.is_some_and(|name| !options.split(',').any(|option| option == name)) {
        return None;
    }
    Some(Path::new(point).join(Path::new(path).strip_prefix(top).ok()?))
}

/// Makes the controllers usable in groups below `group`. Where that needs the group's processes out of the way, they
/// are moved only if a service manager has delegated the group to us.
fn give_controllers(group: &Path) {
    let wanted: Vec<_> = CONTROLLERS.into_iter().filter(|name| lists(group, "cgroup.controllers", name)).collect();
    if wanted.iter().all(|name| lists(group, "cgroup.subtree_control", name)) {
        return;
    }
    let enable = || {
        let all = wanted.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
        fs::write(group.join("cgroup.subtree_control"), all)
    };
    if enable().is_err() && is_delegated(group) && move_processes(group).is_some() {
        // Best effort as all of it: what is not enforced is reported.
        let _ = enable();
    }
}

fn lists(group: &Path, file: &str, name: &str) -> bool {
    fs::read_to_string(group.join(file)).is_ok_and(|text| text.split_whitespace().any(|word| word == name))
}

fn is_delegated(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 8];
        rustix::fs::getxattr(group, *name, &mut value).is_ok_and(|size| &value[..size] == b"1")
    })
}

fn move_processes(group: &Path) -> Option<()> {
    let leaf = group.join(LEAF);
    if !leaf.exists() {
        fs::create_dir(&leaf).ok()?;
    }
    for pid in fs::read_to_string(group.join("cgroup.procs")).ok()?.lines() {
        // A process that has just ended needs no moving.
        let _ = fs::write(leaf.join("cgroup.procs"), pid);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID_MOUNTS: &str = "\
26 25 0:23 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
27 26 0:24 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 26 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 26 0:31 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
36 26 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn a_hybrid_host_gives_both_kinds_below_the_own_group() {
        let found = parse("8:pids:/\n4:memory:/jobs/7\n1:cpu:/\n0::/session\n", HYBRID_MOUNTS);

        assert_eq!(found.v2, Some("/sys/fs/cgroup/unified/session".into()));
        assert_eq!(found.v1["memory"], Path::new("/sys/fs/cgroup/memory/jobs/7"));
        assert_eq!(found.v1["pids"], Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(found.v1["cpu"], Path::new("/sys/fs/cgroup/cpu"));
        assert_eq!(found.v1.len(), 3);
    }

    #[test]
    fn a_unified_host_gives_one_hierarchy() {
        let mounts = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

        let found = parse("0::/system.slice/anima.service\n", mounts);

        assert_eq!(found.v2, Some("/sys/fs/cgroup/system.slice/anima.service".into()));
        assert!(found.v1.is_empty());
    }

    #[test]
    fn a_caller_that_was_moved_into_its_leaf_makes_groups_beside_it() {
        let mounts = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

        let found = parse("0::/anima.service/anima-caller\n", mounts);

        assert_eq!(found.v2, Some("/sys/fs/cgroup/anima.service".into()));
    }

    #[test]
    fn a_container_sees_its_group_at_the_top_of_its_mount() {
        let mounts = "35 24 0:30 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

        assert_eq!(parse("0::/docker/abc/x\n", mounts).v2, Some("/sys/fs/cgroup/x".into()));
        assert_eq!(parse("0::/elsewhere\n", mounts).v2, None);
    }

    #[test]
    fn the_lowest_bound_of_a_group_and_those_above_it_holds() {
        let top = tempfile::tempdir().expect("make a directory");
        let group = top.path().join("kubepods/pod/node");
        fs::create_dir_all(&group).expect("make a directory");
        for (folder, limit) in [
            ("", None),
            ("kubepods", Some("max")),
            ("kubepods/pod", Some("8589934592")),
            ("kubepods/pod/node", Some("max")),
        ] {
            let folder = top.path().join(folder);
            fs::write(folder.join("cgroup.procs"), "").expect("write");
            if let Some(limit) = limit {
                fs::write(folder.join("memory.max"), format!("{limit}\n")).expect("write");
            }
        }

        assert_eq!(lowest_limit(&group, "memory.max"), Some(8 << 30));
        fs::write(group.join("memory.max"), "1073741824\n").expect("write");
        assert_eq!(lowest_limit(&group, "memory.max"), Some(1 << 30));
        assert_eq!(lowest_limit(&top.path().join("kubepods"), "memory.max"), None);
        assert_eq!(lowest_limit(&group, "memory.limit_in_bytes"), None);
    }

    #[test]
    fn a_host_without_groups_gives_nothing() {
        assert_eq!(parse("", ""), Hierarchies::default());
    }
}
