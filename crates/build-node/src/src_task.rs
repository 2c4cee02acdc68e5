//! From a commit to a source package.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use anima_diagnosis::{End, Reader, spec_error};
use anima_environment::{Phases, blocking};
use anima_types::artifact::Kind;
use anima_types::dist_git::{self, Layout, LookasideFile, MAX_LIST_BYTES};
use anima_types::provenance::File as Material;
use anima_types::task;
use anima_types::work::{Failure, SrcOutcome};

use crate::collect::{self, Collected, collect};
use crate::files::Files;
use crate::git::{Commit, CommitFile, LeftOut};
use crate::history;
use crate::job::{Job, Target};
use crate::provenance;
use crate::sources::Sources;
use crate::trouble::{Trouble, failed};
use crate::workroot::{SRPMS, Workroot};

/// What rpmspec is asked for: each line tells by its first word what it is, as warnings come in between.
const QUERY: &str =
    "anima-arch %{ARCH}\\n%|CHANGELOGTIME?{anima-has-changelog \\n}:{}|[anima-provides %{PROVIDENEVRS}\\n]";

/// The same for what its build needs.
const REQUIRES_QUERY: &str = "[anima-requires %{REQUIRENEVRS}\\n]";

/// Of what is no regular file so much is named in a log.
const MAX_LEFT_OUT_TOLD: usize = 10;

/// The sources of a package on this machine.
struct Taken {
    commit: Commit,
    layout: Layout,
    large: Vec<(LookasideFile, PathBuf)>,
}

/// Whether large sources are needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Large {
    Taken,
    /// A spec is read without them.
    Left,
}

/// What the spec says of the packages that it will make.
#[derive(Debug, Default, PartialEq)]
pub struct Binaries {
    /// Names and explicit provides.
    pub provides: Vec<String>,
    /// Whether all of them are noarch.
    pub is_noarch: bool,
    /// Whether the spec says when it was changed.
    pub has_changelog: bool,
}

/// Makes the source package, keeps it, and returns what it says of itself.
pub async fn make(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    sources: &dyn Sources,
) -> Result<SrcOutcome, Trouble> {
    let taken = phases.time("sources", bring(job, target, sources, Large::Taken)).await?;
    let mut workroot = job.workroot(phases, target, &[]).await?;
    let materials = materials(&taken);
    let result = make_in(job, phases, target, &mut workroot, sources, (taken, materials.clone())).await;
    if result.as_ref().is_err_and(Trouble::is_final) {
        let keeping = provenance::keep_of_failed(job, target, task::Kind::Src, &workroot, materials);
        phases.time("upload", keeping).await;
    }
    job.leave(workroot, result).await
}

/// What a spec says of what its build needs.
#[derive(Debug, Eq, PartialEq)]
pub struct SpecRequires {
    /// What it names.
    pub named: Vec<String>,
    /// Whether the sources may ask for more (`%generate_buildrequires`): then the source package has to be there to know it.
    pub is_dynamic: bool,
}

/// Returns what the build of sources needs, as far as their spec says it. Their large files need not be there.
pub async fn requires(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    sources: &dyn Sources,
) -> Result<SpecRequires, Trouble> {
    let taken = bring(job, target, sources, Large::Left).await?;
    let workroot = job.workroot(phases, target, &[]).await?;
    let result = requires_in(job, target, &workroot, sources, taken).await;
    job.leave(workroot, result).await
}

async fn requires_in(
    job: &Job<'_>,
    target: &Target<'_>,
    workroot: &Workroot,
    sources: &dyn Sources,
    taken: Taken,
) -> Result<SpecRequires, Trouble> {
    let files = workroot.files().clone();
    let (spec_in_git, commit) = (taken.layout.spec.clone(), taken.commit.brought.id.clone());
    let spec = blocking(move || put_sources(&files, &taken)).await?;
    history::fill_in(job, target.package, workroot, sources, &commit, &spec_in_git, &spec).await?;
    let query = ["rpmspec", "-q", "--srpm", "--target", target.arch.name(), "--queryformat", REQUIRES_QUERY, &spec];
    let answer = rpm(job, target.package, workroot, &query, false).await?;
    // Only the source package itself would answer it, and rpm's expanded text loses the line after some macros of %prep.
    let text = workroot.files().inside().read_text(&spec, history::MAX_SPEC_BYTES)?;
    Ok(SpecRequires { named: parse_requires(&answer), is_dynamic: is_dynamic(&text) })
}

/// Returns whether a spec has the section that asks for more, though perhaps under a condition: the source package knows.
fn is_dynamic(spec: &str) -> bool {
    spec.lines().any(|line| line.split_whitespace().next() == Some("%generate_buildrequires"))
}

