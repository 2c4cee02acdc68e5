//! What people do with the buttons of pages: the same as with commands, by who may, and on what they have seen.

use anima_types::{gate::Level, id::ReleaseId};
use axum::http::StatusCode;
use serde_json::json;

use crate::{
    gates::planned,
    master::Master,
    rebuild,
    sessions::{Jar, Page, get, post, sign_in},
};

/// Returns the hidden fields and the address of the form whose address ends so.
fn form(page: &Page, end: &str) -> Option<(String, Vec<(String, String)>)> {
    let forms = page.body.split("<form ").skip(1).map(|rest| rest.split("</form>").next().unwrap());
    let value =
        |text: &str, before: &str| text.split_once(before).map(|(_, rest)| rest.split('"').next().unwrap().to_string());
    let form = forms.into_iter().find(|form| value(form, "action=\"").is_some_and(|action| action.ends_with(end)))?;
    let hidden = form.split("<input type=\"hidden\" ").skip(1);
    let hidden = hidden.map(|field| (value(field, "name=\"").unwrap(), value(field, "value=\"").unwrap()));
    Some((value(form, "action=\"").unwrap(), hidden.collect()))
}

/// Fills in a form of a page and sends it.
async fn press(master: &Master, jar: &mut Jar, page: &Page, end: &str, typed: &[(&str, &str)]) -> Page {
    let (address, hidden) = form(page, end).unwrap_or_else(|| panic!("there is no form for {end}:\n{}", page.body));
    let fields: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(typed.iter().copied()).collect();
    post(master, jar, &address, &fields).await
}

async fn status(master: &Master, release: ReleaseId) -> String {
    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    shown["status"].as_str().unwrap().to_string()
}

pub async fn browser_of(master: &Master, name: &str, rights: &[&str]) -> Jar {
    master.person(name, rights).await;
    let mut jar = Jar::default();
    assert_eq!(sign_in(master, &mut jar, name).await.status, StatusCode::SEE_OTHER);
    jar
}

#[tokio::test]
async fn a_release_manager_reads_a_plan_and_presses_once() {
    let master = Master::open().await;
    let release = planned(&master, Level::Tell).await;
    let mut jar = browser_of(&master, "rita", &["release-manager on product:p1"]).await;
    let page = get(&master, &mut jar, &format!("/releases/{release}")).await;

    let pressed = press(&master, &mut jar, &page, "/commit", &[]).await;

    assert_eq!((pressed.status, pressed.location()), (StatusCode::SEE_OTHER, format!("/releases/{release}").as_str()));
    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!((&shown["status"], &shown["committed_by"]), (&json!("publishing"), &json!("rita")));
    let after = get(&master, &mut jar, &format!("/releases/{release}")).await;
    assert!(form(&after, "/commit").is_none() && form(&after, "/replan").is_some(), "{}", after.body);
}

#[tokio::test]
async fn who_decides_is_held_to_the_plan_that_they_saw() {
    let master = Master::open().await;
    let release = planned(&master, Level::Tell).await;
    let mut jar = browser_of(&master, "rita", &["release-manager"]).await;
    let page = get(&master, &mut jar, &format!("/releases/{release}")).await;
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    anima_db::release::set_plan(&mut write, release, &[], &[], &Default::default()).await.unwrap();
    write.commit().await.unwrap();

    let pressed = press(&master, &mut jar, &page, "/commit", &[]).await;

    assert_eq!(pressed.status, StatusCode::CONFLICT);
    assert!(pressed.body.contains("is not the one that you saw") && pressed.body.contains("Look at the plan again"));
    assert_eq!(status(&master, release).await, "planned");
}

#[tokio::test]
async fn a_gate_that_asks_makes_the_reason_a_field_that_must_be_filled() {
    let master = Master::open().await;
    let release = planned(&master, Level::Ask).await;
    let mut jar = browser_of(&master, "rita", &["release-manager"]).await;
    let page = get(&master, &mut jar, &format!("/releases/{release}")).await;
    assert!(
        page.body.contains("/commit-reason\" name=\"reason\" type=\"text\" maxlength=\"500\" required"),
        "{}",
        page.body
    );

    let silent = press(&master, &mut jar, &page, "/commit", &[("reason", " ")]).await;
    assert!(!silent.status.is_redirection(), "{}", silent.status);
    assert_eq!(status(&master, release).await, "planned");
    let said = press(&master, &mut jar, &page, "/commit", &[("reason", "it is older on purpose")]).await;

    assert_eq!(said.status, StatusCode::SEE_OTHER, "{}", said.body);
    assert_eq!(master.get(&format!("/api/v1/releases/{release}")).await["reason"], "it is older on purpose");
}

