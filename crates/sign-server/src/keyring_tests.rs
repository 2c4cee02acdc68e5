use super::*;
use anima_types::key::Options;
use std::os::unix::fs::PermissionsExt;

const NOW_SECS: u32 = 1_700_000_000;

fn wanted(name: &str) -> CreateKey {
    CreateKey {
        name: name.into(),
        algorithm: Algorithm::Ed25519,
        user_id: "Test <test@example.org>".into(),
        options: Options::default(),
    }
}

fn keyring(dir: &Path) -> Keyring {
    Keyring::open(&dir.join("keys"), Zeroizing::new("secret".into())).unwrap()
}

#[test]
fn a_key_asked_for_twice_is_made_once_and_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = keyring(dir.path());

    let made = first.create(&wanted("seed-1"), NOW_SECS).unwrap().fingerprint();
    let again = first.create(&wanted("seed-1"), NOW_SECS + 999).unwrap().fingerprint();
    let mut reopened = keyring(dir.path());

    assert_eq!(made, again);
    assert_eq!(reopened.by_fingerprint(&made).unwrap().fingerprint(), made);
}

#[test]
fn a_key_file_is_encrypted_and_readable_by_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    keyring(dir.path()).create(&wanted("seed-1"), NOW_SECS).unwrap();

    for path in ["keys/seed-1.asc", "revocations/seed-1.asc"] {
        assert_eq!(fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(Keyring::open(&dir.path().join("keys"), Zeroizing::new("wrong".into())).is_err());
}

#[test]
fn another_key_of_the_same_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyring = keyring(dir.path());
    keyring.create(&wanted("seed-1"), NOW_SECS).unwrap();

    let other = CreateKey { user_id: "Other <other@example.org>".into(), ..wanted("seed-1") };

    assert!(matches!(keyring.create(&other, NOW_SECS), Err(Error::Exists(_))));
}

#[test]
fn a_name_that_leaves_the_keyring_or_is_its_own_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyring = keyring(dir.path());

    for name in ["", "../up", ".hidden", "a/b", "UPPER", "a.files", "a.revoked", &"x".repeat(65)] {
        assert!(matches!(keyring.create(&wanted(name), 0), Err(Error::Name(_))), "{name}");
    }
}

#[test]
fn a_key_that_was_imported_while_the_keyring_is_open_is_found_and_locked_with_its_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = keyring(dir.path());
    let foreign = SigningKey::generate_ed25519("Old <old@example.org>", NOW_SECS).unwrap();
    let text = foreign.to_armoured_secret("its own words").unwrap();

    let imported = keyring(dir.path()).import("old", &text, "its own words", NOW_SECS).unwrap().fingerprint();

    assert_eq!(imported, fingerprint(&foreign));
    let adopt = Options { adopt: Some(imported.clone()), ..Options::default() };
    let asked = CreateKey { options: adopt, ..wanted("whatever") };
    assert_eq!(running.create(&asked, NOW_SECS).unwrap().name, "old");
    let absent = Options { adopt: Some("0".repeat(40)), ..Options::default() };
    assert!(matches!(running.create(&CreateKey { options: absent, ..wanted("x") }, NOW_SECS), Err(Error::Unknown(_))));
    let again = keyring(dir.path()).import("old", &text, "its own words", NOW_SECS).map(Entry::fingerprint);
    assert!(matches!(again, Err(Error::Exists(_))));
}

#[test]
fn a_revoked_key_never_signs_again_and_says_why_the_first_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = keyring(dir.path());
    let made = first.create(&wanted("seed-1"), NOW_SECS).unwrap().fingerprint();

    let revoked = first.revoke(&made, key::Revocation::Compromised, "stolen", NOW_SECS + 5).unwrap();
    let again = keyring(dir.path()).revoke(&made, key::Revocation::Unsaid, "", NOW_SECS + 9).unwrap();

    assert_eq!(revoked, again);
    assert!(PublicKey::from_armoured(&revoked).unwrap().is_revoked());
    for keyring in [&mut first, &mut keyring(dir.path())] {
        let entry = keyring.by_fingerprint(&made).unwrap();
        assert!(matches!(entry.check(i64::from(NOW_SECS)), Err(Error::Ended { reason: "is revoked", .. })));
    }
}

#[test]
fn a_key_signs_until_it_expires() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyring = keyring(dir.path());
    let options = Options { valid_secs: Some(100), ..Options::default() };

    let entry = keyring.create(&CreateKey { options, ..wanted("short") }, NOW_SECS).unwrap();

    assert!(entry.check(i64::from(NOW_SECS) + 99).is_ok());
    assert!(matches!(entry.check(i64::from(NOW_SECS) + 100), Err(Error::Ended { reason: "is expired", .. })));
}

#[test]
fn files_are_signed_with_a_key_of_their_own_that_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = keyring(dir.path());
    let options = Options { signs_files: true, ..Options::default() };
    let asked = CreateKey { options, ..wanted("seed-1") };

    let entry = first.create(&asked, NOW_SECS).unwrap();
    let made = fingerprint(entry.files.as_ref().unwrap());

    assert_ne!(made, entry.fingerprint());
    let mut reopened = keyring(dir.path());
    assert_eq!(fingerprint(reopened.create(&asked, NOW_SECS).unwrap().files.as_ref().unwrap()), made);
    assert!(matches!(reopened.by_fingerprint(&made), Err(Error::Unknown(_))), "it is no key to sign documents with");
}
