//! Git's smart HTTP ([gitprotocol-http(5)](https://git-scm.com/docs/gitprotocol-http)), spoken by `git http-backend`,
//! which is a CGI program ([RFC 3875](https://www.rfc-editor.org/rfc/rfc3875)). Everybody reads; who pushes shows a token.

use std::{net::SocketAddr, path::Path as FilePath, process::Stdio, time::Duration};

use anima_types::token::Pushes;
use axum::{
    body::{Body, BodyDataStream},
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    sync::{OwnedSemaphorePermit, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    app::App,
    auth::{self, Pusher},
    commands::{self, Commands, MAX_COMMANDS_BYTES},
    error::{Error, Result},
    pushes,
};

/// Pieces of an answer that wait for a slow reader.
const PIECES: usize = 16;
const PIECE_BYTES: usize = 32 * 1024;
/// A client that sends nothing for so long is gone, or holds its repository up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a refused push that are read and dropped at most, so that its pusher learns why.
const MAX_DROPPED_BYTES: u64 = 4 << 30;
/// A request waits so long until a process may be started.
const SLOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of the program's own header at most.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// What git says of a pack that is over `receive.maxInputSize`.
const TOO_LARGE: &[u8] = b"pack exceeds maximum allowed size";
/// The end of an answer: a flush packet ([gitprotocol-common(5)](https://git-scm.com/docs/gitprotocol-common)).
const FLUSH: &[u8] = b"0000";

/// `/{name}.git/{*path}`
pub(crate) async fn serve(
    State(app): State<App>,
    Path((name, path)): Path<(String, String)>,
    request: Request,
) -> Response {
    match answer(app, &name, &path, request).await {
        Ok(response) => response,
        Err(error) => error.as_text(),
    }
}

/// What somebody wants of a repository.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Want {
    Fetch,
    /// The question before a push: which branches are there?
    AskToPush,
    Push,
}

fn want(method: &str, path: &str, query: &str) -> Option<Want> {
    match (method, path, query) {
        ("GET", "info/refs", "service=git-upload-pack") | ("POST", "git-upload-pack", _) => Some(Want::Fetch),
        ("GET", "info/refs", "service=git-receive-pack") => Some(Want::AskToPush),
        ("POST", "git-receive-pack", _) => Some(Want::Push),
        _ => None,
    }
}

async fn answer(app: App, name: &str, path: &str, request: Request) -> Result<Response> {
    let name = name.strip_suffix(".git").ok_or_else(|| Error::not_found("a repository's address ends with .git"))?;
    let query = request.uri().query().unwrap_or_default().to_string();
    let want = want(request.method().as_str(), path, &query)
        .ok_or_else(|| Error::not_found("this address is for git; clone it with a git of 1.6.6 or later"))?;
    let mut request = request;
    let pusher = match want {
        Want::Fetch => None,
        Want::AskToPush | Want::Push => Some(auth::pusher(&app, request.headers()).await?),
    };
    let repository = match want {
        Want::AskToPush => app.repositories.find_or_make(name).await?,
        Want::Fetch | Want::Push => app.repositories.find(name)?,
    };
    if let Some(pusher) = pusher.as_ref().filter(|_| want == Want::Push)
        && let Some(refusal) = refused(pusher, &mut request).await?
    {
        return Ok(refusal);
    }
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_string());
    let pusher = pusher.map(|pusher| Pusher { address, ..pusher });
    let slots = if want == Want::Fetch { &app.reads } else { &app.pushes };
    let slot = tokio::time::timeout(SLOT_TIMEOUT, slots.clone().acquire_owned()).await;
    let slot = slot.ok().and_then(|permit| permit.ok()).ok_or_else(busy)?;
    let mut backend = backend(&app, name, path, &query, &request, pusher.as_ref().map(|pusher| pusher.name.as_str()))?;
    let (stdin, stdout) =
        backend.stdin.take().zip(backend.stdout.take()).ok_or_else(|| Error::internal("git has no pipes"))?;
    let mut stdout = BufReader::new(stdout);
    let push = pusher.filter(|_| want == Want::Push).map(|pusher| Push {
        app: app.clone(),
        name: name.to_string(),
        repository,
        pusher,
    });
    // A push holds its repository from before git looks at it until what moved is written down.
    let lock = match &push {
        Some(push) => Some(app.lock_of(&push.name).lock_owned().await),
        None => None,
    };
    let feeding = Beside(tokio::spawn(feed(stdin, request.into_body())));
    let (status, headers) = read_header(&mut stdout).await?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let reader = Reader { sender, patience: app.config.patience.body };
    tokio::spawn(async move {
        let _lock = lock;
        hand_on(backend, stdout, push, feeding, slot, reader).await;
    });
    Ok((status, headers, Body::from_stream(ReceiverStream::new(receiver))).into_response())
}

