//! The whole Sign Server with a master of this test; rpm and gpg say whether its signatures are good.

#[allow(dead_code)] // the client's own tests use all of it
#[path = "../../client/tests/with_master/common.rs"]
mod master;
#[path = "../../rpm-file/tests/support/mod.rs"]
mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anima_rpm_file::{PublicKey, header_bytes, header_nevra, install_signature};
use anima_sign_server::{Config, passphrase::Secret, run, token::Tokens};
use anima_types::{
    Sha256, Timestamp,
    id::{KeyId, TaskId},
    key::{Algorithm, CreateKey, Options, Revocation},
    lease::{End, Lease},
    signature::{Account, Form, Kind, MadeBy},
    work::{Failure, Outcome, SignItem, SignOutcome, SignWork, Signature, Work},
};
use master::{BOUND, Master, SECRET, TASK};
use sha2::Digest;
use support::Keyring;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A Sign Server that runs.
struct Server {
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    fn start(master: &Master, data: &Path) -> Server {
        let shutdown = CancellationToken::new();
        Server { running: tokio::spawn(run(config(master, data), shutdown.clone())), shutdown }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.running).await.expect("it stops").unwrap().unwrap();
    }
}

fn config(master: &Master, data: &Path) -> Config {
    Config {
        name: "sign-1".into(),
        data: data.to_path_buf(),
        master_url: master.url(""),
        token: "node-token".into(),
        passphrase: Secret::Made,
        pin: None,
        tokens: Tokens::default(),
    }
}

/// Gives a task and returns what came of it.
async fn done(master: &Master, work: SignWork) -> End {
    let done_before = master.book().reports.len();
    let work = Work::Sign(work);
    let lease = Lease { task: TASK, number: 1, secret: SECRET.into(), expires_at: Timestamp(0), work };
    master.change(|book| {
        book.log.clear();
        book.leases.push_back(lease);
    });
    master.wait_until("the task is reported", |book| book.reports.len() > done_before).await;
    master.book().reports.last().unwrap().end.clone()
}

async fn create_key(master: &Master) -> (String, String) {
    let wanted = CreateKey {
        name: "seed-1".into(),
        algorithm: Algorithm::Ed25519,
        user_id: "Seed <seed@example.org>".into(),
        options: Options::default(),
    };
    let end = done(master, SignWork::CreateKey { key: KeyId(1), wanted }).await;
    match end {
        End::Succeeded(Outcome::Sign(SignOutcome::Key { fingerprint, public_key, .. })) => (fingerprint, public_key),
        other => panic!("{other:?}"),
    }
}

async fn signatures(master: &Master, fingerprint: &str, items: Vec<SignItem>) -> Vec<Signature> {
    match done(master, SignWork::Signatures { fingerprint: fingerprint.into(), items }).await {
        End::Succeeded(Outcome::Sign(SignOutcome::Signatures(signatures))) => signatures,
        other => panic!("{other:?}"),
    }
}

