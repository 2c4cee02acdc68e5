//! Signing in by a real OpenID provider, and what does not let anybody in; signing in on a command line with a code.

use std::net::SocketAddr;

use anima_master::oidc::{ClientSecret, Grant, Oidc};
use anima_testkit::OidcProvider;
use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};

use crate::{
    gone_clients::ask_and_go,
    master::{Master, PASSWORD},
    sessions::{Jar, Page, get, is_signed_in, post, sign_in},
};

const CALLBACK: &str = "http://master.example/sign-in/oidc/callback";

/// A provider with one person, and how it is configured.
pub async fn provider() -> (OidcProvider, Oidc) {
    let provider = OidcProvider::start().unwrap();
    provider.set_redirect(CALLBACK).await.unwrap();
    provider.set_person(&person(json!(["packagers"]))).await.unwrap();
    let secret = Some(ClientSecret::new(provider.client_secret().to_string()));
    let scopes = ["profile", "email", "groups"].map(str::to_string).to_vec();
    let oidc = Oidc { client_secret: secret, scopes, ..Oidc::new(provider.issuer(), provider.client_id()) };
    (provider, oidc)
}

fn person(groups: Value) -> Value {
    json!({
        "sub": "u-7", "preferred_username": "Ann", "name": "Ann Example", "email": "ann@example.org", "email_verified": true,
        "groups": groups,
    })
}

/// Presses the button; returns the address that the browser goes to.
async fn begin(master: &Master, jar: &mut Jar, to: &str) -> String {
    let page = get(master, jar, "/sign-in").await;
    assert!(page.body.contains("Sign in by"), "{}", page.body);
    let page = post(master, jar, "/sign-in/oidc", &[("word", &page.word()), ("to", to)]).await;
    away(&page)
}

fn away(page: &Page) -> String {
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    page.headers["refresh"].to_str().unwrap().strip_prefix("0; url=").unwrap().to_string()
}

/// Comes back.
async fn back(master: &Master, jar: &mut Jar, url: &str) -> Page {
    let url = url.strip_prefix("http://master.example").unwrap_or_else(|| panic!("{url}"));
    get(master, jar, url).await
}

async fn sign_in_by(master: &Master, provider: &OidcProvider, jar: &mut Jar) -> Page {
    come_by(master, provider, jar).await.0
}

/// Signs in; returns the page, and the address of the way back.
pub async fn come_by(master: &Master, provider: &OidcProvider, jar: &mut Jar) -> (Page, String) {
    let url = begin(master, jar, "/keys").await;
    let url = provider.visit(&url, "u-7").await.unwrap();
    (back(master, jar, &url).await, url)
}

/// Nobody came in, and the page says how it goes on.
fn refused(page: &Page, jar: &Jar, status: StatusCode, words: &str) {
    assert_eq!(page.status, status, "{}", page.body);
    assert!(page.body.contains(words), "{words}: {}", page.body);
    assert!(jar.get("anima-session").is_none());
}

async fn as_admin(master: &Master, method: Method, path: &str, body: Value) -> Value {
    let (status, answer) = master.json(method, path, Some(&master.token("admin")), body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

async fn account(master: &Master, name: &str) -> Value {
    as_admin(master, Method::GET, &format!("/api/v1/accounts/{name}"), json!(null)).await
}

async fn audit(master: &Master) -> String {
    as_admin(master, Method::GET, "/api/v1/audit", json!(null)).await.to_string()
}

#[tokio::test]
async fn somebody_new_gets_an_account_by_the_provider_and_goes_on_where_they_were() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    let mut jar = Jar::default();

    let page = sign_in_by(&master, &provider, &mut jar).await;

    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/keys"), "{}", page.body);
    assert!(is_signed_in(&master, &jar).await);
    assert!(jar.get("anima-flow").is_none(), "what bound the sign-in to this browser is gone");
    let account = account(&master, "ann").await;
    assert_eq!((&account["title"], &account["has_password"]), (&json!("Ann Example"), &json!(false)));
    assert_eq!(account["identities"][0]["subject"], "u-7");
    assert_eq!(account["identities"][0]["issuer"], provider.issuer());
    let audit = audit(&master).await;
    assert!(audit.contains("Account ann was made.") && audit.contains("ann signed in by http://127.0.0.1"), "{audit}");
    let again = sign_in_by(&master, &provider, &mut Jar::default()).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "the same person is the same account: {}", again.body);
}

