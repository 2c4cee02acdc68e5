//! The token that `anima login` keeps, when the master does not answer.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Nobody listens there.
const MASTER: &str = "http://127.0.0.1:1";

fn anima(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anima"));
    command.args(["--master", MASTER, "--json"]).args(arguments);
    command.env_remove("ANIMA_TOKEN").env("XDG_CONFIG_HOME", home).output().unwrap()
}

#[test]
fn a_token_that_could_not_be_revoked_is_not_forgotten_unless_somebody_says_so() {
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("anima/tokens.json");
    fs::create_dir(home.path().join("anima")).unwrap();
    let text = format!(r#"{{ "version": 1, "masters": {{ "{MASTER}": {{ "account": "ann", "token": "of-ann" }} }} }}"#);
    fs::write(&kept, text).unwrap();

    let refused = anima(home.path(), &["logout"]);

    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let error: serde_json::Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(error["code"], "remote", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--force"), "{error}");
    assert!(fs::read_to_string(&kept).unwrap().contains("of-ann"));

    let forgotten = anima(home.path(), &["logout", "--force"]);

    assert!(forgotten.status.success(), "{forgotten:?}");
    assert!(String::from_utf8_lossy(&forgotten.stderr).contains("was not revoked"), "{forgotten:?}");
    assert!(!fs::read_to_string(&kept).unwrap().contains("of-ann"));
}
