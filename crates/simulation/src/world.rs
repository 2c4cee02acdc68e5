//! One world: what happens in it, in the order of its time.

mod looks;
mod nodes;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::OnceLock,
    thread,
};

use anima_types::{lease::Lease, task::Kind};
use anyhow::{Context as _, Result, anyhow};
use axum::http::{Method, StatusCode};
use rustix::thread::CpuSet;
use serde_json::Value;

use crate::{
    faults::Faults,
    invariants::{self, Leases, Replay},
    master::{CHORES, Call, Ending, Master, START, kind_of},
    node::{HEARTBEAT_SECS, Held, Id, Node, PATIENCE_SECS, heartbeat},
    people::{self, Push, seconds},
    random::Random,
    work,
};

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// What is shown of a world that broke: the last lines of what happened.
const TRACE_LINES: usize = 120;
/// After its faults a world has so long to come to rest; the longest honest way there is a few leases and attempts.
const REST_SECS: i64 = 3_600;
/// How often the chores of the master run without being asked to, things may go wrong by themselves, and the world looks at
/// what users see. Real chores run every second; a world takes most of its time for them.
const STEP_SECS: i64 = 4;
const LOOK_SECS: i64 = 15;
/// A node that has nothing to do asks again after this at most, as a real one waits at the master, and when a task became ready.
const ASK_AGAIN_SECS: i64 = anima_types::lease::MAX_WAIT_SECS as i64;
/// A killed process is back within this.
const DOWN_SECS: i64 = 40;
/// A live node is refused its name by one late word at a time, and there are few lives.
const MAX_REFUSED: u32 = 3;
/// Steps of an answer after which who asked may be gone; most answers take less.
const GONE_STEPS: i64 = 12;
/// Events in one answer.
const EVENTS: usize = 1_000;

/// A world in which something was not as it has to be.
#[derive(Debug)]
pub struct Broken {
    /// Which world.
    pub seed: u64,
    /// What was wrong, with the last lines of what had happened.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "world {}: {}", self.seed, self.what)
    }
}

/// What happened in a world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Worlds.
    pub world_count: usize,
    /// Pushes that were built and released.
    pub push_count: usize,
    /// Events that the master wrote down.
    pub event_count: usize,
    /// Times that the master was killed.
    pub master_kill_count: usize,
    /// Times that it was killed after something was committed, and before all that follows from it was moved on.
    pub late_kill_count: usize,
    /// Times that a node was killed.
    pub node_kill_count: usize,
    /// Messages that were lost.
    pub lost_count: usize,
    /// Answers that nobody was there for any more.
    pub gone_count: usize,
    /// How long it took, in its own time.
    pub secs: i64,
}

impl Summary {
    /// Returns both together.
    pub const fn and(self, other: Summary) -> Summary {
        Summary {
            world_count: self.world_count + other.world_count,
            push_count: self.push_count + other.push_count,
            event_count: self.event_count + other.event_count,
            master_kill_count: self.master_kill_count + other.master_kill_count,
            late_kill_count: self.late_kill_count + other.late_kill_count,
            node_kill_count: self.node_kill_count + other.node_kill_count,
            lost_count: self.lost_count + other.lost_count,
            gone_count: self.gone_count + other.gone_count,
            secs: self.secs + other.secs,
        }
    }
}

/// Lives through the world of a seed.
pub fn run(seed: u64) -> Result<Summary, Broken> {
    let mut random = Random::new(seed);
    let faults = Faults::of(&mut random);
    run_with(seed, random, faults)
}

/// Lives through the world of a seed on one processor: its master's database answers from another thread at each question, and to wake
/// a thread of another processor takes longer than the answer.
pub fn run_on_one_core(seed: u64, core: usize) -> Result<Summary, Broken> {
    // Asked once: a thread that keeps to one processor is told that there is one.
    static COUNT: OnceLock<usize> = OnceLock::new();
    let count = *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, usize::from));
    let mut cores = CpuSet::new();
    cores.set(core % count);
    // Where it is not allowed, the world is as good, and slower.
    let _ = rustix::thread::sched_setaffinity(None, &cores);
    run(seed)
}

/// Lives through a world with these faults.
pub fn run_with(seed: u64, random: Random, faults: Faults) -> Result<Summary, Broken> {
    let broken = |what: String| Broken { seed, what };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| broken(error.to_string()))?;
    runtime.block_on(async {
        let mut world = World::begin(random, faults).await.map_err(|error| broken(format!("{error:#}")))?;
        let lived = world.live().await;
        lived.map_err(|error| broken(format!("{error:#}\n{faults:?}\n{}", world.trace())))?;
        Ok(world.summary)
    })
}

