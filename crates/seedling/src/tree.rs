//! From the unpacked tree of a Debian package to the tree that its RPM holds, and the list of what is in it.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use walkdir::WalkDir;

use crate::{
    arch::Arch,
    error::{Error, Result, on},
    names, own, path,
};

/// Programs larger than this are not scripts, so their first line is not looked at.
const SCRIPT_LIMIT_BYTES: u64 = 4_000_000;

/// The longest shebang up to its folder that is looked for, with blanks.
const SHEBANG_BYTES: usize = 16;

/// The bits of a mode that a file list states.
const MODE_BITS: u32 = 0o7777;

/// Moves the unpacked tree `old` to `new`; returns the old names under `/bin` and `/sbin` that programs may still use.
pub fn stage(arch: Arch, rpm_name: &str, old: &Path, new: &Path) -> Result<Vec<String>> {
    let mut old_programs = Vec::new();
    fs::create_dir_all(new).map_err(on("create", new))?;
    for entry in WalkDir::new(old).sort_by_file_name() {
        let entry = entry.map_err(|error| on("read", old)(error.into()))?;
        let old_path = absolute(old, entry.path())?;
        let new_path = path::map(arch, &old_path);
        if names::is_skipped(rpm_name, &new_path) || path::is_unread(&new_path) {
            continue;
        }
        let to = new.join(&new_path[1..]);
        if entry.file_type().is_dir() {
            stage_folder(entry.path(), &to, &new_path)?;
            continue;
        }
        if path::is_old_program(&old_path) {
            old_programs.push(old_path.clone());
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(on("create", folder))?;
        }
        match entry.path_is_symlink() {
            true => stage_link(arch, entry.path(), &to, &old_path, &new_path)?,
            false => stage_file(entry.path(), &to)?,
        }
    }
    for (link, target) in names::links(rpm_name) {
        make_link(&new.join(&link[1..]), target)?;
    }
    Ok(old_programs)
}

fn stage_folder(from: &Path, to: &Path, new_path: &str) -> Result<()> {
    fs::create_dir_all(to).map_err(on("create", to))?;
    if path::is_base(new_path) {
        return Ok(());
    }
    let about = fs::symlink_metadata(from).map_err(on("read", from))?;
    fs::set_permissions(to, about.permissions()).map_err(on("change the mode of", to))?;
    std::os::unix::fs::lchown(to, Some(about.uid()), Some(about.gid())).map_err(on("change the owner of", to))
}

fn stage_link(arch: Arch, from: &Path, to: &Path, old_path: &str, new_path: &str) -> Result<()> {
    let target = fs::read_link(from).map_err(on("read", from))?;
    let link = path::map_link(arch, old_path, &target.to_string_lossy());
    // The loader in /lib64 points at /lib/<triplet>: after the merge that is itself, and the file is there.
    if link.means == new_path {
        return Ok(());
    }
    make_link(to, &link.text)
}

fn make_link(at: &Path, target: &str) -> Result<()> {
    if at.symlink_metadata().is_ok() {
        return Ok(());
    }
    if let Some(folder) = at.parent() {
        fs::create_dir_all(folder).map_err(on("create", folder))?;
    }
    symlink(target, at).map_err(on("create", at))
}

fn stage_file(from: &Path, to: &Path) -> Result<()> {
    if to.is_symlink() {
        fs::remove_file(to).map_err(on("remove", to))?;
    }
    fs::rename(from, to).map_err(on("move", from))?;
    let about = fs::metadata(to).map_err(on("read", to))?;
    let may_be_script = about.mode() & 0o111 != 0 && about.len() < SCRIPT_LIMIT_BYTES && about.nlink() == 1;
    match may_be_script && begins_with_old_shebang(to)? {
        true => rewrite_shebang(to, &about),
        false => Ok(()),
    }
}

fn begins_with_old_shebang(file: &Path) -> Result<bool> {
    let mut start = Vec::with_capacity(SHEBANG_BYTES);
    let open = fs::File::open(file).map_err(on("open", file))?;
    open.take(SHEBANG_BYTES as u64).read_to_end(&mut start).map_err(on("read", file))?;
    Ok(new_shebang(&start).is_some())
}

fn rewrite_shebang(file: &Path, about: &fs::Metadata) -> Result<()> {
    let bytes = fs::read(file).map_err(on("read", file))?;
    let Some(rewritten) = new_shebang(&bytes) else { return Ok(()) };
    fs::write(file, rewritten).map_err(on("write", file))?;
    // Writing clears set-id bits and touches the time; the package keeps both.
    fs::set_permissions(file, about.permissions()).map_err(on("change the mode of", file))?;
    let open = fs::File::options().write(true).open(file).map_err(on("open", file))?;
    let modified = about.modified().map_err(on("read", file))?;
    open.set_modified(modified).map_err(on("change the time of", file))
}

/// Returns the file's content with `#!/bin/x` as `#!/usr/bin/x`, if it begins so.
fn new_shebang(bytes: &[u8]) -> Option<Vec<u8>> {
    let interpreter = bytes.strip_prefix(b"#!")?.trim_ascii_start();
    (interpreter.starts_with(b"/bin/") || interpreter.starts_with(b"/sbin/"))
        .then(|| [b"#!/usr".as_slice(), interpreter].concat())
}

/// Returns the newest time of any file in the tree, as seconds since the epoch.
pub fn newest_time_secs(tree: &Path) -> i64 {
    let entries = WalkDir::new(tree).into_iter().flatten().filter(|entry| !entry.file_type().is_dir());
    entries.filter_map(|entry| entry.metadata().ok()).map(|about| about.mtime()).max().unwrap_or(0)
}

