//! How much of the farm a team may have at once, as the configuration says it.

use std::collections::{BTreeMap, btree_map::Entry};

use anima_db::{Connection, Write, task::Task, task_hold};
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
    error::{ApiError, ApiResult},
    fit::Asks,
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
    /// Cores that the tasks of any one team ask for that are ready or at nodes at once: what a package asks for, or one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_cores: Option<u32>,
    /// The same for single teams.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cores_of: BTreeMap<String, u32>,
    /// MiB that the builds of any one team keep in the store that are not released: beyond them it gets no new build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_artifacts_mib: Option<u64>,
    /// The same for single teams.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts_mib_of: BTreeMap<String, u64>,
}

/// What a waiting task that waits for its team's turn says of itself.
const HELD: &str = "It waits for its team's turn: ";
/// People that are named with what they keep.
const MAX_NAMED: usize = 5;

impl Quota {
    /// Returns whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Quota::default()
    }

    /// Refuses bounds that let a team do nothing.
    pub fn check(&self) -> Result<(), String> {
        let is_zero =
            |all: Option<u32>, single: &BTreeMap<String, u32>| all.iter().chain(single.values()).any(|n| *n == 0);
        if is_zero(self.team_tasks, &self.tasks_of) {
            return Err("[quota]: with 0 tasks a team could build nothing".to_string());
        }
        if is_zero(self.team_cores, &self.cores_of) {
            return Err("[quota]: with 0 cores a team could build nothing".to_string());
        }
        if self.team_artifacts_mib.iter().chain(self.artifacts_mib_of.values()).any(|mib| *mib == 0) {
            return Err("[quota]: with 0 MiB of artifacts a team could build nothing".to_string());
        }
        Ok(())
    }

    /// Returns whether a team has a bound on what is under way.
    pub fn bounds(&self, team: &str) -> bool {
        self.tasks(team).is_some() || self.cores(team).is_some()
    }

    fn tasks(&self, team: &str) -> Option<u32> {
        self.tasks_of.get(team).copied().or(self.team_tasks)
    }

    fn cores(&self, team: &str) -> Option<u32> {
        self.cores_of.get(team).copied().or(self.team_cores)
    }

    fn artifacts_mib(&self, team: &str) -> Option<u64> {
        self.artifacts_mib_of.get(team).copied().or(self.team_artifacts_mib)
    }
}

/// A team's bounds, and how much is under way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bound {
    team: String,
    tasks: Option<Used>,
    cores: Option<Used>,
    /// Tasks whose cores are counted.
    with_cores: u64,
}

/// How much of something there may be, and is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Used {
    limit: u64,
    open: u64,
}

impl Bound {
    /// Reads the bounds of a build's team, where it has any.
    pub async fn of(app: &App, connection: &mut Connection, team: Option<&str>) -> ApiResult<Option<Bound>> {
        let quota = &app.config.quota;
        let Some(team) = team.filter(|team| quota.bounds(team)) else { return Ok(None) };
        let mut bound = Bound { team: team.to_string(), ..Bound::default() };
        if let Some(limit) = quota.tasks(team) {
            let open = anima_db::task_queue::count_of_team(connection, team).await?;
            bound.tasks = Some(Used { limit: limit.into(), open: open.try_into().unwrap_or_default() });
        }
        if let Some(limit) = quota.cores(team) {
            let mut open = 0;
            for task in task_hold::under_way_of_team(connection, team).await? {
                open += Asks::of(app, connection, &task).await?.cores();
                bound.with_cores += 1;
            }
            bound.cores = Some(Used { limit: limit.into(), open });
        }
        Ok(Some(bound))
    }

    /// Returns the team.
    pub fn team(&self) -> &str {
        &self.team
    }

    /// Returns how many more tasks may begin, if none asks for more than one core.
    pub fn room(&self) -> usize {
        let of = |used: Option<Used>| used.map_or(u64::MAX, |used| used.limit.saturating_sub(used.open));
        usize::try_from(of(self.tasks).min(of(self.cores))).unwrap_or(usize::MAX)
    }

    /// Takes room for a task; returns whether there was any. One that asks for more cores than the team may have begins when
    /// nothing else of the team is under way: else it never would.
    fn take(&mut self, cores: u64) -> bool {
        let has_room = self.tasks.is_none_or(|used| used.open < used.limit)
            && self.cores.is_none_or(|used| used.open + cores <= used.limit || self.with_cores == 0);
        if has_room {
            self.tasks.iter_mut().for_each(|used| used.open += 1);
            self.cores.iter_mut().for_each(|used| used.open += cores);
            self.with_cores += 1;
        }
        has_room
    }

