//! Accepts HTTP connections until a service ends. Clients that are slow, or never say what they want, are given up: each
//! would keep a connection for ever, and there are only so many, of which one address gets its part. What is asked for is the
//! router's business.

mod crowd;
mod pace;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use crowd::Counted;
pub use crowd::{CONNECTIONS_OF_ADDRESS, Crowd};
use pace::Paced;

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The head of a request is there after so long, also of the next one on a connection.
    pub head: Duration,
    /// The next piece of a body is there after so long; and after so long a body has to have come at some pace.
    pub body: Duration,
    /// Answers that are under way when the service ends get so long; streams and waiting nodes are cut off.
    pub grace: Duration,
}

impl Default for Patience {
    /// Returns what a slow line needs.
    fn default() -> Patience {
        let secs = Duration::from_secs;
        Patience { head: secs(30), body: secs(60), grace: secs(2) }
    }
}

/// The head of a request has at most so many bytes: cookies and tokens are some hundred.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Connections at once: a thousand nodes with some each, and as many readers.
const MAX_CONNECTIONS: usize = 10_000;
/// When a connection could not be accepted, mostly because this process has too many files open, it is tried again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    crowd: Crowd,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = router.layer(CatchPanicLayer::new()).layer(TraceLayer::new_for_http());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(patience.head)
        .max_header_list_size(MAX_HEAD_BYTES as u32);
    let (graceful, turns) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    let counted = Counted::new(crowd);
    loop {
        let accepted = async {
            let turn = turns.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((turn, listener.accept().await?))
        };
        let (turn, (stream, peer)) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        // Closed at once: an answer would have to be waited for, too.
        let Some(place) = counted.enter(peer.ip()) else { continue };
        // Answers are written whole: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let service = router.clone().map_request(move |request| of_peer(request, peer, patience));
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _kept = (turn, place);
            // A client that went away is no failure.
            let _ = connection.await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(patience.grace, graceful.shutdown()).await;
    Ok(())
}

fn of_peer(mut request: Request<Incoming>, peer: SocketAddr, patience: Patience) -> Request {
    request.extensions_mut().insert(ConnectInfo(peer));
    request.map(|body| Body::new(Paced::new(body, patience)))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    /// A client that is not given up by then never is.
    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_client_whose_head_does_not_end_is_given_up_and_one_that_asks_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience { head: Duration::from_millis(300), ..Patience::default() };
        let router = Router::new().route("/", get(async || "here"));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, patience, Crowd::default(), shutdown.clone()));
        let say = async |text: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("the connection ends").ok();
            String::from_utf8(answer).unwrap()
        };

        let slow = say("GET / HTTP/1.1\r\nhost: x\r\n").await;
        let asking = say("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;

        assert!(!slow.contains("here"), "{slow}");
        assert!(asking.ends_with("here"), "{asking}");
        shutdown.cancel();
        tokio::time::timeout(LIMIT, serving).await.expect("it ends").unwrap().unwrap();
    }
}
