//! Signatures that rpm and gpg accept, and packages that are refused.

mod support;

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anima_rpm_file::{Algorithm, Error, PackageInfo, SigningKey, header_bytes, install_signature, verify};
use support::{CREATED_AT, Keyring, SIGNED_AT, USER_ID, ed25519, odd, rsa, run};
use tempfile::TempDir;

fn signed(package: &Path, key: &SigningKey, dir: &TempDir) -> PathBuf {
    let header = header_bytes(package).unwrap();
    let signature = key.sign_detached(&header.bytes, SIGNED_AT).unwrap();
    let output = dir.path().join("signed.rpm");
    install_signature(package, &output, &signature).unwrap();
    output
}

fn payload(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    bytes[PackageInfo::read(path).unwrap().header_end as usize..].to_vec()
}

#[test]
fn packages_signed_with_both_algorithms_are_accepted_by_rpm() {
    let dir = TempDir::new().unwrap();
    for key in [ed25519(), rsa()] {
        let keyring = Keyring::with(key);
        for package in &odd().files {
            let output = signed(package, key, &dir);

            let answer = keyring.check(&output);

            let text = String::from_utf8_lossy(&answer.stdout);
            assert!(answer.status.success(), "{text}");
            let key_id = &key.fingerprint()[32..];
            assert!(
                text.contains(&format!("key ID {key_id}: OK")) && text.contains("Payload SHA256 digest: OK"),
                "{text}"
            );
            assert_eq!(verify(&output, &key.public_key()).unwrap().fingerprint, key.fingerprint());
        }
    }
}

#[test]
fn signing_leaves_header_and_payload_as_they_were_and_moves_nothing() {
    let dir = TempDir::new().unwrap();
    let package = odd().named("odd-1.0");

    let output = signed(&package, rsa(), &dir);

    assert_eq!(header_bytes(&output).unwrap(), header_bytes(&package).unwrap());
    assert_eq!(payload(&output), payload(&package));
    assert_eq!(fs::metadata(&output).unwrap().len(), fs::metadata(&package).unwrap().len());
    assert_eq!(PackageInfo::read(&output).unwrap(), PackageInfo::read(&package).unwrap());
}

#[test]
fn a_second_signature_replaces_the_first() {
    let dir = TempDir::new().unwrap();
    let package = odd().named("odd-1.0");
    let first = signed(&package, rsa(), &dir);

    let second = signed(&first, ed25519(), &dir);

    assert!(verify(&second, &ed25519().public_key()).is_ok());
    assert!(matches!(verify(&second, &rsa().public_key()), Err(Error::BadSignature { .. })));
    assert!(Keyring::with(ed25519()).check(&second).status.success());
    assert_eq!(fs::metadata(&second).unwrap().len(), fs::metadata(&package).unwrap().len());
}

#[test]
fn a_package_without_reserved_space_grows_and_is_still_accepted() {
    let dir = TempDir::new().unwrap();
    let spec = support::ODD_SPEC.replace("Name: odd", "%global __gpg_reserved_space 0\nName: odd");
    let tight = support::Packages::build(&spec);
    let package = tight.named("odd-1.0");

    let output = signed(&package, rsa(), &dir);

    assert!(fs::metadata(&output).unwrap().len() > fs::metadata(&package).unwrap().len());
    assert!(Keyring::with(rsa()).check(&output).status.success());
    assert_eq!(payload(&output), payload(&package));
    assert!(verify(&output, &rsa().public_key()).is_ok());
}

