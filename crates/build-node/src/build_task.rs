//! From a source package to binary packages.

use std::collections::HashSet;
use std::fs::File;
use std::io::Seek;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anima_diagnosis::{End, Reader};
use anima_environment::{Inside, Phases, blocking};
use anima_rpm_file::PackageInfo;
use anima_sandbox::{Exit, Outcome};
use anima_types::artifact::Kind;
use anima_types::dist_git::is_file_name;
use anima_types::provenance::File as Material;
use anima_types::task;
use anima_types::work::{BuildOutcome, BuiltPackage, Failure, MAX_DYNAMIC_REQUIRES};
use futures_util::{StreamExt, TryStreamExt};

use crate::collect::{Collected, collect};
use crate::job::{Job, Target};
use crate::limits::failed_on_full_disk;
use crate::provenance;
use crate::src_task;
use crate::trouble::{Trouble, failed};
use crate::workroot::{Effort, RPMS, SRPMS, Workroot};

/// What a source package requires of rpm when its spec has `%generate_buildrequires`.
const DYNAMIC: &str = "rpmlib(DynamicBuildRequires)";
/// How rpmbuild ends when the sources ask for more than is installed.
const MISSING_DYNAMIC: Exit = Exit::Exited(11);
/// What the sources ask for may depend on what is installed, but not for ever.
const MAX_DYNAMIC_ROUNDS: usize = 10;
/// So many requirements are named where there are too many.
const NAMED_REQUIRES: usize = 10;
/// So many packages are kept at once.
const PARALLEL_KEEPS: usize = 4;

/// A source package on this machine.
#[derive(Clone, Copy, Debug)]
pub struct SrpmFile<'a> {
    /// What people know it by; the file may be named by its hash.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a Path,
}

/// What is known of it.
struct Srpm {
    /// Held open: a cache may give it up to others' needs before its last root is there.
    content: File,
    info: PackageInfo,
    /// The spec's path inside a root that it is installed in.
    spec: String,
}

impl Srpm {
    /// Returns whether its sources say what they need, beside what the spec says.
    fn is_dynamic(&self) -> bool {
        self.info.requires.iter().any(|dependency| dependency.name == DYNAMIC)
    }
}

/// Builds the packages, keeps them, and returns which they are.
pub async fn make(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    srpm: SrpmFile<'_>,
) -> Result<BuildOutcome, Trouble> {
    let srpm = read(srpm)?;
    let (outcome, mut requires) = in_rounds(job, phases, target, &srpm, Goal::Packages).await?;
    let dynamic_requires = requires.split_off(srpm.info.build_requires().count());
    Ok(BuildOutcome { dynamic_requires, ..outcome.expect("packages were the goal") })
}

/// Returns what the build of a source package needs: what its spec says, and then what its sources ask for.
pub async fn requires(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    srpm: SrpmFile<'_>,
) -> Result<Vec<String>, Trouble> {
    let srpm = read(srpm)?;
    match srpm.is_dynamic() {
        true => Ok(in_rounds(job, phases, target, &srpm, Goal::Requirements).await?.1),
        false => Ok(srpm.info.build_requires().map(ToString::to_string).collect()),
    }
}

/// What roots are made for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Goal {
    /// The packages.
    Packages,
    /// To learn what they need.
    Requirements,
}

/// Makes roots until one has all that the sources ask for; returns what was made in it, and all that it was to have: first
/// what the source package says, then what the sources asked for.
async fn in_rounds(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    srpm: &Srpm,
    goal: Goal,
) -> Result<(Option<BuildOutcome>, Vec<String>), Trouble> {
    let mut requires: Vec<String> = srpm.info.build_requires().map(ToString::to_string).collect();
    let static_count = requires.len();
    for round in 1.. {
        let mut workroot = job.workroot(phases, target, &requires).await?;
        let result = match try_in(job, phases, target, &mut workroot, (srpm, &requires), goal).await {
            Ok(Tried::Asks(more)) => within_bounds(more, round, requires.len() - static_count).map(Tried::Asks),
            other => other,
        };
        phases.used("build", job.record.take_usage());
        if goal == Goal::Packages && result.as_ref().is_err_and(Trouble::is_final) {
            let materials = materials(srpm).await.unwrap_or_default();
            let keeping = provenance::keep_of_failed(job, target, task::Kind::Build, &workroot, materials);
            phases.time("upload", keeping).await;
        }
        match job.leave(workroot, result).await? {
            Tried::Done(outcome) => return Ok((outcome, requires)),
            Tried::Asks(more) => {
                job.journal.say(format!("%generate_buildrequires asks for {}", more.join(", ")));
                requires.extend(more);
            }
        }
    }
    unreachable!("the last round ends")
}

