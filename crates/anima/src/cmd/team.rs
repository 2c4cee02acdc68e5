//! `anima team`: people who may the same.

use anima_types::account::{self, CreateTeam};
use clap::Subcommand;

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Make teams; members build for a team's products and release into them
#[derive(Debug, Subcommand)]
pub enum Team {
    /// List teams
    List,
    /// Show a team with its members, products and rights
    Show {
        /// Its name
        team: String,
    },
    /// Make a team; `anima product change PRODUCT --team TEAM` gives it a product
    Create {
        /// What it is called
        team: String,
        /// Its name for people
        #[arg(long, default_value = "", value_name = "TEXT")]
        title: String,
    },
    /// Put an account into a team
    Add {
        /// The team
        team: String,
        /// The account
        account: String,
    },
    /// Take an account out of a team
    Remove {
        /// The team
        team: String,
        /// The account
        account: String,
    },
    /// Take a team away that has no product
    Delete {
        /// The team
        team: String,
    },
}

impl Team {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Team::List => {
                let teams = ask.client.teams().await?;
                ask.output.list(&teams, ["team", "name", "members", "products"], row, "There are no teams.")
            }
            Team::Show { team } => ask.output.show(&ask.client.team(&team).await?, describe),
            Team::Create { team, title } => {
                ask.output.show(&ask.client.create_team(&CreateTeam { name: team, title }).await?, describe)
            }
            Team::Add { team, account } => ask.output.show(&ask.client.add_member(&team, &account).await?, describe),
            Team::Remove { team, account } => {
                ask.client.remove_member(&team, &account).await?;
                ask.output.show(&ask.client.team(&team).await?, describe)
            }
            Team::Delete { team } => {
                ask.client.delete_team(&team).await?;
                ask.output.show(&serde_json::json!({ "team": team }), |_| format!("team {team} is gone"))
            }
        }
    }
}

fn join(names: &[String]) -> String {
    or_dash(Some(names.join(", ")).filter(|text| !text.is_empty()))
}

fn describe(team: &account::Team) -> String {
    let rights: Vec<String> = team.rights.iter().map(|given| given.right.to_string()).collect();
    let [name, title, members, products] = row(team);
    output::fields(&[
        ("team", name),
        ("name", title),
        ("members", members),
        ("products", products),
        ("rights", join(&rights)),
    ])
}

fn row(team: &account::Team) -> [String; 4] {
    let title = or_dash(Some(team.title.clone()).filter(|title| !title.is_empty()));
    [team.name.clone(), title, join(&team.members), join(&team.products)]
}
