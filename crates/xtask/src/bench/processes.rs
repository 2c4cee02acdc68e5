//! What a process and all that it started use, from `/proc`.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};

/// What a tree of processes uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    /// Memory, what is shared counted in parts (`Pss`).
    pub memory_kib: u64,
    /// Processor time since the start of each, in clock ticks.
    pub cpu_ticks: u64,
    pub process_count: u64,
}

/// Returns what the process and its descendants use now.
pub fn of_tree(root: u32) -> Result<Use> {
    let mut total = Use::default();
    for pid in tree(root)? {
        // A process that ended meanwhile uses nothing.
        let (Ok(smaps), Ok(stat)) =
            (fs::read_to_string(format!("/proc/{pid}/smaps_rollup")), fs::read_to_string(format!("/proc/{pid}/stat")))
        else {
            continue;
        };
        let pss = smaps.lines().find_map(|line| line.strip_prefix("Pss:")).context("the kernel tells no Pss")?;
        total.memory_kib += pss.trim().trim_end_matches(" kB").parse::<u64>()?;
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect::<Vec<_>>();
        // utime and stime: fields 14 and 15 of proc(5), the name and what stands before it taken off.
        total.cpu_ticks += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        total.process_count += 1;
    }
    Ok(total)
}

fn tree(root: u32) -> Result<BTreeSet<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent =
            stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).and_then(|text| text.parse().ok());
        parents.extend(parent.map(|parent: u32| (pid, parent)));
    }
    let mut tree = BTreeSet::from([root]);
    loop {
        let before = tree.len();
        let children =
            parents.iter().filter(|(_, parent)| tree.contains(parent)).map(|&(pid, _)| pid).collect::<Vec<_>>();
        tree.extend(children);
        if tree.len() == before {
            return Ok(tree);
        }
    }
}
