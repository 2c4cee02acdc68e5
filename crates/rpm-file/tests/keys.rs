//! Keys that others made, that expire, and that are revoked; gpg makes them and reads what we made.

mod support;

use std::{fs, path::Path, process::Command};

use anima_rpm_file::{Algorithm, NewKey, PublicKey, Revocation, SigningKey};
use support::{CREATED_AT, SIGNED_AT, USER_ID, ed25519, rsa, run};
use tempfile::TempDir;

const DAY: i64 = 86_400;

/// A home of gpg.
struct Gpg(TempDir);

impl Gpg {
    fn new() -> Gpg {
        Gpg(TempDir::new().unwrap())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--pinentry-mode", "loopback", "--homedir"]).arg(self.0.path()).env("LC_ALL", "C");
        command
    }

    /// Makes a key, and returns its secret half in armour.
    fn make(&self, algorithm: &str, usage: &str, expires: &str) -> String {
        let user = format!("{algorithm} {usage} {expires} <{algorithm}@example.org>");
        run(self.command().args(["--passphrase", "old words", "--quick-gen-key", &user, algorithm, usage, expires]));
        run(self.command().args(["--passphrase", "old words", "--armor", "--export-secret-keys", &user]))
    }

    fn import(&self, text: &str) {
        let path = self.0.path().join("imported.asc");
        fs::write(&path, text).unwrap();
        run(self.command().arg("--import").arg(path));
    }

    fn verify(&self, signature: &Path, file: Option<&Path>) -> std::process::Output {
        self.command().arg("--verify").arg(signature).args(file).output().unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Its agent lives in the folder, which goes now.
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.0.path()).args(["--kill", "all"]).output();
    }
}

fn now_secs() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as u32
}

#[test]
fn keys_that_gpg_made_are_imported_and_sign_what_gpg_accepts() {
    let (gpg, dir) = (Gpg::new(), TempDir::new().unwrap());
    for (name, algorithm) in [("ed25519", Algorithm::Ed25519), ("rsa4096", Algorithm::Rsa4096)] {
        let text = gpg.make(name, "sign", "2y");

        let key = SigningKey::import(&text, "old words", now_secs()).unwrap();

        assert_eq!(key.algorithm(), algorithm);
        let days = (key.public_key().expires_at_secs().unwrap() - i64::from(now_secs())) / DAY;
        assert!((725..=735).contains(&days), "{days}");
        let (file, signature) = (dir.path().join("file"), dir.path().join("file.asc"));
        fs::write(&file, "content").unwrap();
        fs::write(&signature, key.sign_armoured(b"content", now_secs()).unwrap()).unwrap();
        let checked = gpg.verify(&signature, Some(&file));
        assert!(checked.status.success(), "{checked:?}");
        let again = key.to_armoured_secret("new words").unwrap();
        assert_eq!(SigningKey::from_armoured_secret(&again, "new words").unwrap().fingerprint(), key.fingerprint());
    }
}

#[test]
fn a_key_with_a_subkey_for_encryption_is_imported_without_it() {
    let gpg = Gpg::new();
    let text = gpg.make("ed25519", "sign", "never");
    run(gpg.command().args(["--passphrase", "old words", "--quick-add-key", &fingerprint(&text), "cv25519", "encr"]));
    let with_subkey =
        run(gpg.command().args(["--passphrase", "old words", "--armor", "--export-secret-keys", "ed25519"]));
    let key = SigningKey::import(&with_subkey, "old words", now_secs()).unwrap();
    assert!(!shown(&gpg, &key.to_armoured_public().unwrap()).contains("sub:"));
}

fn fingerprint(text: &str) -> String {
    SigningKey::import(text, "old words", now_secs()).unwrap().fingerprint()
}

/// Returns what gpg says of a key.
fn shown(gpg: &Gpg, public: &str) -> String {
    let path = gpg.0.path().join("shown.asc");
    fs::write(&path, public).unwrap();
    run(gpg.command().args(["--with-colons", "--show-keys"]).arg(path))
}

#[test]
fn keys_of_other_forms_are_refused_with_the_reason() {
    let gpg = Gpg::new();
    let wrong = |algorithm: &str, usage: &str, word: &str| {
        let text = gpg.make(algorithm, usage, "never");
        let error = SigningKey::import(&text, "old words", now_secs()).unwrap_err().to_string();
        assert!(error.contains(word), "{algorithm} {usage}: {error}");
    };
    wrong("rsa2048", "sign", "RSA with 2048 bits; 4096 are taken");
    wrong("nistp256", "sign", "are taken");
    wrong("ed25519", "cert", "may not sign");

    let good = gpg.make("ed25519", "sign", "2d");
    let refused =
        |passphrase: &str, now_secs: u32| SigningKey::import(&good, passphrase, now_secs).unwrap_err().to_string();
    assert!(refused("other words", now_secs()).contains("its passphrase is another"));
    assert!(refused("", now_secs()).contains("no passphrase was given"));
    assert!(refused("old words", now_secs() + 5 * DAY as u32).contains("it expired 3 days ago"));
    let public = run(gpg.command().args(["--armor", "--export", "ed25519"]));
    let error = SigningKey::import(&public, "old words", now_secs()).unwrap_err().to_string();
    assert!(error.contains("it is a public key"), "{error}");
    assert!(SigningKey::import("nonsense", "old words", now_secs()).is_err());
}

