//! Several tasks at once, within what the machine has: each takes the memory and the processors that it may use, or waits
//! until others have given theirs back. Who came first is first, so that a large task is not passed by small ones for ever.

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
    cores: Arc<Semaphore>,
    /// All of it.
    whole: Room,
}

/// How much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Memory.
    pub memory_mib: u32,
    /// Processors.
    pub cores: u32,
}

/// What one task has taken; dropped, it is given back.
#[derive(Debug)]
pub struct Admitted {
    _memory: OwnedSemaphorePermit,
    _cores: OwnedSemaphorePermit,
}

impl Admission {
    /// Returns a machine of which nothing is taken.
    pub fn new(whole: Room) -> Admission {
        let semaphore = |count: u32| Arc::new(Semaphore::new(count as usize));
        Admission { memory_mib: semaphore(whole.memory_mib), cores: semaphore(whole.cores), whole }
    }

    /// Takes what a task may use, as soon as it is there. A task that says nothing of processors takes its share, and may use
    /// what is idle besides.
    pub async fn enter(
        &self,
        limits: &Limits,
        slots: u32,
        journal: &Journal,
        cancel: &CancellationToken,
    ) -> Result<Admitted, Trouble> {
        let room = self.asked(limits, slots);
        let free = self.free();
        if free.memory_mib < room.memory_mib || free.cores < room.cores {
            journal.say(format!(
                "waiting for room: it may use {} MiB of memory and takes {} cores, and {} MiB and {} cores are free here",
                room.memory_mib, room.cores, free.memory_mib, free.cores
            ));
        }
        let take = |from: &Arc<Semaphore>, count| Arc::clone(from).acquire_many_owned(count);
        // In this order for all, so that no two have what the other waits for.
        let all = async {
            let memory = take(&self.memory_mib, room.memory_mib).await.expect("it is never closed");
            let cores = take(&self.cores, room.cores).await.expect("it is never closed");
            Admitted { _memory: memory, _cores: cores }
        };
        tokio::select! {
            admitted = all => Ok(admitted),
            () = cancel.cancelled() => Err(Trouble::Stopped),
        }
    }

    fn asked(&self, limits: &Limits, slots: u32) -> Room {
        let share = (self.whole.cores / slots.max(1)).max(1);
        let memory_mib = u32::try_from(limits.memory_bytes / MIB).unwrap_or(u32::MAX);
        Room {
            memory_mib: memory_mib.min(self.whole.memory_mib),
            cores: limits.cores.unwrap_or(share).min(self.whole.cores),
        }
    }

    fn free(&self) -> Room {
        let count = |semaphore: &Semaphore| semaphore.available_permits().try_into().unwrap_or(u32::MAX);
        Room { memory_mib: count(&self.memory_mib), cores: count(&self.cores) }
    }
}

#[cfg(test)]
mod tests {
    use anima_types::platform;
    use futures_util::FutureExt;

    use super::*;
    use crate::limits::Machine;

    const WHOLE: Room = Room { memory_mib: 9 * 1024, cores: 4 };

    fn limits(memory_mib: Option<u64>, cores: Option<u32>) -> Limits {
        let machine = Machine { memory_bytes: 10 << 30, free_disk_bytes: 100 << 30, slots: 2 };
        Limits::of_task(
            machine,
            platform::Limits::default(),
            platform::Limits { memory_mib, cores, ..Default::default() },
        )
    }

    fn enter(admission: &Admission, limits: Limits) -> Option<Admitted> {
        let (journal, cancel) = (Journal::nowhere(), CancellationToken::new());
        admission.enter(&limits, 2, &journal, &cancel).now_or_never().map(|entered| entered.unwrap())
    }

    #[tokio::test]
    async fn ordinary_tasks_share_the_machine_and_a_large_one_waits_for_them() {
        let admission = Admission::new(WHOLE);

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
        let admission = Admission::new(WHOLE);

        let small = enter(&admission, limits(Some(100), Some(1))).unwrap();
        assert!(enter(&admission, limits(Some(100), Some(400))).is_none());

        drop(small);
        assert!(enter(&admission, limits(Some(u64::MAX), Some(400))).is_some());
    }
}
