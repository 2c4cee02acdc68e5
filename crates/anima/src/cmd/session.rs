//! `anima session`: where you are signed in.

use anima_types::{account, id::SessionId};
use clap::Subcommand;

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// List your own sessions in browsers, and end them
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List your sessions, the one used last first
    List,
    /// End a session: that browser is signed out
    End {
        /// The session's id
        id: SessionId,
    },
}

impl Session {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Session::List => ask.output.list(
                &ask.client.sessions().await?,
                ["session", "from", "browser", "used", "signed in"],
                row,
                "You are signed in in no browser.",
            ),
            Session::End { id } => {
                ask.client.end_session(id).await?;
                ask.output.show(&serde_json::json!({ "id": id }), |_| format!("session {id} is ended"))
            }
        }
    }
}

fn row(session: &account::Session) -> [String; 5] {
    [
        session.id.to_string(),
        or_dash(session.address.as_ref()),
        or_dash(session.agent.as_ref()),
        output::moment(session.seen_at),
        output::moment(session.created_at),
    ]
}
