//! Signatures of repositories and packages, checked with the keys that the platform's file names.
//!
//! Nothing is taken from a repository on its own word: a key comes with the platform's file, never from the server.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::Path;
use std::thread;

use anima_rpm_file::{PublicKey, verify};
use anima_solver::LockedPackage;
use anima_types::work::Input;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Checks that the index of a repository is signed by one of its keys.
pub fn check_index(input: &Input, index: &[u8], signature: &[u8]) -> Result<()> {
    let refused = |reason: String| Error::Signature { what: format!("repomd.xml of {}", input.name), reason };
    let signature = std::str::from_utf8(signature).map_err(|_| refused("its signature is no text".to_owned()))?;
    one_of(&keys(input)?, |key| key.verify_armoured(index, signature)).map_err(refused)
}

/// Checks that a package is whole and signed by one of its repository's keys, on all cores.
pub(crate) fn check_packages(packages: &[(String, &Path, &Input)]) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = packages.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let work: Vec<_> = packages
            .chunks(share)
            .map(|packages| scope.spawn(|| packages.iter().try_for_each(check_package)))
            .collect();
        work.into_iter().try_for_each(|thread| thread.join().expect("checking does not panic"))
    })
}

fn check_package((nevra, path, input): &(String, &Path, &Input)) -> Result<()> {
    let refused = |reason| Error::Signature { what: format!("{nevra} of {}", input.name), reason };
    one_of(&keys(input)?, |key| verify(path, key).map(drop)).map_err(refused)
}

/// Checks that a package is whole and signed by one of the keys of where it comes from.
pub fn is_signed_by_one(nevra: &str, path: &Path, input: &Input) -> Result<()> {
    check_package(&(nevra.to_owned(), path, input))
}

/// Returns what tells one set of keys from another; nothing where nothing is checked.
pub(crate) fn name_of_keys(inputs: &[Input]) -> Option<String> {
    let with_keys: Vec<&Input> = inputs.iter().filter(|input| !input.gpg_keys.is_empty()).collect();
    let mut hash = Sha256::new();
    for input in &with_keys {
        hash.update(format!("{} {}\n", input.name, input.gpg_keys.len()));
        input.gpg_keys.iter().for_each(|key| hash.update(format!("{}:{key}\n", key.len())));
    }
    (!with_keys.is_empty()).then(|| hex::encode(hash.finalize()))
}

/// Returns the names of the repositories that packages come from without anybody's signature being looked at, where one is
/// wanted: keys are for what comes from elsewhere.
pub(crate) fn unchecked(packages: &[LockedPackage], inputs: &[Input]) -> Option<String> {
    let is_well = |input: &Input| input.is_own || !input.gpg_keys.is_empty();
    let is_known = |name: &str| inputs.iter().any(|input| input.name == name && is_well(input));
    let names = packages.iter().map(|package| package.repository.as_str()).filter(|name| !is_known(name));
    let names: BTreeSet<&str> = names.collect();
    (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(", "))
}

fn keys(input: &Input) -> Result<Vec<PublicKey>> {
    let read = |text: &String| PublicKey::from_armoured(text);
    input.gpg_keys.iter().map(read).collect::<std::result::Result<_, _>>().map_err(|error| Error::Metadata {
        name: input.name.clone(),
        reason: format!("a key of its gpg_keys in the platform's file is of no use: {error}"),
    })
}

/// The last key's refusal is told: most repositories have one.
fn one_of(
    keys: &[PublicKey],
    check: impl Fn(&PublicKey) -> anima_rpm_file::Result<()>,
) -> std::result::Result<(), String> {
    let mut refusal = "the platform's file names no key".to_owned();
    for key in keys {
        match check(key) {
            Ok(()) => return Ok(()),
            Err(error) => refusal = error.to_string(),
        }
    }
    Err(refusal)
}
