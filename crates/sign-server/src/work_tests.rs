use std::path::Path;

use super::*;
use anima_types::{
    key::{Algorithm, CreateKey, Options, Revocation},
    signature::MadeBy,
};
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

struct Server {
    dir: tempfile::TempDir,
    keyring: Keyring,
    journal: Journal,
    fingerprint: String,
}

impl Server {
    fn new() -> Server {
        Server::with(Algorithm::Ed25519, Options::default())
    }

    fn with(algorithm: Algorithm, options: Options) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::open(&dir.path().join("keys"), Zeroizing::new("secret".into())).unwrap();
        let wanted = CreateKey { name: "test".into(), algorithm, user_id: "Test <t@example.org>".into(), options };
        let fingerprint = keyring.create(&wanted, NOW.epoch_secs() as u32).unwrap().fingerprint();
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        Server { dir, keyring, journal, fingerprint }
    }

    fn sign(&mut self, items: &[Fetched]) -> Result<Vec<Signature>, Error> {
        self.sign_at(items, "", NOW)
    }

    /// Signs with what `policy.toml` says.
    fn sign_at(&mut self, items: &[Fetched], policy: &str, now: Timestamp) -> Result<Vec<Signature>, Error> {
        let path = self.dir.path().join("policy.toml");
        std::fs::write(&path, policy).unwrap();
        let policies = Policies::read(&path).unwrap();
        let (keyring, journal) = (&mut self.keyring, &mut self.journal);
        match sign(keyring, journal, &policies, TaskId(5), &self.fingerprint, items, now)? {
            SignOutcome::Signatures(signatures) => Ok(signatures),
            other => panic!("{other:?}"),
        }
    }

    fn journal(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("journal")).unwrap()
    }
}

/// The smallest header that says of what package it is: name, version, release, architecture, source package, and one file
/// with its digest.
fn header(name: &str) -> Vec<u8> {
    let digest = format!("{}\0", "ab".repeat(32));
    let mut data = Vec::new();
    let mut index = Vec::new();
    let mut add = |tag: u32, kind: u32, bytes: &[u8]| {
        if kind == 4 {
            data.resize(data.len().next_multiple_of(4), 0);
        }
        index.extend([tag, kind, data.len() as u32, 1].map(u32::to_be_bytes).concat());
        data.extend_from_slice(bytes);
    };
    add(1000, 6, format!("{name}\0").as_bytes());
    add(1001, 6, b"1.0\0");
    add(1002, 6, b"2\0");
    add(1022, 6, b"noarch\0");
    add(1035, 8, digest.as_bytes());
    add(1044, 6, b"a-1.0-2.src.rpm\0");
    add(5011, 4, &8_u32.to_be_bytes());
    let entries = (index.len() / 16 + 1) as u32;
    let end = data.len() as u32;
    data.extend([63, 7, (entries * 16).wrapping_neg(), 16].map(u32::to_be_bytes).concat());
    let region = [63, 7, end, 16].map(u32::to_be_bytes).concat();
    let sizes = [entries, data.len() as u32].map(u32::to_be_bytes).concat();
    [&[0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0][..], &sizes, &region, &index, &data].concat()
}

fn account(kind: Kind, name: &str) -> Account {
    Account {
        kind,
        name: name.into(),
        product: "p1".into(),
        platform: Some("p1".into()),
        build: None,
        release: None,
        made_by: Some(MadeBy { task: TaskId(3), lease: 1, node: "b1".into() }),
        is_green: true,
        imported: None,
        asked_by: Some("ada".into()),
        approved_by: Vec::new(),
    }
}

fn item(form: Form, account: Account, bytes: &[u8]) -> Fetched {
    let bytes_sha256 = Sha256(sha2::Sha256::digest(bytes).into());
    let artifact = Sha256([7; 32]);
    let item = SignItem { artifact, form, url: String::new(), bytes_sha256, state: None, account: Some(account) };
    (item, Bytes::copy_from_slice(bytes))
}

fn package() -> Fetched {
    item(Form::RpmHeader, account(Kind::Rpm, "a-1.0-2.noarch"), &header("a"))
}

fn index() -> Fetched {
    item(Form::Detached, account(Kind::Repomd, "p1/x/repodata/repomd.xml"), b"<?xml version=\"1.0\"?>\n<repomd/>")
}

