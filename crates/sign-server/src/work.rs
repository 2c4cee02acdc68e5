//! What is done for one sign task: check what came, write down what will be signed, sign it, verify that, and answer.

use std::collections::BTreeSet;

use anima_rpm_file::{DigestState, check_header_bytes, header_nevra, is_package};
use anima_types::{
    Sha256, Timestamp,
    id::TaskId,
    signature::{Account, Form, Kind},
    work::{SignItem, SignOutcome, Signature},
};
use bytes::Bytes;
use rayon::prelude::*;
use sha2::Digest as _;

use crate::{
    journal::{Journal, Line},
    keyring::{self, Entry, Keyring},
    policy::{OfKey, Policies},
};

/// Signatures of one task at most: a build of the largest size has 20,000 packages, each with three.
pub const MAX_ITEMS: usize = 60_000;
/// A package's header or a small file: nothing larger is signed. The largest header that can be read has 65 MiB.
pub const MAX_ITEM_BYTES: usize = 66 << 20;

/// Why a task is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are more items than a task may have.
    #[error("could not take {0} items in one task: {MAX_ITEMS} at most")]
    TooMany(usize),
    /// The bytes that came are not those that were named.
    #[error("could not sign {artifact}: its bytes have SHA-256 {found}, the task names {wanted}")]
    Digest {
        /// What was to be signed.
        artifact: Sha256,
        /// What the task names.
        wanted: Sha256,
        /// What came.
        found: Sha256,
    },
    /// The bytes are not of the kind that was named.
    #[error("could not sign {artifact}: {reason}")]
    Form {
        /// What was to be signed.
        artifact: Sha256,
        /// What is wrong with it.
        reason: String,
    },
    /// The master cannot say what it is, or what it says is not enough for the key's policy here.
    #[error("could not sign {artifact} with key \"{key}\": {reason}")]
    Policy {
        /// What was to be signed.
        artifact: Sha256,
        /// The key's name.
        key: String,
        /// What is missing.
        reason: String,
    },
    /// The keyring refuses.
    #[error(transparent)]
    Keyring(#[from] keyring::Error),
    /// The signature could not be made.
    #[error("could not sign {artifact}: {source}")]
    Sign {
        /// What was to be signed.
        artifact: Sha256,
        /// What is wrong.
        source: anima_rpm_file::Error,
    },
    /// The signature that was made is not good: this machine cannot be trusted to compute.
    #[error("could not verify the signature that was just made on {artifact}: {source}")]
    Unverified {
        /// What was signed.
        artifact: Sha256,
        /// What is wrong.
        source: anima_rpm_file::Error,
    },
    /// The journal could not be written: nothing is signed that is not written down.
    #[error("could not write the journal: {0}")]
    Journal(#[from] std::io::Error),
}

/// An item with its bytes.
pub type Fetched = (SignItem, Bytes);

/// Returns the signatures of all items, in their order, made by all cores at once. Before the first is made, all are in the
/// journal. What was signed before gets the same signature again.
pub fn sign(
    keyring: &mut Keyring,
    journal: &mut Journal,
    policies: &Policies,
    task: TaskId,
    fingerprint: &str,
    items: &[Fetched],
    now: Timestamp,
) -> Result<SignOutcome, Error> {
    if items.len() > MAX_ITEMS {
        return Err(Error::TooMany(items.len()));
    }
    let entry = keyring.by_fingerprint(fingerprint)?;
    entry.check(now.epoch_secs())?;
    let with_header = items.iter().filter(|(item, _)| item.form == Form::RpmHeader).map(|(item, _)| item.artifact);
    let with_header: BTreeSet<Sha256> = with_header.collect();
    let policy = policies.of(&entry.name);
    items.par_iter().try_for_each(|(item, bytes)| check(entry, policy, item, bytes, &with_header))?;
    let lines = items.iter().map(|(item, _)| line(entry, task, item, now)).collect::<Vec<_>>();
    let first = journal.append(&lines)?;
    let signatures = items.par_iter().zip(&first).map(|((item, bytes), at)| signature(entry, item, bytes, *at as u32));
    Ok(SignOutcome::Signatures(signatures.collect::<Result<_, _>>()?))
}

fn line(entry: &Entry, task: TaskId, item: &SignItem, now: Timestamp) -> Line {
    let fingerprint = match (&entry.files, item.form) {
        (Some(files), Form::RpmFiles) => keyring::fingerprint(files),
        _ => entry.fingerprint(),
    };
    let account = item.account.as_ref();
    Line {
        form: Some(item.form),
        kind: account.map(|account| account.kind),
        name: account.map(|account| account.name.clone()).unwrap_or_default(),
        ..Line::new(now, task, fingerprint, item.artifact, item.bytes_sha256)
    }
}

fn check(
    entry: &Entry,
    policy: &OfKey,
    item: &SignItem,
    bytes: &[u8],
    with_header: &BTreeSet<Sha256>,
) -> Result<(), Error> {
    let refused = |reason: String| Error::Policy { artifact: item.artifact, key: entry.name.clone(), reason };
    let Some(account) = &item.account else {
        return Err(refused("the master does not say what it is".to_string()));
    };
    if let Some(reason) = policy.policy.refuses(account) {
        return Err(refused(reason));
    }
    if (account.kind == Kind::Rpm) != item.form.is_of_package() {
        return Err(refused(format!(
            "it is of kind {}, which is not signed in form {}",
            account.kind,
            item.form.name()
        )));
    }
    match item.form {
        Form::RpmPayload => check_state(entry, policy, item, with_header),
        Form::RpmFiles if entry.files.is_none() => Err(refused("the key signs no files".to_string())),
        Form::RpmHeader | Form::RpmFiles => check_header(item, account, bytes),
        Form::Detached | Form::Clear => check_file(item, account, bytes),
    }
}

fn check_digest(item: &SignItem, found: Sha256) -> Result<(), Error> {
    match found == item.bytes_sha256 {
        true => Ok(()),
        false => Err(Error::Digest { artifact: item.artifact, wanted: item.bytes_sha256, found }),
    }
}

/// The bytes have to be one package's header, and of the package that the master names.
fn check_header(item: &SignItem, account: &Account, bytes: &[u8]) -> Result<(), Error> {
    check_digest(item, Sha256(sha2::Sha256::digest(bytes).into()))?;
    let refused = |reason: String| Error::Form { artifact: item.artifact, reason };
    check_header_bytes(bytes)
        .map_err(|error| refused(format!("its bytes are not a package's header and nothing else ({error})")))?;
    let nevra = header_nevra(bytes).map_err(|error| refused(error.to_string()))?.to_string();
    match nevra == account.name {
        true => Ok(()),
        false => Err(refused(format!("it is the header of {nevra}, the master names {}", account.name))),
    }
}

/// Of header and payload only a digest's state is here, so its owner has to trust the master with this; and the header has to
/// be among what is signed, so that it is seen at least what it is said to be.
fn check_state(entry: &Entry, policy: &OfKey, item: &SignItem, with_header: &BTreeSet<Sha256>) -> Result<(), Error> {
    let refused = |reason: &str| {
        let reason = reason.to_string();
        Error::Policy { artifact: item.artifact, key: entry.name.clone(), reason }
    };
    if !policy.payload {
        return Err(refused("its policy here does not let it sign header and payload together"));
    }
    if !with_header.contains(&item.artifact) {
        return Err(refused("the package's header is not signed with it"));
    }
    let state = item.state.as_deref().and_then(DigestState::from_hex);
    let state = state.ok_or_else(|| refused("the state of the digest is missing or malformed"))?;
    check_digest(item, Sha256(state.finish()))
}

fn check_file(item: &SignItem, account: &Account, bytes: &[u8]) -> Result<(), Error> {
    check_digest(item, Sha256(sha2::Sha256::digest(bytes).into()))?;
    let refused = |reason: &str| Error::Form { artifact: item.artifact, reason: reason.to_string() };
    if is_package(bytes) || check_header_bytes(bytes).is_ok() {
        return Err(refused("it is a package, which is signed by its header"));
    }
    match account.kind {
        Kind::Repomd if !is_repomd(bytes) => Err(refused("it is no repository's index")),
        _ if item.form == Form::Clear && std::str::from_utf8(bytes).is_err() => Err(refused("it is no text")),
        _ => Ok(()),
    }
}

/// Whether the first element of a file is that of an index.
fn is_repomd(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest).trim_start(),
        None => text,
    };
    text.strip_prefix("<repomd").is_some_and(|rest| rest.starts_with([' ', '>', '/', '\n', '\t', '\r']))
}

