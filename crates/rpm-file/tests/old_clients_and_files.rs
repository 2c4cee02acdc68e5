//! What is signed besides the header: header and payload for old clients, and each file for the kernel.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anima_rpm_file::{
    DigestState, Error, Signatures, SigningKey, digest_state, header_bytes, install_signatures, verify, verify_files,
};
use support::{Keyring, SIGNED_AT, ed25519, odd, rsa, run};
use tempfile::TempDir;

/// Signs as a Sign Server does, which never sees the payload.
fn signed_for_old_clients(package: &Path, key: &SigningKey, dir: &TempDir) -> PathBuf {
    let header = key.sign_detached(&header_bytes(package).unwrap().bytes, SIGNED_AT).unwrap();
    let state = DigestState::from_hex(&digest_state(package).unwrap().to_hex()).unwrap();
    let old = key.sign_state(&state, SIGNED_AT).unwrap();
    let output = dir.path().join("signed.rpm");
    let signatures = Signatures { header: &header, header_and_payload: Some(&old), files: None };
    install_signatures(package, &output, &signatures).unwrap();
    output
}

#[test]
fn a_signature_over_header_and_payload_is_accepted_by_rpm_and_by_us() {
    let dir = TempDir::new().unwrap();
    let keyring = Keyring::with(rsa());
    for package in &odd().files {
        let output = signed_for_old_clients(package, rsa(), &dir);

        let answer = keyring.check(&output);

        let text = String::from_utf8_lossy(&answer.stdout);
        assert!(answer.status.success(), "{text}");
        let key_id = &rsa().fingerprint()[32..];
        assert!(text.contains(&format!("Header V4 RSA/SHA256 Signature, key ID {key_id}: OK")), "{text}");
        assert!(text.contains(&format!("    V4 RSA/SHA256 Signature, key ID {key_id}: OK")), "{text}");
        assert!(text.contains("MD5 digest: OK") && text.contains("Header SHA1 digest: OK"), "{text}");
        let verified = verify(&output, &rsa().public_key()).unwrap();
        assert!(verified.has_payload_signature);
    }
}

/// An old client looks at this signature alone: header signatures and SHA-256 came later than its rpm.
#[test]
fn the_signature_over_header_and_payload_stands_by_itself() {
    let dir = TempDir::new().unwrap();
    let (keyring, package) = (Keyring::with(rsa()), odd().named("odd-1.0"));
    let good = signed_for_old_clients(&package, rsa(), &dir);
    let header = rsa().sign_detached(&header_bytes(&package).unwrap().bytes, SIGNED_AT).unwrap();
    let other = rsa().sign_state(&DigestState::default(), SIGNED_AT).unwrap();
    let bad = dir.path().join("bad.rpm");
    let signatures = Signatures { header: &header, header_and_payload: Some(&other), files: None };
    install_signatures(&package, &bad, &signatures).unwrap();

    // Signatures over the header, its SHA-256 and that of the payload are not looked at (RPMVSF_NO…), as rpm 4.8 has none.
    let old = |path: &Path| keyring.check_with(path, &["--define", "_pkgverify_flags 0x10e00"]);

    assert!(old(&good).status.success(), "{:?}", old(&good));
    assert!(!old(&bad).status.success(), "{:?}", old(&bad));
    assert!(!keyring.check(&bad).status.success());
    assert!(matches!(verify(&bad, &rsa().public_key()), Err(Error::BadSignature { .. })));
}

#[test]
fn a_later_signature_takes_the_one_over_header_and_payload_away() {
    let dir = TempDir::new().unwrap();
    let old = signed_for_old_clients(&odd().named("odd-1.0"), rsa(), &dir);
    let header = ed25519().sign_detached(&header_bytes(&old).unwrap().bytes, SIGNED_AT).unwrap();

    let output = dir.path().join("again.rpm");
    install_signatures(&old, &output, &Signatures { header: &header, ..Signatures::default() }).unwrap();

    assert!(!verify(&output, &ed25519().public_key()).unwrap().has_payload_signature);
    assert!(Keyring::with(ed25519()).check(&output).status.success());
}

