//! What a node makes of its work: the calls that it sends, with real packages, real signatures, and the Release System's own
//! plan and metadata.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use anima_release_system::{evidence::Evidence, gate, plan, reference::Reference};
use anima_repodata::{Compression, Repodata};
use anima_rpm_file::SigningKey;
use anima_types::{
    id::KeyId,
    lease::Lease,
    signature::Form,
    task::Kind,
    work::{BuildWork, PlanWork, PublishWork, SignWork, SrcWork, TestWork, Work},
};
use anyhow::{Context as _, Result, bail};
use axum::http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    master::{Call, Master, START, URL},
    package,
};

/// When keys are made and signatures given.
const SIGNED_AT_SECS: u32 = (START.0 / 1_000_000) as u32;

/// How a node ends its task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// It does it.
    Done,
    /// It cannot do it.
    Failed,
    /// It cannot do it for a reason of its own.
    GivenBack,
}

/// Returns the calls that do the lease's task, the report last; nothing when the master could not be asked for what the
/// work takes.
pub async fn calls(master: &mut Master, lease: &Lease, how: How) -> Result<Option<Vec<Call>>> {
    let mut calls = Calls { lease, made: Vec::new() };
    calls.log(&format!("working on task {} with lease {}\n", lease.task, lease.number));
    if how != How::Done {
        let failure = json!({ "code": "simulated", "message": "it went wrong" });
        let end = if how == How::Failed { "failed" } else { "given_back" };
        calls.report(json!({ end: failure }));
        return Ok(Some(calls.made));
    }
    let outcome = match &lease.work {
        Work::Src(work) => calls.source(work)?,
        Work::Build(work) => calls.build(work)?,
        Work::Test(work) => test(work),
        Work::Sign(work) => match sign(master, work).await? {
            Some(outcome) => outcome,
            None => return Ok(None),
        },
        Work::Plan(work) => planned(work)?,
        Work::Publish(work) => match calls.publish(master, work).await? {
            Some(outcome) => outcome,
            None => return Ok(None),
        },
        Work::Import(_) => bail!("no release of these worlds imports anything"),
    };
    calls.report(json!({ "succeeded": outcome }));
    Ok(Some(calls.made))
}

struct Calls<'a> {
    lease: &'a Lease,
    made: Vec<Call>,
}

impl Calls<'_> {
    fn push(&mut self, method: Method, what: &str, body: Vec<u8>) {
        let path = format!("/api/v1/tasks/{}/{what}", self.lease.task);
        self.made.push(Call { method, path, token: self.lease.secret.clone(), body });
    }

    fn log(&mut self, text: &str) {
        self.push(Method::PUT, "log?offset=0", text.as_bytes().to_vec());
    }

    fn report(&mut self, end: Value) {
        let body = json!({ "number": self.lease.number, "phases": [], "end": end });
        self.push(Method::POST, "report", body.to_string().into_bytes());
    }

    fn upload(&mut self, kind: &str, name: &str, bytes: &[u8]) -> String {
        let sha256 = hex::encode(Sha256::digest(bytes));
        self.push(Method::PUT, &format!("artifacts/{sha256}?kind={kind}&name={name}"), bytes.to_vec());
        sha256
    }

    fn source(&mut self, work: &SrcWork) -> Result<Value> {
        let (name, version) = (&work.package, version(&work.commit)?);
        let srpm = self.upload("srpm", &format!("{name}-{version}-1.src.rpm"), &package::made(name, version).source);
        Ok(json!({ "src": {
            "nevra": format!("{name}-{version}-1.src"), "srpm": srpm, "build_requires": package::build_requires(name),
            "provides": [name], "exclusive_arch": [], "exclude_arch": [], "is_noarch": false,
        } }))
    }

    fn build(&mut self, work: &BuildWork) -> Result<Value> {
        let version = work.srpm.name.rsplit('-').nth(1).context("a source package has a version")?;
        let (name, version) = (&work.package, version.parse()?);
        let nevra = format!("{name}-{version}-1.x86_64");
        let artifact = self.upload("rpm", &format!("{nevra}.rpm"), &package::made(name, version).binary);
        let lock = self.upload("lock", "lock.json", b"{\"packages\":[]}");
        Ok(
            json!({ "build": { "packages": [{ "nevra": nevra, "artifact": artifact }], "lock": lock, "layers_hit": true } }),
        )
    }

    async fn publish(&mut self, master: &mut Master, work: &PublishWork) -> Result<Option<Value>> {
        let mut repositories = Vec::new();
        for repository in &work.repositories {
            let Some(list) = fetch(master, &repository.packages_url).await? else { return Ok(None) };
            let made = anima_release_system::publish::make(&list, Compression::Gzip, work.revision)?;
            let Repodata { repomd_xml, files, .. } = made;
            let mut named = Vec::new();
            for file in files {
                let name = file.name.rsplit('/').next().unwrap_or(&file.name);
                named.push(json!({ "path": file.name, "sha256": self.upload("repodata", name, &file.bytes) }));
            }
            let repomd = self.upload("repodata", "repomd.xml", &repomd_xml);
            repositories.push(json!({ "repository": repository.repository, "repomd": repomd, "files": named }));
        }
        Ok(Some(json!({ "publish": { "repositories": repositories } })))
    }
}