fn signature(entry: &Entry, item: &SignItem, bytes: &[u8], at_secs: u32) -> Result<Signature, Error> {
    let artifact = item.artifact;
    let wrong = |source| Error::Sign { artifact, source };
    let bad = |source| Error::Unverified { artifact, source };
    let key = &entry.key;
    let public = key.public_key();
    let signature = match item.form {
        Form::RpmHeader => {
            let packet = key.sign_detached(bytes, at_secs).map_err(wrong)?;
            public.verify_detached(bytes, &packet).map_err(bad)?;
            hex::encode(packet)
        }
        Form::RpmPayload => {
            let state = item.state.as_deref().and_then(DigestState::from_hex).unwrap_or_default();
            let packet = key.sign_state(&state, at_secs).map_err(wrong)?;
            public.verify_state(&state, &packet).map_err(bad)?;
            hex::encode(packet)
        }
        Form::RpmFiles => {
            // That there is one was checked.
            let files = entry.files.as_ref().unwrap_or(key);
            let lines = files.sign_files(bytes).map_err(wrong)?;
            files.public_key().verify_file_signatures(bytes, &lines).map_err(bad)?;
            lines.join("\n")
        }
        Form::Detached => {
            let text = key.sign_armoured(bytes, at_secs).map_err(wrong)?;
            public.verify_armoured(bytes, &text).map_err(bad)?;
            text
        }
        Form::Clear => {
            let text = key.sign_clear(&String::from_utf8_lossy(bytes), at_secs).map_err(wrong)?;
            public.verify_clear(&text).map_err(bad)?;
            text
        }
    };
    Ok(Signature { artifact, form: item.form, signature })
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