/// Returns the lines of a `%files -f` list for everything in the tree.
pub fn file_list(tree: &Path, config_files: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.map_err(|error| on("read", tree)(error.into()))?;
        let file = absolute(tree, entry.path())?;
        let about = fs::symlink_metadata(entry.path()).map_err(on("read", entry.path()))?;
        if about.is_dir() && path::is_base(&file) {
            continue;
        }
        let owner = own::user_name(about.uid());
        let group = own::group_name(about.gid());
        let mode = about.permissions().mode() & MODE_BITS;
        let quoted = quote(&file);
        lines.push(match about {
            _ if about.is_dir() => format!("%dir %attr({mode:04o},{owner},{group}) {quoted}"),
            _ if about.is_symlink() => format!("{}%attr(-,{owner},{group}) {quoted}", kind(&file, config_files)),
            _ => format!("{}%attr({mode:04o},{owner},{group}) {quoted}", kind(&file, config_files)),
        });
    }
    Ok(lines)
}

fn kind(file: &str, config_files: &BTreeSet<String>) -> &'static str {
    if config_files.contains(file) {
        return "%config(noreplace) ";
    }
    match file.starts_with("/usr/share/doc/") && file.ends_with("/copyright") {
        true => "%license ",
        false => "",
    }
}

/// Quotes a path for a file list. rpm 4.18 looks a backslash-escaped name up with its backslash, so that a character
/// which would be a pattern is matched by `?`; a lone `[` is literal.
fn quote(file: &str) -> String {
    let is_pattern =
        file.contains(['*', '?', '{', '}', '\\']) || file.find('[').is_some_and(|open| file[open..].contains(']'));
    let name = match is_pattern {
        true => file.replace(['[', ']', '*', '?', '{', '}', '\\'], "?"),
        false => file.to_owned(),
    };
    format!("\"{}\"", name.replace('%', "%%"))
}

fn absolute(tree: &Path, file: &Path) -> Result<String> {
    let below = file.strip_prefix(tree).unwrap_or(file);
    let text = below.to_str().ok_or_else(|| Error::Package {
        package: tree.display().to_string(),
        reason: format!("the name {below:?} is not UTF-8"),
    })?;
    Ok(format!("/{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("old");
        for sub in ["bin", "lib/x86_64-linux-gnu", "lib64", "usr/share/doc/x", "usr/bin", "etc"] {
            fs::create_dir_all(old.join(sub)).unwrap();
        }
        fs::write(old.join("bin/script"), "#! /bin/sh -e\necho\n").unwrap();
        fs::set_permissions(old.join("bin/script"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(old.join("lib/x86_64-linux-gnu/ld.so"), "elf").unwrap();
        symlink("/lib/x86_64-linux-gnu/ld.so", old.join("lib64/ld.so")).unwrap();
        symlink("../../bin/script", old.join("usr/bin/again")).unwrap();
        fs::write(old.join("usr/share/doc/x/README"), "read me").unwrap();
        fs::write(old.join("usr/share/doc/x/copyright"), "free").unwrap();
        fs::write(old.join("etc/x.conf"), "a=1").unwrap();
        folder
    }

    #[test]
    fn a_staged_tree_is_merged_under_usr_with_its_scripts_and_links_rewritten() {
        let folder = unpacked();
        let new = folder.path().join("new");

        let old_programs = stage(Arch::X86_64, "x", &folder.path().join("old"), &new).unwrap();

        assert_eq!(old_programs, ["/bin/script"]);
        assert_eq!(fs::read_to_string(new.join("usr/bin/script")).unwrap(), "#!/usr/bin/sh -e\necho\n");
        assert!(new.join("usr/lib64/ld.so").metadata().unwrap().is_file());
        assert!(!new.join("usr/lib64/ld.so").is_symlink());
        assert_eq!(fs::read_link(new.join("usr/bin/again")).unwrap(), Path::new("script"));
        assert!(!new.join("usr/share/doc/x/README").exists());
    }

    #[test]
    fn the_file_list_names_configuration_and_licences_and_leaves_base_folders_out() {
        let folder = unpacked();
        let new = folder.path().join("new");
        stage(Arch::X86_64, "x", &folder.path().join("old"), &new).unwrap();

        let lines = file_list(&new, &BTreeSet::from(["/etc/x.conf".to_owned()])).unwrap().join("\n");

        assert!(lines.contains("%config(noreplace) %attr(0644,root,root) \"/etc/x.conf\""), "{lines}");
        assert!(lines.contains("%license %attr(0644,root,root) \"/usr/share/doc/x/copyright\""), "{lines}");
        assert!(lines.contains("%dir %attr(0755,root,root) \"/usr/share/doc/x\""), "{lines}");
        assert!(!lines.contains("\"/usr/bin\""), "{lines}");
    }

    #[test]
    fn names_that_rpm_would_take_for_patterns_are_matched_by_question_marks() {
        assert_eq!(quote("/usr/bin/["), "\"/usr/bin/[\"");
        assert_eq!(quote("/usr/share/a[b]*"), "\"/usr/share/a?b??\"");
        assert_eq!(quote("/usr/share/100%"), "\"/usr/share/100%%\"");
    }

    #[test]
    fn only_shebangs_of_the_old_folders_are_rewritten() {
        assert_eq!(new_shebang(b"#!/bin/sh").as_deref(), Some(b"#!/usr/bin/sh".as_slice()));
        assert_eq!(new_shebang(b"#!/usr/bin/perl"), None);
        assert_eq!(new_shebang(b"/bin/sh"), None);
    }
}
