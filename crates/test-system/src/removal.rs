//! All packages leave the environment again, and nothing of them stays.

use std::collections::BTreeSet;

use anima_environment::{Inside, blocking, exit_in_words};
use anima_rpm_file::{FileKind, PackageInfo};
use anima_types::Nevra;
use anima_types::work::Check;

use crate::blame;
use crate::environment::Ground;
use crate::rpm;
use crate::subject::{Subject, nvra, with_epoch};
use crate::test_task::Job;
use crate::trouble::Trouble;
use crate::verdicts::{green, red};

/// What stands between a requirement and who has it, in rpm's refusal.
const NEEDED_BY: &str = " is needed by (installed) ";

/// Removes what can be removed; returns the check `removal` of each package.
pub(crate) async fn remove(job: &Job<'_>, ground: &Ground, there: &[&Subject]) -> Result<Vec<(Nevra, Check)>, Trouble> {
    let (going, staying) = going(job, ground, there).await?;
    let mut checks: Vec<(Nevra, Check)> = Vec::new();
    for subject in staying {
        let check = green("removal", "not tried: other packages of the environment need it");
        checks.push((subject.nevra().clone(), check));
    }
    if going.is_empty() {
        return Ok(checks);
    }
    let names: Vec<String> = going.iter().map(|subject| nvra(subject.nevra())).collect();
    let arguments: Vec<&str> = ["-ev"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let (exit, lines) = rpm::said(job, ground, &arguments, &[]).await?;
    let (installed, owned) = (rpm::installed(job, ground).await?, rpm::owned_paths(job, ground).await?);
    let infos: Vec<PackageInfo> = going.iter().map(|subject| subject.info.clone()).collect();
    let inside = Inside::open(ground.root())?;
    let left = blocking(move || infos.iter().map(|info| leftovers(info, &inside, &owned)).collect::<Vec<_>>()).await;
    for (subject, left) in going.iter().zip(left) {
        let nevra = subject.nevra();
        let check = if let Some(failed) = blame::failed_scripts(nevra, &lines) {
            red("removal", failed)
        } else if installed.contains(&with_epoch(nevra)) {
            let about = blame::lines_about(nevra, &lines).unwrap_or_else(|| blame::shown(&errors(&lines)));
            red("removal", format!("rpm did not remove it, {}: {about}", exit_in_words(exit)))
        } else if !left.is_empty() {
            red("removal", format!("these files stay: {}", blame::shown(&left)))
        } else {
            green("removal", "nothing stays")
        };
        checks.push((nevra.clone(), check));
    }
    Ok(checks)
}

fn errors(lines: &[String]) -> Vec<String> {
    lines.iter().filter(|line| line.starts_with("error:") || line.contains(NEEDED_BY)).cloned().collect()
}

/// Divides the packages into those that can go and those that something else in the environment needs.
async fn going<'a>(
    job: &Job<'_>,
    ground: &Ground,
    there: &[&'a Subject],
) -> Result<(Vec<&'a Subject>, Vec<&'a Subject>), Trouble> {
    let (mut going, mut staying) = (there.to_vec(), Vec::new());
    while !going.is_empty() {
        let names: Vec<String> = going.iter().map(|subject| nvra(subject.nevra())).collect();
        let arguments: Vec<&str> = ["-e", "--test"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let (exit, output) = rpm::captured(job, ground, &arguments).await?;
        let needed: Vec<&str> =
            output.lines().filter_map(|line| line.split_once(NEEDED_BY)).map(|(what, _)| what.trim()).collect();
        let (needs, free): (Vec<_>, Vec<_>) =
            going.iter().partition(|subject| needed.iter().any(|what| gives(&subject.info, what)));
        // What rpm refuses for another reason, it will refuse again, and tell in the log.
        if exit.is_success() || needs.is_empty() {
            break;
        }
        staying.extend(needs);
        going = free;
    }
    Ok((going, staying))
}

/// Returns whether the package is one of those that meet the requirement, as far as its name goes.
fn gives(info: &PackageInfo, requirement: &str) -> bool {
    let name = requirement.split_whitespace().next().unwrap_or(requirement);
    info.provides.iter().any(|provided| provided.name == name) || info.files.iter().any(|file| file.path == name)
}

/// Returns the package's files that are there and nobody's any more.
fn leftovers(info: &PackageInfo, inside: &Inside, still_owned: &BTreeSet<String>) -> Vec<String> {
    let files = info.files.iter().filter(|file| file.kind != FileKind::Dir && !still_owned.contains(&file.path));
    let is_there = |path: &str| matches!(inside.kind_of_itself(path), Ok(Some(_)));
    files.map(|file| file.path.clone()).filter(|path| is_there(path)).collect()
}
