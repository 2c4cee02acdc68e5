//! From Debian packages to RPMs: one generated spec and one `rpmbuild` each, side by side, each kept by its inputs' hash.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use rayon::prelude::*;

use crate::{
    arch::Arch,
    cache::{self, Key},
    command,
    deb::Deb,
    error::{Error, Result, on},
    licence, names, own,
    progress::{Progress, Report, Step},
    relations::{self, Requirement, World},
    spec::{self, Contents, Spec},
    tree,
    version::Version,
};

/// What converting takes beyond what grows with the size, in bytes that would take as long.
const OVERHEAD_BYTES: u64 = 500_000;

/// The package whose postinst would join the authorities' certificates into one file.
const CERTIFICATES_PACKAGE: &str = "ca-certificates";

/// Where programs look for that file.
const CERTIFICATES_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Everything that conversions share.
#[derive(Debug)]
pub struct Converter<'a> {
    arch: Arch,
    debs: Vec<&'a Deb>,
    hashes: BTreeMap<&'a str, Key>,
    world: World,
    common_key: Key,
    cache: &'a Path,
    work: &'a Path,
}

/// What [`Converter::convert_all`] made.
#[derive(Debug)]
pub struct Converted {
    /// The RPMs, in the cache.
    pub packages: Vec<PathBuf>,
    /// The names of the cache's folders that hold them.
    pub keys: BTreeSet<Key>,
}

impl<'a> Converter<'a> {
    /// Hashes the packages that have a place in the seed. `cache` keeps finished RPMs, `work` is scratch space.
    pub fn new(arch: Arch, debs: &'a [Deb], common_key: Key, cache: &'a Path, work: &'a Path) -> Result<Converter<'a>> {
        let world = World::of(debs);
        let debs: Vec<&Deb> = debs.iter().filter(|deb| !names::is_left_out(deb.name())).collect();
        let hash = |deb: &&'a Deb| Ok((deb.name(), cache::file_hash(&deb.path)?));
        let hashes = debs.par_iter().map(hash).collect::<Result<_>>()?;
        Ok(Converter { arch, debs, hashes, world, common_key, cache, work })
    }

    /// Converts everything that is not in the cache; failures are collected, so that one run shows them all.
    pub fn convert_all(&self, report: Report) -> Result<Converted> {
        let mut queue: Vec<(u64, &Deb)> = self.debs.iter().map(|deb| (cost_bytes(deb), *deb)).collect();
        // The largest first: started last, it would keep one core busy alone.
        queue.sort_by_key(|(cost_bytes, deb)| (std::cmp::Reverse(*cost_bytes), deb.name()));
        let total_bytes: u64 = queue.iter().map(|(cost_bytes, _)| cost_bytes).sum();
        let (count, done_count, done_bytes) = (queue.len(), AtomicUsize::new(0), AtomicU64::new(0));
        let results: Vec<_> = queue
            .into_iter()
            .par_bridge()
            .map(|(cost_bytes, deb)| {
                let result = self.convert(deb);
                let done = done_count.fetch_add(1, Ordering::Relaxed) + 1;
                let bytes = done_bytes.fetch_add(cost_bytes, Ordering::Relaxed) + cost_bytes;
                let message = format!("converted {done} of {count}: {}", names::rpm_name(deb.name()));
                report(Progress::of(Step::Convert, bytes as f64 / total_bytes.max(1) as f64, message));
                result.map_err(|error| format!("{}: {error}", deb.file_name()))
            })
            .collect();
        let mut converted = Converted { packages: Vec::new(), keys: BTreeSet::new() };
        let mut failures = Vec::new();
        for result in results {
            match result {
                Ok((key, package)) => {
                    converted.keys.insert(key);
                    converted.packages.push(package);
                }
                Err(failure) => failures.push(failure),
            }
        }
        converted.packages.sort();
        match failures.is_empty() {
            true => Ok(converted),
            false => Err(Error::Conversion(failures)),
        }
    }

    fn convert(&self, deb: &Deb) -> Result<(Key, PathBuf)> {
        let spec = describe(deb, &self.world)?;
        let key = self.key(deb, &spec);
        let place = self.cache.join(&key);
        if let Some(package) = package_in(&place) {
            return Ok((key, package));
        }
        let work = self.work.join(deb.name());
        cache::empty(&work)?;
        let finished = self.build(deb, &spec, &work)?;
        cache::replace(&finished, &place)?;
        cache::remove(&work)?;
        let reason = || Error::Package { package: deb.file_name(), reason: "rpmbuild made no package".to_owned() };
        Ok((key, package_in(&place).ok_or_else(reason)?))
    }

    fn key(&self, deb: &Deb, spec: &Spec) -> Key {
        let spec = serde_json::to_string(spec).unwrap_or_default();
        let hashes = std::iter::once(deb).chain(self.siblings(deb)).map(|deb| self.hashes[deb.name()].as_str());
        cache::key([self.common_key.as_str(), self.arch.rpm(), &spec].into_iter().chain(hashes))
    }

    /// Unpacks, stages and packages; returns the folder that holds the RPM.
    fn build(&self, deb: &Deb, spec: &Spec, work: &Path) -> Result<PathBuf> {
        let (old, control, new) = (work.join("old"), work.join("control"), work.join("new"));
        command::run(Command::new("dpkg-deb").arg("-x").arg(&deb.path).arg(&old))?;
        command::run(Command::new("dpkg-deb").arg("-e").arg(&deb.path).arg(&control))?;
        fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).map_err(on("change the mode of", &old))?;
        let source_date_epoch_secs = tree::newest_time_secs(&old);
        let licence = self.licence(deb, &old);
        let old_programs = tree::stage(self.arch, &spec.name, &old, &new)?;
        if deb.name() == CERTIFICATES_PACKAGE {
            join_certificates(&new)?;
        }
        let lines = tree::file_list(&new, &config_files(self.arch, &control))?;
        let (file_list, spec_file, rpms) = (work.join("files"), work.join("package.spec"), work.join("rpms"));
        fs::write(&file_list, lines.join("\n") + "\n").map_err(on("write", &file_list))?;
        let contents = Contents { licence: &licence, tree: &new, file_list: &file_list, old_programs: &old_programs };
        fs::write(&spec_file, spec::render(spec, &contents)).map_err(on("write", &spec_file))?;
        let target = if spec.noarch { "noarch" } else { self.arch.rpm() };
        command::run(own::rpmbuild(self.arch, target, work, &rpms, source_date_epoch_secs).arg(&spec_file))?;
        if let Some(package) = package_in(&rpms) {
            set_time(&package, source_date_epoch_secs)?;
        }
        Ok(rpms)
    }

