//! What the gates are answered from, beside the plan itself: headers of packages, and the metadata of repositories as they
//! will be. It is fetched and kept by its content; nothing here decides.

mod closure;
mod conflict;
mod head;
mod world;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anima_environment::{Downloads, blocking};
use anima_repodata::PackageXml;
use anima_types::{gate::Finding, work::PlanWork};
use tokio_util::sync::CancellationToken;

pub use closure::Closure;
pub use head::{Head, Heads};

use crate::plan::Plan;

/// Metadata that is kept for the next plans; a distribution's has some 500 MB.
const KEEP_DOWNLOAD_BYTES: u64 = 4 << 30;
/// libsolv's form of a repository that was not used for so long is made anew.
const KEEP_POOLS: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What came of a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked<T> {
    /// It was answered.
    Found(T),
    /// It should have been, and could not be.
    Failed(String),
    /// There is nothing to ask, or nobody.
    Not(String),
}

/// All evidence for one plan.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What the headers say of the packages that come and go.
    pub heads: Asked<Heads>,
    /// What can be installed.
    pub closure: Asked<Closure>,
    /// Files of one name that differ.
    pub conflicts: Asked<Vec<Finding>>,
}

impl Evidence {
    /// Returns that nothing could be asked, because nobody said where to look.
    pub fn none() -> Evidence {
        let why = "the master does not tell where the packages are";
        Evidence {
            heads: Asked::Not(why.to_string()),
            closure: Asked::Not(why.to_string()),
            conflicts: Asked::Not(why.to_string()),
        }
    }

    /// Answers from the headers.
    pub fn with_heads(&self, ask: impl FnOnce(&Heads) -> Vec<Finding>) -> Asked<Vec<Finding>> {
        match &self.heads {
            Asked::Found(heads) => Asked::Found(ask(heads)),
            Asked::Failed(why) => Asked::Failed(why.clone()),
            Asked::Not(why) => Asked::Not(why.clone()),
        }
    }
}

/// Gathers evidence, and keeps what the next plans may need.
#[derive(Clone, Debug)]
pub struct Gatherer {
    downloads: Arc<Downloads>,
    pools: PathBuf,
    master_url: String,
}

impl Gatherer {
    /// Opens the folder, and makes it when it is missing.
    pub fn open(folder: &Path, master_url: &str) -> anima_environment::Result<Gatherer> {
        let pools = folder.join("pools");
        std::fs::create_dir_all(&pools).map_err(anima_environment::Error::file("make", &pools))?;
        let downloads = Arc::new(Downloads::open(&folder.join("downloads"))?);
        Ok(Gatherer { downloads, pools, master_url: master_url.trim_end_matches('/').to_string() })
    }

    /// Returns the cache of files.
    pub fn downloads(&self) -> &Downloads {
        &self.downloads
    }

    /// Gathers what can be known of a plan. `packages` is the metadata of what is released.
    pub async fn gather(
        &self,
        work: &PlanWork,
        plan: &Plan,
        packages: &[PackageXml],
        cancel: &CancellationToken,
    ) -> Evidence {
        let heads = match self.heads(work, plan, cancel).await {
            Ok(heads) => Asked::Found(heads),
            Err(error) => Asked::Failed(error.to_string()),
        };
        let (closure, conflicts) = self.ask_worlds(work, plan, packages, cancel).await;
        Evidence { heads, closure, conflicts }
    }

    async fn ask_worlds(
        &self,
        work: &PlanWork,
        plan: &Plan,
        packages: &[PackageXml],
        cancel: &CancellationToken,
    ) -> (Asked<Closure>, Asked<Vec<Finding>>) {
        if work.stands_on.iter().all(|stands| stands.inputs.is_empty()) {
            let why = "the product names no platform that it stands on".to_string();
            return (Asked::Not(why.clone()), Asked::Not(why));
        }
        let began = Instant::now();
        let (mut closure, mut pairs) = (Closure::default(), conflict::Pairs::default());
        for stands in &work.stands_on {
            let failed = |why: String| (Asked::Failed(why.clone()), Asked::Failed(why));
            let world = match self.world(work, plan, packages, stands, cancel).await {
                Ok(world) => world,
                Err(error) => return failed(error.to_string()),
            };
            let arch = stands.arch;
            let asked = blocking(move || {
                let mut pool = world.pool(false)?;
                let mut closure = closure::ask(&world, &mut pool)?;
                if closure.misses_a_path {
                    // Paths outside of /usr/bin and /etc are known only with the large lists of files.
                    pool = world.pool(true)?;
                    closure = closure::ask(&world, &mut pool)?;
                }
                let pairs = conflict::pairs(&world, &mut pool)?;
                Ok::<_, world::Error>((closure, pairs))
            });
            match asked.await {
                Ok((asked, found)) => {
                    closure.add(asked, arch.name());
                    pairs.add(found);
                }
                Err(error) => return failed(error.to_string()),
            }
        }
        closure.secs = began.elapsed().as_secs_f64();
        let conflicts = match conflict::compare(self, pairs, cancel).await {
            Ok(found) => Asked::Found(found),
            Err(error) => Asked::Failed(error.to_string()),
        };
        (Asked::Found(closure), conflicts)
    }

    /// Removes what was not used for long. It is tried again after the next plan.
    pub fn sweep_once(&self, now: SystemTime) -> anima_environment::Result<u64> {
        let mut removed = self.downloads.sweep(now, KEEP_DOWNLOAD_BYTES)?;
        let failed = |error| anima_environment::Error::file("read", &self.pools)(error);
        for entry in std::fs::read_dir(&self.pools).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            let is_old = metadata.modified().is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > KEEP_POOLS));
            if is_old && std::fs::remove_file(&path).is_ok() {
                removed += metadata.len();
            }
        }
        Ok(removed)
    }
}
