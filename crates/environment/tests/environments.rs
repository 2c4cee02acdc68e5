//! Environments from tiny repositories, solved, fetched, installed and mounted for real.

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anima_environment::{
    Environment, Environments, Error, Inside, Journal, Most, Phases, Replay, Wishes, limits_memory,
};
use anima_rpm_file::{SigningKey, header_bytes, install_signature};
use anima_types::Arch;
use anima_types::platform::Bootstrap;
use anima_types::work::{Failure, Input};
use common::Repository;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A node's folder and one repository.
struct World {
    folder: TempDir,
    repository: Repository,
    input: Input,
}

impl World {
    async fn new(repository: Repository) -> World {
        repository.index();
        let input = repository.serve().await;
        World { folder: tempfile::tempdir().unwrap(), repository, input }
    }

    fn open(&self) -> Environments {
        Environments::open(self.folder.path(), Path::new(env!("CARGO_BIN_EXE_anima-environment-test-helper"))).unwrap()
    }

    async fn prepare(&self, base: &[&str], extra: &[&str]) -> Result<(Environment, String), Error> {
        self.prepare_with(base, extra, &[]).await
    }

    async fn prepare_with(
        &self,
        base: &[&str],
        extra: &[&str],
        modules: &[&str],
    ) -> Result<(Environment, String), Error> {
        let owned = |list: &[&str]| list.iter().map(|wish| (*wish).to_owned()).collect::<Vec<_>>();
        let (base, extra, modules) = (owned(base), owned(extra), owned(modules));
        let wishes = Wishes { extra: &extra, modules: &modules, ..self.wishes(&base) };
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = log.clone();
        let journal = Journal::new(move |bytes| sink.lock().unwrap().extend_from_slice(bytes));
        let environment = self.open().prepare(wishes, &journal, &mut Phases::new(), &CancellationToken::new()).await?;
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        Ok((environment, log))
    }

    /// The plainest wishes.
    fn wishes<'a>(&'a self, base: &'a [String]) -> Wishes<'a> {
        Wishes {
            platform: "test",
            arch: Arch::X86_64,
            inputs: std::slice::from_ref(&self.input),
            base,
            extra: &[],
            exclude: &[],
            modules: &[],
            without_docs: true,
            bootstrap: Bootstrap::Host,
            most: Most::default(),
        }
    }

    async fn failure(&self, base: &[&str], extra: &[&str]) -> Failure {
        self.prepare(base, extra).await.unwrap_err().failure("missing_build_requires")
    }
}

fn names(environment: &Environment) -> Vec<String> {
    environment.lock.packages.iter().map(|package| format!("{}-{}", package.name, package.version)).collect()
}

fn content(environment: &Environment, path: &str) -> String {
    Inside::open(environment.root()).unwrap().read_text(path, 100).unwrap()
}

#[test]
fn whether_memory_is_limited_is_tried_and_nothing_is_left_of_that() {
    let folder = tempfile::tempdir().unwrap();
    let helper = Path::new(env!("CARGO_BIN_EXE_anima-environment-test-helper"));

    let here = limits_memory(helper, folder.path());
    println!("memory is limited here: {here}");

    assert!(limits_memory(Path::new("/nonexistent"), folder.path()), "what is not known is not told as a fault");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_environment_of_the_same_wishes_takes_nothing_but_the_index() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    repository.add("tool", "2", "Requires: base");
    let mut world = World::new(repository).await;

    let (first, log) = world.prepare(&["base"], &["tool >= 2"]).await.unwrap();
    assert_eq!((names(&first), first.layers_hit), (vec!["base-1".to_owned(), "tool-2".to_owned()], false));
    assert_eq!(content(&first, "/usr/share/tool"), "2\n");
    assert!(log.contains("buildroot: 2 packages, layer made, "), "{log}");
    let unchecked = "packages of tiny: signatures are not checked: the platform names no gpg_keys for them\n";
    assert!(log.contains(unchecked), "{log}");
    std::fs::write(first.root().join("usr/share/tool"), "changed").unwrap();
    first.remove().await.unwrap();
    assert!(world.repository.asked().iter().any(|path| path.ends_with("tool-2-1.noarch.rpm")));

    let (second, log) = world.prepare(&["base"], &["tool >= 2"]).await.unwrap();

    assert!(second.layers_hit && log.contains("buildroot: 2 packages, layer hit, "), "{log}");
    assert_eq!(content(&second, "/usr/share/tool"), "2\n");
    assert_eq!(world.repository.asked(), ["/repodata/repomd.xml"]);
    world.input.is_own = true;
    let (_, log) = world.prepare(&["base"], &["tool >= 2"]).await.unwrap();
    assert!(!log.contains("not checked"), "what was built here needs no keys: {log}");
}

