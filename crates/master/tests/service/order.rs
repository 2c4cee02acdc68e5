//! In which order packages are built: by what source packages say, by what last builds gave, and out of circles; and the plan that
//! says so before.

use anima_db::{
    package::Package,
    package_search::Searchable,
    task::{About, Ended},
};
use anima_types::{
    Arch, Nevra, Sha256,
    artifact::Kind as ArtifactKind,
    build::Source,
    id::{BuildId, TaskId},
    task::{Event, Kind, Status},
    work::{BuildOutcome, BuiltPackage, Outcome, SrcOutcome},
};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    master::{Master, new_build},
    plans,
};

/// A package with what its source package asks for.
type Asks<'a> = (&'a str, &'a [&'a str]);

fn made((package, requires): &Asks<'_>) -> SrcOutcome {
    SrcOutcome {
        srpm: hash(package),
        nevra: format!("{package}-1-1.src").parse().unwrap(),
        build_requires: requires.iter().map(ToString::to_string).collect(),
        provides: vec![format!("{package} = 1-1")],
        exclusive_arch: if *package == "mips" { vec!["s390x".into()] } else { Vec::new() },
        exclude_arch: Vec::new(),
        is_noarch: false,
    }
}

/// A hash for a thing of a name: no two begin with the same letter.
fn hash(name: &str) -> Sha256 {
    Sha256([name.as_bytes()[0]; 32])
}

async fn begin(master: &Master, packages: &[Asks<'_>]) -> BuildId {
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let new = new_build();
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let source = |(package, _): &Asks<'_>| Source {
        package: package.to_string(),
        reference: "p1".into(),
        commit: format!("commit of {package}"),
    };
    let sources: Vec<Source> = packages.iter().map(source).collect();
    let platform = master.app.platform("p1").unwrap();
    anima_master::build::add_sources(&master.app, &mut write, build, &sources, &[platform], &[Arch::X86_64])
        .await
        .unwrap();
    write.commit().await.unwrap();
    make_sources(master, packages).await;
    build
}

/// Takes all that can be taken now.
async fn take(master: &Master, kind: Kind) -> Vec<(TaskId, String)> {
    let mut taken = Vec::new();
    while let Some(lease) = master.claim("build-node", &[kind]).await {
        let work = lease["work"].as_object().unwrap().values().next().unwrap();
        taken.push((TaskId(lease["task"].as_i64().unwrap()), work["package"].as_str().unwrap().to_string()));
    }
    taken.sort_by(|a, b| a.1.cmp(&b.1));
    taken
}