#[test]
fn signatures_verify_with_the_public_key_and_are_in_the_journal() {
    let mut server = Server::new();
    let list = item(Form::Clear, account(Kind::Checksum, "CHECKSUM"), b"SHA256 (a) = 00\n");

    let signatures = server.sign(&[package(), index(), list]).unwrap();

    let public = server.keyring.by_fingerprint(&server.fingerprint).unwrap().key.public_key();
    public.verify_detached(&header("a"), &hex::decode(&signatures[0].signature).unwrap()).unwrap();
    public.verify_armoured(&index().1, &signatures[1].signature).unwrap();
    public.verify_clear(&signatures[2].signature).unwrap();
    assert_eq!(server.journal().lines().count(), 3);
    assert!(server.journal().contains("\"name\":\"a-1.0-2.noarch\""));
}

#[test]
fn the_same_task_again_gives_the_same_signatures_and_no_line_more() {
    let mut server = Server::new();
    let first = server.sign(&[package(), index()]).unwrap();
    let Server { dir, fingerprint, .. } = server;

    // Killed after the journal was written, it begins anew, and later.
    let keyring = Keyring::open(&dir.path().join("keys"), Zeroizing::new("secret".into())).unwrap();
    let journal = Journal::open(&dir.path().join("journal")).unwrap();
    let mut server = Server { dir, keyring, journal, fingerprint };
    let again = server.sign_at(&[package(), index()], "", NOW.plus_secs(3600)).unwrap();

    assert_eq!(first, again);
    assert_eq!(server.journal().lines().count(), 2);
}

#[test]
fn bytes_that_are_not_those_that_were_named_are_refused_and_nothing_is_signed() {
    let mut server = Server::new();
    let (named, _) = package();

    let refused = server.sign(&[package(), (named, Bytes::from_static(b"other"))]);

    assert!(matches!(refused, Err(Error::Digest { .. })));
    assert_eq!(server.journal(), "");
}

#[test]
fn a_package_or_a_payload_is_never_signed_whatever_it_is_called() {
    let mut server = Server::new();
    let whole = [&[0xed, 0xab, 0xee, 0xdb][..], &[0; 92]].concat();
    let with_payload = [header("a"), b"payload".to_vec()].concat();
    let rpm = || account(Kind::Rpm, "a-1.0-2.noarch");
    let wrong = [
        item(Form::RpmHeader, rpm(), &with_payload),
        item(Form::RpmHeader, rpm(), &whole),
        item(Form::RpmHeader, rpm(), b"<repomd/>"),
        item(Form::RpmHeader, rpm(), &header("another")),
        item(Form::Detached, account(Kind::Checksum, "x"), &whole),
        item(Form::Detached, account(Kind::Checksum, "x"), &header("a")),
        item(Form::Detached, account(Kind::Repomd, "x"), b"SHA256 (a) = 00"),
        item(Form::Detached, account(Kind::Repomd, "x"), b"<repomdx/>"),
        item(Form::Clear, account(Kind::Checksum, "x"), b"\xff\xfe"),
    ];

    for item in wrong {
        let refused = server.sign(&[item]);
        assert!(matches!(refused, Err(Error::Form { .. })), "{refused:?}");
    }
    assert_eq!(server.journal(), "");
}

#[test]
fn what_the_master_cannot_account_for_is_not_signed() {
    let mut server = Server::new();
    let (silent, bytes) = package();
    let silent = (SignItem { account: None, ..silent }, bytes);
    let no_lease = Account { made_by: None, ..account(Kind::Rpm, "a-1.0-2.noarch") };
    let untested = Account { is_green: false, ..account(Kind::Rpm, "a-1.0-2.noarch") };
    let disguised = item(Form::RpmHeader, account(Kind::Checksum, "a-1.0-2.noarch"), &header("a"));
    let wrong = [
        silent,
        item(Form::RpmHeader, no_lease, &header("a")),
        item(Form::RpmHeader, untested, &header("a")),
        disguised,
    ];

    for item in wrong {
        let refused = server.sign(&[item]);
        assert!(matches!(refused, Err(Error::Policy { .. })), "{refused:?}");
    }
    assert_eq!(server.journal(), "");
}

