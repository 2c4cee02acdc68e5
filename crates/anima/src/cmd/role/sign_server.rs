//! `anima sign-server`: the keys alone.

use std::path::PathBuf;

use anima_sign_server::{confine::Confined, passphrase::Secret, token::Tokens};
use anyhow::Context as _;
use clap::Args;

use super::{NodeArgs, run};
use crate::{
    args::Global,
    config::Config,
    exit::Result,
    role::Role,
    secret::{self, credential},
};

/// Run the Sign Server alone: it holds the keys, and sees headers and digests only
#[derive(Args, Debug)]
pub struct SignServer {
    #[command(flatten)]
    node: NodeArgs,
    /// A file with the passphrase of the keyring [default: the service manager's credential `sign-server-passphrase`, else
    /// `passphrase` in its folder, made at the first start]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Ask for the passphrase at the terminal
    #[arg(long, conflicts_with = "passphrase_file")]
    ask_passphrase: bool,
    /// A file with the PIN of tokens [default: the service manager's credential `sign-server-pin`, else the passphrase]
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Ask for the PIN at the terminal
    #[arg(long, conflicts_with = "pin_file")]
    ask_pin: bool,
    /// A folder that the modules of tokens read and write, such as /var/lib/softhsm; repeat it for more
    #[arg(long = "token-folder", value_name = "FOLDER")]
    token_folders: Vec<PathBuf>,
}

impl SignServer {
    pub fn run(self, global: &Global) -> Result {
        let prepared = self.node.prepare(global, Role::SignServer, |config| {
            (config.sign_server.name.clone(), config.sign_server.data.clone())
        })?;
        // Modules are foreign libraries: they are loaded while they may still read their configuration from anywhere, and
        // before there is anything secret in the process.
        let keys = anima_sign_server::keys_folder(&prepared.folder);
        let tokens = Tokens::load(&keys, &[]).context("could not load the modules of the tokens")?;
        let passphrase = passphrase(self.passphrase_file, self.ask_passphrase, &prepared.config)?;
        let pin = pin(self.pin_file, self.ask_pin, &prepared.config)?;
        let mut token_folders = self.token_folders;
        token_folders.extend(prepared.config.sign_server.token_folders);
        let also_readable = [Some(&passphrase), pin.as_ref()].into_iter().flatten().filter_map(|secret| match secret {
            Secret::File(path) => Some(path.as_path()),
            Secret::Made | Secret::Said(_) => None,
        });
        let of_tokens = token_folders.iter().map(PathBuf::as_path).collect::<Vec<_>>();
        let confined =
            anima_sign_server::confine::confine(&prepared.folder, &also_readable.collect::<Vec<_>>(), &of_tokens)
                .context("could not confine the Sign Server")?;
        let config = anima_sign_server::Config {
            name: prepared.name,
            data: prepared.folder.clone(),
            master_url: prepared.master_url,
            token: prepared.token,
            passphrase,
            pin,
            tokens,
        };
        run(Some((&prepared.folder, Role::SignServer)), async |shutdown| {
            tell(confined);
            Ok(anima_sign_server::run(config, shutdown).await?)
        })
    }
}

/// Returns where the keyring's passphrase comes from: an argument, a person, the configuration, the service manager, or
/// the file that is made.
pub fn passphrase(named: Option<PathBuf>, ask: bool, config: &Config) -> Result<Secret> {
    if ask {
        return Ok(Secret::Said(secret::ask("Passphrase of the keyring: ")?));
    }
    let file = named
        .or_else(|| config.sign_server.passphrase_file.clone())
        .or_else(|| credential(std::env::var_os(secret::FOLDER), CREDENTIAL));
    Ok(file.map_or(Secret::Made, Secret::File))
}

fn pin(named: Option<PathBuf>, ask: bool, config: &Config) -> Result<Option<Secret>> {
    if ask {
        return Ok(Some(Secret::Said(secret::ask("PIN of the token: ")?)));
    }
    let file = named
        .or_else(|| config.sign_server.pin_file.clone())
        .or_else(|| credential(std::env::var_os(secret::FOLDER), PIN_CREDENTIAL));
    Ok(file.map(Secret::File))
}

/// The name of the passphrase among the credentials that a service manager gives.
pub const CREDENTIAL: &str = "sign-server-passphrase";
/// The name of the PIN among them.
pub const PIN_CREDENTIAL: &str = "sign-server-pin";

/// Says what this machine could not give.
fn tell(confined: Confined) {
    let Confined { has_landlock, has_seccomp, is_locked } = confined;
    tracing::info!(
        has_landlock,
        has_seccomp,
        is_locked,
        "confined: files and ports {has_landlock}, system calls {has_seccomp}, locked memory {is_locked}"
    );
    if !has_landlock {
        tracing::warn!("this kernel has no Landlock: files are kept apart by the user alone");
    }
    if !has_seccomp {
        tracing::warn!("system calls cannot be restricted on this architecture");
    }
    if !is_locked {
        tracing::warn!("keys may go to the swap: raise the limit of locked memory (LimitMEMLOCK=infinity, ulimit -l)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_among_the_credentials_of_the_service_manager_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let given = Some(folder.path().as_os_str().to_os_string());

        assert_eq!(credential(given.clone(), CREDENTIAL), None);
        std::fs::write(folder.path().join(CREDENTIAL), "secret").unwrap();

        assert_eq!(credential(given, CREDENTIAL), Some(folder.path().join(CREDENTIAL)));
        assert_eq!(credential(None, CREDENTIAL), None);
        // A folder that cannot be looked into: a file is in its place.
        let closed = Some(folder.path().join(CREDENTIAL).into_os_string());
        assert!(credential(closed, CREDENTIAL).is_some());
    }
}