    /// Gives back the room of a task.
    fn give_back(&mut self, cores: u64) {
        self.tasks.iter_mut().for_each(|used| used.open = used.open.saturating_sub(1));
        self.cores.iter_mut().for_each(|used| used.open = used.open.saturating_sub(cores));
        self.with_cores = self.with_cores.saturating_sub(1);
    }

    /// Returns whether more is under way than may be.
    fn is_over(&self) -> bool {
        self.tasks.is_some_and(|used| used.open > used.limit)
            || self.cores.is_some_and(|used| used.open > used.limit && self.with_cores > 1)
    }

    /// Says why a task that could begin does not.
    pub fn why(&self) -> String {
        let tasks = self.tasks.map(|used| format!("{} tasks", used.limit));
        let cores = self.cores.map(|used| format!("{} cores", used.limit));
        let all = tasks.into_iter().chain(cores).collect::<Vec<_>>().join(" and ");
        format!("{HELD}team {} has at most {all} under way at once.", self.team)
    }

    /// Says how much is under way.
    fn in_words(&self) -> String {
        let tasks = self.tasks.map(|used| format!("{} of {} tasks", used.open, used.limit));
        let cores = self.cores.map(|used| format!("{} of {} cores", used.open, used.limit));
        tasks.into_iter().chain(cores).collect::<Vec<_>>().join(" and ")
    }
}

/// What a team uses of what it may.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The team.
    pub team: String,
    /// In a sentence.
    pub text: String,
    /// Tasks that are under way, and the bound.
    pub tasks: Option<(u64, u64)>,
    /// Cores that they ask for, and the bound.
    pub cores: Option<(u64, u64)>,
    /// Tasks that wait for the team's turn.
    pub held: u64,
    /// Bytes of builds that are not released, and the bound.
    pub kept_bytes: Option<(u64, u64)>,
}

/// Returns what teams with bounds use of what they may.
pub async fn usage(app: &App, connection: &mut Connection) -> ApiResult<Vec<Usage>> {
    let quota = &app.config.quota;
    let mut all = Vec::new();
    if quota.is_empty() {
        return Ok(all);
    }
    for team in anima_db::team::list(connection).await? {
        let bound = Bound::of(app, connection, Some(&team)).await?;
        let held = task_hold::count_for_team(connection, &team, None).await?;
        let kept_bytes = match quota.artifacts_mib(&team) {
            Some(mib) => {
                let kept = anima_db::artifact::kept_by_team(connection, &team).await?;
                Some((kept.iter().map(|(_, bytes)| bytes).sum(), mib << 20))
            }
            None => None,
        };
        if bound.is_none() && kept_bytes.is_none() {
            continue;
        }
        let under_way =
            bound.as_ref().map(|bound| format!("{} under way, {held} more wait for its turn", bound.in_words()));
        let kept = kept_bytes.map(|(kept, most): (u64, u64)| format!("{} of {} MiB kept", kept >> 20, most >> 20));
        let text = under_way.into_iter().chain(kept).collect::<Vec<_>>().join("; ");
        let pair = |used: Option<Used>| used.map(|used| (used.open, used.limit));
        let bound = bound.unwrap_or_default();
        let (tasks, cores) = (pair(bound.tasks), pair(bound.cores));
        all.push(Usage { text: format!("Team {team}: {text}."), team, tasks, cores, held, kept_bytes });
    }
    Ok(all)
}

/// Returns the facts of a task that waits for its team's turn; none where it does not.
pub async fn facts(app: &App, connection: &mut Connection, task: &Task) -> ApiResult<Vec<String>> {
    let Some(build) = task.about.build.filter(|_| task.why.starts_with(HELD)) else { return Ok(Vec::new()) };
    let team = anima_db::build::get(connection, build).await?.team;
    let Some(bound) = Bound::of(app, connection, team.as_deref()).await? else { return Ok(Vec::new()) };
    let before = task_hold::count_for_team(connection, bound.team(), Some(task)).await?;
    let mut facts = vec![
        format!("Team {} has {} under way.", bound.team, bound.in_words()),
        format!("{before} of the tasks that wait for its turn are before it."),
    ];
    if bound.cores.is_some() {
        facts.push(format!("It counts as {} cores.", Asks::of(app, connection, task).await?.cores()));
    }
    Ok(facts)
}

