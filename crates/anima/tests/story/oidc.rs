//! Signing in by an OpenID provider: in a browser, and from there on a command line.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use anima_testkit::{Browser, OidcProvider, System};
use serde_json::json;

use crate::BUILD_LIMIT;

const PROGRAM: &str = env!("CARGO_BIN_EXE_anima");

#[tokio::test]
async fn somebody_signs_in_by_their_provider_in_a_browser_and_then_on_a_command_line() {
    let provider = OidcProvider::start().unwrap();
    let ann = json!({ "sub": "u-7", "preferred_username": "ann", "name": "Ann Example", "groups": ["packagers"] });
    provider.set_person(&ann).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let secret_file = home.path().join("secret");
    fs::write(&secret_file, provider.client_secret()).unwrap();
    let section = format!(
        "[oidc]\nissuer = \"{}\"\nclient_id = \"{}\"\nclient_secret_file = {secret_file:?}\ntitle = \"Example ID\"\n\
         scopes = [\"profile\", \"groups\"]\n[[oidc.grants]]\nvalue = \"packagers\"\nrights = [\"contributor\"]\n",
        provider.issuer(),
        provider.client_id(),
    );
    let system = System::start_with(Path::new(PROGRAM), &section).await.unwrap();
    provider.set_redirect(&format!("{}/sign-in/oidc/callback", system.master_url())).await.unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("--data").arg(home.path().join("none")).args(["--master", system.master_url(), "login", "--oidc"]);
    command.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").env_remove("ANIMA_TOKEN");
    let mut login = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(login.stderr.take().unwrap()).read_line(&mut told).unwrap();
    let code = told.split("type ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{told}"));

    let browser = Browser::open(1280, 900).await.unwrap();
    browser.go(&format!("{}/device", system.master_url())).await.unwrap();
    browser.wait_for_text("main", "Sign in by Example ID", BUILD_LIMIT).await.unwrap();
    browser.click("form[action='/sign-in/oidc'] button").await.unwrap();
    browser.wait_for_text("h1", "Sign-in", BUILD_LIMIT).await.unwrap();
    let fill = "document.querySelector('input[name=login]').value = 'u-7'; \
                document.querySelector('input[name=password]').value = 'any';";
    browser.run(fill).await.unwrap();
    browser.click("button[type=submit]").await.unwrap();
    browser.wait_for_text("h1", "Authorize", BUILD_LIMIT).await.unwrap();
    browser.click("button[type=submit]").await.unwrap();
    browser.wait_for_text("main", "Type the code", BUILD_LIMIT).await.unwrap();
    browser.run(&format!("document.querySelector('#code').value = '{code}'")).await.unwrap();
    browser.click("main form button").await.unwrap();
    browser.wait_for_text("main", "Did you start it", BUILD_LIMIT).await.unwrap();
    assert!(browser.text("main").await.unwrap().contains("127.0.0.1"));
    browser.click("button[value=yes]").await.unwrap();
    browser.wait_for_text("main", "has its token now", BUILD_LIMIT).await.unwrap();
    browser.close().await.unwrap();

    let mut answer = String::new();
    login.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    assert!(login.wait().unwrap().success() && answer.contains("you are ann at"), "{answer}");
    let output = system.anima_at(home.path(), &["token", "list"]).unwrap();
    let tokens = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && tokens.contains("anima login on"), "{tokens}");
    let account = String::from_utf8(system.anima(&["account", "show", "ann"]).unwrap().stdout).unwrap();
    assert!(account.contains("contributor everywhere") && account.contains("\"u-7\" at"), "{account}");
}