#[tokio::test]
async fn what_a_gate_blocks_only_an_admin_sees_a_button_for() {
    let master = Master::open().await;
    let release = planned(&master, Level::Block).await;
    let mut manager = browser_of(&master, "rita", &["release-manager"]).await;
    let mut admin = browser_of(&master, "ada", &["admin"]).await;
    let address = format!("/releases/{release}");

    let page = get(&master, &mut manager, &address).await;
    assert!(form(&page, "/commit").is_none() && form(&page, "/force").is_none() && form(&page, "/abandon").is_some());
    let page = get(&master, &mut admin, &address).await;
    let forced = press(&master, &mut admin, &page, "/force", &[("reason", "the fire is worse")]).await;

    assert_eq!(forced.status, StatusCode::SEE_OTHER, "{}", forced.body);
    assert_eq!(status(&master, release).await, "publishing");
}

#[tokio::test]
async fn a_time_is_set_and_taken_back_and_a_plan_thrown_away() {
    let master = Master::open().await;
    let release = planned(&master, Level::Tell).await;
    let mut jar = browser_of(&master, "rita", &["release-manager"]).await;
    let address = format!("/releases/{release}");
    let page = get(&master, &mut jar, &address).await;
    let at = (master.app.now().plus_secs(86_400)).to_string();

    let wrong = press(&master, &mut jar, &page, "/schedule", &[("at", "tomorrow")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let set = press(&master, &mut jar, &page, "/schedule", &[("at", &at[..16])]).await;
    assert_eq!(
        (set.status, status(&master, release).await.as_str()),
        (StatusCode::SEE_OTHER, "scheduled"),
        "{}",
        set.body
    );
    let page = get(&master, &mut jar, &address).await;
    press(&master, &mut jar, &page, "/unschedule", &[]).await;
    assert_eq!(status(&master, release).await, "planned");
    let page = get(&master, &mut jar, &address).await;
    press(&master, &mut jar, &page, "/abandon", &[]).await;

    assert_eq!(status(&master, release).await, "abandoned");
}

#[tokio::test]
async fn who_may_not_sees_no_button_and_a_guest_is_asked_to_sign_in() {
    let master = Master::open().await;
    let release = planned(&master, Level::Tell).await;
    let (address, mut guest) = (format!("/releases/{release}"), Jar::default());
    let product = json!({ "name": "other", "title": "Other", "repositories": ["BaseOS"], "architectures": ["x86_64"] });
    assert_eq!(master.post("/api/v1/products", "admin", product).await.0, StatusCode::CREATED);
    let mut other = browser_of(&master, "olga", &["release-manager on product:other", "contributor"]).await;

    let page = get(&master, &mut guest, &address).await;
    assert!(form(&page, "/commit").is_none());
    assert!(page.body.contains(&format!("/sign-in?to=%2Freleases%2F{release}")), "{}", page.body);
    let page = get(&master, &mut other, &address).await;
    assert!(form(&page, "/commit").is_none() && form(&page, "/abandon").is_none(), "{}", page.body);
    let word = page.word();
    let tried = post(&master, &mut other, &format!("{address}/commit"), &[("word", &word)]).await;

    assert_eq!(tried.status, StatusCode::FORBIDDEN);
    assert_eq!(status(&master, release).await, "planned");
}

#[tokio::test]
async fn a_build_is_cancelled_and_tried_again_by_its_buttons() {
    let master = Master::open().await;
    let build = crate::pages::waiting_build(&master).await;
    let mut jar = browser_of(&master, "ann", &["contributor on platform:p1"]).await;
    let address = format!("/builds/{build}");
    let status = async || master.get(&format!("/api/v1/builds/{build}")).await["status"].as_str().unwrap().to_string();

    let page = get(&master, &mut jar, &address).await;
    let pressed = press(&master, &mut jar, &page, &format!("/builds/{build}/cancel"), &[]).await;
    assert_eq!((pressed.status, status().await.as_str()), (StatusCode::SEE_OTHER, "cancelled"), "{}", pressed.body);
    let page = get(&master, &mut jar, &address).await;
    press(&master, &mut jar, &page, &format!("/builds/{build}/restart"), &[]).await;

    assert_eq!(status().await, "sources");
}

#[tokio::test]
async fn a_mass_rebuild_is_paused_bounded_resumed_cancelled_and_retried_from_its_page() {
    let master = rebuild::built_before().await;
    let id = rebuild::create(&master, json!({ "packages": ["alder", "birch", "cedar"] })).await;
    let address = format!("/rebuilds/{id}");
    let mut jar = browser_of(&master, "rita", &["contributor on platform:p1"]).await;
    let shown = async || master.get(&format!("/api/v1/rebuilds/{id}")).await;
    let page = get(&master, &mut jar, &address).await;

    let paused = press(&master, &mut jar, &page, "/pause", &[]).await;
    assert_eq!((paused.status, paused.location()), (StatusCode::SEE_OTHER, address.as_str()));
    assert_eq!(shown().await["is_paused"], true);
    let refused = press(&master, &mut jar, &page, "/limit", &[("limit", "many")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    press(&master, &mut jar, &page, "/limit", &[("limit", "1")]).await;
    let page = get(&master, &mut jar, &address).await;
    assert!(form(&page, "/pause").is_none() && page.body.contains("at most 1 task"), "{}", page.body);
    press(&master, &mut jar, &page, "/resume", &[]).await;
    let now = shown().await;
    assert_eq!((&now["is_paused"], &now["limit"]), (&json!(false), &json!(1)));

    let (task, package) = rebuild::take(&master).await.unwrap();
    rebuild::end(&master, task, anima_types::task::Event::Failed).await;
    let page = get(&master, &mut jar, &address).await;
    press(&master, &mut jar, &page, "/cancel", &[]).await;
    assert_eq!(shown().await["build"]["status"], "cancelled");
    let page = get(&master, &mut jar, &address).await;
    let silent = press(&master, &mut jar, &page, "/leave-out", &[("to", &package), ("reason", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let left_out = press(&master, &mut jar, &page, "/leave-out", &[("to", &package), ("reason", "it is broken")]).await;
    assert_eq!(left_out.status, StatusCode::SEE_OTHER, "{}", left_out.body);
    let events = master.get("/api/v1/events/list?limit=500").await.to_string();
    assert!(events.contains("rita left it out: it is broken"), "{events}");

    let mut stranger = browser_of(&master, "ruth", &["observer"]).await;
    let page = get(&master, &mut stranger, &address).await;
    assert!(form(&page, "/cancel").is_none() && page.body.contains(&format!("anima rebuild cancel {id}")));
}

#[tokio::test]
async fn who_minds_people_disables_accounts_takes_rights_revokes_tokens_and_stops_webhooks() {
    let master = Master::open().await;
    let bob = master.person("bob", &["contributor"]).await;
    let hook = json!({ "name": "chat", "url": "https://chat.example/" });
    assert_eq!(master.post("/api/v1/webhooks", "admin", hook).await.0, StatusCode::CREATED);
    let mut admin = browser_of(&master, "ada", &["admin"]).await;
    let mut other = browser_of(&master, "eve", &["manager"]).await;
    assert_eq!(get(&master, &mut other, "/people").await.status, StatusCode::FORBIDDEN);
    let page = get(&master, &mut admin, "/people").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert!(
        page.body.contains("contributor everywhere") && page.body.contains("https://chat.example/"),
        "{}",
        page.body
    );
    assert!(form(&page, "/ada/disable").is_none(), "nobody locks themselves out");
    let whoami = async || {
        let path = "/api/v1/tokens/whoami";
        master.json(axum::http::Method::GET, path, Some(&bob), json!(null)).await
    };
    let rights =
        master.json(axum::http::Method::GET, "/api/v1/rights", Some(&master.token("admin")), json!(null)).await.1;
    let right = rights.as_array().unwrap().iter().find(|one| one["account"] == "bob").unwrap()["id"].clone();
    let tokens =
        master.json(axum::http::Method::GET, "/api/v1/tokens", Some(&master.token("admin")), json!(null)).await.1;
    let token = tokens.as_array().unwrap().iter().find(|one| one["account"] == "bob").unwrap()["id"].clone();

    for end in [format!("/rights/{right}/take"), "/webhooks/1/stop".to_string(), "/bob/disable".to_string()] {
        let pressed = press(&master, &mut admin, &page, &end, &[]).await;
        assert_eq!(pressed.status, StatusCode::SEE_OTHER, "{end}: {}", pressed.body);
    }

    assert_eq!(whoami().await.0, StatusCode::UNAUTHORIZED, "he is disabled");
    let page = get(&master, &mut admin, "/people?q=bob").await;
    assert!(
        page.body.contains("<strong class=\"red\">disabled</strong>") && !page.body.contains(">eve</a>"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("contributor everywhere"), "{}", page.body);
    press(&master, &mut admin, &page, "/bob/enable", &[]).await;
    assert!(!whoami().await.1["rights"].to_string().contains("contributor"), "he has none any more");
    press(&master, &mut admin, &page, &format!("/tokens/{token}/revoke"), &[]).await;
    assert_eq!(whoami().await.0, StatusCode::UNAUTHORIZED, "his token is revoked");
    let page = get(&master, &mut admin, "/people").await;
    assert!(form(&page, "/webhooks/1/resume").is_some(), "{}", page.body);
}