/// Returns what the sources ask for in a round, beside so much before, if that is not too much.
fn within_bounds(more: Vec<String>, round: usize, before_count: usize) -> Result<Vec<String>, Trouble> {
    let refused = |message: String| Err(failed("generate_buildrequires_failed", message, None));
    let count = before_count + more.len();
    if count > MAX_DYNAMIC_REQUIRES {
        return refused(format!(
            "%generate_buildrequires asks for {count} requirements, and {MAX_DYNAMIC_REQUIRES} are the most"
        ));
    }
    if round == MAX_DYNAMIC_ROUNDS {
        let named = more.iter().take(NAMED_REQUIRES).map(String::as_str).collect::<Vec<_>>().join(", ");
        let others = more.len().saturating_sub(NAMED_REQUIRES);
        let others = if others > 0 { format!(" and {others} more") } else { String::new() };
        return refused(format!("%generate_buildrequires asks for more after {round} rounds: {named}{others}"));
    }
    Ok(more)
}

/// What came of one root.
enum Tried {
    /// The packages, where they were the goal.
    Done(Option<BuildOutcome>),
    /// The sources ask for more than it has.
    Asks(Vec<String>),
}

async fn try_in(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    workroot: &mut Workroot,
    (srpm, requires): (&Srpm, &[String]),
    goal: Goal,
) -> Result<Tried, Trouble> {
    install(job, workroot, srpm).await?;
    if srpm.is_dynamic() {
        let asked = phases.time("build", dynamic_requires(job, target, workroot, srpm, requires)).await?;
        if let Some(more) = asked {
            return Ok(Tried::Asks(more));
        }
    }
    if goal == Goal::Requirements {
        return Ok(Tried::Done(None));
    }
    if srpm.info.changelogs.is_empty() {
        workroot.set_source_date(srpm.info.build_time_secs.try_into().unwrap_or(0));
    }
    make_in(job, phases, target, workroot, srpm).await.map(|outcome| Tried::Done(Some(outcome)))
}

/// Reads the spec of a source package in a root; returns what its packages provide, and whether all are noarch.
pub async fn survey(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    srpm: SrpmFile<'_>,
) -> Result<(Vec<String>, bool), Trouble> {
    let srpm = read(srpm)?;
    let workroot = job.workroot(phases, target, &[]).await?;
    install(job, &workroot, &srpm).await?;
    let binaries = src_task::binaries(job, target, &workroot, &srpm.spec).await;
    workroot.remove().await?;
    binaries.map(|binaries| (binaries.provides, binaries.is_noarch))
}

async fn make_in(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    workroot: &Workroot,
    srpm: &Srpm,
) -> Result<BuildOutcome, Trouble> {
    phases.time("build", build(job, target, workroot, &srpm.spec)).await?;
    let packages = phases.time("upload", keep(job, target, workroot)).await?;
    let lock = phases.time("upload", job.keep_lock(workroot)).await?;
    let materials = materials(srpm).await?;
    let made = packages.iter().map(|package| Material::sha256(package.nevra.file_name(), package.artifact)).collect();
    let keeping = provenance::keep(job, target, task::Kind::Build, lock, materials, made);
    phases.time("upload", keeping).await?;
    let layers_hit = workroot.environment().layers_hit;
    Ok(BuildOutcome { packages, lock, layers_hit, dynamic_requires: Vec::new() })
}

/// Returns what packages are made from.
async fn materials(srpm: &Srpm) -> Result<Vec<Material>, Trouble> {
    Ok(vec![provenance::file(srpm.info.nevra.file_name(), &srpm.content).await?])
}

fn read(SrpmFile { name, path }: SrpmFile<'_>) -> Result<Srpm, Trouble> {
    let content = File::open(path).map_err(anima_environment::Error::file("read", path))?;
    let info = PackageInfo::read(path).map_err(|error| failed("bad_source", format!("{name}: {error}"), None))?;
    if !info.is_source {
        return Err(failed("bad_source", format!("{name} is not a source package"), None));
    }
    let spec = spec_of(&info).ok_or_else(|| failed("bad_source", format!("{name} has no spec"), None))?;
    Ok(Srpm { content, spec: format!("/builddir/build/SPECS/{spec}"), info })
}

