//! `anima key`: signing keys, by their public halves.

use anima_types::{
    id::KeyId,
    key::{self, Algorithm, CreateKey},
};
use clap::{Subcommand, ValueEnum};

use super::Ask;
use crate::{
    exit::{Failure, Result},
    output::{self, or_dash},
};

/// Make and look at signing keys; the private halves never leave the Sign Server
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
    },
    /// Show a key with its public half
    Show {
        /// The key's id
        id: KeyId,
    },
}

/// The algorithms, as arguments name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Small and fast; Enterprise Linux 8 and later read it
    Ed25519,
    /// Every client reads it
    Rsa4096,
}

impl Key {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Key::List => ask.output.list(
                &ask.client.keys().await?,
                ["key", "name", "algorithm", "user id", "fingerprint"],
                row,
                "There are no keys. A product gets one when it is made.",
            ),
            Key::Create { name, algorithm, user_id } => {
                let algorithm = match algorithm {
                    Kind::Ed25519 => Algorithm::Ed25519,
                    Kind::Rsa4096 => Algorithm::Rsa4096,
                };
                let key = ask.client.create_key(&CreateKey { name, algorithm, user_id }).await?;
                ask.output.show(&key, |key| format!("key {} is asked for; see `anima key show {}`", key.id, key.id))
            }
            Key::Show { id } => {
                let key = ask.client.key(id).await?;
                let key = key.ok_or_else(|| {
                    Failure::user(format!("could not find key {id}")).hint("`anima key list` shows them")
                })?;
                ask.output.show(&key, describe)
            }
        }
    }
}

fn row(key: &key::Key) -> [String; 5] {
    [
        key.id.to_string(),
        key.key.name.clone(),
        key.key.algorithm.name().to_string(),
        key.key.user_id.clone(),
        key.fingerprint.clone().unwrap_or_else(|| "the Sign Server has not made it yet".to_string()),
    ]
}

fn describe(key: &key::Key) -> String {
    let [id, name, algorithm, user_id, fingerprint] = row(key);
    let fields = output::fields(&[
        ("key", id),
        ("name", name),
        ("algorithm", algorithm),
        ("user id", user_id),
        ("fingerprint", fingerprint),
        ("made", output::moment(key.created_at)),
    ]);
    match &key.public_key {
        Some(public_key) => format!("{fields}\n\n{}", public_key.trim_end()),
        None => format!("{fields}\npublic key   {}", or_dash(None::<String>)),
    }
}