enum Happening {
    Push(Push),
    /// A call is at the master.
    Arrives(Option<Id>, Call),
    /// Its answer is at the node.
    Answered(Id, StatusCode, Vec<u8>),
    /// Nobody was there to take it.
    Refused(Id),
    /// The node has waited long enough.
    Patience(Id),
    /// A node goes on; for the life that it is meant for.
    Wake(usize, u64),
    /// A node says that it lives.
    Heartbeat(usize, u64, Box<Lease>),
    NodeBegins(usize),
    MasterBegins,
    /// Some time has passed.
    Step,
    Look,
}

struct World {
    random: Random,
    faults: Faults,
    now: i64,
    /// What the master's clock is ahead of the world's.
    skew: i64,
    happenings: BTreeMap<(i64, u64), Happening>,
    count: u64,
    master: Master,
    nodes: Vec<Node>,
    tokens: BTreeMap<&'static str, String>,
    pushes_open: usize,
    /// Packages and commits that the master took.
    pushed: Vec<(String, String)>,
    leases: Leases,
    replay: Replay,
    lines: VecDeque<String>,
    summary: Summary,
}

impl World {
    async fn begin(mut random: Random, faults: Faults) -> Result<World> {
        let master = Master::start(faults.looks, faults.team_tasks).await?;
        let roles = ["build-node", "test-node", "sign-server", "release-system", "git-service", "admin"];
        let tokens = roles.map(|role| Ok((role, master.token(role)?))).into_iter().collect::<Result<_>>()?;
        let nodes = vec![
            Node::new("build-1", &[Kind::Src, Kind::Build]),
            Node::new("build-2", &[Kind::Src, Kind::Build]),
            Node::new("build-3", &[Kind::Build]),
            Node::new("test-1", &[Kind::Test]),
            Node::new("sign-1", &[Kind::Sign]),
            Node::new("release-1", &[Kind::Plan, Kind::Publish]),
        ];
        let pushes = people::pushes(&mut random);
        let mut world = World {
            random,
            faults,
            now: START.0,
            skew: 0,
            happenings: BTreeMap::new(),
            count: 0,
            master,
            nodes,
            tokens,
            pushes_open: pushes.len(),
            pushed: Vec::new(),
            leases: Leases::default(),
            replay: Replay::default(),
            lines: VecDeque::new(),
            summary: Summary { world_count: 1, push_count: pushes.len(), ..Summary::default() },
        };
        for (at, push) in pushes {
            world.after(at * SECOND, Happening::Push(push));
        }
        for index in 0..world.nodes.len() {
            let delay = world.random.between(0, SECOND);
            world.after(delay, Happening::Wake(index, 1));
        }
        world.after(STEP_SECS * SECOND, Happening::Step);
        world.after(LOOK_SECS * SECOND, Happening::Look);
        Ok(world)
    }

    fn after(&mut self, micros: i64, happening: Happening) {
        self.count += 1;
        self.happenings.insert((self.now + micros, self.count), happening);
    }

