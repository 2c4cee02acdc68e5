//! How much of the farm a team may have at once, as the configuration says it.

use std::collections::BTreeMap;

use anima_db::Connection;
use anima_types::{event::Event, task::Status};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{app::App, error::ApiResult};

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

    /// Returns how many more may begin.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.open)
    }

    /// Returns how many are too many.
    pub fn excess(&self) -> usize {
        self.open.saturating_sub(self.limit)
    }

    /// Says how much is under way.
    pub fn in_words(&self) -> String {
        format!("{} tasks of team {} are under way, of {} at most.", self.open, self.team, self.limit)
    }

    /// Says why a task that could begin does not.
    pub fn why(&self) -> String {
        format!("{HELD}team {} has at most {} tasks under way at once.", self.team, self.limit)
    }
}

/// Lets builds be looked at that wait for their team's turn, where the team has room by now; returns how many.
pub async fn wake_once(app: &App) -> ApiResult<usize> {
    if app.config.quota.is_empty() {
        return Ok(0);
    }
    let mut read = app.db.read().await?;
    let mut count = 0;
    for (build, team) in anima_db::task_queue::builds_held(&mut read, HELD).await? {
        if Bound::of(app, &mut read, Some(&team)).await?.is_none_or(|bound| bound.room() > 0) {
            app.build_is_due(build);
            count += 1;
        }
    }
    Ok(count)
}

/// Waits until a task is neither ready nor leased any more, or events were missed, of which one may have said so.
pub async fn until_freed(events: &mut broadcast::Receiver<Event>) {
    let in_queue = [Status::Ready.name(), Status::Leased.name()];
    loop {
        match events.recv().await {
            Ok(event) if event.noun == "task" && !in_queue.contains(&event.status.as_deref().unwrap_or_default()) => {
                return;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The service ends.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
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
}
