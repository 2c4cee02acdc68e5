//! Keys: which there are, where each stands, what it may sign and what it signed.

use anima_types::{
    Timestamp,
    id::KeyId,
    key::{Key, KeyDetail, Status},
    key_policy::{Imports, Policy},
};
use askama::Template;
use axum::extract::State as Extract;

use super::{
    answer::{Frame, PageResult, newest_event, page},
    words::{State, When, count},
};
use crate::{app::App, error::Path};

/// A key that expires sooner is told of at the top.
const SOON_DAYS: i64 = 90;

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    answer: String,
    rows: Vec<Row>,
}

struct Row {
    id: KeyId,
    name: String,
    state: State,
    algorithm: &'static str,
    expires: String,
    products: String,
    fingerprint: String,
    signed: i64,
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    frame: Frame,
    answer: String,
    detail: KeyDetail,
    state: State,
    expires: String,
    facts: Vec<(&'static str, String)>,
    policy: Vec<String>,
    newest: Vec<Signed>,
    commands: Vec<(String, &'static str)>,
}

struct Signed {
    when: When,
    kind: &'static str,
    form: &'static str,
    name: String,
    task: i64,
}

/// `/keys`
pub async fn list(Extract(app): Extract<App>) -> PageResult {
    let after = newest_event(&app).await?;
    let mut read = app.db.read().await?;
    let keys = anima_db::key::list(&mut read).await?;
    let mut rows = Vec::new();
    for key in &keys {
        rows.push(row(crate::key::detail(&mut read, key.id).await?, app.now()));
    }
    drop(read);
    let frame = Frame::new("Keys", "keys", "/api/v1/keys").follow(after, "");
    page(&KeysPage { frame, answer: answer(&keys, app.now()), rows })
}

/// `/keys/{key}`
pub async fn show(Extract(app): Extract<App>, Path(id): Path<KeyId>) -> PageResult {
    let after = newest_event(&app).await?;
    let mut read = app.db.read().await?;
    let detail = crate::key::detail(&mut read, id).await?;
    drop(read);
    let now = app.now();
    let key = &detail.key;
    let newest = detail.newest.iter().map(|record| Signed {
        when: When::new(record.signed_at, now),
        kind: record.kind.name(),
        form: record.form.name(),
        name: record.name.clone(),
        task: record.task.0,
    });
    let page_of_key = KeyPage {
        frame: Frame::new(format!("Key {}", key.key.name), "keys", format!("/api/v1/keys/{id}")).follow(after, ""),
        answer: about(&detail, now),
        state: key.status.into(),
        expires: expires(key, now),
        facts: facts(key),
        policy: words_of_policy(&key.policy),
        newest: newest.collect(),
        commands: commands(&detail),
        detail,
    };
    page(&page_of_key)
}

fn answer(keys: &[Key], now: Timestamp) -> String {
    let active = keys.iter().filter(|key| key.status == Status::Active).count();
    let soon = keys.iter().filter(|key| key.days_left(now).is_some_and(|days| days < SOON_DAYS));
    let soon = soon.map(|key| key.key.name.as_str()).collect::<Vec<_>>();
    match (keys.len(), soon.is_empty()) {
        (0, _) => "There is no key: a product gets one when it is made.".to_string(),
        (all, true) => format!("{active} of {} sign; none expires within {SOON_DAYS} days.", count(all, "key")),
        (all, false) => {
            format!("{active} of {} sign. Within {SOON_DAYS} days expire: {}.", count(all, "key"), soon.join(", "))
        }
    }
}

fn row(detail: KeyDetail, now: Timestamp) -> Row {
    let key = &detail.key;
    let former = detail.former_products.iter().map(|name| format!("formerly {name}"));
    let products = detail.products.iter().cloned().chain(former).collect::<Vec<_>>();
    Row {
        id: key.id,
        name: key.key.name.clone(),
        state: key.status.into(),
        algorithm: key.key.algorithm.name(),
        expires: expires(key, now),
        products: if products.is_empty() { "none".to_string() } else { products.join(", ") },
        fingerprint: key.fingerprint.clone().unwrap_or_default(),
        signed: detail.signed.iter().map(|one| one.count).sum(),
    }
}

fn expires(key: &Key, now: Timestamp) -> String {
    let Some(at) = key.expires_at else { return "never".to_string() };
    let day = at.to_string();
    let day = day.split('T').next().unwrap_or(&day);
    match key.days_left(now) {
        Some(days) if days >= 0 => format!("{day}, in {}", count(days as usize, "day")),
        _ => day.to_string(),
    }
}

/// Says in words what is so, and what to do about it.
fn about(detail: &KeyDetail, now: Timestamp) -> String {
    let key = &detail.key;
    let signed: i64 = detail.signed.iter().map(|one| one.count).sum();
    let signed = format!("It made {}.", count(signed.max(0) as usize, "signature"));
    let seen = match detail.seen_count {
        0 => "Users see no package with its signature.".to_string(),
        seen => format!("Users see {} with its signature.", count(seen.max(0) as usize, "package")),
    };
    let what = match key.status {
        Status::Asked => return "The Sign Server has not made it yet.".to_string(),
        Status::Active => match (detail.products.is_empty(), key.days_left(now)) {
            (true, _) => "It signs, but no product has it.".to_string(),
            (false, Some(days)) if days < SOON_DAYS => {
                format!("It signs for {}, and expires in {days} days: rotate it in time.", detail.products.join(", "))
            }
            (false, _) => format!("It signs for {}.", detail.products.join(", ")),
        },
        Status::Retired => "Another took its place: what it signed is good, and it signs nothing new.".to_string(),
        Status::Expired => "Its time is over: what it signed before is good, and it signs nothing new.".to_string(),
        Status::Revoked => {
            let why = key.reason.as_deref().unwrap_or("nothing was said");
            format!("It is revoked ({why}). What it signed is below.")
        }
    };
    format!("{what} {signed} {seen}")
}

fn facts(key: &Key) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Whose", key.key.user_id.clone()),
        ("Algorithm", key.key.algorithm.name().to_string()),
        ("Fingerprint", key.fingerprint.clone().unwrap_or_else(|| "none yet".to_string())),
    ];
    if key.key.options.signs_payload {
        facts.push(("Packages", "signed over header and payload, too, for clients of before EL 8".to_string()));
    }
    if key.key.options.signs_files {
        facts.push(("Files", "signed for the kernel's integrity measurement (IMA)".to_string()));
    }
    facts
}

