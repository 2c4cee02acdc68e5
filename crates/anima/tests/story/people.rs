//! People: from the first account to a push in one's own name; pages for who signed in; and no secret in any log.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anima_testkit::{Browser, SourcePackage, System};

use crate::{BUILD_LIMIT, said};

pub const PASSWORD: &str = "correct horse battery staple";

/// Runs the program, which has to end well, and returns what it printed.
fn anima(system: &System, arguments: &[&str]) -> String {
    let output = system.anima(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same as somebody on their own machine.
fn anima_at(system: &System, home: &Path, arguments: &[&str]) -> String {
    let output = system.anima_at(home, arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Signs somebody in whose password is [`PASSWORD`].
pub async fn sign_in(browser: &Browser, system: &System, account: &str) {
    browser.go(&format!("{}/sign-in?to=/mine", system.master_url())).await.unwrap();
    let fill = format!(
        "document.querySelector('#account').value = '{account}'; \
         document.querySelector('#password').value = '{PASSWORD}';"
    );
    browser.run(&fill).await.unwrap();
    browser.click("main form button").await.unwrap();
    browser.wait_for_text("h1", "Your work", BUILD_LIMIT).await.unwrap();
}

#[tokio::test]
async fn somebody_new_pushes_in_their_own_name_and_no_log_has_a_secret() {
    let system = System::start_logging(Path::new(env!("CARGO_BIN_EXE_anima")), "debug").await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let password_file = home.path().join("password");
    fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
    let password_file = password_file.to_str().unwrap();
    anima(&system, &["account", "create", "ann", "--title", "Ann", "--password-file", password_file]);
    anima(&system, &["team", "create", "crew"]);
    anima(&system, &["team", "add", "crew", "ann"]);

    let told = anima_at(&system, home.path(), &["login", "ann", "--password-file", password_file]);
    assert!(told.contains("you are ann"), "{told}");
    let token = anima_at(&system, home.path(), &["token", "create", "git", "--may", "push", "--days", "1"]);
    let token = token.trim().to_string();
    let package = SourcePackage::tiny("of-ann", "1").unwrap();
    package.commit("Begin").unwrap();
    let url = system.push_url("of-ann").unwrap();
    let (_, host) = url.split_once('@').unwrap();
    let own_url = format!("http://ann:{token}@{host}");
    let refused = package.push_to(&own_url, "s1").unwrap_err().to_string();
    assert!(refused.contains("may not push"), "{refused}");

    let given = anima(&system, &["right", "give", "contributor", "--to", "ann", "--on", "product:seed-1"]);
    assert!(given.contains("ann is contributor on product:seed-1"), "{given}");
    let commit = system
        .wait(BUILD_LIMIT, async || {
            let commit = package.commit("Again").ok()?;
            // What the Git Service knew of her a moment ago it asks again soon.
            package.push_to(&own_url, "s1").ok().map(|_| commit)
        })
        .await
        .expect("she may push now");
    let build = system.build_of("of-ann", &commit).await.unwrap();
    let built = system.released(build, BUILD_LIMIT).await.unwrap();
    assert_eq!(built.build.owner, "ann");
    let audit = anima(&system, &["audit", "--who", "ann"]);
    assert!(audit.contains("127.0.0.1") && audit.contains("token:"), "{audit}");
    let code = anima(&system, &["node", "enrol", "far-1", "--role", "test-node"]);
    let code = code.lines().next().unwrap().to_string();
    let node_token = home.path().join("far-1.token");
    anima_at(&system, home.path(), &["node", "join", &code, "--token-file", node_token.to_str().unwrap()]);
    let again = system.anima_at(home.path(), &["node", "join", &code, "--token-file", "/nonexistent/x"]).unwrap();
    assert!(!again.status.success());

    let hook = anima(&system, &["webhook", "create", "chat", "http://127.0.0.1:1/hook"]);
    let hook = hook.lines().last().unwrap().trim().to_string();
    let passphrase = fs::read_to_string(system.data().join("sign-server/passphrase")).unwrap();

    let browser = Browser::open(1280, 900).await.unwrap();
    sign_in(&browser, &system, "ann").await;
    let work = browser.text("main").await.unwrap();
    assert!(work.contains("of-ann"), "{work}");
    let login = fs::read_to_string(home.path().join(".config/anima/tokens.json")).unwrap();
    let login: serde_json::Value = serde_json::from_str(&login).unwrap();
    let login = login["masters"].as_object().unwrap().values().next().unwrap()["token"].as_str().unwrap().to_string();
    let cookies = browser.cookies().await.unwrap();
    let session = cookies.iter().find(|(name, _)| name == "anima-session").expect("she is signed in").1.clone();
    let word = browser.run("return document.querySelector('input[name=word]').value").await.unwrap();
    let mut secrets = vec![PASSWORD.to_string(), token, login, session, code, word.as_str().unwrap().to_string()];
    secrets.extend([hook, passphrase.trim().to_string()]);
    secrets.push(fs::read_to_string(&node_token).unwrap().trim().to_string());
    for path in files_below(&system.data().join("tokens")) {
        secrets.push(fs::read_to_string(path).unwrap().trim().to_string());
    }
    anima_at(&system, home.path(), &["logout"]);
    browser.close().await.unwrap();

    assert!(secrets.len() >= 15 && secrets.iter().all(|secret| secret.len() > 15), "{}", secrets.len());
    let logs = files_below(&system.data().join("logs"));
    assert!(logs.len() >= 6, "{logs:?}");
    let mut all = fs::read_to_string(logs.iter().find(|path| path.ends_with("master.log")).unwrap()).unwrap();
    assert!(all.contains("DEBUG"), "the logs are to say much:\n{all}");
    for path in logs {
        all += &String::from_utf8_lossy(&fs::read(&path).unwrap());
    }
    all += &system.up_log();
    for secret in secrets {
        assert!(!all.contains(&secret), "{secret} is in a log");
    }
}

/// Writes what the browser shows into the folder that `ANIMA_SHOTS` names, for who wants to look at it.
pub async fn shot(browser: &Browser, page: &str, width: u32) {
    if let Some(folder) = std::env::var_os("ANIMA_SHOTS") {
        let name = format!("{}-{width}.png", page.trim_matches('/').replace(['/', '?', '='], "-"));
        browser.screenshot(&Path::new(&folder).join(name)).await.unwrap();
    }
}

#[tokio::test]
async fn the_pages_of_who_signed_in_fit_a_phone_and_a_desktop_and_can_be_used_by_all() {
    let system = crate::system().await;
    let home = tempfile::tempdir().unwrap();
    let password_file = home.path().join("password");
    fs::write(&password_file, PASSWORD).unwrap();
    let file = password_file.to_str().unwrap();
    anima(&system, &["account", "create", "ann", "--title", "Ann Example", "--role", "admin", "--password-file", file]);
    anima(&system, &["team", "create", "crew", "--title", "The crew of the seed"]);
    anima(&system, &["team", "add", "crew", "ann"]);
    anima(&system, &["right", "give", "contributor", "--team", "crew", "--on", "platform:seed-1"]);
    for (width, height) in [(390, 844), (1280, 900)] {
        let browser = Browser::open(width, height).await.unwrap();
        let look = async |page: &str| {
            browser.go(&format!("{}{page}", system.master_url())).await.unwrap();
            shot(&browser, page, width).await;
            let seen = browser.run(SEEN).await.unwrap();
            assert!(!seen["title"].as_str().unwrap_or_default().is_empty(), "{page}: {seen}");
            assert_eq!(seen["h1"], 1, "{page}: {seen}");
            assert!(seen["width"].as_u64() <= Some(u64::from(width)), "{page} is wider than {width}: {seen}");
            assert_eq!(seen["unnamed"], serde_json::json!([]), "{page}: every field and button has a name");
            assert_eq!(seen["pale"], serde_json::json!([]), "{page}: every text stands out from its ground");
        };
        look("/sign-in").await;
        sign_in(&browser, &system, "ann").await;
        for page in ["/mine", "/account", "/teams", "/audit"] {
            look(page).await;
        }
        browser.click(".visitor form button").await.unwrap();
        browser.wait_for_text(".visitor", "sign in", BUILD_LIMIT).await.unwrap();
        browser.close().await.unwrap();
    }
}

/// What a page looks like to a machine: title, headings, width, fields without a name, and texts whose contrast is below
/// [WCAG](https://www.w3.org/TR/WCAG21/#contrast-minimum)'s 4.5.
const SEEN: &str = r#"
const name = field => (field.labels && field.labels[0] || field).textContent.trim() || field.getAttribute('aria-label');
const channel = value => { value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
const light = colour => { const [r, g, b] = colour.match(/[\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
const ground = element => { for (; element; element = element.parentElement) { const colour = getComputedStyle(element).backgroundColor; if (!colour.startsWith('rgba(0, 0, 0, 0')) return colour; } return 'rgb(255, 255, 255)'; };
const contrast = element => { const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort(); return (b + 0.05) / (a + 0.05); };
const texts = [...document.querySelectorAll('body *')].filter(e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
return {
  title: document.title, h1: document.querySelectorAll('h1').length, width: document.documentElement.scrollWidth,
  unnamed: [...document.querySelectorAll('input:not([type=hidden]), select, button')].filter(f => !name(f)).map(f => f.outerHTML.slice(0, 120)),
  pale: texts.filter(e => contrast(e) < 4.5).map(e => e.outerHTML.slice(0, 120)),
};
"#;
