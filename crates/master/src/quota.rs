//! How much of the farm a team may have at once, as the configuration says it.

use std::collections::{BTreeMap, btree_map::Entry};

use anima_db::{Connection, Write, task_hold};
use anima_types::{
    event::Event as Told,
    task::{Event, Status},
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

use crate::{
    app::App,
    build::{order::Taken, queue},
    error::ApiResult,
};

/// Bounds for teams. A build is the team's whose product its platform releases to, or else its owner's.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Tasks of any one team that are ready or at nodes at once; none where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_tasks: Option<u32>,
    /// The same for single teams, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks_of: BTreeMap<String, u32>,
}

/// What a waiting task that waits for its team's turn says of itself.
const HELD: &str = "It waits for its team's turn: ";

impl Quota {
    /// Returns whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Quota::default()
    }

    /// Returns whether a team has a bound on what is under way.
    pub fn bounds(&self, team: &str) -> bool {
        self.of(team).is_some()
    }

    /// Returns how many tasks a team may have under way.
    pub fn of(&self, team: &str) -> Option<u32> {
        self.tasks_of.get(team).copied().or(self.team_tasks)
    }
}

/// A team's bound, and how much is under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bound {
    team: String,
    limit: usize,
    open: usize,
}

impl Bound {
    /// Reads the bound of a build's team, where it has one.
    pub async fn of(app: &App, connection: &mut Connection, team: Option<&str>) -> ApiResult<Option<Bound>> {
        let Some((team, limit)) = team.and_then(|team| Some((team, app.config.quota.of(team)?))) else {
            return Ok(None);
        };
        let open = anima_db::task_queue::count_of_team(connection, team).await?;
        let (limit, open) = (limit as usize, usize::try_from(open).unwrap_or(usize::MAX));
        Ok(Some(Bound { team: team.to_string(), limit, open }))
    }

    /// Returns the team.
    pub fn team(&self) -> &str {
        &self.team
    }

    /// Returns how many more may begin.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.open)
    }

    /// Returns how many are too many.
    pub fn excess(&self) -> usize {
        self.open.saturating_sub(self.limit)
    }

    /// Says why a task that could begin does not.
    pub fn why(&self) -> String {
        format!("{HELD}team {} has at most {} tasks under way at once.", self.team, self.limit)
    }
}

/// Lets as many tasks of a team wait for a node as it has room for, whichever of its builds they are of: the places that they have,
/// which are by urgency, by age and by what their owners have in the queue, say which. Where a bound was made smaller, those whose
/// turn is the last wait again. Returns how many began.
pub async fn give_turns(app: &App, write: &mut Write, team: &str) -> ApiResult<usize> {
    let bound = Bound::of(app, write, Some(team)).await?;
    if let Some(bound) = bound.as_ref().filter(|bound| bound.excess() > 0) {
        for task in task_hold::last_of_team(write, team, bound.excess()).await? {
            anima_db::task::apply(write, &task, Event::Held, &bound.why()).await?;
            task_hold::hold_for_team(write, &[(task.id, task.queued_for)], team, &bound.why()).await?;
        }
        return Ok(0);
    }
    let room = bound.as_ref().map_or(usize::MAX, Bound::room);
    if room == 0 {
        return Ok(0);
    }
    let tasks = task_hold::held_for_team(write, team, room).await?;
    let mut builds = BTreeMap::new();
    for id in tasks.iter().filter_map(|task| task.about.build) {
        if let Entry::Vacant(place) = builds.entry(id) {
            place.insert(anima_db::build::get(write, id).await?);
        }
    }
    let begun = tasks.into_iter().map(|task| {
        let build = task.about.build.and_then(|id| builds.get(&id));
        let taken = Taken::of(build.map_or(&[], |build| &build.circles));
        let place = task.queued_for;
        queue::begun(task, place, &taken)
    });
    let begun: Vec<_> = begun.collect();
    anima_db::task_queue::begin_all(write, &begun).await?;
    Ok(begun.len())
}

/// Gives their turns to teams that have room by now and tasks that wait for it; returns how many tasks began.
pub async fn wake_once(app: &App) -> ApiResult<usize> {
    let mut read = app.db.read().await?;
    let mut due = Vec::new();
    for team in task_hold::teams(&mut read).await? {
        if Bound::of(app, &mut read, Some(&team)).await?.is_none_or(|bound| bound.room() > 0) {
            due.push(team);
        }
    }
    drop(read);
    let mut count = 0;
    for team in due {
        let mut write = app.db.write(app.now(), "anima").await?;
        count += give_turns(app, &mut write, &team).await?;
        write.commit().await?;
    }
    Ok(count)
}

/// Waits until a task ended, or events were missed, of which one may have said so. However many ended meanwhile, that is one look.
pub async fn until_freed(events: &mut broadcast::Receiver<Told>) {
    loop {
        match events.recv().await {
            Ok(event) if has_ended(&event) => break,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => break,
            // The service ends.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
    while matches!(events.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
}

fn has_ended(event: &Told) -> bool {
    event.noun == "task" && event.status.as_deref().and_then(Status::from_name).is_some_and(Status::is_ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_has_its_own_bound_or_that_of_all() {
        let quota = Quota { team_tasks: Some(50), tasks_of: BTreeMap::from([("kernel".to_string(), 9)]) };

        assert_eq!((quota.of("kernel"), quota.of("desktop")), (Some(9), Some(50)));
        assert_eq!(Quota::default().of("desktop"), None);
        let bound = Bound { team: "kernel".into(), limit: 9, open: 11 };
        assert_eq!((bound.room(), bound.excess()), (0, 2));
    }

    #[tokio::test]
    async fn a_hundred_tasks_that_end_are_one_look_and_what_else_is_told_is_none() {
        let told = |status: Status| Told {
            id: anima_types::id::EventId(1),
            at: anima_types::Timestamp(0),
            noun: "task".into(),
            verb: "v".into(),
            status: Some(status.name().into()),
            actor: "n1".into(),
            build: None,
            task: None,
            release: None,
            message: String::new(),
        };
        let (sender, mut events) = broadcast::channel(256);
        for status in [Status::Waiting, Status::Ready, Status::Leased] {
            sender.send(told(status)).unwrap();
        }
        let waits = tokio::time::timeout(std::time::Duration::ZERO, until_freed(&mut events)).await;
        assert!(waits.is_err());
        for _ in 0..100 {
            sender.send(told(Status::Succeeded)).unwrap();
        }

        until_freed(&mut events).await;

        assert!(events.is_empty());
    }
}
