//! One test task, step by step.

use std::path::Path;
use std::time::Duration;

use anima_client::lease::Context;
use anima_environment::{Inside, Journal, Phases, Wanted, blocking};
use anima_rpm_file::PackageInfo;
use anima_sandbox::Emulator;
use anima_solver::Lock;
use anima_types::artifact::Kind;
use anima_types::work::{Check, TestOutcome, TestPackage, TestWork, Verdict};
use tokio_util::sync::CancellationToken;

use crate::checks::{self, Loader};
use crate::environment::Ground;
use crate::journal::step;
use crate::node::Node;
use crate::solve::Plan;
use crate::subject::Subject;
use crate::trouble::{Trouble, failed};
use crate::verdicts::{Verdicts, green, red};
use crate::{blame, environment, install, removal, solve};

/// The list of what was in the environment is an artifact under this name.
const LOCK_NAME: &str = "test-environment.lock.json";

/// The files of a thousand packages are looked at in a minute; what takes longer was made to.
const CHECKS_LIMIT: Duration = Duration::from_secs(30 * 60);

/// A task that is being done.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub node: &'a Node,
    pub context: &'a Context,
    pub journal: Journal,
    pub cancel: CancellationToken,
    /// What runs the packages' scripts, where the machine's processor does not.
    pub emulators: Vec<Emulator>,
}

/// Tests the packages and returns their verdicts.
pub(crate) async fn test(job: &Job<'_>, phases: &mut Phases, work: &TestWork) -> Result<TestOutcome, Trouble> {
    let journal = &job.journal;
    let count = work.packages.len();
    journal.say(format!("testing {count} packages of build {} on {} {}", work.build, work.platform.name, work.arch));
    let subjects = step(journal, phases, "fetch", fetch(job, &work.packages)).await?;
    let solving = solve::solve(&job.node.environments, work, &subjects, journal, &job.cancel);
    let Plan { whole, refused } = step(journal, phases, "solve", solving).await?;
    let mut verdicts = Verdicts::default();
    refused.iter().for_each(|(nevra, why)| verdicts.add(nevra, red("install", why)));
    if let Some(whole) = whole {
        let taken: Vec<&Subject> = subjects.iter().filter(|it| !refused.contains_key(it.nevra())).collect();
        job.context.upload_bytes(whole.to_json(), Kind::Lock, LOCK_NAME).await?;
        let ground = step(journal, phases, "environment", environment::make(job, work)).await?;
        let done = test_in(job, phases, work, &ground, &whole, &taken, &mut verdicts).await;
        ground.environment.remove().await?;
        done?;
    }
    let verdicts = verdicts.into_list(&work.packages);
    tell(journal, &verdicts);
    Ok(TestOutcome { verdicts })
}

async fn fetch(job: &Job<'_>, packages: &[TestPackage]) -> Result<Vec<Subject>, Trouble> {
    let wanted = |package: &TestPackage| Wanted {
        url: package.file.url.clone(),
        hash: package.file.sha256.into(),
        size_bytes: Some(package.file.size_bytes),
    };
    let wanted: Vec<Wanted> = packages.iter().map(wanted).collect();
    let paths = job.node.environments.downloads().get_all(&wanted, &job.cancel).await?;
    let named: Vec<_> = packages.iter().map(|package| package.nevra.clone()).zip(paths).collect();
    blocking(move || {
        named
            .into_iter()
            .map(|(nevra, path)| {
                let info =
                    PackageInfo::read(&path).map_err(|error| failed("bad_package", format!("{nevra}: {error}")))?;
                match info.nevra == nevra {
                    true => Ok(Subject { path, info }),
                    false => Err(failed("bad_package", format!("the file of {nevra} is {}", info.nevra))),
                }
            })
            .collect()
    })
    .await
}

/// From the transaction to the removal.
async fn test_in(
    job: &Job<'_>,
    phases: &mut Phases,
    work: &TestWork,
    ground: &Ground,
    whole: &Lock,
    taken: &[&Subject],
    verdicts: &mut Verdicts,
) -> Result<(), Trouble> {
    let (journal, root) = (&job.journal, ground.root());
    let subjects: Vec<Subject> = taken.iter().map(|&subject| subject.clone()).collect();
    let transaction = async {
        let packages = install::fetch(job, work, &ground.environment, whole, &subjects).await?;
        install::install(job, ground, &packages).await
    };
    let (exit, installed) = step(journal, phases, "install", transaction).await?;
    let there = install::judge(exit, &installed, taken, verdicts);
    for subject in &there {
        let check = scripts(subject, &installed.lines, &Inside::open(root)?);
        verdicts.add(subject.nevra(), check);
    }
    let checked = step(journal, phases, "checks", check(job, root, work, &there)).await?;
    for (subject, checks) in there.iter().zip(checked) {
        checks.into_iter().for_each(|check| verdicts.add(subject.nevra(), check));
    }
    for (nevra, check) in step(journal, phases, "remove", removal::remove(job, ground, &there)).await? {
        verdicts.add(&nevra, check);
    }
    Ok(())
}

/// Whether the package's scripts ran without complaint, and those to come will find their interpreter.
fn scripts(subject: &Subject, lines: &[String], inside: &Inside) -> Check {
    let missing = checks::missing_script_interpreters(&subject.info, inside);
    match (blame::failed_scripts(subject.nevra(), lines), missing.as_slice()) {
        (None, []) => green("scripts", format!("{} scripts", subject.info.scriptlets.len())),
        (Some(failed), []) => red("scripts", failed),
        (failed, missing) => {
            red("scripts", failed.into_iter().chain(missing.iter().cloned()).collect::<Vec<_>>().join("; "))
        }
    }
}

/// Looks at each package's files; returns the checks in the same order.
async fn check(job: &Job<'_>, root: &Path, work: &TestWork, there: &[&Subject]) -> Result<Vec<Vec<Check>>, Trouble> {
    let infos: Vec<PackageInfo> = there.iter().map(|subject| subject.info.clone()).collect();
    let (root, arch, journal, cancel) = (root.to_owned(), work.arch, job.journal.clone(), job.cancel.child_token());
    // When this is dropped, the thread stops at the next package.
    let _stop = cancel.clone().drop_guard();
    let looking = blocking(move || {
        let inside = Inside::open(&root)?;
        let loader = Loader::new(&inside, arch, &infos);
        let mut all = Vec::with_capacity(infos.len());
        for info in &infos {
            if cancel.is_cancelled() {
                return Err(Trouble::Stopped);
            }
            let checks = checks::all(info, &inside, &loader);
            for check in &checks {
                journal.say(format!("{} {} {}: {}", colour(check.is_green), info.nevra, check.name, check.detail));
            }
            all.push(checks);
        }
        Ok(all)
    });
    let in_time = tokio::time::timeout(CHECKS_LIMIT, looking).await;
    in_time
        .unwrap_or_else(|_| Err(failed("timed_out", format!("the checks took more than {} s", CHECKS_LIMIT.as_secs()))))
}

fn tell(journal: &Journal, verdicts: &[Verdict]) {
    journal.say("\n== verdicts ==");
    for verdict in verdicts {
        journal.say(format!("{} {}", colour(verdict.is_green), verdict.nevra));
        for check in verdict.checks.iter().filter(|check| !check.is_green) {
            journal.say(format!("    {}: {}", check.name, check.detail));
        }
    }
}

fn colour(is_green: bool) -> &'static str {
    if is_green { "green" } else { "RED  " }
}
