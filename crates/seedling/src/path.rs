//! Where a file of a Debian package lies in Seed Linux.
//!
//! `/bin`, `/sbin`, `/lib` and `/lib64` are symlinks into `/usr`, and `/usr/lib/<triplet>` is a symlink to `/usr/lib64`, or
//! to `/usr/lib` itself where libraries have 32 bits; both belong to the package `filesystem`, so that old names keep working.

use crate::arch::Arch;

/// The folders of the root that became symlinks into `/usr`.
const MERGED: [&str; 4] = ["/bin", "/sbin", "/lib", "/lib64"];

/// Folders that `filesystem` owns; no other package lists them.
const BASE: &[&str] = &[
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/etc/ld.so.conf.d",
    "/home",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/games",
    "/usr/include",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib64/pkgconfig",
    "/usr/libexec",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/usr/share/doc",
    "/usr/share/info",
    "/usr/share/licenses",
    "/usr/share/locale",
    "/usr/share/man",
    "/usr/share/man/man1",
    "/usr/share/man/man2",
    "/usr/share/man/man3",
    "/usr/share/man/man4",
    "/usr/share/man/man5",
    "/usr/share/man/man6",
    "/usr/share/man/man7",
    "/usr/share/man/man8",
    "/usr/share/pkgconfig",
    "/usr/src",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lock",
    "/var/log",
    "/var/opt",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// Folders whose content nobody on a build machine reads: they would be a third of the repository.
const UNREAD: [&str; 5] =
    ["/usr/share/bug", "/usr/share/doc-base", "/usr/share/doc", "/usr/share/lintian", "/usr/share/locale"];

/// The one kind of file that is kept of `/usr/share/doc`.
const LICENCE_FILE: &str = "/copyright";

/// A symlink as it is written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The text of the new symlink.
    pub text: String,
    /// The absolute path that it means.
    pub means: String,
}

/// Returns the place of an absolute path of a Debian package.
pub fn map(arch: Arch, path: &str) -> String {
    let merged = match MERGED.iter().any(|folder| is_at_or_below(path, folder)) {
        true => format!("/usr{path}"),
        false => path.to_owned(),
    };
    let libraries = format!("/usr/lib/{}", arch.triplet());
    match is_at_or_below(&merged, &libraries) {
        true => format!("/usr/{}{}", arch.lib(), &merged[libraries.len()..]),
        false => merged,
    }
}

/// Returns the symlink that stands for `target` at `at`, a path of the Debian package.
///
/// A relative target is resolved in the old tree and written anew. It stays relative inside one folder of the root and
/// is absolute otherwise.
pub fn map_link(arch: Arch, at: &str, target: &str) -> Link {
    let old = match target.starts_with('/') {
        true => normalize(target),
        false => normalize(&format!("{}/{target}", parent(at))),
    };
    let means = map(arch, &old);
    let new_at = map(arch, at);
    let text = match first_part(&means) == first_part(&new_at) {
        true => relative(parent(&new_at), &means),
        false => means.clone(),
    };
    Link { text, means }
}

/// Returns whether `filesystem` owns the folder.
pub fn is_base(path: &str) -> bool {
    BASE.binary_search(&path).is_ok()
}

/// Returns whether the file is left out because nobody would read it.
pub fn is_unread(path: &str) -> bool {
    UNREAD.iter().any(|folder| path.starts_with(&format!("{folder}/")))
        && !(path.starts_with("/usr/share/doc/") && path.ends_with(LICENCE_FILE))
}

/// Returns whether the old path is one that programs name in shebangs and requirements, `/bin/x` or `/sbin/x`.
pub fn is_old_program(path: &str) -> bool {
    path.starts_with("/bin/") || path.starts_with("/sbin/")
}

/// Returns the folder that holds an absolute path.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn first_part(path: &str) -> Option<&str> {
    parts(path).next()
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn normalize(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in parts(path) {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

fn relative(from_folder: &str, to: &str) -> String {
    let from: Vec<&str> = parts(from_folder).collect();
    let to: Vec<&str> = parts(to).collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut path = vec![".."; from.len() - shared];
    path.extend(&to[shared..]);
    match path.is_empty() {
        true => ".".to_owned(),
        false => path.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_move_under_usr_and_libraries_into_lib64() {
        let table = [
            ("/bin/bash", "/usr/bin/bash"),
            ("/sbin", "/usr/sbin"),
            ("/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6"),
            ("/usr/lib/x86_64-linux-gnu/pkgconfig/zlib.pc", "/usr/lib64/pkgconfig/zlib.pc"),
            ("/usr/lib/x86_64-linux-gnu", "/usr/lib64"),
            ("/usr/lib/x86_64-linux-gnux/a", "/usr/lib/x86_64-linux-gnux/a"),
            ("/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2"),
            ("/usr/include/x86_64-linux-gnu/sys", "/usr/include/x86_64-linux-gnu/sys"),
            ("/binary", "/binary"),
            ("/etc/passwd", "/etc/passwd"),
        ];
        for (old, new) in table {
            assert_eq!(map(Arch::X86_64, old), new, "{old}");
        }
    }

    #[test]
    fn the_library_folder_is_the_architectures_own() {
        assert_eq!(map(Arch::Ppc64le, "/lib/powerpc64le-linux-gnu/a"), "/usr/lib64/a");
        assert_eq!(map(Arch::Ppc64le, "/usr/lib/x86_64-linux-gnu/a"), "/usr/lib/x86_64-linux-gnu/a");
        assert_eq!(map(Arch::I686, "/lib/i386-linux-gnu/libc.so.6"), "/usr/lib/libc.so.6");
        assert_eq!(map(Arch::I686, "/usr/lib/i386-linux-gnu"), "/usr/lib");
    }

    #[test]
    fn symlinks_are_resolved_in_the_old_tree_and_written_anew() {
        let table = [
            ("/usr/lib/x86_64-linux-gnu/libz.so", "/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1"),
            ("/usr/lib/x86_64-linux-gnu/libm.so", "../../../lib/x86_64-linux-gnu/libm.so.6", "libm.so.6"),
            ("/bin/pidof", "../sbin/killall5", "../sbin/killall5"),
            ("/usr/bin/ld", "x86_64-linux-gnu-ld", "x86_64-linux-gnu-ld"),
            ("/etc/alternatives/x", "/usr/bin/y", "/usr/bin/y"),
            ("/usr/lib/x/self", ".", "."),
        ];
        for (at, target, text) in table {
            assert_eq!(map_link(Arch::X86_64, at, target).text, text, "{at} -> {target}");
        }
    }

    #[test]
    fn the_loaders_symlink_means_itself_after_the_merge() {
        let link = map_link(Arch::X86_64, "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");

        assert_eq!(link.means, "/usr/lib64/ld-linux-x86-64.so.2");
    }

    #[test]
    fn the_table_of_base_folders_is_sorted_for_its_search() {
        assert!(BASE.is_sorted());
        assert!(is_base("/usr/lib64") && !is_base("/usr/lib64/perl"));
    }

    #[test]
    fn of_the_documentation_only_licences_and_manuals_are_kept() {
        assert!(is_unread("/usr/share/doc/bash/README"));
        assert!(is_unread("/usr/share/locale/de/LC_MESSAGES/bash.mo"));
        assert!(!is_unread("/usr/share/doc/bash/copyright"));
        assert!(!is_unread("/usr/share/man/man1/bash.1.gz"));
        assert!(!is_unread("/usr/share/locale"));
    }
}
