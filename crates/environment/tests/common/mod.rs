//! Tiny repositories, made by rpmbuild and createrepo_c and served over HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anima_types::work::Input;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tempfile::TempDir;
use tower_http::services::ServeDir;

/// A repository in a temporary folder.
pub struct Repository {
    folder: TempDir,
    /// The paths that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Repository {
    pub fn new() -> Repository {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("repository")).unwrap();
        Repository { folder, asked: Arc::default() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// Builds a package with one file, `/usr/share/NAME`, and these lines in its preamble.
    pub fn add(&self, name: &str, version: &str, preamble: &str) {
        let spec = format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: A test\nLicense: MIT\nBuildArch: noarch\n{preamble}\n\
             %description\nA test.\n%install\nmkdir -p %{{buildroot}}/usr/share\necho {version} > %{{buildroot}}/usr/share/{name}\n\
             %files\n/usr/share/{name}\n"
        );
        let path = self.folder.path().join(format!("{name}.spec"));
        std::fs::write(&path, spec).unwrap();
        let define = |key: &str, value: &Path| format!("{key} {}", value.display());
        run(Command::new("rpmbuild")
            .args(["-bb", "--quiet", "--nodeps", "--define", &define("_topdir", &self.folder.path().join("top"))])
            .args([
                "--define",
                &define("_rpmdir", &self.path()),
                "--define",
                &define("_dbpath", &self.folder.path().join("db")),
            ])
            .args(["--define", "_binary_payload w1.gzdio", "--define", "_buildshell /bin/bash"])
            .arg(path));
    }

    /// Makes the metadata anew.
    pub fn index(&self) {
        run(Command::new("createrepo_c").arg("--quiet").arg(self.path()));
    }

    /// Adds a `modules.yaml` to the metadata.
    pub fn add_modules(&self, text: &str) {
        let path = self.folder.path().join("modules.yaml");
        std::fs::write(&path, text).unwrap();
        run(Command::new("modifyrepo_c").arg("--mdtype=modules").arg(path).arg(self.path().join("repodata")));
    }

    /// Serves it until the runtime ends.
    pub async fn serve(&self) -> Input {
        let note = from_fn_with_state(self.asked.clone(), note);
        let router = axum::Router::new().fallback_service(ServeDir::new(self.path())).layer(note);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Input { name: "tiny".into(), url: format!("http://{address}/"), priority: 99, ..Input::default() }
    }

    /// Returns what was asked for since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn note(State(asked): State<Arc<Mutex<Vec<String>>>>, request: Request, next: Next) -> Response {
    asked.lock().unwrap().push(request.uri().path().to_owned());
    next.run(request).await
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