async fn failure(master: &Master, fingerprint: &str, item: SignItem) -> Failure {
    match done(master, SignWork::Signatures { fingerprint: fingerprint.into(), items: vec![item] }).await {
        End::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// Puts bytes on the master, and returns them as an item.
fn item(master: &Master, name: &str, form: Form, bytes: &[u8]) -> SignItem {
    let served = bytes.to_vec().into();
    master.change(|book| {
        book.files.insert(name.to_string(), served);
    });
    let url = master.url(&format!("files/{name}"));
    let named = header_nevra(bytes).map_or(name.to_string(), |nevra| nevra.to_string());
    let account = Account {
        kind: if form.is_of_package() { Kind::Rpm } else { Kind::Repomd },
        name: named,
        product: "seed-1".into(),
        platform: Some("seed-1".into()),
        build: None,
        release: None,
        made_by: Some(MadeBy { task: TaskId(3), lease: 1, node: "b1".into() }),
        is_green: true,
        imported: None,
        asked_by: None,
        approved_by: Vec::new(),
    };
    let bytes_sha256 = sha256(bytes);
    SignItem { artifact: sha256(name.as_bytes()), form, url, bytes_sha256, state: None, account: Some(account) }
}

#[tokio::test]
async fn rpm_and_gpg_accept_what_was_signed_also_after_a_restart() {
    let (master, dir) = (Master::start().await, TempDir::new().unwrap());
    let package = support::odd().named("odd-1.0");
    let header = header_bytes(&package).unwrap().bytes;
    let repomd = b"<repomd>what dnf reads first</repomd>\n";
    let server = Server::start(&master, &dir.path().join("data"));
    let (fingerprint, public_key) = create_key(&master).await;
    server.stop().await;

    // The report was lost in a crash: the task comes again.
    let server = Server::start(&master, &dir.path().join("data"));
    let again = create_key(&master).await;
    let items = vec![
        item(&master, "odd-header", Form::RpmHeader, &header),
        item(&master, "repomd.xml", Form::Detached, repomd),
    ];
    let made = signatures(&master, &fingerprint, items.clone()).await;
    let log = String::from_utf8_lossy(&master.book().log).into_owned();
    server.stop().await;

    assert_eq!(again, (fingerprint.clone(), public_key.clone()));
    assert_eq!(fingerprint, fingerprint.to_uppercase());
    assert_eq!(made.iter().map(|one| one.artifact).collect::<Vec<_>>(), [items[0].artifact, items[1].artifact]);
    let signed = dir.path().join("signed.rpm");
    install_signature(&package, &signed, &unhex(&made[0].signature)).unwrap();
    let checked = Keyring::with_public(&public_key).check(&signed);
    assert!(checked.status.success(), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stdout).contains("Signature, key ID"), "{checked:?}");
    gpg_accepts(&public_key, repomd, &made[1].signature);
    for item in &items {
        assert!(log.contains(&item.artifact.to_string()), "{log}");
    }
    assert!(log.contains(&format!("2 signatures by key {fingerprint}")), "{log}");
}

#[tokio::test]
async fn the_journal_names_every_signature_and_nobody_else_reads_the_folder() {
    let (master, dir) = (Master::start().await, TempDir::new().unwrap());
    let data = dir.path().join("data");
    let server = Server::start(&master, &data);
    let (fingerprint, _) = create_key(&master).await;

    let item = item(&master, "repomd.xml", Form::Detached, b"<repomd/>");
    signatures(&master, &fingerprint, vec![item.clone()]).await;
    server.stop().await;

    let journal = fs::read_to_string(data.join("journal.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&journal).unwrap();
    assert_eq!(line["task"], TASK.0);
    assert_eq!(line["fingerprint"], fingerprint);
    assert_eq!(line["artifact"], item.artifact.to_string());
    assert_eq!(line["bytes_sha256"], item.bytes_sha256.to_string());
    let mode = |path: &str| fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(["", "keys"].map(mode), [0o700, 0o700]);
    assert_eq!(["passphrase", "journal.jsonl", "keys/seed-1.asc"].map(mode), [0o600; 3]);
}

#[tokio::test]
async fn what_must_not_be_signed_fails_with_a_code_and_a_cure_and_leaves_no_trace() {
    let (master, dir) = (Master::start().await, TempDir::new().unwrap());
    let server = Server::start(&master, dir.path());
    let (fingerprint, _) = create_key(&master).await;
    let package = fs::read(support::odd().named("odd-1.0")).unwrap();
    let file = item(&master, "repomd.xml", Form::Detached, b"<repomd/>");

    let altered = SignItem { bytes_sha256: Sha256([0; 32]), ..file.clone() };
    let missing = SignItem { url: master.url("files/none"), ..file.clone() };
    let unknown = SignItem { account: None, ..file.clone() };
    let as_header = item(&master, "odd-as-header", Form::RpmHeader, &package);
    let as_file = item(&master, "odd-as-file", Form::Detached, &package);
    let cases = [
        (altered, fingerprint.as_str(), "bad_bytes"),
        (as_header, &fingerprint, "bad_bytes"),
        (as_file, &fingerprint, "bad_bytes"),
        (missing, &fingerprint, "missing_bytes"),
        (unknown, &fingerprint, "refused_by_policy"),
        (file, "0123456789ABCDEF0123456789ABCDEF01234567", "unknown_key"),
    ];
    for (item, key, code) in cases {
        let failure = failure(&master, key, item).await;
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.hint.is_some(), "{failure:?}");
    }
    server.stop().await;

    assert_eq!(fs::read_to_string(dir.path().join("journal.jsonl")).unwrap(), "");
}

#[tokio::test]
async fn a_revoked_key_says_so_in_its_public_half_and_signs_nothing_more() {
    let (master, dir) = (Master::start().await, TempDir::new().unwrap());
    let server = Server::start(&master, dir.path());
    let (fingerprint, _) = create_key(&master).await;

    let why = Revocation::Compromised;
    let revoke = SignWork::Revoke { fingerprint: fingerprint.clone(), why, reason: "stolen".into() };
    let end = done(&master, revoke).await;
    let file = item(&master, "repomd.xml", Form::Detached, b"<repomd/>");
    let failure = failure(&master, &fingerprint, file).await;
    server.stop().await;

    let End::Succeeded(Outcome::Sign(SignOutcome::Revoked { public_key })) = end else { panic!("{end:?}") };
    assert!(PublicKey::from_armoured(&public_key).unwrap().is_revoked());
    assert_eq!(failure.code, "key_ended");
}

#[tokio::test]
async fn a_task_that_comes_again_after_a_kill_is_signed_as_before() {
    let (master, dir) = (Master::start().await, TempDir::new().unwrap());
    let server = Server::start(&master, dir.path());
    let (fingerprint, _) = create_key(&master).await;
    let package = support::odd().named("odd-1.0");
    let header = header_bytes(&package).unwrap().bytes;
    let items = vec![
        item(&master, "odd-header", Form::RpmHeader, &header),
        item(&master, "repomd.xml", Form::Detached, b"<repomd/>"),
    ];

    let first = signatures(&master, &fingerprint, items.clone()).await;
    // Ended without a word: nothing is left of it but its folder.
    server.running.abort();
    let server = Server::start(&master, dir.path());
    let again = signatures(&master, &fingerprint, items).await;
    server.stop().await;

    assert_eq!(first, again);
    let journal = fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
    assert_eq!(journal.lines().count(), 2);
}

#[tokio::test]
async fn a_sign_server_that_can_never_sign_says_why_and_ends() {
    let (master, dir) = (Master::start().await, TempDir::new().unwrap());
    let passphrase = dir.path().join("secret");
    fs::write(&passphrase, "secret\n").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o644)).unwrap();
    let config = config(&master, &dir.path().join("data"));
    let open = Config { passphrase: Secret::File(passphrase), ..config.clone() };
    let absent = Config { passphrase: Secret::File(dir.path().join("none")), ..config.clone() };
    let stranger = Config { token: "wrong".into(), ..config };

    for (config, word) in [(open, "chmod 600"), (absent, "none"), (stranger, "could not take sign tasks")] {
        let ended = tokio::time::timeout(BOUND, run(config, CancellationToken::new())).await.expect("it ends");
        let error = ended.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn gpg_accepts(public_key: &str, bytes: &[u8], signature: &str) {
    let home = TempDir::new().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let (key, file) = (write("key.asc", public_key.as_bytes()), write("repomd.xml", bytes));
    let signature = write("repomd.xml.asc", signature.as_bytes());
    let gpg = || {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--homedir"]).arg(home.path());
        command
    };
    support::run(gpg().arg("--import").arg(key));
    support::run(gpg().arg("--verify").arg(signature).arg(file));
}
