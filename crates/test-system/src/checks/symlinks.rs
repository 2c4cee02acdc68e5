//! Does every symbolic link of the package lead to something?

use std::path::{Component, Path, PathBuf};

use anima_environment::Inside;
use anima_rpm_file::{FileKind, PackageInfo};
use anima_types::work::Check;

use super::judged;

/// What is made while a system runs, and is not there in a root.
const MADE_AT_RUN_TIME: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/var/run"];

/// Follows each link inside the root. A link to what only a running system has is let be.
pub fn symlinks(info: &PackageInfo, inside: &Inside) -> Check {
    let links = info.files.iter().filter(|file| file.is_symlink() && file.kind != FileKind::Ghost);
    let wrong = links.clone().filter_map(|file| {
        let target = file.link_to.as_deref().unwrap_or_default();
        if is_made_at_run_time(&file.path, target) {
            return None;
        }
        match inside.kind(&file.path) {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!("{} leads nowhere: {target}", file.path)),
            Err(error) => Some(format!("could not {error}")),
        }
    });
    judged("symlinks", &wrong.collect::<Vec<_>>(), format!("{} links lead somewhere", links.count()))
}

fn is_made_at_run_time(link: &str, target: &str) -> bool {
    let target = absolute(link, target);
    MADE_AT_RUN_TIME.iter().any(|folder| target.starts_with(folder))
}

/// Returns where the link points, going by names alone.
fn absolute(link: &str, target: &str) -> PathBuf {
    let folder = Path::new(link).parent().unwrap_or(Path::new("/"));
    let mut path = PathBuf::from("/");
    for part in folder.join(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => drop(path.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Tree, package};

    #[test]
    fn links_are_resolved_inside_the_root_also_absolute_and_climbing_ones() {
        let tree = Tree::new();
        tree.file("/usr/lib64/libx.so.1.2", 0o755, b"x");
        let links = [
            ("/usr/lib64/libx.so.1", "libx.so.1.2"),
            ("/usr/lib64/libx.so", "/usr/lib64/libx.so.1"),
            ("/usr/share/x", "../../../../../usr/lib64/libx.so.1.2"),
            ("/etc/mtab", "../proc/self/mounts"),
            ("/etc/masked.service", "/dev/null"),
        ];
        let mut info = package();
        for (path, target) in links {
            tree.link(path, target);
            info = info.link(path, target);
        }

        let check = symlinks(&info.done(), &tree.inside());

        assert!(check.is_green, "{check:?}");
        assert_eq!(check.detail, "5 links lead somewhere");
    }

    #[test]
    fn a_link_that_leads_nowhere_in_a_circle_or_to_the_host_is_red() {
        let tree = Tree::new();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let outside = outside.path().to_str().unwrap();
        let climbing = format!("../../../../../..{outside}");
        let links = [
            ("/usr/gone", "nothing"),
            ("/usr/a", "b"),
            ("/usr/b", "a"),
            ("/usr/host", outside),
            ("/usr/climb", &climbing),
        ];
        for (path, target) in links {
            tree.link(path, target);

            let check = symlinks(&package().link(path, target).done(), &tree.inside());

            if path != "/usr/a" {
                assert_eq!(check.detail, format!("{path} leads nowhere: {target}"));
            }
            assert!(!check.is_green);
        }
    }
}