#[test]
fn a_package_can_be_signed_where_it_lies() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("signed.rpm");
    fs::copy(odd().named("odd-sub"), &path).unwrap();

    let output = signed(&path, ed25519(), &dir);

    assert_eq!(output, path);
    assert!(verify(&path, &ed25519().public_key()).is_ok());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn an_altered_byte_anywhere_behind_the_signature_is_refused() {
    let dir = TempDir::new().unwrap();
    let package = odd().named("odd-1.0");
    let output = signed(&package, ed25519(), &dir);
    let info = PackageInfo::read(&output).unwrap();
    let size = fs::metadata(&output).unwrap().len();
    let keyring = Keyring::with(ed25519());
    let places =
        [info.header_start + 200, info.header_end - 40, info.header_end + 1, (info.header_end + size) / 2, size - 1];

    for place in places {
        let altered = dir.path().join("altered.rpm");
        fs::copy(&output, &altered).unwrap();
        let byte = fs::read(&output).unwrap()[place as usize];
        let mut file = fs::OpenOptions::new().write(true).open(&altered).unwrap();
        file.seek(SeekFrom::Start(place)).unwrap();
        file.write_all(&[byte ^ 0x55]).unwrap();

        assert!(verify(&altered, &ed25519().public_key()).is_err(), "byte {place}");
        assert!(!keyring.check(&altered).status.success(), "byte {place}");
        let signature = ed25519().sign_detached(b"anything", SIGNED_AT).unwrap();
        let target = dir.path().join("resigned.rpm");
        assert!(install_signature(&altered, &target, &signature).is_err(), "byte {place}");
        assert!(!target.exists());
    }
}

#[test]
fn an_unsigned_package_and_one_signed_over_something_else_are_refused() {
    let dir = TempDir::new().unwrap();
    let package = odd().named("odd-1.0");
    let wrong = dir.path().join("wrong.rpm");
    let signature = rsa().sign_detached(b"another header", SIGNED_AT).unwrap();
    install_signature(&package, &wrong, &signature).unwrap();

    assert!(matches!(verify(&package, &rsa().public_key()), Err(Error::Unsigned)));
    assert!(matches!(verify(&wrong, &rsa().public_key()), Err(Error::BadSignature { .. })));
    assert!(!Keyring::with(rsa()).check(&wrong).status.success());
}

#[test]
fn what_is_no_signature_is_not_installed() {
    let dir = TempDir::new().unwrap();
    let package = odd().named("odd-1.0");
    let target = dir.path().join("out.rpm");
    let good = ed25519().sign_detached(b"x", SIGNED_AT).unwrap();

    for bytes in [&b""[..], b"garbage", &good[..good.len() - 1], &[&good[..], &good[..]].concat(), &vec![0x88; 1 << 20]]
    {
        assert!(
            matches!(install_signature(&package, &target, bytes), Err(Error::Signature(_))),
            "{} bytes",
            bytes.len()
        );
    }
    assert!(!target.exists());
}

#[test]
fn signatures_are_the_same_for_the_same_key_data_and_time() {
    for key in [ed25519(), rsa()] {
        assert_eq!(key.sign_detached(b"data", SIGNED_AT).unwrap(), key.sign_detached(b"data", SIGNED_AT).unwrap());
        assert!(key.public_key().verify_detached(b"data", &key.sign_detached(b"data", SIGNED_AT).unwrap()).is_ok());
        assert!(key.public_key().verify_detached(b"date", &key.sign_detached(b"data", SIGNED_AT).unwrap()).is_err());
    }
}

#[test]
fn a_secret_key_comes_back_from_its_locked_form_only_with_its_passphrase() {
    for (key, algorithm) in [(ed25519(), Algorithm::Ed25519), (rsa(), Algorithm::Rsa4096)] {
        let locked = key.to_armoured_secret("correct horse").unwrap();

        let back = SigningKey::from_armoured_secret(&locked, "correct horse").unwrap();

        assert_eq!(back.algorithm(), algorithm);
        assert_eq!(back.fingerprint(), key.fingerprint());
        assert_eq!(back.public_key().user_ids(), [USER_ID]);
        assert_eq!(back.sign_detached(b"data", SIGNED_AT).unwrap(), key.sign_detached(b"data", SIGNED_AT).unwrap());
        assert!(matches!(SigningKey::from_armoured_secret(&locked, "wrong"), Err(Error::Key(_))));
        assert!(matches!(
            SigningKey::from_armoured_secret(&locked[..locked.len() / 2], "correct horse"),
            Err(Error::Key(_))
        ));
        assert!(key.to_armoured_secret("").is_err(), "a key is never written unlocked");
    }
}

