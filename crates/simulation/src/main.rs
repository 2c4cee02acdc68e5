//! Lives through many worlds: `cargo xtask sim`.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anima_simulation::{Summary, run};
use clap::Parser;

/// Lives through worlds in which everything goes wrong, and ends at the first that breaks.
#[derive(Parser)]
struct Arguments {
    /// The first world's seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// How many worlds.
    #[arg(long, default_value_t = 5_000)]
    worlds: u64,
    /// Begin no world after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let end = arguments.minutes.map(|minutes| began + Duration::from_secs(60 * minutes));
    let (next, count) = (AtomicU64::new(arguments.first), AtomicU64::new(0));
    let sum = Mutex::new(Ok(Summary::default()));
    let live = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_over = seed - arguments.first >= arguments.worlds || end.is_some_and(|end| Instant::now() > end);
            if is_over || sum.lock().unwrap_or_else(PoisonError::into_inner).is_err() {
                return;
            }
            let lived = run(seed);
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            match (&*sum, lived) {
                (Ok(before), Ok(one)) => *sum = Ok(before.and(one)),
                (Ok(_), Err(broken)) => *sum = Err(broken),
                (Err(_), _) => return,
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(live);
        }
    });
    let (count, secs) = (count.into_inner(), began.elapsed().as_secs());
    match sum.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Ok(sum) => {
            println!("{count} worlds in {secs} s, none broke: {sum:?}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            eprintln!("{broken}");
            ExitCode::FAILURE
        }
    }
}
