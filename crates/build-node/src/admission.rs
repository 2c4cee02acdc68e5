//! Several tasks at once, within what the machine has: each takes the memory, the room on the disk and the processors that it may
//! use, or waits until others have given theirs back. Who came first is first, so that a large task is not passed by small ones for
//! ever.
//!
//! Processors are counted in shares, each the part of one core that is one slot's: so as many ordinary tasks run at once as
//! there are slots, also where these are more than cores. The disk is counted in parts of what is free on it when a task comes, as
//! that is another size each time: an ordinary task takes its slot's part, and one that may write more takes so much more.

use std::sync::Arc;

use anima_environment::Journal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::limits::{Limits, MIB};
use crate::trouble::Trouble;

/// What a machine has to give.
#[derive(Debug)]
pub struct Admission {
    memory_mib: Arc<Semaphore>,
    /// In shares: each core has as many as there are slots.
    core_shares: Arc<Semaphore>,
    /// In parts of which each slot has [`SLOT_PARTS`].
    disk_parts: Arc<Semaphore>,
    /// All of it.
    whole: Room,
    slots: u32,
}

/// Fine enough for small bounds on large disks.
const SLOT_PARTS: u32 = 1024;

/// How much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Memory.
    pub memory_mib: u32,
    /// Processors.
    pub cores: u32,
}

/// What one task takes, or what is free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Part {
    memory_mib: u32,
    core_shares: u32,
    disk_parts: u32,
}

/// What one task has taken; dropped, it is given back.
#[derive(Debug)]
pub struct Admitted {
    _memory: OwnedSemaphorePermit,
    _cores: OwnedSemaphorePermit,
    _disk: OwnedSemaphorePermit,
}

impl Admission {
    /// Returns a machine of which nothing is taken, and which that many ordinary tasks share.
    pub fn new(whole: Room, slots: u32) -> Admission {
        let semaphore = |count: u32| Arc::new(Semaphore::new(count as usize));
        let slots = slots.max(1);
        let core_shares = semaphore(whole.cores.saturating_mul(slots));
        let disk_parts = semaphore(slots.saturating_mul(SLOT_PARTS));
        Admission { memory_mib: semaphore(whole.memory_mib), core_shares, disk_parts, whole, slots }
    }

    /// Takes what a task may use, as soon as it is there; `disk_bytes` is what tasks may write on the disk as it is now. A task that
    /// says nothing of processors takes its share, and may use what is idle besides.
    pub async fn enter(
        &self,
        limits: &Limits,
        disk_bytes: u64,
        journal: &Journal,
        cancel: &CancellationToken,
    ) -> Result<Admitted, Trouble> {
        let part = self.asked(limits, disk_bytes);
        let free = self.free();
        let is_there = free.memory_mib >= part.memory_mib && free.core_shares >= part.core_shares;
        if !is_there || free.disk_parts < part.disk_parts {
            journal.say(format!(
                "waiting for room: it may use {} MiB of memory, takes {} cores and {} % of the disk's room; \
                 {} MiB, {} cores and {} % are free here",
                part.memory_mib,
                self.in_cores(part.core_shares),
                self.in_percent(part.disk_parts),
                free.memory_mib,
                self.in_cores(free.core_shares),
                self.in_percent(free.disk_parts)
            ));
        }
        let take = |from: &Arc<Semaphore>, count| Arc::clone(from).acquire_many_owned(count);
        // In this order for all, so that no two have what the other waits for.
        let all = async {
            let disk = take(&self.disk_parts, part.disk_parts).await.expect("it is never closed");
            let memory = take(&self.memory_mib, part.memory_mib).await.expect("it is never closed");
            let cores = take(&self.core_shares, part.core_shares).await.expect("it is never closed");
            Admitted { _memory: memory, _cores: cores, _disk: disk }
        };
        tokio::select! {
            admitted = all => Ok(admitted),
            () = cancel.cancelled() => Err(Trouble::Stopped),
        }
    }

    fn asked(&self, limits: &Limits, disk_bytes: u64) -> Part {
        let memory_mib = u32::try_from(limits.memory_bytes / MIB).unwrap_or(u32::MAX);
        // All shares of one slot are as many as there are cores.
        let ordinary = self.whole.cores;
        let core_shares = limits.cores.map_or(ordinary, |cores| cores.min(self.whole.cores).saturating_mul(self.slots));
        let all_parts = self.all_disk_parts();
        let disk_parts =
            (u128::from(limits.disk_bytes) * u128::from(all_parts)).div_ceil(u128::from(disk_bytes.max(1)));
        let disk_parts = u32::try_from(disk_parts).unwrap_or(u32::MAX).min(all_parts);
        Part { memory_mib: memory_mib.min(self.whole.memory_mib), core_shares, disk_parts }
    }

    fn free(&self) -> Part {
        let count = |semaphore: &Semaphore| semaphore.available_permits().try_into().unwrap_or(u32::MAX);
        let (memory_mib, core_shares) = (count(&self.memory_mib), count(&self.core_shares));
        Part { memory_mib, core_shares, disk_parts: count(&self.disk_parts) }
    }

