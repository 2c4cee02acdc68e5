//! Collecting facts of a root: the running system, a container, an image that is mounted, a backup.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error, Result,
    data::events::Module,
    database::Database,
    facts::{FACTS_VERSION, Facts, Installed, Mount, Os, Repository, Service},
    probes::{self, Probes},
    release::Release,
};

/// Fields of one package, one a line, each with its tag; a package ends with a line of its own. Names have no line feeds.
const FORMAT: &str = "name %{NAME}\\nepoch %|EPOCH?{%{EPOCH}}:{0}|\\nversion %{VERSION}\\nrelease %{RELEASE}\\narch %{ARCH}\\n\
vendor %|VENDOR?{%{VENDOR}}|\\nsource %|SOURCERPM?{%{SOURCERPM}}|\\nsize %{SIZE}\\nbuilt %{BUILDTIME}\\n\
sigrsa %|RSAHEADER?{%{RSAHEADER:pgpsig}}|\\nsigdsa %|DSAHEADER?{%{DSAHEADER:pgpsig}}|\\nmodule %|MODULARITYLABEL?{%{MODULARITYLABEL}}|\\n\
[provides %{PROVIDENEVRS}\\n][requires %{REQUIRENEVRS}\\n][conflicts %{CONFLICTNEVRS}\\n][obsoletes %{OBSOLETENEVRS}\\n]\
[file %{FILEFLAGS:fflags}\\t%{FILENAMES}\\n]end\\n";

/// Reads all facts of a root.
pub fn collect(root: &Path) -> Result<Facts> {
    let os = os(root)?;
    let database = Database::of(root)?;
    let mut packages = packages(root, &database)?;
    for (name, files) in changed_config(&database, &packages) {
        if let Some(package) = packages.iter_mut().find(|package| package.name == name) {
            package.changed_config = files;
        }
    }
    for Installed { changed_config, replaced_config, .. } in &mut packages {
        replaced_config.retain(|path| changed_config.contains(path));
    }
    if let Some(wanted) = wanted(root, &database) {
        packages.iter_mut().for_each(|package| package.is_wanted = Some(wanted.contains(&package.name)));
    }
    let is_running = root == Path::new("/");
    Ok(Facts {
        version: FACTS_VERSION,
        host: fs::read_to_string(root.join("etc/hostname")).ok().map(|text| text.trim().to_string()),
        arch: arch(&packages),
        os,
        repositories: repositories(root),
        mounts: mounts(root),
        services: services(root),
        modules_loaded: if is_running { modules_loaded() } else { Vec::new() },
        probes: Some(probes(root, is_running, &database)),
        packages,
    })
}

fn os(root: &Path) -> Result<Os> {
    let candidates = [root.join("etc/os-release"), root.join("usr/lib/os-release")];
    let found = candidates.iter().find_map(|path| Some((path, fs::read_to_string(path).ok()?)));
    let Some((path, text)) = found else {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "a root that can be upgraded has it");
        return Err(Error::Read { path: candidates[0].clone(), source });
    };
    let fields: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let field = |name: &str| fields.get(name).map(|value| value.trim_matches(['"', '\'']).to_string());
    let refused = |reason: String| Error::Data { place: place(path), reason };
    let release = field("VERSION_ID").ok_or_else(|| refused("VERSION_ID is missing".to_string()))?;
    Ok(Os {
        id: field("ID").unwrap_or_default(),
        name: field("PRETTY_NAME").or_else(|| field("NAME")).unwrap_or_default(),
        release: release.parse::<Release>().map_err(|error| refused(error.to_string()))?,
    })
}

fn place(path: &Path) -> crate::data::Place {
    crate::data::Place { file: path.to_path_buf(), line: 1, column: 1 }
}

fn packages(root: &Path, database: &Database) -> Result<Vec<Installed>> {
    let failed = |reason: String| Error::Packages { root: root.to_path_buf(), reason };
    let output = database
        .ask(&["--query", "--all", "--nosignature", "--nodigest", "--queryformat", FORMAT])
        .map_err(|error| failed(format!("rpm does not run: {error}")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_string()));
    }
    let mut packages = parse(&String::from_utf8_lossy(&output.stdout));
    packages.retain(|package| package.name != "gpg-pubkey");
    packages
        .sort_by(|a, b| (&a.name, &a.arch, &a.version, &a.release).cmp(&(&b.name, &b.arch, &b.version, &b.release)));
    Ok(packages)
}

