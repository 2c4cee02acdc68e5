//! rpm at work on the layer: one transaction with everything that comes and goes, and questions to the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anima_buildroot::{Call, HostRpm};
use anima_sandbox::{Mount, Sandbox};

use crate::{
    Package, Watch,
    error::{At, Error},
    findings::inside,
};

/// Programs that check their own configuration without doing anything.
const PROBES: &[(&str, &[&str])] = &[
    ("/usr/sbin/sshd", &["-t"]),
    ("/usr/sbin/visudo", &["-c", "-q"]),
    ("/usr/sbin/httpd", &["-t"]),
    ("/usr/sbin/nginx", &["-t", "-q"]),
    ("/usr/sbin/named-checkconf", &[]),
    ("/usr/sbin/postfix", &["check"]),
    ("/usr/sbin/rsyslogd", &["-N1"]),
    ("/usr/sbin/squid", &["-k", "parse"]),
    ("/usr/sbin/dovecot", &["-n"]),
    ("/usr/bin/systemd-analyze", &["--man=no", "--generators=no", "verify", "default.target"]),
];
/// A check of configuration takes a second; one that waits for something is none.
const PROBE_WALL: Duration = Duration::from_secs(60);

/// How much of rpm's output an error shows.
const SAID_BYTES: usize = 4 * 1024;
/// The package of ours that stands for what goes, so that it goes in the same transaction.
const LEAVER: &str = "anima-elevate-leaver";
const QUERY: &str = "%{NAME}-%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\\n";

/// rpm in a sandbox, of the host or of the target.
pub(crate) struct Installer {
    rpm: HostRpm,
    userspace: Option<PathBuf>,
    helper: PathBuf,
    folder: PathBuf,
    wants_signatures: bool,
}

impl Installer {
    /// `userspace` is a root of the target's packages whose rpm is used; none for the host's.
    pub fn new(
        folder: &Path,
        helper: &Path,
        userspace: Option<&Path>,
        wants_signatures: bool,
    ) -> Result<Installer, Error> {
        let rpm = HostRpm::new(folder.join("stage"), helper)?;
        let (helper, userspace) = (helper.to_owned(), userspace.map(Path::to_owned));
        Ok(Installer { rpm, userspace, helper, folder: folder.to_owned(), wants_signatures })
    }

    /// Installs and erases in one transaction, with scripts and rpm's own checks of dependencies and conflicts.
    pub fn transaction(
        &self,
        root: &Path,
        install: &[Package],
        erase: &[String],
        log: &mut dyn Write,
        watch: &mut dyn Watch,
    ) -> Result<(), Error> {
        let leaver = self.folder.join("leaver.rpm");
        let mut packages: Vec<(String, &Path)> =
            install.iter().enumerate().map(|(number, it)| (format!("{number:05}.rpm"), it.path.as_path())).collect();
        if !erase.is_empty() {
            make_leaver(erase, &leaver)?;
            packages.push(("leaver.rpm".to_owned(), &leaver));
        }
        let level = if self.wants_signatures { "signature" } else { "digest" };
        let mut call = Call {
            arguments: ["-Uv", "--oldpackage", "--replacepkgs"].map(str::to_owned).into(),
            packages,
            macros: [("_pkgverify_level".to_owned(), level.to_owned())].into(),
            ..Call::default()
        };
        if self.wants_signatures {
            self.must_be_signed(root, install, &call, log)?;
            // Ours has no signature, and the others were looked at.
            call.macros.insert("_pkgverify_level".to_owned(), "digest".to_owned());
        }
        let names = install.iter().map(|package| without_epoch(&package.nevra)).collect();
        self.must(root, &call, &mut Follow { log, watch, names, line: Vec::new(), done: 0 })?;
        if !erase.is_empty() {
            let away = Call { arguments: ["-e", LEAVER].map(str::to_owned).into(), ..Call::default() };
            self.must(root, &away, log)?;
        }
        Ok(())
    }

    /// Says which packages no key of the root's database has signed, and which key it would be.
    fn must_be_signed(
        &self,
        root: &Path,
        install: &[Package],
        call: &Call<'_>,
        log: &mut dyn Write,
    ) -> Result<(), Error> {
        let arguments = vec!["-Kv".to_owned()];
        let packages = call.packages[..install.len()].to_vec();
        let (is_good, said) =
            self.call(root, &Call { arguments, packages, macros: call.macros.clone(), ..Call::default() })?;
        log.write_all(said.as_bytes()).at("write", Path::new("the log"))?;
        let complaints = complaints(&said, install);
        match complaints.first() {
            Some(example) => Err(Error::Signatures { count: complaints.len(), example: example.clone() }),
            None if !is_good => Err(Error::Refused { exit: "a failure".to_owned(), said: tail(&said) }),
            None => Ok(()),
        }
    }

