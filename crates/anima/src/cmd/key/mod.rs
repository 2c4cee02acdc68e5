//! `anima key`: signing keys, by their public halves; `import` and `audit` work on the Sign Server's own machine.

mod audit;
mod import;
mod show;

use std::{fs, path::PathBuf};

use anima_types::{
    id::{KeyId, TaskId},
    key::{Algorithm, CreateKey, Key as PublicHalf, Options, Revocation, RevokeKey, RotateKey},
    key_policy::Policy,
    release::Content,
    signature::{Approve, Form, Kind as Signed, SignFile},
    task::Status,
};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use super::{Ask, release};
use crate::{
    args::Global,
    exit::{Exit, Failure, Result},
    output,
};

const DAY_SECS: u32 = 24 * 60 * 60;

/// Make, import, rotate, revoke and audit signing keys; the private halves never leave the Sign Server
#[derive(Debug, Subcommand)]
pub enum Key {
    /// List keys
    List,
    /// Ask the Sign Server for a new key
    Create {
        /// A short name, such as the product's
        name: String,
        /// What kind of key
        #[arg(long, value_enum, default_value_t = Kind::Ed25519)]
        algorithm: Kind,
        /// Whose key it is: `Seed Linux <security@example.org>`
        #[arg(long, value_name = "NAME <MAIL>")]
        user_id: String,
        #[command(flatten)]
        options: KeyOptions,
    },
    Import(import::Import),
    /// Show a key with its public half, and what it is used for
    Show {
        /// The key's id or name
        key: String,
    },
    /// Print a key's public half
    Export {
        /// The key's id or name
        key: String,
        /// The key that files of packages are signed with, as PEM
        #[arg(long)]
        files: bool,
        /// Where to write it [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Give products other keys, which sign from now on: the old ones stay to verify what they signed
    Rotate {
        /// The products
        #[arg(required = true, value_name = "PRODUCT")]
        products: Vec<String>,
        /// What kind of key [default: as the old one]
        #[arg(long, value_enum)]
        algorithm: Option<Kind>,
        /// Whose key it is [default: as the old one's]
        #[arg(long, value_name = "NAME <MAIL>")]
        user_id: Option<String>,
        /// The new key's name [default: the product's with a number]
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        options: KeyOptions,
        /// Plan a release, too, that gives what users see already the new key's signature
        #[arg(long)]
        resign: bool,
    },
    /// Take a key out of trust: nothing is signed with it any more, and its public half says so
    Revoke {
        /// The key's id or name
        key: String,
        /// Why
        #[arg(long, value_enum, default_value_t = Why::Unsaid)]
        why: Why,
        /// Why, in your words; everybody can read them in the public key
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// A revocation that was made before, for a key that is lost
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
    },
    /// Show what a key may sign, or say it
    Policy {
        /// The key's id or name
        key: String,
        /// A file (TOML) with what it may sign from now on
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
    },
    /// Compare a Sign Server's journal with what the master knows; run it where the journal is
    Audit {
        /// A journal; repeat it for several Sign Servers [default: the data folder's]
        #[arg(long = "journal", value_name = "FILE")]
        journals: Vec<PathBuf>,
    },
    /// Sign a list of checksums or an advisory with a product's key
    Sign {
        /// The file
        file: PathBuf,
        /// The product
        #[arg(long)]
        product: String,
        /// What it is
        #[arg(long, value_enum, default_value_t = Document::Checksum)]
        kind: Document,
        /// Put the signature around the text, instead of beside it
        #[arg(long)]
        clear: bool,
    },
    /// Approve that a task signs, where the key's policy wants that
    Approve {
        /// The sign task's id
        task: TaskId,
        /// Why; everybody can read it
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

/// What may be said of a key besides.
#[derive(Args, Clone, Debug)]
pub struct KeyOptions {
    /// For how many days it is good [default: for ever]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    valid_days: Option<u32>,
    /// Give packages a second signature over header and payload, for clients of before Enterprise Linux 8 (RSA only)
    #[arg(long)]
    payload: bool,
    /// Sign the files of packages, too, for the kernel's integrity measurement (IMA)
    #[arg(long)]
    files: bool,
    /// Take the key of this fingerprint, which the Sign Server has already
    #[arg(long, value_name = "FINGERPRINT")]
    adopt: Option<String>,
}

impl From<KeyOptions> for Options {
    fn from(said: KeyOptions) -> Options {
        Options {
            valid_secs: said.valid_days.map(|days| days.saturating_mul(DAY_SECS)),
            signs_payload: said.payload,
            signs_files: said.files,
            adopt: said.adopt.map(|fingerprint| fingerprint.replace(' ', "").to_uppercase()),
        }
    }
}

/// The algorithms, as arguments name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Small and fast; Enterprise Linux 8 and later read it
    Ed25519,
    /// Every client reads it
    Rsa4096,
}

impl From<Kind> for Algorithm {
    fn from(kind: Kind) -> Algorithm {
        match kind {
            Kind::Ed25519 => Algorithm::Ed25519,
            Kind::Rsa4096 => Algorithm::Rsa4096,
        }
    }
}

/// Reasons, as arguments name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Why {
    /// Nothing is said
    Unsaid,
    /// Another key took its place
    Superseded,
    /// Somebody else may have it: nothing that it ever signed is to be trusted
    Compromised,
    /// It is not used any more
    Retired,
}

impl From<Why> for Revocation {
    fn from(why: Why) -> Revocation {
        match why {
            Why::Unsaid => Revocation::Unsaid,
            Why::Superseded => Revocation::Superseded,
            Why::Compromised => Revocation::Compromised,
            Why::Retired => Revocation::Retired,
        }
    }
}

/// Files that people bring, as arguments name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Document {
    /// A list of checksums
    Checksum,
    /// An advisory
    Advisory,
}