fn probes(root: &Path, is_running: bool, database: &Database) -> Probes {
    let mut probes = probes::collect(root, is_running);
    probes.package_database = Some(database.kind().to_string());
    probes.keys = keys(database);
    probes
}

/// Returns the ids of the keys in the package database: the version of `gpg-pubkey` is the end of one.
fn keys(database: &Database) -> Vec<String> {
    let output = database.ask(&["--query", "--queryformat", "%{VERSION}\\n", "gpg-pubkey"]);
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return Vec::new() };
    let mut keys: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_lowercase).collect();
    keys.sort();
    keys
}

fn parse(text: &str) -> Vec<Installed> {
    let (mut packages, mut package) = (Vec::new(), Installed::default());
    for line in text.lines() {
        let (tag, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.to_string();
        match tag {
            "name" => package.name = value,
            "epoch" => package.epoch = value.parse().unwrap_or(0),
            "version" => package.version = value,
            "release" => package.release = value,
            "arch" => package.arch = value,
            "vendor" => package.vendor = value,
            "source" => package.source = value,
            "built" => package.built_at_secs = value.parse().unwrap_or(0),
            "size" => package.size_bytes = value.parse().unwrap_or(0),
            // "RSA/SHA256, Tue …, Key ID 0123456789abcdef"
            "sigrsa" | "sigdsa" if value.contains("Key ID ") => {
                package.key_id = value.rsplit(' ').next().unwrap_or_default().to_string();
            }
            "module" => package.module = module(&value),
            "provides" => package.provides.push(value),
            "requires" if !value.starts_with("rpmlib(") => package.requires.push(value),
            "conflicts" => package.conflicts.push(value),
            "obsoletes" => package.obsoletes.push(value),
            "file" => {
                let (flags, path) = value.split_once('\t').unwrap_or(("", value.as_str()));
                if flags.contains('c') && !flags.contains('n') {
                    package.replaced_config.push(path.to_string());
                }
                if is_required_by_path(path) {
                    package.files.push(path.to_string());
                }
            }
            "end" => packages.push(std::mem::take(&mut package)),
            _ => {}
        }
    }
    packages
}

/// `perl:5.24:8000:abc` is the stream 5.24 of perl.
fn module(label: &str) -> Option<Module> {
    let mut parts = label.split(':');
    Some(Module { name: parts.next().filter(|name| !name.is_empty())?.to_string(), stream: parts.next()?.to_string() })
}

/// The rule by which repositories list files in `primary.xml`.
fn is_required_by_path(path: &str) -> bool {
    path.starts_with("/etc/") || path.contains("bin/") || path == "/usr/lib/sendmail"
}

/// Returns which configuration files of which packages were changed, as `rpm --verify` sees it: once for all packages, as
/// starting rpm for each takes a minute.
fn changed_config(database: &Database, packages: &[Installed]) -> BTreeMap<String, Vec<String>> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for package in packages {
        owners.extend(package.files.iter().map(|path| (path.as_str(), package.name.as_str())));
    }
    let mut changed = BTreeMap::<String, Vec<String>>::new();
    let what = ["--verify", "--all", "--configfiles", "--nodeps", "--noscripts", "--nosignature", "--nodigest"];
    let output = database.ask(&what);
    let Ok(output) = output else { return changed };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // "S.5....T.  c /etc/ssh/sshd_config": the digest of a configuration file differs.
        let Some((flags, path)) = line.split_once("  c ") else { continue };
        if let Some(owner) = owners.get(path.trim()).filter(|_| flags.contains('5')) {
            changed.entry((*owner).to_string()).or_default().push(path.trim().to_string());
        }
    }
    changed
}

/// Returns the packages that somebody asked for, as far as yum or dnf noted that.
fn wanted(root: &Path, database: &Database) -> Option<BTreeSet<String>> {
    let yum = root.join("var/lib/yum/yumdb");
    if yum.is_dir() {
        return Some(wanted_by_yum(&yum));
    }
    let text = database.ask_dnf(&["repoquery", "--userinstalled", "--queryformat", "%{name}\\n"])?;
    Some(text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect())
}

