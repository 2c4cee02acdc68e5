//! `cargo xtask sizing`: what a distribution needs to be built again as a whole, by the product's own scheduler on a simulated set of
//! packages, with figures that were measured where they could be. The table of `docs/OPERATIONS.md` is what it prints.

use std::time::Instant;

use anima_schedule::{Graph, simulate};
use anyhow::{Result, ensure};

use crate::bench::corpus;

/// Everything around the package's own commands: sources, a root whose layers are there, upload, test, signature. Measured by
/// `bench pipeline`: some 2 s for `hello`, of which the gathering second is not waited for in a mass rebuild.
const AROUND_SECS: f64 = 2.0;
/// Bytes of the binary packages of one source package for one architecture: the mean of 18,774 packages of 4,692 builds in the
/// metadata of CentOS Stream 9 BaseOS and AppStream, x86_64.
const PACKAGE_MB: f64 = 8.2;
/// Debug information and debug sources beside it. **Assumed**: that metadata has none.
const DEBUG_SHARE: f64 = 2.0;
/// A source package. **Assumed**.
const SOURCE_MB: f64 = 10.0;
/// Rows of a source package for one architecture in the database, from the push to the release. Measured: 24 packages of three
/// binary packages with some 60 files made an SQLite file grow by 1.70 MB.
const ROWS_KB: f64 = 71.0;
/// A node's own disk for each slot: layers, and the largest builds' trees.
const NODE_SLOT_GB: f64 = 30.0;
/// Slots of a node in the table: 16 cores and 32 GiB, four cores a build.
const SLOTS_OF_A_NODE: usize = 4;

/// Prints the table.
pub fn run(sources: usize, architectures: usize, slots: &[usize]) -> Result<()> {
    ensure!(sources > 0 && architectures > 0 && !slots.is_empty(), "there is nothing to build, or nobody who builds");
    let mut packages = corpus(sources);
    for package in &mut packages {
        package.cost_secs += AROUND_SECS;
    }
    let work_secs: f64 = packages.iter().map(|package| package.cost_secs).sum();
    let mut costs: Vec<f64> = packages.iter().map(|package| package.cost_secs).collect();
    costs.sort_by(f64::total_cmp);
    let began = Instant::now();
    let graph = Graph::new(&packages);
    let (open, circles) = graph.without_circles();
    let path = open.critical_path().map_err(anyhow::Error::new)?;
    let path_secs: f64 = path.iter().map(|&at| open.cost_secs(at)).sum();
    println!(
        "{sources} source packages, {} edges, {} circles; a build takes {:.0} s at the median, {:.0} s on average, {:.1} h at most; \
         {:.0} h of a slot for each architecture; the longest chain: {} packages, {:.1} h",
        graph.edge_count(),
        circles.len(),
        costs[costs.len() / 2],
        work_secs / sources as f64,
        costs[costs.len() - 1] / 3_600.0,
        work_secs / 3_600.0,
        path.len(),
        path_secs / 3_600.0,
    );
    println!(
        "| slots for each architecture | nodes of {SLOTS_OF_A_NODE} slots, all architectures | mass rebuild | over the least possible |"
    );
    println!("|---|---|---|---|");
    for &slots in slots {
        let schedule = simulate(&open, slots).map_err(anyhow::Error::new)?;
        println!(
            "| {slots} | {} | {:.1} h | {:.2} |",
            slots.div_ceil(SLOTS_OF_A_NODE) * architectures,
            schedule.makespan_secs / 3_600.0,
            schedule.makespan_secs / schedule.lower_bound_secs,
        );
    }
    let tasks = (sources * (architectures + 1)) as f64;
    let made = (sources * architectures) as f64;
    let package_gb = made * PACKAGE_MB * (1.0 + DEBUG_SHARE) / 1_000.0 + sources as f64 * SOURCE_MB / 1_000.0;
    let database_gb = made * ROWS_KB / 1e6;
    println!(
        "one mass rebuild: {tasks:.0} tasks and as many tests and signatures as there are builds; {package_gb:.0} GB in the store; {database_gb:.1} GB in the database"
    );
    println!("each node: {:.0} GB of disk", NODE_SLOT_GB * SLOTS_OF_A_NODE as f64);
    println!("computed in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