impl Key {
    /// Runs what asks the master; `import` and `audit` work on this machine, too.
    pub async fn run(self, ask: &Ask, global: &Global) -> Result {
        match self {
            Key::List => show::list(ask).await,
            Key::Create { name, algorithm, user_id, options } => {
                let wanted = CreateKey { name, algorithm: algorithm.into(), user_id, options: options.into() };
                let key = ask.client.create_key(&wanted).await?;
                ask.output.show(&key, asked)
            }
            Key::Import(import) => import.run(ask, global).await,
            Key::Show { key } => {
                let key = ask.client.key(find(ask, &key).await?.id).await?;
                ask.output.show(&key, show::describe)
            }
            Key::Export { key, files, output } => export(ask, &key, files, output).await,
            Key::Rotate { products, algorithm, user_id, name, options, resign } => {
                if name.is_some() && products.len() > 1 {
                    return Err(Failure::user("a name is for one key: name one product"));
                }
                let algorithm = algorithm.map(Algorithm::from);
                let wanted = RotateKey { algorithm, user_id, name, options: options.into() };
                for product in products {
                    let key = ask.client.rotate_key(&product, &wanted).await?;
                    ask.output.show(&key, |key| format!("product {product}: {}", asked(key)))?;
                    if resign {
                        release::create(ask, product, Content::Resign { resign: Vec::new() }).await?;
                    }
                }
                Ok(())
            }
            Key::Revoke { key, why, reason, certificate } => {
                let certificate = certificate.map(read).transpose()?;
                let wanted = RevokeKey { why: why.into(), reason, certificate };
                let key = ask.client.revoke_key(find(ask, &key).await?.id, &wanted).await?;
                ask.output.show(&key, |key| {
                    format!("key {} is revoked; what it signed: `anima key show {}`", key.key.name, key.id)
                })
            }
            Key::Policy { key, set } => policy(ask, &key, set).await,
            Key::Audit { journals } => audit::run(ask, global, journals).await,
            Key::Sign { file, product, kind, clear } => sign(ask, file, &product, kind, clear).await,
            Key::Approve { task, reason } => {
                let task = ask.client.approve_task(task, &Approve { reason }).await?;
                ask.output.show(&task, |task| format!("task {} is {}: {}", task.id, task.status.name(), task.why))
            }
        }
    }
}

