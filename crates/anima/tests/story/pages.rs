//! The pages in a real browser: a live log to its end, and a page that fits a phone.

use std::{fs, time::Duration};

use anima_testkit::{Browser, SourcePackage};
use anima_types::task::{Kind, Status};

use crate::{BUILD_LIMIT, system};

/// A line that the log had reaches the page long before this.
const LIVE_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_live_log_is_followed_to_its_end_and_the_line_of_the_error_is_found() {
    let system = system().await;
    // It takes seconds to start, in which the build would end.
    let browser = Browser::open(1280, 900).await.unwrap();
    let package = SourcePackage::tiny("talker", "1").unwrap();
    let spec = fs::read_to_string(package.path("talker.spec")).unwrap();
    let check = "%check\necho 'the talk begins <b>&amp;'\nsleep 15\necho 'error: the talk went wrong'\nfalse\n\n%files";
    package.write("talker.spec", spec.replace("%files", check).as_bytes()).unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("talker", &commit).await.unwrap();
    let task = system
        .wait(BUILD_LIMIT, async || {
            let detail = system.client().build(build).await.ok()?;
            detail.tasks.into_iter().find(|task| task.kind == Kind::Build && task.status == Status::Leased)
        })
        .await
        .expect("the package is being built");

    browser.go(&format!("{}/tasks/{}", system.master_url(), task.id)).await.unwrap();
    let live = browser.wait_for_text("#log", "the talk begins <b>&amp;", LIVE_LIMIT).await.unwrap();
    assert!(!live.contains("error: the talk went wrong"), "the page was opened before the end:\n{live}");

    browser.wait_for_text("#log", "error: the talk went wrong", LIVE_LIMIT).await.unwrap();
    browser.wait_for_text("#log-status", "ended", LIVE_LIMIT).await.unwrap();
    system.ended(build, BUILD_LIMIT).await.unwrap();
    browser.go(&format!("{}/tasks/{}", system.master_url(), task.id)).await.unwrap();
    let line = browser.text("#log .error").await.unwrap();
    assert!(line.contains("error: the talk went wrong"), "{line}");
    let errors = browser.run("return document.querySelector('#errors a').getAttribute('href')").await.unwrap();
    let target = browser.run(&format!("return document.querySelector({errors}).textContent")).await.unwrap();
    assert!(target.as_str().unwrap_or_default().contains("error: the talk went wrong"), "{errors} {target}");
    let tops = "return [...document.querySelectorAll('.excerpt span')].map(e => [e.getBoundingClientRect().top, e.getBoundingClientRect().left])";
    let places: Vec<(f64, f64)> = serde_json::from_value(browser.run(tops).await.unwrap()).unwrap();
    let is_below = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 == pair[1].1;
    assert!(
        places.len() > 3 && places.windows(2).all(is_below),
        "each line of the excerpt is below the one before: {places:?}"
    );
    browser.close().await.unwrap();
}

#[tokio::test]
async fn every_page_fits_a_phone_and_a_desktop_and_has_a_title_and_one_heading() {
    let system = system().await;
    let package = SourcePackage::tiny("pocket", "1").unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("pocket", &commit).await.unwrap();
    let detail = system.released(build, BUILD_LIMIT).await.unwrap();
    let release = detail.build.releases[0];
    let task = detail.tasks[0].id;
    let pages = [
        "/".to_string(),
        format!("/builds/{build}"),
        format!("/tasks/{task}"),
        "/packages".to_string(),
        "/packages/pocket".to_string(),
        "/repositories".to_string(),
        "/repositories/1".to_string(),
        "/releases".to_string(),
        format!("/releases/{release}"),
        "/nodes".to_string(),
        format!("/nodes/{}", detail.tasks[0].node.as_deref().unwrap()),
    ];

    for (width, height) in [(390, 844), (1280, 900)] {
        let browser = Browser::open(width, height).await.unwrap();
        for page in &pages {
            browser.go(&format!("{}{page}", system.master_url())).await.unwrap();
            let seen = browser
                .run(
                    "return [document.title, document.querySelectorAll('h1').length, \
                     document.documentElement.scrollWidth, window.innerWidth, document.documentElement.lang, \
                     [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > window.innerWidth \
                     && !e.closest('.wide, .log')).map(e => e.outerHTML.slice(0, 120))]",
                )
                .await
                .unwrap();
            assert!(!seen[0].as_str().unwrap_or_default().is_empty(), "{page}: {seen}");
            assert_eq!(seen[1], 1, "{page}: {seen}");
            assert!(seen[2].as_u64() <= seen[3].as_u64(), "{page} is wider than {width}: {seen}");
            assert_eq!(seen[4], "en", "{page}: {seen}");
        }
        browser.close().await.unwrap();
    }
}
