//! The rpm at work on the environment's root that made it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anima_buildroot::{Call, MAX_RPM_BYTES};
use anima_environment::{capture, exit_in_words, run};
use anima_sandbox::{Exit, Outcome};
use anima_types::work::NODE_DISK_FULL;

use crate::environment::Ground;
use crate::test_task::Job;
use crate::trouble::{Trouble, failed};

/// Lines of rpm's output that are looked at: a transaction says one for each package, and scripts may say more.
const MAX_LINES: usize = 20_000;
/// How rpm lists what is installed.
const NEVRAS: &str = "%{NAME}-%|EPOCH?{%{EPOCH}}:{0}|:%{VERSION}-%{RELEASE}.%{ARCH}\\n";

/// Runs rpm with its output in the log; returns how it ended and what it said.
pub(crate) async fn said(
    job: &Job<'_>,
    ground: &Ground,
    arguments: &[&str],
    packages: &[&Path],
) -> Result<(Exit, Vec<String>), Trouble> {
    let shown = if packages.is_empty() { String::new() } else { format!(" ({} packages)", packages.len()) };
    job.journal.say(format!("$ rpm {}{shown}", arguments.join(" ")));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&lines);
    job.journal.watch(move |_, line| {
        let mut lines = keep.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MAX_LINES {
            lines.push(line.to_owned());
        }
    });
    // What a package's scripts write is bounded: the disk is that of all tasks of this machine.
    let call = Call { disk: Some(ground.disk.clone()), ..call(job, arguments, packages) };
    let spec = ground.installer.rpm().spec(ground.root(), &call);
    let outcome: Result<Outcome, _> = run(spec, &job.node.helper, &job.journal, &job.cancel).await;
    job.journal.watch(|_, _| {});
    let exit = unless_the_machine_is_full(outcome?.exit, ground.disk.bytes)?;
    let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((exit, lines))
}

/// Runs rpm beside the log, for what runs no script; returns how it ended and its output.
pub(crate) async fn captured(job: &Job<'_>, ground: &Ground, arguments: &[&str]) -> Result<(Exit, String), Trouble> {
    let spec = ground.installer.rpm().spec(ground.root(), &call(job, arguments, &[]));
    let (outcome, output) = capture(spec, &job.node.helper, &job.cancel).await?;
    Ok((outcome.exit, output))
}

/// Returns what is installed, each as `name-epoch:version-release.arch`.
pub(crate) async fn installed(job: &Job<'_>, ground: &Ground) -> Result<BTreeSet<String>, Trouble> {
    listed(job, ground, &["-qa", "--nosignature", "--nodigest", "--qf", NEVRAS]).await
}

/// Returns every path that an installed package owns.
pub(crate) async fn owned_paths(job: &Job<'_>, ground: &Ground) -> Result<BTreeSet<String>, Trouble> {
    listed(job, ground, &["-qa", "--nosignature", "--nodigest", "--qf", "[%{FILENAMES}\\n]"]).await
}

async fn listed(job: &Job<'_>, ground: &Ground, arguments: &[&str]) -> Result<BTreeSet<String>, Trouble> {
    let (exit, output) = captured(job, ground, arguments).await?;
    match exit.is_success() {
        true => Ok(output.lines().map(str::to_owned).collect()),
        false => Err(failed("internal", format!("rpm could not list what is installed: {}", exit_in_words(exit)))),
    }
}

fn call<'a>(job: &Job<'_>, arguments: &[&str], packages: &[&'a Path]) -> Call<'a> {
    let numbered = packages.iter().enumerate().map(|(index, path)| (format!("{index}.rpm"), *path));
    Call {
        arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
        packages: numbered.collect(),
        emulators: job.emulators.clone(),
        ..Call::default()
    }
}

/// A package that a larger machine could test is not red because this one has no room.
fn unless_the_machine_is_full(exit: Exit, bytes: u64) -> Result<Exit, Trouble> {
    match exit {
        Exit::DiskFull if bytes < MAX_RPM_BYTES => {
            let message = format!("rpm and its scripts wrote more than the {} MiB that this machine has", bytes >> 20);
            Err(failed(NODE_DISK_FULL, message))
        }
        _ => Ok(exit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_the_machines_fault_only_where_that_had_less_than_packages_get() {
        let full = |bytes| unless_the_machine_is_full(Exit::DiskFull, bytes);

        assert_eq!(full(MAX_RPM_BYTES), Ok(Exit::DiskFull));
        let Err(Trouble::Failed(failure)) = full(100 << 20) else { panic!("it was said of the package") };
        assert_eq!(failure.code, NODE_DISK_FULL);
        assert!(failure.message.contains("the 100 MiB"), "{failure:?}");
    }
}
