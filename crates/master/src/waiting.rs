//! Claims that wait for a task: each ready task wakes one node that can take it, however many wait.
//!
//! Were all woken, a thousand nodes would look at the queue a thousand times for each task. A claim is here from before its first
//! look, so that no task becomes ready unseen; a node that goes away while it is awake hands its turn on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anima_types::{
    Arch,
    event::Event,
    id::TaskId,
    lease::{Claim, Condition},
    task::{Kind, Status},
};
use tokio::sync::{Notify, broadcast::error::RecvError};

use crate::{
    app::App,
    error::ApiResult,
    fit::{self, Asks},
};

/// What wakes nodes begins again after this when the database did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The claims that wait at this master; clones are the same.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Claims>>);

#[derive(Default)]
struct Claims {
    by_number: BTreeMap<u64, Waiter>,
    newest: u64,
}

struct Waiter {
    node: String,
    condition: Condition,
    kinds: Vec<Kind>,
    archs: Vec<Arch>,
    emulated: Vec<Arch>,
    /// Whether it gets anything just now; one that does not waits for that to change.
    takes: bool,
    /// What it was woken for, until it has looked.
    woken_for: Option<Want>,
    /// What it was woken for and found not to be for it: those are for others.
    passed: BTreeSet<Turn>,
    wake: Arc<Notify>,
}

/// A task and the number of its last lease: once more in the queue, it is another turn.
type Turn = (TaskId, i64);

/// A task that became ready, and what it asks of a node.
struct Want {
    turn: Turn,
    kind: Kind,
    arch: Option<Arch>,
    asks: Asks,
    /// The node that has the layers of its package.
    home: Option<String>,
    /// The nodes that lost it, the last one first.
    avoided: Vec<String>,
}

impl Want {
    /// Returns how well a claim suits, the least the best; nothing where it does not: one that runs the architecture rather than
    /// one that emulates it, another than the one that lost it, and then the one that has the layers.
    fn rank(&self, waiter: &Waiter) -> Option<impl Ord + use<>> {
        let is_free = waiter.takes && waiter.woken_for.is_none() && waiter.kinds.contains(&self.kind);
        let runs = self.arch.is_none_or(|arch| waiter.archs.contains(&arch));
        let emulates = self.arch.is_some_and(|arch| waiter.emulated.contains(&arch));
        let fits = || self.asks.lacks(&waiter.condition).is_none() && !waiter.passed.contains(&self.turn);
        let lost = self.avoided.contains(&waiter.node).then(|| self.avoided.first() == Some(&waiter.node));
        let is_home = self.home.as_ref() == Some(&waiter.node);
        (is_free && (runs || emulates) && fits()).then_some((!runs, lost, !is_home))
    }
}

/// What a look at the queue gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// A task.
    Task(TaskId),
    /// There is none.
    Nothing,
    /// There are some, and they are for others.
    NotForIt,
    /// The node gets nothing just now.
    NotNow,
}

/// A claim that waits.
pub struct WaitingClaim {
    waiting: Waiting,
    number: u64,
    wake: Arc<Notify>,
    /// What it was woken for and looks for now.
    looks_for: Option<Want>,
}

impl Waiting {
    /// Lets a claim wait until what is returned is dropped.
    pub fn enter(&self, claim: &Claim) -> WaitingClaim {
        let wake = Arc::new(Notify::new());
        let mut claims = self.lock();
        claims.newest += 1;
        let number = claims.newest;
        let waiter = Waiter {
            node: claim.node.clone(),
            condition: claim.condition.clone(),
            kinds: claim.kinds.clone(),
            archs: claim.architectures.clone(),
            emulated: claim.emulated.clone(),
            takes: true,
            woken_for: None,
            passed: BTreeSet::new(),
            wake: wake.clone(),
        };
        claims.by_number.insert(number, waiter);
        drop(claims);
        WaitingClaim { waiting: self.clone(), number, wake, looks_for: None }
    }

    /// Wakes the one that has waited longest of those that suit such a task best.
    fn wake_one(&self, want: Want) {
        let mut claims = self.lock();
        let ranked = claims.by_number.iter().filter_map(|(&number, waiter)| Some((want.rank(waiter)?, number)));
        let Some((_, number)) = ranked.min() else { return };
        if let Some(waiter) = claims.by_number.get_mut(&number) {
            waiter.woken_for = Some(want);
            waiter.wake.notify_one();
        }
    }

