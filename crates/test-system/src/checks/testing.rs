//! Small trees and packages for the tests of the checks.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anima_environment::Inside;
use anima_rpm_file::{DigestAlgorithm, File, FileKind, PackageInfo};
use tempfile::TempDir;

/// A root in a temporary folder.
pub struct Tree(TempDir);

impl Tree {
    pub fn new() -> Tree {
        Tree(tempfile::tempdir().unwrap())
    }

    pub fn inside(&self) -> Inside {
        Inside::open(self.0.path()).unwrap()
    }

    pub fn file(&self, path: &str, mode: u32, content: &[u8]) {
        let path = self.place(path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        symlink(target, self.place(path)).unwrap();
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

/// What a package says of itself.
#[derive(Clone)]
pub struct Package(PackageInfo);

pub fn package() -> Package {
    Package(PackageInfo {
        nevra: "x-1-1.x86_64".parse().unwrap(),
        is_source: false,
        summary: String::new(),
        description: String::new(),
        license: String::new(),
        url: None,
        vendor: None,
        group: None,
        packager: None,
        build_time_secs: 0,
        build_host: None,
        source_rpm: None,
        provides: Vec::new(),
        requires: Vec::new(),
        conflicts: Vec::new(),
        obsoletes: Vec::new(),
        recommends: Vec::new(),
        suggests: Vec::new(),
        supplements: Vec::new(),
        enhances: Vec::new(),
        files: Vec::new(),
        file_digest_algorithm: DigestAlgorithm::Sha256,
        changelogs: Vec::new(),
        scriptlets: Vec::new(),
        header_start: 0,
        header_end: 0,
        installed_size_bytes: 0,
        archive_size_bytes: 0,
        payload_sha256: None,
        exclusive_archs: Vec::new(),
        exclude_archs: Vec::new(),
        build_archs: Vec::new(),
    })
}

impl Package {
    pub fn file(self, path: &str, mode: u16) -> Package {
        self.add(path, 0o100000 | mode, FileKind::File, None)
    }

    pub fn dir(self, path: &str) -> Package {
        self.add(path, 0o040755, FileKind::Dir, None)
    }

    pub fn link(self, path: &str, target: &str) -> Package {
        self.add(path, 0o120777, FileKind::File, Some(target))
    }

    pub fn ghost(self, path: &str) -> Package {
        self.add(path, 0o100644, FileKind::Ghost, None)
    }

    pub fn done(self) -> PackageInfo {
        self.0
    }

    fn add(mut self, path: &str, mode: u16, kind: FileKind, link_to: Option<&str>) -> Package {
        self.0.files.push(File {
            path: path.to_owned(),
            mode,
            kind,
            size_bytes: 0,
            digest: None,
            link_to: link_to.map(str::to_owned),
            user: "root".to_owned(),
            group: "root".to_owned(),
            flags: 0,
            capabilities: None,
        });
        self
    }
}

/// The program that runs the tests.
pub fn own_program() -> &'static Path {
    Path::new("/proc/self/exe")
}

/// Makes a shared object for x86_64: header, two program headers, the dynamic section, its strings.
pub fn elf_with(needed: &[&str], runpath: Option<&str>) -> Vec<u8> {
    let mut strings = vec![0];
    let mut add = |text: &str| {
        let offset = strings.len() as u64;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        offset
    };
    let mut entries: Vec<(u64, u64)> = needed.iter().map(|name| (1, add(name))).collect();
    entries.extend(runpath.map(|path| (29, add(path))));
    let dynamic_at = 64 + 2 * 56;
    let strings_at = dynamic_at + (entries.len() as u64 + 3) * 16;
    entries.extend([(5, strings_at), (10, strings.len() as u64), (0, 0)]);
    let end = strings_at + strings.len() as u64;

    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    for half in [3u16, 62] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1u32.to_le_bytes());
    for long in [0u64, 64, 0] {
        bytes.extend(long.to_le_bytes());
    }
    bytes.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 2, 0, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for (kind, offset, size) in [(1u32, 0, end), (2, dynamic_at, strings_at - dynamic_at)] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
        for long in [offset, offset, offset, size, size, 8] {
            bytes.extend(long.to_le_bytes());
        }
    }
    for (tag, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(strings);
    bytes
}