fn spec_of(info: &PackageInfo) -> Option<String> {
    let names = info.files.iter().map(|file| file.path.as_str());
    let specs: Vec<&str> = names.filter(|name| name.ends_with(".spec") && is_file_name(name)).collect();
    let own = format!("{}.spec", info.nevra.name);
    specs.iter().find(|name| **name == own).or(specs.first()).map(|name| (*name).to_owned())
}

/// Unpacks the source package in the root, as the build user.
async fn install(job: &Job<'_>, workroot: &Workroot, srpm: &Srpm) -> Result<(), Trouble> {
    let name = srpm.info.nevra.file_name();
    let (files, content, place) = (workroot.files().clone(), srpm.content.try_clone(), format!("originals/{name}"));
    let put = move || {
        let again = content.and_then(|mut content| content.rewind().map(|()| content));
        let mut content = again.map_err(anima_environment::Error::file("read", Path::new(&place)))?;
        files.put(&place, false, &mut content)
    };
    let inside = blocking(put).await?;
    let (outcome, output) = workroot.capture(&["rpm", "-U", "--nodeps", &inside], job.helper, &job.cancel).await?;
    if let Some(failure) = job.limits.failure(&outcome, "unpacking the source package", &srpm.info.nevra.name) {
        return Err(failure.into());
    }
    if outcome.exit.is_success() {
        return Ok(());
    }
    job.journal.pour(output.as_bytes()).await;
    let how = anima_environment::exit_in_words(outcome.exit);
    Err(failed("bad_source", format!("{name} cannot be unpacked: {how}"), None))
}

/// Returns what the sources ask for and was not asked for yet; nothing when they have all.
async fn dynamic_requires(
    job: &Job<'_>,
    target: &Target<'_>,
    workroot: &Workroot,
    srpm: &Srpm,
    requires: &[String],
) -> Result<Option<Vec<String>>, Trouble> {
    let command = ["rpmbuild", "-br", "--target", target.arch.name(), &srpm.spec];
    match rpmbuild(job, target, workroot, &command).await? {
        (Exit::Exited(0), _) => return Ok(None),
        (MISSING_DYNAMIC, _) => {}
        (_, failure) => return Err(failure.into()),
    }
    let listed = collect_requires(job, workroot).await?;
    let mut known: HashSet<&str> = requires.iter().map(String::as_str).collect();
    let more: Vec<String> = listed.iter().filter(|requirement| known.insert(requirement.as_str())).cloned().collect();
    // What is asked for is there already: rpm sees it otherwise than the solver, and the build itself will tell.
    Ok((!more.is_empty()).then_some(more))
}

async fn collect_requires(job: &Job<'_>, workroot: &Workroot) -> Result<Vec<String>, Trouble> {
    let files = workroot.files().clone();
    let listed = blocking(move || listed_requires(files.inside())).await?;
    job.journal.say(format!("%generate_buildrequires lists {} requirements", listed.len()));
    Ok(listed)
}

fn listed_requires(inside: &Inside) -> Result<Vec<String>, Trouble> {
    let mut listed = Vec::new();
    for (path, kind) in inside.walk(SRPMS)? {
        if kind != anima_environment::Kind::File || !path.to_string_lossy().ends_with(".buildreqs.nosrc.rpm") {
            continue;
        }
        let info = PackageInfo::from_reader(&mut inside.file(&path)?);
        let info = info.map_err(|error| failed("generate_buildrequires_failed", error.to_string(), None))?;
        listed.extend(info.build_requires().map(ToString::to_string));
    }
    Ok(listed)
}

async fn build(job: &Job<'_>, target: &Target<'_>, workroot: &Workroot, spec: &str) -> Result<(), Trouble> {
    let command = ["rpmbuild", "-bb", "--nodeps", "--target", target.arch.name(), spec];
    match rpmbuild(job, target, workroot, &command).await? {
        (exit, _) if exit.is_success() => Ok(()),
        (_, failure) => Err(failure.into()),
    }
}

