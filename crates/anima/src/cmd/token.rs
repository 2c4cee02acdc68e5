//! `anima token`: who may do what.

use anima_types::{
    id::TokenId,
    permission::Role,
    token::{self, CreateToken},
};
use clap::Subcommand;

use super::Ask;
use crate::{exit::Result, output};

/// Make, list and revoke tokens
#[derive(Debug, Subcommand)]
pub enum Token {
    /// List tokens; their secrets are not kept
    List,
    /// Make a token and print its secret, this once
    Create {
        /// Whose it is: a person's or a node's name
        name: String,
        /// What it may do
        #[arg(long, value_name = "ROLE", value_parser = parse_role)]
        role: Role,
    },
    /// Revoke a token
    Revoke {
        /// The token's id
        id: TokenId,
    },
    /// Show whose token this command line has
    Whoami,
}

impl Token {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Token::List => ask.output.list(
                &ask.client.tokens().await?,
                ["token", "name", "role", "made"],
                row,
                "There are no tokens.",
            ),
            Token::Create { name, role } => {
                let created = ask.client.create_token(&CreateToken { name, role }).await?;
                // Only the secret, so that it can go straight into a file.
                ask.output.show(&created, |created| created.secret.clone())
            }
            Token::Revoke { id } => {
                ask.client.delete_token(id).await?;
                ask.output.show(&serde_json::json!({ "id": id }), |_| format!("token {id} is revoked"))
            }
            Token::Whoami => ask.output.show(&ask.client.whoami().await?, |whoami| {
                output::fields(&[("name", whoami.name.clone()), ("role", whoami.role.name().to_string())])
            }),
        }
    }
}

fn row(token: &token::Token) -> [String; 4] {
    [token.id.to_string(), token.name.clone(), token.role.name().to_string(), output::moment(token.created_at)]
}

fn parse_role(text: &str) -> std::result::Result<Role, String> {
    Role::from_name(text).filter(|role| role.is_grantable()).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.into_iter().filter(|role| role.is_grantable()).map(Role::name).collect();
        format!("it has to be one of: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_made_anonymous_or_a_lease() {
        assert_eq!(parse_role("build-node"), Ok(Role::BuildNode));
        assert!(parse_role("lease").unwrap_err().contains("admin, packager"));
    }
}