    fn wake_all(&self) {
        self.lock().by_number.values().for_each(|waiter| waiter.wake.notify_one());
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitingClaim {
    /// Notes that the claim looks at the queue now: what it was woken for until now is in what it sees.
    pub fn looks(&mut self) {
        let mut claims = self.waiting.lock();
        let Some(waiter) = claims.by_number.get_mut(&self.number) else { return };
        self.looks_for = waiter.woken_for.take().or(self.looks_for.take());
    }

    /// Notes what the look gave. One that was woken for a task and may not take it, or that found another one or that what there is
    /// is not for it, leaves it to the next; one that found nothing saw that somebody else has it.
    pub fn found(&mut self, found: Found) {
        let mut claims = self.waiting.lock();
        let mut woken_for = None;
        let turn = self.looks_for.as_ref().map(|want| want.turn);
        let is_settled = match found {
            Found::Task(task) => turn.is_some_and(|(id, _)| id == task),
            Found::Nothing => true,
            Found::NotForIt | Found::NotNow => false,
        };
        if is_settled {
            self.looks_for = None;
        }
        if let Some(waiter) = claims.by_number.get_mut(&self.number) {
            if found == Found::NotForIt {
                waiter.passed.extend(turn);
            }
            // Who has its task goes.
            waiter.takes = matches!(found, Found::Nothing | Found::NotForIt);
            if !waiter.takes {
                woken_for = waiter.woken_for.take();
            }
        }
        drop(claims);
        self.hand_on();
        self.looks_for = woken_for;
        self.hand_on();
    }

    /// Waits until there may be something.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    fn hand_on(&mut self) {
        if let Some(want) = self.looks_for.take() {
            self.waiting.wake_one(want);
        }
    }
}

impl Drop for WaitingClaim {
    fn drop(&mut self) {
        let left = self.waiting.lock().by_number.remove(&self.number);
        if let Some(want) = left.and_then(|waiter| waiter.woken_for) {
            self.waiting.wake_one(want);
        }
        self.hand_on();
    }
}

/// Wakes nodes as tasks become ready, until it is dropped.
pub async fn run(app: &App) {
    let mut events = app.db.subscribe();
    // What became ready before it listened.
    app.waiting.wake_all();
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Err(error) = wake_for(app, &event).await {
                    tracing::error!("could not look who takes a task: {}", error.body.message);
                    tokio::time::sleep(RETRY_AFTER).await;
                    app.waiting.wake_all();
                }
            }
            // Too many to remember.
            Err(RecvError::Lagged(_)) => app.waiting.wake_all(),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn wake_for(app: &App, event: &Event) -> ApiResult<()> {
    match (event.noun.as_str(), event.status.as_deref(), event.task) {
        ("task", Some(status), Some(task)) if status == Status::Ready.name() => {
            let want = want(app, task).await?;
            app.waiting.wake_one(want);
        }
        // A node that comes is no news for the others; that one is drained or not, or the whole, is.
        ("node", ..) => {
            app.roster.forget();
            if event.verb != "joined" {
                app.waiting.wake_all();
            }
        }
        ("maintenance", ..) => app.waiting.wake_all(),
        _ => {}
    }
    Ok(())
}

async fn want(app: &App, task: TaskId) -> ApiResult<Want> {
    let mut read = app.db.read().await?;
    let task = anima_db::task::get(&mut read, task).await?;
    let asks = Asks::of(app, &mut read, &task).await?;
    let avoided = fit::avoided(&mut read, &task, app.now()).await?;
    let turn = (task.id, task.lease_number);
    Ok(Want { turn, kind: task.about.kind, arch: task.about.arch, asks, home: task.home, avoided })
}

#[cfg(test)]
mod tests {
    use anima_types::lease::Condition;

    use super::*;

    fn claim(kinds: &[Kind], archs: &[Arch], emulated: &[Arch]) -> Claim {
        Claim {
            node: "n".into(),
            kinds: kinds.to_vec(),
            architectures: archs.to_vec(),
            emulated: emulated.to_vec(),
            slots: 1,
            version: "1".into(),
            instance: String::new(),
            started_at: None,
            wait_secs: 0,
            condition: Condition::default(),
        }
    }

    fn want(task: i64, kind: Kind, arch: Option<Arch>) -> Want {
        let (asks, home, avoided) = (Asks::default(), None, Vec::new());
        Want { turn: (TaskId(task), 1), kind, arch, asks, home, avoided }
    }

    fn is_awake(place: &WaitingClaim) -> bool {
        place.waiting.lock().by_number[&place.number].woken_for.is_some()
    }