/// What a cancelled task may take to let go: the promise is a second, and this machine may be busy.
const LET_GO: Duration = Duration::from_secs(3);

fn processes_with(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    commands.filter(|command| String::from_utf8_lossy(command).contains(argument)).count()
}

/// Waits for what is bound to happen.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it happens in time");
}

/// Where a table lies in memory is chance.
const MARK: &str =
    "local file = io.open('/usr/share/mark', 'w') file:write(os.time(), tostring({}), '\\n') file:close()";

/// Returns the mark in a layer that is being made.
fn mark_being_made(world: &World) -> Option<String> {
    let works = std::fs::read_dir(world.folder.path().join("roots/work")).ok()?.flatten();
    let mut marks = works.filter_map(|work| std::fs::read_to_string(work.path().join("upper/usr/share/mark")).ok());
    marks.find(|mark| mark.ends_with('\n'))
}

/// A repository whose package `slow` has a script of so many seconds that leaves a mark which no second run leaves, and a version that
/// no other process's arguments have.
fn slow_to_install(secs: u32) -> (Repository, String) {
    let (repository, version) = (Repository::new(), format!("{}.{secs}", std::process::id()));
    repository.add("slow", &version, &format!("%post -p <lua>\n{MARK}\nposix.sleep({secs})\n"));
    (repository, format!("slow-{version}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_nobody_waits_for_any_more_is_ended_at_once_with_its_scripts() {
    let (repository, package) = slow_to_install(1000);
    let world = World::new(repository).await;
    let (environments, base, cancel) = (world.open(), ["slow".to_owned()], CancellationToken::new());
    let (journal, mut phases) = (Journal::nowhere(), Phases::new());
    let ended = async {
        until(|| processes_with(&package) > 0).await;
        let asked_at = Instant::now();
        cancel.cancel();
        asked_at
    };

    let making = environments.prepare(world.wishes(&base), &journal, &mut phases, &cancel);
    let (made, asked_at) = tokio::join!(making, ended);

    let took = asked_at.elapsed();
    assert!(made.unwrap_err().is_cancelled() && took < LET_GO, "{took:?}");
    let left = std::fs::read_dir(world.folder.path().join("roots/work")).unwrap().count();
    assert_eq!((processes_with(&package), left), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_another_waits_for_is_made_to_its_end_and_what_it_used_is_told() {
    let (repository, package) = slow_to_install(2);
    let world = World::new(repository).await;
    let (environments, base, first) = (world.open(), ["slow".to_owned()], CancellationToken::new());
    let (log, never) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let sink = log.clone();
    let (nobody, told) = (Journal::nowhere(), Journal::new(move |bytes| sink.lock().unwrap().extend_from_slice(bytes)));
    let both = || String::from_utf8_lossy(&log.lock().unwrap()).contains("into a new layer");
    let (mut of_first, mut of_second) = (Phases::new(), Phases::new());
    let leaving = async {
        until(|| mark_being_made(&world).is_some() && both()).await;
        first.cancel();
        mark_being_made(&world)
    };

    let (cancelled, made, mark) = tokio::join!(
        environments.prepare(world.wishes(&base), &nobody, &mut of_first, &first),
        environments.prepare(world.wishes(&base), &told, &mut of_second, &never),
        leaving
    );

    assert!(cancelled.unwrap_err().is_cancelled());
    let made = made.unwrap();
    assert_eq!(content(&made, "/usr/share/slow"), format!("{}\n", package.trim_start_matches("slow-")));
    assert_eq!(Some(content(&made, "/usr/share/mark")), mark, "the script ran once");
    let used = of_second.into_vec().into_iter().find(|phase| phase.name == "buildroot").unwrap().usage;
    assert!(used.cpu_secs.unwrap() > 0.0 && used.peak_memory_bytes.unwrap() > 0, "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_making_a_layer_used_is_part_of_its_phase() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    let world = World::new(repository).await;
    let (environments, base, cancel) = (world.open(), ["base".to_owned()], CancellationToken::new());
    let usage = async |journal: &Journal| {
        let mut phases = Phases::new();
        environments.prepare(world.wishes(&base), journal, &mut phases, &cancel).await.unwrap();
        phases.into_vec().into_iter().find(|phase| phase.name == "buildroot").unwrap().usage
    };

    let (made, hit) = (usage(&Journal::nowhere()).await, usage(&Journal::nowhere()).await);

    assert!(made.cpu_secs.unwrap() > 0.0 && made.peak_memory_bytes.unwrap() > 0, "{made:?}");
    assert!(made.read_bytes.is_some() && made.written_bytes.is_some() && made.cache_misses == Some(2), "{made:?}");
    assert_eq!((hit.cpu_secs, hit.cache_hits), (None, Some(1)), "a layer that was there costs nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_changes_the_base_gets_an_environment_of_its_own() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    repository.add("base", "2", "");
    repository.add("old-tool", "1", "Requires: base = 1");
    let world = World::new(repository).await;

    let (plain, _) = world.prepare(&["base"], &[]).await.unwrap();
    let (changed, _) = world.prepare(&["base"], &["old-tool"]).await.unwrap();

    assert_eq!(names(&plain), ["base-2"]);
    assert_eq!(names(&changed), ["base-1", "old-tool-1"]);
    assert_eq!(content(&changed, "/usr/share/base"), "1\n");
}

/// Two streams of a tool, the first by default; a third version is of no module.
const MODULES: &str = "---
document: modulemd-defaults
version: 1
data: {module: tool, stream: 1}
---
document: modulemd
version: 2
data:
  {name: tool, stream: 1, version: 1, context: a, summary: A, description: A, license: {module: [MIT]}, artifacts: {rpms: [tool-0:1-1.noarch]}}
---
document: modulemd
version: 2
data:
  {name: tool, stream: 2, version: 1, context: a, summary: A, description: A, license: {module: [MIT]}, artifacts: {rpms: [tool-0:2-1.noarch]}}
";

#[tokio::test(flavor = "multi_thread")]
async fn of_a_module_the_enabled_stream_is_chosen_or_the_default_one_and_nothing_else_bears_its_names() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    for version in ["1", "2", "3"] {
        repository.add("tool", version, "");
    }
    let mut world = World::new(repository).await;
    world.repository.add_modules(MODULES);
    let chosen = async |world: &World, modules: &[&str]| {
        let (environment, _) = world.prepare_with(&["base"], &["tool"], modules).await.unwrap();
        names(&environment).pop().unwrap()
    };

    assert_eq!(chosen(&world, &[]).await, "tool-1");
    assert_eq!(chosen(&world, &["tool:2"]).await, "tool-2");
    let failure = world.prepare_with(&["base"], &["tool"], &["tool:9"]).await.unwrap_err().failure("x");
    assert_eq!(failure.code, "modules");
    assert!(failure.message.ends_with("its streams are 1, 2"), "{}", failure.message);
    world.input.module_hotfixes = true;
    assert_eq!(chosen(&world, &[]).await, "tool-3", "nothing of the repository is hidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_only_the_large_lists_know_is_found() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    repository.add("hidden", "1", "");
    let world = World::new(repository).await;

    let (environment, _) = world.prepare(&["base"], &["/usr/share/hidden"]).await.unwrap();

    assert_eq!(names(&environment), ["base-1", "hidden-1"]);
    assert!(world.repository.asked().iter().any(|path| path.contains("filelists")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_explained() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    repository.add("zlib-devel", "1", "");
    repository.add("angry", "1", "Conflicts: zlib-devel");
    let world = World::new(repository).await;

    let missing = world.failure(&["base"], &["zlib-devle"]).await;
    assert_eq!(missing.code, "missing_build_requires");
    assert!(missing.message.contains("zlib-devle") && missing.hint.unwrap().contains("zlib-devel"));

    let conflict = world.failure(&["base"], &["angry", "zlib-devel"]).await;
    assert_eq!(conflict.code, "unsolvable");
    assert!(conflict.message.contains("conflicts with zlib-devel"), "{}", conflict.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_package_is_refused() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    let world = World::new(repository).await;
    let path = world.repository.path().join("noarch/base-1-1.noarch.rpm");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();

    let failure = world.failure(&["base"], &[]).await;

    assert_eq!(failure.code, "bad_repository");
    assert!(failure.message.contains("base-1-1.noarch.rpm"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_repository_is_told_as_that() {
    let repository = Repository::new();
    let input = repository.serve().await;
    let world = World { folder: tempfile::tempdir().unwrap(), repository, input };

    let failure = world.failure(&["base"], &[]).await;

    assert_eq!(failure.code, "bad_repository");
    assert!(failure.message.ends_with("repodata/repomd.xml: the server answered 404"), "{}", failure.message);
}

/// A key, and the repository's packages and index signed with it.
fn signed(repository: &Repository) -> String {
    let key = SigningKey::generate_ed25519("Tests <tests@example.org>", 1_700_000_000).unwrap();
    for entry in std::fs::read_dir(repository.path().join("noarch")).unwrap() {
        let path = entry.unwrap().path();
        let signature = key.sign_detached(&header_bytes(&path).unwrap().bytes, 1_700_000_001).unwrap();
        let signed = path.with_extension("signed");
        install_signature(&path, &signed, &signature).unwrap();
        std::fs::rename(signed, path).unwrap();
    }
    repository.index();
    let index = std::fs::read(repository.path().join("repodata/repomd.xml")).unwrap();
    let signature = key.sign_armoured(&index, 1_700_000_002).unwrap();
    std::fs::write(repository.path().join("repodata/repomd.xml.asc"), signature).unwrap();
    key.to_armoured_public().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_and_index_have_to_be_signed_where_the_platform_has_keys() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    let mut world = World::new(repository).await;
    let key = signed(&world.repository);
    world.input = Input { gpg_keys: vec![key.clone()], is_index_signed: true, ..world.input };

    let (environment, log) = world.prepare(&["base"], &[]).await.unwrap();
    assert_eq!(names(&environment), ["base-1"]);
    assert!(!log.contains("not checked"), "{log}");

    // The index is changed after it was signed.
    world.repository.add("late", "1", "");
    let signature = std::fs::read(world.repository.path().join("repodata/repomd.xml.asc")).unwrap();
    world.repository.index();
    std::fs::write(world.repository.path().join("repodata/repomd.xml.asc"), signature).unwrap();
    let changed = world.failure(&["base"], &[]).await;
    assert_eq!(changed.code, "bad_signature");
    assert!(changed.message.starts_with("could not trust repomd.xml of tiny: "), "{}", changed.message);

    // An unsigned package, in an index that nobody has to sign.
    world.input.is_index_signed = false;
    let unsigned = world.failure(&["late"], &[]).await;
    assert_eq!(unsigned.code, "bad_signature");
    assert!(unsigned.message.contains("late-1-1.noarch of tiny") && unsigned.hint.is_some(), "{}", unsigned.message);

    // Somebody else's key, with the layer of the signed package there.
    let other = SigningKey::generate_ed25519("Other <other@example.org>", 1_700_000_000).unwrap();
    world.input.gpg_keys = vec![other.to_armoured_public().unwrap()];
    assert_eq!(world.failure(&["base"], &[]).await.code, "bad_signature");
    world.input.gpg_keys.push(key);
    world.prepare(&["base"], &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_is_made_again_from_its_lock_when_the_repository_is_gone() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    repository.add("tool", "2", "Requires: base");
    let mut world = World::new(repository).await;
    let (first, _) = world.prepare(&["base"], &["tool"]).await.unwrap();
    let lock = first.lock.clone();
    first.remove().await.unwrap();

    // Another machine, where files have other names.
    world.folder = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    for (number, name) in ["base-1-1", "tool-2-1"].iter().enumerate() {
        let from = world.repository.path().join(format!("noarch/{name}.noarch.rpm"));
        std::fs::rename(from, kept.path().join(number.to_string())).unwrap();
    }
    let replay = |folders: Vec<std::path::PathBuf>, inputs: Vec<Input>| {
        let replay = Replay { lock: lock.clone(), folders, inputs, bootstrap: Bootstrap::Host };
        let environments = world.open();
        async move {
            let (journal, cancel) = (Journal::nowhere(), CancellationToken::new());
            environments.replay(&replay, "test", Most::default(), &journal, &mut Phases::new(), &cancel).await
        }
    };
    let missing = replay(Vec::new(), Vec::new()).await.unwrap_err();
    assert_eq!(missing.to_string(), "find 2 packages of the lock: base-1-1.noarch, tool-2-1.noarch");
    let gone = replay(Vec::new(), vec![world.input.clone()]).await.unwrap_err();
    assert!(matches!(gone, Error::Status { status: 404, .. }), "{gone}");

    let again = replay(vec![kept.path().to_owned()], Vec::new()).await.unwrap();

    assert_eq!((names(&again), again.layers_hit), (vec!["base-1".to_owned(), "tool-2".to_owned()], false));
    assert_eq!(content(&again, "/usr/share/tool"), "2\n");
    assert_eq!(again.lock, lock);
    drop(again);
    // The layer is there now: nothing else is needed.
    assert!(replay(Vec::new(), Vec::new()).await.unwrap().layers_hit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_in_a_folder_is_read_by_who_is_told_so_by_this_machines_user() {
    let repository = Repository::new();
    repository.add("base", "1", "");
    let mut world = World::new(repository).await;
    world.input.url = format!("file://{}/", world.repository.path().display());

    let refused = world.failure(&["base"], &[]).await;
    assert!(refused.message.ends_with("only http and https are read from"), "{}", refused.message);

    let base = ["base".to_owned()];
    let (journal, cancel) = (Journal::nowhere(), CancellationToken::new());
    let environments = world.open().with_folders();
    let environment = environments.prepare(world.wishes(&base), &journal, &mut Phases::new(), &cancel).await.unwrap();
    assert_eq!(names(&environment), ["base-1"]);
}