/// A commit of these worlds says which version it is: `…-2` is version 2.
fn version(commit: &str) -> Result<i64> {
    Ok(commit.rsplit('-').next().unwrap_or_default().parse()?)
}

fn test(work: &TestWork) -> Value {
    let verdicts = work.packages.iter().map(|one| json!({ "nevra": one.nevra, "is_green": true, "checks": [] }));
    json!({ "test": { "verdicts": verdicts.collect::<Vec<_>>() } })
}

fn planned(work: &PlanWork) -> Result<Value> {
    // A world has no files that the gates could look into: they are asked what the work itself tells.
    let plan = plan::plan(work, &Reference::default())?;
    let gates = gate::answers(work, &plan, &Evidence::none());
    Ok(json!({ "plan": plan.with(gates) }))
}

async fn sign(master: &mut Master, work: &SignWork) -> Result<Option<Value>> {
    let (fingerprint, items) = match work {
        SignWork::CreateKey { key, .. } => {
            let made = key_of(*key)?;
            let key = json!({ "fingerprint": made.fingerprint(), "public_key": made.to_armoured_public()? });
            return Ok(Some(json!({ "sign": { "key": key } })));
        }
        SignWork::Revoke { .. } => bail!("nobody revokes a key in these worlds"),
        SignWork::Signatures { fingerprint, items } => (fingerprint, items),
    };
    let key = {
        let keys = keys().lock().unwrap_or_else(PoisonError::into_inner);
        keys.values().find(|key| key.fingerprint().eq_ignore_ascii_case(fingerprint)).cloned()
    };
    let key = key.context("the Sign Server is asked for a key that it never made")?;
    let mut signatures = Vec::new();
    for item in items {
        let Some(bytes) = fetch(master, &item.url).await? else { return Ok(None) };
        if item.bytes_sha256.to_string() != hex::encode(Sha256::digest(&bytes)) {
            bail!("what is to be signed at {} is not what was announced", item.url);
        }
        let signature = match item.form {
            Form::RpmHeader => hex::encode(key.sign_detached(&bytes, SIGNED_AT_SECS)?),
            Form::Detached => key.sign_armoured(&bytes, SIGNED_AT_SECS)?,
            other => bail!("no key of these worlds signs in form {}", other.name()),
        };
        signatures.push(json!({ "artifact": item.artifact, "form": item.form, "signature": signature }));
    }
    Ok(Some(json!({ "sign": { "signatures": signatures } })))
}

type Keys = BTreeMap<KeyId, Arc<SigningKey>>;

/// The keyring of all worlds: making a key takes longer than a world needs for a minute.
fn keys() -> &'static Mutex<Keys> {
    static KEYS: OnceLock<Mutex<Keys>> = OnceLock::new();
    KEYS.get_or_init(Mutex::default)
}

fn key_of(id: KeyId) -> Result<Arc<SigningKey>> {
    let mut keys = keys().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = keys.get(&id) {
        return Ok(Arc::clone(key));
    }
    let key = Arc::new(SigningKey::generate_ed25519("Simulation <simulation@example.org>", SIGNED_AT_SECS)?);
    keys.insert(id, Arc::clone(&key));
    Ok(key)
}

async fn fetch(master: &mut Master, url: &str) -> Result<Option<Vec<u8>>> {
    let path = url.strip_prefix(URL).with_context(|| format!("{url} is not the master's"))?;
    let call = Call { method: Method::GET, path: path.to_string(), token: String::new(), body: Vec::new() };
    match master.ask(&call, None).await? {
        Some((status, bytes)) if status.is_success() => Ok(Some(bytes)),
        Some((status, bytes)) => bail!("{url} was answered with {status}: {}", String::from_utf8_lossy(&bytes)),
        None => Ok(None),
    }
}

/// Returns the role whose token takes a kind of task.
pub const fn role(kind: Kind) -> &'static str {
    match kind {
        Kind::Src | Kind::Build => "build-node",
        Kind::Test => "test-node",
        Kind::Sign => "sign-server",
        Kind::Plan | Kind::Publish | Kind::Import => "release-system",
    }
}
