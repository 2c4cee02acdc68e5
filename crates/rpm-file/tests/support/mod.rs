//! Real packages by rpmbuild, and rpm's own verifier with a keyring of its own.
#![allow(dead_code)] // each test file uses its part

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use anima_rpm_file::SigningKey;
use tempfile::TempDir;

pub const CREATED_AT: u32 = 1_700_000_000;
pub const SIGNED_AT: u32 = 1_700_000_500;
pub const USER_ID: &str = "Anima Test <keys@example.org>";

/// A package with a little of everything.
pub const ODD_SPEC: &str = r#"
Name: odd
Epoch: 2
Version: 1.0~rc1
Release: 3.s1
Summary: Ein Päckchen mit <Sonderzeichen> & Umlauten
License: MIT AND (BSD-2-Clause OR Apache-2.0)
URL: https://example.org/odd?a=1&b=2
Vendor: Anima Test
Packager: Nobody <nobody@example.org>
Group: Applications/Text
BuildArch: noarch
BuildRequires: bash >= 4
Provides: odd-thing = 7:2-1
Provides: config(odd-thing)
Requires: /bin/sh
Requires(pre): coreutils >= 8
Requires: (bash if coreutils)
Conflicts: even < 2
Obsoletes: strange <= 1:0.9-2
Recommends: tea
Suggests: biscuits > 1
Supplements: kettle
Enhances: table = 4

%description
Zeile eins — with a dash.

  Indented "quotes" and 'apostrophes'.

%package sub
Summary: Another
Requires: odd = 2:1.0~rc1-3.s1
%description sub
No files at all.

%prep
%build
%install
mkdir -p %{buildroot}/etc %{buildroot}/usr/bin %{buildroot}/usr/share/odd/dir %{buildroot}/var/log
echo conf > %{buildroot}/etc/odd.conf
printf '#!/bin/sh\necho odd\n' > %{buildroot}/usr/bin/odd
chmod 755 %{buildroot}/usr/bin/odd
ln -s odd %{buildroot}/usr/bin/odder
echo ü > "%{buildroot}/usr/share/odd/dir/größe mit leer.txt"
touch %{buildroot}/var/log/odd.log
seq 1 20000 > %{buildroot}/usr/share/odd/numbers

%post
echo posted
%preun -p /usr/bin/true
%posttrans -p <lua>
print("done")
%triggerin -- bash > 1
echo bash came
%transfiletriggerin -- /usr/share/odd
cat

%files
%config(noreplace) /etc/odd.conf
/usr/bin/odd
/usr/bin/odder
/usr/share/odd
%ghost /var/log/odd.log
%files sub

%changelog
* Tue Nov 14 2023 Jürgen Müller <jm@example.org> - 2:1.0~rc1-3
- größer & <besser>
* Mon Nov 13 2023 Nobody <nobody@example.org> - 1.0-1
- first
- second line
"#;

/// A folder with packages that live as long as it does.
pub struct Packages {
    pub dir: TempDir,
    pub files: Vec<PathBuf>,
}

impl Packages {
    pub fn build(spec: &str) -> Packages {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("package.spec");
        fs::write(&path, spec).unwrap();
        run(Command::new("rpmbuild")
            .args(["-ba", "--nodeps"])
            .arg(&path)
            .args(["--define", &format!("_topdir {}", dir.path().display())])
            .args(["--define", "_buildhost builder.example", "--define", "_build_id_links none"]));
        let mut files = find(&dir.path().join("RPMS"));
        files.extend(find(&dir.path().join("SRPMS")));
        files.sort();
        Packages { dir, files }
    }

    pub fn named(&self, start: &str) -> PathBuf {
        let is_it = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(start);
        self.files.iter().find(is_it).unwrap_or_else(|| panic!("no {start} in {:?}", self.files)).clone()
    }
}

/// The odd packages, built once for all tests of a file.
pub fn odd() -> &'static Packages {
    static ODD: OnceLock<Packages> = OnceLock::new();
    ODD.get_or_init(|| Packages::build(ODD_SPEC))
}

pub fn ed25519() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate_ed25519(USER_ID, CREATED_AT).unwrap())
}

pub fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate_rsa4096(USER_ID, CREATED_AT).unwrap())
}

/// rpm's keyring in a folder of its own.
pub struct Keyring(TempDir);

impl Keyring {
    pub fn with(key: &SigningKey) -> Keyring {
        Keyring::with_public(&key.to_armoured_public().unwrap())
    }

    pub fn with_public(armoured: &str) -> Keyring {
        let keyring = Keyring(TempDir::new().unwrap());
        let path = keyring.0.path().join("key.asc");
        fs::write(&path, armoured).unwrap();
        run(keyring.rpmkeys().arg("--import").arg(path));
        keyring
    }

    pub fn check(&self, package: &Path) -> Output {
        self.check_with(package, &[])
    }

    pub fn check_with(&self, package: &Path, arguments: &[&str]) -> Output {
        self.rpmkeys().args(arguments).arg("-Kv").arg(package).output().unwrap()
    }

    fn rpmkeys(&self) -> Command {
        let mut command = Command::new("rpmkeys");
        command.args(["--define", &format!("_dbpath {}", self.0.path().display())]).env("LC_ALL", "C");
        command
    }
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn find(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { find(&path) } else { vec![path] }).collect()
}