/// yum keeps a folder for each package, `HASH-NAME-VERSION-RELEASE-ARCH`, in one for each first letter.
fn wanted_by_yum(folder: &Path) -> BTreeSet<String> {
    let inside =
        |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    inside(folder.to_path_buf())
        .flat_map(inside)
        .filter(|package| fs::read_to_string(package.join("reason")).is_ok_and(|reason| reason.trim() == "user"))
        .filter_map(|package| {
            let name = package.file_name()?.to_string_lossy().into_owned();
            let (_, nvra) = name.split_once('-')?;
            Some(nvra.rsplitn(4, '-').nth(3)?.to_string())
        })
        .collect()
}

fn arch(packages: &[Installed]) -> String {
    let of = |name: &str| packages.iter().find(|package| package.name == name).map(|package| package.arch.clone());
    let first = || packages.iter().map(|package| &package.arch).find(|arch| *arch != "noarch").cloned();
    of("glibc").or_else(|| of("bash")).or_else(first).unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

fn repositories(root: &Path) -> Vec<Repository> {
    let mut repositories = Vec::new();
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("etc/yum.repos.d"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "repo"));
    files.sort();
    for path in files {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for line in fs::read_to_string(&path).unwrap_or_default().lines().map(str::trim) {
            if let Some(id) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                repositories.push(Repository { id: id.to_string(), is_enabled: true, url: None, file: file.clone() });
            } else if let (Some((key, value)), Some(last)) = (line.split_once('='), repositories.last_mut()) {
                match key.trim() {
                    "enabled" => last.is_enabled = !matches!(value.trim(), "0" | "false" | "no"),
                    "baseurl" | "mirrorlist" | "metalink" if last.file == file => {
                        last.url = Some(value.trim().to_string());
                    }
                    _ => {}
                }
            }
        }
    }
    repositories
}

/// Returns the root's own file system and those that its `fstab` puts where packages have files.
fn mounts(root: &Path) -> Vec<Mount> {
    let places = ["/", "/boot", "/boot/efi", "/usr", "/var", "/opt"];
    let mut seen = Vec::new();
    let mut mounts = Vec::new();
    for place in places {
        let path = root.join(place.trim_start_matches('/'));
        let Some((device, mount)) = mount(&path, place) else { continue };
        if !seen.contains(&device) {
            seen.push(device);
            mounts.push(mount);
        }
    }
    mounts
}

fn mount(path: &Path, place: &str) -> Option<(String, Mount)> {
    let output = Command::new("stat")
        .args(["--file-system", "--format", "%i\t%T\t%S\t%b\t%a"])
        .arg(path)
        .env("LC_ALL", "C")
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let fields: Vec<&str> = text.trim().split('\t').collect();
    let [id, kind, block, total, free] = fields[..] else { return None };
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let mount = Mount {
        path: place.to_string(),
        kind: kind.to_string(),
        total_bytes: number(block) * number(total),
        free_bytes: number(block) * number(free),
        // Not the folder's mode: Enterprise Linux has / without the bit for writing.
        is_writable: !rustix::fs::statvfs(path).ok()?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    };
    Some((id.to_string(), mount))
}

/// Returns the units that targets want, with the programs that they start.
fn services(root: &Path) -> Vec<Service> {
    let mut units = BTreeMap::new();
    let Ok(targets) = fs::read_dir(root.join("etc/systemd/system")) else { return Vec::new() };
    for target in targets.filter_map(|entry| Some(entry.ok()?.path())) {
        if target.extension().is_none_or(|extension| extension != "wants") {
            continue;
        }
        for link in fs::read_dir(target).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            let unit = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if unit.ends_with(".service") {
                units.insert(unit.clone(), programs(root, &unit));
            }
        }
    }
    units.into_iter().map(|(unit, programs)| Service { unit, programs }).collect()
}

fn programs(root: &Path, unit: &str) -> Vec<String> {
    let folders = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
    // An instance (`getty@tty1.service`) is described by its template.
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
    let names = [Some(unit.to_string()), template];
    let text = folders
        .iter()
        .flat_map(|folder| names.iter().flatten().map(move |name| root.join(folder).join(name)))
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    // Signs before the path say how it is run; they are no part of it.
    let words = lines.filter_map(|line| line.trim_start_matches(['-', '+', '!', '@', ':']).split_whitespace().next());
    words.filter(|word| word.starts_with('/')).map(str::to_string).collect()
}

