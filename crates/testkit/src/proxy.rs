//! What stands in front of several masters: each connection goes to the next one that takes it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// A proxy on a free port; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    _end: oneshot::Sender<()>,
}

impl Proxy {
    /// Starts one that leads nowhere yet.
    pub fn start() -> Result<Proxy> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let targets = Arc::new(Mutex::new(Vec::new()));
        // A thread of its own: a story may wait for a command without letting other tasks of its thread run.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (_end, ended) = oneshot::channel::<()>();
        let theirs = targets.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = run(listener, theirs) => {}
                    _ = ended => {}
                }
            });
        });
        Ok(Proxy { address, targets, _end })
    }

    /// Returns its address, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a server behind it, by an address such as `http://127.0.0.1:1234`.
    pub fn add(&self, url: &str) -> Result<()> {
        let target = url.trim_start_matches("http://").trim_end_matches('/').parse()?;
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).push(target);
        Ok(())
    }
}

async fn run(listener: std::net::TcpListener, targets: Arc<Mutex<Vec<SocketAddr>>>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((mut client, _)) = listener.accept().await {
        let (targets, turn) = (targets.clone(), turn.clone());
        tokio::spawn(async move {
            let mut targets = targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let first = turn.fetch_add(1, Ordering::Relaxed) % targets.len().max(1);
            targets.rotate_left(first);
            for target in targets {
                if let Ok(mut server) = TcpStream::connect(target).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}
