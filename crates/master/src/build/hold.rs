//! How many tasks of a build may be under way: as many as there are, unless it is a mass rebuild with bounds, or its team has a
//! quota.

use std::cmp::Reverse;

use anima_db::{Write, build::Build, rebuild::Rebuild, task::Task};
use anima_types::{
    id::TaskId,
    task::{Event, Kind, Status},
};

use crate::{app::App, error::ApiResult, quota::Bound};

/// The bounds of a build.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    is_paused: bool,
    /// Tasks that are ready or leased at once.
    limit: usize,
    /// That of its team, for all its builds together.
    team: Option<Bound>,
}

impl Hold {
    /// Reads how a build is held.
    pub async fn of(app: &App, write: &mut Write, build: &Build) -> ApiResult<Hold> {
        let rebuild = anima_db::rebuild::find(write, build.id).await?;
        Ok(Hold { team: Bound::of(app, write, build.team.as_deref()).await?, ..Hold::new(rebuild) })
    }

    fn new(rebuild: Option<Rebuild>) -> Hold {
        let limit = rebuild.and_then(|rebuild| rebuild.limit);
        Hold {
            is_paused: rebuild.is_some_and(|rebuild| rebuild.is_paused),
            limit: limit.and_then(|limit| limit.try_into().ok()).unwrap_or(usize::MAX),
            team: None,
        }
    }

    /// Returns how many more may begin beside those that are open.
    pub fn room(&self, tasks: &[&Task]) -> usize {
        let of_team = self.team.as_ref().map_or(usize::MAX, Bound::room);
        match self.is_paused {
            true => 0,
            false => self.limit.saturating_sub(open(tasks)).min(of_team),
        }
    }

    /// Says why a task that could begin does not.
    pub fn why(&self, tasks: &[&Task]) -> String {
        match &self.team {
            _ if self.is_paused => "It waits until the rebuild is resumed.".to_string(),
            Some(team) if open(tasks) < self.limit => team.why(),
            _ => {
                let tasks = if self.limit == 1 { "task" } else { "tasks" };
                format!("It waits for its turn: the rebuild has at most {} {tasks} under way at once.", self.limit)
            }
        }
    }

    /// Returns the ready tasks that are too many: those whose turn is the last. What nodes work on is theirs.
    fn excess<'a>(&self, tasks: &[&'a Task]) -> Vec<&'a Task> {
        let mut ready: Vec<&Task> = tasks.iter().copied().filter(|task| task.status == Status::Ready).collect();
        let leased = open(tasks) - ready.len();
        let of_team = ready.len().saturating_sub(self.team.as_ref().map_or(0, Bound::excess));
        let stay = if self.is_paused { 0 } else { self.limit.saturating_sub(leased).min(of_team) };
        ready.sort_by_key(|task| turn(task));
        ready.split_off(stay.min(ready.len()))
    }
}

fn open(tasks: &[&Task]) -> usize {
    tasks.iter().filter(|task| matches!(task.status, Status::Ready | Status::Leased)).count()
}

/// Whose turn it is within a build: what the longest chain waits for.
pub fn turn(task: &Task) -> impl Ord + use<> {
    (Reverse(task.chain_secs), task.id)
}

/// Takes back what is ready beyond the bounds; returns whether that was anything.
pub async fn take_back(write: &mut Write, hold: &Hold, tasks: &[&Task]) -> ApiResult<bool> {
    let excess = hold.excess(tasks);
    for task in &excess {
        anima_db::task::apply(write, task, Event::Held, &hold.why(tasks)).await?;
    }
    Ok(!excess.is_empty())
}

/// Takes back a task that a node lost or gave back, where its build is paused or has enough under way by now.
pub async fn take_back_returned(write: &mut Write, id: TaskId) -> ApiResult<()> {
    let task = anima_db::task::get(write, id).await?;
    let Some(build) = task.about.build.filter(|_| task.status == Status::Ready && is_held(task.about.kind)) else {
        return Ok(());
    };
    let Some(rebuild) = anima_db::rebuild::find(write, build).await? else { return Ok(()) };
    let open = anima_db::rebuild::count_open(write, build).await?;
    if rebuild.is_paused || rebuild.limit.is_some_and(|limit| open > u64::from(limit)) {
        let why = Hold::new(Some(rebuild)).why(&[]);
        anima_db::task::apply(write, &task, Event::Held, &why).await?;
    }
    Ok(())
}

/// Signing is of what is built already, and a release's tasks are its own.
const fn is_held(kind: Kind) -> bool {
    matches!(kind, Kind::Src | Kind::Build | Kind::Test)
}
