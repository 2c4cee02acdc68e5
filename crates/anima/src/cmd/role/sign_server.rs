//! `anima sign-server`: the keys alone.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anima_sign_server::confine::Confined;
use anyhow::Context as _;
use clap::Args;

use super::{NodeArgs, run};
use crate::{args::Global, exit::Result, role::Role};

/// Run the Sign Server alone: it holds the keys, and sees headers and digests only
#[derive(Args, Debug)]
pub struct SignServer {
    #[command(flatten)]
    node: NodeArgs,
    /// A file with the passphrase of the keyring [default: the service manager's credential `sign-server-passphrase`, else
    /// `passphrase` in its folder, made at the first start]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl SignServer {
    pub fn run(self, global: &Global) -> Result {
        let prepared = self.node.prepare(global, Role::SignServer, |config| {
            (config.sign_server.name.clone(), config.sign_server.data.clone())
        })?;
        let passphrase_file = self
            .passphrase_file
            .or(prepared.config.sign_server.passphrase_file)
            .or_else(|| credential(std::env::var_os("CREDENTIALS_DIRECTORY")));
        let config = anima_sign_server::Config {
            name: prepared.name,
            data: prepared.folder.clone(),
            master_url: prepared.master_url,
            token: prepared.token,
            passphrase_file,
        };
        let also_readable = config.passphrase_file.as_deref().into_iter().collect::<Vec<_>>();
        let confined = anima_sign_server::confine::confine(&config.data, &also_readable)
            .context("could not confine the Sign Server")?;
        run(Some((&prepared.folder, Role::SignServer)), async |shutdown| {
            tell(confined);
            Ok(anima_sign_server::run(config, shutdown).await?)
        })
    }
}

/// The name of the passphrase among the credentials that a service manager gives.
const CREDENTIAL: &str = "sign-server-passphrase";

/// Returns the passphrase that the service manager gives: `LoadCredentialEncrypted=sign-server-passphrase:…` in a unit.
fn credential(folder: Option<OsString>) -> Option<PathBuf> {
    Some(Path::new(&folder?).join(CREDENTIAL)).filter(|path| path.exists())
}

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

        assert_eq!(credential(given.clone()), None);
        std::fs::write(folder.path().join(CREDENTIAL), "secret").unwrap();

        assert_eq!(credential(given), Some(folder.path().join(CREDENTIAL)));
        assert_eq!(credential(None), None);
    }
}
