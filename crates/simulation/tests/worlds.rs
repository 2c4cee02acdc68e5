//! Many worlds: `cargo xtask sim` lives through more of them. `ANIMA_SIM_SEED=N` lives through one, and shows what is wrong
//! with it.

use std::thread;

use anima_simulation::{Summary, run, run_on_one_core};

/// Worlds in `./test`, shared by two threads for each processor: a world waits now and then for what its master ends by itself.
const WORLDS: u64 = 2_000;

#[test]
fn whatever_goes_wrong_nothing_is_lost_or_done_twice_and_everything_ends() {
    if let Ok(seed) = std::env::var("ANIMA_SIM_SEED") {
        let summary = run(seed.parse().expect("a seed is a number")).unwrap_or_else(|broken| panic!("{broken}"));
        println!("{summary:?}");
        return;
    }
    let threads = 2 * thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let live = |first: u64| {
        let seeds = (first..=WORLDS).step_by(threads as usize);
        let core = first as usize - 1;
        let worlds = seeds.map(|seed| run_on_one_core(seed, core).unwrap_or_else(|broken| panic!("{broken}")));
        worlds.fold(Summary::default(), Summary::and)
    };
    let sum = thread::scope(|scope| {
        let shares: Vec<_> = (1..=threads).map(|first| scope.spawn(move || live(first))).collect();
        let sums = shares.into_iter().map(|share| share.join().expect("no world breaks"));
        sums.fold(Summary::default(), Summary::and)
    });

    println!("{WORLDS} worlds: {sum:?}");
    let went_wrong = [sum.master_kill_count, sum.late_kill_count, sum.node_kill_count, sum.lost_count, sum.gone_count];
    assert!(!went_wrong.contains(&0), "a world in which nothing goes wrong shows nothing: {sum:?}");
    assert!(sum.push_count > 0 && sum.event_count > sum.push_count);
}
