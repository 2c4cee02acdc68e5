//! How many tasks of a build may be under way: as many as there are, unless it is a mass rebuild with bounds. What a team's quota
//! lets begin is [`crate::quota`]'s.

use std::cmp::Reverse;

use anima_db::{
    Write,
    build::Build,
    rebuild::Rebuild,
    task::Task,
    task_hold::{self, Begun, KINDS},
};
use anima_types::{
    id::TaskId,
    task::{Event, Status},
};

use crate::error::ApiResult;

/// The bounds of a build.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hold {
    is_paused: bool,
    /// Tasks that are ready or leased at once, or are so when it is their team's turn.
    limit: Option<u32>,
}

impl Hold {
    /// Reads how a build is held.
    pub async fn of(write: &mut Write, build: &Build) -> ApiResult<Hold> {
        Ok(Hold::new(anima_db::rebuild::find(write, build.id).await?))
    }

    fn new(rebuild: Option<Rebuild>) -> Hold {
        Hold {
            is_paused: rebuild.is_some_and(|rebuild| rebuild.is_paused),
            limit: rebuild.and_then(|rebuild| rebuild.limit),
        }
    }

    /// Returns whether all may begin that can.
    pub const fn is_open(&self) -> bool {
        !self.is_paused && self.limit.is_none()
    }

    /// Returns how many may have begun, those included that nodes have.
    fn most(&self) -> u64 {
        match self.is_paused {
            true => 0,
            false => self.limit.map_or(u64::MAX, u64::from),
        }
    }

    /// Returns how many more may begin.
    pub fn room(&self, begun: Begun) -> usize {
        let more = self.most().saturating_sub(begun.ready + begun.leased + begun.for_team);
        usize::try_from(more).unwrap_or(usize::MAX)
    }

    /// Returns how many of those that no node has yet are too many.
    fn excess(&self, begun: Begun) -> usize {
        let in_line = begun.ready + begun.for_team;
        let too_many = in_line.saturating_sub(self.most().saturating_sub(begun.leased));
        usize::try_from(too_many).unwrap_or(usize::MAX)
    }

    /// Says why a task that could begin does not.
    pub fn why(&self) -> String {
        match self.limit.filter(|_| !self.is_paused) {
            None => "It waits until the rebuild is resumed.".to_string(),
            Some(limit) => {
                let tasks = if limit == 1 { "task" } else { "tasks" };
                format!("It waits for its turn: the rebuild has at most {limit} {tasks} under way at once.")
            }
        }
    }
}

/// Whose turn it is within a build: what the longest chain waits for.
pub fn turn(task: &Task) -> impl Ord + use<> {
    (Reverse(task.chain_secs), task.id)
}

/// Takes back what stands in line beyond the bounds: those whose turn is the last. What nodes work on is theirs.
pub async fn take_back(write: &mut Write, build: &Build, hold: &Hold) -> ApiResult<()> {
    if hold.is_open() {
        return Ok(());
    }
    let excess = hold.excess(task_hold::begun(write, build.id).await?);
    if excess == 0 {
        return Ok(());
    }
    let mut in_line = task_hold::in_line(write, build.id).await?;
    in_line.sort_by_key(turn);
    let back = in_line.split_off(in_line.len().saturating_sub(excess));
    let why = hold.why();
    for task in back.iter().filter(|task| task.status == Status::Ready) {
        anima_db::task::apply(write, task, Event::Held, &why).await?;
    }
    let back: Vec<TaskId> = back.iter().map(|task| task.id).collect();
    Ok(task_hold::hold_for_build(write, &back, &why).await?)
}

/// Takes back a task that a node lost or gave back, where its build is paused or has enough under way by now.
pub async fn take_back_returned(write: &mut Write, id: TaskId) -> ApiResult<()> {
    let task = anima_db::task::get(write, id).await?;
    let is_bound = task.status == Status::Ready && KINDS.contains(&task.about.kind);
    let Some(build) = task.about.build.filter(|_| is_bound) else {
        return Ok(());
    };
    let Some(rebuild) = anima_db::rebuild::find(write, build).await? else { return Ok(()) };
    let hold = Hold::new(Some(rebuild));
    if hold.excess(task_hold::begun(write, build).await?) > 0 {
        anima_db::task::apply(write, &task, Event::Held, &hold.why()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_what_waits_for_its_team_too_and_takes_nothing_from_nodes() {
        let begun = Begun { ready: 2, leased: 3, for_team: 1 };
        let limited = |limit| Hold { is_paused: false, limit: Some(limit) };

        assert_eq!((limited(9).room(begun), limited(9).excess(begun)), (3, 0));
        assert_eq!((limited(4).room(begun), limited(4).excess(begun)), (0, 2));
        assert_eq!((limited(1).room(begun), limited(1).excess(begun)), (0, 3));
        let paused = Hold { is_paused: true, limit: Some(9) };
        assert_eq!((paused.room(begun), paused.excess(begun)), (0, 3));
        assert!(Hold::new(None).is_open());
    }
}
