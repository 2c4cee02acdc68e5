//! A distribution of one package: the host's own rpmbuild and what it needs to build a package without a compiler.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use sha2::Digest;
use tempfile::TempDir;

use super::run;

const PROGRAMS: &[&str] = &[
    "bash", "basename", "bzip2", "cat", "chmod", "chown", "cmp", "cp", "cpio", "cut", "date", "diff", "dirname",
    "echo", "env", "expr", "false", "file", "find", "getconf", "grep", "gzip", "head", "hostname", "id", "install",
    "ln", "ls", "make", "mkdir", "mkfifo", "mktemp", "mv", "patch", "perl", "printf", "ps", "pwd", "readlink", "rm",
    "rmdir", "rpm", "rpmbuild", "rpmspec", "sed", "setsid", "sleep", "sort", "stat", "strip", "tail", "tar", "test",
    "touch", "tr", "true", "uname", "uniq", "wc", "which", "xargs", "xz", "zstd",
];

/// Folders of data that these programs read.
const FOLDERS: &[&str] = &["/usr/lib/rpm", "/usr/lib/file"];

/// Puts the repository there. It is made once, and kept in the target folder until this file changes.
pub fn repository(to: &Path) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let version = hex::encode(sha2::Sha256::digest(include_bytes!("toolbox.rs")));
    let repository = kept.join(format!("toolbox-{}", &version[..16]));
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    if !repository.exists() {
        let made = make(kept);
        // Another process may have been faster.
        let _ = std::fs::rename(made.path().join("repository"), &repository);
    }
    symlink(repository, to).unwrap();
}

/// Puts a repository `second` there.
pub fn second_repository(served: &Path) {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), &data_spec("gift", 1));
    package(folder.path(), &data_spec("data", 2));
    run(Command::new("createrepo_c").arg("--quiet").arg(folder.path().join("repository")));
    run(Command::new("cp").arg("-a").arg(folder.path().join("repository")).arg(served.join("second")));
}

fn make(within: &Path) -> TempDir {
    let folder = tempfile::tempdir_in(within).unwrap();
    let tree = folder.path().join("tree");
    fill(&tree);
    package(folder.path(), &toolbox_spec(&tree));
    package(folder.path(), &data_spec("data", 3));
    run(Command::new("createrepo_c").arg("--quiet").arg(folder.path().join("repository")));
    folder
}

fn fill(tree: &Path) {
    for folder in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "var/lib/rpm", "root"] {
        std::fs::create_dir_all(tree.join(folder)).unwrap();
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(Path::new("usr").join(name), tree.join(name)).unwrap();
    }
    for folder in ["tmp", "var/tmp"] {
        std::fs::create_dir_all(tree.join(folder)).unwrap();
        std::fs::set_permissions(tree.join(folder), PermissionsExt::from_mode(0o1777)).unwrap();
    }
    std::fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
    std::fs::write(tree.join("etc/group"), "root:x:0:\n").unwrap();
    let mut files = BTreeSet::new();
    for program in PROGRAMS {
        let Some(path) = program_path(program) else { panic!("{program} is not installed") };
        files.extend(libraries(&path));
        copy(&path, &tree.join("usr/bin").join(program));
    }
    symlink("bash", tree.join("usr/bin/sh")).unwrap();
    copy(Path::new("/usr/share/misc/magic.mgc"), &tree.join("usr/share/misc/magic.mgc"));
    for file in files {
        copy(&file, &tree.join(file.strip_prefix("/").unwrap()));
    }
    for folder in FOLDERS.iter().copied().chain(perl_folder()) {
        run(Command::new("cp").args(["-a", "--parents", folder]).arg(tree));
    }
}

/// What perl needs for a plain script; Debian has it in a folder of the machine's architecture.
fn perl_folder() -> Option<&'static str> {
    let folders = ["/usr/lib/x86_64-linux-gnu/perl-base", "/usr/lib/aarch64-linux-gnu/perl-base"];
    folders.into_iter().find(|folder| Path::new(folder).exists())
}

fn program_path(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

/// Paths as the loader looks for them, those through `/lib` included.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

fn toolbox_spec(tree: &Path) -> String {
    format!(
        "Name: toolbox\nVersion: 1\nRelease: 1\nSummary: A test\nLicense: MIT\nAutoReqProv: no\n\
         %description\nA test.\n%install\ncp -a {}/. %{{buildroot}}/\n%files\n%dir /\n/bin\n/sbin\n/lib\n/lib64\n/usr\n/etc\n/root\n\
         /var\n%attr(1777,root,root) /tmp\n",
        tree.display()
    )
}

/// Something to require.
fn data_spec(name: &str, version: u32) -> String {
    format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: A test\nLicense: MIT\nBuildArch: noarch\n%description\nA test.\n\
         %install\nmkdir -p %{{buildroot}}/usr/share\necho {name} > %{{buildroot}}/usr/share/{name}\n%files\n/usr/share/{name}\n"
    )
}

fn package(folder: &Path, spec: &str) {
    let path = folder.join("a.spec");
    std::fs::write(&path, spec).unwrap();
    let define = |key: &str, name: &str| format!("{key} {}", folder.join(name).display());
    run(Command::new("rpmbuild")
        .args([
            "-bb",
            "--quiet",
            "--nodeps",
            "--define",
            &define("_topdir", "top"),
            "--define",
            &define("_dbpath", "db"),
        ])
        .args([
            "--define",
            &define("_rpmdir", "repository"),
            "--define",
            "_buildshell /bin/bash",
            "--define",
            "__os_install_post %{nil}",
        ])
        .args([
            "--define",
            "_binary_payload w1.zstdio",
            "--define",
            "_build_id_links none",
            "--define",
            "debug_package %{nil}",
        ])
        .arg(path));
}