    /// Returns what is installed.
    pub fn installed(&self, root: &Path) -> Result<Vec<String>, Error> {
        let call = Call { arguments: ["-qa", "--qf", QUERY].map(str::to_owned).into(), ..Call::default() };
        let (is_good, said) = self.call(root, &call)?;
        let mut names: Vec<String> = said
            .lines()
            .filter(|line| !line.starts_with("gpg-pubkey-") && !is_noise(line))
            .map(str::to_owned)
            .collect();
        names.sort();
        if !is_good || names.is_empty() || names.iter().any(|name| name.starts_with("error:")) {
            let said = if names.is_empty() { "no package is installed".to_owned() } else { tail(&said) };
            return Err(Error::Database { root: root.to_owned(), said });
        }
        Ok(names)
    }

    /// Returns the lines of `rpm -Va`.
    pub fn verify(&self, root: &Path) -> Result<Vec<String>, Error> {
        let call = Call { arguments: ["-Va", "--noscripts"].map(str::to_owned).into(), ..Call::default() };
        // Its exit only tells whether there was a line.
        let (_, said) = self.call(root, &call)?;
        Ok(said.lines().filter(|line| !is_noise(line)).map(str::to_owned).collect())
    }

    /// Asks programs of the root whether they can work with the configuration that is there; returns what the others said.
    pub fn probes(&self, root: &Path) -> Result<BTreeMap<&'static str, String>, Error> {
        let mut failed = BTreeMap::new();
        // A sandbox would make what is missing, and that would be a change.
        if !["proc", "sys", "dev", "run"].iter().all(|folder| root.join(folder).is_dir()) {
            return Ok(failed);
        }
        for (program, arguments) in PROBES {
            if inside(root, Path::new(program)).is_none() {
                continue;
            }
            let mut spec = anima_sandbox::Spec::new(root, [*program].into_iter().chain(arguments.iter().copied()));
            spec.identity = anima_sandbox::Identity::Root;
            spec.root_access = anima_sandbox::Access::ReadOnly;
            spec.limits.wall = PROBE_WALL;
            let mut said = Vec::new();
            let outcome = Sandbox::spawn(&spec, &self.helper)?.wait_with_log(&mut said)?;
            if !outcome.exit.is_success() {
                failed.insert(*program, tail(&String::from_utf8_lossy(&said)));
            }
        }
        Ok(failed)
    }

    fn must(&self, root: &Path, call: &Call<'_>, log: &mut dyn Write) -> Result<(), Error> {
        let mut tee = Tee { log, kept: Vec::new() };
        let spec = self.spec(root, call);
        let outcome = Sandbox::spawn(&spec, &self.helper)?.wait_with_log(&mut tee)?;
        match outcome.exit.is_success() {
            true => Ok(()),
            false => Err(Error::Refused {
                exit: format!("{:?}", outcome.exit),
                said: tail(&String::from_utf8_lossy(&tee.kept)),
            }),
        }
    }

    fn call(&self, root: &Path, call: &Call<'_>) -> Result<(bool, String), Error> {
        let mut said = Vec::new();
        let outcome = Sandbox::spawn(&self.spec(root, call), &self.helper)?.wait_with_log(&mut said)?;
        Ok((outcome.exit.is_success(), String::from_utf8_lossy(&said).into_owned()))
    }

    fn spec(&self, root: &Path, call: &Call<'_>) -> anima_sandbox::Spec {
        let mut spec = self.rpm.spec(root, call);
        for mount in &mut spec.mounts {
            if let (Mount::Bind { source, target, .. }, Some(userspace)) = (mount, &self.userspace)
                && target == Path::new("/usr")
            {
                *source = userspace.join("usr");
            }
        }
        spec
    }
}

/// Writes what is said to a log, and keeps it.
struct Tee<'a> {
    log: &'a mut dyn Write,
    kept: Vec<u8>,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.log.write_all(bytes)?;
        self.kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.log.flush()
    }
}

/// Writes what is said to a log, and counts the packages that are named.
struct Follow<'a> {
    log: &'a mut dyn Write,
    watch: &'a mut dyn Watch,
    names: BTreeSet<String>,
    line: Vec<u8>,
    done: usize,
}

impl Write for Follow<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.log.write_all(bytes)?;
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if self.names.contains(String::from_utf8_lossy(&line).trim()) {
                self.done += 1;
                self.watch.progress(self.done, self.names.len());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.log.flush()
    }
}

