//! The pages as a browser asks for them: each says what it must, whatever it is about is escaped, and what is not there
//! is said in words.

use std::collections::BTreeMap;

use crate::master::Master;
use anima_db::{
    build::NewBuild,
    package::Package,
    snapshot::NewSnapshot,
    task::{About, Ended},
};
use anima_types::{
    Arch, Nevra, Sha256, artifact,
    build::Source,
    gate::{Answer, Finding, Gate, Level},
    id::{BuildId, ReleaseId, RepositoryId, TaskId},
    release::{self, PlanEntry, Trust},
    task::{Event, Kind},
    work::{BuildOutcome, BuiltPackage, Check, Failure, Outcome, PhaseTime, TestOutcome, Verdict},
};
use axum::http::StatusCode;

/// What nobody may get into a page as it is.
const HOSTILE: &str = "<script>alert(1)</script>\"'&";
/// A page without its log at most.
const MAX_PAGE_BYTES: usize = 60_000;

struct Story {
    master: Master,
    build: BuildId,
    source: TaskId,
    built: TaskId,
    test: TaskId,
    release: ReleaseId,
    repository: RepositoryId,
}

fn nevra(name: &str) -> Nevra {
    Nevra { name: name.into(), evr: anima_types::Evr::new(0, "1.7", "1.p1"), arch: "x86_64".into() }
}

fn hash(digit: u8) -> Sha256 {
    char::from(digit).to_string().repeat(64).parse().unwrap()
}

fn outcome_of_test() -> Outcome {
    let check = |name: &str, is_green, detail: &str| Check { name: name.into(), is_green, detail: detail.into() };
    let checks = vec![
        check("install", true, "it is installed"),
        check("symlinks", false, &format!("/usr/lib/{HOSTILE} leads nowhere")),
    ];
    Outcome::Test(TestOutcome { verdicts: vec![Verdict { nevra: nevra("jq"), is_green: false, checks }] })
}

