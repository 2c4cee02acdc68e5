//! Accepts connections until the service ends.

use std::{io, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

/// Answers that are under way when the service ends get so long; streams and waiting nodes are cut off.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `shutdown`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    let router = router.layer(CatchPanicLayer::new()).layer(TraceLayer::new_for_http());
    let end = shutdown.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move { end.cancelled().await });
    let serving = std::future::IntoFuture::into_future(serving);
    tokio::pin!(serving);
    tokio::select! {
        result = &mut serving => return result,
        () = shutdown.cancelled() => {}
    }
    tokio::time::timeout(GRACE, serving).await.unwrap_or(Ok(()))
}
