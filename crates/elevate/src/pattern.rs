//! Names and paths with `*` and `?`, as shells have them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns whether a name is as the pattern says.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_pattern) = (0, 0);
    // Where to go on when a star has to stand for one more.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(in_pattern) {
            Some('*') => {
                star = Some((in_pattern, at));
                in_pattern += 1;
            }
            Some(c) if *c == '?' || *c == name[at] => {
                at += 1;
                in_pattern += 1;
            }
            _ => match star {
                Some((in_star, from)) => {
                    star = Some((in_star, from + 1));
                    at = from + 1;
                    in_pattern = in_star + 1;
                }
                None => return false,
            },
        }
    }
    pattern[in_pattern..].iter().all(|c| *c == '*')
}

/// Returns whether a path is as the pattern says, each part for itself.
pub fn matches_path(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if matches(pattern, part) => {}
            _ => return false,
        }
    }
}

/// Returns what is there of a pattern below a root, by path, at most so many. No link leads out of a root on the way.
pub fn expand(root: &Path, pattern: &str, at_most: usize) -> Vec<PathBuf> {
    let mut found = vec![root.to_path_buf()];
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        let mut next = Vec::new();
        for folder in found {
            match part.contains(['*', '?']) {
                false => next.push(folder.join(part)),
                true => {
                    let entries =
                        fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
                    let is_it =
                        |path: &PathBuf| path.file_name().is_some_and(|name| matches(part, &name.to_string_lossy()));
                    next.extend(entries.filter(is_it));
                }
            }
        }
        next.retain(|path| {
            fs::symlink_metadata(path).is_ok_and(|metadata| is_last || metadata.is_dir() || leads_inside(root, path))
        });
        next.sort();
        next.truncate(at_most);
        found = next;
    }
    found
}

/// Whether a link on the way leads to a folder of the root: `/lib` to `usr/lib` does, what is absolute is the host's.
fn leads_inside(root: &Path, path: &Path) -> bool {
    let is_within = |whole: PathBuf| root.canonicalize().is_ok_and(|root| whole.starts_with(root));
    path.canonicalize().is_ok_and(is_within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_number_and_question_marks_for_one() {
        assert!(
            matches("kernel*", "kernel-core") && matches("*", "") && matches("a*c*e", "abcde") && matches("a?c", "abc")
        );
        assert!(!matches("kernel", "kernel-core") && !matches("a?c", "ac") && !matches("a*d", "abc"));
    }

    #[test]
    fn a_star_stays_within_its_part_of_a_path() {
        assert!(matches_path("/etc/pam.d/*", "/etc/pam.d/sshd"));
        assert!(!matches_path("/etc/*", "/etc/pam.d/sshd") && !matches_path("/etc/pam.d/*", "/etc/pam.d"));
    }

    #[test]
    fn what_is_there_is_found_and_links_out_of_the_root_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/a.d")).unwrap();
        fs::write(root.path().join("etc/a.d/one"), "").unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("out")).unwrap();

        assert_eq!(expand(root.path(), "/etc/*/o*", 9), [root.path().join("etc/a.d/one")]);
        assert!(expand(root.path(), "/out/passwd", 9).is_empty());
    }
}
