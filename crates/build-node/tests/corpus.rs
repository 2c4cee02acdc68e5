//! The corpus of bad examples: packages that fail, each in its own way, built by the real node in Seed Linux. Each has to
//! be told by its class, its line of the log and its cure. `ANIMA_CORPUS=NAME` takes those whose name has NAME in it, and
//! prints their logs. (Logs of what cannot be built here are in the diagnosis's own tests.)

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anima_types::lease::End;
use anima_types::work::{Failure, Work};
use common::{World, run};
use serde::Deserialize;

/// What `expected.toml` of an example says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The class of the first finding.
    class: String,
    /// What the line of the log has that it names; empty where it is told without one.
    line: String,
    /// What the sentence has.
    message: Option<String>,
    /// What the cure has.
    cure: Option<String>,
    /// Where it fails.
    #[serde(default)]
    step: Step,
    /// The package's limits on the platform.
    limits: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Src,
    #[default]
    Build,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_example_is_told_by_its_class_its_line_and_its_cure() {
    let mut world = World::on_seed().await;
    let wanted = std::env::var("ANIMA_CORPUS").unwrap_or_default();
    let (mut wrong, mut classes) = (Vec::new(), BTreeSet::new());
    let examples = examples();
    for (name, folder) in examples.iter().filter(|(name, _)| name.contains(&wanted)) {
        let text = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
        let expected: Expected = toml::from_str(&text).unwrap();
        let failed = fail(&mut world, name, folder, &expected).await;
        let log = world.master.log();
        let Some(failure) = failed else {
            wrong.push(format!("{name} did not fail:\n{log}"));
            continue;
        };
        if !wanted.is_empty() {
            println!("==> {name}\n{log}\n{failure:#?}");
        }
        wrong.extend(
            differences(&failure, &expected, &log).into_iter().map(|difference| format!("{name}: {difference}")),
        );
        classes.insert(expected.class);
    }

    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(!wanted.is_empty() || classes.len() >= 30, "{} classes are seen", classes.len());
    world.stop().await;
}

fn examples() -> Vec<(String, PathBuf)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path());
    let mut examples: Vec<(String, PathBuf)> =
        entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect();
    examples.sort();
    examples
}

/// Has an example made, and returns how it failed, if it did.
async fn fail(world: &mut World, name: &str, folder: &Path, expected: &Expected) -> Option<Failure> {
    let limits = expected.limits.as_ref().map(|limits| format!("[packages.{name}.limits]\n{limits}\n"));
    world.platform_lines = limits.unwrap_or_default();
    match expected.step {
        Step::Src => {
            let files = files(folder);
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            let commit = world.commit(name, &files);
            world.src(name, &commit).await.err()
        }
        Step::Build => {
            let srpm = source_package(name, folder);
            let size_bytes = srpm.len() as u64;
            let sha256 = world.master.keep_artifact(srpm);
            let file = world.file(&format!("{name}-1-1.src.rpm"), sha256, size_bytes);
            match world.report(Work::Build(world.build_work_of(name, file))).await.end {
                End::Failed(failure) => Some(failure),
                End::Succeeded(_) => None,
                End::GivenBack(failure) => panic!("it was given back: {failure:?}"),
            }
        }
    }
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| !path.ends_with("expected.toml"));
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().into(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

/// Makes the source package on this machine: that is quicker, and no build of these examples depends on how it was made.
fn source_package(name: &str, folder: &Path) -> Vec<u8> {
    let top = tempfile::tempdir().unwrap();
    let define = |name: &str, value: &Path| ["--define".to_owned(), format!("{name} {}", value.display())];
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bs", "--quiet", "--nodeps"]);
    for (macro_name, value) in
        [("_topdir", top.path()), ("_dbpath", top.path()), ("_srcrpmdir", top.path()), ("_sourcedir", folder)]
    {
        rpmbuild.args(define(macro_name, value));
    }
    run(rpmbuild.arg(folder.join(format!("{name}.spec"))));
    let mut made = std::fs::read_dir(top.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = made.find(|path| path.to_string_lossy().ends_with(".src.rpm")).unwrap();
    std::fs::read(path).unwrap()
}

fn differences(failure: &Failure, expected: &Expected, log: &str) -> Vec<String> {
    let Some(first) = failure.findings.first() else { return vec![format!("has no finding: {failure:?}")] };
    let line = first.log_line.and_then(|line| log.lines().nth(line as usize - 1)).unwrap_or_default();
    let excerpt = first.excerpt.iter().find(|line| Some(line.number) == first.log_line);
    let mut wrong = Vec::new();
    if first.class != expected.class {
        wrong.push(format!("is a {} ({}), not a {}; line: {line}", first.class, first.message, expected.class));
        return wrong;
    }
    if !line.contains(&expected.line) {
        wrong.push(format!("its line is {:?}: {line}", first.log_line));
    }
    if !expected.line.is_empty() && !excerpt.is_some_and(|line| line.text.contains(expected.line.trim())) {
        wrong.push(format!("its excerpt is {:?}", first.excerpt));
    }
    if !expected.message.as_ref().is_none_or(|message| first.message.contains(message)) {
        wrong.push(format!("its message is \"{}\"", first.message));
    }
    match &first.cure {
        Some(cure) if expected.cure.as_ref().is_none_or(|wanted| cure.contains(wanted)) => {}
        cure => wrong.push(format!("its cure is {cure:?}")),
    }
    if failure.hint != first.cure {
        wrong.push(format!("its hint is {:?}", failure.hint));
    }
    wrong
}
