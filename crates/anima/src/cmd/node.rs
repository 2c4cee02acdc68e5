//! `anima node`: who takes tasks.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anima_client::Error;
use anima_types::{
    enrolment::{CreateEnrolment, RedeemEnrolment},
    node::{self, DrainNode, State},
    permission::Role,
};
use clap::{Args, Subcommand};
use futures_util::StreamExt;

use super::Ask;
use crate::{
    data::write_whole,
    exit::{Failure, Result},
    output::{self, or_dash},
};

/// How long a look at a node may be late if an event was missed between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Look at nodes, and let one take no more tasks
#[derive(Debug, Subcommand)]
pub enum Node {
    /// List nodes
    List,
    /// Show a node: whether it takes tasks, and why not
    Show {
        /// Its name
        node: String,
    },
    /// Let a node take no more tasks; it goes on with those that it has
    Drain(Drain),
    /// Make a code with which a new node gets its token: once, and soon
    Enrol {
        /// The node's name; the token is good for a node of that name only
        node: String,
        /// What it is: build-node, test-node, sign-server, release-system, git-service
        #[arg(long, value_name = "ROLE", value_parser = parse_service)]
        role: Role,
        /// Minutes that the code is good for [default: 30]
        #[arg(long)]
        minutes: Option<u32>,
    },
    /// On the new node: exchange a code for the token, and keep it
    Join {
        /// What `anima node enrol` printed
        code: String,
        /// The file to keep it in
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
    },
    /// Let a node take tasks again
    Undrain {
        /// Its name
        node: String,
    },
}

#[derive(Args, Debug)]
pub struct Drain {
    /// Its name
    node: String,
    /// Why, for others who look
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Let its program end when its tasks are done; one that is started after that takes tasks again
    #[arg(long)]
    then_end: bool,
    /// Wait until it works on nothing
    #[arg(long)]
    wait: bool,
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
            Node::Show { node } => ask.output.show(&find(ask, &node).await?, describe),
            Node::Drain(drain) => drain.run(ask).await,
            Node::Enrol { node, role, minutes } => {
                let wanted = CreateEnrolment { node: node.clone(), role, minutes };
                let master = ask.client.base_url().trim_end_matches('/');
                ask.output.show(&ask.client.create_enrolment(&wanted).await?, |created| {
                    let (code, role, until) = (&created.code, role.name(), output::moment(created.expires_at));
                    format!(
                        "{code}\n\nGood once, until {until}. On the new node:\n\
                         anima node join {code} --master {master} --token-file FILE\n\
                         anima {role} --name {node} --master {master} --token-file FILE"
                    )
                })
            }
            Node::Join { code, token_file } => join(ask, code, &token_file).await,
            Node::Undrain { node } => ask.output.show(&ask.client.undrain_node(&node).await?, describe),
        }
    }
}

impl Drain {
    async fn run(self, ask: &Ask) -> Result {
        let wanted = DrainNode { reason: self.reason, then_end: self.then_end };
        let mut events = std::pin::pin!(ask.client.follow_events(None, None));
        let mut node = ask.client.drain_node(&self.node, &wanted).await?;
        while self.wait && !node.tasks.is_empty() {
            let _ = tokio::time::timeout(LOOK_AGAIN, events.next()).await;
            node = find(ask, &self.node).await?;
        }
        ask.output.show(&node, describe)
    }
}

/// The code is good once: that the file can be written is tried first.
async fn join(ask: &Ask, code: String, path: &Path) -> Result {
    let failed = |error| Failure::user(format!("could not write {}: {error}", path.display()));
    if path.exists() {
        return Err(Failure::user(format!("{} is there already", path.display())).hint("name another, or remove it"));
    }
    write_whole(path, "").map_err(failed)?;
    let created = ask.client.redeem_enrolment(&RedeemEnrolment { code }).await.inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })?;
    write_whole(path, &format!("{}\n", created.secret)).map_err(failed)?;
    let told = serde_json::json!({ "id": created.id, "token_file": path });
    ask.output.show(&told, |_| format!("the token is in {}", path.display()))
}

fn parse_service(text: &str) -> std::result::Result<Role, String> {
    Role::from_name(text).filter(|role| role.is_of_service()).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.into_iter().filter(|role| role.is_of_service()).map(Role::name).collect();
        format!("it has to be one of: {}", names.join(", "))
    })
}

async fn find(ask: &Ask, name: &str) -> Result<node::Node> {
    let found = ask.client.node(name).await;
    found.map_err(|error| match error {
        Error::Api { status: 404, .. } => {
            Failure::user(format!("there is no node \"{name}\"")).hint("see `anima node list`")
        }
        error => error.into(),
    })
}

fn describe(node: &node::Node) -> String {
    let [name, state, takes, architectures, slots, works_on, heard_of, version] = row(node);
    let mut fields = vec![("node", name), ("state", state)];
    fields.extend(node.why.as_ref().map(|why| ("why", why.clone())));
    fields.extend([("takes", takes), ("architectures", architectures), ("slots", slots), ("works on", works_on)]);
    fields.extend([("heard of", heard_of), ("version", version)]);
    let size = |mib: u64| output::size(mib.saturating_mul(1024 * 1024));
    if let Some(gives) = node.gives {
        let text = format!("{}, {} on the disk, {} cores", size(gives.memory_mib), size(gives.disk_mib), gives.cores);
        fields.push(("gives a task", text));
    }
    if !node.features.is_empty() {
        fields.push(("features", node.features.join(", ")));
    }
    if let Some(machine) = node.machine {
        fields.push(("cores", machine.cores.to_string()));
        fields.push(("load", format!("{:.2}", f64::from(machine.load_percent) / 100.0)));
        fields.push(("memory", format!("{}, {} free", size(machine.memory_mib), size(machine.free_memory_mib))));
        fields.push(("disk", format!("{} free", size(machine.free_disk_mib))));
    }
    output::fields(&fields)
}

fn architectures(node: &node::Node) -> Vec<String> {
    let emulated = node.emulated.iter().map(|arch| format!("{arch} (emulated)"));
    node.architectures.iter().map(ToString::to_string).chain(emulated).collect()
}

fn row(node: &node::Node) -> [String; 8] {
    let join = |names: Vec<String>| or_dash(Some(names.join(", ")).filter(|text| !text.is_empty()));
    [
        node.name.clone(),
        state(node),
        join(node.kinds.iter().map(|kind| kind.name().to_string()).collect()),
        join(architectures(node)),
        node.slots.to_string(),
        join(node.tasks.iter().map(ToString::to_string).collect()),
        output::moment(node.seen_at),
        node.version.clone(),
    ]
}

fn state(node: &node::Node) -> String {
    match node.state {
        State::Taking if !node.tasks.is_empty() => "working".to_string(),
        other => other.name().to_string(),
    }
}