/// Runs rpmbuild with its log looked at line by line; the failure means something only where it did not succeed.
async fn rpmbuild(
    job: &Job<'_>,
    target: &Target<'_>,
    workroot: &Workroot,
    command: &[&str],
) -> Result<(Exit, Failure), Trouble> {
    job.journal.say(format!("$ {}", command.join(" ")));
    let reader = Arc::new(Mutex::new(Reader::default()));
    let watching = Arc::clone(&reader);
    job.journal.watch(move |number, line| watching.lock().unwrap_or_else(PoisonError::into_inner).see(number, line));
    let outcome = workroot.run(command, Effort::Build, job.helper, &job.journal, &job.cancel).await?;
    job.journal.watch(|_, _| {});
    let how = anima_environment::exit_in_words(outcome.exit);
    let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failure = reader.failure(end_of(&outcome), &how);
    if let Some(hint) = job.limits.hint(outcome.exit, target.package) {
        failure.findings.iter_mut().take(1).for_each(|finding| finding.cure = Some(hint.clone()));
        failure.hint = Some(hint);
    }
    Ok((outcome.exit, failure))
}

/// Returns how a run ended, in the words of the diagnosis.
fn end_of(outcome: &Outcome) -> End {
    match outcome.exit {
        _ if failed_on_full_disk(outcome) => End::NodeDiskFull,
        Exit::Exited(code) => End::Exited(code),
        Exit::Signaled(signal) => End::Signaled(signal),
        Exit::TimedOut => End::TimedOut,
        Exit::OutOfMemory => End::OutOfMemory,
        Exit::LogTooLong => End::LogTooLong,
        Exit::DiskFull => End::DiskFull,
        Exit::TooManyProcesses => End::TooManyProcesses,
        Exit::Canceled => End::Unknown,
    }
}

async fn keep(job: &Job<'_>, target: &Target<'_>, workroot: &Workroot) -> Result<Vec<BuiltPackage>, Trouble> {
    let mut packages = collect(workroot.files(), RPMS, &job.folder, job.limits.disk_bytes).await?;
    packages.sort_by(|a, b| a.nevra.cmp(&b.nevra));
    if packages.is_empty() {
        return Err(failed(
            "no_packages",
            "rpmbuild succeeded and made no package".to_owned(),
            Some("The spec has no %files section."),
        ));
    }
    for package in &packages {
        check(package, target)?;
    }
    let keeping: Vec<_> = packages.iter().map(|package| keep_one(job, package)).collect();
    let built: Vec<BuiltPackage> = futures_util::stream::iter(keeping).buffered(PARALLEL_KEEPS).try_collect().await?;
    job.journal.say(format!("made {} packages", built.len()));
    Ok(built)
}

fn check(package: &Collected, target: &Target<'_>) -> Result<(), Trouble> {
    let (nevra, arch) = (&package.nevra, target.arch.name());
    match nevra.arch == arch || nevra.arch == "noarch" {
        true => Ok(()),
        false => Err(failed("bad_package", format!("{nevra} is for another architecture than {arch}"), None)),
    }
}

async fn keep_one(job: &Job<'_>, package: &Collected) -> Result<BuiltPackage, Trouble> {
    let nevra = package.nevra.clone();
    let artifact = job.artifacts.keep(&package.path, Kind::Rpm, &nevra.file_name()).await?;
    job.journal.say(format!("made {}", nevra.file_name()));
    Ok(BuiltPackage { nevra, artifact })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(more_count: usize, round: usize, before_count: usize) -> Option<String> {
        let more = (0..more_count).map(|number| format!("r{number}")).collect();
        match within_bounds(more, round, before_count) {
            Err(Trouble::Failed(failure)) if failure.code == "generate_buildrequires_failed" => Some(failure.message),
            other => other.map(|_| None).unwrap(),
        }
    }

    #[test]
    fn what_the_sources_ask_for_is_bounded_in_rounds_and_in_number() {
        assert_eq!(refusal(MAX_DYNAMIC_REQUIRES, 1, 0), None);
        let too_many = "%generate_buildrequires asks for 10001 requirements, and 10000 are the most";
        assert_eq!(refusal(MAX_DYNAMIC_REQUIRES, 1, 1).as_deref(), Some(too_many));

        assert_eq!(refusal(12, MAX_DYNAMIC_ROUNDS - 1, 0), None);
        let for_ever =
            "%generate_buildrequires asks for more after 10 rounds: r0, r1, r2, r3, r4, r5, r6, r7, r8, r9 and 2 more";
        assert_eq!(refusal(12, MAX_DYNAMIC_ROUNDS, 0).as_deref(), Some(for_ever));
    }
}