#[tokio::test]
async fn a_first_password_is_set_in_the_session_and_by_no_token_that_is_narrowed() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    let mut jar = Jar::default();
    sign_in_by(&master, &provider, &mut jar).await;
    let word = get(&master, &mut jar, "/account").await.word();
    let form = [("word", word.as_str()), ("name", "ci"), ("days", "7"), ("products", "p1")];
    let made = post(&master, &mut jar, "/account/tokens", &form).await;
    let secret = made.body.split("copy secret\">").nth(1).unwrap().split('<').next().unwrap().to_string();

    let password = json!({ "new": "somebody else's phrase" });
    let (status, answer) = master.json(Method::PUT, "/api/v1/accounts/ann/password", Some(&secret), password).await;

    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("out_of_scope")), "{answer}");
    assert_eq!(account(&master, "ann").await["has_password"], false);
    let form = [("word", word.as_str()), ("old", ""), ("new", "a good first phrase"), ("again", "a good first phrase")];
    let set = post(&master, &mut jar, "/account/password", &form).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.body);
    assert_eq!(account(&master, "ann").await["has_password"], true);
}

#[tokio::test]
async fn groups_give_teams_and_rights_and_take_back_only_what_they_gave() {
    let (provider, oidc) = provider().await;
    let grants = vec![Grant {
        claim: None,
        value: "packagers".into(),
        teams: vec!["crew".into(), "not-there".into()],
        rights: vec!["contributor on product:p1".parse().unwrap(), "observer".parse().unwrap()],
    }];
    let master = Master::open_with_provider(Oidc { grants, ..oidc }).await;
    for team in ["crew", "others"] {
        as_admin(&master, Method::POST, "/api/v1/teams", json!({ "name": team })).await;
    }
    sign_in_by(&master, &provider, &mut Jar::default()).await;
    let has = async || {
        let account = account(&master, "ann").await;
        let rights = account["rights"].as_array().unwrap().iter();
        let mut rights: Vec<_> = rights.map(|right| right["role"].as_str().unwrap().to_string()).collect();
        rights.sort();
        (account["teams"].clone(), rights)
    };
    assert_eq!(has().await, (json!(["crew"]), vec!["contributor".to_string(), "observer".into()]));
    as_admin(&master, Method::PUT, "/api/v1/teams/others/members/ann", json!(null)).await;
    as_admin(&master, Method::POST, "/api/v1/rights", json!({ "account": "ann", "role": "signer" })).await;

    provider.set_person(&person(json!([]))).await.unwrap();
    sign_in_by(&master, &provider, &mut Jar::default()).await;

    assert_eq!(has().await, (json!(["others"]), vec!["signer".to_string()]));
    provider.set_person(&person(json!("packagers"))).await.unwrap();
    sign_in_by(&master, &provider, &mut Jar::default()).await;
    assert_eq!(has().await.0, json!(["crew", "others"]));
}

#[tokio::test]
async fn a_way_back_is_good_once_soon_and_for_the_browser_that_left() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    let (mut anns, mut eves) = (Jar::default(), Jar::default());
    let go = begin(&master, &mut anns, "/").await;
    let url = provider.visit(&go, "u-7").await.unwrap();
    begin(&master, &mut eves, "/").await;

    let page = back(&master, &mut eves, &url).await;
    refused(&page, &eves, StatusCode::FORBIDDEN, "not begun in this browser");
    let page = back(&master, &mut anns, &url).await;
    refused(&page, &anns, StatusCode::FORBIDDEN, "was ended already");

    let mut jar = Jar::default();
    let go = begin(&master, &mut jar, "/").await;
    let url = provider.visit(&go, "u-7").await.unwrap();
    let kept = jar.clone();
    assert_eq!(back(&master, &mut jar, &url).await.status, StatusCode::SEE_OTHER);
    let mut replayed = Jar(kept.0);
    let page = back(&master, &mut replayed, &url).await;
    refused(&page, &replayed, StatusCode::FORBIDDEN, "was ended already");

    let before = audit(&master).await;
    let mut jar = Jar::default();
    let page = back(&master, &mut jar, &format!("{CALLBACK}?code=x&state=made-up")).await;
    refused(&page, &jar, StatusCode::FORBIDDEN, "not begun in this browser");
    assert_eq!(audit(&master).await, before, "what anybody makes up is not written down");

    let mut slow = Jar::default();
    let go = begin(&master, &mut slow, "/").await;
    let url = provider.visit(&go, "u-7").await.unwrap();
    master.pass_secs(601);
    let page = back(&master, &mut slow, &url).await;
    refused(&page, &slow, StatusCode::FORBIDDEN, "took too long");
    assert!(audit(&master).await.contains("was refused: this sign-in was not begun in this browser"));
}

