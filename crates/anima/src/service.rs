//! What a service manager is told: that a process is ready, that it lives, and that it stops. Where there is none, nothing is said.
//!
//! The form is systemd's, `sd_notify(3)`; others speak it, too.

use std::{net::SocketAddr, time::Duration};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::client;

/// How often a role that serves is asked whether it does: its socket queues the first question until it is ready.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Says that it lives so often within the time that it is given.
const SIGNS_OF_LIFE: u32 = 3;

/// Says that this process is ready.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// Waits until a role of this process answers at its address.
pub async fn answers(listen: SocketAddr) {
    let Ok(client) = client::connect(&format!("http://{listen}"), None) else { return };
    while client.healthz().await.is_err() {
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Says that it lives for as long as tasks of the runtime get their turn, and at the end that it stops.
pub async fn tell(shutdown: CancellationToken) {
    let watched = async {
        match sd_notify::watchdog_enabled() {
            Some(within) => loop {
                say(&[NotifyState::Watchdog]);
                tokio::time::sleep(within / SIGNS_OF_LIFE).await;
            },
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = watched => {}
        () = shutdown.cancelled() => say(&[NotifyState::Stopping]),
    }
}

/// A manager that does not hear it will say so itself.
fn say(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager was not told {state:?}: {error}");
    }
}
