//! `anima right`: who may what, and where.

use anima_types::{
    id::RightId,
    permission::Role,
    right::{GiveRight, GivenRight, Right as What, Thing},
};
use clap::{Args, Subcommand};

use super::Ask;
use crate::{exit::Result, output};

/// Give and take rights: a role of an account or a team, everywhere or for one thing
#[derive(Debug, Subcommand)]
pub enum Right {
    /// List all rights that were given
    List,
    /// Give a right
    Give(Give),
    /// Take a right away
    Take {
        /// The right's id
        id: RightId,
    },
}

#[derive(Args, Debug)]
pub struct Give {
    /// What they are: contributor, observer, manager, product-maintainer, signer, release-manager, admin
    #[arg(value_parser = parse_role)]
    role: Role,
    /// The account
    #[arg(long, value_name = "ACCOUNT", required_unless_present = "team", conflicts_with = "team")]
    to: Option<String>,
    /// The team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// What it is for: platform:NAME, product:NAME, key:ID [default: everything]
    #[arg(long, value_name = "THING")]
    on: Option<Thing>,
}

impl Right {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Right::List => {
                let rights = ask.client.rights().await?;
                ask.output.list(&rights, ["right", "who", "is", "given by", "given"], row, "Nobody has any right.")
            }
            Right::Give(Give { role, to, team, on }) => {
                let wanted = GiveRight { account: to, team, right: What { role, on } };
                let given = ask.client.give_right(&wanted).await?;
                ask.output.show(&given, |given| format!("{} is {} (right {})", who(given), given.right, given.id))
            }
            Right::Take { id } => {
                ask.client.take_right(id).await?;
                ask.output.show(&serde_json::json!({ "id": id }), |_| format!("right {id} is taken away"))
            }
        }
    }
}

fn who(given: &GivenRight) -> String {
    match (&given.account, &given.team) {
        (Some(account), _) => account.clone(),
        (None, team) => format!("team {}", team.as_deref().unwrap_or_default()),
    }
}

fn row(given: &GivenRight) -> [String; 5] {
    [given.id.to_string(), who(given), given.right.to_string(), given.given_by.clone(), output::moment(given.given_at)]
}

/// Reads a role that people have.
pub fn parse_role(text: &str) -> std::result::Result<Role, String> {
    Role::from_name(text).filter(|role| role.is_of_people()).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.into_iter().filter(|role| role.is_of_people()).map(Role::name).collect();
        format!("it has to be one of: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_no_parts_of_the_system() {
        assert_eq!(parse_role("signer"), Ok(Role::Signer));
        assert!(parse_role("build-node").unwrap_err().contains("admin, manager"));
    }
}
