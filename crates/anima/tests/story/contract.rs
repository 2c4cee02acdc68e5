//! The API's contract: a running master answers all that its own description says, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anima_testkit::{
    Bounds, System, asks_by_a_generated_client, keeps_its_contract, populate, takes_tokens_away_by_its_contract,
};
use anima_types::{
    permission::Role,
    token::{CreateToken, Scopes},
};

/// Each run asks the same in the same order, as far as it comes in this time.
const SECS: u32 = 60;
/// Operations that only said that there is no such thing, at most: one on an idle machine, more where less was asked in the time.
const MAX_MISSING: usize = 10;

/// `ANIMA_CONTRACT_SECS` lets each run take longer and ask more, `ANIMA_CONTRACT_SEED` ask otherwise.
fn bounds() -> Bounds {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let secs = number("ANIMA_CONTRACT_SECS").unwrap_or(SECS);
    let examples = if secs > SECS { 200 } else { 1 };
    Bounds { seed: number("ANIMA_CONTRACT_SEED").unwrap_or(1).into(), examples, secs }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_as_its_description_says_an_administrator_and_nobody() {
    // Who asks more often than people do is to be answered all the same.
    let (program, often) = (Path::new(env!("CARGO_BIN_EXE_anima")), "limits_factor = 1000");
    let system = System::start_some_with(program, &["master"], often).await.unwrap();
    populate(&system).await.unwrap();
    let (url, token) = (system.master_url().to_string(), system.token("admin").unwrap());
    let last = CreateToken { name: "last".into(), role: Some(Role::Admin), scopes: Scopes::default(), days: None };
    let last = system.client().create_token(&last).await.unwrap().secret;

    let asked = tokio::task::spawn_blocking(move || {
        let told = asks_by_a_generated_client(&url, &token)?;
        anyhow::ensure!(told.starts_with("tokens admin "), "a generated client is told {told}");
        keeps_its_contract(&url, Some(&token), bounds())?;
        keeps_its_contract(&url, None, bounds())?;
        takes_tokens_away_by_its_contract(&url, &last, Bounds { secs: bounds().secs / 4, ..bounds() })
    });

    if let Err(error) = asked.await.unwrap() {
        panic!("{error:#}");
    }
    let answers = answers(&system);
    let is_missing = |statuses: &BTreeSet<u16>| statuses.iter().all(|status| [401, 404].contains(status));
    let missing: Vec<_> = answers.iter().filter(|(_, statuses)| is_missing(statuses)).collect();
    let often: Vec<_> = answers.iter().filter(|(_, statuses)| statuses.contains(&429)).collect();
    assert!(often.is_empty(), "who asks too often learns nothing: {often:?}");
    assert!(missing.len() <= MAX_MISSING, "what is asked about is not there: {missing:?}");
}

/// Returns with which statuses each operation of the API was answered, as the master counted.
fn answers(system: &System) -> BTreeMap<String, BTreeSet<u16>> {
    let url = format!("{}/metrics", system.master_url());
    let text = Command::new("curl").args(["-sSf", &url]).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    let part = |line: &str, name: &str| line.split(&format!("{name}=\"")).nth(1)?.split('"').next().map(str::to_string);
    let mut answers: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("anima_requests_total{")) {
        let (Some(method), Some(route), Some(status)) =
            (part(line, "method"), part(line, "route"), part(line, "status"))
        else {
            continue;
        };
        if route.starts_with("/api/") {
            answers.entry(format!("{method} {route}")).or_default().insert(status.parse().unwrap());
        }
    }
    answers
}
