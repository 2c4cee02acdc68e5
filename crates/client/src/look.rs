//! What is found, what waits, and how busy nodes are.

use anima_types::{
    id::RepositoryId,
    node::Node,
    node_load::LoadSample,
    search::{Everything, EverythingQuery, Search, SearchKind},
    task_list::{ListQuery, ListedTask},
};
use serde::Serialize;

use crate::{Client, Error, http::segment};

/// No query.
const NONE: &[(&str, &str); 0] = &[];

/// Tasks that are read where nothing is said: a screen of them.
const TASKS: u32 = 50;

#[derive(Serialize)]
struct RepositoryQuery<'a> {
    q: &'a str,
    #[serde(rename = "in")]
    kind: SearchKind,
}

impl Client {
    /// Returns what has a text, of each kind the first.
    pub async fn search(&self, query: &EverythingQuery) -> Result<Everything, Error> {
        self.get("api/v1/search", query).await
    }

    /// Returns what users see in a repository and has a text.
    pub async fn search_repository(
        &self,
        repository: RepositoryId,
        kind: SearchKind,
        text: &str,
    ) -> Result<Search, Error> {
        let query = RepositoryQuery { q: text, kind };
        self.get(&format!("api/v1/repositories/{repository}/search"), &query).await
    }

    /// Returns tasks, those that have not ended in the order of the queue.
    pub async fn tasks(&self, query: &ListQuery) -> Result<Vec<ListedTask>, Error> {
        self.list("api/v1/tasks", query, Some(query.limit.unwrap_or(TASKS))).await
    }

    /// Returns a node.
    pub async fn node(&self, node: &str) -> Result<Node, Error> {
        self.get(&format!("api/v1/nodes/{}", segment(node)), NONE).await
    }

    /// Returns how busy a node was in the last days, the oldest first.
    pub async fn node_load(&self, node: &str) -> Result<Vec<LoadSample>, Error> {
        self.get(&format!("api/v1/nodes/{}/load", segment(node)), NONE).await
    }
}
