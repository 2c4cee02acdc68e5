//! Downloads against servers that behave, cut, lie and grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anima_environment::{Downloads, Error, FileHash, Wanted, sha256_of};
use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// A body large enough that a cut falls into its middle.
fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn hash(bytes: &[u8]) -> FileHash {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    sha256_of(&mut file.reopen().unwrap()).unwrap().into()
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

fn wanted(url: String, bytes: &[u8]) -> Wanted {
    Wanted { url, hash: hash(bytes), size_bytes: Some(bytes.len() as u64) }
}

/// Sends a third of the body and closes the connection; later connections are answered from where they ask to go on.
async fn serve_cutting(first_is_cut: bool, ranges: Arc<std::sync::Mutex<Vec<usize>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut is_cut = first_is_cut;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap().to_lowercase();
            let start = request
                .split_once("range: bytes=")
                .map_or(0, |(_, range)| range.split_once('-').unwrap().0.parse().unwrap());
            ranges.lock().unwrap().push(start);
            let (rest, status) = (&body()[start..], if start > 0 { "206 Partial Content" } else { "200 OK" });
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len());
            let end = if std::mem::take(&mut is_cut) { rest.len() / 3 } else { rest.len() };
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&rest[..end]).await.unwrap();
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let ranges = Arc::default();
    let url = serve_cutting(true, Arc::clone(&ranges)).await;
    let downloads = Downloads::open(dir.path()).unwrap();

    let path = downloads.get(&wanted(format!("{url}/file"), &body()), &CancellationToken::new()).await.unwrap();

    assert_eq!(std::fs::read(path).unwrap(), body());
    assert_eq!(*ranges.lock().unwrap(), [0, body().len() / 3]);
}

fn counting(requests: Arc<AtomicUsize>) -> Router {
    let answer = move || async move {
        requests.fetch_add(1, Ordering::SeqCst);
        body()
    };
    Router::new().route("/file", get(answer))
}

#[tokio::test]
async fn many_tasks_that_want_one_file_fetch_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let url = serve(counting(requests.clone())).await;
    // Two nodes on one folder, as two processes would be.
    let nodes = [Downloads::open(dir.path()).unwrap(), Downloads::open(dir.path()).unwrap()];
    let same = vec![wanted(format!("{url}/file"), &body()); 10];
    let cancel = CancellationToken::new();

    let (one, two) = tokio::join!(nodes[0].get_all(&same, &cancel), nodes[1].get_all(&same, &cancel));

    assert_eq!((one.unwrap().len(), two.unwrap().len()), (10, 10));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    assert_eq!(nodes[0].missing(&same), (0, 0));
}

#[tokio::test]
async fn a_damaged_file_is_fetched_again_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let url = serve(counting(requests.clone())).await;
    let (file, cancel) = (wanted(format!("{url}/file"), &body()), CancellationToken::new());
    let path = Downloads::open(dir.path()).unwrap().get(&file, &cancel).await.unwrap();
    std::fs::write(&path, vec![0; body().len()]).unwrap();

    let again = Downloads::open(dir.path()).unwrap().get(&file, &cancel).await.unwrap();

    assert_eq!(std::fs::read(again).unwrap(), body());
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_file_with_another_hash_is_refused_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let url = serve(counting(Arc::default())).await;
    let downloads = Downloads::open(dir.path()).unwrap();
    let lie = Wanted { hash: hash(b"something else"), ..wanted(format!("{url}/file"), &body()) };

    let error = downloads.get(&lie, &CancellationToken::new()).await.unwrap_err();

    assert!(matches!(&error, Error::Hash { algorithm: "sha256", .. }), "{error}");
    assert_eq!(downloads.missing(std::slice::from_ref(&lie)).0, 1);
}

#[tokio::test]
async fn the_rest_of_another_file_is_noticed_and_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let ranges = Arc::default();
    let url = serve_cutting(false, Arc::clone(&ranges)).await;
    let file = wanted(format!("{url}/file"), &body());
    let folder = dir.path().join("sha256").join(&file.hash.hex[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{}.part", file.hash.hex)), b"the start of something else").unwrap();

    let path = Downloads::open(dir.path()).unwrap().get(&file, &CancellationToken::new()).await.unwrap();

    assert_eq!(std::fs::read(path).unwrap(), body());
    assert_eq!(*ranges.lock().unwrap(), [b"the start of something else".len(), 0]);
}

#[tokio::test]
async fn what_cannot_be_had_is_told_with_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let router = Router::new().route("/file", get(|| async { body() }));
    let url = serve(router).await;
    let downloads = Downloads::open(dir.path()).unwrap();
    let cancel = CancellationToken::new();
    let error = async |file: Wanted| downloads.get(&file, &cancel).await.unwrap_err().to_string();

    assert_eq!(error(wanted(format!("{url}/no"), b"x")).await, format!("fetch {url}/no: the server answered 404"));
    assert_eq!(
        error(wanted(format!("{url}/file"), b"x")).await,
        format!("fetch {url}/file: it is larger than 1 bytes")
    );
    assert!(error(wanted("file:///etc/passwd".into(), b"x")).await.ends_with("only http and https are read from"));
    assert!(error(wanted("nonsense".into(), b"x")).await.ends_with("it is no address"));
    let small = downloads.small(&format!("{url}/file"), 1000, &cancel).await.unwrap_err();
    assert!(matches!(small, Error::TooLarge { limit_bytes: 1000, .. }));
}

#[tokio::test]
async fn a_cancelled_download_ends_at_once_and_can_be_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let on_request = cancel.clone();
    let never = move || async move {
        on_request.cancel();
        std::future::pending::<()>().await
    };
    let url = serve(Router::new().route("/file", get(never))).await;
    let downloads = Downloads::open(dir.path()).unwrap();

    let error = downloads.get(&wanted(format!("{url}/file"), &body()), &cancel).await.unwrap_err();

    assert!(matches!(error, Error::Cancelled));
    let url = serve(counting(Arc::default())).await;
    downloads.get(&wanted(format!("{url}/file"), &body()), &CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn sweeping_keeps_what_was_used_last_and_what_may_be_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    for (name, age_hours) in [("new", 1), ("older", 50), ("oldest", 90)] {
        let path = dir.path().join(name);
        std::fs::write(&path, [0; 100]).unwrap();
        std::fs::File::options().write(true).open(path).unwrap().set_modified(now - hour * age_hours).unwrap();
    }
    let downloads = Downloads::open(dir.path()).unwrap();
    let left = || {
        std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };

    assert_eq!(downloads.sweep(now, 200).unwrap(), 100);
    assert!(!left().contains(&"oldest".to_owned()));

    assert_eq!(downloads.sweep(now, 0).unwrap(), 100);
    assert_eq!(left(), ["new"]);
}