/// Looks at what a push is about to do, and answers it if one of its references is not its pusher's to move. What was read of
/// the body is put back.
async fn refused(pusher: &Pusher, request: &mut Request) -> Result<Option<Response>> {
    // Git never packs a push; whoever does hides what it does.
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "packed", "a push is sent as it is"));
    }
    let mut body = std::mem::replace(request.body_mut(), Body::empty()).into_data_stream();
    let mut begun = BytesMut::new();
    let commands = loop {
        match commands::read(&begun) {
            commands::Read::Done(commands) => break commands,
            commands::Read::More if begun.len() <= MAX_COMMANDS_BYTES => {}
            _ => return Err(Error::new(StatusCode::BAD_REQUEST, "bad_push", "this is no push that git would send")),
        }
        match tokio::time::timeout(IDLE_TIMEOUT, body.next()).await {
            Ok(Some(Ok(piece))) => begun.extend_from_slice(&piece),
            _ => return Err(Error::new(StatusCode::BAD_REQUEST, "bad_push", "the push ended before it began")),
        }
    };
    let Some((message, hint)) = refusal(pusher, &commands) else {
        let begun = futures_util::stream::once(async { Ok(begun.freeze()) });
        *request.body_mut() = Body::from_stream(begun.chain(body));
        return Ok(None);
    };
    // A client that is still sending would not see the answer.
    drain(body).await;
    let refusal = commands.refusal("not yours to push to", &[message.clone(), hint.to_string()]);
    let refusal = refusal.ok_or_else(|| Error::new(StatusCode::FORBIDDEN, "forbidden", message).hint(hint))?;
    Ok(Some(([(header::CONTENT_TYPE, "application/x-git-receive-pack-result")], refusal).into_response()))
}

/// Returns why a push is refused, and what helps.
fn refusal(pusher: &Pusher, commands: &Commands) -> Option<(String, &'static str)> {
    if let Some(branch) = commands.refused_branch(|branch| pusher.pushes.allow(branch)) {
        let message =
            format!("{} may not push to branch {branch}: it is built for a platform that is not theirs", pusher.name);
        let hint = "an administrator gives the right: `anima right give contributor --to NAME --on platform:NAME`";
        return Some((message, hint));
    }
    // Whoever may push to one branch could otherwise move or delete what all platforms' releases are named by.
    let reference = commands.other_reference().filter(|_| pusher.pushes != Pushes::All)?;
    let message =
        format!("{} may not push {reference}: only who may push to all branches moves what is none", pusher.name);
    let hint = "push branches alone; an administrator gives the right: `anima right give contributor --to NAME`";
    Some((message, hint))
}

/// Starts the CGI program with what the request says.
fn backend(app: &App, name: &str, path: &str, query: &str, request: &Request, pusher: Option<&str>) -> Result<Child> {
    let mut command = app.repositories.git();
    command.arg("http-backend");
    command.env("GIT_PROJECT_ROOT", app.repositories.folder()).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("PATH_INFO", format!("/{name}.git/{path}")).env("QUERY_STRING", query);
    command.env("REQUEST_METHOD", request.method().as_str()).env("REMOTE_ADDR", "");
    if let Some(pusher) = pusher {
        command.env("REMOTE_USER", pusher);
    }
    for (variable, header) in [
        ("CONTENT_TYPE", "content-type"),
        ("GIT_PROTOCOL", "git-protocol"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
    ] {
        if let Some(value) = request.headers().get(header).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map_err(|error| Error::internal(format!("could not run git: {error}")))
}

/// Something that runs beside a request, and ends with it.
struct Beside(tokio::task::JoinHandle<()>);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn busy() -> Error {
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "as many processes of git run as may").hint("Try again soon.")
}

/// Gives the program the request's body. When it wants no more, the rest is read and dropped: a client that is still
/// sending does not listen. Who sends nothing for a while is given up: the program then sees the end of its input.
async fn feed(mut stdin: ChildStdin, body: Body) {
    let mut body = body.into_data_stream();
    while let Ok(Some(Ok(piece))) = tokio::time::timeout(IDLE_TIMEOUT, body.next()).await {
        if stdin.write_all(&piece).await.is_err() {
            return drain(body).await;
        }
    }
}

async fn drain(mut body: BodyDataStream) {
    let mut dropped_bytes = 0;
    while dropped_bytes < MAX_DROPPED_BYTES
        && let Ok(Some(Ok(piece))) = tokio::time::timeout(IDLE_TIMEOUT, body.next()).await
    {
        dropped_bytes += piece.len() as u64;
    }
}

async fn read_header(stdout: &mut BufReader<ChildStdout>) -> Result<(StatusCode, HeaderMap)> {
    let (mut status, mut headers, mut size) = (StatusCode::OK, HeaderMap::new(), 0);
    loop {
        let mut line = String::new();
        let read = stdout.read_line(&mut line).await.map_err(Error::internal)?;
        size += read;
        if read == 0 || size > MAX_HEADER_BYTES {
            return Err(Error::internal("git ended without an answer"));
        }
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(": ") else { return Ok((status, headers)) };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse::<u16>().ok());
            status = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::BAD_GATEWAY);
        } else if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
}

/// A push under way.
struct Push {
    app: App,
    name: String,
    repository: std::path::PathBuf,
    pusher: Pusher,
}