async fn make_in(
    job: &Job<'_>,
    phases: &mut Phases,
    target: &Target<'_>,
    workroot: &mut Workroot,
    sources: &dyn Sources,
    (taken, materials): (Taken, Vec<Material>),
) -> Result<SrcOutcome, Trouble> {
    let (time_secs, left_out) = (taken.commit.time_secs, taken.commit.left_out.clone());
    let files = workroot.files().clone();
    let (spec_in_git, commit) = (taken.layout.spec.clone(), taken.commit.brought.id.clone());
    let spec = blocking(move || put_sources(&files, &taken)).await?;
    phases
        .time("sources", history::fill_in(job, target.package, workroot, sources, &commit, &spec_in_git, &spec))
        .await?;
    let packed = phases.time("build", pack(job, target, workroot, &spec, time_secs)).await;
    phases.used("build", job.record.take_usage());
    let (srpm, binaries) = packed.map_err(|trouble| with_left_out(trouble, &left_out))?;
    phases.time("upload", keep(job, target, workroot, (srpm, binaries), materials)).await
}

async fn bring(job: &Job<'_>, target: &Target<'_>, sources: &dyn Sources, wanted: Large) -> Result<Taken, Trouble> {
    job.journal.say(format!("sources: {}", sources.in_words()));
    let commit = Commit::bring(sources, &job.folder, &job.cancel).await?;
    job.journal.say(format!("sources: {}", commit.brought.note));
    if !commit.left_out.is_empty() {
        job.journal.say(format!("sources: left out, as only regular files are taken: {}", told(&commit.left_out)));
    }
    let layout = dist_git::layout(target.package, commit.files.iter().map(|file| file.path.as_str()));
    let layout = layout.map_err(|error| failed("bad_source", error.to_string(), None))?;
    let listed = match &layout.list {
        Some(list) if wanted == Large::Taken => {
            let parsed = dist_git::parse_list(list.form, &text(&commit, &list.path)?);
            parsed.map_err(|error| failed("bad_source", format!("{}: {error}", list.path), None))?
        }
        _ => Vec::new(),
    };
    let mut large = Vec::new();
    for file in listed {
        let path = sources.large(target.package, &file, job.environments.downloads(), &job.cancel).await?;
        job.journal.say(format!("sources: {} has the right {}", file.name, file.algorithm));
        large.push((file, path));
    }
    Ok(Taken { commit, layout, large })
}

fn told(left_out: &[LeftOut]) -> String {
    let shown: Vec<String> =
        left_out.iter().take(MAX_LEFT_OUT_TOLD).map(|it| format!("{} ({})", it.path, it.what)).collect();
    match left_out.len().saturating_sub(MAX_LEFT_OUT_TOLD) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A source that rpmbuild does not find may be in git, but as something that is not taken: then the hint says so.
fn with_left_out(trouble: Trouble, left_out: &[LeftOut]) -> Trouble {
    let Trouble::Failed(mut failure) = trouble else { return trouble };
    let name = |it: &LeftOut| it.path.rsplit('/').next().unwrap_or_default().to_owned();
    let missing = left_out.iter().find(|it| failure.message.split(['/', ' ', ':']).any(|word| word == name(it)));
    if let Some(LeftOut { path, what }) = missing.filter(|_| failure.code == "bad_source") {
        let hint = format!("{path} is {what} in git, and only regular files are taken: put the file itself there.");
        failure.findings.iter_mut().take(1).for_each(|finding| finding.cure = Some(hint.clone()));
        failure.hint = Some(hint);
    }
    Trouble::Failed(failure)
}

fn text(commit: &Commit, path: &str) -> Result<String, Trouble> {
    let file = commit.file(path).ok_or_else(|| failed("bad_source", format!("there is no {path}"), None))?;
    if file.size_bytes > MAX_LIST_BYTES as u64 {
        return Err(failed("bad_source", format!("{path} is larger than {MAX_LIST_BYTES} bytes"), None));
    }
    let text = std::io::read_to_string(commit.open(file)?);
    text.map_err(|error| failed("bad_source", format!("{path} cannot be read: {error}"), None))
}

/// Puts all sources into the root, where rpmbuild looks for them; returns the spec's path inside.
fn put_sources(files: &Files, taken: &Taken) -> Result<String, Trouble> {
    let Taken { commit, layout, large } = taken;
    let large_names: BTreeSet<&str> = large.iter().map(|(file, _)| file.name.as_str()).collect();
    for file in &commit.files {
        let Some(name) = source_name(file, layout) else { continue };
        if large_names.contains(name) {
            return Err(failed("bad_source", format!("{name} is in git and in the list of large sources"), None));
        }
        files.put(&format!("SOURCES/{name}"), file.is_executable, &mut commit.open(file)?)?;
    }
    for (file, path) in large {
        let mut content = File::open(path).map_err(anima_environment::Error::file("read", path))?;
        files.put(&format!("SOURCES/{}", file.name), false, &mut content)?;
    }
    let spec = commit.file(&layout.spec).expect("the layout names a file of the commit");
    let name = layout.spec.rsplit('/').next().unwrap_or(&layout.spec);
    files.put(&format!("SPECS/{name}"), false, &mut commit.open(spec)?)
}

/// Returns the path that a file has among the sources; files of git itself and of the layout have none.
fn source_name<'a>(file: &'a CommitFile, layout: &Layout) -> Option<&'a str> {
    let is_layouts = file.path == layout.spec || layout.list.as_ref().is_some_and(|list| list.path == file.path);
    if is_layouts || file.path.starts_with('.') {
        return None;
    }
    match layout.sources_dir.as_str() {
        "" => Some(&file.path),
        folder => file.path.strip_prefix(folder)?.strip_prefix('/'),
    }
}

