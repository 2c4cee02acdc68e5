//! Lets the waiting tasks of a build begin, or blocks them where what they need will not come. Of thousands only those are read that
//! something was told of, and those that need what was told of: what else waits, waits as it did.

use std::collections::BTreeSet;

use anima_db::{
    Write,
    build::Build,
    task::Task,
    task_hold,
    task_news::{self, Need},
};
use anima_types::{
    id::{EventId, TaskId},
    task::{Event, Kind, Status},
};

use super::{
    advance::name,
    hold::{self, Hold},
    order::Taken,
    queue::Queue,
};
use crate::{app::App, error::ApiResult, quota::Bound};

/// Needs that a task's line names; `/why` has all of them. Each more would be one more end at which the line is written anew.
const MAX_NAMED: usize = 3;

/// Lets tasks of some kinds begin, or blocks them, as far as that follows from what was told after an event.
pub async fn wake(
    app: &App,
    write: &mut Write,
    build: &Build,
    kinds: &[Kind],
    after: Option<EventId>,
) -> ApiResult<()> {
    let hold = Hold::of(write, build).await?;
    hold::take_back(write, build, &hold).await?;
    let is_own = |task: &Task| kinds.contains(&task.about.kind) && task.about.release.is_none();
    let taken = Taken::of(&build.circles);
    let mut free = Vec::new();
    let mut looked: Vec<Task> = task_news::waiting(write, build.id, after).await?;
    // What is blocked blocks others in its turn, to the end of the chain.
    while !looked.is_empty() {
        looked.retain(is_own);
        let mut needs = task_news::needs(write, &ids(&looked)).await?;
        let (mut blocked, mut still) = (Vec::new(), Vec::new());
        for task in looked {
            match needs.remove(&task.id) {
                None => free.push(task),
                Some(needs) => match needs.iter().find(|need| need.status.is_ended()) {
                    Some(dead) => {
                        let why = format!("It needs {}, which is {}.", name(&dead.about), dead.status.name());
                        blocked.push((task, why));
                    }
                    None => still.push((task, needs)),
                },
            }
        }
        let whys = still.iter().filter_map(|(task, needs)| {
            let why = format!("{}{}", waits_for(needs), taken.sentence(task).unwrap_or_default());
            (why != task.why).then_some((task.id, why))
        });
        anima_db::task::set_whys(write, &whys.collect::<Vec<_>>()).await?;
        let moves: Vec<_> = blocked.iter().map(|(task, why)| (task.id, &task.about, why.clone())).collect();
        anima_db::task::apply_to_waiting(write, &moves, Event::DependencyFailed).await?;
        let blocked: Vec<TaskId> = blocked.iter().map(|(task, _)| task.id).collect();
        looked = task_news::waiting_dependants(write, &blocked).await?;
    }
    let bounds_changed = match after {
        Some(after) => task_news::is_of_bounds(write, build.id, after).await?,
        None => true,
    };
    let free = within_bounds(write, build, &hold, free, bounds_changed).await?;
    begin(app, write, build, free, &taken).await
}

/// Returns which of those that can begin may, by the build's own bounds; the others are held.
async fn within_bounds(
    write: &mut Write,
    build: &Build,
    hold: &Hold,
    mut free: Vec<Task>,
    bounds_changed: bool,
) -> ApiResult<Vec<Task>> {
    if hold.is_open() {
        free.extend(task_hold::held_by_build(write, build.id, usize::MAX).await?);
        let mut seen = BTreeSet::new();
        free.retain(|task| seen.insert(task.id));
        return Ok(free);
    }
    task_hold::hold_for_build(write, &ids(&free), &hold.why()).await?;
    if bounds_changed {
        task_hold::say(write, build.id, &hold.why()).await?;
    }
    let room = hold.room(task_hold::begun(write, build.id).await?);
    Ok(task_hold::held_by_build(write, build.id, room).await?)
}

/// Lets tasks wait for a node, or for their team's turn.
async fn begin(app: &App, write: &mut Write, build: &Build, mut tasks: Vec<Task>, taken: &Taken<'_>) -> ApiResult<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    tasks.sort_by_key(hold::turn);
    let bound = Bound::of(app, write, build.team.as_deref()).await?;
    Queue::of(write, build).await?.begin_all(write, tasks, taken, bound.as_ref()).await
}

fn ids(tasks: &[Task]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.id).collect()
}

/// Says what a task waits for: the first of it by name.
fn waits_for(needs: &[Need]) -> String {
    let open = needs.iter().filter(|need| !matches!(need.status, Status::Succeeded | Status::Excluded));
    let names: BTreeSet<String> = open.map(|need| name(&need.about)).collect();
    let others = if names.len() > MAX_NAMED { " and others" } else { "" };
    let named = names.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    format!("It waits for {named}{others}.")
}

#[cfg(test)]
mod tests {
    use anima_db::task::About;

    use super::*;

    #[test]
    fn a_line_names_a_few_of_what_it_waits_for() {
        let need = |package: &str| Need {
            status: Status::Waiting,
            about: About { package: Some(package.to_string()), ..About::new(Kind::Src) },
        };
        let line = |packages: &[&str]| waits_for(&packages.iter().map(|package| need(package)).collect::<Vec<_>>());

        assert_eq!(line(&["oak"]), "It waits for source package of oak.");
        assert_eq!(
            line(&["oak", "elm", "fir", "ash"]),
            "It waits for source package of ash, source package of elm, source package of fir and others."
        );
    }
}
