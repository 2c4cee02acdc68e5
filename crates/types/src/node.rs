//! A node: a machine, or a role on it, that takes tasks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Arch, Timestamp, id::TaskId, task};

/// A node as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Which tasks it takes.
    pub kinds: Vec<task::Kind>,
    /// The architectures that it runs.
    #[schema(value_type = Vec<String>)]
    pub architectures: Vec<Arch>,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Its program's version.
    pub version: String,
    /// When it was last heard of.
    #[schema(value_type = String)]
    pub seen_at: Timestamp,
    /// Whether it waits for work or works.
    pub is_online: bool,
    /// What it works on.
    pub tasks: Vec<TaskId>,
}
