//! All packages come into the environment in one transaction, with what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anima_environment::Environment;
use anima_sandbox::Exit;
use anima_solver::{Lock, LockedPackage};
use anima_types::Nevra;
use anima_types::work::TestWork;

use crate::blame;
use crate::environment::Ground;
use crate::rpm;
use crate::subject::{Subject, with_epoch};
use crate::test_task::Job;
use crate::trouble::Trouble;
use crate::verdicts::{Verdicts, green, red};

/// What became of the transaction.
#[derive(Debug)]
pub(crate) struct Installed {
    /// What is installed, each as `name-epoch:version-release.arch`.
    pub nevras: BTreeSet<String>,
    /// What rpm and the packages' scripts said.
    pub lines: Vec<String>,
}

/// Fetches what the packages need besides, and returns everything that is to be installed.
pub(crate) async fn fetch(
    job: &Job<'_>,
    work: &TestWork,
    environment: &Environment,
    whole: &Lock,
    subjects: &[Subject],
) -> Result<Vec<PathBuf>, Trouble> {
    let (own, others) = split(&environment.lock, whole, subjects);
    job.journal.say(format!("{} packages under test need {} others besides", own.len(), others.len()));
    others.iter().for_each(|package| job.journal.say(format!("+ {} ({})", package.nevra(), package.repository)));
    let mut paths = job.node.environments.packages(&others, &work.inputs, &job.cancel).await?;
    paths.extend(own);
    Ok(paths)
}

/// Returns the files of the packages under test that the solver took, and the others that are not there yet.
fn split(there: &Lock, whole: &Lock, subjects: &[Subject]) -> (Vec<PathBuf>, Vec<LockedPackage>) {
    let there: BTreeSet<String> = there.packages.iter().map(LockedPackage::nevra).collect();
    let subjects: BTreeMap<String, &Subject> = subjects.iter().map(|it| (it.nevra().to_string(), it)).collect();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for package in &whole.packages {
        match subjects.get(&package.nevra()) {
            Some(subject) => own.push(subject.path.clone()),
            None if there.contains(&package.nevra()) => {}
            None => others.push(package.clone()),
        }
    }
    (own, others)
}

/// Runs the transaction.
pub(crate) async fn install(
    job: &Job<'_>,
    ground: &Ground,
    packages: &[PathBuf],
) -> Result<(Exit, Installed), Trouble> {
    let packages: Vec<&Path> = packages.iter().map(PathBuf::as_path).collect();
    // A package that the environment had already, in the same version, is put there again: it is this file that is tested.
    let arguments = ["-Uv", "--nosignature", "--ignorearch", "--ignoreos", "--replacepkgs"];
    let (exit, lines) = rpm::said(job, ground, &arguments, &packages).await?;
    Ok((exit, Installed { nevras: rpm::installed(job, ground).await?, lines }))
}

/// Adds the check `install` of each package that the solver took; returns those that are there.
pub(crate) fn judge<'a>(
    exit: Exit,
    installed: &Installed,
    subjects: &[&'a Subject],
    verdicts: &mut Verdicts,
) -> Vec<&'a Subject> {
    let mut there = Vec::new();
    for subject in subjects {
        let nevra = subject.nevra();
        if installed.nevras.contains(&with_epoch(nevra)) {
            verdicts.add(nevra, green("install", format!("{nevra} is installed")));
            there.push(*subject);
        } else {
            verdicts.add(nevra, red("install", refusal(exit, nevra, &installed.lines)));
        }
    }
    there
}

fn refusal(exit: Exit, nevra: &Nevra, lines: &[String]) -> String {
    if let Some(about) = blame::lines_about(nevra, lines) {
        return about;
    }
    let errors: Vec<String> = lines.iter().filter(|line| line.starts_with("error:")).cloned().collect();
    let said =
        if errors.is_empty() { blame::shown(&lines[lines.len().saturating_sub(3)..]) } else { blame::shown(&errors) };
    format!("rpm did not install it, {}: {said}", anima_environment::exit_in_words(exit))
}
