//! What is done for one sign task: check what came, write down what will be signed, sign it, verify that, and answer.

use anima_rpm_file::{PublicKey, SigningKey, check_header_bytes, is_package};
use anima_types::{
    Sha256, Timestamp,
    id::TaskId,
    work::{SignForm, SignItem, SignOutcome, Signature},
};
use bytes::Bytes;
use sha2::Digest as _;

use crate::{
    journal::{Journal, Line},
    keyring::{self, Keyring},
};

/// Signatures of one task at most: a build of the largest size has fewer packages.
pub const MAX_ITEMS: usize = 20_000;
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

/// Returns the signatures of all items, in their order. Before the first is made, all are in the journal.
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
    let line = |(item, _): &Fetched| Line::new(now, task, keyring::fingerprint(key), item.artifact, item.bytes_sha256);
    journal.append(&items.iter().map(line).collect::<Vec<_>>())?;
    let public = key.public_key();
    let signatures = items.iter().map(|(item, bytes)| signature(key, &public, item, bytes, now));
    Ok(SignOutcome::Signatures(signatures.collect::<Result<_, _>>()?))
}

fn check(item: &SignItem, bytes: &[u8]) -> Result<(), Error> {
    let found = Sha256(sha2::Sha256::digest(bytes).into());
    if found != item.bytes_sha256 {
        return Err(Error::Digest { artifact: item.artifact, wanted: item.bytes_sha256, found });
    }
    let refused = |reason: String| Error::Form { artifact: item.artifact, reason };
    match item.form {
        SignForm::RpmHeader => check_header_bytes(bytes)
            .map_err(|error| refused(format!("its bytes are not a package's header and nothing else ({error})"))),
        SignForm::Detached if is_package(bytes) => {
            Err(refused("it is a package, which is signed by its header".to_string()))
        }
        SignForm::Detached => Ok(()),
    }
}

fn signature(
    key: &SigningKey,
    public: &PublicKey,
    item: &SignItem,
    bytes: &[u8],
    now: Timestamp,
) -> Result<Signature, Error> {
    let artifact = item.artifact;
    let wrong = |source| Error::Sign { artifact, source };
    let bad = |source| Error::Unverified { artifact, source };
    let now_secs = now.epoch_secs() as u32;
    let signature = match item.form {
        SignForm::RpmHeader => {
            let packet = key.sign_detached(bytes, now_secs).map_err(wrong)?;
            public.verify_detached(bytes, &packet).map_err(bad)?;
            hex::encode(packet)
        }
        SignForm::Detached => {
            let text = key.sign_armoured(bytes, now_secs).map_err(wrong)?;
            public.verify_armoured(bytes, &text).map_err(bad)?;
            text
        }
    };
    Ok(Signature { artifact, signature })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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

    /// The smallest header there is: its region, which frames nothing else.
    fn header() -> Vec<u8> {
        let magic = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
        let words = [1, 16, 63, 7, 0, 16, 63, 7, u32::MAX - 15, 16].map(u32::to_be_bytes);
        [&magic[..], words.as_flattened()].concat()
    }

    fn item(form: SignForm, bytes: &[u8]) -> Fetched {
        let bytes_sha256 = Sha256(sha2::Sha256::digest(bytes).into());
        (SignItem { artifact: Sha256([7; 32]), form, url: String::new(), bytes_sha256 }, Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn signatures_verify_with_the_public_key_and_are_in_the_journal() {
        let mut server = server();
        let items = [item(SignForm::RpmHeader, &header()), item(SignForm::Detached, b"<repomd/>")];

        let outcome = sign(&server.keyring, &mut server.journal, TaskId(5), &server.fingerprint, &items, NOW).unwrap();

        let SignOutcome::Signatures(signatures) = outcome else { panic!("not signatures") };
        let public = server.keyring.by_fingerprint(&server.fingerprint).unwrap().public_key();
        public.verify_detached(&header(), &hex::decode(&signatures[0].signature).unwrap()).unwrap();
        public.verify_armoured(b"<repomd/>", &signatures[1].signature).unwrap();
        let journal = std::fs::read_to_string(server.dir.path().join("journal")).unwrap();
        assert_eq!(journal.lines().count(), 2);
    }

    #[test]
    fn bytes_that_are_not_those_that_were_named_are_refused_and_nothing_is_signed() {
        let mut server = server();
        let (named, _) = item(SignForm::RpmHeader, &header());
        let items = [item(SignForm::RpmHeader, &header()), (named, Bytes::from_static(b"other"))];

        let refused = sign(&server.keyring, &mut server.journal, TaskId(5), &server.fingerprint, &items, NOW);

        assert!(matches!(refused, Err(Error::Digest { .. })));
        assert_eq!(std::fs::read_to_string(server.dir.path().join("journal")).unwrap(), "");
    }

    #[test]
    fn a_package_or_a_payload_is_never_signed_whatever_it_is_called() {
        let mut server = server();
        let package = [&[0xed, 0xab, 0xee, 0xdb][..], &[0; 92]].concat();
        let with_payload = [header(), b"payload".to_vec()].concat();
        let wrong = [
            item(SignForm::RpmHeader, &with_payload),
            item(SignForm::RpmHeader, &package),
            item(SignForm::RpmHeader, b"<repomd/>"),
            item(SignForm::Detached, &package),
        ];

        for item in wrong {
            let refused = sign(&server.keyring, &mut server.journal, TaskId(5), &server.fingerprint, &[item], NOW);
            assert!(matches!(refused, Err(Error::Form { .. })), "{refused:?}");
        }
        assert_eq!(std::fs::read_to_string(server.dir.path().join("journal")).unwrap(), "");
    }

    #[test]
    fn nothing_is_signed_that_cannot_be_written_down() {
        let mut server = server();
        let mut full = Journal::open(Path::new("/dev/full")).unwrap();

        let items = [item(SignForm::Detached, b"<repomd/>")];
        let refused = sign(&server.keyring, &mut full, TaskId(5), &server.fingerprint, &items, NOW);
        let signed = sign(&server.keyring, &mut server.journal, TaskId(5), &server.fingerprint, &items, NOW);

        assert!(matches!(refused, Err(Error::Journal(_))), "{refused:?}");
        assert!(signed.is_ok());
    }

    #[test]
    fn a_key_that_is_not_here_is_named() {
        let mut server = server();

        let refused = sign(&server.keyring, &mut server.journal, TaskId(5), "ABCD", &[], NOW).unwrap_err();

        assert_eq!(refused.to_string(), "could not find a key with fingerprint ABCD in the keyring");
    }
}
