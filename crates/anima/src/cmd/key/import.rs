//! `anima key import`: a key that another program made, or whose secret numbers are in a token, comes into the keyring.
//!
//! It works on the Sign Server's own machine, on the keyring's own folder: a private key never passes through the master.
//! The master is told of the public half only, and the Sign Server has to show that it has the other.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anima_sign_server::{
    confine,
    keyring::Entry,
    passphrase::{self, Secret},
    token::{Place, Tokens},
};
use anima_types::key::{Algorithm, CreateKey, Options, RotateKey};
use clap::Args;
use zeroize::Zeroizing;

use super::{Ask, KeyOptions, asked};
use crate::{
    args::Global,
    cmd::role::sign_server,
    config::Config,
    data::DataFolder,
    exit::{Failure, Result},
    role::Role,
    secret,
    up::user,
};

/// The largest file that is read as a key: one with many certifications.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Take a key into the keyring on this machine, and tell the master of its public half
#[derive(Args, Debug)]
pub struct Import {
    /// The armoured secret key (RSA with 4096 bits, or Ed25519)
    #[arg(required_unless_present = "module", conflicts_with = "module", value_name = "FILE")]
    file: Option<PathBuf>,
    /// What it is called here
    #[arg(long)]
    name: String,
    /// Give it to a product in the place of its key, as `anima key rotate` does
    #[arg(long)]
    product: Option<String>,
    /// A file with the passphrase that FILE is locked with [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A file with the keyring's passphrase [default: as `anima sign-server` finds it]
    #[arg(long, value_name = "FILE")]
    keyring_passphrase_file: Option<PathBuf>,
    /// Ask for the keyring's passphrase
    #[arg(long, conflicts_with = "keyring_passphrase_file")]
    ask_keyring_passphrase: bool,
    /// The folder of the Sign Server [default: in the data folder]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Say nothing to the master
    #[arg(long)]
    only_here: bool,
    /// The key is in a token: the PKCS #11 module of its maker
    #[arg(long, value_name = "FILE", requires_all = ["in_token", "object", "user_id"])]
    module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "module")]
    in_token: Option<String>,
    /// The label of the key in the token
    #[arg(long, value_name = "LABEL", requires = "module")]
    object: Option<String>,
    /// Whose key it is, where it is in a token: `Seed Linux <security@example.org>`
    #[arg(long, value_name = "NAME <MAIL>", requires = "module")]
    user_id: Option<String>,
    /// A file with the token's PIN [default: the keyring's passphrase]
    #[arg(long, value_name = "FILE", requires = "module")]
    pin_file: Option<PathBuf>,
    #[command(flatten)]
    options: KeyOptions,
}

impl Import {
    pub async fn run(mut self, ask: &Ask, global: &Global) -> Result {
        if self.options.adopt.is_some() {
            return Err(Failure::user("an imported key is adopted: leave --adopt out"));
        }
        let data = DataFolder::new(global.data.as_deref());
        let config = Config::load(global.config.as_deref(), &data)?;
        let folder = self.folder.take().or(config.sign_server.data.clone());
        let folder = folder.unwrap_or_else(|| data.of_role(Role::SignServer.folder()));
        // Secrets come into this process now.
        confine::shield().map_err(anyhow::Error::from)?;
        let taken = self.take_in(&folder, &config)?;
        give_to_owner(&folder)?;
        let Taken { fingerprint, algorithm, user_id } = taken;
        let options = Options { adopt: Some(fingerprint.clone()), ..self.options.clone().into() };
        if self.only_here {
            let text = format!("key {fingerprint} is in {}", folder.display());
            return ask.output.show(&fingerprint, |_| text);
        }
        let registered = match &self.product {
            Some(product) => {
                let (name, user_id) = (Some(self.name.clone()), Some(user_id));
                ask.client.rotate_key(product, &RotateKey { algorithm: Some(algorithm), user_id, name, options }).await
            }
            None => ask.client.create_key(&CreateKey { name: self.name.clone(), algorithm, user_id, options }).await,
        };
        let key = registered.map_err(|error| {
            let failure = Failure::from(error);
            let message =
                format!("key {fingerprint} is in the keyring, but the master does not know it: {}", failure.message);
            Failure { message, ..failure }.hint(self.later(&fingerprint))
        })?;
        ask.output.show(&key, |key| format!("key {fingerprint} is in the keyring; {}", asked(key)))
    }