#[tokio::test]
async fn ways_back_that_somebody_makes_up_are_counted_and_others_were_when_they_began() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    let mut jar = Jar::default();
    let begun = begin(&master, &mut jar, "/keys").await;
    let begun = provider.visit(&begun, "u-7").await.unwrap();
    let cookies: Vec<String> = jar.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let come = async |url: &str| {
        let request = Request::builder().uri(url).header("cookie", cookies.join("; "));
        let request = request.extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 7))));
        master.status(request.body(Body::empty()).unwrap()).await
    };
    let before = audit(&master).await;
    let mut passed_count = 0;
    loop {
        match come(&format!("{CALLBACK}?state=made-up-{passed_count}")).await {
            StatusCode::FORBIDDEN => passed_count += 1,
            status => break assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
        }
    }

    assert_eq!(passed_count, 20);
    assert_eq!(audit(&master).await, before);
    assert_eq!(come(&begun).await, StatusCode::SEE_OTHER, "what was begun was counted then");
}

#[tokio::test]
async fn a_code_of_another_sign_in_is_good_for_nothing() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    let (mut eves, mut anns) = (Jar::default(), Jar::default());
    let go = begin(&master, &mut eves, "/").await;
    let stolen = provider.visit(&go, "u-7").await.unwrap();
    let code = part(&stolen, "code");
    let go = begin(&master, &mut anns, "/").await;

    let page = back(&master, &mut anns, &format!("{CALLBACK}?code={code}&state={}", part(&go, "state"))).await;

    refused(&page, &anns, StatusCode::UNAUTHORIZED, "did not take the code");
}

/// Returns a part of an address's query.
fn part(url: &str, name: &str) -> String {
    let rest = url.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("{url}"));
    rest.split('&').next().unwrap().to_string()
}

#[tokio::test]
async fn a_word_that_is_not_the_providers_for_us_and_of_now_lets_nobody_in() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    let cases = [
        ("nonce", "not to be believed"),
        ("no-nonce", "not to be believed"),
        ("audience", "not to be believed"),
        ("audiences", "not to be believed"),
        ("party", "another party"),
        ("issuer", "not to be believed"),
        ("expired", "of another time"),
        ("old", "of another time"),
        ("early", "of another time"),
        ("access-token", "access token"),
        ("signature", "not to be believed"),
        ("unsigned", "not to be believed"),
        ("shared-secret", "not to be believed"),
        ("subject", "not to be believed"),
        // It has another key, but was asked a moment ago.
        ("next-key", "not to be believed"),
    ];
    for (fault, words) in cases {
        provider.set_fault(fault).await.unwrap();
        let mut jar = Jar::default();
        let page = sign_in_by(&master, &provider, &mut jar).await;
        refused(&page, &jar, StatusCode::UNAUTHORIZED, words);
        // Not to be taken for somebody who tries passwords.
        master.pass_secs(1);
        let status =
            master.json(Method::GET, "/api/v1/accounts/ann", Some(&master.token("admin")), json!(null)).await.0;
        assert_eq!(status, StatusCode::NOT_FOUND, "{fault}");
    }
    assert!(audit(&master).await.contains("is of another time than ours"));

    // It is asked again after a while, and then its new key is known.
    master.pass_secs(50);
    let mut jar = Jar::default();
    let page = sign_in_by(&master, &provider, &mut jar).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_with_what_it_says() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    master.pass_secs(3 * 3_600);
    let mut jar = Jar::default();

    let page = sign_in_by(&master, &provider, &mut jar).await;

    refused(&page, &jar, StatusCode::UNAUTHORIZED, "a clock is wrong: this machine");
}