#[test]
fn gpg_sees_when_a_key_expires_and_that_it_was_revoked() {
    let gpg = Gpg::new();
    let valid_secs = Some(10 * DAY as u32);
    let wanted = NewKey { algorithm: Algorithm::Ed25519, user_id: USER_ID, created_at_secs: now_secs(), valid_secs };
    let key = SigningKey::generate(&wanted).unwrap();
    let public = key.public_key();

    let expires = i64::from(wanted.created_at_secs) + 10 * DAY;
    assert_eq!(public.expires_at_secs(), Some(expires));
    assert!(shown(&gpg, &public.to_armoured().unwrap()).contains(&format!(":{expires}:")));
    assert!(!public.is_revoked());

    let revoked = key.revoke(Revocation::Compromised, "the disk was stolen", now_secs()).unwrap();
    let armoured = revoked.to_armoured().unwrap();
    assert!(PublicKey::from_armoured(&armoured).unwrap().is_revoked());
    let listed = shown(&gpg, &armoured);
    assert!(listed.contains("pub:r:"), "{listed}");
    gpg.import(&armoured);
    let (file, signature) = (gpg.0.path().join("file"), gpg.0.path().join("file.asc"));
    fs::write(&file, "content").unwrap();
    fs::write(&signature, key.sign_armoured(b"content", now_secs()).unwrap()).unwrap();
    let checked = gpg.verify(&signature, Some(&file));
    let words = String::from_utf8_lossy(&checked.stderr);
    assert!(words.contains("has been revoked") && words.contains("the disk was stolen"), "{words}");
}

#[test]
fn a_revocation_that_was_made_before_is_taken_by_its_own_key_only() {
    let gpg = Gpg::new();
    let text = gpg.make("ed25519", "sign", "never");
    let key = SigningKey::import(&text, "old words", now_secs()).unwrap();
    let folder = gpg.0.path().join("openpgp-revocs.d");
    let certificate = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    // gpg puts a colon before it, lest somebody imports it by mistake.
    let certificate = fs::read_to_string(certificate).unwrap().replace(":-----BEGIN", "-----BEGIN");
    let certificate = &certificate[certificate.find("-----BEGIN").unwrap()..];

    let revoked = key.public_key().with_revocation(certificate).unwrap();

    assert!(revoked.is_revoked());
    assert!(shown(&gpg, &revoked.to_armoured().unwrap()).contains("pub:r:"));
    let whole = key.revoke(Revocation::Superseded, "", now_secs()).unwrap().to_armoured().unwrap();
    assert!(key.public_key().with_revocation(&whole).unwrap().is_revoked());
    assert!(rsa().public_key().with_revocation(certificate).is_err());
    assert!(key.public_key().with_revocation(&rsa().to_armoured_public().unwrap()).is_err());
    assert!(key.public_key().with_revocation("nonsense").is_err());
}

#[test]
fn texts_with_a_signature_around_them_are_accepted_by_gpg() {
    let gpg = Gpg::new();
    let text = "- a line that begins with a dash\nSHA256 (a.iso) = 00ff  \n\nlast line\n";
    for key in [ed25519(), rsa()] {
        gpg.import(&key.to_armoured_public().unwrap());
        let signed = key.sign_clear(text, SIGNED_AT.max(CREATED_AT)).unwrap();
        let path = gpg.0.path().join("CHECKSUM");
        fs::write(&path, &signed).unwrap();

        let checked = gpg.verify(&path, None);

        assert!(checked.status.success(), "{checked:?}");
        let read = key.public_key().verify_clear(&signed).unwrap();
        assert!(read.contains("SHA256 (a.iso) = 00ff\n\nlast line"), "{read}");
        assert!(key.public_key().verify_clear(&signed.replace("00ff", "00fe")).is_err());
    }
}

#[test]
fn an_rsa_keys_pem_is_read_by_openssl() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("key.pem");
    fs::write(&path, rsa().public_key().to_pem().unwrap()).unwrap();

    let read = run(Command::new("openssl").args(["pkey", "-pubin", "-noout", "-text", "-in"]).arg(path));

    assert!(read.contains("Public-Key: (4096 bit)"), "{read}");
    assert!(ed25519().public_key().to_pem().is_err());
}
