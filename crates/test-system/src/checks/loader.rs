//! Where the loader of a root looks for libraries.

use std::collections::BTreeSet;

use anima_environment::{Inside, Kind};
use anima_rpm_file::PackageInfo;
use anima_types::Arch;

use super::Elf;

/// Where every loader looks, whatever is configured.
const DEFAULT_FOLDERS: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// The loader's list of further folders.
const CONFIGURATION: &str = "/etc/ld.so.conf";
/// Real ones have some lines.
const MAX_CONFIGURATION_BYTES: u64 = 64 * 1024;
/// Lists may name lists: one does so in practice.
const MAX_INCLUDES: usize = 256;
/// One file's libraries are looked for in so many folders at most: real ones have less than ten.
const MAX_FOLDERS: usize = 256;

/// How the loader of a root finds libraries.
#[derive(Clone, Debug)]
pub struct Loader {
    folders: Vec<String>,
    private: BTreeSet<String>,
    machines: &'static [u16],
    arch: Arch,
}

impl Loader {
    /// Reads the root's configuration. Folders in which the packages under test have shared objects are known as private: a
    /// plugin finds there what its program has loaded before.
    pub fn new(inside: &Inside, arch: Arch, packages: &[PackageInfo]) -> Loader {
        let mut folders: Vec<String> = DEFAULT_FOLDERS.map(str::to_owned).into();
        folders.extend(configured(inside));
        let files = packages.iter().flat_map(|info| &info.files);
        let shared = files
            .filter(|file| file.path.contains(".so"))
            .filter_map(|file| Some(file.path.rsplit_once('/')?.0.to_owned()));
        Loader { folders, private: shared.collect(), machines: machines(arch), arch }
    }

    /// Returns whether the files of this machine run in the root at all.
    pub fn runs(&self, elf: &Elf) -> bool {
        self.machines.contains(&elf.machine)
    }

    /// Returns the libraries that the file needs and does not find.
    pub fn missing(&self, path: &str, elf: &Elf, inside: &Inside) -> Vec<String> {
        let folders = self.folders_of(path, elf);
        let is_found = |name: &&String| match name.contains('/') {
            true => is_library(name, elf, inside),
            false => folders.iter().any(|folder| is_library(&format!("{folder}/{name}"), elf, inside)),
        };
        elf.needed.iter().filter(|name| !is_found(name)).cloned().collect()
    }

    fn folders_of(&self, path: &str, elf: &Elf) -> Vec<String> {
        let own = elf.runpath.as_deref().or(elf.rpath.as_deref()).unwrap_or_default();
        let origin = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let own =
            own.split(':').map(|folder| self.expanded(folder, origin, elf)).filter(|folder| folder.starts_with('/'));
        let mut folders: Vec<String> = own.chain(self.folders.iter().cloned()).collect();
        if elf.interpreter.is_none() && !self.folders.iter().any(|folder| folder == origin) {
            folders.extend(self.private.iter().cloned());
        }
        folders.truncate(MAX_FOLDERS);
        folders
    }

    fn expanded(&self, folder: &str, origin: &str, elf: &Elf) -> String {
        let lib = if elf.is_64 { "lib64" } else { "lib" };
        let words = [("ORIGIN", origin), ("LIB", lib), ("PLATFORM", self.arch.name())];
        words.iter().fold(folder.to_owned(), |text, (word, value)| {
            text.replace(&format!("${{{word}}}"), value).replace(&format!("${word}"), value)
        })
    }
}

/// A library of another machine is passed over by the loader, as here.
fn is_library(path: &str, elf: &Elf, inside: &Inside) -> bool {
    let found = inside.file(path).ok().and_then(|file| Elf::read(&file));
    found.is_some_and(|found| (found.is_64, found.machine) == (elf.is_64, elf.machine))
}

fn machines(arch: Arch) -> &'static [u16] {
    use goblin::elf::header::{EM_386, EM_AARCH64, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};
    match arch {
        Arch::X86_64 | Arch::X86_64V2 => &[EM_X86_64, EM_386],
        Arch::I686 => &[EM_386],
        Arch::Aarch64 => &[EM_AARCH64],
        Arch::Ppc64le => &[EM_PPC64],
        Arch::S390x => &[EM_S390],
        Arch::Riscv64 => &[EM_RISCV],
    }
}

/// Returns the folders that the root's configuration names.
fn configured(inside: &Inside) -> Vec<String> {
    let (mut folders, mut lists, mut seen) = (Vec::new(), vec![CONFIGURATION.to_owned()], BTreeSet::new());
    while let Some(list) = lists.pop() {
        if seen.len() >= MAX_INCLUDES || !seen.insert(list.clone()) {
            continue;
        }
        let text = inside.read_text(&list, MAX_CONFIGURATION_BYTES).unwrap_or_default();
        for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
            match line.split_once(char::is_whitespace) {
                Some(("include", pattern)) => lists.extend(included(pattern.trim(), inside)),
                _ if line.starts_with('/') => folders.push(line.trim_end_matches('/').to_owned()),
                _ => {}
            }
        }
    }
    folders
}

/// Returns the lists that a pattern such as `ld.so.conf.d/*.conf` means.
fn included(pattern: &str, inside: &Inside) -> Vec<String> {
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/{pattern}") };
    let Some((folder, name)) = pattern.rsplit_once('/') else { return Vec::new() };
    let Some((start, end)) = name.split_once('*') else { return vec![pattern] };
    let files = inside.walk(folder).unwrap_or_default();
    let is_meant = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        path == format!("{folder}/{name}")
            && name.len() >= start.len() + end.len()
            && name.starts_with(start)
            && name.ends_with(end)
    };
    let files =
        files.into_iter().filter(|(_, kind)| *kind == Kind::File).map(|(path, _)| path.to_string_lossy().into_owned());
    files.filter(|path| is_meant(path)).collect()
}