    /// Returns the command that tells the master later.
    fn later(&self, fingerprint: &str) -> String {
        match &self.product {
            Some(product) => format!("tell it: anima key rotate {product} --name {} --adopt {fingerprint}", self.name),
            None => format!("tell it: anima key create {} --user-id … --adopt {fingerprint}", self.name),
        }
    }

    fn take_in(&self, folder: &Path, config: &Config) -> Result<Taken> {
        let keyring_passphrase = match (&self.keyring_passphrase_file, self.ask_keyring_passphrase) {
            (Some(path), _) => Secret::File(path.clone()),
            (None, true) => Secret::Said(secret::ask("Passphrase of the keyring: ")?),
            (None, false) => sign_server::passphrase(None, false, config)?,
        };
        let keys = anima_sign_server::keys_folder(folder);
        let also = self.module.iter().cloned().collect::<Vec<_>>();
        let tokens = Tokens::load(&keys, &also).map_err(anyhow::Error::from)?;
        let pin = self.pin_file.clone().or(config.sign_server.pin_file.clone()).map(Secret::File);
        let mut keyring = anima_sign_server::open_keyring(folder, &keyring_passphrase, pin.as_ref(), tokens)?;
        let now_secs = jiff::Timestamp::now().as_second() as u32;
        let refused = |error: anima_sign_server::keyring::Error| Failure::user(error.to_string());
        let entry = match (&self.file, &self.module) {
            (Some(file), _) => {
                let text = read_key(file)?;
                let passphrase = self.passphrase_of(&text)?;
                keyring.import(&self.name, &text, &passphrase, now_secs).map_err(refused)?
            }
            (None, Some(module)) => {
                let text = |said: &Option<String>| said.clone().unwrap_or_default();
                let place = Place { module: module.clone(), token: text(&self.in_token), object: text(&self.object) };
                let valid_secs = Options::from(self.options.clone()).valid_secs;
                keyring.adopt_token(&self.name, &place, &text(&self.user_id), valid_secs, now_secs).map_err(refused)?
            }
            (None, None) => return Err(Failure::user("name the file with the key, or the module of its token")),
        };
        Ok(Taken::of(entry))
    }

    fn passphrase_of(&self, text: &str) -> Result<Zeroizing<String>> {
        match &self.passphrase_file {
            Some(path) => Ok(passphrase::read(path).map_err(|error| Failure::user(error.to_string()))?),
            // A key that is not locked needs none, and a wrong one does no harm.
            None if text.is_empty() => Ok(Zeroizing::default()),
            None => secret::ask("Passphrase of the key (empty if it is not locked): "),
        }
    }
}

/// What the master is told.
struct Taken {
    fingerprint: String,
    algorithm: Algorithm,
    user_id: String,
}

impl Taken {
    fn of(entry: &Entry) -> Taken {
        Taken { fingerprint: entry.fingerprint(), algorithm: entry.algorithm(), user_id: entry.user_id() }
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |error: std::io::Error| Failure::user(format!("could not read {}: {error}", path.display()));
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(Failure::user(format!("could not read {}: it is too long for a key", path.display())));
    }
    Ok(Zeroizing::new(fs::read_to_string(path).map_err(failed)?))
}

/// The files that root made belong to whom the folder belongs to.
fn give_to_owner(folder: &Path) -> Result {
    let Ok(metadata) = fs::metadata(folder) else { return Ok(()) };
    match rustix::process::geteuid().is_root() {
        true => user::give_folder(folder, user::User { uid: metadata.uid(), gid: metadata.gid() }).map(drop),
        false => Ok(()),
    }
}
