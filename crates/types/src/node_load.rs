//! How busy a node was.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// A node's load is noted so often.
pub const SAMPLE_SECS: i64 = 300;
/// It is known for so long.
pub const KEPT_SECS: i64 = 7 * 86_400;

/// How busy a node was in some five minutes, as it was first heard of in them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoadSample {
    /// When they began.
    pub at: Timestamp,
    /// How many tasks it had.
    pub working: u32,
    /// How many it takes at once.
    pub slots: u32,
    /// How many processes wanted a processor, in hundredths; none where it had no place for another task, and so said nothing.
    pub load_percent: Option<u32>,
    /// Memory that was free.
    pub free_memory_mib: Option<u64>,
    /// Room on the disk that it works on.
    pub free_disk_mib: Option<u64>,
}
