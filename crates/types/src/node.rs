//! A node: a machine, or a role on it, that takes tasks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch, Timestamp,
    id::TaskId,
    lease::{Gives, Machine},
    task,
};

/// A node as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Which tasks it takes.
    pub kinds: Vec<task::Kind>,
    /// The architectures that it runs.
    pub architectures: Vec<Arch>,
    /// The architectures that it emulates.
    #[serde(default)]
    pub emulated: Vec<Arch>,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Its program's version.
    pub version: String,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// Whether it waits for work or works.
    pub is_online: bool,
    /// What it works on.
    pub tasks: Vec<TaskId>,
    /// Whether it takes tasks.
    pub state: State,
    /// Why it takes none, in one sentence, where it takes none.
    pub why: Option<String>,
    /// What its machine has, as it said last.
    pub machine: Option<Machine>,
    /// What it gives to one task at most, as it said last.
    #[serde(default)]
    pub gives: Option<Gives>,
    /// What its machine has that not all have, such as `kvm`.
    #[serde(default)]
    pub features: Vec<String>,
}

/// Whether a node takes tasks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Taking,
    /// It takes no more, and works on what it has.
    Draining,
    /// It takes no more, and works on nothing: it can be stopped.
    Drained,
    /// It says that it can take nothing just now.
    Unfit,
    /// Its program is too old for this master.
    TooOld,
    /// It was not heard of in time.
    Away,
}

impl State {
    /// Returns the word that people see.
    pub const fn name(self) -> &'static str {
        match self {
            State::Taking => "online",
            State::Draining => "draining",
            State::Drained => "drained",
            State::Unfit => "unfit",
            State::TooOld => "too old",
            State::Away => "away",
        }
    }
}

/// `POST /api/v1/nodes/{node}/drain`: it takes no more tasks, and goes on with those that it has.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrainNode {
    /// Why, for others who look.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether its program ends when its tasks are done. One that is started after that takes tasks again: so it is
    /// updated without losing any.
    #[serde(default)]
    pub then_end: bool,
}

/// That a node is drained, and who wanted it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drain {
    /// Since when.
    pub at: Timestamp,
    /// Who wanted it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Whether its program ends then.
    pub then_end: bool,
}
