//! An OpenID provider: the certified `oidc-provider` of npm, installed once by its lock file into the workspace's target
//! folder, and a person's browser at it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, RequestBuilder, Response, header, redirect::Policy};
use serde_json::Value;
use url::Url;

use crate::{command::run, seed::target_folder};

/// Pages and redirects between the first address and the way back: signing in and agreeing are eight.
const MAX_STEPS: usize = 20;

/// A running provider; it ends when this is dropped.
#[derive(Debug)]
pub struct OidcProvider {
    process: Child,
    issuer: String,
    client_id: String,
    client_secret: String,
    http: Client,
}

impl OidcProvider {
    /// Starts a provider that knows nobody.
    pub fn start() -> Result<OidcProvider> {
        let folder = installed()?;
        let mut process = Command::new("node")
            .arg("provider.mjs")
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It warns of what it is: a provider for trying things.
            .stderr(Stdio::null())
            .spawn()
            .context("could not start node")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).context("the provider did not start")?;
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_string();
        let http = Client::builder().redirect(Policy::none()).build()?;
        let (issuer, client_id, client_secret) = (text("issuer"), text("client_id"), text("client_secret"));
        Ok(OidcProvider { process, issuer, client_id, client_secret, http })
    }

    /// Returns the address that it calls itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns what its one client is called.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns that client's secret.
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// Lets somebody be there, or be other than before: their claims with `sub`, which is what they sign in with.
    pub async fn set_person(&self, claims: &Value) -> Result<()> {
        self.tell("people", claims).await
    }

    /// Says where browsers may be sent back to.
    pub async fn set_redirect(&self, url: &str) -> Result<()> {
        self.tell("redirect", &url.into()).await
    }

    /// Makes its next answers wrong; see `provider.mjs`. An empty name makes them right again.
    pub async fn set_fault(&self, fault: &str) -> Result<()> {
        self.tell("fault", &fault.into()).await
    }

    async fn tell(&self, what: &str, value: &Value) -> Result<()> {
        let url = format!("{}/test/{what}", self.issuer);
        self.http.post(url).body(value.to_string()).send().await?.error_for_status()?;
        Ok(())
    }

    /// Goes to an address of it as a person's browser without cookies, signs in and agrees; returns the address back.
    pub async fn visit(&self, url: &str, login: &str) -> Result<String> {
        let mut cookies = BTreeMap::new();
        let mut at = Url::parse(url)?;
        let mut answer = self.step(self.http.get(at.clone()), &mut cookies).await?;
        for _ in 0..MAX_STEPS {
            if let Some(to) = answer.headers().get(header::LOCATION) {
                at = at.join(to.to_str()?)?;
                if !at.as_str().starts_with(&self.issuer) {
                    return Ok(at.into());
                }
                answer = self.step(self.http.get(at.clone()), &mut cookies).await?;
                continue;
            }
            let (status, page) = (answer.status(), answer.text().await?);
            let form: &[(&str, &str)] = match page {
                _ if page.contains("name=\"login\"") => &[("prompt", "login"), ("login", login), ("password", "any")],
                _ if page.contains("value=\"consent\"") => &[("prompt", "consent")],
                _ => bail!("{at} is neither a way back nor a form ({status}): {page}"),
            };
            let action = page.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).context("no action")?;
            at = at.join(action)?;
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            let request = self.http.post(at.clone()).body(body);
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            answer = self.step(request, &mut cookies).await?;
        }
        bail!("{at} leads nowhere");
    }

    async fn step(&self, request: RequestBuilder, cookies: &mut BTreeMap<String, String>) -> Result<Response> {
        let sent: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header(header::COOKIE, sent.join("; ")).send().await?;
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("no cookie")?;
            cookies.insert(name.to_string(), value.to_string());
        }
        Ok(answer)
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        // Its input ends with this; it is ours, and has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the folder with the provider, which is filled once for each lock file.
fn installed() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc-provider");
    let lock_file = fs::read(source.join("package-lock.json")).context("could not read the lock file")?;
    let folder = target_folder().join("oidc-provider");
    fs::create_dir_all(&folder)?;
    // Two tests that want it at once: the second waits.
    let lock = fs::File::create(folder.join("lock"))?;
    lock.lock()?;
    let place = folder.join("installed");
    if fs::read(place.join("package-lock.json")).ok() != Some(lock_file) {
        let temporary = tempfile::tempdir_in(&folder)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(source.join(name), temporary.path().join(name))?;
        }
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new("npm").args(arguments).current_dir(temporary.path())).context("could not install it")?;
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::rename(temporary.keep(), &place)?;
    }
    fs::copy(source.join("provider.mjs"), place.join("provider.mjs"))?;
    let place = place.canonicalize()?;
    ensure!(place.join("node_modules/oidc-provider").is_dir(), "npm did not install it");
    Ok(place)
}
