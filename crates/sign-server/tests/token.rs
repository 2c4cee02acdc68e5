//! Keys in a token: SoftHSM's, which is one in software. rpm and gpg say whether the signatures are good.

#[path = "../../rpm-file/tests/support/mod.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anima_rpm_file::{header_bytes, install_signature};
use anima_sign_server::{
    keyring::Keyring,
    token::{Place, Tokens},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::Attribute,
    session::UserType,
    types::AuthPin,
};
use rayon::prelude::*;
use tempfile::TempDir;
use zeroize::Zeroizing;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "correct horse";
const NOW_SECS: u32 = 1_700_000_000;
/// Tells the program that it is to work with the token in this folder.
const FOLDER: &str = "ANIMA_TEST_TOKEN_FOLDER";

/// SoftHSM reads where its tokens are from the environment, which only a process of its own may have.
#[test]
fn keys_in_a_token_sign_as_others_do_also_in_a_confined_process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return with_token(&PathBuf::from(folder));
    }
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("tokens")).unwrap();
    let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", dir.path().join("tokens").display());
    fs::write(dir.path().join("softhsm2.conf"), config).unwrap();
    let softhsm = |command: &mut Command| {
        command.env("SOFTHSM2_CONF", dir.path().join("softhsm2.conf"));
        support::run(command);
    };
    let init = ["--init-token", "--free", "--label", "Anima 1", "--so-pin", "officer", "--pin", PIN];
    softhsm(Command::new("softhsm2-util").args(init));
    fs::create_dir(dir.path().join("data")).unwrap();
    let header = header_bytes(&support::odd().named("odd-1.0")).unwrap().bytes;
    fs::write(dir.path().join("data/header"), header).unwrap();

    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys_in_a_token_sign_as_others_do_also_in_a_confined_process", "--nocapture"])
        .env(FOLDER, dir.path())
        .env("SOFTHSM2_CONF", dir.path().join("softhsm2.conf"))
        .output()
        .unwrap();

    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
    check(dir.path());
}

/// What the process with the token does: it makes the numbers as a maker's tool would, then is a Sign Server.
fn with_token(folder: &Path) {
    make_numbers();
    let data = folder.join("data");
    let keys = data.join("keys");
    let place = |object: &str| Place { module: MODULE.into(), token: "Anima 1".into(), object: object.into() };
    let open = |tokens: Tokens, pin: &str| {
        let pin = Zeroizing::new(pin.to_string());
        Keyring::open_with(&keys, Zeroizing::new("secret".into()), tokens.with_pin(pin))
    };
    let tokens = Tokens::load(&keys, &[MODULE.into()]).unwrap();
    assert!(
        open(tokens.clone(), PIN)
            .unwrap()
            .adopt_token("none", &place("absent"), "N <n@example.org>", None, NOW_SECS)
            .is_err()
    );
    let mut keyring = open(tokens.clone(), PIN).unwrap();
    for name in ["rsa", "ed25519"] {
        let user_id = format!("{name} <{name}@example.org>");
        keyring.adopt_token(name, &place(name), &user_id, None, NOW_SECS).unwrap();
    }
    drop(keyring);

    let held = anima_sign_server::confine::confine(&data, &[], &[&folder.join("tokens")]).unwrap();
    let mut keyring = open(tokens.clone(), PIN).unwrap();
    for name in ["rsa", "ed25519"] {
        let public = fs::read_to_string(keys.join(format!("{name}.public.asc"))).unwrap();
        let fingerprint = anima_rpm_file::PublicKey::from_armoured(&public).unwrap().fingerprint();
        let entry = keyring.by_fingerprint(&fingerprint).unwrap();
        let header = fs::read(data.join("header")).unwrap();
        // A session is for one thread at a time; there is one for each.
        let signatures: Vec<Vec<u8>> =
            (0..64).into_par_iter().map(|_| entry.key.sign_detached(&header, NOW_SECS).unwrap()).collect();
        assert!(signatures.iter().all(|signature| *signature == signatures[0]));
        fs::write(data.join(format!("{name}.sig")), &signatures[0]).unwrap();
        assert!(entry.key.to_armoured_secret("words").is_err(), "the secret numbers stay in the token");
    }
    if held.has_landlock {
        assert!(fs::read_to_string(folder.join("softhsm2.conf")).is_err());
    }
}

fn make_numbers() {
    let module = Pkcs11::new(MODULE).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slots = module.get_slots_with_token().unwrap();
    let slot = slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label() == "Anima 1").unwrap();
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN.to_string()))).unwrap();
    let common = |label: &str| [Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec())];
    let private = [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Sign(true)];
    let rsa = [
        Attribute::ModulusBits(4096_u64.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Verify(true),
        Attribute::Private(false),
    ];
    let with = |label: &str, more: &[Attribute]| [&common(label)[..], more].concat();
    session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &with("rsa", &rsa), &with("rsa", &private)).unwrap();
    // edwards25519 by its printable name, as PKCS #11 has it.
    let curve = [&[0x13, 0x0c][..], b"edwards25519"].concat();
    let ed = [Attribute::EcParams(curve), Attribute::Verify(true), Attribute::Private(false)];
    session
        .generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &with("ed25519", &ed), &with("ed25519", &private))
        .unwrap();
    drop(session);
    module.finalize().unwrap();
}

/// What rpm and gpg say.
fn check(folder: &Path) {
    let package = support::odd().named("odd-1.0");
    let header = header_bytes(&package).unwrap().bytes;
    assert_eq!(fs::read(folder.join("data/header")).unwrap(), header);
    for name in ["rsa", "ed25519"] {
        let public = fs::read_to_string(folder.join(format!("data/keys/{name}.public.asc"))).unwrap();
        let signature = fs::read(folder.join(format!("data/{name}.sig"))).unwrap();
        let signed = folder.join("signed.rpm");
        install_signature(&package, &signed, &signature).unwrap();
        let checked = support::Keyring::with_public(&public).check(&signed);
        assert!(checked.status.success(), "{name}: {checked:?}");
    }
}
