//! An S3 server in a temporary folder: s3s-fs, which checks signatures as Amazon's does and keeps each object as a file.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::postgres::{Postgres, SERVER as POSTGRES};

/// The environment variable with a server's address and its folder, where tests are run a second time.
const SERVER: &str = "ANIMA_TEST_S3";

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct ObjectStore {
    folder: TempDir,
    address: SocketAddr,
    server: Option<Runtime>,
}

/// A bucket of a server.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// The server's address.
    pub endpoint: String,
    /// The bucket's name.
    pub name: String,
    /// Where the server has its objects, each a file named by its key.
    pub folder: PathBuf,
}

impl ObjectStore {
    /// The name of the only key.
    pub const ACCESS_KEY_ID: &str = "anima-test";
    /// The only key.
    pub const SECRET_ACCESS_KEY: &str = "not-a-secret";

    /// Starts a server with nothing in it.
    pub fn start() -> Result<ObjectStore> {
        let folder = tempfile::Builder::new().prefix("anima-s3-").tempdir()?;
        let mut server = ObjectStore { folder, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), server: None };
        server.up()?;
        Ok(server)
    }

    /// Starts the server (again), where it was before.
    pub fn up(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "it is up");
        let files = FileSystem::new(self.folder.path()).map_err(|error| anyhow::anyhow!("s3s-fs: {error:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY_ID, Self::SECRET_ACCESS_KEY));
        let service = service.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        // The caller may be in a runtime of its own, where nothing may block on another.
        let (sender, receiver) = std::sync::mpsc::channel();
        let wanted = self.address;
        runtime.spawn(async move {
            let listener = TcpListener::bind(wanted).await;
            let _ = sender.send(listener.as_ref().map(|listener| listener.local_addr()).map_err(ToString::to_string));
            let Ok(listener) = listener else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        self.address = receiver.recv()?.map_err(|error| anyhow::anyhow!("S3 server: {error}"))??;
        self.server = Some(runtime);
        Ok(())
    }

    /// Ends the server at once, with all that it was answering.
    pub fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }

    /// Returns its address.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket, and returns what a configuration says in `[store]` to use it.
    pub fn config(&self, name: &str) -> Result<String> {
        self.bucket(name)?;
        let (file, endpoint) = (self.credentials_file()?, self.endpoint());
        Ok(format!("url = \"s3://{name}/all\"\nendpoint = \"{endpoint}\"\ncredentials_file = {file:?}\n"))
    }

    /// Returns a file with the key.
    pub fn credentials_file(&self) -> Result<PathBuf> {
        let file = self.folder.path().join(".credentials");
        let pair = [("aws_access_key_id", Self::ACCESS_KEY_ID), ("aws_secret_access_key", Self::SECRET_ACCESS_KEY)];
        fs::write(&file, pair.map(|(name, value)| format!("{name} = {value}\n")).concat())?;
        Ok(file)
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str) -> Result<Bucket> {
        bucket(&self.endpoint(), self.folder.path(), name)
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        self.down();
    }
}

fn bucket(endpoint: &str, folder: &Path, name: &str) -> Result<Bucket> {
    let folder = folder.join(name);
    fs::create_dir(&folder).with_context(|| format!("could not make bucket {name}"))?;
    Ok(Bucket { endpoint: endpoint.to_string(), name: name.to_string(), folder })
}

/// Runs all tests of the calling test program again with an S3 server at hand, and, where `postgres`, with a PostgreSQL server,
/// so that what holds on one machine is seen to hold on many. Does nothing in that second run. For a test of its own, which
/// fails as they do.
pub fn again_on_object_store(with_postgres: bool) {
    if std::env::var(SERVER).is_ok() {
        return;
    }
    let store = ObjectStore::start().expect("the S3 server starts");
    let postgres = with_postgres.then(|| Postgres::start().expect("PostgreSQL starts"));
    let program = std::env::current_exe().expect("a test program has a path");
    let mut command = Command::new(program);
    command.env(SERVER, format!("{} {}", store.endpoint(), store.folder.path().display()));
    if let Some(postgres) = &postgres {
        command.env(POSTGRES, postgres.url("postgres"));
    }
    let output = command.output().expect("it runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("test result: ok"), "{text}");
}

/// Returns a new bucket in the second run of [`again_on_object_store`], and nothing in the first.
pub fn bucket_of_second_run() -> Option<Bucket> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var(SERVER).ok()?;
    let (endpoint, folder) = server.split_once(' ').expect("an address and a folder");
    let name = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Some(bucket(endpoint, Path::new(folder), &name).expect("the server's folder takes a bucket"))
}
