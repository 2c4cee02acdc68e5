//! Tiny repositories written by hand, and the real metadata that the project keeps beside its work tree.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anima_solver::{DEFAULT_PRIORITY, Pool, RepodataFiles};

/// One package of a handwritten primary.xml.
#[derive(Clone)]
pub struct Tiny {
    pub name: String,
    pub evr: (u32, String, String),
    pub arch: String,
    pub location: String,
    relations: Vec<(&'static str, String)>,
    files: Vec<String>,
}

/// Starts a package; `evr` is `[epoch:]version-release`.
pub fn package(name: &str, evr: &str) -> Tiny {
    let (epoch, rest) = evr.split_once(':').unwrap_or(("0", evr));
    let (version, release) = rest.split_once('-').expect("version-release");
    Tiny {
        name: name.into(),
        evr: (epoch.parse().unwrap(), version.into(), release.into()),
        arch: "x86_64".into(),
        location: format!("Packages/{name}-{rest}.rpm"),
        relations: Vec::new(),
        files: Vec::new(),
    }
}

impl Tiny {
    pub fn arch(mut self, arch: &str) -> Self {
        self.arch = arch.into();
        self
    }
    pub fn location(mut self, location: &str) -> Self {
        self.location = location.into();
        self
    }
    pub fn requires(self, dependency: &str) -> Self {
        self.relation("requires", dependency)
    }
    pub fn provides(self, dependency: &str) -> Self {
        self.relation("provides", dependency)
    }
    pub fn conflicts(self, dependency: &str) -> Self {
        self.relation("conflicts", dependency)
    }
    pub fn obsoletes(self, dependency: &str) -> Self {
        self.relation("obsoletes", dependency)
    }
    pub fn recommends(self, dependency: &str) -> Self {
        self.relation("recommends", dependency)
    }
    pub fn supplements(self, dependency: &str) -> Self {
        self.relation("supplements", dependency)
    }
    pub fn file(mut self, path: &str) -> Self {
        self.files.push(path.into());
        self
    }
    fn relation(mut self, kind: &'static str, dependency: &str) -> Self {
        self.relations.push((kind, dependency.into()));
        self
    }

    fn checksum(&self) -> String {
        let text = format!("{}{:?}{}", self.name, self.evr, self.arch);
        text.bytes().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        }) + &"0".repeat(64)
    }

    fn pkgid(&self) -> String {
        self.checksum()[..64].to_owned()
    }

    fn primary(&self) -> String {
        let (epoch, version, release) = &self.evr;
        let mut relations = self.relations.clone();
        relations.push(("provides", format!("{} = {epoch}:{version}-{release}", self.name)));
        let mut format = String::new();
        for kind in ["provides", "requires", "conflicts", "obsoletes", "recommends", "supplements"] {
            write!(format, "<rpm:{kind}>").unwrap();
            for (_, dependency) in relations.iter().filter(|(relation, _)| *relation == kind) {
                format.push_str(&entry(dependency));
            }
            write!(format, "</rpm:{kind}>").unwrap();
        }
        for file in self.files.iter().filter(|file| file.contains("bin/") || file.starts_with("/etc/")) {
            write!(format, "<file>{file}</file>").unwrap();
        }
        format!(
            r#"<package type="rpm"><name>{}</name><arch>{}</arch><version epoch="{epoch}" ver="{version}" rel="{release}"/>
<checksum type="sha256" pkgid="YES">{}</checksum><summary>s</summary><description>d</description>
<size package="1234" installed="1" archive="1"/><location href="{}"/><format>{format}</format></package>"#,
            self.name,
            self.arch,
            self.pkgid(),
            self.location
        )
    }

    fn filelists(&self) -> String {
        let (epoch, version, release) = &self.evr;
        let files: String = self.files.iter().map(|file| format!("<file>{file}</file>")).collect();
        format!(
            r#"<package pkgid="{}" name="{}" arch="{}"><version epoch="{epoch}" ver="{version}" rel="{release}"/>{files}</package>"#,
            self.pkgid(),
            self.name,
            self.arch
        )
    }
}