#[tokio::test]
async fn who_is_disabled_or_not_allowed_does_not_come_in() {
    let (provider, oidc) = provider().await;
    let allowed =
        Oidc { allowed_domains: vec!["example.org".into()], allowed_groups: vec!["packagers".into()], ..oidc };
    let master = Master::open_with_provider(allowed).await;
    let mut first = Jar::default();
    assert_eq!(sign_in_by(&master, &provider, &mut first).await.status, StatusCode::SEE_OTHER);
    as_admin(&master, Method::POST, "/api/v1/accounts/ann/disable", json!(null)).await;

    let mut jar = Jar::default();
    let page = sign_in_by(&master, &provider, &mut jar).await;
    refused(&page, &jar, StatusCode::FORBIDDEN, "ann is disabled");
    assert!(!is_signed_in(&master, &first).await);

    as_admin(&master, Method::POST, "/api/v1/accounts/ann/enable", json!(null)).await;
    let mut unverified = person(json!(["packagers"]));
    unverified["email_verified"] = json!(false);
    for (claims, words) in
        [(unverified, "verified addresses of example.org"), (person(json!([])), "members of packagers")]
    {
        provider.set_person(&claims).await.unwrap();
        let page = sign_in_by(&master, &provider, &mut jar).await;
        refused(&page, &jar, StatusCode::FORBIDDEN, words);
    }
}

#[tokio::test]
async fn a_cookie_from_before_is_of_no_use_after_signing_in_by_the_provider() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    master.person("eve", &[]).await;
    let mut eves = Jar::default();
    sign_in(&master, &mut eves, "eve").await;
    for fixed in ["0".repeat(64), eves.get("anima-session").unwrap().to_string()] {
        let mut anns = Jar::default();
        let go = begin(&master, &mut anns, "/").await;
        let url = provider.visit(&go, "u-7").await.unwrap();
        anns.0.push(("anima-session".to_string(), fixed.clone()));

        let page = back(&master, &mut anns, &url).await;

        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        assert_ne!(anns.get("anima-session").unwrap(), fixed);
        assert!(!is_signed_in(&master, &Jar(vec![("anima-session".to_string(), fixed)])).await);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_given_to_nobody_but_its_own_person_links_it() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc).await;
    master.person("ann", &["signer"]).await;
    master.person("bob", &[]).await;
    let mut jar = Jar::default();
    let page = sign_in_by(&master, &provider, &mut jar).await;
    refused(&page, &jar, StatusCode::FORBIDDEN, "is there already, and is not linked to you");

    sign_in(&master, &mut jar, "ann").await;
    let word = get(&master, &mut jar, "/account").await.word();
    let go = away(&post(&master, &mut jar, "/account/identities", &[("word", &word)]).await);
    let url = provider.visit(&go, "u-7").await.unwrap();
    let mut bobs = Jar::default();
    sign_in(&master, &mut bobs, "bob").await;
    bobs.0.push(("anima-flow".to_string(), jar.get("anima-flow").unwrap().to_string()));
    let stolen = back(&master, &mut bobs, &url).await;
    assert_eq!(stolen.status, StatusCode::FORBIDDEN, "{}", stolen.body);

    let go = away(&post(&master, &mut jar, "/account/identities", &[("word", &word)]).await);
    let url = provider.visit(&go, "u-7").await.unwrap();
    let linked = back(&master, &mut jar, &url).await;
    assert_eq!((linked.status, linked.location()), (StatusCode::SEE_OTHER, "/account#identities"), "{}", linked.body);
    let mut elsewhere = Jar::default();
    assert_eq!(sign_in_by(&master, &provider, &mut elsewhere).await.status, StatusCode::SEE_OTHER);
    let page = get(&master, &mut elsewhere, "/account").await;
    assert!(page.body.contains("signer everywhere") && page.body.contains("u-7"), "{}", page.body);

    let id = account(&master, "ann").await["identities"][0]["id"].to_string();
    let path = format!("/account/identities/{id}/unlink");
    let unlinked = post(&master, &mut elsewhere, &path, &[("word", &page.word())]).await;
    assert_eq!(unlinked.status, StatusCode::SEE_OTHER, "{}", unlinked.body);
    let mut jar = Jar::default();
    let page = sign_in_by(&master, &provider, &mut jar).await;
    refused(&page, &jar, StatusCode::FORBIDDEN, "not linked to you");
    assert!(audit(&master).await.contains("ann is not \\\"u-7\\\" at"));
}

