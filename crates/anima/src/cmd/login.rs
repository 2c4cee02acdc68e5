//! `anima login`, `anima logout`: who the command line is.

use std::path::PathBuf;

use anima_types::{
    account::SignIn,
    identity::{BeginDevice, MAX_DEVICE_WAIT_SECS, RedeemDevice},
    token::CreatedToken,
};
use clap::Args;

use super::block_on;
use crate::{
    args::Global,
    client,
    credentials::{Credentials, Login as Kept},
    exit::{Failure, Result},
    output::{self, Output},
    secret,
};

/// Sign in at the master, and keep a token for it on this machine
#[derive(Args, Debug)]
pub struct Login {
    /// The account
    #[arg(required_unless_present = "oidc")]
    account: Option<String>,
    /// Sign in on the master's pages in any browser, by its OpenID provider or with a password: shows a code to type there
    #[arg(long, alias = "browser", conflicts_with_all = ["account", "password_file"])]
    oidc: bool,
    /// A file with the password [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Revoke and forget the token that `anima login` keeps
#[derive(Args, Debug)]
pub struct Logout {
    /// Forget the token even if the master cannot be asked to revoke it: who has a copy can use it until its time is over
    #[arg(long)]
    force: bool,
}

impl Login {
    pub fn run(self, global: &Global) -> Result {
        let credentials = credentials()?;
        let (url, _) = client::address(global)?;
        let uname = rustix::system::uname();
        let label = format!("anima login on {}", uname.nodename().to_string_lossy());
        let Some(account) = self.account else {
            return block_on(with_code(&credentials, &url, label, global.json));
        };
        let question = format!("Password of {account} at {url}: ");
        let password = secret::password(self.password_file.as_deref(), &question)?;
        let wanted = SignIn { account: account.clone(), password: password.to_string(), label };
        block_on(async {
            let created = client::connect(&url, None)?.sign_in(&wanted).await?;
            keep(&credentials, &url, account, created, global.json)
        })
    }
}

/// Shows a code, and waits until somebody has typed it on the master's page.
async fn with_code(credentials: &Credentials, url: &str, label: String, json: bool) -> Result {
    let client = client::connect(url, None)?;
    let device = client.begin_device(&BeginDevice { label }).await?;
    // Not on the standard output: what is there is the answer, also for programs.
    output::note(&format!(
        "Open {} in a browser, sign in, and type {} there, until {}.",
        device.url,
        device.code,
        output::moment(device.expires_at)
    ));
    let wanted = RedeemDevice { secret: device.secret, wait_secs: MAX_DEVICE_WAIT_SECS };
    loop {
        if let Some(created) = client.redeem_device(&wanted).await? {
            let account = client::connect(url, Some(created.secret.clone()))?.whoami().await?.name;
            return keep(credentials, url, account, created, json);
        }
    }
}

fn keep(credentials: &Credentials, url: &str, account: String, created: CreatedToken, json: bool) -> Result {
    credentials.keep(url, Kept { account: account.clone(), token: created.secret })?;
    let until = created.expires_at.map(|at| at.to_string()).unwrap_or_default();
    let told = serde_json::json!({ "account": account, "master": url, "expires_at": created.expires_at });
    Output::new(json).show(&told, |_| format!("you are {account} at {url} until {until}"))
}

impl Logout {
    pub fn run(self, global: &Global) -> Result {
        let (url, _) = client::address(global)?;
        let credentials = credentials()?;
        let Some(login) = credentials.look(&url)? else {
            return Err(Failure::user(format!("nobody is logged in at {url} on this machine")));
        };
        block_on(async {
            // Revoked first: a token that is forgotten here, and good for others, is nobody's to take back.
            let is_revoked = match revoke(&url, login.token).await {
                Ok(is_revoked) => is_revoked,
                Err(failure) if self.force => {
                    let why = failure.message;
                    output::note(&format!("the token was not revoked, and is good until its time is over: {why}"));
                    false
                }
                Err(failure) => {
                    let hint = "the token is kept; log out again when the master answers, or forget it with --force";
                    return Err(failure.hint(hint));
                }
            };
            credentials.forget(&url)?;
            let told = serde_json::json!({ "account": login.account, "master": url, "is_revoked": is_revoked });
            Output::new(global.json).show(&told, |_| format!("{} is logged out at {url}", login.account))
        })
    }
}

/// Returns whether the token was still good. It may be over already; what matters is that it is good for nothing now.
async fn revoke(url: &str, token: String) -> Result<bool> {
    let client = client::connect(url, Some(token))?;
    match client.whoami().await {
        Ok(_) => client.revoke_own_token().await?,
        Err(error) if error.status() == Some(401) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

fn credentials() -> Result<Credentials> {
    Credentials::of_user().ok_or_else(|| {
        Failure::config("there is no home folder to keep a login in")
            .hint("set HOME or XDG_CONFIG_HOME, or use ANIMA_TOKEN")
    })
}