fn modules_loaded() -> Vec<String> {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    let mut names: Vec<String> = text.lines().filter_map(|line| Some(line.split(' ').next()?.to_string())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_between_their_ends() {
        let text = "name bash\nepoch 0\nversion 5.1\nrelease 2.el9\narch x86_64\nvendor AlmaLinux\nsource bash-5.1.src.rpm\nsize 12\n\
            sigrsa RSA/SHA256, Tue Mar 1 10:00:00 2022, Key ID d36cb86cb86b3716\nsigdsa \nmodule \nprovides bash = 5.1-2.el9\n\
            provides /bin/sh\nrequires rpmlib(PayloadIsZstd) <= 5.4.18-1\nrequires libc.so.6()(64bit)\nfile \t/usr/bin/bash\nfile d\t/usr/share/doc/bash/NEWS\n\
            file c\t/etc/skel/.bashrc\nfile cn\t/etc/profile\nend\nname perl\nepoch 4\nmodule perl:5.24:8000:abc\nend\n";

        let packages = parse(text);

        assert_eq!(packages.len(), 2);
        let bash = &packages[0];
        assert_eq!((bash.nevra().as_str(), bash.key_id.as_str()), ("bash-5.1-2.el9.x86_64", "d36cb86cb86b3716"));
        assert_eq!(bash.requires, ["libc.so.6()(64bit)"]);
        assert_eq!(bash.files, ["/usr/bin/bash", "/etc/skel/.bashrc", "/etc/profile"]);
        assert_eq!(bash.replaced_config, ["/etc/skel/.bashrc"], "the other one is not replaced");
        assert_eq!(packages[1].module, Some(Module { name: "perl".into(), stream: "5.24".into() }));
    }

    #[test]
    fn a_root_without_packages_or_a_release_says_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        assert!(collect(root.path()).unwrap_err().to_string().contains("etc/os-release"));

        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/os-release"), "ID=\"seed\"\nVERSION_ID=\"1\"\nPRETTY_NAME=\"Seed Linux 1\"\n")
            .unwrap();
        assert!(collect(root.path()).unwrap_err().to_string().contains("no package database"));
    }

    #[test]
    fn a_broken_package_database_is_told_with_what_rpm_says() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::create_dir_all(root.path().join("var/lib/rpm")).unwrap();
        fs::write(root.path().join("etc/os-release"), "ID=seed\nVERSION_ID=1\n").unwrap();
        fs::write(root.path().join("var/lib/rpm/rpmdb.sqlite"), "this is no database ".repeat(500)).unwrap();

        let error = collect(root.path()).unwrap_err().to_string();

        assert!(error.starts_with("could not list the packages of ") && error.len() > 60, "{error}");
    }

    #[test]
    fn what_yum_noted_somebody_asked_for_is_known() {
        let root = tempfile::tempdir().unwrap();
        for (name, reason) in [("0a1b-gcc-c++-4.8.5-44.el7-x86_64", "user"), ("0c-libx-1-1.el7-x86_64", "dep")] {
            let folder = root.path().join("var/lib/yum/yumdb/g").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("reason"), reason).unwrap();
        }

        assert_eq!(wanted_by_yum(&root.path().join("var/lib/yum/yumdb")), BTreeSet::from(["gcc-c++".to_string()]));
    }

    #[test]
    fn a_root_without_the_bit_for_writing_can_be_written() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o555)).unwrap();

        assert!(mounts(root.path())[0].is_writable);
    }

    #[test]
    fn services_and_repositories_are_found_in_their_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("etc/systemd/system/multi-user.target.wants/sshd.service", "");
        write("usr/lib/systemd/system/sshd.service", "[Service]\nExecStart=-/usr/sbin/sshd -D\n");
        write("etc/yum.repos.d/a.repo", "[base]\nname=x\nbaseurl=http://example.org/\n[off]\nenabled = 0\n");

        assert_eq!(services(root.path())[0].programs, ["/usr/sbin/sshd"]);
        let repositories = repositories(root.path());
        assert_eq!(repositories[0].url.as_deref(), Some("http://example.org/"));
        assert_eq!((repositories[0].is_enabled, repositories[1].is_enabled), (true, false));
    }
}