/// Reads the spec and packs the source package, as the build user, in the root.
async fn pack(
    job: &Job<'_>,
    target: &Target<'_>,
    workroot: &mut Workroot,
    spec: &str,
    time_secs: i64,
) -> Result<(Collected, Binaries), Trouble> {
    let (package, arch) = (target.package, target.arch.name());
    rpm(job, package, workroot, &["rpmspec", "-P", "--target", arch, spec], false).await?;
    let binaries = binaries(job, target, workroot, spec).await?;
    if !binaries.has_changelog {
        workroot.set_source_date(time_secs);
    }
    rpm(job, package, workroot, &["rpmbuild", "-bs", "--nodeps", "--target", arch, spec], true).await?;
    let mut packages = collect(workroot.files(), SRPMS, &job.folder, job.limits.disk_bytes).await?;
    match (packages.pop(), packages.is_empty()) {
        (Some(package), true) if package.is_source => Ok((package, binaries)),
        _ => Err(failed("spec", "rpmbuild did not make exactly one source package".to_owned(), None)),
    }
}

/// Asks the spec at a path inside for the packages that it will make.
pub async fn binaries(
    job: &Job<'_>,
    target: &Target<'_>,
    workroot: &Workroot,
    spec: &str,
) -> Result<Binaries, Trouble> {
    let query = ["rpmspec", "-q", "--target", target.arch.name(), "--queryformat", QUERY, spec];
    Ok(parse_binaries(&rpm(job, target.package, workroot, &query, false).await?))
}

fn parse_requires(answer: &str) -> Vec<String> {
    let named = answer.lines().filter_map(|line| line.strip_prefix("anima-requires ")).map(str::trim);
    let named: BTreeSet<&str> = named.filter(|name| !name.starts_with("rpmlib(")).collect();
    named.into_iter().map(str::to_owned).collect()
}

/// Runs one of rpm's programs; what it says is in the log when it fails, or when it is wanted there.
async fn rpm(
    job: &Job<'_>,
    package: &str,
    workroot: &Workroot,
    command: &[&str],
    is_shown: bool,
) -> Result<String, Trouble> {
    let (outcome, output) = workroot.capture(command, job.helper, &job.cancel).await?;
    if let Some(failure) = job.limits.failure(&outcome, command[0], package) {
        return Err(failure.into());
    }
    let lines_before = job.journal.line_count();
    if is_shown || !outcome.exit.is_success() {
        job.journal.say(format!("$ {}", command.join(" ")));
        job.journal.pour(output.as_bytes()).await;
    }
    match outcome.exit.is_success() {
        true => Ok(output),
        false => Err(spec_failure(&output, lines_before + 1, &anima_environment::exit_in_words(outcome.exit)).into()),
    }
}

/// Returns why a spec is of no use; `lines_before` is how much of the log comes before the output.
fn spec_failure(output: &str, lines_before: u64, how: &str) -> Failure {
    let mut reader = Reader::default();
    output.lines().zip(lines_before + 1..).for_each(|(line, number)| reader.see(number, line));
    let findings = reader.findings(End::Exited(1));
    let hint = findings.first().and_then(|first| first.cure.clone());
    let failure = match spec_error(output) {
        None => Failure::new("spec", format!("the spec cannot be read: {how}")),
        Some(error) => {
            let is_source = error.reason.starts_with("Bad file: ") || error.reason.starts_with("Bad source: ");
            let (code, message) = match error.spec_line {
                _ if is_source => ("bad_source", error.reason),
                Some(line) => ("spec", format!("line {line} of the spec: {}", error.reason)),
                None => ("spec", format!("the spec cannot be read: {}", error.reason)),
            };
            Failure { log_line: Some(lines_before + error.output_line), ..Failure::new(code, message) }
        }
    };
    Failure { findings, ..failure.with_hint(hint) }
}