#[tokio::test]
async fn an_administrator_links_an_account_and_nobody_else_does() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(Oidc { create_accounts: false, ..oidc }).await;
    let bob = master.person("bob", &["manager"]).await;
    let mut jar = Jar::default();
    let page = sign_in_by(&master, &provider, &mut jar).await;
    refused(&page, &jar, StatusCode::FORBIDDEN, "is the person that");
    let link = json!({ "subject": "u-7" });

    let own = master.json(Method::POST, "/api/v1/accounts/bob/identities", Some(&bob), link.clone()).await;
    assert_eq!(own.0, StatusCode::FORBIDDEN, "not even one's own without the provider's word");
    let made = as_admin(&master, Method::POST, "/api/v1/accounts/bob/identities", link.clone()).await;
    assert_eq!((&made["subject"], &made["issuer"]), (&json!("u-7"), &json!(provider.issuer())));
    let again = master.post("/api/v1/accounts/bob/identities", "admin", link).await;
    assert_eq!((again.0, &again.1["code"]), (StatusCode::CONFLICT, &json!("taken")));
    for (wrong, code) in
        [(json!({ "subject": "" }), "bad_subject"), (json!({ "subject": "x", "issuer": "x" }), "bad_issuer")]
    {
        assert_eq!(master.post("/api/v1/accounts/bob/identities", "admin", wrong).await.1["code"], code);
    }
    assert_eq!(sign_in_by(&master, &provider, &mut jar).await.status, StatusCode::SEE_OTHER);
    let page = get(&master, &mut jar, "/account").await;
    assert!(page.body.contains("<h1>bob"), "{}", page.body);
    let path = format!("/api/v1/accounts/bob/identities/{}", made["id"]);
    let gone = master.json(Method::DELETE, &path, Some(&bob), json!(null)).await;
    assert_eq!(gone.0, StatusCode::OK, "{}", gone.1);
}

#[tokio::test]
async fn a_provider_that_is_away_or_says_no_is_told_with_what_to_do() {
    let (provider, oidc) = provider().await;
    let master = Master::open_with_provider(oidc.clone()).await;
    let mut jar = Jar::default();
    let go = begin(&master, &mut jar, "/").await;
    let denied = format!("{CALLBACK}?error=access_denied&error_description=No%20%3Cb%3E&state={}", part(&go, "state"));
    let page = back(&master, &mut jar, &denied).await;
    refused(&page, &jar, StatusCode::UNAUTHORIZED, "did not say who you are: No &#60;b&#62;");
    let go = begin(&master, &mut jar, "/").await;
    let other = format!("{CALLBACK}?code=x&iss=https%3A%2F%2Fevil.example&state={}", part(&go, "state"));
    refused(&back(&master, &mut jar, &other).await, &jar, StatusCode::UNAUTHORIZED, "than the one that was asked");

    let go = begin(&master, &mut jar, "/").await;
    let url = provider.visit(&go, "u-7").await.unwrap();
    drop(provider);
    let page = back(&master, &mut jar, &url).await;
    refused(&page, &jar, StatusCode::BAD_GATEWAY, "anima config check");

    let master = Master::open_with_provider(oidc).await;
    let mut jar = Jar::default();
    let word = get(&master, &mut jar, "/sign-in").await.word();
    let page = post(&master, &mut jar, "/sign-in/oidc", &[("word", &word)]).await;
    refused(&page, &jar, StatusCode::BAD_GATEWAY, "could not be asked who you are");
}

#[tokio::test]
async fn without_a_provider_there_is_no_way_to_one() {
    let master = Master::open().await;
    let mut jar = Jar::default();
    let page = get(&master, &mut jar, "/sign-in").await;

    assert!(!page.body.contains("Sign in by"));
    let begun = post(&master, &mut jar, "/sign-in/oidc", &[("word", &page.word())]).await;
    assert_eq!(begun.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&master, &mut jar, "/sign-in/oidc/callback?state=x&code=y").await.status, StatusCode::NOT_FOUND);
}

/// Begins a command line's sign-in.
async fn device(master: &Master) -> Value {
    let (status, device) =
        master.json(Method::POST, "/api/v1/sign-in/devices", None, json!({ "label": "laptop <b>" })).await;
    assert_eq!(status, StatusCode::CREATED, "{device}");
    device
}

async fn redeem(master: &Master, device: &Value, wait_secs: u64) -> (StatusCode, Value) {
    let wanted = json!({ "secret": device["secret"], "wait_secs": wait_secs });
    master.json(Method::POST, "/api/v1/sign-in/devices/redeem", None, wanted).await
}

