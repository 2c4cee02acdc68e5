//! `anima account`: people who sign in.

use std::path::PathBuf;

use anima_types::{
    account::{self, AccountDetail, CreateAccount, SetPassword},
    id::IdentityId,
    identity::LinkIdentity,
    permission::Role,
    right::{GiveRight, Right, Thing},
};
use clap::{Args, Subcommand};

use super::{Ask, right};
use crate::{
    exit::Result,
    output::{self, or_dash},
    secret,
};

/// Make, list and disable accounts of people
#[derive(Debug, Subcommand)]
pub enum Account {
    /// List accounts
    List,
    /// Show an account with its teams and rights
    Show {
        /// Its name
        account: String,
    },
    /// Make an account
    Create(Create),
    /// Give an account another password; its sessions end
    Passwd(Passwd),
    /// Let nobody sign in with an account; its sessions end, its tokens are of no use
    Disable {
        /// Its name
        account: String,
    },
    /// Let who somebody is at an OpenID provider sign in as an account
    Link(Link),
    /// Take such an identity away from an account, with what was granted by it
    Unlink {
        /// Its name
        account: String,
        /// The identity's id, as `anima account show` tells
        identity: IdentityId,
    },
    /// Let a disabled account be used again
    Enable {
        /// Its name
        account: String,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// What it is called: small letters, digits, '.', '_', '-'
    account: String,
    /// The person's name
    #[arg(long, default_value = "", value_name = "TEXT")]
    title: String,
    /// Give it a role; repeat it for more
    #[arg(long = "role", value_name = "ROLE", value_parser = right::parse_role)]
    roles: Vec<Role>,
    /// What the roles are for: platform:NAME, product:NAME, key:ID [default: everything]
    #[arg(long, value_name = "THING", requires = "roles")]
    on: Option<Thing>,
    /// A file with its password [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Give it none: it signs in elsewhere
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
}

#[derive(Args, Debug)]
pub struct Passwd {
    /// Its name
    account: String,
    /// A file with the new password [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A file with the old password, where it is your own [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    old_password_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Link {
    /// Its name
    account: String,
    /// What the provider calls the person (`sub`)
    #[arg(long, value_name = "SUBJECT")]
    subject: String,
    /// The provider [default: the one that the master is configured with]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

impl Account {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Account::List => ask.output.list(
                &ask.client.accounts().await?,
                ["account", "name", "state", "made", "signed in"],
                row,
                "There are no accounts. Make one: `anima account create NAME --role admin`.",
            ),
            Account::Show { account } => ask.output.show(&ask.client.account(&account).await?, describe),
            Account::Create(create) => create.run(ask).await,
            Account::Passwd(passwd) => passwd.run(ask).await,
            Account::Disable { account } => {
                let account = ask.client.set_account_disabled(&account, true).await?;
                ask.output.show(&account, |account| format!("account {} is disabled", account.name))
            }
            Account::Link(Link { account, subject, issuer }) => {
                let identity = ask.client.link_identity(&account, &LinkIdentity { issuer, subject }).await?;
                ask.output.show(&identity, |one| format!("{account} is \"{}\" at {} now", one.subject, one.issuer))
            }
            Account::Unlink { account, identity } => {
                ask.client.unlink_identity(&account, identity).await?;
                let told = serde_json::json!({ "account": account, "identity": identity });
                ask.output.show(&told, |_| format!("{account} has identity {identity} no more"))
            }
            Account::Enable { account } => {
                let account = ask.client.set_account_disabled(&account, false).await?;
                ask.output.show(&account, |account| format!("account {} may be used again", account.name))
            }
        }
    }
}

impl Create {
    async fn run(self, ask: &Ask) -> Result {
        let password = match self.no_password {
            true => None,
            false => Some(secret::new_password(self.password_file.as_deref(), &self.account)?.to_string()),
        };
        let wanted = CreateAccount { name: self.account, title: self.title, password };
        let account = ask.client.create_account(&wanted).await?;
        for role in self.roles {
            let right = Right { role, on: self.on.clone() };
            ask.client.give_right(&GiveRight { account: Some(account.name.clone()), team: None, right }).await?;
        }
        ask.output.show(&ask.client.account(&account.name).await?, describe)
    }
}

impl Passwd {
    async fn run(self, ask: &Ask) -> Result {
        let is_own = ask.client.whoami().await?.name == self.account;
        let old = match is_own {
            true => Some(secret::password(self.old_password_file.as_deref(), "Old password: ")?.to_string()),
            false => None,
        };
        let new = secret::new_password(self.password_file.as_deref(), &self.account)?.to_string();
        ask.client.set_password(&self.account, &SetPassword { old, new }).await?;
        let told = serde_json::json!({ "account": self.account });
        ask.output.show(&told, |_| format!("the password of {} is changed; its sessions ended", self.account))
    }
}

fn describe(detail: &AccountDetail) -> String {
    let account = &detail.account;
    let join = |names: Vec<String>| or_dash(Some(names.join(", ")).filter(|text| !text.is_empty()));
    let rights = detail.rights.iter().map(|given| match &given.team {
        Some(team) => format!("{} (team {team})", given.right),
        None => given.right.to_string(),
    });
    let identities = detail.identities.iter();
    let identities = identities.map(|one| format!("{}: \"{}\" at {}", one.id, one.subject, one.issuer));
    output::fields(&[
        ("account", account.name.clone()),
        ("name", or_dash(Some(account.title.clone()).filter(|title| !title.is_empty()))),
        ("state", state(account)),
        ("rights", join(rights.collect())),
        ("teams", join(detail.teams.clone())),
        ("is elsewhere", join(identities.collect())),
        ("made", output::moment(account.created_at)),
        ("signed in", or_dash(account.signed_in_at.map(output::moment))),
    ])
}

fn row(account: &account::Account) -> [String; 5] {
    [
        account.name.clone(),
        or_dash(Some(account.title.clone()).filter(|title| !title.is_empty())),
        state(account),
        output::moment(account.created_at),
        or_dash(account.signed_in_at.map(output::moment)),
    ]
}

fn state(account: &account::Account) -> String {
    match (account.is_disabled, account.has_password) {
        (true, _) => "disabled",
        (false, true) => "active",
        (false, false) => "active, without a password",
    }
    .to_string()
}
