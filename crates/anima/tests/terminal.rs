//! What is asked at the terminal: `script` of util-linux is the terminal, and writes down all that could be seen there.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
};

/// A key that is not locked, so that this test needs no other program: it is asked for its passphrase all the same.
fn key_file(folder: &Path) -> String {
    let home = folder.join("gpg");
    let status = Command::new("install").args(["-d", "-m", "0700"]).arg(&home).status().unwrap();
    assert!(status.success());
    let gpg = |arguments: &[&str]| {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--pinentry-mode", "loopback", "--passphrase", "old words", "--homedir"]).arg(&home);
        let output = gpg.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    gpg(&["--quick-gen-key", "Imported <imported@example.org>", "ed25519", "sign", "never"]);
    let path = folder.join("secret.asc");
    fs::write(&path, gpg(&["--armor", "--export-secret-keys"])).unwrap();
    let _ = Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "all"]).output();
    path.to_str().unwrap().to_string()
}

/// Runs the program at a terminal, and answers each question when it is seen; returns all that was seen, and whether it
/// ended well.
fn at_terminal(arguments: &str, answers: &[(&str, &str)]) -> (String, bool) {
    let program = env!("CARGO_BIN_EXE_anima");
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &format!("{program} {arguments}"), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut seen, mut answers) = (String::new(), answers.iter().peekable());
    let mut piece = [0; 4096];
    loop {
        // The screen ends with the program.
        let read = screen.read(&mut piece).unwrap_or(0);
        if read == 0 {
            break;
        }
        seen += &String::from_utf8_lossy(&piece[..read]);
        if let Some((_, answer)) = answers.next_if(|(question, _)| seen.contains(question)) {
            keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
        }
    }
    (seen, script.wait().unwrap().success())
}

#[test]
fn passphrases_are_asked_for_and_never_seen() {
    let folder = tempfile::tempdir().unwrap();
    let key = key_file(folder.path());
    let data = folder.path().join("data");
    let arguments = format!(
        "--data {data} key import {key} --name imported --only-here --ask-keyring-passphrase",
        data = data.display()
    );
    let questions =
        |own: &'static str| [("Passphrase of the keyring: ", "keyring words"), ("Passphrase of the key (", own)];

    let (seen, is_done) = at_terminal(&arguments, &questions("other words"));
    assert!(!is_done && seen.contains("its passphrase is another"), "{seen}");
    let (seen, is_done) = at_terminal(&arguments, &questions("old words"));

    assert!(is_done, "{seen}");
    assert!(!seen.contains("words"), "{seen}");
    assert!(data.join("sign-server/keys/imported.asc").exists());
    assert!(!data.join("sign-server/passphrase").exists(), "what a person says is not written down");
    let (seen, is_done) = at_terminal(&arguments.replace("--name imported", "--name other"), &[("keyring: ", "wrong")]);
    assert!(!is_done && seen.contains("could not open key"), "{seen}");
}