    fn all_disk_parts(&self) -> u32 {
        self.slots.saturating_mul(SLOT_PARTS)
    }

    fn in_percent(&self, parts: u32) -> u64 {
        u64::from(parts) * 100 / u64::from(self.all_disk_parts())
    }

    fn in_cores(&self, shares: u32) -> String {
        match shares % self.slots {
            0 => (shares / self.slots).to_string(),
            _ => format!("{:.1}", f64::from(shares) / f64::from(self.slots)),
        }
    }
}

#[cfg(test)]
mod tests {
    use anima_types::platform;
    use futures_util::FutureExt;

    use super::*;
    use crate::limits::Machine;

    const WHOLE: Room = Room { memory_mib: 9 * 1024, cores: 4 };

    const MACHINE: Machine =
        Machine { memory_bytes: 10 << 30, free_disk_bytes: 101 << 30, free_files: u64::MAX, slots: 2 };

    fn said(said: platform::Limits) -> Limits {
        Limits::of_task(MACHINE, platform::Limits::default(), said)
    }

    /// Less of the disk than a share, where only memory and cores matter.
    fn limits(memory_mib: Option<u64>, cores: Option<u32>) -> Limits {
        said(platform::Limits { memory_mib, cores, disk_mib: Some(1), ..Default::default() })
    }

    fn enter(admission: &Admission, limits: Limits) -> Option<Admitted> {
        let (journal, cancel) = (Journal::nowhere(), CancellationToken::new());
        let entered = admission.enter(&limits, MACHINE.writable_bytes(), &journal, &cancel).now_or_never();
        entered.map(|entered| entered.unwrap())
    }

    #[tokio::test]
    async fn what_is_free_on_the_disk_is_promised_once() {
        let admission = Admission::new(WHOLE, 2);
        let of_disk =
            |disk_mib| said(platform::Limits { memory_mib: Some(1), disk_mib, cores: Some(1), ..Default::default() });

        let (first, second) = (enter(&admission, of_disk(None)).unwrap(), enter(&admission, of_disk(None)).unwrap());
        drop(first);
        assert!(enter(&admission, of_disk(Some(80 * 1024))).is_none(), "half of it is another's");
        drop(second);

        let large = enter(&admission, of_disk(Some(80 * 1024))).unwrap();
        assert!(enter(&admission, of_disk(None)).is_none() && enter(&admission, of_disk(Some(80 * 1024))).is_none());
        let _small = enter(&admission, of_disk(Some(19 * 1024))).unwrap();
        drop(large);
        assert!(enter(&admission, of_disk(None)).is_some());
    }

    #[tokio::test]
    async fn ordinary_tasks_share_the_machine_and_a_large_one_waits_for_them() {
        let admission = Admission::new(WHOLE, 2);

        let first = enter(&admission, limits(None, None)).unwrap();
        let second = enter(&admission, limits(None, None)).unwrap();
        assert!(enter(&admission, limits(Some(8 * 1024), None)).is_none());

        drop(first);
        assert!(enter(&admission, limits(Some(8 * 1024), None)).is_none());
        drop(second);
        let large = enter(&admission, limits(Some(8 * 1024), None)).unwrap();
        assert!(enter(&admission, limits(None, None)).is_none());
        assert!(enter(&admission, limits(Some(512), Some(2))).is_some());
        drop(large);
    }

    #[tokio::test]
    async fn who_wants_all_processors_gets_them_alone_and_who_wants_more_gets_all() {
        let admission = Admission::new(WHOLE, 2);

        let small = enter(&admission, limits(Some(100), Some(1))).unwrap();
        assert!(enter(&admission, limits(Some(100), Some(400))).is_none());

        drop(small);
        assert!(enter(&admission, limits(Some(u64::MAX), Some(400))).is_some());
    }

    #[tokio::test]
    async fn as_many_ordinary_tasks_run_at_once_as_there_are_slots_also_on_fewer_cores() {
        let admission = Admission::new(Room { memory_mib: 9 * 1024, cores: 2 }, 4);
        let ordinary = || limits(Some(100), None);

        let all: Vec<_> = (0..4).map(|_| enter(&admission, ordinary()).unwrap()).collect();
        assert!(enter(&admission, ordinary()).is_none());
        drop(all);

        let one_core = enter(&admission, limits(Some(100), Some(1))).unwrap();
        let (_third, _fourth) = (enter(&admission, ordinary()).unwrap(), enter(&admission, ordinary()).unwrap());
        assert!(enter(&admission, ordinary()).is_none());
        drop(one_core);
        assert!(enter(&admission, limits(Some(100), Some(1))).is_some());
    }

    #[test]
    fn shares_are_told_in_cores() {
        let admission = Admission::new(Room { memory_mib: 1, cores: 2 }, 4);

        assert_eq!([2, 4, 6, 8].map(|shares| admission.in_cores(shares)), ["0.5", "1", "1.5", "2"]);
    }
}
