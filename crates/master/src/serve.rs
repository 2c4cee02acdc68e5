//! Accepts connections until the service ends. Clients that are slow, or never say what they want, are given up: each
//! would keep a connection for ever, and there are only so many.

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
use tower_http::{catch_panic::CatchPanicLayer, timeout::RequestBodyTimeoutLayer, trace::TraceLayer};

/// Answers that are under way when the service ends get so long; streams and waiting nodes are cut off.
const GRACE: Duration = Duration::from_secs(2);
/// The head of a request is there after so long, also of the next one on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The next piece of a body is there after so long.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The head of a request has at most so many bytes: cookies and tokens are some hundred.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Connections at once: a thousand nodes with some each, and as many readers.
const MAX_CONNECTIONS: usize = 10_000;
/// When a connection could not be accepted, mostly because this process has too many files open, it is tried again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Serves until `shutdown`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    let router = router.layer(CatchPanicLayer::new()).layer(TraceLayer::new_for_http());
    let router = router.layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_header_list_size(MAX_HEAD_BYTES as u32);
    let (graceful, turns) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
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
        // Answers are written whole: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let service = router.clone().map_request(move |request| of_peer(request, peer));
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _turn = turn;
            // A client that went away is no failure.
            let _ = connection.await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

fn of_peer(mut request: Request<Incoming>, peer: SocketAddr) -> Request {
    request.extensions_mut().insert(ConnectInfo(peer));
    request.map(Body::new)
}
