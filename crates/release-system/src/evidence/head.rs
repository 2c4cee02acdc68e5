//! Headers: fetched without the packages, and read for what reviewers look at.

use std::collections::{BTreeMap, BTreeSet};

use anima_environment::{Error, Result};
use anima_rpm_file::{PackageHead, PackageInfo, PublicKey, ScriptletKind};
use anima_types::{Sha256, work::PlanWork};
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::Gatherer;
use crate::plan::Plan;

/// So much of a package is fetched first: the headers of most have less.
const FIRST_BYTES: u64 = 64 << 10;
/// A longer one is fetched so many times longer.
const GROWTH: u64 = 8;
/// A header at most: RPM's own bound.
const MAX_HEADER_BYTES: u64 = 256 << 20;
/// Headers that are fetched at once.
const PARALLEL: usize = 8;

const SETUID: u16 = 0o4000;
const SETGID: u16 = 0o2000;

/// What a header says that is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// The licence.
    pub licence: String,
    /// The size of the file.
    pub size_bytes: u64,
    /// What it takes when installed.
    pub installed_size_bytes: u64,
    /// When it runs scripts.
    pub scripts: BTreeSet<String>,
    /// Files that give rights to who runs them, each with the right.
    pub privileges: BTreeSet<String>,
    /// Whether the product's key signed it, or why not. What users have already is not asked for it.
    pub signature: std::result::Result<(), String>,
}

/// Heads by artifact.
pub type Heads = BTreeMap<Sha256, Head>;

impl Head {
    /// Reads what is compared.
    pub fn new(info: &PackageInfo, size_bytes: u64, signature: std::result::Result<(), String>) -> Head {
        let regular = info.files.iter().filter(|file| file.is_regular());
        let mut privileges = BTreeSet::new();
        for file in regular {
            if file.mode & SETUID != 0 {
                privileges.insert(format!("{}: setuid {}", file.path, file.user));
            }
            // Without the right to execute for the group, the bit means something else.
            if file.mode & SETGID != 0 && file.mode & 0o010 != 0 {
                privileges.insert(format!("{}: setgid {}", file.path, file.group));
            }
            if let Some(capabilities) = file.capabilities.as_ref().filter(|text| text.as_str() != "=") {
                privileges.insert(format!("{}: {capabilities}", file.path));
            }
        }
        Head {
            licence: info.license.clone(),
            size_bytes,
            installed_size_bytes: info.installed_size_bytes,
            scripts: info.scriptlets.iter().map(|scriptlet| word(scriptlet.kind).to_string()).collect(),
            privileges,
            signature,
        }
    }
}

fn word(kind: ScriptletKind) -> &'static str {
    match kind {
        ScriptletKind::PreInstall => "pre",
        ScriptletKind::PostInstall => "post",
        ScriptletKind::PreUninstall => "preun",
        ScriptletKind::PostUninstall => "postun",
        ScriptletKind::PreTransaction => "pretrans",
        ScriptletKind::PostTransaction => "posttrans",
        ScriptletKind::PreUntransaction => "preuntrans",
        ScriptletKind::PostUntransaction => "postuntrans",
        ScriptletKind::Verify => "verify",
        ScriptletKind::Trigger => "trigger",
        ScriptletKind::FileTrigger => "filetrigger",
        ScriptletKind::TransactionFileTrigger => "transfiletrigger",
    }
}

impl Gatherer {
    /// Fetches the heads of what comes and of what goes for it.
    pub(super) async fn heads(&self, work: &PlanWork, plan: &Plan, cancel: &CancellationToken) -> Result<Heads> {
        let key = work.key.as_ref().map(|text| PublicKey::from_armoured(text)).transpose();
        let key =
            key.map_err(|error| Error::Metadata { name: "the product's key".into(), reason: error.to_string() })?;
        let mut wanted: BTreeMap<Sha256, bool> = BTreeMap::new();
        let gone: BTreeSet<_> = plan
            .entries
            .iter()
            .flat_map(|entry| entry.replaces.iter().map(|old| (entry.repository, old)))
            .chain(plan.removals.iter().map(|removal| (removal.repository, &removal.nevra)))
            .collect();
        for each in &work.repositories {
            let gone = each.packages.iter().filter(|package| gone.contains(&(each.repository.id, &package.nevra)));
            wanted.extend(gone.map(|package| (package.artifact, false)));
        }
        if work.usage.quota.bytes.is_some() {
            // What goes for the same package with another signature counts, too.
            let coming: BTreeSet<_> = plan.entries.iter().map(|entry| (entry.repository, &entry.nevra)).collect();
            for each in &work.repositories {
                let gone = each.packages.iter().filter(|one| coming.contains(&(each.repository.id, &one.nevra)));
                wanted.extend(gone.map(|package| (package.artifact, false)));
            }
        }
        wanted.extend(work.packages.iter().map(|package| (package.package.artifact, true)));
        let fetches: Vec<_> =
            wanted.into_iter().map(|(artifact, is_new)| self.one(artifact, is_new, key.as_ref(), cancel)).collect();
        futures_util::stream::iter(fetches).buffer_unordered(PARALLEL).try_collect().await
    }

    async fn one(
        &self,
        artifact: Sha256,
        is_new: bool,
        key: Option<&PublicKey>,
        cancel: &CancellationToken,
    ) -> Result<(Sha256, Head)> {
        let (head, size_bytes) = self.head(&format!("{}/api/v1/artifacts/{artifact}", self.master_url), cancel).await?;
        let signature = match key.filter(|_| is_new) {
            Some(key) => head.check_signature(key).map_err(|error| error.to_string()),
            None => Ok(()),
        };
        Ok((artifact, Head::new(&head.info, size_bytes, signature)))
    }

    /// Fetches the beginning of a package, as far as its header goes, and the size of the whole.
    pub(super) async fn head(&self, url: &str, cancel: &CancellationToken) -> Result<(PackageHead, u64)> {
        let mut bytes = FIRST_BYTES;
        loop {
            let beginning = self.downloads.beginning(url, bytes, cancel).await?;
            let is_whole = (beginning.bytes.len() as u64) < bytes;
            match PackageHead::read(&mut beginning.bytes.as_slice()) {
                Ok(head) => return Ok((head, beginning.size_bytes)),
                Err(anima_rpm_file::Error::CutOff { .. }) if !is_whole && bytes < MAX_HEADER_BYTES => {
                    bytes = (bytes * GROWTH).min(MAX_HEADER_BYTES);
                }
                Err(error) => return Err(Error::Metadata { name: url.to_string(), reason: error.to_string() }),
            }
        }
    }
}