    #[test]
    fn a_task_wakes_the_one_that_waits_longest_of_those_that_run_it() {
        let waiting = Waiting::default();
        let emulating = waiting.enter(&claim(&[Kind::Build], &[Arch::X86_64], &[Arch::Aarch64]));
        let testing = waiting.enter(&claim(&[Kind::Test], &[Arch::Aarch64], &[]));
        let first = waiting.enter(&claim(&[Kind::Build], &[Arch::Aarch64], &[]));
        let second = waiting.enter(&claim(&[Kind::Build], &[Arch::Aarch64], &[]));
        let awake = || [&emulating, &testing, &first, &second].map(is_awake);

        waiting.wake_one(want(1, Kind::Build, Some(Arch::Aarch64)));
        assert_eq!(awake(), [false, false, true, false]);
        waiting.wake_one(want(2, Kind::Build, Some(Arch::Aarch64)));
        assert_eq!(awake(), [false, false, true, true]);
        waiting.wake_one(want(3, Kind::Build, Some(Arch::Aarch64)));
        assert_eq!(awake(), [true, false, true, true], "where none of its own is free, one that emulates");
    }

    #[test]
    fn who_goes_or_may_not_or_finds_another_task_hands_the_turn_on() {
        let waiting = Waiting::default();
        let enter = || waiting.enter(&claim(&[Kind::Build], &[Arch::X86_64], &[]));
        let (first, mut second, mut third, fourth) = (enter(), enter(), enter(), enter());
        waiting.wake_one(want(1, Kind::Build, Some(Arch::X86_64)));
        assert!(is_awake(&first));

        drop(first);
        assert!(is_awake(&second) && !is_awake(&third));
        second.looks();
        second.found(Found::NotNow);
        assert!(!is_awake(&second) && is_awake(&third), "one that gets nothing is not woken for tasks");
        third.looks();
        third.found(Found::Task(TaskId(9)));
        assert!(is_awake(&fourth), "the task that it was woken for is still there");
    }

    #[test]
    fn the_node_that_has_the_layers_is_woken_and_not_the_one_that_lost_the_task_nor_one_that_lacks_something() {
        let waiting = Waiting::default();
        let enter = |node: &str, features: &[&str]| {
            let features = features.iter().map(ToString::to_string).collect();
            let condition = Condition { features, ..Condition::default() };
            waiting.enter(&Claim { node: node.into(), condition, ..claim(&[Kind::Build], &[Arch::X86_64], &[]) })
        };
        let places = [enter("lost", &["kvm"]), enter("plain", &[]), enter("other", &["kvm"]), enter("home", &["kvm"])];
        let wake = || {
            let (home, avoided) = (Some("home".to_string()), vec!["lost".to_string()]);
            let asks = Asks::features(&["kvm"]);
            waiting.wake_one(Want { asks, home, avoided, ..want(1, Kind::Build, Some(Arch::X86_64)) });
            places.each_ref().map(is_awake)
        };

        assert_eq!(wake(), [false, false, false, true]);
        assert_eq!(wake(), [false, false, true, true]);
        assert_eq!(wake(), [true, false, true, true], "where there is no other, the one that lost it");
        assert_eq!(wake(), [true, false, true, true], "nobody is woken for what it lacks");
    }

    #[test]
    fn who_finds_that_a_task_is_not_for_it_hands_it_on_and_is_not_asked_again() {
        let waiting = Waiting::default();
        let enter = || waiting.enter(&claim(&[Kind::Build], &[Arch::X86_64], &[]));
        let mut places = [enter(), enter()];
        waiting.wake_one(want(1, Kind::Build, Some(Arch::X86_64)));

        for at in [0, 1] {
            assert!(is_awake(&places[at]));
            places[at].looks();
            places[at].found(Found::NotForIt);
        }

        assert_eq!(places.each_ref().map(is_awake), [false, false], "it is not handed to and fro");
        waiting.wake_one(want(2, Kind::Build, Some(Arch::X86_64)));
        assert_eq!(places.each_ref().map(is_awake), [true, false]);
    }

    #[test]
    fn who_found_its_task_or_none_wakes_nobody() {
        for found in [Found::Task(TaskId(1)), Found::Nothing] {
            let waiting = Waiting::default();
            let mut first = waiting.enter(&claim(&[Kind::Sign], &[], &[]));
            let second = waiting.enter(&claim(&[Kind::Sign], &[], &[]));
            waiting.wake_one(want(1, Kind::Sign, None));
            first.looks();
            first.found(found);
            drop(first);
            assert!(!is_awake(&second), "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost() {
        let waiting = Waiting::default();
        let mut place = waiting.enter(&claim(&[Kind::Sign], &[], &[]));
        place.looks();
        place.found(Found::Nothing);
        waiting.wake_one(want(1, Kind::Sign, None));
        tokio::time::timeout(Duration::from_secs(5), place.woken()).await.expect("it does not sleep");
    }
}
