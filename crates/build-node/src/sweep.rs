//! What is removed: folders of tasks that a killed node left, and what the caches have too much of.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anima_environment::{Environments, blocking};
use anyhow::Context;

use crate::kept;
use crate::node::Node;

pub use anima_environment::Swept;

/// Empties the folder of tasks. Nobody else works in it while the node's lock is held.
pub(crate) fn remove_leftovers(work: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("could not remove {}", work.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(work).with_context(|| format!("could not make {}", work.display()))
}

/// Removes what was least recently used.
pub(crate) fn once(environments: &Environments, now: SystemTime) -> anyhow::Result<Swept> {
    environments.sweep_once(now).context("could not sweep the caches")
}

fn kept_once(node: &Node, now: SystemTime) {
    match kept::sweep_once(node.engine.environments.layers(), node.keep, now) {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "{count} kept roots were removed"),
        Err(error) => tracing::warn!("{error:#}"),
    }
}

/// Sweeps at once, which removes the roots of a killed node, and then again and again.
pub(crate) async fn from_time_to_time(node: Arc<Node>) {
    loop {
        let swept = {
            let node = Arc::clone(&node);
            blocking(move || {
                kept_once(&node, SystemTime::now());
                once(&node.engine.environments, SystemTime::now())
            })
            .await
        };
        match swept {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(?swept, "the caches were swept"),
            Err(error) => tracing::warn!("{error:#}"),
        }
        node.engine.environments.until_next_sweep().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_node_left_is_removed_and_the_folder_stays() {
        let data = tempfile::tempdir().unwrap();
        let work = data.path().join("work");
        std::fs::create_dir_all(work.join("task-9-0/git")).unwrap();
        std::fs::write(work.join("task-9-0/contents"), "half").unwrap();

        for _ in 0..2 {
            remove_leftovers(&work).unwrap();
            assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0);
        }
    }
}