#[tokio::test]
async fn a_command_line_gets_a_token_of_who_typed_its_code_and_said_yes() {
    let master = Master::open().await;
    master.person("ann", &["signer"]).await;
    let waiting = device(&master).await;
    assert_eq!(waiting["url"], "http://master.example/device");
    assert_eq!(redeem(&master, &waiting, 0).await.0, StatusCode::NO_CONTENT);
    let code = waiting["code"].as_str().unwrap().to_lowercase();
    let mut jar = Jar::default();
    assert_eq!(get(&master, &mut jar, "/device").await.location(), "/sign-in?to=%2Fdevice");
    sign_in(&master, &mut jar, "ann").await;
    let word = get(&master, &mut jar, "/device").await.word();

    let wrong = post(&master, &mut jar, "/device", &[("word", &word), ("code", "0000-0000")]).await;
    assert_eq!(wrong.status, StatusCode::NOT_FOUND);
    let shown = post(&master, &mut jar, "/device", &[("word", &word), ("code", &code)]).await;
    assert!(shown.body.contains("laptop &#60;b&#62;") && shown.body.contains("all that ann may"), "{}", shown.body);
    assert_eq!(redeem(&master, &waiting, 0).await.0, StatusCode::NO_CONTENT, "looking is not saying yes");
    let waits = redeem(&master, &waiting, 30);
    let form = [("word", word.as_str()), ("code", &code), ("say", "yes")];
    let (said, (status, token)) = tokio::join!(post(&master, &mut jar, "/device", &form), waits);

    assert!(said.body.contains("has its token now"), "{}", said.body);
    assert_eq!(status, StatusCode::CREATED, "{token}");
    let whoami = master.json(Method::GET, "/api/v1/tokens/whoami", token["secret"].as_str(), json!(null)).await.1;
    assert_eq!(whoami["name"], "ann");
    assert_eq!(redeem(&master, &waiting, 0).await.1["code"], "bad_code", "once");
    let audit = audit(&master).await;
    assert!(audit.contains("ann approved") && audit.contains("on a command line, with a code"), "{audit}");
    assert!(!audit.contains(waiting["secret"].as_str().unwrap()) && !audit.contains(PASSWORD));
}

#[tokio::test]
async fn a_command_line_that_went_away_while_it_waited_leaves_the_token_to_who_asks_next() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let waiting = device(&master).await;
    let wanted = json!({ "secret": waiting["secret"], "wait_secs": 50 });

    let gone = ask_and_go(&master, "/api/v1/sign-in/devices/redeem", None, &wanted).await;

    assert!(gone.is_empty(), "nobody waits on behalf of who went");
    let mut jar = Jar::default();
    sign_in(&master, &mut jar, "ann").await;
    let word = get(&master, &mut jar, "/device").await.word();
    let form = [("word", word.as_str()), ("code", waiting["code"].as_str().unwrap()), ("say", "yes")];
    post(&master, &mut jar, "/device", &form).await;
    assert_eq!(redeem(&master, &waiting, 0).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_command_line_that_was_refused_or_forgotten_gets_nothing() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let mut jar = Jar::default();
    sign_in(&master, &mut jar, "ann").await;
    let word = get(&master, &mut jar, "/device").await.word();
    let say = async |device: &Value, say: &str| {
        let form = [("word", word.as_str()), ("code", device["code"].as_str().unwrap()), ("say", say)];
        post(&master, &mut jar.clone(), "/device", &form).await
    };
    let unwanted = device(&master).await;
    assert!(say(&unwanted, "no").await.body.contains("gets nothing"));
    assert_eq!(say(&unwanted, "yes").await.status, StatusCode::NOT_FOUND, "the first word counts");
    let refused = redeem(&master, &unwanted, 0).await;
    assert_eq!((refused.0, &refused.1["code"]), (StatusCode::FORBIDDEN, &json!("refused")));

    let late = device(&master).await;
    master.pass_secs(601);
    assert_eq!(say(&late, "yes").await.status, StatusCode::NOT_FOUND);
    assert_eq!(redeem(&master, &late, 0).await.1["code"], "bad_code");

    let disabled = device(&master).await;
    say(&disabled, "yes").await;
    as_admin(&master, Method::POST, "/api/v1/accounts/ann/disable", json!(null)).await;
    assert_eq!(redeem(&master, &disabled, 0).await.0, StatusCode::FORBIDDEN);
}
