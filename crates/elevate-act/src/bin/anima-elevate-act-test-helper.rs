//! What this crate's tests start and kill, also in roots and virtual machines of their own.
//!
//! `HELPER VERB ROOT STATE KILL_AT [ARGUMENT…]` does one verb, and kills itself with SIGKILL before the step of that number
//! (0: never), or stays there where `ANIMA_TEST_HALT` is set; it then prints how many steps there were. `HELPER at-boot ROOT` is what an initramfs starts.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anima_elevate_act::{Elevation, Error, How, Manifest, Package, STORE, Watch, Work};
use sha2::{Digest, Sha256};

/// Counts steps, and dies before one of them.
struct Killer {
    kill_at: u64,
    count: u64,
    /// A rehearsal has no steps: what it tells is counted.
    counts_what_is_told: bool,
}

impl Watch for Killer {
    fn step(&mut self) {
        self.count += 1;
        if self.count == self.kill_at && std::env::var_os("ANIMA_TEST_HALT").is_some() {
            // Whoever reads this cuts the power.
            println!("HALT before step {}", self.count);
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
        if self.count == self.kill_at {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("a process may kill itself");
        }
    }

    fn tell(&mut self, _what: &str) {
        if self.counts_what_is_told {
            self.step();
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == anima_sandbox::HELPER_ARGUMENT) {
        anima_sandbox::init_main();
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [_, "at-boot", root] => at_boot(Path::new(root)),
        [program, verb, root, state, kill_at, more @ ..] => {
            let kill_at = kill_at.parse().expect("a number");
            let killer = Killer { kill_at, count: 0, counts_what_is_told: *verb == "rehearse" };
            run(program, verb, &Elevation::open(Path::new(root), Path::new(state)).expect("opens"), killer, more)
        }
        _ => panic!("VERB ROOT STATE KILL_AT"),
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("could not {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: &str, verb: &str, elevation: &Elevation, mut killer: Killer, more: &[&str]) -> Result<String, Error> {
    match (verb, more) {
        ("rehearse", [list]) => {
            let rehearsal = elevation.rehearse(&work(Path::new(list)), &helper(program), &mut killer)?;
            let (changes, meanwhile) = (rehearsal.changes.len(), rehearsal.changed_meanwhile);
            Ok(format!("{changes} changes, meanwhile {meanwhile:?}, findings {:?}", rehearsal.findings))
        }
        ("digest", [root, without @ ..]) => Ok(digest(Path::new(root), without)),
        ("status", []) => Ok(format!("{:?}", elevation.status()?)),
        _ => {
            match (verb, more) {
                ("act", []) => elevation.act(&How::default(), &mut killer)?,
                ("act", [backend]) => elevation.act(&how(backend, None), &mut killer)?,
                ("act", [backend, "try"]) => {
                    let returner = vec![helper(program).display().to_string(), "at-boot".to_owned()];
                    elevation.act(&how(backend, Some(returner)), &mut killer)?;
                }
                ("resume", _) => elevation.resume(&mut killer)?,
                ("rollback", _) => elevation.rollback(&mut killer)?,
                ("abort", _) => elevation.abort(&mut killer)?,
                ("confirm", _) => elevation.confirm(&mut killer)?,
                ("finish", _) => elevation.finish(&mut killer)?,
                other => panic!("{other:?} is no verb"),
            }
            Ok(killer.count.to_string())
        }
    }
}

fn at_boot(root: &Path) -> Result<String, Error> {
    let options = fs::read_to_string("/proc/cmdline").expect("the kernel tells its options");
    let was_taken_back = Elevation::open(root, Path::new("/run/anima-elevate"))?.at_boot(&options, &mut ())?;
    Ok(if was_taken_back { "the upgrade is taken back" } else { "nothing to take back" }.to_owned())
}

fn how(backend: &str, returner: Option<Vec<String>>) -> How {
    let backend = (backend != "best").then(|| backend.parse().expect("a backend"));
    How { backend, returner }
}

fn helper(program: &str) -> PathBuf {
    Path::new(program).canonicalize().expect("this program is there")
}

/// Reads lines of `install PATH` and `erase NEVRA`.
fn work(list: &Path) -> Work {
    let mut work = Work::default();
    for line in fs::read_to_string(list).expect("the list is there").lines() {
        match line.split_once(' ') {
            Some(("install", path)) => {
                let name = path.rsplit('/').next().unwrap_or(path);
                let nevra = name.trim_end_matches(".rpm").to_owned();
                work.install.push(Package { nevra, path: path.into(), sha256: None });
            }
            Some(("erase", nevra)) => work.erase.push(nevra.to_owned()),
            _ => panic!("{line:?} is no line of a list"),
        }
    }
    work
}

/// Returns one number for everything that a file system has, but for the store and the time of the folder that it is in.
fn digest(root: &Path, without: &[&str]) -> String {
    let without: Vec<PathBuf> = [STORE].iter().chain(without).map(PathBuf::from).collect();
    let mut manifest = Manifest::read(root, &without).expect("everything can be read");
    manifest.entries.get_mut(Path::new("")).expect("the root is there").modified = (0, 0);
    let entries: BTreeMap<_, _> = manifest.entries.iter().map(|(path, entry)| (path, format!("{entry:?}"))).collect();
    hex::encode(Sha256::digest(format!("{entries:?}{:?}", manifest.links)))
}