/// Who reads an answer.
struct Reader {
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    /// One who takes nothing for so long is gone, or stops others: a program of git waits for them.
    patience: Duration,
}

impl Reader {
    /// Returns whether it was taken.
    async fn take(&self, bytes: Bytes) -> bool {
        matches!(tokio::time::timeout(self.patience, self.sender.send(Ok(bytes))).await, Ok(Ok(())))
    }
}

/// Hands the program's answer on. The end of a push's answer is held back until what moved is written down and the
/// master was told; what it says goes before that end.
async fn hand_on(
    mut backend: Child,
    mut stdout: BufReader<ChildStdout>,
    push: Option<Push>,
    mut feeding: Beside,
    slot: OwnedSemaphorePermit,
    reader: Reader,
) {
    let (mut held, mut is_sideband, mut is_first, mut is_too_large) = (BytesMut::new(), false, true, false);
    let mut is_read = true;
    loop {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        match stdout.read_buf(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if std::mem::take(&mut is_first) {
            is_sideband = matches!(piece.get(4), Some(1 | 2));
        }
        is_too_large |= push.is_some() && contains(&piece, TOO_LARGE);
        held.extend_from_slice(&piece);
        let keep = if push.is_some() { FLUSH.len() } else { 0 };
        let free = held.len().saturating_sub(keep);
        // A reader who went away does not stop a push: its branches are moved already, perhaps.
        is_read = is_read && (free == 0 || reader.take(held.split_to(free).freeze()).await);
        if !is_read {
            if push.is_none() {
                return;
            }
            held.clear();
        }
    }
    let _ = backend.wait().await;
    drop(slot);
    if let Some(push) = push {
        // The connection ends with the answer: a client that is still sending would not see it.
        let _ = (&mut feeding.0).await;
        let lines = push.finish(is_too_large).await;
        if is_sideband && held.as_ref() == FLUSH {
            held.clear();
            lines.iter().for_each(|line| held.extend_from_slice(&message(line)));
            held.extend_from_slice(FLUSH);
        }
    }
    if is_read && !held.is_empty() {
        reader.take(held.freeze()).await;
    }
}

impl Push {
    /// Returns what the pusher is told.
    async fn finish(&self, is_too_large: bool) -> Vec<String> {
        if is_too_large {
            let bytes = self.app.config.max_push_bytes;
            return vec![
                format!("a push has at most {} MiB: large files belong in the lookaside:", bytes >> 20),
                format!("  anima lookaside upload --package {} FILE", self.name),
                "it prints the line for the package's `sources`".to_string(),
            ];
        }
        if let Err(error) = self.app.repositories.mend_head(&self.repository).await {
            tracing::warn!("HEAD of {} could not be set: {}", self.name, error.message);
        }
        let lines = match self.note().await {
            Ok(noted) => pushes::tell_now(&self.app, noted).await,
            Err(error) => {
                vec![format!("the push is in git, but could not be written down for the master: {}", error.message)]
            }
        };
        // Not before: the same would be told by both at once.
        self.app.outbox_filled.notify_one();
        lines
    }

    async fn note(&self) -> Result<Vec<(u64, anima_types::push::Push)>> {
        pushes::note(&self.app, &self.name, FilePath::new(&self.repository), &self.pusher).await
    }
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

/// Returns a packet of the second band, which git shows to its user as `remote: …`.
fn message(line: &str) -> Vec<u8> {
    // Four digits of length count themselves and the band; a packet has at most 65,520 bytes.
    let line: String = line.chars().take(1_000).collect();
    format!("{:04x}\u{2}{line}\n", line.len() + 6).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn a_message_is_a_packet_whose_length_counts_all_of_it() {
        let packet = message("build 7");

        assert_eq!(packet, b"000d\x02build 7\n");
        assert_eq!(packet.len(), 0xd);
    }

    #[tokio::test]
    async fn a_reader_who_takes_nothing_is_given_up_with_the_program_that_waits_for_them() {
        let mut endless = tokio::process::Command::new("cat");
        let mut endless = endless.arg("/dev/zero").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let stdout = BufReader::new(endless.stdout.take().unwrap());
        let slots = Arc::new(Semaphore::new(1));
        let slot = slots.clone().acquire_owned().await.unwrap();
        let (sender, mut unread) = mpsc::channel(PIECES);
        let reader = Reader { sender, patience: Duration::from_millis(10) };

        let handing = hand_on(endless, stdout, None, Beside(tokio::spawn(async {})), slot, reader);
        tokio::time::timeout(IDLE_TIMEOUT, handing).await.expect("it waits for ever");

        assert_eq!(slots.available_permits(), 1);
        unread.close();
        assert_eq!(unread.len(), PIECES);
    }

    #[test]
    fn only_the_smart_protocol_is_spoken() {
        assert!(want("GET", "info/refs", "service=git-upload-pack") == Some(Want::Fetch));
        assert!(want("GET", "info/refs", "").is_none());
        assert!(want("GET", "HEAD", "").is_none());
        assert!(want("GET", "objects/info/packs", "").is_none());
    }
}
