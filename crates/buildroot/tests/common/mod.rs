//! A folder of layers, and tiny packages made by rpmbuild.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use anima_buildroot::{LayerPackage, Layers, LockInput};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub fn helper() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_anima-buildroot-test-helper"))
}

/// A folder of layers and a folder of packages.
pub struct World {
    folder: TempDir,
}

impl World {
    pub fn new() -> World {
        World { folder: tempfile::tempdir().unwrap() }
    }

    pub fn layers_dir(&self) -> PathBuf {
        self.folder.path().join("roots")
    }

    pub fn open(&self) -> Layers {
        Layers::open(self.layers_dir(), helper()).unwrap()
    }

    /// Builds `NAME-1-1.noarch` with the file `/usr/share/NAME` and these further lines.
    pub fn package(&self, name: &str, scripts: &str) -> LayerPackage {
        let install = format!("mkdir -p %{{buildroot}}/usr/share\necho {name} > %{{buildroot}}/usr/share/{name}");
        self.build(name, "", &install, &format!("/usr/share/{name}"), scripts)
    }

    /// Builds a package with a file of every kind that packages have, and a script that writes.
    pub fn many_kinds(&self, name: &str) -> LayerPackage {
        let install = format!(
            "d=%{{buildroot}}/usr/share/{name}; mkdir -p $d/sticky $d/empty; echo {name} > $d/file; ln $d/file $d/second; ln -s ../{name}/file $d/link\n\
             echo program > $d/program; echo able > $d/able; echo old > $d/config; mkdir -p %{{buildroot}}/etc; echo $d > %{{buildroot}}/etc/{name}.conf"
        );
        let files = format!(
            "%dir /usr/share/{name}\n%dir %attr(1777, root, root) /usr/share/{name}/sticky\n%dir %attr(0700, builder, builders) /usr/share/{name}/empty\n\
             /usr/share/{name}/file\n/usr/share/{name}/second\n/usr/share/{name}/link\n\
             %attr(4755, builder, builders) /usr/share/{name}/program\n%caps(cap_net_raw=ep) /usr/share/{name}/able\n\
             %config(noreplace) /usr/share/{name}/config\n%config %attr(0600, root, root) /etc/{name}.conf\n%ghost /var/{name}.ghost"
        );
        let scripts = "%post -p <lua>\nlocal f = io.open('/etc/scripts', 'a'); f:write('ran\\n'); f:close()";
        // Its owner is known only then.
        self.build(name, "Requires(pre): shell", &install, &files, &format!("{scripts}\n"))
    }

    /// Builds a package that has a shell of the host and the libraries that it needs, and is able to tell and to copy.
    pub fn shell(&self) -> LayerPackage {
        let libraries = Command::new("ldd").args(["/bin/dash", "/bin/cat"]).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        let mut install = String::from(
            "mkdir -p %{buildroot}/bin\ncp -L /bin/dash %{buildroot}/bin/sh\ncp -L /bin/cat %{buildroot}/bin/\n",
        );
        install += "mkdir -p %{buildroot}/etc\necho 'root:x:0:0::/:/bin/sh\nbuilder:x:1234:77::/:/bin/sh' > %{buildroot}/etc/passwd\n\
                    echo 'root:x:0:\nbuilders:x:77:' > %{buildroot}/etc/group\n";
        let mut paths: Vec<&str> =
            libraries.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')).collect();
        paths.sort();
        paths.dedup();
        for path in &paths {
            install += &format!("mkdir -p $(dirname %{{buildroot}}{path})\ncp -L {path} %{{buildroot}}{path}\n");
        }
        self.build(
            "shell",
            "",
            &install,
            &format!("/etc/passwd\n/etc/group\n/bin/sh\n/bin/cat\n{}", paths.join("\n")),
            "",
        )
    }

    /// Builds a package with programs of the host and the libraries and folders that they need, and a file of macros.
    pub fn with_programs(&self, name: &str, programs: &[&str], folders: &[&str], macros: &str) -> LayerPackage {
        let mut install =
            "for d in bin sbin lib lib64; do mkdir -p %{buildroot}/usr/$d; ln -s usr/$d %{buildroot}/$d; done\n"
                .to_owned();
        for program in programs {
            let path = format!("/usr/bin/{program}");
            let libraries = Command::new("ldd").arg(&path).output().unwrap();
            let libraries = String::from_utf8(libraries.stdout).unwrap();
            let files = libraries.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
            for file in files.chain([path.as_str()]) {
                install += &format!("mkdir -p %{{buildroot}}$(dirname {file})\ncp -L {file} %{{buildroot}}{file}\n");
            }
        }
        for folder in folders {
            install += &format!("mkdir -p %{{buildroot}}{folder}\ncp -a {folder}/. %{{buildroot}}{folder}/\n");
        }
        let macros = macros.replace('%', "%%");
        install +=
            &format!("mkdir -p %{{buildroot}}/etc/rpm\ncat > %{{buildroot}}/etc/rpm/macros <<'END'\n{macros}END\n");
        self.build(name, "%define _build_id_links none", &install, "/bin\n/sbin\n/lib\n/lib64\n/usr\n/etc/rpm", "")
    }

    fn build(&self, name: &str, preamble: &str, install: &str, files: &str, scripts: &str) -> LayerPackage {
        let spec = format!(
            "Name: {name}\nVersion: 1\nRelease: 1\nSummary: A test\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n{preamble}\n%define __os_install_post %{{nil}}\n\
             %define _binaries_in_noarch_packages_terminate_build 0\n\
             %description\nA test.\n%install\n{install}\n{scripts}\n%files\n{files}\n"
        );
        let top = self.folder.path().join("rpms");
        std::fs::create_dir_all(&top).unwrap();
        let path = top.join(format!("{name}.spec"));
        std::fs::write(&path, spec).unwrap();
        let define = |key: &str, value: &Path| format!("{key} {}", value.display());
        run(Command::new("rpmbuild")
            .args(["-bb", "--quiet", "--nodeps", "--define", &define("_topdir", &top)])
            .args(["--define", &define("_dbpath", &top.join("db"))])
            .args(["--define", "_binary_payload w1.gzdio", "--define", "_buildshell /bin/bash"])
            .arg(path));
        let path = top.join(format!("RPMS/noarch/{name}-1-1.noarch.rpm"));
        let sha256 = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
        LayerPackage { nevra: format!("{name}-0:1-1.noarch"), sha256, path }
    }
}

pub fn list(packages: &[&LayerPackage]) -> LockInput {
    let packages = packages.iter().map(|&package| package.clone()).collect();
    LockInput { packages, configuration: "test x86_64".to_owned(), ..LockInput::default() }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