/// Returns the key of that id or name.
async fn find(ask: &Ask, wanted: &str) -> Result<PublicHalf> {
    let keys = ask.client.keys().await?;
    let id = wanted.parse::<KeyId>().ok();
    let found = keys.into_iter().find(|key| Some(key.id) == id || key.key.name == wanted);
    found.ok_or_else(|| Failure::user(format!("could not find key {wanted}")).hint("`anima key list` shows them"))
}

fn asked(key: &PublicHalf) -> String {
    format!("key {} ({}) is asked for; see `anima key show {}`", key.id, key.key.name, key.id)
}

fn read(path: PathBuf) -> Result<String> {
    fs::read_to_string(&path).map_err(|error| Failure::user(format!("could not read {}: {error}", path.display())))
}

async fn export(ask: &Ask, key: &str, files: bool, output: Option<PathBuf>) -> Result {
    let key = find(ask, key).await?;
    let text = match (files, key.public_key) {
        (true, _) => ask.client.file_key(key.id).await?,
        (false, Some(text)) => text,
        (false, None) => {
            let message = format!("could not export key {}: the Sign Server has not made it yet", key.key.name);
            return Err(Failure::user(message));
        }
    };
    match output {
        None => output::raw(&text),
        Some(path) => {
            fs::write(&path, &text).with_context(|| format!("could not write {}", path.display()))?;
            output::line(&format!("{} has the public half of key {}", path.display(), key.key.name))
        }
    }
}

async fn policy(ask: &Ask, key: &str, set: Option<PathBuf>) -> Result {
    let mut key = find(ask, key).await?;
    if let Some(path) = set {
        let policy: Policy = toml::from_str(&read(path.clone())?).map_err(|error| {
            Failure::user(format!("could not use {}: {}", path.display(), error.to_string().trim()))
        })?;
        key = ask.client.set_key_policy(key.id, &policy).await?;
    }
    ask.output.show(&key.policy, |policy| toml::to_string(policy).unwrap_or_default().trim_end().to_string())
}

async fn sign(ask: &Ask, path: PathBuf, product: &str, kind: Document, clear: bool) -> Result {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
    let kind = match kind {
        Document::Checksum => Signed::Checksum,
        Document::Advisory => Signed::Advisory,
    };
    let form = if clear { Form::Clear } else { Form::Detached };
    let wanted = SignFile { name, kind, form, text: read(path.clone())? };
    let mut task = ask.client.sign_file(product, &wanted).await?;
    let mut said = String::new();
    while !task.status.is_ended() {
        if task.status == Status::Waiting && task.why != said {
            eprintln!("task {}: {}", task.id, task.why);
            said = task.why.clone();
        }
        tokio::time::sleep(LOOK_EVERY).await;
        task = ask.client.task(task.id).await?;
    }
    let signature = task.artifacts.iter().find(|file| file.kind == anima_types::artifact::Kind::Signature);
    let Some(signature) = signature.filter(|_| task.status == Status::Succeeded) else {
        return Err(Failure::new(Exit::Unsuccessful, format!("could not sign {}: {}", wanted.name, task.why)));
    };
    let out = path.with_file_name(&signature.name);
    let bytes = ask.client.artifact(signature.sha256).await?;
    fs::write(&out, bytes).with_context(|| format!("could not write {}", out.display()))?;
    ask.output.show(&task, |_| format!("{} is signed: {}", wanted.name, out.display()))
}

/// A signature takes a tenth of a second; a person's approval takes longer.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