#[test]
fn user_ids_that_would_break_a_listing_are_refused() {
    for user_id in ["", "a\nb", &"x".repeat(600)] {
        assert!(SigningKey::generate_ed25519(user_id, CREATED_AT).is_err());
    }
}

/// A folder that gpg keeps its keys in; its agent is told to go when the test ends.
struct Gpg(TempDir);

impl Gpg {
    fn new() -> Gpg {
        Gpg(tempfile::Builder::new().prefix("g").tempdir().unwrap())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command
            .args(["--batch", "--no-tty", "--status-fd", "1", "--pinentry-mode", "loopback"])
            .env("GNUPGHOME", self.0.path());
        command
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.0.path()).status();
    }
}

#[test]
fn armoured_signatures_and_keys_are_accepted_by_gpg() {
    for key in [ed25519(), rsa()] {
        let gpg = Gpg::new();
        let data = gpg.file("repomd.xml", b"<repomd/>\n");
        let signature = key.sign_armoured(b"<repomd/>\n", SIGNED_AT).unwrap();
        let signature_file = gpg.file("repomd.xml.asc", signature.as_bytes());
        let public = gpg.file("public.asc", key.to_armoured_public().unwrap().as_bytes());
        run(gpg.command().arg("--import").arg(public));

        let status = run(gpg.command().arg("--verify").arg(&signature_file).arg(&data));

        assert!(status.contains(&format!("VALIDSIG {}", key.fingerprint().to_uppercase())), "{status}");
        assert!(key.public_key().verify_armoured(b"<repomd/>\n", &signature).is_ok());
        fs::write(&data, "<repomd />\n").unwrap();
        assert!(!gpg.command().arg("--verify").arg(&signature_file).arg(&data).output().unwrap().status.success());
        assert!(key.public_key().verify_armoured(b"<repomd />\n", &signature).is_err());
    }
}

#[test]
fn gpg_signs_with_our_secret_keys_and_we_accept_it() {
    for key in [ed25519(), rsa()] {
        let gpg = Gpg::new();
        let secret = gpg.file("secret.asc", key.to_armoured_secret("horse").unwrap().as_bytes());
        let data = gpg.file("data", b"data");
        run(gpg.command().args(["--passphrase", "horse", "--import"]).arg(secret));

        run(gpg.command().args(["--passphrase", "horse", "--detach-sign"]).arg(data));

        let signature = fs::read(gpg.0.path().join("data.sig")).unwrap();
        assert!(key.public_key().verify_detached(b"data", &signature).is_ok());
    }
}

#[test]
fn keys_made_by_gpg_sign_packages_that_rpm_accepts() {
    let dir = TempDir::new().unwrap();
    for (algorithm, wanted) in [("ed25519", Algorithm::Ed25519), ("rsa4096", Algorithm::Rsa4096)] {
        let gpg = Gpg::new();
        run(gpg.command().args(["--passphrase", "horse", "--quick-gen-key", USER_ID, algorithm, "sign", "never"]));
        let secret = run(Command::new("gpg")
            .args(["--batch", "--pinentry-mode", "loopback", "--passphrase", "horse", "--armor"])
            .arg("--export-secret-keys")
            .env("GNUPGHOME", gpg.0.path()));

        let key = SigningKey::from_armoured_secret(&secret, "horse").unwrap();

        assert_eq!(key.algorithm(), wanted);
        let output = signed(&odd().named("odd-1.0"), &key, &dir);
        assert!(Keyring::with(&key).check(&output).status.success());
    }
}