    /// The folder of the copyright file is often a symlink to that of another package of the same source.
    fn licence(&self, deb: &Deb, unpacked: &Path) -> String {
        let own = unpacked.join("usr/share/doc").join(deb.name()).join("copyright");
        let own = fs::read(own).ok().and_then(|text| licence::of_copyright(&String::from_utf8_lossy(&text)));
        own.or_else(|| licence::of_source(deb.source()).map(str::to_owned))
            .or_else(|| self.siblings(deb).find_map(|sibling| licence::of_copyright(&packed_copyright(sibling)?)))
            .unwrap_or_else(|| licence::UNKNOWN.to_owned())
    }

    fn siblings(&self, deb: &Deb) -> impl Iterator<Item = &'a Deb> {
        let (name, source) = (deb.name().to_owned(), deb.source().to_owned());
        self.debs.iter().copied().filter(move |other| other.source() == source && other.name() != name)
    }
}

/// Returns what is known of a package before its files are unpacked.
pub fn describe(deb: &Deb, world: &World) -> Result<Spec> {
    let name = names::rpm_name(deb.name());
    let version = Version::from_debian(deb.version());
    let mut provides = BTreeSet::new();
    // Not where Enterprise Linux gives that name to another package: rpm-build must not pass for rpm.
    if name != deb.name() && !names::is_taken(deb.name()) {
        provides.insert(format!("{} = {}-{}", deb.name(), version.version, version.release_or_default()));
    }
    provides.extend(deb.control.provides().iter().map(relations::provided));
    provides.extend(names::more_provides(&name).iter().map(|text| (*text).to_owned()));
    let mut requires = BTreeSet::new();
    for alternatives in deb.control.dependencies() {
        match world.requirement(&alternatives) {
            Requirement::Requires(text) => drop(requires.insert(text)),
            Requirement::Dropped => {}
            Requirement::Unmet => {
                let reason = format!("nothing in the seed meets its dependency on {}", alternatives[0].name);
                return Err(Error::Package { package: deb.file_name(), reason });
            }
        }
    }
    requires.extend(names::more_requires(&name).iter().map(|text| (*text).to_owned()));
    let description = deb.control.get("Description").unwrap_or_default();
    let (summary, description) = description.split_once('\n').unwrap_or((description, ""));
    Ok(Spec {
        summary: if summary.is_empty() { name.clone() } else { summary.to_owned() },
        description: description.to_owned(),
        url: deb.control.get("Homepage").map(str::to_owned),
        group: deb.control.get("Section").unwrap_or("misc").to_owned(),
        noarch: deb.is_noarch(),
        provides: provides.into_iter().collect(),
        requires: requires.into_iter().collect(),
        requires_filter: names::filtered_requires(&name).map(str::to_owned),
        release: version.release_or_default().to_owned(),
        version: version.version,
        origin: deb.file_name(),
        name,
    })
}