    fn say(&mut self, line: impl fmt::Display) {
        if self.lines.len() == TRACE_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:9.3} {line}", seconds(self.now, START)));
    }

    fn trace(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn is_faulty(&self) -> bool {
        self.now < START.0 + self.faults.secs * SECOND
    }

    /// Returns true so many times in a thousand, while things go wrong.
    fn goes_wrong(&mut self, thousandths: u32) -> bool {
        self.is_faulty() && self.random.thousandths(thousandths)
    }

    async fn live(&mut self) -> Result<()> {
        let end = START.0 + (self.faults.secs + REST_SECS) * SECOND;
        while let Some(((at, _), happening)) = self.happenings.pop_first() {
            self.now = at;
            self.master.set_clock(self.now + self.skew);
            self.happens(happening).await?;
            if self.now >= end {
                let open = self.open().await?;
                return Err(anyhow!(
                    "nothing goes wrong any more for {REST_SECS} s, and the world has not come to rest:\n{open}"
                ));
            }
            if self.summary.secs > 0 {
                return Ok(());
            }
        }
        Err(anyhow!("nothing happens any more"))
    }

    async fn happens(&mut self, happening: Happening) -> Result<()> {
        match happening {
            Happening::Push(push) => self.push(push).await,
            Happening::Arrives(id, call) => self.arrives(id, call).await,
            Happening::Answered(id, status, body) => self.answered(id, status, body),
            Happening::Refused(id) => self.unanswered(id, SECOND),
            Happening::Patience(id) => self.unanswered(id, 0),
            Happening::Wake(node, life) => self.wake(node, life).await,
            Happening::Heartbeat(node, life, lease) => self.beat(node, life, *lease),
            Happening::NodeBegins(node) => self.node_begins(node),
            Happening::MasterBegins => self.master_begins().await,
            Happening::Step => self.step().await,
            Happening::Look => self.look().await,
        }
    }

    /// Returns what has not ended, and what the nodes do, in words.
    async fn open(&mut self) -> Result<String> {
        let mut text = String::new();
        for noun in ["builds", "releases"] {
            for one in self.list(noun).await?.unwrap_or_default() {
                text += &format!("{noun} {}: {} {}\n", one["id"], one["status"], one["summary"]);
            }
        }
        for task in self.replay.open_tasks() {
            let task = self.get(&format!("/api/v1/tasks/{task}")).await?.unwrap_or_default();
            text += &format!("task {} ({}): {} {}\n", task["id"], task["kind"], task["status"], task["why"]);
        }
        for node in &self.nodes {
            let task = node.task.as_ref().map(|held| held.lease.task);
            text += &format!(
                "{}: alive {}, waits for call {:?}, task {task:?}\n",
                node.name, node.is_alive, node.waits_for
            );
        }
        Ok(text)
    }

    // People.

    /// The Git Service keeps a push until the master has taken it.
    async fn push(&mut self, push: Push) -> Result<()> {
        let call = people::tell(&push, self.tokens["git-service"].clone());
        let answer = self.ask(&call).await?;
        match answer {
            Some((status, _)) if status.is_success() && !self.goes_wrong(self.faults.lost) => {
                self.say(format_args!("{} pushed {}-{}", push.pusher, push.package, push.version));
                self.pushed.push((push.package.to_string(), people::commit(&push)));
                self.pushes_open -= 1;
            }
            _ => {
                let delay = self.random.between(SECOND / 10, 5 * SECOND);
                self.after(delay, Happening::Push(push));
            }
        }
        Ok(())
    }

    async fn person_acts(&mut self) -> Result<()> {
        if self.random.thousandths(300) {
            let Some(rebuilds) = self.list("rebuilds").await? else { return Ok(()) };
            let token = self.tokens["admin"].clone();
            let call = people::act_on_rebuilds(&mut self.random, &rebuilds, token);
            let how = self.ask(&call).await?.map(|(status, _)| status.as_u16());
            self.say(format_args!("a person: {} {} {how:?}", call.path, String::from_utf8_lossy(&call.body)));
            return Ok(());
        }
        let (Some(builds), Some(releases)) = (self.list("builds").await?, self.list("releases").await?) else {
            return Ok(());
        };
        let token = self.tokens["admin"].clone();
        let Some(call) = people::act(&mut self.random, &builds, &releases, self.now + self.skew, token) else {
            return Ok(());
        };
        let answer = self.ask(&call).await?;
        let how = answer.map(|(status, _)| status.as_u16());
        self.say(format_args!("a person: {} {how:?}", call.path));
        Ok(())
    }

    // The network.

    fn send(&mut self, node: usize, call: Call, is_waited_for: bool) {
        let number = self.nodes[node].next_call();
        let id = Id { node, life: self.nodes[node].life, call: number };
        if is_waited_for {
            self.nodes[node].waits_for = Some(number);
            self.after(PATIENCE_SECS * SECOND, Happening::Patience(id));
        }
        if self.is_cut_off(node) || self.goes_wrong(self.faults.lost) {
            self.summary.lost_count += 1;
            return;
        }
        if self.goes_wrong(self.faults.doubled) {
            let delay = self.random.between(0, 60 * SECOND);
            self.after(delay, Happening::Arrives(None, call.clone()));
        }
        let delay = self.delay();
        self.after(delay, Happening::Arrives(Some(id), call));
    }

    fn delay(&mut self) -> i64 {
        match self.goes_wrong(self.faults.late) {
            true => self.random.between(SECOND, 90 * SECOND),
            false => self.random.between(200, 50_000),
        }
    }

    fn is_cut_off(&self, node: usize) -> bool {
        self.nodes[node].cut_off_until > self.now
    }

    async fn arrives(&mut self, id: Option<Id>, call: Call) -> Result<()> {
        if !self.master.is_up() {
            if let Some(id) = id {
                let delay = self.delay();
                self.after(delay, Happening::Refused(id));
            }
            return Ok(());
        }
        let Some((status, body)) = self.ask(&call).await? else { return Ok(()) };
        self.taken(&call, status, &body)?;
        let Some(id) = id else { return Ok(()) };
        if self.is_cut_off(id.node) || self.goes_wrong(self.faults.lost) {
            self.summary.lost_count += 1;
            return Ok(());
        }
        let delay = self.delay();
        self.after(delay, Happening::Answered(id, status, body));
        Ok(())
    }

    /// Asks the master, which may be killed by it; looks at its answer as such.
    async fn ask(&mut self, call: &Call) -> Result<Option<(StatusCode, Vec<u8>)>> {
        let ending = if self.goes_wrong(self.faults.master_killed) {
            Some(Ending::Master(self.steps(&kind_of(call))))
        } else if self.goes_wrong(self.faults.client_gone) {
            Some(Ending::Client(self.random.between(0, GONE_STEPS) as u32))
        } else {
            None
        };
        let was_up = self.master.is_up();
        let answer = self.master.ask(call, ending).await?;
        if was_up && answer.is_none() && self.master.is_up() {
            self.say(format_args!("who asked {} {} is gone", call.method, call.path));
            self.summary.gone_count += 1;
        }
        if was_up && !self.master.is_up() {
            self.master_is_killed(&format!("while it answered {} {}", call.method, call.path)).await?;
        }
        if let Some((status, body)) = &answer
            && status.is_server_error()
        {
            let body = String::from_utf8_lossy(body);
            return Err(anyhow!("{} {} was answered with {status}: {body}", call.method, call.path));
        }
        // Who was given nothing and who only read changed nothing.
        let is_idle = matches!(&answer, Some((StatusCode::NO_CONTENT, _))) || call.method == Method::GET;
        if !is_idle {
            self.move_on().await?;
        }
        Ok(answer)
    }

    /// Returns after how many of its steps something is cut off: of what it took the last time, or of what it takes at most, and as
    /// often near its end as anywhere. A report takes some dozen, giving a release to users some hundred.
    fn steps(&mut self, kind: &str) -> u32 {
        let length = self.master.length(kind);
        let steps = if self.random.thousandths(500) { length.last } else { length.longest };
        let from = if self.random.thousandths(500) { 0 } else { 800 };
        // A share of it: a few steps more or less, as the disk has it, leave the world nearly what it was.
        (i64::from(steps) * self.random.between(from, 1_000) / 1_000) as u32
    }

    /// Notes what the master has given out and taken.
    fn taken(&mut self, call: &Call, status: StatusCode, body: &[u8]) -> Result<()> {
        if status != StatusCode::OK {
            return Ok(());
        }
        if call.path == "/api/v1/leases" {
            let lease: Lease = serde_json::from_slice(body).context("could not read a lease")?;
            self.say(format_args!("task {} is given out with lease {}", lease.task, lease.number));
            return self.leases.given(lease.task, lease.number).map_err(|complaint| anyhow!(complaint));
        }
        if let Some(task) = call.path.strip_prefix("/api/v1/tasks/").and_then(|rest| rest.strip_suffix("/report")) {
            let report: Value = serde_json::from_slice(&call.body)?;
            let number = report["number"].as_i64().context("a report has a number")?;
            self.say(format_args!("the report of task {task} with lease {number} is taken"));
            let task = anima_types::id::TaskId(task.parse()?);
            return self.leases.reported(task, number).map_err(|complaint| anyhow!(complaint));
        }
        Ok(())
    }

    // The master.

    /// The loops of the master that wait for something to be due.
    async fn move_on(&mut self) -> Result<()> {
        let is_killed = self.goes_wrong(self.faults.master_killed);
        let steps = is_killed.then(|| self.steps(CHORES));
        if self.master.chores(steps).await? {
            self.master_is_killed("while it moved something on").await?;
        }
        for _ in 0..self.master.ready_count().min(self.nodes.len()) {
            self.tell_nodes();
        }
        Ok(())
    }

    /// Something became ready: one of each role that has nothing to do asks for it, as one of those that wait at the real master
    /// is woken. The rest come by themselves.
    fn tell_nodes(&mut self) {
        let first = self.random.between(0, self.nodes.len() as i64) as usize;
        let mut told = BTreeSet::new();
        let count = self.nodes.len();
        for index in (0..count).map(|step| (first + step) % count) {
            let node = &mut self.nodes[index];
            let is_idle = node.is_alive && node.task.is_none() && node.waits_for.is_none() && node.asks_at > self.now;
            if is_idle && node.cut_off_until <= self.now && told.insert(node.role()) {
                node.asks_at = self.now;
                let life = node.life;
                let delay = self.random.between(200, 5_000);
                self.after(delay, Happening::Wake(index, life));
            }
        }
    }

    async fn master_is_killed(&mut self, when: &str) -> Result<()> {
        self.summary.master_kill_count += 1;
        self.summary.late_kill_count += usize::from(self.master.has_more_to_do());
        let how = match self.random.thousandths(300) {
            true => {
                self.master.lose_power().await?;
                "loses its power"
            }
            false => "is killed",
        };
        self.say(format_args!("the master {how} {when}"));
        let delay = self.random.between(SECOND / 10, DOWN_SECS * SECOND);
        self.after(delay, Happening::MasterBegins);
        Ok(())
    }

    async fn master_begins(&mut self) -> Result<()> {
        self.master.begin().await.context("the master does not start again")?;
        self.say("the master is back");
        self.move_on().await
    }
}