/// A build of jq whose source package waits to be made.
pub async fn waiting_build(master: &Master) -> BuildId {
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = NewBuild {
        owner: "ann".into(),
        reason: "pushed to jq@p1".into(),
        platforms: vec!["p1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
        summary: "It waits.".into(),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let source = Source { package: "jq".into(), reference: "p1".into(), commit: "4f2c1e77aa".repeat(4) };
    let platform = app.platform("p1").unwrap();
    anima_master::build::add_sources(&master.app, &mut write, build, &[source], &[platform], &[Arch::X86_64])
        .await
        .unwrap();
    write.commit().await.unwrap();
    build
}

/// A build of jq and of a package with a bad name, as far as a red test, a failed task, and a release.
async fn story() -> Story {
    let master = Master::open().await;
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = NewBuild {
        owner: format!("ann{HOSTILE}"),
        reason: "pushed to jq@p1".into(),
        platforms: vec!["p1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
        summary: format!("Failed: {HOSTILE}"),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let platform = app.platform("p1").unwrap();
    for package in ["jq", HOSTILE] {
        let source = Source { package: package.into(), reference: "p1".into(), commit: "4f2c1e77aa".repeat(4) };
        anima_master::build::add_sources(&master.app, &mut write, build, &[source], &[platform], &[Arch::X86_64])
            .await
            .unwrap();
    }
    let source = anima_db::task::of_build(&mut write, build).await.unwrap()[1].id;
    let failure = Failure {
        code: "spec".into(),
        message: format!("bad line {HOSTILE}"),
        log_line: Some(2),
        hint: Some("Mend the spec.".into()),
        ..Failure::default()
    };
    end(&mut write, source, Event::Failed, Some(failure), None).await;

    let mut about = About::new(Kind::Build);
    (about.build, about.package) = (Some(build), Some("jq".into()));
    (about.platform, about.arch) = (Some("p1".into()), Some(Arch::X86_64));
    let built = anima_db::task::insert(&mut write, &about, "It waits.").await.unwrap();
    let packages = vec![BuiltPackage { nevra: nevra("jq"), artifact: hash(b'1') }];
    let outcome =
        Outcome::Build(BuildOutcome { packages, lock: hash(b'2'), layers_hit: true, dynamic_requires: Vec::new() });
    wake_and_end(&mut write, built, outcome).await;
    anima_db::artifact::insert(&mut write, hash(b'1'), 1_234_567).await.unwrap();
    anima_db::artifact::link(&mut write, built, hash(b'1'), artifact::Kind::Rpm, "jq-1.7-1.p1.x86_64.rpm")
        .await
        .unwrap();

    (about.kind, about.package) = (Kind::Test, None);
    let test = anima_db::task::insert(&mut write, &about, "It waits.").await.unwrap();
    wake_and_end(&mut write, test, outcome_of_test()).await;

    let repository = anima_db::repository::list(&mut write, Some("p1")).await.unwrap()[0].id;
    let release = released(&mut write, build, repository).await;
    write.commit().await.unwrap();
    let log = format!("first\n\u{1b}[31merror:\u{1b}[0m {HOSTILE}\nlast");
    app.logs.append(source, 0, log.into_bytes()).await.unwrap();
    Story { master, build, source, built, test, release, repository }
}

async fn wake_and_end(write: &mut anima_db::Write, id: TaskId, outcome: Outcome) {
    let task = anima_db::task::get(write, id).await.unwrap();
    anima_db::task::apply(write, &task, Event::DependenciesMet, "It waits for a node.").await.unwrap();
    end(write, id, Event::Succeeded, None, Some(outcome)).await;
}

async fn end(write: &mut anima_db::Write, id: TaskId, event: Event, failure: Option<Failure>, result: Option<Outcome>) {
    let task = anima_db::task::get(write, id).await.unwrap();
    anima_db::task::claim(write, &task, "n1", write.now.plus_secs(60), "It runs.").await.unwrap();
    let task = anima_db::task::get(write, id).await.unwrap();
    let phases = [("buildroot", 1.5), ("build", 12.0)]
        .map(|(name, secs)| PhaseTime { name: name.into(), secs, ..PhaseTime::default() })
        .to_vec();
    let ended = Ended { phases, failure, result, report_hash: None };
    anima_db::task::end(write, &task, event, "It ended.", &ended).await.unwrap();
}

async fn released(write: &mut anima_db::Write, build: BuildId, repository: RepositoryId) -> ReleaseId {
    let package = Package {
        sha256: hash(b'1'),
        nevra: nevra("jq"),
        file_name: "jq-1.7-1.p1.x86_64.rpm".into(),
        source: "jq".into(),
        is_source: false,
        xml: "{}".into(),
        header_sha256: hash(b'3'),
    };
    anima_db::package::insert(write, &package).await.unwrap();
    let id = anima_db::release::insert(write, "p1", build, "It is being planned.").await.unwrap();
    let entry = PlanEntry {
        nevra: nevra("jq"),
        artifact: hash(b'1'),
        repository,
        repository_path: "BaseOS/x86_64".into(),
        replaces: Vec::new(),
        trust: Trust::Default,
        reason: format!("nothing found {HOSTILE}"),
    };
    let found = vec![Finding { text: format!("jq-1.7-1 would replace {HOSTILE}"), ..Finding::default() }];
    let answers = [Answer { found_count: 3, ..Answer::new(Gate::Downgrade, Level::Ask, found) }];
    anima_db::release::set_plan(write, id, &[entry], &answers, &BTreeMap::new()).await.unwrap();
    let row = anima_db::release::get(write, id).await.unwrap();
    anima_db::release::apply(write, &row, release::Event::PlanMade, "It waits for a decision.").await.unwrap();
    let (added, removed, files) = (vec![hash(b'1')], Vec::new(), Vec::new());
    let new = NewSnapshot { repository, base: 0, release: id, added, removed, files, layout: None };
    let number = anima_db::snapshot::insert(write, &new).await.unwrap();
    anima_db::repository::set_current(write, repository, 0, number).await.unwrap();
    id
}

impl Story {
    async fn page(&self, path: &str, wanted: &[&str]) -> String {
        let (status, headers, html) = self.master.browse(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {html}");
        for text in wanted {
            assert!(html.contains(text), "{path} has no {text}:\n{html}");
        }
        assert!(
            !html.contains("alert(1)</script>") && !html.contains("<script>alert"),
            "{path} is not escaped:\n{html}"
        );
        assert_eq!(html.matches("<h1>").count(), 1, "{path}");
        assert!(!html.contains(" style=") && !html.contains(" onclick="), "{path} needs what its policy forbids");
        assert!(html.len() < MAX_PAGE_BYTES, "{path} has {} bytes", html.len());
        let header = |name: &str| headers[name].to_str().unwrap().to_string();
        assert!(header("content-security-policy").starts_with("default-src 'self'"), "{path}");
        assert!(!header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert!(headers.contains_key("referrer-policy"), "{path}");
        html
    }
}

#[tokio::test]
async fn every_page_says_what_it_must_and_escapes_the_rest() {
    let story = story().await;
    let Story { build, source, built, test, release, repository, .. } = story;
    let build_page = format!("/builds/{build}");

    for path in ["/", "/builds"] {
        story.page(path, &["Builds", &build_page, "Failed: &#60;script", "/packages/jq", "data-events"]).await;
    }
    story
        .page(
            &build_page,
            &[
                "<caption>Packages on p1</caption>",
                &format!("/tasks/{built}"),
                "0 of 1",
                "<strong>✕ symlinks</strong>",
                "1 green: install",
                "buildroot 1.5 s",
                "jq-1.7-1.p1.x86_64.rpm</a>",
                &format!("/api/v1/artifacts/{}", hash(b'1')),
                "1.2 MB",
                &format!("/releases/{release}"),
                &format!("anima build watch {build}"),
            ],
        )
        .await;
    story.page(&format!("/tasks/{test}"), &["test on x86_64", "It ended."]).await;
    story.page("/packages", &["/packages/jq", "/packages/%3Cscript%3E"]).await;
    story.page("/packages/jq", &["commit <code>4f2c1e77aa</code>", "sign", "p1/BaseOS/x86_64"]).await;
    story.page("/repositories", &["curl -o /etc/yum.repos.d/p1.repo http://master.example/repos/p1/p1.repo"]).await;
    let page = format!("/repositories/{repository}");
    story.page(&page, &["users see this", "@1", "+ jq-1.7-1.p1.x86_64", &format!("/releases/{release}")]).await;
    story.page("/releases", &["1 plan waits for a decision."]).await;
    let page = format!("/releases/{release}");
    story
        .page(&page, &["nothing found &#60;script", "← look", &format!("anima release commit {release} --reason")])
        .await;
    let grid = [
        "<th scope=\"col\">BaseOS</th>",
        "<td><span title=\"new\">",
        "jq-1.7-1.p1</th>",
        "What users will see",
        "1 asks for a reason",
    ];
    story.page(&page, &grid).await;
    let diff = format!("/repositories/{repository}/diff?old=0&new=1");
    story.page(&diff, &["From @0 to @1: 1 came", "+ jq-1.7-1.p1.x86_64", "anima repo diff p1/BaseOS/x86_64@0 1"]).await;
    let search = format!("/repositories/{repository}?q=%3Cscript%3Ealert(1)&in=files");
    story.page(&search, &["No package has such a file.", "<option value=\"files\" selected>"]).await;
    story.page(&page, &["asks for a reason", "would replace &#60;script", "and 2 more"]).await;
    story.page(&format!("/tasks/{source}"), &["Mend the spec."]).await;
}

#[tokio::test]
async fn a_build_of_packages_that_nobody_vouches_for_says_so() {
    let open = "[[repositories]]\nname = \"outside\"\nurl = \"https://h/{arch}/\"\n";
    for (lines, is_told) in [("", false), (open, true)] {
        let master = Master::open_with_lines(lines).await;
        let build = waiting_build(&master).await;

        let (_, _, html) = master.browse(&format!("/builds/{build}")).await;

        let told = "Packages are not verified: no key is known for what p1 takes from outside.";
        assert_eq!(html.contains(told), is_told, "{html}");
    }
}

#[tokio::test]
async fn a_log_is_lines_with_numbers_and_its_error_is_marked_and_listed() {
    let story = story().await;

    let page = story
        .page(
            &format!("/tasks/{}", story.source),
            &[
                "<a href=\"#L2\" data-line=\"2\">",
                "<i class=\"c1\">error:</i> &#60;script",
                "<a href=\"#L3\">3</a><span>last</span>",
            ],
        )
        .await;

    assert!(page.contains("<div id=\"L2\" class=\"error\">"), "{page}");
    assert!(page.contains("<span id=\"log-status\" role=\"status\">ended</span>"), "{page}");
    assert!(!page.contains("data-stream"), "nothing more will come:\n{page}");
}

#[tokio::test]
async fn a_log_that_grows_is_shown_to_its_last_whole_line_and_followed_from_there() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let task = TaskId(lease["task"].as_i64().unwrap());
    master.app.logs.append(task, 0, "one\ntwo\nthr").await.unwrap();

    let (status, _, page) = master.browse(&format!("/tasks/{task}")).await;

    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("<span>two</span>") && !page.contains("thr<"), "{page}");
    let follow = format!("data-next=\"3\" data-stream=\"/api/v1/tasks/{task}/log/stream?offset=8&#38;attempt=1\"");
    assert!(page.contains(&follow) && page.contains(">live</span>"), "{page}");
}

#[tokio::test]
async fn of_a_long_log_its_end_is_shown_and_any_line_on_demand() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let task = TaskId(lease["task"].as_i64().unwrap());
    let text: String = (1..=50_000).map(|line| format!("this is line {line}\n")).collect();
    for (index, piece) in text.as_bytes().chunks(100_000).enumerate() {
        master.app.logs.append(task, index as u64 * 100_000, piece.to_vec()).await.unwrap();
    }

    let (_, _, end) = master.browse(&format!("/tasks/{task}")).await;
    assert!(end.contains("<div id=\"L50000\"><a href=\"#L50000\">50000</a><span>this is line 50000</span>"));
    assert!(!end.contains("id=\"L30000\"") && end.contains("?line=1\""));

    let (_, _, middle) = master.browse(&format!("/tasks/{task}?line=30000")).await;
    assert!(middle.contains("<div id=\"L30000\"><a href=\"#L30000\">30000</a><span>this is line 30000</span>"));
    assert!(!middle.contains("id=\"L50000\"") && !middle.contains("data-stream"));
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let master = Master::open().await;
    let paths = [
        "/builds/999",
        "/builds/x",
        "/builds/x.json",
        "/tasks/999",
        "/tasks/x",
        "/packages/none",
        "/repositories/999",
        "/releases/999",
        "/releases/x",
        "/nowhere",
        "/builds/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ];
    for path in paths {
        let (status, headers, html) = master.browse(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        assert!(
            html.contains("<a href=\"/packages\">packages</a>") && !html.contains("<script>alert"),
            "{path}: {html}"
        );
    }
    let (status, headers, _) = master.browse("/api/v1/nowhere").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::NOT_FOUND, "application/json"));
    let (status, _, html) = master.browse("/builds?before=x").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(html.contains("<h1>"), "{html}");
}

#[tokio::test]
async fn what_pages_load_is_there_and_kept_by_browsers() {
    let master = Master::open().await;
    let (_, _, html) = master.browse("/nodes").await;

    let loaded: Vec<&str> = html.split('"').filter(|text| text.starts_with("/assets/")).collect();

    assert_eq!(loaded.len(), 3, "{loaded:?}");
    for path in loaded {
        let (status, headers, body) = master.browse(path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(headers["cache-control"].to_str().unwrap().contains("immutable") && !body.is_empty(), "{path}");
    }
    assert!(html.contains("href=\"#main\"") && html.contains("<main id=\"main\""), "{html}");
}

#[tokio::test]
async fn a_builds_json_is_the_apis() {
    let story = story().await;

    let (status, headers, _) = story.master.browse(&format!("/builds/{}.json", story.build)).await;

    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(headers["location"], format!("/api/v1/builds/{}", story.build));
}