fn cost_bytes(deb: &Deb) -> u64 {
    fs::metadata(&deb.path).map_or(0, |about| about.len()) + OVERHEAD_BYTES
}

fn package_in(folder: &Path) -> Option<PathBuf> {
    let mut paths = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "rpm"))
}

fn config_files(arch: Arch, control: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(control.join("conffiles")).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('/')).map(|line| crate::path::map(arch, line.trim())).collect()
}

fn packed_copyright(deb: &Deb) -> Option<String> {
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--fsys-tarfile").arg(&deb.path).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut unpack = unpack.spawn().ok()?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "-O", "-f", "-"]).arg(format!("./usr/share/doc/{}/copyright", deb.name()));
    let output = tar.stdin(unpack.stdout.take()?).stderr(Stdio::null()).output();
    let _ = unpack.wait();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn join_certificates(tree: &Path) -> Result<()> {
    let entries = walkdir::WalkDir::new(tree.join("usr/share/ca-certificates")).sort_by_file_name();
    let mut bundle = Vec::new();
    for entry in entries.into_iter().flatten().filter(|entry| entry.path().extension().is_some_and(|it| it == "crt")) {
        bundle.extend(fs::read(entry.path()).map_err(on("read", entry.path()))?);
    }
    let path = tree.join(CERTIFICATES_BUNDLE);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(on("create", folder))?;
    }
    fs::write(&path, bundle).map_err(on("write", path))
}

/// The file's time is part of the repository's metadata.
fn set_time(package: &Path, secs: i64) -> Result<()> {
    let time = UNIX_EPOCH + Duration::from_secs(secs.max(0).cast_unsigned());
    let file = fs::File::options().write(true).open(package).map_err(on("open", package))?;
    file.set_modified(time).map_err(on("change the time of", package))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::Control;

    fn deb(text: &str) -> Deb {
        Deb { path: "/x/x_1_amd64.deb".into(), control: Control::parse(text) }
    }

    #[test]
    fn a_package_is_described_with_enterprise_linux_names_on_both_sides() {
        let zlib = deb("Package: zlib1g\nVersion: 1:1.2.13.dfsg-1\nArchitecture: amd64");
        let libc = deb("Package: libc6-dev\nVersion: 2.36-9\nArchitecture: amd64\nProvides: libc-dev");
        let devel = deb("Package: zlib1g-dev\nVersion: 1:1.2.13.dfsg-1\nArchitecture: amd64\nProvides: libz-dev\n\
             Depends: zlib1g (= 1:1.2.13.dfsg-1), libc6-dev | libc-dev, dpkg\nDescription: headers\n to build with\n");

        let spec = describe(&devel, &World::of([&zlib, &libc, &devel])).unwrap();

        assert_eq!((spec.name.as_str(), spec.version.as_str(), spec.release.as_str()), ("zlib-devel", "1.2.13", "0.1"));
        assert_eq!(spec.provides, ["libz-dev", "zlib1g-dev = 1.2.13-0.1"]);
        assert_eq!(spec.requires, ["glibc-devel", "zlib = 1.2.13-0.1"]);
        assert_eq!((spec.summary.as_str(), spec.description.as_str()), ("headers", "to build with"));
    }

    #[test]
    fn a_debian_name_that_enterprise_linux_gives_to_another_package_is_not_provided() {
        let rpm = deb("Package: rpm\nVersion: 4.18.0+dfsg-1\nArchitecture: amd64");

        let spec = describe(&rpm, &World::of([&rpm])).unwrap();

        assert_eq!(spec.name, "rpm-build");
        assert!(!spec.provides.iter().any(|text| text.starts_with("rpm ")), "{:?}", spec.provides);
    }

    #[test]
    fn a_dependency_that_nothing_meets_is_an_error_that_names_it() {
        let lonely = deb("Package: a\nVersion: 1\nArchitecture: all\nDepends: nowhere (>= 2)");

        let error = describe(&lonely, &World::of([&lonely])).unwrap_err();

        assert!(error.to_string().contains("dependency on nowhere"), "{error}");
    }
}
