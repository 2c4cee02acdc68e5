//! A layer is made: packages are compared with the list, installed over the layers below, and put in place by one rename.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use anima_sandbox::{Disk, Exit, Outcome};

use crate::error::At;
use crate::host_rpm::{Call, HostRpm};
use crate::layers::{Dirs, Layer};
use crate::lock::{LockInput, with_epoch};
use crate::marker::{LOG, Marker, TREE};
use crate::room::room;
use crate::work::Work;
use crate::{Error, Terms};

/// An error shows so much of the end of rpm's output.
const LOG_TAIL_BYTES: usize = 4 * 1024;

/// How rpm lists what is installed.
const QUERY: &str = "%{NAME}-%|EPOCH?{%{EPOCH}}:{0}|:%{VERSION}-%{RELEASE}.%{ARCH}\\n";

/// What a layer is made from, and what it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub input: &'a LockInput,
    pub parent: Option<&'a Layer>,
    pub most_bytes: u64,
    pub terms: &'a Terms,
}

/// Makes the layer `name`, whose lock is held; returns what installing took.
pub(crate) fn layer(dirs: &Dirs, rpm: &HostRpm, name: &str, plan: Plan<'_>) -> Result<Outcome, Error> {
    let Plan { input, parent, most_bytes, .. } = plan;
    input.verify_files()?;
    let lowers = parent.map(Layer::trees).unwrap_or_default();
    let mut work = Work::mount(&dirs.works, &lowers)?;
    let log = work.dir().join(LOG);
    let disk = room(&work.upper(), most_bytes)?;
    let outcome = install(rpm, &plan, &work.root(), &log, &disk)?;
    let installed = list(rpm, &plan, &work.root(), &disk)?;
    require_all(input, &installed, &log)?;
    work.unmount()?;

    let done = work.dir().join("done");
    let move_in = |from: &Path, to: &Path| fs::rename(from, to).at("rename", from);
    fs::create_dir(&done).at("make", &done)?;
    move_in(&work.upper(), &done.join(TREE))?;
    move_in(&log, &done.join(LOG))?;
    let parent_name = parent.map(Layer::name);
    Marker::of(&done, name, parent_name, &input.configuration, installed)?.write(&done)?;
    // What could not be relied on is in the way.
    dirs.remove_layer(name)?;
    move_in(&done, &dirs.layer(name))?;
    work.remove()?;
    Ok(outcome)
}

fn install(rpm: &HostRpm, plan: &Plan<'_>, root: &Path, log: &Path, disk: &Disk) -> Result<Outcome, Error> {
    let input = plan.input;
    // The file's hash was compared with the list, and the list is the solver's: rpm would only think it over again.
    let trusting = [
        "-U",
        "--nosignature",
        "--nodigest",
        "--nofiledigest",
        "--nodeps",
        "--ignorearch",
        "--ignoreos",
        "--oldpackage",
        "--replacepkgs",
    ];
    let call = Call {
        arguments: trusting.map(str::to_owned).into(),
        packages: input.packages.iter().map(|it| (it.nevra.clone(), it.path.as_path())).collect(),
        macros: input.macros.clone(),
        emulators: input.emulators.clone(),
        disk: Some(disk.clone()),
        most: plan.terms.most,
    };
    let mut file = File::create(log).at("write", log)?;
    let outcome = rpm.run_until(root, &call, &mut file, &plan.terms.stop)?;
    match exit_of(&outcome) {
        exit if exit.is_success() => Ok(outcome),
        // A machine that has less room is no fault of the packages.
        Exit::DiskFull if disk.bytes < plan.most_bytes => {
            Err(io::Error::from(io::ErrorKind::StorageFull)).at("install packages into", root)
        }
        exit => Err(refused(input, log, in_words(exit), exit)),
    }
}

/// Returns how rpm ended. It goes on where a script fails, so that one which reached a limit would leave half of its work in a
/// layer that everybody gets later, whatever they may take.
fn exit_of(outcome: &Outcome) -> Exit {
    match outcome.exit {
        Exit::Exited(0) if outcome.killed_for_memory_count > 0 => Exit::OutOfMemory,
        Exit::Exited(0) if outcome.refused_process_count > 0 => Exit::TooManyProcesses,
        exit => exit,
    }
}

/// Asks rpm what is installed.
fn list(rpm: &HostRpm, plan: &Plan<'_>, root: &Path, disk: &Disk) -> Result<Vec<String>, Error> {
    let input = plan.input;
    let call = Call { disk: Some(disk.clone()), most: plan.terms.most, ..list_call(input) };
    let mut output = Vec::new();
    let outcome = rpm.run_until(root, &call, &mut output, &plan.terms.stop)?;
    let output = String::from_utf8_lossy(&output).into_owned();
    if !outcome.exit.is_success() {
        let why = format!("the list of what is installed: {}", in_words(outcome.exit));
        return Err(Error::Install { package_count: input.packages.len(), why, exit: outcome.exit, log: output });
    }
    // Keys are in the same list. Warnings are lines with spaces.
    let is_package = |line: &&str| !line.contains(' ') && !line.starts_with("gpg-pubkey-") && !line.is_empty();
    let lines: BTreeSet<String> = output.lines().filter(is_package).map(str::to_owned).collect();
    Ok(lines.into_iter().collect())
}

/// A root's own rpm is a program of the root's architecture, also when it only lists.
fn list_call(input: &LockInput) -> Call<'static> {
    let arguments = ["-qa", "--nosignature", "--nodigest", "--qf", QUERY].map(str::to_owned).into();
    Call { arguments, macros: input.macros.clone(), emulators: input.emulators.clone(), ..Call::default() }
}

/// A script that fails before its package is unpacked makes rpm leave the package out.
fn require_all(input: &LockInput, installed: &[String], log: &Path) -> Result<(), Error> {
    let is_missing = |nevra: &String| installed.binary_search(nevra).is_err();
    let missing: Vec<String> = input.packages.iter().map(|it| with_epoch(&it.nevra)).filter(is_missing).collect();
    let refused = |why| Err(refused(input, log, why, Exit::Exited(0)));
    if missing.is_empty() { Ok(()) } else { refused(format!("rpm left out {}", missing.join(", "))) }
}

fn refused(input: &LockInput, log: &Path, why: String, exit: Exit) -> Error {
    let text = fs::read(log).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(LOG_TAIL_BYTES)..];
    Error::Install {
        package_count: input.packages.len(),
        why,
        exit,
        log: String::from_utf8_lossy(tail).trim_end().to_owned(),
    }
}

fn in_words(exit: Exit) -> String {
    match exit {
        Exit::Exited(code) => format!("rpm ended with {code}"),
        Exit::Signaled(number) => format!("rpm was ended by signal {number}"),
        Exit::TimedOut => "rpm and its scripts took too long".to_owned(),
        Exit::OutOfMemory => "rpm and its scripts took too much memory".to_owned(),
        Exit::LogTooLong => "rpm and its scripts said too much".to_owned(),
        Exit::DiskFull => "rpm and its scripts wrote too much".to_owned(),
        Exit::TooManyProcesses => "rpm and its scripts started too many processes".to_owned(),
        Exit::Canceled => "rpm was stopped".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use anima_sandbox::{Emulator, Endian};

    use super::*;

    #[test]
    fn what_installs_a_foreign_root_lists_it_too() {
        let emulators = vec![Emulator::of_elf64("qemu", 183, Endian::Little, "/qemu".into())];
        let input = LockInput { emulators: emulators.clone(), ..LockInput::default() };

        assert_eq!(list_call(&input).emulators, emulators);
    }
}