/// Refuses one more build of a team that keeps as much as it may.
pub async fn check_kept(app: &App, connection: &mut Connection, team: Option<&str>) -> ApiResult<()> {
    let Some((team, mib)) = team.and_then(|team| Some((team, app.config.quota.artifacts_mib(team)?))) else {
        return Ok(());
    };
    let kept = anima_db::artifact::kept_by_team(connection, team).await?;
    let bytes: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
    if bytes < mib << 20 {
        return Ok(());
    }
    let who = kept.iter().take(MAX_NAMED).map(|(owner, bytes)| format!("{owner} {} MiB", bytes >> 20));
    let who = who.collect::<Vec<_>>().join(", ");
    let message =
        format!("team {team} keeps {} MiB of builds that are not released, of {mib} that it may: {who}", bytes >> 20);
    Err(ApiError::conflict("team_full", message).hint(
        "Release builds, delete those that nobody wants, or let them go by their age: [retention] unreleased_build_days.",
    ))
}

/// Lets as many tasks of a team wait for a node as it has room for, whichever of its builds they are of: the places that they have,
/// which are by urgency, by age and by what their owners have in the queue, say which. Where a bound was made smaller, those whose
/// turn is the last wait again. Returns how many began.
pub async fn give_turns(app: &App, write: &mut Write, team: &str) -> ApiResult<usize> {
    let Some(mut bound) = Bound::of(app, write, Some(team)).await? else {
        let all = task_hold::held_for_team(write, team, usize::MAX).await?;
        return begin(write, all).await;
    };
    if bound.is_over() {
        take_back(app, write, bound).await?;
        return Ok(0);
    }
    // One more: it may be one that begins although it asks for more than the team may have.
    let next = task_hold::held_for_team(write, team, bound.room().saturating_add(1)).await?;
    let mut tasks = Vec::new();
    for task in next {
        let cores = Asks::of(app, write, &task).await?.cores();
        // The first that has no room keeps its turn: small ones would else pass a large one for ever.
        if !bound.take(cores) {
            break;
        }
        tasks.push(task);
    }
    begin(write, tasks).await
}

async fn take_back(app: &App, write: &mut Write, mut bound: Bound) -> ApiResult<()> {
    let why = bound.why();
    for task in task_hold::last_of_team(write, bound.team(), usize::MAX).await? {
        if !bound.is_over() {
            break;
        }
        bound.give_back(Asks::of(app, write, &task).await?.cores());
        anima_db::task::apply(write, &task, Event::Held, &why).await?;
        task_hold::hold_for_team(write, &[(task.id, task.queued_for)], bound.team(), &why).await?;
    }
    Ok(())
}

async fn begin(write: &mut Write, tasks: Vec<Task>) -> ApiResult<usize> {
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
        let quota =
            Quota { team_tasks: Some(50), tasks_of: BTreeMap::from([("kernel".to_string(), 9)]), ..Quota::default() };

        assert_eq!((quota.tasks("kernel"), quota.tasks("desktop")), (Some(9), Some(50)));
        assert!(!Quota::default().bounds("desktop") && quota.check().is_ok());
        let zero = Quota { cores_of: BTreeMap::from([("kernel".to_string(), 0)]), ..Quota::default() };
        assert!(zero.check().unwrap_err().contains("0 cores"));
    }

    #[test]
    fn what_asks_for_many_cores_waits_for_them_and_begins_alone_where_there_are_never_as_many() {
        let used = |limit, open| Some(Used { limit, open });
        let mut bound = Bound { tasks: used(3, 1), cores: used(8, 2), with_cores: 1, ..Bound::default() };

        assert!(!bound.take(7) && bound.take(6) && !bound.take(1));
        assert_eq!((bound.room(), bound.is_over()), (0, false));
        let mut none = Bound { cores: used(8, 0), ..Bound::default() };
        assert!(none.take(32) && !none.is_over() && !none.take(1));
        bound.give_back(6);
        assert_eq!((bound.tasks, bound.cores), (used(3, 1), used(8, 2)));
        let over = Bound { tasks: used(9, 11), ..Bound::default() };
        assert!(over.is_over() && over.room() == 0);
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
