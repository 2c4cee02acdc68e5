//! What is done for one sign task: check the bytes against their digest, sign them, write it down, and only then answer.

use anima_types::{
    Sha256, Timestamp,
    id::TaskId,
    work::{SignForm, SignItem, SignOutcome, Signature},
};
use sha2::Digest as _;

use crate::{
    journal::{Journal, Line},
    keyring::{self, Keyring},
};

/// Signatures of one task at most: a build of the largest size has fewer packages.
pub const MAX_ITEMS: usize = 20_000;
/// A package's header or a small file: nothing larger is signed.
pub const MAX_ITEM_BYTES: usize = 64 << 20;

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
    /// The journal could not be written: nothing is signed that is not written down.
    #[error("could not write the journal: {0}")]
    Journal(#[from] std::io::Error),
}

/// An item with its bytes.
pub type Fetched = (SignItem, Vec<u8>);

/// Returns the signatures of all items, in their order, after they were written to the journal.
pub fn sign(
    keyring: &Keyring,
    journal: &mut Journal,
    task: TaskId,
    fingerprint: &str,
    items: &[Fetched],
    now: Timestamp,
) -> Result<SignOutcome, Error> {
    if items.len() > MAX_ITEMS {
        return Err(Error::TooMany(items.len()));
    }
    let key = keyring.by_fingerprint(fingerprint)?;
    for (item, bytes) in items {
        check(item, bytes)?;
    }
    let line = |(item, _): &Fetched| Line::new(now, task, key.fingerprint(), item.artifact, item.bytes_sha256);
    let signatures = items.iter().map(|(item, bytes)| signature(key, item, bytes, now)).collect::<Result<_, _>>()?;
    journal.append(&items.iter().map(line).collect::<Vec<_>>())?;
    Ok(SignOutcome::Signatures(signatures))
}

fn check(item: &SignItem, bytes: &[u8]) -> Result<(), Error> {
    let found = Sha256(sha2::Sha256::digest(bytes).into());
    if found == item.bytes_sha256 {
        return Ok(());
    }
    Err(Error::Digest { artifact: item.artifact, wanted: item.bytes_sha256, found })
}

fn signature(
    key: &anima_rpm_file::SigningKey,
    item: &SignItem,
    bytes: &[u8],
    now: Timestamp,
) -> Result<Signature, Error> {
    let wrong = |source| Error::Sign { artifact: item.artifact, source };
    let now_secs = now.epoch_secs() as u32;
    let signature = match item.form {
        SignForm::RpmHeader => hex::encode(key.sign_detached(bytes, now_secs).map_err(wrong)?),
        SignForm::Detached => key.sign_armoured(bytes, now_secs).map_err(wrong)?,
    };
    Ok(Signature { artifact: item.artifact, signature })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::key::{Algorithm, CreateKey};
    use zeroize::Zeroizing;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    struct Server {
        dir: tempfile::TempDir,
        keyring: Keyring,
        journal: Journal,
        fingerprint: String,
    }

    fn server() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::open(&dir.path().join("keys"), Zeroizing::new("secret".into())).unwrap();
        let wanted =
            CreateKey { name: "test".into(), algorithm: Algorithm::Ed25519, user_id: "Test <t@example.org>".into() };
        let fingerprint = keyring.create(&wanted, NOW.epoch_secs() as u32).unwrap().fingerprint();
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        Server { dir, keyring, journal, fingerprint }
    }

    fn item(form: SignForm, bytes: &[u8]) -> Fetched {
        let bytes_sha256 = Sha256(sha2::Sha256::digest(bytes).into());
        (SignItem { artifact: Sha256([7; 32]), form, url: String::new(), bytes_sha256 }, bytes.to_vec())
    }

    #[test]
    fn signatures_verify_with_the_public_key_and_are_in_the_journal() {
        let mut server = server();
        let items = [item(SignForm::RpmHeader, b"header"), item(SignForm::Detached, b"<repomd/>")];

        let outcome = sign(&server.keyring, &mut server.journal, TaskId(5), &server.fingerprint, &items, NOW).unwrap();

        let SignOutcome::Signatures(signatures) = outcome else { panic!("not signatures") };
        let public = server.keyring.by_fingerprint(&server.fingerprint).unwrap().public_key();
        public.verify_detached(b"header", &hex::decode(&signatures[0].signature).unwrap()).unwrap();
        public.verify_armoured(b"<repomd/>", &signatures[1].signature).unwrap();
        let journal = std::fs::read_to_string(server.dir.path().join("journal")).unwrap();
        assert_eq!(journal.lines().count(), 2);
    }

    #[test]
    fn bytes_that_are_not_those_that_were_named_are_refused_and_nothing_is_signed() {
        let mut server = server();
        let mut altered = item(SignForm::RpmHeader, b"header");
        altered.1[0] ^= 1;
        let items = [item(SignForm::RpmHeader, b"good"), altered];

        let refused = sign(&server.keyring, &mut server.journal, TaskId(5), &server.fingerprint, &items, NOW);

        assert!(matches!(refused, Err(Error::Digest { .. })));
        assert_eq!(std::fs::read_to_string(server.dir.path().join("journal")).unwrap(), "");
    }

    #[test]
    fn a_key_that_is_not_here_is_named() {
        let mut server = server();

        let refused = sign(&server.keyring, &mut server.journal, TaskId(5), "ABCD", &[], NOW).unwrap_err();

        assert_eq!(refused.to_string(), "could not find a key with fingerprint ABCD in the keyring");
    }
}
