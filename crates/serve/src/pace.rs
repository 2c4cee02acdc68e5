//! Bodies of requests that come too slowly are given up: each piece has its time, and all of it has to come at some pace.
//! Only the time that is spent waiting for the client counts, not the time in which the service was busy with something else.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::Patience;

/// After the time of one piece, a body has to have come at this pace: a tenth of the slowest line that anybody works over. What
/// comes more slowly comes from who wants the connection, and not an answer.
const MIN_BYTES_PER_SEC: u64 = 1 << 10;

/// How long a body was waited for, and how much of it came.
#[derive(Clone, Copy, Debug)]
struct Pace {
    piece: Duration,
    waited: Duration,
    received_bytes: u64,
}

impl Pace {
    fn new(patience: Patience) -> Pace {
        Pace { piece: patience.body, waited: Duration::ZERO, received_bytes: 0 }
    }

    /// Returns how long the next piece is waited for.
    fn left(&self) -> Duration {
        let earned = Duration::from_secs(self.received_bytes / MIN_BYTES_PER_SEC);
        (self.piece + earned).saturating_sub(self.waited).min(self.piece)
    }

    fn came(&mut self, waited: Duration, bytes: u64) {
        self.waited += waited;
        self.received_bytes += bytes;
    }
}

/// A body that ends with an error when it comes too slowly.
pub struct Paced<B> {
    body: B,
    pace: Pace,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> Paced<B> {
    /// Returns a body of which nothing was waited for yet.
    pub fn new(body: B, patience: Patience) -> Paced<B> {
        Paced { body, pace: Pace::new(patience), waiting: None }
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let own = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut own.body).poll_frame(context) {
            let waited = own.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            own.pace.came(waited, bytes as u64);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let left = own.pace.left();
        let (_, until) = own.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        until.as_mut().poll(context).map(|()| Some(Err("the body of the request came too slowly".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(Patience::default())
    }

    /// Returns after how many seconds a body is given up of which this much comes after each so many seconds.
    fn given_up_after(secs: u64, bytes: u64, pieces: u64) -> Option<u64> {
        let mut pace = pace();
        for piece in 0..pieces {
            if pace.left() < Duration::from_secs(secs) {
                return Some(piece * secs + pace.left().as_secs());
            }
            pace.came(Duration::from_secs(secs), bytes);
        }
        None
    }

    #[test]
    fn a_body_that_drips_is_given_up_after_a_minute_and_one_that_comes_goes_on_however_long_it_is() {
        assert_eq!(given_up_after(1, 1, 1_000_000), Some(60));
        assert_eq!(given_up_after(59, 1_000, 1_000), Some(60));
        assert_eq!(given_up_after(1, 2_000, 1_000_000), None, "two kilobytes a second, for days");
        assert_eq!(given_up_after(50, 1 << 20, 1_000), None, "a megabyte now and then");
        assert_eq!(given_up_after(61, 1 << 30, 2), Some(60), "a piece has a minute");
    }

    #[test]
    fn much_that_came_does_not_let_the_rest_be_late() {
        let mut pace = pace();
        pace.came(Duration::from_secs(1), 1 << 40);

        assert_eq!(pace.left(), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_body_that_never_comes_ends_with_an_error() {
        let patience = Patience { body: Duration::from_millis(1), ..Patience::default() };

        let read = axum::body::to_bytes(axum::body::Body::new(Paced::new(Never, patience)), 1_000).await;

        assert!(read.is_err());
        let here = Paced::new(axum::body::Body::from("here"), patience);
        assert_eq!(axum::body::to_bytes(axum::body::Body::new(here), 1_000).await.unwrap(), "here");
    }

    /// A body of which nothing comes.
    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
            Poll::Pending
        }
    }
}