fn words_of_policy(policy: &Policy) -> Vec<String> {
    let list = |what: &str, names: Vec<String>| match names.is_empty() {
        true => format!("any {what}"),
        false => format!("{what}: {}", names.join(", ")),
    };
    let kinds = policy.kinds.iter().map(|kind| kind.name().to_string()).collect();
    let mut words =
        vec![list("kind", kinds), list("product", policy.products.clone()), list("platform", policy.platforms.clone())];
    let requires = &policy.requires;
    if requires.built {
        words.push("what a lease of ours made".to_string());
    }
    if requires.green {
        words.push("packages with green verdicts".to_string());
    }
    words.push(match requires.imports {
        Imports::Refused => "no packages from elsewhere".to_string(),
        Imports::Verified => "packages from elsewhere whose own signature was checked".to_string(),
        Imports::Any => "any packages from elsewhere".to_string(),
    });
    if requires.approvals > 0 {
        words.push(format!("approved by {}", count(requires.approvals as usize, "other person")));
    }
    words
}

fn commands(detail: &KeyDetail) -> Vec<(String, &'static str)> {
    let id = detail.key.id;
    let mut commands =
        vec![(format!("anima key show {id}"), "the same"), (format!("anima key export {id}"), "its public half")];
    if let (Some(product), Status::Active | Status::Expired) = (detail.products.first(), detail.key.status) {
        let rotate = format!("anima key rotate {product} --resign");
        commands.push((rotate, "another takes its place, and signs what users see anew; users get both"));
    }
    if let (Some(product), true) = (detail.former_products.first(), detail.seen_count > 0) {
        let resign = format!("anima release resign {product}");
        commands.push((resign, "plans a release in which the product's key of now signs what users see"));
    }
    if detail.key.status.verifies() {
        commands.push((format!("anima key revoke {id} --why compromised"), "nobody is to trust it any more"));
    }
    commands
}
