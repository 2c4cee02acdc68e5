//! Will the loader find the libraries of the package's programs?

use anima_environment::{Inside, Kind};
use anima_rpm_file::PackageInfo;
use anima_types::work::Check;

use super::{Elf, Loader, judged};
use crate::verdicts::green;

/// What these packages have is read by debuggers and never loaded.
const NEVER_LOADED: [&str; 3] = ["-debuginfo", "-debugsource", "-debuginfo-common"];
/// Where debuggers find it.
const DEBUG_FOLDER: &str = "/usr/lib/debug/";

/// Looks at each program and library of the package for the root's machine.
pub fn libraries(info: &PackageInfo, inside: &Inside, loader: &Loader) -> Check {
    if NEVER_LOADED.iter().any(|end| info.nevra.name.ends_with(end)) {
        return green("libraries", "nothing of it is ever loaded");
    }
    let (mut count, mut wrong) = (0, Vec::new());
    for file in info.files.iter().filter(|file| file.is_regular() && !file.path.starts_with(DEBUG_FOLDER)) {
        let Some(elf) = inside.file(&file.path).ok().and_then(|file| Elf::read(&file)) else { continue };
        if !loader.runs(&elf) {
            continue;
        }
        count += 1;
        if let Some(interpreter) = elf.interpreter.as_deref().filter(|path| !is_file(path, inside)) {
            wrong.push(format!("{}: its loader {interpreter} is not there", file.path));
        }
        let missing = loader.missing(&file.path, &elf, inside);
        if !missing.is_empty() {
            wrong.push(format!("{}: not found: {}", file.path, missing.join(", ")));
        }
    }
    judged("libraries", &wrong, format!("{count} programs and libraries find what they need"))
}

fn is_file(path: &str, inside: &Inside) -> bool {
    path.starts_with('/') && matches!(inside.kind(path), Ok(Some(Kind::File)))
}

#[cfg(test)]
mod tests {
    use anima_types::Arch;

    use super::*;
    use crate::checks::testing::{Tree, elf_with, package};

    /// Puts a shared object with these needs there, and returns what is said of it.
    fn said(tree: &Tree, path: &str, needed: &[&str], runpath: Option<&str>) -> Check {
        tree.file(path, 0o755, &elf_with(needed, runpath));
        let info = package().file(path, 0o755).done();
        let inside = tree.inside();
        libraries(&info, &inside, &Loader::new(&inside, Arch::X86_64, std::slice::from_ref(&info)))
    }

    fn library(tree: &Tree, path: &str) {
        tree.file(path, 0o755, &elf_with(&[], None));
    }

    #[test]
    fn a_library_is_found_where_every_loader_looks() {
        let tree = Tree::new();
        library(&tree, "/usr/lib64/liba.so.1.0");
        tree.link("/usr/lib64/liba.so.1", "/usr/lib64/liba.so.1.0");

        let check = said(&tree, "/usr/lib64/libx.so.1", &["liba.so.1"], None);

        assert_eq!((check.is_green, check.detail.as_str()), (true, "1 programs and libraries find what they need"));
    }

    #[test]
    fn a_library_that_is_nowhere_is_named() {
        let check = said(&Tree::new(), "/usr/lib64/libx.so.1", &["liba.so.1", "libb.so.2"], None);

        assert_eq!(
            (check.is_green, check.detail.as_str()),
            (false, "/usr/lib64/libx.so.1: not found: liba.so.1, libb.so.2")
        );
    }

    #[test]
    fn a_library_is_found_by_the_files_own_path_and_by_the_configuration() {
        let tree = Tree::new();
        library(&tree, "/usr/lib64/app/libown.so");
        library(&tree, "/opt/x/lib/libconf.so");

        assert!(said(&tree, "/usr/bin/../bin/app", &["libown.so"], Some("$ORIGIN/../${LIB}/app")).is_green);
        assert!(said(&tree, "/usr/bin/app", &["libown.so"], Some("/nowhere:$ORIGIN/../lib64/app")).is_green);
        assert!(!said(&tree, "/usr/lib64/libx.so", &["libown.so"], Some("app:.:")).is_green);
        assert!(!said(&tree, "/usr/lib64/libx.so", &["libconf.so"], None).is_green);
        tree.file("/etc/ld.so.conf", 0o644, b"include ld.so.conf.d/*.conf\ninclude /etc/ld.so.conf\n");
        tree.file("/etc/ld.so.conf.d/x.conf", 0o644, b"# more\n/opt/x/lib/\n");
        assert!(said(&tree, "/usr/lib64/libx.so", &["libconf.so"], None).is_green);
    }

    #[test]
    fn what_the_host_has_or_another_machine_needs_is_not_found() {
        let tree = Tree::new();
        let host = tempfile::tempdir().unwrap();
        std::fs::write(host.path().join("libhost.so"), elf_with(&[], None)).unwrap();
        let path = host.path().to_str().unwrap();
        tree.link("/usr/lib64/libhost.so", &format!("{path}/libhost.so"));
        tree.link("/usr/lib64/libloop.so", "libloop.so");
        tree.file("/usr/lib64/libtext.so", 0o755, b"INPUT(libc.so.6)");
        let mut foreign = elf_with(&[], None);
        foreign[18] = 183;
        tree.file("/usr/lib64/libarm.so", 0o755, &foreign);

        for name in ["libhost.so", "libloop.so", "libtext.so", "libarm.so", "../../../../libhost.so"] {
            assert!(
                !said(&tree, "/usr/lib64/libx.so", &[name], Some(&format!("{path}:/../../../..{path}"))).is_green,
                "{name}"
            );
        }
        // A file for another machine is none of this root's loader's.
        tree.file("/usr/share/firmware/blob", 0o755, &foreign);
        assert!(said(&tree, "/usr/lib64/libarm2.so", &[], None).is_green);
    }

    #[test]
    fn a_plugin_finds_what_its_program_brings_and_a_program_does_not() {
        let tree = Tree::new();
        library(&tree, "/usr/lib64/app/libprivate.so");
        tree.file("/usr/lib64/app/plugins/p.so", 0o755, &elf_with(&["libprivate.so"], None));
        tree.file("/usr/lib64/libpublic.so", 0o755, &elf_with(&["libprivate.so"], None));
        let info = package().file("/usr/lib64/app/libprivate.so", 0o755);
        let inside = tree.inside();
        let check = |path: &str| {
            let info = info.clone().file(path, 0o755).done();
            libraries(&info, &inside, &Loader::new(&inside, Arch::X86_64, std::slice::from_ref(&info)))
        };

        assert!(check("/usr/lib64/app/plugins/p.so").is_green);
        assert!(!check("/usr/lib64/libpublic.so").is_green);
    }

    #[test]
    fn what_is_never_loaded_is_not_looked_at() {
        let tree = Tree::new();
        tree.file("/usr/lib/debug/x.debug", 0o755, &elf_with(&["libgone.so"], None));
        let mut info = package().file("/usr/lib/debug/x.debug", 0o755).done();
        let inside = tree.inside();
        let loader = Loader::new(&inside, Arch::X86_64, &[]);

        assert!(libraries(&info, &inside, &loader).is_green);
        info.nevra = "x-debuginfo-1-1.x86_64".parse().unwrap();
        assert_eq!(libraries(&info, &inside, &loader).detail, "nothing of it is ever loaded");
    }
}