#[test]
fn signatures_of_files_are_accepted_by_evmctl_and_read_by_rpm() {
    let dir = TempDir::new().unwrap();
    let package = odd().named("odd-1.0");
    let header = header_bytes(&package).unwrap().bytes;
    let files = rsa().sign_files(&header).unwrap();
    let over_header = ed25519().sign_detached(&header, SIGNED_AT).unwrap();
    let output = dir.path().join("signed.rpm");
    let signatures = Signatures { header: &over_header, header_and_payload: None, files: Some(&files) };
    install_signatures(&package, &output, &signatures).unwrap();

    verify_files(&output, &rsa().public_key()).unwrap();
    verify(&output, &ed25519().public_key()).unwrap();
    let checked = Keyring::with(ed25519()).check(&output);
    assert!(checked.status.success(), "{checked:?}");

    let listed = run(Command::new("rpm")
        .args(["-qp", "--nosignature", "--qf", "[%{FILENAMES}\t%{FILESIGNATURES}\n]"])
        .arg(&output));
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let certificate = certificate(&dir);
    run(Command::new("sh").arg("-c").arg(format!(
        "cd {} && rpm2cpio {} | cpio -id --quiet",
        root.display(),
        output.display()
    )));
    let mut checked = 0;
    for line in listed.lines() {
        let (name, signature) = line.split_once('\t').unwrap();
        let path = root.join(name.trim_start_matches('/'));
        if !path.is_file() || path.is_symlink() {
            assert!(signature.is_empty() || signature == "(none)", "{line}");
            continue;
        }
        fs::write(path.with_file_name("file"), fs::read(&path).unwrap()).unwrap();
        fs::write(path.with_file_name("file.sig"), hex(signature)).unwrap();
        let evmctl = |file: &Path| {
            let mut command = Command::new("evmctl");
            command.args(["ima_verify", "--sigfile", "--key"]).arg(&certificate).arg(file);
            command.output().unwrap()
        };
        let file = path.with_file_name("file");
        assert!(evmctl(&file).status.success(), "{name}: {:?}", evmctl(&file));
        fs::write(&file, "something else").unwrap();
        assert!(!evmctl(&file).status.success(), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 4);
}

/// Returns the file of a certificate for the public key, by an authority as every site with IMA has one.
fn certificate(dir: &TempDir) -> PathBuf {
    let path = |name: &str| dir.path().join(name);
    fs::write(path("ima.pem"), rsa().public_key().to_pem().unwrap()).unwrap();
    let openssl = || Command::new("openssl");
    run(openssl().args(["genpkey", "-algorithm", "RSA", "-out"]).arg(path("authority.key")));
    run(openssl()
        .args(["x509", "-new", "-subj", "/CN=Anima Test", "-days", "9", "-outform", "DER", "-key"])
        .arg(path("authority.key"))
        .arg("-force_pubkey")
        .arg(path("ima.pem"))
        .arg("-out")
        .arg(path("ima.der")));
    path("ima.der")
}

#[test]
fn signatures_of_files_are_refused_by_another_key_and_where_one_is_missing() {
    let dir = TempDir::new().unwrap();
    let package = odd().named("odd-1.0");
    let header = header_bytes(&package).unwrap().bytes;
    let over_header = ed25519().sign_detached(&header, SIGNED_AT).unwrap();
    let mut files = rsa().sign_files(&header).unwrap();
    let public = rsa().public_key();

    assert!(public.verify_file_signatures(&header, &files).is_ok());
    assert!(ed25519().sign_files(&header).is_err());
    assert!(matches!(verify_files(&package, &public), Err(Error::Signature(_))));
    let signed = files.iter().position(|file| !file.is_empty()).unwrap();
    let other = files.iter().rposition(|file| !file.is_empty()).unwrap();
    files.swap(signed, other);
    assert!(public.verify_file_signatures(&header, &files).is_err());
    let output = dir.path().join("signed.rpm");
    let signatures = Signatures { header: &over_header, header_and_payload: None, files: Some(&files) };
    install_signatures(&package, &output, &signatures).unwrap();
    assert!(verify_files(&output, &public).is_err());
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
