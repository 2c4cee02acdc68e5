//! Packages on their way through a node, with real git, rpmbuild and roots, and a master that only keeps what comes.

mod common;

use anima_build_node::Who;
use anima_rpm_file::PackageInfo;
use anima_types::id::TaskId;
use anima_types::provenance::Provenance;
use anima_types::task_log::LogName;
use anima_types::work::{BuildWork, SrcOutcome, Work};
use common::{World, spec};

fn package(bytes: &[u8]) -> PackageInfo {
    PackageInfo::from_reader(&mut &*bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_becomes_a_source_package_and_that_becomes_packages() {
    let world = World::new().await;
    let sources = world.lookaside("hello", "words.txt", "from the lookaside\n", None);
    let text = spec(
        "hello",
        "Source0: words.txt\nSource1: more.txt\nBuildRequires: data >= 2\nProvides: greeting = 3",
        "%prep\n%setup -q -c -T\ncp %{SOURCE0} %{SOURCE1} .\n%build\ntest -e /usr/share/data\nid -u; hostname; echo HOME=$HOME",
    );
    let commit = world.commit(
        "hello",
        &[("hello.spec", &text), ("more.txt", "from git\n"), ("sources", &sources), (".gitignore", "x")],
    );

    let source = world.src("hello", &commit).await.unwrap();
    assert_eq!(source.nevra.to_string(), "hello-1-1.t1.src");
    assert_eq!((source.build_requires, source.is_noarch), (vec!["data >= 2".to_owned()], true));
    assert!(
        source.provides.contains(&"greeting = 3".to_owned()) && source.provides.contains(&"hello = 1-1.t1".to_owned())
    );
    assert!(world.master.log().contains("words.txt has the right sha512"), "{}", world.master.log());

    let source = world.src("hello", &commit).await.unwrap();
    let report = world.report(Work::Build(world.build_work(&source))).await;
    let phases: Vec<&str> = report.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(phases, ["sources", "solve", "buildroot", "build", "upload"]);
    let (root, build) = (report.phases[2].usage, report.phases[3].usage);
    assert!(root.cache_hits.is_some() && root.cache_misses.is_some(), "{root:?}");
    assert!(build.cpu_secs.unwrap() > 0.0 && build.peak_memory_bytes.unwrap() > 1_000_000, "{build:?}");
    let log = world.master.log();
    assert!(log.starts_with("buildroot: "), "{log}");
    assert!(log.contains("\n1000\n") && log.contains("\nbuildhost\n") && log.contains("\nHOME=/builddir\n"), "{log}");

    let built = world.build(&source).await.unwrap();
    assert!(
        built.layers_hit && world.master.log().starts_with("buildroot: 2 packages, layer hit, "),
        "{}",
        world.master.log()
    );
    let [one] = &built.packages[..] else { panic!("{built:?}") };
    let info = package(&world.master.artifact(one.artifact));
    assert_eq!(info.nevra.to_string(), "hello-1-1.t1.noarch");
    let day = |secs: u64| secs / (24 * 60 * 60);
    assert_eq!(info.build_host.as_deref(), Some("buildhost"));
    assert_eq!(day(info.build_time_secs), day(info.changelogs[0].time_secs as u64));
    let files: Vec<&str> = info.files.iter().map(|file| file.path.as_str()).collect();
    assert!(files.contains(&"/usr/share/hello/words.txt") && files.contains(&"/usr/share/hello/more.txt"), "{files:?}");
    let lock = String::from_utf8(world.master.artifact(built.lock).to_vec()).unwrap();
    assert!(lock.contains("\"toolbox\"") && lock.contains("\"data\""), "{lock}");
    let root = world.master.log_of(LogName::Root);
    assert!(root.contains("\n  data-3-1.noarch tiny ") && root.contains("\n  toolbox-1-1."), "{root}");
    let state = world.master.log_of(LogName::State);
    assert!(
        state.contains(" build begins\n") && state.contains(" build used ") && state.contains(" upload took "),
        "{state}"
    );
    assert_eq!(std::fs::read_dir(world.tasks()).unwrap().count(), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_package_was_made_from_with_what_and_where_is_written_down() {
    let world = World::new().await;
    let sources = world.lookaside("made", "words.txt", "from the lookaside\n", None);
    let text = spec("made", "Source0: words.txt\nSource1: more.txt", "%prep\n%setup -q -c -T\ncp %{SOURCE0} .");
    let commit = world.commit("made", &[("made.spec", &text), ("more.txt", "from git\n"), ("sources", &sources)]);

    let source = world.src("made", &commit).await.unwrap();
    let of_source = world.master.provenance();
    let built = world.build(&source).await.unwrap();
    let of_build = world.master.provenance();

    let read = |text: &str| Provenance::from_json(text).unwrap();
    let (of_source, of_build) = (read(&of_source), read(&of_build));
    assert_eq!(of_source.commit.as_deref(), Some(commit.as_str()));
    let materials: Vec<_> = of_source.materials.iter().map(|it| (it.name.as_str(), it.algorithm.as_str())).collect();
    assert_eq!(materials, [("made.spec", "gitBlob"), ("more.txt", "gitBlob"), ("words.txt", "sha512")]);
    assert_eq!(of_source.products[0].hash, source.srpm.to_string());
    assert_eq!((&of_build.materials, of_build.lock), (&of_source.products, built.lock));
    assert_eq!(of_build.products[0].hash, built.packages[0].artifact.to_string());
    assert!(of_build.commands.iter().any(|command| command[..2] == ["rpmbuild", "-bb"]), "{:?}", of_build.commands);
    assert_eq!((of_build.node.name.as_str(), of_build.node.is_emulated), ("node-1", false));
    assert!(of_build.began_at < of_build.ended_at && of_build.limits.memory_mib.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_failed_it_is_written_down_what_was_in_its_root_and_what_ran_there() {
    let world = World::new().await;
    let of_failed = async |package: &str, preamble: &str, sections: &str| {
        let failure = world.src_and_build(package, &spec(package, preamble, sections)).await.unwrap_err();
        let provenance = Provenance::from_json(&world.master.provenance()).unwrap();
        let lock = String::from_utf8(world.master.artifact(provenance.lock).to_vec()).unwrap();
        assert!(provenance.package == package && provenance.products.is_empty(), "{provenance:?}");
        let last = provenance.commands.last().cloned().unwrap_or_default();
        (failure.code, last[..2].join(" "), lock, provenance.materials[0].name.clone())
    };

    let (code, last, lock, material) = of_failed("broken", "BuildRequires: data >= 2", "%build\nfalse").await;
    assert_eq!(
        (code.as_str(), last.as_str(), material.as_str()),
        ("build_failed", "rpmbuild -bb", "broken-1-1.t1.src.rpm")
    );
    assert!(lock.contains("\"toolbox\"") && lock.contains("\"data\""), "{lock}");

    let (code, last, lock, material) = of_failed("unread", "Foo: bar", "").await;
    assert_eq!((code.as_str(), last.as_str(), material.as_str()), ("spec", "rpmspec -P", "unread.spec"));
    assert!(lock.contains("\"toolbox\"") && !lock.contains("\"data\""), "{lock}");
}

#[tokio::test(flavor = "multi_thread")]
async fn almalinuxs_layout_is_built_as_well() {
    let world = World::new().await;
    let text = spec("alma", "Source0: a.txt", "%prep\n%setup -q -c -T\ncp %{SOURCE0} .");
    let commit = world.commit("alma", &[("SPECS/alma.spec", &text), ("SOURCES/a.txt", "a"), (".alma.metadata", "")]);

    let source = world.src("alma", &commit).await.unwrap();

    let files: Vec<String> =
        package(&world.master.artifact(source.srpm)).files.into_iter().map(|file| file.path).collect();
    assert_eq!(files, ["a.txt", "alma.spec"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_that_fails_is_named_with_its_line() {
    let world = World::new().await;
    let failing = async |package: &str, sections: &str| {
        let failure = world.src_and_build(package, &spec(package, "", sections)).await.unwrap_err();
        let line = failure
            .log_line
            .map(|line| world.master.log().lines().nth(line as usize - 1).unwrap_or_default().to_owned());
        (failure.code, line.unwrap_or_default())
    };

    assert_eq!(failing("a", "%prep\nfalse").await, ("prep_failed".into(), "+ false".into()));
    let missing = "no-such-tool --version";
    let (code, line) = failing("b", &format!("%build\n{missing}")).await;
    assert_eq!(code, "build_failed");
    assert!(line.ends_with("no-such-tool: command not found"), "{line}");
    assert_eq!(
        failing("c", "%check\necho 'FAIL: arithmetic'\nexit 1").await,
        ("check_failed".into(), "FAIL: arithmetic".into())
    );
    let (code, line) = failing("d", "%check\ntouch %{buildroot}/usr/share/extra").await;
    assert_eq!((code.as_str(), line.as_str()), ("files_failed", "error: Installed (but unpackaged) file(s) found:"));
    assert!(world.master.log().contains("\nFAILED (files_failed): "), "{}", world.master.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_and_specs_that_are_wrong_are_told_apart() {
    let world = World::new().await;
    let plain = spec("a", "Source0: a.txt", "");
    let lie = world.lookaside("a", "a.txt", "altered", Some(&"ab".repeat(64)));
    let missing = format!("SHA512 (a.txt) = {}\n", "cd".repeat(64));

    let altered = world.src("a", &world.commit("a", &[("a.spec", &plain), ("sources", &lie)])).await.unwrap_err();
    assert_eq!(altered.code, "bad_source");
    assert!(altered.message.contains("a.txt") && altered.message.ends_with(&"ab".repeat(64)), "{}", altered.message);

    let absent = world.src("b", &world.commit("b", &[("b.spec", &plain), ("sources", &missing)])).await.unwrap_err();
    assert_eq!((absent.code.as_str(), absent.hint.is_some()), ("bad_source", true));
    assert!(absent.message.ends_with("is not in the lookaside"), "{}", absent.message);

    let nowhere = world.src("c", &world.commit("c", &[("c.spec", &plain)])).await.unwrap_err();
    assert_eq!(nowhere.code, "bad_source", "{}", nowhere.message);

    let broken = world.src("d", &world.commit("d", &[("d.spec", &format!("Nonsense: 1\n{plain}"))])).await.unwrap_err();
    assert_eq!(broken.code, "spec");
    assert!(broken.message.starts_with("line 1 of the spec: Unknown tag"), "{}", broken.message);
    let line = world.master.log().lines().nth(broken.log_line.unwrap() as usize - 1).unwrap().to_owned();
    assert!(line.contains("line 1: Unknown tag"), "{line}");

    let unknown = world.src("d", &"12".repeat(20)).await.unwrap_err();
    assert_eq!(unknown.code, "bad_source");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_a_link_in_git_is_told_in_the_log_and_in_the_hint() {
    let world = World::new().await;
    let text = spec("a", "Source0: a.txt", "");
    let commit = world.commit("a", &[("a.spec", &text), ("real.txt", "real"), ("a.txt", common::LINK)]);

    let failure = world.src("a", &commit).await.unwrap_err();

    assert_eq!(failure.code, "bad_source");
    let hint = failure.hint.unwrap();
    assert!(hint.starts_with("a.txt is a symbolic link in git"), "{hint}");
    assert_eq!(failure.findings[0].cure.as_ref(), Some(&hint));
    assert!(
        world.master.log().contains("only regular files are taken: a.txt (a symbolic link)\n"),
        "{}",
        world.master.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requirement_that_nothing_provides_is_named() {
    let world = World::new().await;

    let failure = world.src_and_build("a", &spec("a", "BuildRequires: toolbax", "")).await.unwrap_err();

    assert_eq!(failure.code, "missing_build_requires");
    assert!(failure.message.contains("toolbax") && failure.hint.unwrap().contains("toolbox"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requirements_that_the_sources_generate_are_installed() {
    let world = World::new().await;
    let sections = "%generate_buildrequires\necho 'data >= 3'\n%build\ntest -e /usr/share/data";

    let built = world.src_and_build("dynamic", &spec("dynamic", "", sections)).await;

    let built = built.unwrap_or_else(|failure| panic!("{failure:?}\n{}", world.master.log()));
    assert_eq!((built.packages.len(), built.dynamic_requires), (1, vec!["data >= 3".to_string()]));
    assert!(world.master.log().contains("%generate_buildrequires asks for data >= 3"), "{}", world.master.log());
}

/// Removes a source package from the node's cache, as a sweep does that needs the room.
fn sweep_srpm(world: &World, source: &SrcOutcome) {
    let hash = source.srpm.to_string();
    let path = world.data().join("environments/downloads/sha256").join(&hash[..2]).join(&hash);
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_package_that_is_swept_away_is_still_there_for_the_next_round() {
    let world = World::new().await;
    // The first round waits until it is looked at; the second has what it asks for.
    let sections = "%generate_buildrequires\ntest -e /usr/share/data || { echo asking >&2; sleep 3; }\necho data\n";
    let text = spec("dynamic", "", sections);
    let source = world.src("dynamic", &world.commit("dynamic", &[("dynamic.spec", &text)])).await.unwrap();
    world.master.give(Work::Build(world.build_work(&source)));
    world.until("the first round", || world.master.log().contains("\nasking\n")).await;

    sweep_srpm(&world, &source);

    let end = world.master.report().await.end;
    assert!(matches!(end, anima_types::lease::End::Succeeded(_)), "{end:?}\n{}", world.master.log());
    assert!(world.master.log().contains("%generate_buildrequires asks for data"), "{}", world.master.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_in_which_the_source_package_could_not_be_unpacked_is_kept_and_what_was_used_is_told() {
    let world = World::keeping().await;
    let source = world.src("a", &world.commit("a", &[("a.spec", &spec("a", "", ""))])).await.unwrap();
    let mut bytes = world.master.artifact(source.srpm).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let size_bytes = bytes.len() as u64;
    let damaged = world.file("a-1-1.t1.src.rpm", world.master.keep_artifact(bytes), size_bytes);

    let report = world.report(Work::Build(world.build_work_of("a", damaged))).await;

    let log = world.master.log();
    let anima_types::lease::End::Failed(failure) = report.end else { panic!("{:?}", report.end) };
    assert!(failure.code == "bad_source" && failure.message.contains("cannot be unpacked"), "{failure:?}");
    assert!(log.contains("the root is kept for 1 h"), "{log}");
    let build = report.phases.iter().find(|phase| phase.name == "build").unwrap();
    assert!(build.usage.cpu_secs.is_some(), "{build:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn release_and_changelog_come_from_the_history() {
    let world = World::new().await;
    let spec_of = |version: &str| {
        let text = spec("auto", "", "").replace("Version: 1", &format!("Version: {version}"));
        let text = text.replace("Release: 1%{?dist}", "Release: %autorelease");
        format!("{}%changelog\n%autochangelog\n", text.split("%changelog").next().unwrap())
    };
    let old = "* Mon Jan 01 2024 B <b@example.org> - 0.9-1\n- Written by hand\n";
    let commit = world.commits(
        "auto",
        &[
            ("Import", &[("auto.spec", &spec_of("1")), ("changelog", old)]),
            ("Break it", &[("auto.spec", "Nonsense\n")]),
            ("Repair it", &[("auto.spec", &spec_of("1"))]),
            ("Update to 2", &[("auto.spec", &spec_of("2"))]),
            ("Add a note: 100 %{done}", &[("note.txt", "x")]),
        ],
    );

    let source =
        world.src("auto", &commit).await.unwrap_or_else(|failure| panic!("{failure:?}\n{}", world.master.log()));

    assert_eq!(source.nevra.to_string(), "auto-2-2.t1.src");
    let info = package(&world.master.artifact(source.srpm));
    let entries: Vec<(String, String)> =
        info.changelogs.iter().map(|it| (it.author.clone(), it.text.clone())).collect();
    let entry = |version: &str, text: &str| (format!("A <a@example.org> - {version}"), format!("- {text}"));
    let expected = [
        entry("2-2", "Add a note: 100 %{done}"),
        entry("2-1", "Update to 2"),
        entry("1-3", "Repair it"),
        entry("1-2", "Break it"),
        ("B <b@example.org> - 0.9-1".to_owned(), "- Written by hand".to_owned()),
    ];
    assert_eq!(entries, expected);
    let built = world.build(&source).await.unwrap();
    assert_eq!(built.packages[0].nevra.to_string(), "auto-2-2.t1.noarch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_built_with_its_own_options() {
    let mut world = World::new().await;
    world.second_repository();
    world.platform_lines =
        "[packages.own]\nwith = [\"gifts\"]\nwithout = [\"tests\"]\nexclude = [\"data-3*\"]\nrepositories = [{ name = \"second\", url = \"{master}/second/\" }]\n\
         [packages.own.macros]\ncolour = \"green\"\n[packages.own.limits]\ncores = 1\n".to_owned();
    let preamble =
        "%bcond_with gifts\n%bcond_without tests\n%if %{with gifts}\nBuildRequires: gift\n%endif\nBuildRequires: data";
    let sections =
        "%build\ncat /usr/share/gift\n%{!?with_tests:echo untested}\necho %{?colour}; echo jobs %{?_smp_mflags}";

    let built = world.src_and_build("own", &spec("own", preamble, sections)).await;

    let log = world.master.log();
    let lock = built.unwrap_or_else(|failure| panic!("{failure:?}\n{log}")).lock;
    let lock = String::from_utf8(world.master.artifact(lock).to_vec()).unwrap();
    for line in ["\ngift\n", "\nuntested\n", "\ngreen\n", "\njobs -j1\n"] {
        assert!(log.contains(line), "{line:?}: {log}");
    }
    // The data of the platform's own repository is excluded, so that of the second is taken.
    assert!(lock.contains("\"version\": \"2\"") && !lock.contains("data-3"), "{lock}");
    // Another package has none of this.
    let failure = world.src_and_build("other", &spec("other", "BuildRequires: gift", "")).await.unwrap_err();
    assert_eq!(failure.code, "missing_build_requires");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_package_that_is_cut_off_is_refused() {
    let world = World::new().await;
    let source = world.src("a", &world.commit("a", &[("a.spec", &spec("a", "", ""))])).await.unwrap();
    let bytes = world.master.artifact(source.srpm);
    let half = world.master.keep_artifact(bytes.slice(..bytes.len() / 2));
    let mut work = world.build_work(&source);

    work.srpm = world.file("a-1-1.t1.src.rpm", half, (bytes.len() / 2) as u64);
    let failure = failure_of(&world, work).await;

    assert_eq!(failure.0, "bad_source");
    assert!(failure.1.starts_with("a-1-1.t1.src.rpm: could not read the package: it is cut off"), "{}", failure.1);
}

async fn failure_of(world: &World, work: BuildWork) -> (String, String) {
    match world.report(Work::Build(work)).await.end {
        anima_types::lease::End::Failed(failure) => (failure.code, failure.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_whose_lease_is_lost_is_killed_and_leaves_nothing() {
    let world = World::new().await;
    let mark = format!("{}", 40_000 + std::process::id() % 10_000);
    let text = spec("slow", "", &format!("%build\n(setsid sleep {mark} &)\necho begun\nsleep {mark}"));
    let source = world.src("slow", &world.commit("slow", &[("slow.spec", &text)])).await.unwrap();
    world.master.give(Work::Build(world.build_work(&source)));
    world.until("the build", || sleeping(&mark) == 2).await;

    world.master.take_back();

    world.until("the end of its processes", || sleeping(&mark) == 0).await;
    world.until("the end of its folder", || std::fs::read_dir(world.tasks()).unwrap().count() == 0).await;
    // The node goes on with the next task.
    world.src_and_build("next", &spec("next", "", "")).await.unwrap();
    world.stop().await;
}

fn sleeping(secs: &str) -> usize {
    let wanted = format!("sleep\0{secs}\0");
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    processes.filter(|command| command == wanted.as_bytes()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_without_a_changelog_has_the_date_of_its_commit_and_comes_out_the_same_again() {
    let world = World::new().await;
    let text = spec("dateless", "", "").split("%changelog").next().unwrap().to_owned();
    let commit = world.commit("dateless", &[("dateless.spec", &text)]);

    let mut made = Vec::new();
    for _ in 0..2 {
        let source = world.src("dateless", &commit).await.unwrap();
        let built = world.build(&source).await.unwrap();
        made.push((source.srpm, built.packages[0].artifact));
    }

    assert_eq!(made[0], made[1]);
    let info = package(&world.master.artifact(made[0].1));
    assert!(info.changelogs.is_empty());
    assert_eq!(info.build_time_secs, common::COMMITTED_AT_SECS);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_a_failed_build_is_kept_and_a_person_enters_it() {
    let world = World::keeping().await;
    let helper = std::path::Path::new(env!("CARGO_BIN_EXE_anima-build-node-test-helper"));
    let failure =
        world.src_and_build("broken", &spec("broken", "", "%build\necho left > trace\nfalse")).await.unwrap_err();
    assert_eq!(failure.code, "build_failed");
    let log = world.master.log();
    assert!(
        log.contains("the root is kept for 1 h, on the machine of node node-1: `anima build shell 2` there enters it"),
        "{log}"
    );

    let kept = anima_build_node::kept::enter(&world.data(), helper, Default::default(), TaskId(2)).unwrap().unwrap();
    assert_eq!((kept.about.package.as_str(), kept.about.failure.as_str()), ("broken", failure.message.as_str()));
    let command = ["sh", "-c", "id -u; find /builddir/build/BUILD -name trace | xargs cat"].map(str::to_owned);
    let mut said = Vec::new();
    kept.entry.run(&command, Who::Builder).unwrap().wait_with_log(&mut said).unwrap();

    assert_eq!(String::from_utf8_lossy(&said), "1000\nleft\n");
    assert!(
        anima_build_node::kept::enter(&world.data(), helper, Default::default(), TaskId(1)).unwrap().is_none(),
        "the source package was made"
    );
    drop(kept);
    world.stop().await;
}
