//! `anima-seedling`: makes Seed Linux, a small RPM distribution, out of the host's own Debian packages.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

use anima_seedling::{Arch, Options, Progress, Seed};
use anyhow::Context;
use clap::Parser;

/// Makes Seed Linux, a small RPM distribution, out of the host's own Debian packages.
///
/// The repository is DIR/seed-1/ARCH; DIR/cache keeps what was downloaded and converted, so that a run that was killed
/// goes on where it was and a second run takes a second. Needs root, apt, dpkg, rpmbuild and createrepo_c.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where the repository and the cache go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// x86_64, i686, aarch64, ppc64le or s390x; this machine's own by default.
    #[arg(long)]
    arch: Option<Arch>,
    /// How many packages are converted at once; one for each core by default.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Print progress and result as one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Progress of less than this says nothing about how long the rest takes.
const ETA_FROM_PERCENT: f64 = 12.0;

/// Lines of progress come at most this often, but for a new step's first.
const LINE_EVERY: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("anima-seedling: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let arch = args.arch.or_else(Arch::of_this_program);
    let arch = arch.context("could not tell this machine's architecture; name one with --arch")?;
    let jobs = args.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let lines = Mutex::new(Lines::new(args.json));
    let report = |progress: Progress| {
        if let Ok(mut lines) = lines.lock() {
            lines.tell(&progress);
        }
    };
    let options = Options { out: args.out.clone(), arch, jobs, more: Vec::new() };
    let seed = anima_seedling::make(&options, &report).map_err(|error| anyhow::anyhow!("could not {error}"))?;
    print_result(&seed, args.json)
}

fn print_result(seed: &Seed, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(seed)?);
        return Ok(());
    }
    if let Some(reason) = &seed.lists_are_old {
        eprintln!(
            "anima-seedling: the package lists could not be refreshed, those of an earlier run were used:\n{reason}"
        );
    }
    let how = if seed.was_there { "unchanged" } else { "made" };
    println!("{} packages, {how}", seed.package_count);
    println!("{}", seed.path.display());
    Ok(())
}

/// Prints lines of progress with the time that is left.
struct Lines {
    json: bool,
    started_at: Instant,
    last: Option<(Instant, Progress)>,
}

impl Lines {
    fn new(json: bool) -> Lines {
        Lines { json, started_at: Instant::now(), last: None }
    }

    fn tell(&mut self, progress: &Progress) {
        let is_soon = |(at, last): &(Instant, Progress)| last.step == progress.step && at.elapsed() < LINE_EVERY;
        if self.last.as_ref().is_some_and(is_soon) {
            return;
        }
        self.last = Some((Instant::now(), progress.clone()));
        if self.json {
            println!("{}", serde_json::json!(progress));
            return;
        }
        let left = match left_secs(progress.percent, self.started_at.elapsed()) {
            Some(secs) => format!(", about {secs} s left"),
            None => String::new(),
        };
        println!("[{:3.0}%] {}{left}", progress.percent, progress.message);
    }
}

fn left_secs(percent: f64, elapsed: Duration) -> Option<u64> {
    (percent >= ETA_FROM_PERCENT).then(|| (elapsed.as_secs_f64() * (100.0 - percent) / percent).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_time_taken() {
        assert_eq!(left_secs(50.0, Duration::from_secs(30)), Some(30));
        assert_eq!(left_secs(5.0, Duration::from_secs(30)), None);
        assert_eq!(left_secs(100.0, Duration::from_secs(30)), Some(0));
    }
}