fn entry(dependency: &str) -> String {
    let words: Vec<&str> = dependency.split_whitespace().collect();
    match words[..] {
        [name, operator, evr] if !name.starts_with('(') => {
            let flags = match operator {
                "<" => "LT",
                "<=" => "LE",
                "=" => "EQ",
                ">=" => "GE",
                _ => "GT",
            };
            let (epoch, rest) = evr.split_once(':').unwrap_or(("0", evr));
            let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
            let release = if release.is_empty() { String::new() } else { format!(" rel=\"{release}\"") };
            format!(r#"<rpm:entry name="{name}" flags="{flags}" epoch="{epoch}" ver="{version}"{release}/>"#)
        }
        _ => format!(r#"<rpm:entry name="{}"/>"#, dependency.replace('<', "&lt;").replace('>', "&gt;")),
    }
}

/// The text of a primary.xml of these packages.
pub fn primary(packages: &[Tiny]) -> String {
    let body: String = packages.iter().map(Tiny::primary).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">{body}</metadata>",
        packages.len()
    )
}

/// The text of a filelists.xml of these packages.
pub fn filelists(packages: &[Tiny]) -> String {
    let body: String = packages.iter().map(Tiny::filelists).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<filelists xmlns=\"http://linux.duke.edu/metadata/filelists\" packages=\"{}\">{body}</filelists>",
        packages.len()
    )
}

/// A pool with one repository, `tiny`.
pub fn pool(packages: &[Tiny]) -> Pool {
    let mut pool = Pool::new("x86_64").unwrap();
    add(&mut pool, "tiny", DEFAULT_PRIORITY, packages);
    pool
}

/// Adds a handwritten repository with its filelists.
pub fn add(pool: &mut Pool, name: &str, priority: i32, packages: &[Tiny]) {
    let folder = tempfile::tempdir().unwrap();
    let (primary_path, filelists_path) = (folder.path().join("primary.xml"), folder.path().join("filelists.xml"));
    std::fs::write(&primary_path, primary(packages)).unwrap();
    std::fs::write(&filelists_path, filelists(packages)).unwrap();
    let files = RepodataFiles { primary: &primary_path, filelists: Some(&filelists_path), cache: None };
    let loaded = pool.add_repository(name, priority, &files).unwrap();
    assert_eq!(loaded.package_count, packages.len());
}

/// The names of a solution's packages.
pub fn names(packages: &[anima_solver::LockedPackage]) -> Vec<&str> {
    packages.iter().map(|package| package.name.as_str()).collect()
}

/// The real metadata of an Enterprise Linux.
pub struct RealRepository {
    pub name: &'static str,
    pub primary: PathBuf,
    pub filelists: PathBuf,
}

impl RealRepository {
    pub fn files(&self) -> RepodataFiles<'_> {
        RepodataFiles { primary: &self.primary, filelists: Some(&self.filelists), cache: None }
    }
}

/// Both real repositories. A machine without them cannot run these tests, and says so.
pub fn real_repositories() -> [RealRepository; 2] {
    ["el-baseos-x86_64", "el-appstream-x86_64"].map(|name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/repodata").join(name).join("repodata");
        let find = |what: &str| {
            let listed = std::fs::read_dir(&folder).unwrap_or_else(|error| {
                panic!(
                    "these tests need the real metadata in {}: {error}. It is the project's shared data: put the folder `shared/data` \
                     beside the work tree",
                    folder.display()
                )
            });
            listed
                .map(|entry| entry.unwrap().path())
                .find(|path| path.to_string_lossy().contains(what))
                .unwrap_or_else(|| panic!("{} has no {what} file", folder.display()))
        };
        RealRepository { name, primary: find("-primary.xml"), filelists: find("-filelists.xml") }
    })
}

/// A pool of both real repositories.
pub fn real_pool() -> Pool {
    let mut pool = Pool::new("x86_64").unwrap();
    for repository in &real_repositories() {
        pool.add_repository(repository.name, DEFAULT_PRIORITY, &repository.files()).unwrap();
    }
    pool
}
