//! Tiny packages, made by rpmbuild.

use std::path::{Path, PathBuf};
use std::process::Command;

use anima_types::Nevra;

/// What a package is made from.
#[derive(Clone, Debug)]
pub struct Package {
    name: String,
    version: String,
    preamble: String,
    install: String,
    files: Vec<String>,
    scripts: String,
}

impl Package {
    /// A noarch package of release 1 with the file `/usr/share/NAME`.
    pub fn new(name: &str, version: &str) -> Package {
        let package = Package {
            name: name.into(),
            version: version.into(),
            preamble: String::new(),
            install: String::new(),
            files: Vec::new(),
            scripts: String::new(),
        };
        package.file(&format!("/usr/share/{name}"), 0o644, version)
    }

    pub fn preamble(mut self, line: &str) -> Package {
        self.preamble += &format!("{line}\n");
        self
    }

    /// Adds a file with one line.
    pub fn file(self, path: &str, mode: u32, line: &str) -> Package {
        self.made(path, &format!("echo '{line}' >%{{buildroot}}{path}\nchmod {mode:o} %{{buildroot}}{path}\n"))
    }

    pub fn link(self, path: &str, target: &str) -> Package {
        self.made(path, &format!("ln -s {target} %{{buildroot}}{path}\n"))
    }

    /// Adds a file of the host.
    pub fn copy(self, from: &str, path: &str) -> Package {
        self.made(path, &format!("cp -L {from} %{{buildroot}}{path}\n"))
    }

    /// Adds a script, such as `%post`.
    pub fn script(mut self, text: &str) -> Package {
        self.scripts += &format!("{text}\n");
        self
    }

    pub fn nevra(&self) -> Nevra {
        super::nevra(&format!("{}-{}-1.noarch", self.name, self.version))
    }

    fn made(mut self, path: &str, how: &str) -> Package {
        self.install += &format!("mkdir -p $(dirname %{{buildroot}}{path})\n{how}");
        self.files.push(path.into());
        self
    }

    /// Builds it into the repository, and returns its file.
    pub fn build(&self, repository: &Path) -> PathBuf {
        let Package { name, version, preamble, install, files, scripts } = self;
        let spec = format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: A test\nLicense: MIT\nBuildArch: noarch\n{preamble}\
             %define __os_install_post %{{nil}}\n%define _binaries_in_noarch_packages_terminate_build 0\n\
             %description\nA test.\n%install\n{install}\n{scripts}\n%files\n{}\n",
            files.join("\n")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.spec");
        std::fs::write(&path, spec).unwrap();
        let define = |key: &str, path: &Path| format!("{key} {}", path.display());
        run(Command::new("rpmbuild")
            .args(["-bb", "--quiet", "--nodeps", "--define", &define("_topdir", &folder.path().join("top"))])
            .args(["--define", &define("_dbpath", &folder.path().join("db"))])
            .args(["--define", &define("_rpmdir", repository), "--define", "_rpmfilename %{name}-%{version}.rpm"])
            .args(["--define", "_binary_payload w1.gzdio", "--define", "_buildshell /bin/bash"])
            .arg(path));
        repository.join(format!("{name}-{version}.rpm"))
    }
}

/// The platform's one package: a shell of the host with its libraries, where the loader is told to look for them.
pub fn shell(repository: &Path) {
    let programs = ["/bin/dash", "/bin/cat", "/bin/rm"];
    let output = Command::new("ldd").args(programs).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let mut libraries: Vec<&str> =
        output.split_whitespace().filter(|it| it.starts_with('/') && !it.ends_with(':')).collect();
    libraries.sort();
    libraries.dedup();
    let folders: Vec<&str> = libraries.iter().map(|path| path.rsplit_once('/').unwrap().0).collect();
    let mut package = Package::new("shell", "1")
        .preamble("AutoReqProv: no")
        .preamble("Provides: /bin/sh")
        .copy("/bin/dash", "/usr/bin/sh")
        .copy("/bin/cat", "/usr/bin/cat")
        .copy("/bin/rm", "/usr/bin/rm")
        .file("/etc/ld.so.conf", 0o644, "include /etc/ld.so.conf.d/*.conf")
        .file("/etc/ld.so.conf.d/host.conf", 0o644, &folders.join("\n"))
        .link("/bin", "usr/bin")
        .link("/lib", "usr/lib")
        .link("/lib64", "usr/lib64");
    for path in &libraries {
        // A path through a link of the merged `/usr` is the same file.
        let merged = if path.starts_with("/usr") { (*path).to_owned() } else { format!("/usr{path}") };
        package = package.copy(path, &merged);
    }
    package.build(repository);
}

/// Makes the repository's metadata.
pub fn index(repository: &Path) {
    std::fs::create_dir_all(repository).unwrap();
    run(Command::new("createrepo_c").arg("--quiet").arg(repository));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
