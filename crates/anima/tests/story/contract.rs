//! The API's contract: a running master answers all that its own description says, and nothing else.

use std::path::Path;

use anima_testkit::{Bounds, System, asks_by_a_generated_client, keeps_its_contract, populate};

/// Each run asks the same in the same order, as far as it comes in this time.
const SECS: u32 = 60;

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

    let asked = tokio::task::spawn_blocking(move || {
        let told = asks_by_a_generated_client(&url, &token)?;
        anyhow::ensure!(told.starts_with("tokens admin "), "a generated client is told {told}");
        keeps_its_contract(&url, Some(&token), bounds())?;
        keeps_its_contract(&url, None, bounds())
    });

    if let Err(error) = asked.await.unwrap() {
        panic!("{error:#}");
    }
}
