//! `anima node`: who takes tasks.

use anima_types::node;
use clap::Subcommand;

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Look at nodes: who takes tasks
#[derive(Debug, Subcommand)]
pub enum Node {
    /// List nodes
    List,
}

impl Node {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Node::List => ask.output.list(
                &ask.client.nodes().await?,
                ["node", "state", "takes", "architectures", "slots", "works on", "heard of", "version"],
                row,
                "No node was ever heard of. Start one: `anima build-node --master URL --token-file FILE`.",
            ),
        }
    }
}

fn row(node: &node::Node) -> [String; 8] {
    let join = |names: Vec<String>| or_dash(Some(names.join(", ")).filter(|text| !text.is_empty()));
    [
        node.name.clone(),
        if node.is_online { "online" } else { "away" }.to_string(),
        join(node.kinds.iter().map(|kind| kind.name().to_string()).collect()),
        join(node.architectures.iter().map(|arch| arch.name().to_string()).collect()),
        node.slots.to_string(),
        join(node.tasks.iter().map(ToString::to_string).collect()),
        output::moment(node.seen_at),
        node.version.clone(),
    ]
}
