//! The nodes, as those who give out tasks look at them: read once a second at most, however many claims come.
//!
//! Who knows that a node has changed says so, and the next look reads them anew. What another master knows is a second late; it is
//! about who would be there besides, and no lease rests on it.

use std::sync::{Arc, Mutex, PoisonError};

use anima_db::{Connection, node::Node};
use anima_types::Timestamp;

use crate::error::ApiResult;

/// Nodes that were read so long ago are read again.
const KEPT_SECS: f64 = 1.0;

/// See the module.
#[derive(Default)]
pub struct Roster(Mutex<Option<(Timestamp, Arc<Vec<Node>>)>>);

impl Roster {
    /// Returns all nodes, as they were a second ago at most.
    pub async fn get(&self, connection: &mut Connection, now: Timestamp) -> ApiResult<Arc<Vec<Node>>> {
        if let Some(nodes) = self.kept(now) {
            return Ok(nodes);
        }
        let nodes = Arc::new(anima_db::node::list(connection).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, nodes.clone()));
        Ok(nodes)
    }

    fn kept(&self, now: Timestamp) -> Option<Arc<Vec<Node>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |at: Timestamp| (0.0..KEPT_SECS).contains(&now.secs_since(at));
        kept.as_ref().filter(|(at, _)| is_fresh(*at)).map(|(_, nodes)| nodes.clone())
    }

    /// Notes that a node has changed.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
