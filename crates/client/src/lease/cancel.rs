//! The sign to stop.

use tokio_util::sync::CancellationToken;

/// Says that a task is to stop: it was cancelled, its lease is lost, or the node shuts down. Clones are the same sign.
#[derive(Clone, Debug, Default)]
pub struct Cancel(CancellationToken);

impl Cancel {
    /// Returns a sign that nobody has given yet.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Returns a sign that is given with this one, and can be given alone.
    pub fn child(&self) -> Cancel {
        Cancel(self.0.child_token())
    }

    /// Gives the sign. It is never taken back.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Returns whether it was given: for threads that look now and then.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is given.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}

/// The token itself: who cancels it gives the sign, and who gives the sign cancels it.
impl From<CancellationToken> for Cancel {
    fn from(token: CancellationToken) -> Cancel {
        Cancel(token)
    }
}
