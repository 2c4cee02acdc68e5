//! `anima login`, `anima logout`: who the command line is.

use std::path::PathBuf;

use anima_types::account::SignIn;
use clap::Args;

use super::block_on;
use crate::{
    args::Global,
    client,
    credentials::{Credentials, Login as Kept},
    exit::{Failure, Result},
    output::Output,
    secret,
};

/// Sign in at the master, and keep a token for it on this machine
#[derive(Args, Debug)]
pub struct Login {
    /// The account
    account: String,
    /// A file with the password [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Revoke and forget the token that `anima login` keeps
#[derive(Args, Debug)]
pub struct Logout {}

impl Login {
    pub fn run(self, global: &Global) -> Result {
        let credentials = credentials()?;
        let (url, _) = client::address(global)?;
        let question = format!("Password of {} at {url}: ", self.account);
        let password = secret::password(self.password_file.as_deref(), &question)?;
        let uname = rustix::system::uname();
        let label = format!("anima login on {}", uname.nodename().to_string_lossy());
        let wanted = SignIn { account: self.account.clone(), password: password.to_string(), label };
        block_on(async {
            let created = client::connect(&url, None)?.sign_in(&wanted).await?;
            credentials.keep(&url, Kept { account: self.account.clone(), token: created.secret })?;
            let until = created.expires_at.map(|at| at.to_string()).unwrap_or_default();
            let told = serde_json::json!({ "account": self.account, "master": url, "expires_at": created.expires_at });
            Output::new(global.json).show(&told, |_| format!("you are {} at {url} until {until}", self.account))
        })
    }
}

impl Logout {
    pub fn run(self, global: &Global) -> Result {
        let (url, _) = client::address(global)?;
        let Some(login) = credentials()?.forget(&url)? else {
            return Err(Failure::user(format!("nobody is logged in at {url} on this machine")));
        };
        block_on(async {
            let client = client::connect(&url, Some(login.token))?;
            // It may be over already; what matters is that it is good for nothing now.
            let is_revoked = match client.whoami().await {
                Ok(_) => {
                    client.revoke_own_token().await?;
                    true
                }
                Err(error) if error.status() == Some(401) => false,
                Err(error) => return Err(error.into()),
            };
            let told = serde_json::json!({ "account": login.account, "master": url, "is_revoked": is_revoked });
            Output::new(global.json).show(&told, |_| format!("{} is logged out at {url}", login.account))
        })
    }
}

fn credentials() -> Result<Credentials> {
    Credentials::of_user().ok_or_else(|| {
        Failure::config("there is no home folder to keep a login in")
            .hint("set HOME or XDG_CONFIG_HOME, or use ANIMA_TOKEN")
    })
}
