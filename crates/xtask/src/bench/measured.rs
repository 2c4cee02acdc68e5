//! What one run of a program takes: time, processor time and the most memory.
//!
//! The kernel counts the peak of the process that starts a program into the program's own (`exec` keeps the old high-water
//! mark), so a bench that holds a corpus would lend its peak to all that it measures. Programs are therefore started by a
//! small process: this program once more, with the command [`COMMAND`].

use std::{
    ffi::OsString,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The hidden command of `cargo xtask` that runs a program and tells what it took.
pub const COMMAND: &str = "measured";

/// What a program took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Run {
    /// From its start to its end.
    pub secs: f64,
    /// Of all its threads and the children that it waited for, in the kernel and outside.
    pub cpu_secs: f64,
    /// The most memory that it had at once.
    pub peak_mib: f64,
}

/// Runs a program by a small process; one that fails is an error.
pub fn run(command: &Command) -> Result<Run> {
    let own = std::env::current_exe().context("this program has no path")?;
    let mut small = Command::new(own);
    small.arg(COMMAND).arg(command.get_program()).args(command.get_args()).stderr(Stdio::inherit());
    let output = small.output().context("could not start this program")?;
    ensure!(output.status.success(), "{command:?} failed");
    serde_json::from_slice(&output.stdout).context("the small process tells nothing")
}

/// Is the small process: runs the program, and prints what it took.
pub fn print(words: &[OsString]) -> Result<()> {
    let (program, arguments) = words.split_first().context("what is to be run?")?;
    let began = Instant::now();
    let child = Command::new(program).args(arguments).stdout(Stdio::null()).spawn().context("could not start it")?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are to locals of the right types, and all of rusage may be zero. The child is waited for nowhere
    // else.
    let (waited, usage) = unsafe {
        let waited = libc::wait4(child.id().cast_signed(), &raw mut status, 0, usage.as_mut_ptr());
        (waited, usage.assume_init())
    };
    let secs = began.elapsed().as_secs_f64();
    ensure!(waited == child.id().cast_signed() && status == 0, "it failed");
    let time = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu_secs = time(usage.ru_utime) + time(usage.ru_stime);
    println!("{}", serde_json::to_string(&Run { secs, cpu_secs, peak_mib: usage.ru_maxrss as f64 / 1024.0 })?);
    Ok(())
}
