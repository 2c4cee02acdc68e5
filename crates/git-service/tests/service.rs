//! The service with the real git, and a master that notes what it is told.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anima_git_service::Config;
use anima_serve::Patience;
use anima_types::{
    permission::Role,
    push::{GitChange, GitChanges, Push, PushAnswer},
    token::{Pushes, Scopes, Whoami},
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sha2::{Digest as _, Sha512};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

/// What is waited for is there within this, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// A head that is not there after this never comes; those of git are there at once.
const SLOW_HEAD: Duration = Duration::from_secs(2);

/// The master never takes a push to this package.
const REFUSED: &str = "refused";
/// Its answer to a push to this package comes when it is told of it a second time, or not within [`A_WHILE`].
const SLOW: &str = "slow";
/// Who tells of the same push at the same time does so within this.
const A_WHILE: Duration = Duration::from_millis(500);

/// What the master was told; while it is away, it answers nothing good.
#[derive(Clone, Default)]
struct Master {
    pushes: Arc<Mutex<Vec<Push>>>,
    changes: Arc<Mutex<Vec<GitChanges>>>,
    /// Something was told.
    was_told: Arc<Notify>,
    is_away: Arc<AtomicBool>,
    /// It is of a version that has no place for changes.
    is_old: Arc<AtomicBool>,
}

struct Service {
    master: Master,
    url: String,
    folder: TempDir,
    shutdown: CancellationToken,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn service() -> Service {
    service_on(tempfile::tempdir().unwrap(), Master::default()).await
}

async fn service_on(folder: TempDir, master: Master) -> Service {
    let router = Router::new()
        .route("/api/v1/tokens/whoami", get(whoami))
        .route("/api/v1/pushes", post(take_push))
        .route("/api/v1/git-changes", post(take_changes))
        .with_state(master.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let master_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config {
        max_push_bytes: 1 << 20,
        max_lookaside_bytes: 1 << 20,
        patience: Patience { head: SLOW_HEAD, ..Patience::default() },
        ..Config::new(folder.path().join("git"), format!("http://{address}"), master_url, "git-service".into())
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(anima_git_service::run(config, listener, shutdown.clone()));
    Service { master, url: address.to_string(), folder, shutdown }
}

async fn whoami(headers: HeaderMap) -> Response {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match token {
        "Bearer packager" => known("ann", Role::Contributor, Pushes::All),
        "Bearer of-c10" => {
            let (may, may_not) = (BTreeSet::from(["c10".to_string()]), BTreeSet::from(["c9".to_string()]));
            known("bob", Role::Person, Pushes::Branches { may, may_not })
        }
        "Bearer node" => known("n1", Role::BuildNode, Pushes::None),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn known(name: &str, role: Role, pushes: Pushes) -> Response {
    let whoami = Whoami {
        name: name.into(),
        role,
        rights: Vec::new(),
        scopes: Scopes::default(),
        pushes,
        via: Some("token:7".into()),
    };
    Json(whoami).into_response()
}

async fn take_push(State(master): State<Master>, Json(push): Json<Push>) -> Response {
    if master.is_away.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if push.package == REFUSED {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let (message, is_slow) = (format!("building {}", push.package), push.package == SLOW);
    master.pushes.lock().unwrap().push(push);
    master.was_told.notify_waiters();
    if is_slow {
        let _ = timeout(A_WHILE, master.was_told.notified()).await;
    }
    Json(PushAnswer { build: None, message }).into_response()
}

async fn take_changes(State(master): State<Master>, Json(changes): Json<GitChanges>) -> Response {
    if master.is_old.load(Ordering::SeqCst) {
        return StatusCode::NOT_FOUND.into_response();
    }
    master.changes.lock().unwrap().push(changes);
    master.was_told.notify_waiters();
    Json(()).into_response()
}

impl Service {
    /// Runs git in a work tree of that name, which is made at the first call.
    async fn git(&self, tree: &str, arguments: &[&str]) -> Output {
        let path = self.tree(tree);
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        tokio::task::spawn_blocking(move || {
            let run = |arguments: &[&str]| {
                let mut command = Command::new("git");
                command.current_dir(&path).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
                for who in ["AUTHOR", "COMMITTER"] {
                    command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
                }
                command.args(arguments).output().unwrap()
            };
            if !path.exists() {
                fs::create_dir_all(&path).unwrap();
                assert!(run(&["init", "--quiet", "--initial-branch=main"]).status.success());
            }
            run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .await
        .unwrap()
    }

    async fn commit(&self, tree: &str, file: &str, bytes: &[u8]) -> String {
        self.git(tree, &["status"]).await;
        fs::write(self.tree(tree).join(file), bytes).unwrap();
        assert!(self.git(tree, &["add", "--all"]).await.status.success());
        assert!(self.git(tree, &["commit", "--quiet", "--message", "Add it"]).await.status.success());
        String::from_utf8(self.git(tree, &["rev-parse", "HEAD"]).await.stdout).unwrap().trim().to_string()
    }

    fn tree(&self, name: &str) -> PathBuf {
        self.folder.path().join("trees").join(name)
    }

    fn address(&self, token: &str, name: &str) -> String {
        format!("http://any:{token}@{}/{name}.git", self.url)
    }

    async fn told(&self, count: usize) -> Vec<Push> {
        loop {
            let next = self.master.was_told.notified();
            let pushes = self.master.pushes.lock().unwrap().clone();
            if pushes.len() >= count {
                return pushes;
            }
            assert!(timeout(LIMIT, next).await.is_ok(), "the master was told of {pushes:?} only");
        }
    }

    /// Returns what the master was told for its audit, once it is so much.
    async fn changes(&self, count: usize) -> Vec<GitChange> {
        loop {
            let next = self.master.was_told.notified();
            let told = self.master.changes.lock().unwrap().clone();
            let changes: Vec<_> = told.iter().flat_map(|one| one.changes.clone()).collect();
            if changes.len() >= count {
                assert!(
                    told.iter().all(|one| one.pusher == "ann" && one.via.as_deref() == Some("token:7")),
                    "{told:?}"
                );
                assert!(told.iter().all(|one| one.address.as_deref() == Some("127.0.0.1")), "{told:?}");
                return changes;
            }
            assert!(timeout(LIMIT, next).await.is_ok(), "the master was told of {changes:?} only");
        }
    }

    async fn curl(&self, arguments: &[&str]) -> (u16, String) {
        let arguments: Vec<String> =
            arguments.iter().map(|text| text.replace("URL", &format!("http://{}", self.url))).collect();
        let output = tokio::process::Command::new("curl")
            .args(["-sS", "--path-as-is", "-w", "\n%{http_code}"])
            .args(arguments)
            .output();
        let text = String::from_utf8_lossy(&output.await.unwrap().stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').unwrap();
        (code.parse().unwrap(), body.to_string())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_makes_the_repository_tells_the_master_and_tells_the_pusher_what_it_began() {
    let service = service().await;
    let commit = service.commit("a", "a.spec", b"Name: a\n").await;

    let pushed = service.git("a", &["push", &service.address("packager", "a"), "HEAD:c10", "HEAD:c9"]).await;

    assert!(pushed.status.success(), "{}", said(&pushed));
    assert!(said(&pushed).contains("remote: building a"), "{}", said(&pushed));
    let told = service.told(2).await;
    assert_eq!(told.iter().map(|push| push.branch.as_str()).collect::<Vec<_>>(), ["c10", "c9"]);
    assert!(
        told.iter().all(|push| push.commit == commit
            && push.pusher == "ann"
            && push.via.as_deref() == Some("token:7")
            && push.subject == "Add it"),
        "{told:?}"
    );
    assert!(told.iter().all(|push| push.address.as_deref() == Some("127.0.0.1")), "{told:?}");
    let address = format!("http://{}/a.git", service.url);
    let whole = service.git("c", &["clone", "--quiet", &address, "clone"]).await;
    assert!(whole.status.success() && service.tree("c").join("clone/a.spec").is_file(), "{}", said(&whole));
    let cloned = service.git("b", &["fetch", &format!("http://{}/a.git", service.url), "c10"]).await;
    assert!(cloned.status.success(), "everybody reads: {}", said(&cloned));
    let (status, body) = service.curl(&["URL/api/git/v1/repositories/a/resolve?reference=c10"]).await;
    assert!(status == 200 && body.contains(&commit), "{body}");
    assert_eq!(service.curl(&["URL/api/git/v1/repositories/a/resolve?reference=--all"]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_moves_a_branch_that_is_built_for_a_platform_of_others() {
    let service = service().await;
    service.commit("a", "a.spec", b"Name: a\n").await;
    let address = service.address("of-c10", "a");

    let own = service.git("a", &["push", &address, "HEAD:c10", "HEAD:try/it"]).await;
    assert!(own.status.success(), "{}", said(&own));
    service.commit("a", "b.spec", b"Name: b\n").await;
    let both = service.git("a", &["push", &address, "HEAD:c10", "HEAD:c9"]).await;
    let others = service.git("a", &["push", &service.address("packager", "a"), "HEAD~1:refs/heads/c9"]).await;
    assert!(others.status.success(), "{}", said(&others));
    let deleted = service.git("a", &["push", &address, ":c9"]).await;

    for refused in [both, deleted] {
        let said = said(&refused);
        assert!(!refused.status.success() && said.contains("bob may not push to branch c9"), "{said}");
        assert!(said.contains("not yours to push to") && said.contains("anima right give"), "{said}");
    }
    let branches = service.curl(&["URL/api/git/v1/repositories/a/branches"]).await.1;
    assert!(branches.contains("\"c9\"") && branches.contains("\"try/it\""), "{branches}");
    assert_eq!(service.told(3).await.len(), 3, "nothing of a refused push is told");
    let garbage = ["-X", "POST", "--data-binary", "0032garbage", "-u", "x:of-c10", "URL/a.git/git-receive-pack"];
    assert_eq!(service.curl(&garbage).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_moved_and_deleted_by_who_may_push_to_all_branches() {
    let service = service().await;
    service.commit("a", "a.spec", b"Name: a\n").await;
    let (all, some) = (service.address("packager", "a"), service.address("of-c10", "a"));
    let made = service.git("a", &["push", &all, "HEAD:c10", "HEAD:refs/tags/v1"]).await;
    assert!(made.status.success(), "{}", said(&made));
    service.commit("a", "b.spec", b"Name: b\n").await;

    let moved = service.git("a", &["push", "--force", &some, "HEAD:c10", "HEAD:refs/tags/v1"]).await;
    let deleted = service.git("a", &["push", &some, ":refs/tags/v1"]).await;
    let other = service.git("a", &["push", &some, "HEAD:refs/changes/1"]).await;

    for (refused, reference) in [(moved, "refs/tags/v1"), (deleted, "refs/tags/v1"), (other, "refs/changes/1")] {
        let said = said(&refused);
        assert!(!refused.status.success() && said.contains(&format!("bob may not push {reference}")), "{said}");
    }
    let own = service.git("a", &["push", &some, "HEAD:c10"]).await;
    assert!(own.status.success(), "{}", said(&own));
    let gone = service.git("a", &["push", &all, ":refs/tags/v1"]).await;
    assert!(gone.status.success(), "{}", said(&gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_that_go_and_tags_that_move_are_told_for_the_audit() {
    let service = service().await;
    let first = service.commit("a", "a.spec", b"Name: a\n").await;
    let address = service.address("packager", "a");
    service.git("a", &["push", &address, "HEAD:c10", "HEAD:refs/tags/v1"]).await;
    let second = service.commit("a", "b.spec", b"Name: b\n").await;

    service.git("a", &["push", "--force", &address, "HEAD:refs/tags/v1"]).await;
    service.git("a", &["push", &address, ":c10", ":refs/tags/v1"]).await;

    let tag = || "refs/tags/v1".to_string();
    assert_eq!(
        service.changes(4).await,
        [
            GitChange::Moved { reference: tag(), old: None, new: first.clone() },
            GitChange::Moved { reference: tag(), old: Some(first.clone()), new: second.clone() },
            GitChange::Deleted { reference: "refs/heads/c10".into(), old: first },
            GitChange::Deleted { reference: tag(), old: second },
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_with_a_tag_is_told_once() {
    let service = service().await;
    let commit = service.commit("a", "a.spec", b"Name: a\n").await;

    let address = service.address("packager", SLOW);
    let pushed = service.git("a", &["push", &address, "HEAD:c10", "HEAD:refs/tags/v1"]).await;

    assert!(said(&pushed).contains("building slow"), "{}", said(&pushed));
    let tag = GitChange::Moved { reference: "refs/tags/v1".into(), old: None, new: commit };
    assert_eq!(service.changes(1).await, [tag]);
    assert_eq!(service.told(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_while_the_master_is_away_is_told_when_it_is_back_also_by_the_next_process() {
    let service = service().await;
    service.commit("a", "a.spec", b"Name: a\n").await;
    service.master.is_away.store(true, Ordering::SeqCst);

    let pushed = service.git("a", &["push", &service.address("packager", "a"), "HEAD:c10"]).await;
    assert!(pushed.status.success() && said(&pushed).contains("written down"), "{}", said(&pushed));
    service.shutdown.cancel();
    let moved = tempfile::tempdir().unwrap();
    fs::rename(service.folder.path().join("git"), moved.path().join("git")).unwrap();
    let next = service_on(moved, Master::default()).await;

    assert_eq!(next.told(1).await[0].branch, "c10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_the_master_never_takes_is_put_aside_and_those_after_it_are_told() {
    let service = service().await;
    service.commit("a", "a.spec", b"Name: a\n").await;
    service.master.is_away.store(true, Ordering::SeqCst);
    for name in [REFUSED, "a"] {
        let pushed = service.git("a", &["push", &service.address("packager", name), "HEAD:c10"]).await;
        assert!(pushed.status.success(), "{}", said(&pushed));
    }

    service.master.is_away.store(false, Ordering::SeqCst);

    assert_eq!(service.told(1).await[0].package, "a");
    let aside = fs::read_dir(service.folder.path().join("git/outbox/refused")).unwrap().count();
    assert_eq!(aside, 1);
    let at_once = service.git("a", &["push", &service.address("packager", REFUSED), "HEAD:c9"]).await;
    assert!(said(&at_once).contains("the master refuses it"), "{}", said(&at_once));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_master_of_a_version_before_has_no_place_for_waits_and_holds_up_no_push() {
    let service = service().await;
    let commit = service.commit("a", "a.spec", b"Name: a\n").await;
    let address = service.address("packager", "a");
    service.master.is_old.store(true, Ordering::SeqCst);
    service.git("a", &["push", &address, "HEAD:refs/tags/v1"]).await;
    service.master.is_away.store(true, Ordering::SeqCst);
    service.git("a", &["push", &address, "HEAD:refs/tags/v2", "HEAD:c10"]).await;

    service.master.is_away.store(false, Ordering::SeqCst);
    assert_eq!(service.told(1).await[0].branch, "c10");
    service.master.is_old.store(false, Ordering::SeqCst);
    service.git("a", &["push", &address, "HEAD:c9"]).await;

    let tag = |name: &str| GitChange::Moved { reference: format!("refs/tags/{name}"), old: None, new: commit.clone() };
    assert_eq!(service.changes(2).await, [tag("v1"), tag("v2")]);
    assert_eq!(fs::read_dir(service.folder.path().join("git/outbox/refused")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_subject_without_end_the_beginning_is_told() {
    let service = service().await;
    service.commit("a", "a.spec", b"Name: a\n").await;
    let message = service.tree("a").join("message");
    fs::write(&message, "word ".repeat(100_000)).unwrap();
    let amended = ["commit", "--quiet", "--amend", "--cleanup=verbatim", "--file", &message.to_string_lossy()];
    assert!(service.git("a", &amended).await.status.success());

    let pushed = service.git("a", &["push", &service.address("packager", "a"), "HEAD:c10"]).await;

    assert!(pushed.status.success(), "{}", said(&pushed));
    let subject = service.told(1).await[0].subject.clone();
    assert!(subject.starts_with("word word") && subject.len() <= 400, "{}", subject.len());
    let (_, commits) = service.curl(&["URL/api/git/v1/repositories/a/commits?branch=c10"]).await;
    assert!(commits.contains("\"author\":\"Ann\"") && commits.len() < 1000, "{}", commits.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_right_to_push_is_refused_with_a_reason_and_makes_nothing() {
    let service = service().await;
    service.commit("a", "a.spec", b"Name: a\n").await;

    for token in ["wrong", "node"] {
        let refused = service.git("a", &["push", &service.address(token, "a"), "HEAD:c10"]).await;
        assert!(!refused.status.success(), "{token}");
    }

    assert_eq!(service.curl(&["URL/api/git/v1/repositories"]).await.1, "[]");
    assert!(service.master.pushes.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_garbage_is_refused_with_the_cure_and_the_next_push_works() {
    let service = service().await;
    service.commit("a", "a.spec", b"Name: a\n").await;
    let mut state = 1_u64;
    let garbage: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(4 << 20)
    .collect();
    service.commit("garbage", "garbage", &garbage).await;

    let refused = service.git("garbage", &["push", &service.address("packager", "a"), "HEAD:c10"]).await;
    assert!(!refused.status.success() && said(&refused).contains("lookaside"), "{}", said(&refused));
    assert_eq!(service.curl(&["URL/api/git/v1/repositories/a/branches"]).await.1, "[]");

    let pushed = service.git("a", &["push", &service.address("packager", "a"), "HEAD:c10"]).await;
    assert!(pushed.status.success(), "{}", said(&pushed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_lookaside_is_found_by_each_of_its_hashes_and_a_wrong_one_leaves_nothing() {
    let service = service().await;
    let file = service.folder.path().join("a.tar");
    fs::write(&file, b"archive").unwrap();
    let sha512 = hex::encode(Sha512::digest(b"archive"));
    let sha256 = hex::encode(sha2::Sha256::digest(b"archive"));
    let (good, path) = (format!("URL/lookaside/a/a.tar/sha512/{sha512}/a.tar"), file.to_string_lossy().into_owned());
    let wrong = format!("URL/lookaside/a/a.tar/sha512/{}/a.tar", "0".repeat(128));

    assert_eq!(service.curl(&["-T", &path, &good]).await.0, 401);
    let (status, body) = service.curl(&["-H", "Authorization: Bearer packager", "-T", &path, &wrong]).await;
    assert!(status == 422 && body.contains("wrong_hash"), "{status} {body}");
    assert_eq!(service.curl(&[&good]).await.0, 404);

    let (status, body) = service.curl(&["-H", "Authorization: Bearer packager", "-T", &path, &good]).await;
    assert!(status == 201 && body.contains(&format!("SHA512 (a.tar) = {sha512}")), "{status} {body}");
    assert_eq!(service.curl(&[&good]).await, (200, "archive".into()));
    assert_eq!(service.curl(&[&format!("URL/lookaside/a/a.tar/sha256/{sha256}/a.tar")]).await.0, 200);
    assert_eq!(service.curl(&[&format!("URL/lookaside/by-hash/sha256/{sha256}")]).await, (200, "archive".into()));
    let uploaded = GitChange::Uploaded { file: "a.tar".into(), sha512, size_bytes: 7 };
    assert_eq!(service.changes(1).await, [uploaded]);
    let left = fs::read_dir(service.folder.path().join("git/lookaside/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_leave_their_folder_are_refused() {
    let service = service().await;

    for path in
        ["URL/..%2f..%2fetc.git/info/refs?service=git-upload-pack", "URL/.hidden.git/info/refs?service=git-upload-pack"]
    {
        let (status, body) = service.curl(&[path]).await;
        assert!(status == 400 || status == 404, "{path}: {status} {body}");
    }
    let hash = "0".repeat(128);
    let (status, _) = service.curl(&[&format!("URL/lookaside/a/..%2fb/sha512/{hash}/..%2fb")]).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_client_that_never_says_what_it_wants_is_given_up() {
    use std::io::{Read as _, Write as _};
    let service = service().await;
    let address = service.url.clone();
    let heard = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"GET /hello.git/info/refs HTTP/1.1\r\nhost: git\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer)
    });

    let answer = heard.await.unwrap().expect("the connection ends before anything else happens");

    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{answer:?}");
}
