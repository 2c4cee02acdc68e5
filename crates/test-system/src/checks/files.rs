//! Is every file that the package says it has there?

use anima_environment::{Inside, Kind};
use anima_rpm_file::{File, FileKind, PackageInfo};
use anima_types::work::Check;

use super::judged;

/// Compares the package's list with the root. What scripts may change (content, owners, modes) is not compared.
pub fn files(info: &PackageInfo, inside: &Inside) -> Check {
    let owned = info.files.iter().filter(|file| file.kind != FileKind::Ghost);
    let wrong: Vec<String> = owned.clone().filter_map(|file| wrong(file, inside)).collect();
    judged("files", &wrong, format!("{} files and folders are there", owned.count()))
}

fn wrong(file: &File, inside: &Inside) -> Option<String> {
    // A folder may be a link to one: `/lib` is.
    let found = if file.kind == FileKind::Dir { inside.kind(&file.path) } else { inside.kind_of_itself(&file.path) };
    let expected = match file.mode & 0o170000 {
        0o040000 => Kind::Dir,
        0o100000 => Kind::File,
        0o120000 => Kind::Link,
        // A sandbox makes no devices.
        _ => return None,
    };
    match found {
        Ok(Some(kind)) if kind == expected => None,
        Ok(Some(kind)) => Some(format!("{} is a {}, not a {}", file.path, word(kind), word(expected))),
        Ok(None) => Some(format!("{} is missing", file.path)),
        Err(error) => Some(format!("could not {error}")),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "folder",
        Kind::Link => "symbolic link",
        Kind::Special => "device, socket or pipe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Tree, package};

    #[test]
    fn what_is_there_as_the_package_says_is_green() {
        let tree = Tree::new();
        tree.file("/usr/bin/tool", 0o755, b"x");
        tree.link("/usr/bin/t", "tool");
        tree.link("/bin", "usr/bin");
        let info = package()
            .dir("/bin")
            .dir("/usr/bin")
            .file("/usr/bin/tool", 0o755)
            .link("/usr/bin/t", "tool")
            .ghost("/var/x");

        assert!(files(&info.done(), &tree.inside()).is_green);
    }

    #[test]
    fn what_is_missing_or_another_thing_is_named() {
        let tree = Tree::new();
        tree.file("/usr/lib/now-a-file", 0o644, b"x");
        tree.link("/usr/lib/now-a-link", "now-a-file");
        let info = package().dir("/usr/lib/now-a-file").file("/usr/lib/now-a-link", 0o644).file("/usr/lib/gone", 0o644);

        let check = files(&info.done(), &tree.inside());

        assert!(!check.is_green);
        assert_eq!(
            check.detail,
            "/usr/lib/now-a-file is a file, not a folder; /usr/lib/now-a-link is a symbolic link, not a file; /usr/lib/gone is missing"
        );
    }

    #[test]
    fn a_list_that_climbs_out_of_the_root_finds_nothing_of_the_host() {
        let tree = Tree::new();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let info = package().file(&format!("/../../../../..{}", outside.path().display()), 0o644).done();

        assert!(!files(&info, &tree.inside()).is_green);
    }
}