#[test]
fn the_policy_on_this_machine_counts_whatever_the_master_says() {
    let mut server = Server::new();
    let only = "[keys.test.policy]\nproducts = [\"other\"]\n";

    let refused = server.sign_at(&[package()], only, NOW);

    assert!(matches!(&refused, Err(Error::Policy { reason, .. }) if reason.contains("not for p1")), "{refused:?}");
    assert!(server.sign_at(&[package()], "[keys.test.policy]\nproducts = [\"p1\"]\n", NOW).is_ok());
}

#[test]
fn header_and_payload_are_signed_together_only_where_the_policy_here_says_so() {
    let mut server = Server::with(Algorithm::Rsa4096, Options::default());
    let mut state = DigestState::default();
    state.update(&header("a"));
    state.update(b"payload");
    let payload = |state: &DigestState| {
        let (item, bytes) = package();
        let bytes_sha256 = Sha256(state.clone().finish());
        (SignItem { form: Form::RpmPayload, bytes_sha256, state: Some(state.to_hex()), ..item }, bytes)
    };
    let allowed = "[keys.test]\npayload = true\n";

    assert!(matches!(server.sign(&[package(), payload(&state)]), Err(Error::Policy { .. })));
    assert!(matches!(server.sign_at(&[payload(&state)], allowed, NOW), Err(Error::Policy { .. })));
    let (item, bytes) = payload(&state);
    let lying = (SignItem { bytes_sha256: Sha256([1; 32]), ..item }, bytes);
    assert!(matches!(server.sign_at(&[package(), lying], allowed, NOW), Err(Error::Digest { .. })));
    let signatures = server.sign_at(&[package(), payload(&state)], allowed, NOW).unwrap();

    let public = server.keyring.by_fingerprint(&server.fingerprint).unwrap().key.public_key();
    let whole = [&header("a")[..], b"payload"].concat();
    public.verify_detached(&whole, &hex::decode(&signatures[1].signature).unwrap()).unwrap();
}

#[test]
fn files_are_signed_by_their_own_key_and_only_if_there_is_one() {
    let files = || item(Form::RpmFiles, account(Kind::Rpm, "a-1.0-2.noarch"), &header("a"));
    assert!(matches!(Server::new().sign(&[files()]), Err(Error::Policy { .. })));
    let mut server = Server::with(Algorithm::Ed25519, Options { signs_files: true, ..Options::default() });

    let signatures = server.sign(&[package(), files()]).unwrap();

    let entry = server.keyring.by_fingerprint(&server.fingerprint).unwrap();
    let key = entry.files.as_ref().unwrap();
    key.public_key().verify_file_signatures(&header("a"), &[&signatures[1].signature]).unwrap();
    let by = keyring::fingerprint(key);
    assert!(server.journal().contains(&by));
}

#[test]
fn nothing_is_signed_that_cannot_be_written_down() {
    let mut server = Server::new();
    let full = Journal::open(Path::new("/dev/full")).unwrap();
    let journal = std::mem::replace(&mut server.journal, full);

    let refused = server.sign(&[index()]);
    server.journal = journal;

    assert!(matches!(refused, Err(Error::Journal(_))), "{refused:?}");
    assert!(server.sign(&[index()]).is_ok());
}

#[test]
fn a_key_that_is_revoked_or_expired_signs_nothing() {
    let mut server = Server::with(Algorithm::Ed25519, Options { valid_secs: Some(60), ..Options::default() });

    let late = server.sign_at(&[index()], "", NOW.plus_secs(60));
    server.keyring.revoke(&server.fingerprint.clone(), Revocation::Retired, "", 1_700_000_001).unwrap();
    let revoked = server.sign(&[index()]);

    assert!(late.unwrap_err().to_string().contains("is expired"));
    assert!(revoked.unwrap_err().to_string().contains("is revoked"));
    assert_eq!(server.journal(), "");
}

#[test]
fn a_key_that_is_not_here_is_named() {
    let mut server = Server::new();
    server.fingerprint = "ABCD".into();

    let refused = server.sign(&[]).unwrap_err();

    assert_eq!(refused.to_string(), "could not find a key with fingerprint ABCD in the keyring");
}