/// rpm tells of packages without their epoch.
fn without_epoch(nevra: &str) -> String {
    let (name, evr) = name_and_evr(nevra);
    let arch = nevra.rsplit('.').next().unwrap_or_default();
    format!("{name}-{}.{arch}", evr.rsplit(':').next().unwrap_or_default())
}

/// What Debian's rpm says at every call.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("rpm: RPM should not be used directly")
        || line.starts_with("rpm: However assuming")
}

/// Reads what `rpm -Kv` says: a line with the file, and one for each digest and signature.
fn complaints(said: &str, install: &[Package]) -> Vec<String> {
    let blocks = said.split("/packages/").skip(1);
    let complaint = |block: &str| {
        let (name, rest) = block.split_once(':')?;
        let package = install.get(name.trim_end_matches(".rpm").parse::<usize>().ok()?)?;
        let lines: Vec<&str> = rest.lines().map(str::trim).filter(|line| line.contains(": ")).collect();
        let is_lacking = |line: &&&str| line.ends_with(": NOTFOUND");
        let bad = lines.iter().find(|line| !line.ends_with(": OK") && !is_lacking(line)).map(|line| (*line).to_owned());
        let is_unsigned = !rest.contains("ignature") || lines.iter().any(|line| is_lacking(&line));
        let why = bad.or_else(|| is_unsigned.then(|| "it is not signed".to_owned()));
        why.map(|why| format!("{}: {why}", package.nevra))
    };
    blocks.filter_map(complaint).collect()
}

fn make_leaver(erase: &[String], path: &Path) -> Result<(), Error> {
    let made =
        |error: rpm::Error| Error::File { step: "make", path: path.to_owned(), source: std::io::Error::other(error) };
    let mut builder = rpm::PackageBuilder::new(LEAVER, "1", "Apache-2.0", "noarch", "What goes in an upgrade.");
    for nevra in erase {
        let (name, evr) = name_and_evr(nevra);
        builder.obsoletes(rpm::Dependency::less_eq(name, evr));
    }
    let package = builder.build().map_err(made)?;
    let mut file = fs::File::create(path).at("write", path)?;
    package.write(&mut file).map_err(made)
}

/// Returns `bash` and `1:5.2-1` of `bash-1:5.2-1.x86_64`.
pub(crate) fn name_and_evr(nevra: &str) -> (&str, &str) {
    let end = nevra.rfind('.').unwrap_or(nevra.len());
    let nevr = &nevra[..end];
    let dash = nevr.rfind('-').and_then(|release| nevr[..release].rfind('-')).unwrap_or(nevr.len());
    (&nevr[..dash], nevr.get(dash + 1..).unwrap_or_default())
}

fn tail(said: &str) -> String {
    let mut start = said.len().saturating_sub(SAID_BYTES);
    while !said.is_char_boundary(start) {
        start += 1;
    }
    said[start..].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_a_broken_package_and_one_without_a_signature_are_told_by_name() {
        let package = |nevra: &str| Package { nevra: nevra.to_owned(), path: "/".into(), sha256: None };
        let install = ["a-1-1.x86_64", "b-1-1.x86_64", "c-1-1.x86_64", "d-1-1.x86_64"].map(package);
        let said = "/packages/00000.rpm:\n    Header V4 RSA/SHA512 Signature, key ID 0a1b: NOKEY\n    Header SHA256 digest: OK\n\
                    /packages/00001.rpm:\n    Header RSA signature: NOTFOUND\n    Header SHA256 digest: OK\n\
                    /packages/00002.rpm:\n    Header V4 RSA/SHA512 Signature, key ID 0a1b: OK\n    Payload SHA256 digest: OK\n\
                    /packages/00003.rpm:\n    Payload SHA256 digest: BAD (Expected 1 != 2)\n";

        let found = complaints(said, &install);

        let expected = [
            "a-1-1.x86_64: Header V4 RSA/SHA512 Signature, key ID 0a1b: NOKEY",
            "b-1-1.x86_64: it is not signed",
            "d-1-1.x86_64: Payload SHA256 digest: BAD (Expected 1 != 2)",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_nevra_is_taken_apart() {
        assert_eq!(name_and_evr("gcc-c++-1:11.3-1.el9.x86_64"), ("gcc-c++", "1:11.3-1.el9"));
        assert_eq!(name_and_evr("a-1-1.noarch"), ("a", "1-1"));
        assert_eq!(without_epoch("gcc-c++-1:11.3-1.el9.x86_64"), "gcc-c++-11.3-1.el9.x86_64");
    }
}
