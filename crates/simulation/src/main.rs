//! Lives through many worlds: `cargo xtask sim`.

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anima_simulation::{Broken, Summary, run_on_one_core};
use clap::Parser;

/// A line of progress comes this often.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Lives through worlds in which everything goes wrong. A world that breaks says its seed, and with that it is lived through again.
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
    /// How many at once [default: one for each processor]
    #[arg(long)]
    threads: Option<usize>,
    /// Only the world of this seed.
    #[arg(long, conflicts_with_all = ["first", "worlds", "minutes", "threads", "keep_going"])]
    seed: Option<u64>,
    /// Go on after a world that breaks.
    #[arg(long)]
    keep_going: bool,
}

#[derive(Default)]
struct Told {
    next: u64,
    alive: BTreeSet<u64>,
    sum: Summary,
    broken: Vec<Broken>,
    told_at: Option<Instant>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (first, worlds) = arguments.seed.map_or((arguments.first, arguments.worlds), |seed| (seed, 1));
    let began = Instant::now();
    let end = arguments.minutes.map(|minutes| began + Duration::from_secs(60 * minutes));
    let told = Mutex::new(Told { next: first, ..Told::default() });
    let live = |core: usize| {
        loop {
            let seed = {
                let mut told = lock(&told);
                let is_over = told.next - first >= worlds || end.is_some_and(|end| Instant::now() > end);
                if is_over || (!told.broken.is_empty() && !arguments.keep_going) {
                    return;
                }
                told.next += 1;
                let seed = told.next - 1;
                told.alive.insert(seed);
                seed
            };
            let lived = run_on_one_core(seed, core);
            let mut told = lock(&told);
            told.alive.remove(&seed);
            match lived {
                Ok(one) => told.sum = told.sum.and(one),
                Err(broken) => {
                    eprintln!("{broken}\nagain: cargo xtask sim --seed {seed}");
                    told.broken.push(broken);
                }
            }
            if told.told_at.get_or_insert(began).elapsed() > TELL_EVERY {
                told.told_at = Some(Instant::now());
                progress(&told, worlds, began);
            }
        }
    };
    let threads = arguments.threads.or_else(|| thread::available_parallelism().map(usize::from).ok()).unwrap_or(1);
    thread::scope(|scope| {
        for core in 0..threads {
            let live = &live;
            scope.spawn(move || live(core));
        }
    });
    let Told { sum, broken, .. } = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    let secs = began.elapsed().as_secs();
    let seeds = broken.iter().map(|broken| broken.seed.to_string()).collect::<Vec<_>>().join(", ");
    match broken.len() {
        0 => println!("{} worlds in {secs} s, none broke: {sum:?}", sum.world_count),
        count => println!("{} worlds in {secs} s, {count} broke ({seeds}): {sum:?}", sum.world_count + count),
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

fn progress(told: &Told, worlds: u64, began: Instant) {
    let done = told.sum.world_count + told.broken.len();
    let rate = done as f64 / began.elapsed().as_secs_f64();
    eprintln!(
        "{done} of {worlds} worlds, {rate:.1} a second, {} broke; lives: {:?}; {:?}",
        told.broken.len(),
        told.alive,
        told.sum
    );
}