async fn make_sources(master: &Master, packages: &[Asks<'_>]) {
    for (task, name) in take(master, Kind::Src).await {
        let mut write = master.app.db.write(master.app.now(), "n1").await.unwrap();
        // A byte for each letter of the name.
        anima_db::artifact::insert(&mut write, hash(&name), name.len() as u64).await.unwrap();
        anima_db::artifact::link(&mut write, task, hash(&name), ArtifactKind::Srpm, "p.src.rpm").await.unwrap();
        write.commit().await.unwrap();
        let asks = packages.iter().find(|(package, _)| *package == name).unwrap();
        end(master, task, Outcome::Src(made(asks))).await;
    }
}

async fn end(master: &Master, id: TaskId, outcome: Outcome) {
    let mut write = master.app.db.write(master.app.now(), "n1").await.unwrap();
    let task = anima_db::task::get(&mut write, id).await.unwrap();
    let ended = Ended { phases: Vec::new(), failure: None, result: Some(outcome), report_hash: None };
    anima_db::task::end(&mut write, &task, Event::Succeeded, "It ended.", &ended).await.unwrap();
    write.commit().await.unwrap();
    anima_master::build::advance::advance_once(&master.app, task.about.build.unwrap()).await.unwrap();
}

/// Ends a build task that made nothing of interest.
async fn built(master: &Master, id: TaskId, dynamic_requires: &[&str]) {
    let dynamic_requires = dynamic_requires.iter().map(ToString::to_string).collect();
    let outcome = BuildOutcome { packages: Vec::new(), lock: hash("l"), layers_hit: true, dynamic_requires };
    end(master, id, Outcome::Build(outcome)).await;
}

/// Takes and ends build tasks until there are none.
async fn build_all(master: &Master) -> Vec<String> {
    let mut order = Vec::new();
    loop {
        let taken = take(master, Kind::Build).await;
        if taken.is_empty() {
            return order;
        }
        for (task, package) in taken {
            built(master, task, &[]).await;
            order.push(package);
        }
    }
}

async fn whys(master: &Master, id: BuildId) -> Vec<(String, Status, String)> {
    let tasks = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    let builds = tasks.into_iter().filter(|task| task.about.kind == Kind::Build);
    builds.map(|task| (task.about.package.unwrap(), task.status, task.why)).collect()
}

/// Says of a package what its header has.
async fn provides(master: &Master, header: Sha256, provides: &str) {
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let (summary, words, files) = (String::new(), String::new(), String::new());
    let row = Searchable { summary, words, provides: provides.into(), files };
    anima_db::package_search::insert(&mut write, header, &row).await.unwrap();
    write.commit().await.unwrap();
}

async fn plan(master: &Master, wanted: Value) -> Value {
    let mut body = json!({ "platform": "p1" });
    body.as_object_mut().unwrap().extend(wanted.as_object().unwrap().clone());
    let (status, plan) = master.post("/api/v1/build-plans", "admin", body).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    plan
}

fn names(plan: &Value) -> Vec<&str> {
    plan["packages"].as_array().unwrap().iter().map(|package| package["package"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_only_last_binaries_provide_and_what_only_last_builds_asked_for_is_waited_for() {
    let master = Master::open().await;
    begin(&master, &[("cedar", &[]), ("zed", &[])]).await;
    let [(cedar, _), (zed, _)] = &take(&master, Kind::Build).await[..] else { panic!("two are built") };
    built(&master, *cedar, &["pkgconfig(zed) >= 1"]).await;
    let nevra: Nevra = "zed-devel-1-1.x86_64".parse().unwrap();
    let filelists = "<package pkgid=\"1\" name=\"zed-devel\" arch=\"x86_64\"><version epoch=\"0\" ver=\"1\" rel=\"1\"/>\
                     <file>/usr/bin/zed-config</file></package>";
    let sha256 = Sha256([1; 32]);
    let xml = json!({ "nevra": nevra, "sha256": sha256, "location": "x", "primary": "", "filelists": filelists, "other": "" });
    let package = Package {
        sha256,
        file_name: nevra.file_name(),
        source: "zed".into(),
        is_source: false,
        nevra: nevra.clone(),
        xml: xml.to_string(),
        header_sha256: sha256,
    };
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    anima_db::artifact::insert(&mut write, sha256, 1).await.unwrap();
    anima_db::package::insert(&mut write, &package).await.unwrap();
    anima_db::artifact::link(&mut write, *zed, sha256, ArtifactKind::Rpm, "zed-devel-1-1.x86_64.rpm").await.unwrap();
    write.commit().await.unwrap();
    provides(&master, sha256, "pkgconfig(zed) = 1\nzed-devel = 1-1").await;
    let packages = vec![BuiltPackage { nevra, artifact: sha256 }];
    let outcome = BuildOutcome { packages, lock: hash("l"), layers_hit: true, dynamic_requires: Vec::new() };
    end(&master, *zed, Outcome::Build(outcome)).await;
    // Nobody here ever built elm; users of the product have it.
    let elm = plans::package(&master, "elm-1-1.x86_64", 2).await;
    provides(&master, elm, "perl(Elm) = 1").await;
    plans::show(&master, "p1", "BaseOS/x86_64", &[elm]).await;

    let all: [Asks; 6] = [
        ("alder", &["pkgconfig(zed) >= 1"]),
        ("birch", &["/usr/bin/zed-config"]),
        ("cedar", &[]),
        ("dogwood", &["(perl(Elm) or perl(Ash))"]),
        ("elm", &[]),
        ("zed", &[]),
    ];
    let id = begin(&master, &all).await;

    let ready = take(&master, Kind::Build).await;
    assert_eq!(ready.iter().map(|(_, package)| package.as_str()).collect::<Vec<_>>(), ["elm", "zed"]);
    let whys = whys(&master, id).await;
    for (package, other) in [("alder", "zed"), ("birch", "zed"), ("cedar", "zed"), ("dogwood", "elm")] {
        let (_, status, why) = whys.iter().find(|(name, ..)| name == package).unwrap();
        assert_eq!((*status, why.as_str()), (Status::Waiting, format!("It waits for {other} on x86_64.").as_str()));
    }
    for (task, _) in ready {
        built(&master, task, &[]).await;
    }
    assert_eq!(build_all(&master).await, ["alder", "birch", "cedar", "dogwood"]);
}

#[tokio::test]
async fn packages_that_wait_for_one_another_are_built_and_it_is_said_which_to_build_once_more() {
    let master = Master::open().await;
    let all: [Asks; 6] =
        [("ash", &["beech"]), ("beech", &["ash"]), ("fir", &[]), ("x", &["y"]), ("y", &["z"]), ("z", &["x"])];
    let id = begin(&master, &all).await;

    let shown = master.get(&format!("/api/v1/builds/{id}")).await;
    assert_eq!(shown["status"], "building", "{shown}");
    let paths: Vec<&Value> = shown["circles"].as_array().unwrap().iter().map(|circle| &circle["path"]).collect();
    assert_eq!(paths, [&json!(["ash", "beech", "ash"]), &json!(["x", "y", "z", "x"])]);
    assert_eq!(shown["circles"][0]["bootstrap"], json!([["ash", "beech"]]));
    let summary = shown["summary"].as_str().unwrap();
    assert!(summary.contains("ash → beech → ash; x → y → z → x wait for one another: ash, x begin"), "{summary}");
    let whys = whys(&master, id).await;
    assert_eq!(
        whys[0].2,
        "It waits for a node. It is built with what the platform has of beech: they wait for one another."
    );
    assert_eq!(whys[1].2, "It waits for ash on x86_64.");
    let page = master.browse(&format!("/builds/{id}")).await.2;
    assert!(page.contains("ash → beech → ash on p1: ash with what the platform has of beech."), "{page}");
    assert!(page.contains("anima build create ash --platform p1"), "{page}");

    assert_eq!(build_all(&master).await, ["ash", "fir", "x", "beech", "z", "y"]);
    let shown = master.get(&format!("/api/v1/builds/{id}")).await;
    assert_eq!(shown["status"], "testing", "{shown}");

    // So does a mass rebuild of all, and a plan says it before.
    let planned = plan(&master, json!({})).await;
    assert_eq!(planned["circles"][1]["members"], json!(["x", "y", "z"]));
    assert_eq!((&planned["wave_count"], names(&planned).len()), (&json!(3), 6), "{planned}");
    let (status, rebuild) = master.post("/api/v1/rebuilds", "admin", json!({ "platform": "p1" })).await;
    assert_eq!(status, StatusCode::CREATED, "{rebuild}");
    make_sources(&master, &all).await;
    assert_eq!(build_all(&master).await, ["ash", "fir", "x", "beech", "z", "y"]);
    let shown = master.get(&format!("/api/v1/builds/{}", rebuild["build"]["id"])).await;
    assert_eq!((&shown["status"], shown["circles"].as_array().unwrap().len()), (&json!("testing"), 2), "{shown}");
}

#[tokio::test]
async fn a_plan_says_what_follows_a_change_what_is_not_built_and_what_is_not_known() {
    let master = Master::open().await;
    let all: [Asks; 5] = [("ash", &[]), ("beech", &["ash"]), ("cypress", &["beech"]), ("fir", &[]), ("mips", &["ash"])];
    begin(&master, &all[..3]).await;
    for package in ["ash", "beech", "cypress"] {
        let [(task, name)] = &take(&master, Kind::Build).await[..] else { panic!("they wait for one another") };
        assert_eq!(name, package);
        // Ten seconds for each letter.
        master.pass_secs(10 * package.len() as i64);
        built(&master, *task, &[]).await;
    }
    begin(&master, &all[3..]).await;
    let [(_, fir)] = &take(&master, Kind::Build).await[..] else { panic!("mips is for another architecture") };
    assert_eq!(fir, "fir");

    let what_if = plan(&master, json!({ "packages": ["beech"], "with_dependants": true })).await;
    assert_eq!(names(&what_if), ["beech", "cypress"]);
    let [changed, follows] = &what_if["packages"].as_array().unwrap()[..] else { panic!("{what_if}") };
    assert_eq!((&changed["is_dependant"], &follows["is_dependant"]), (&json!(false), &json!(true)));
    assert_eq!((&follows["waits_for"], &follows["start_secs"]), (&json!(["beech"]), &json!(50.0)));
    assert_eq!((&what_if["critical_path_secs"], &what_if["unknown"]), (&json!(120.0), &json!([])), "{what_if}");
    assert_eq!(what_if["architectures"][0]["nodes"][0]["name"], "build-node-1");

    let planned = plan(&master, json!({ "packages": ["ash", "fir", "mips", "nobody"], "slots": 2 })).await;
    assert_eq!(names(&planned), ["ash", "fir"]);
    assert_eq!(planned["excluded"][0]["package"], "mips");
    assert_eq!(planned["excluded"][0]["why"], "ExclusiveArch of the spec has no x86_64: s390x.");
    let fir = &planned["packages"][1];
    assert_eq!((&fir["is_measured"], &fir["tasks"][0]["basis"]), (&json!(false), &json!("size")));
    assert_eq!(fir["estimate_secs"], json!(30.0), "ten seconds for each byte of its source package");
    let guessed = "Never built on x86_64: fir; the times are guessed from the size of the source packages.";
    assert_eq!(planned["unknown"], json!(["nobody", guessed]));

    let nothing = json!({ "platform": "p1", "packages": ["nobody"] });
    let (status, answer) = master.post("/api/v1/build-plans", "admin", nothing).await;
    assert_eq!((status, &answer["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("nothing_known")));
}

#[tokio::test]
async fn what_fails_blocks_a_chain_of_any_length_at_once() {
    let master = Master::open().await;
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let id = anima_db::build::insert(&mut write, &new_build()).await.unwrap();
    let row = anima_db::build::get(&mut write, id).await.unwrap();
    anima_db::build::apply(&mut write, &row, anima_types::build::Event::SourcesMade, "Made.").await.unwrap();
    let about = |at: usize| {
        let about = About {
            build: Some(id),
            package: Some(format!("p{at}")),
            platform: Some("p1".into()),
            arch: Some(Arch::X86_64),
            ..About::new(Kind::Build)
        };
        (about, None)
    };
    let tasks: Vec<_> = (0..41).map(about).collect();
    let tasks = anima_db::task_queue::insert_all(&mut write, &tasks, ("Waits.", "Waits.")).await.unwrap();
    let needs: Vec<_> = tasks.windows(2).map(|pair| (pair[1], pair[0])).collect();
    anima_db::task_dependency::insert_all(&mut write, &needs).await.unwrap();
    let first = anima_db::task::get(&mut write, tasks[0]).await.unwrap();
    anima_db::task::apply(&mut write, &first, Event::Cancelled, "Stopped.").await.unwrap();
    write.commit().await.unwrap();

    anima_master::build::advance::advance_once(&master.app, id).await.unwrap();

    let whys = whys(&master, id).await;
    assert!(whys[1..].iter().all(|(_, status, _)| *status == Status::Blocked), "{whys:?}");
    assert_eq!(whys[40].2, "It needs p39 on x86_64, which is blocked.");
    let build = anima_db::build::get(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    assert_eq!(build.status, anima_types::build::Status::Failed);
}