fn parse_binaries(answer: &str) -> Binaries {
    let mut provides = BTreeSet::new();
    let mut has_changelog = false;
    let (mut arch_count, mut noarch_count) = (0, 0);
    for line in answer.lines() {
        match line.split_once(' ') {
            Some(("anima-provides", capability)) => drop(provides.insert(capability.trim().to_owned())),
            Some(("anima-has-changelog", _)) => has_changelog = true,
            Some(("anima-arch", arch)) => {
                arch_count += 1;
                noarch_count += usize::from(arch.trim() == "noarch");
            }
            _ => {}
        }
    }
    let is_noarch = arch_count > 0 && arch_count == noarch_count;
    Binaries { provides: provides.into_iter().collect(), is_noarch, has_changelog }
}

/// Returns what the source package is made from: files of the commit, and those that only their hashes are in it.
fn materials(taken: &Taken) -> Vec<Material> {
    let Taken { commit, layout, large } = taken;
    let is_in = |file: &&CommitFile| file.path == layout.spec || source_name(file, layout).is_some();
    let small = commit.files.iter().filter(is_in).map(|file| Material {
        name: file.path.clone(),
        algorithm: "gitBlob".to_owned(),
        hash: file.object.clone(),
    });
    let large = large.iter().map(|(file, _)| Material {
        name: file.name.clone(),
        algorithm: file.algorithm.to_string(),
        hash: file.hash.clone(),
    });
    small.chain(large).collect()
}

async fn keep(
    job: &Job<'_>,
    target: &Target<'_>,
    workroot: &Workroot,
    (srpm, binaries): (Collected, Binaries),
    materials: Vec<Material>,
) -> Result<SrcOutcome, Trouble> {
    let name = srpm.nevra.file_name();
    let artifact = job.artifacts.keep(&srpm.path, Kind::Srpm, &name).await?;
    let lock = job.keep_lock(workroot).await?;
    let made = vec![Material::sha256(&name, artifact)];
    provenance::keep(job, target, task::Kind::Src, lock, materials, made).await?;
    job.journal.say(format!("made {name}"));
    let info = collect::read(&srpm.path)?;
    let build_requires: BTreeSet<String> = info.build_requires().map(ToString::to_string).collect();
    Ok(SrcOutcome {
        srpm: artifact,
        build_requires: build_requires.into_iter().collect(),
        provides: binaries.provides,
        is_noarch: binaries.is_noarch,
        nevra: info.nevra,
        exclusive_arch: info.exclusive_archs,
        exclude_arch: info.exclude_archs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_spec_says_is_read_between_warnings() {
        let answer = "warning: line 3: Possible unexpanded macro\nanima-arch noarch\nanima-provides jq-data = 1-1\n\
                      anima-arch x86_64\nanima-provides jq = 1-1\nanima-provides jq(x86-64) = 1-1\nanima-provides jq = 1-1\nanima-has-changelog \n";

        let binaries = parse_binaries(answer);

        assert_eq!(binaries.provides, ["jq = 1-1", "jq(x86-64) = 1-1", "jq-data = 1-1"]);
        assert!(binaries.has_changelog && !parse_binaries("anima-arch noarch\n").has_changelog);
        assert!(
            !binaries.is_noarch && parse_binaries("anima-arch noarch\n").is_noarch && !parse_binaries("").is_noarch
        );
    }

    #[test]
    fn a_spec_whose_sources_ask_for_more_is_known_by_its_section() {
        assert!(is_dynamic("%prep\n%generate_buildrequires \necho data\n"));
        assert!(!is_dynamic("%changelog\n- Use %generate_buildrequires\n# %generate_buildrequires\n"));
    }

    #[test]
    fn what_a_build_needs_is_read_without_what_only_rpm_must_know_of() {
        let answer = "warning: x\nanima-requires gcc\nanima-requires zlib-devel >= 1.2\nanima-requires rpmlib(X) <= 4\nanima-requires gcc\n";

        assert_eq!(parse_requires(answer), ["gcc", "zlib-devel >= 1.2"]);
    }

    #[test]
    fn a_broken_spec_is_told_with_its_line_and_the_logs() {
        let failure = spec_failure("warning: x\nerror: line 7: Unknown tag: Foo: bar\n", 10, "it ended with status 1");

        assert_eq!((failure.code.as_str(), failure.log_line), ("spec", Some(12)));
        assert_eq!(failure.message, "line 7 of the spec: Unknown tag: Foo: bar");
    }

    #[test]
    fn a_source_that_is_nowhere_is_no_fault_of_the_spec() {
        let output = "error: Bad file: /builddir/build/SOURCES/x.tar.gz: No such file or directory\n";

        let failure = spec_failure(output, 0, "it ended with status 1");

        assert_eq!(failure.code, "bad_source");
        assert!(failure.message.contains("x.tar.gz") && failure.hint.is_some());
    }
}
