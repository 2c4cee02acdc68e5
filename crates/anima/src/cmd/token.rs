//! `anima token`: who may do what.

use anima_types::{
    id::TokenId,
    permission::{Permission, Role},
    token::{self, CreateToken, Scopes},
};
use clap::{Args, Subcommand};

use super::Ask;
use crate::{
    exit::Result,
    output::{self, or_dash},
};

/// Make, list and revoke tokens: your own, and those of parts of the system
#[derive(Debug, Subcommand)]
pub enum Token {
    /// List tokens; their secrets are not kept
    List,
    /// Make a token and print its secret, this once
    Create(Create),
    /// Revoke a token
    Revoke {
        /// The token's id
        id: TokenId,
    },
    /// Show whose token this command line has, and what it may
    Whoami,
}

#[derive(Args, Debug)]
pub struct Create {
    /// What it is for; of a part of the system, what that is called
    name: String,
    /// Make a token that belongs to no person, but has this role; an administrator may
    #[arg(long, value_name = "ROLE", value_parser = parse_role)]
    role: Option<Role>,
    /// Narrow it to this permission, such as build, push, release; repeat it for more
    #[arg(long = "may", value_name = "PERMISSION", value_parser = parse_permission)]
    permissions: Vec<Permission>,
    /// Narrow it to this product; repeat it for more
    #[arg(long = "product", value_name = "PRODUCT")]
    products: Vec<String>,
    /// Narrow it to this platform; repeat it for more
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<String>,
    /// Let it end after so many days [default: 90 for your own, never for a part of the system]
    #[arg(long)]
    days: Option<u32>,
}

impl Token {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Token::List => ask.output.list(
                &ask.client.tokens().await?,
                ["token", "name", "role", "of", "may", "ends", "used", "made"],
                row,
                "There are no tokens.",
            ),
            Token::Create(Create { name, role, permissions, products, platforms, days }) => {
                let scopes = Scopes {
                    permissions: permissions.into_iter().collect(),
                    products: products.into_iter().collect(),
                    platforms: platforms.into_iter().collect(),
                };
                let created = ask.client.create_token(&CreateToken { name, role, scopes, days }).await?;
                // Only the secret, so that it can go straight into a file.
                ask.output.show(&created, |created| created.secret.clone())
            }
            Token::Revoke { id } => {
                ask.client.delete_token(id).await?;
                ask.output.show(&serde_json::json!({ "id": id }), |_| format!("token {id} is revoked"))
            }
            Token::Whoami => ask.output.show(&ask.client.whoami().await?, |whoami| {
                let rights: Vec<String> = whoami.rights.iter().map(ToString::to_string).collect();
                output::fields(&[
                    ("name", whoami.name.clone()),
                    ("role", whoami.role.name().to_string()),
                    ("rights", rights.join(", ")),
                    ("narrowed to", narrowed(&whoami.scopes)),
                ])
            }),
        }
    }
}

fn row(token: &token::Token) -> [String; 8] {
    [
        token.id.to_string(),
        token.name.clone(),
        token.role.name().to_string(),
        or_dash(token.account.clone()),
        narrowed(&token.scopes),
        or_dash(token.expires_at.map(output::moment)),
        or_dash(token.used_at.map(output::moment)),
        output::moment(token.created_at),
    ]
}

fn narrowed(scopes: &Scopes) -> String {
    let permissions = scopes.permissions.iter().map(|permission| permission.name().to_string());
    let products = scopes.products.iter().map(|name| format!("product:{name}"));
    let platforms = scopes.platforms.iter().map(|name| format!("platform:{name}"));
    let all: Vec<String> = permissions.chain(products).chain(platforms).collect();
    or_dash(Some(all.join(", ")).filter(|text| !text.is_empty()))
}

fn parse_permission(text: &str) -> std::result::Result<Permission, String> {
    let of_people = |&one: &Permission| one != Permission::Read && Role::Admin.may(one);
    Permission::from_name(text).filter(of_people).ok_or_else(|| {
        let names: Vec<_> = Permission::ALL.into_iter().filter(of_people).map(Permission::name).collect();
        format!("it has to be one of: {}", names.join(", "))
    })
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
        assert!(parse_role("lease").unwrap_err().contains("admin, manager"));
    }
}
