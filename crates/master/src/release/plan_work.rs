//! What the Release System is told to plan. Most of it is read before the task is given out: all packages of a product are, at a
//! hundred thousand of them, seconds of reading, and whoever gives out tasks keeps all that write waiting.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anima_db::{Connection, Write, release::Release, task::Task, task_queue};
use anima_types::{
    Timestamp,
    id::{KeyId, RepositoryId, TaskId},
    lease::Claim,
    product::Product,
    repository::{Repository, RepositoryPackage},
    task::Kind,
    work::{Holding, PlanPackage, PlanRepository, PlanWork},
};

use super::carried;
use crate::{
    app::App,
    error::{ApiError, ApiResult},
    work::{references, release_of, stands_on},
};

/// What was read earlier is read again: nodes ask soon after it was, or another got the task.
const FRESH_SECS: f64 = 60.0;

/// What was read for the plan that is given out next.
#[derive(Default)]
pub struct Prepared {
    kept: Mutex<Option<(TaskId, Timestamp, Facts)>>,
    /// Whoever prepares the next plan: two at once would read the same, and hold it in memory twice.
    reading: tokio::sync::Mutex<()>,
}

/// What a plan is made from that takes long to read, and of what it was read.
struct Facts {
    row: Release,
    key: KeyId,
    packages: Vec<PlanPackage>,
    /// What users see, by repository.
    there: BTreeMap<RepositoryId, (Repository, Vec<RepositoryPackage>)>,
    /// What the product's artifacts take, where it matters.
    bytes: u64,
}

impl Prepared {
    /// Takes what was read for a task, if it was just now.
    fn take(&self, task: &Task, now: Timestamp) -> Option<Facts> {
        let mut kept = self.kept();
        let (_, _, facts) = kept.take_if(|(id, _, _)| *id == task.id).filter(|(_, at, _)| is_fresh(*at, now))?;
        Some(facts)
    }

    fn has(&self, task: TaskId, now: Timestamp) -> bool {
        self.kept().as_ref().is_some_and(|(id, at, _)| *id == task && is_fresh(*at, now))
    }

    fn keep(&self, task: TaskId, now: Timestamp, facts: Facts) {
        *self.kept() = Some((task, now, facts));
    }

    /// Forgets what nobody takes any more: another master gave the task out, or it was cancelled. All packages of a product are
    /// much to keep for nothing.
    pub fn forget_old(&self, now: Timestamp) {
        self.kept().take_if(|(_, at, _)| !is_fresh(*at, now));
    }

    fn kept(&self) -> MutexGuard<'_, Option<(TaskId, Timestamp, Facts)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    now.secs_since(at).abs() < FRESH_SECS
}

/// Reads what the next plan is made from, for a node that may take it, before there is a transaction that everybody waits for.
pub async fn prepare(app: &App, claim: &Claim) -> ApiResult<()> {
    if !claim.kinds.contains(&Kind::Plan) {
        return Ok(());
    }
    // Who waits here finds it done.
    let _reading = app.plan.reading.lock().await;
    let now = app.now();
    let mut read = app.db.read().await?;
    let next = task_queue::behind(&mut read, (Kind::Plan, None), task_queue::FRONT, 1).await?.pop();
    let Some(task) = next.filter(|task| !app.plan.has(task.id, now)) else { return Ok(()) };
    let (row, product) = row_of(&mut read, &task).await?;
    let facts = Facts::read(&mut read, row, &product).await?;
    drop(read);
    app.plan.keep(task.id, now, facts);
    Ok(())
}

/// Returns a plan task's work, and writes down upon which snapshots it is made.
pub async fn of(app: &App, write: &mut Write, task: &Task) -> ApiResult<PlanWork> {
    let (row, product) = row_of(write, task).await?;
    let Facts { row, key, packages, there, bytes } = match app.plan.take(task, write.now) {
        Some(facts) if facts.holds(write, &row, &product).await? => facts,
        _ => Facts::read(write, row, &product).await?,
    };
    let id = row.id;
    let base = there.iter().map(|(id, (repository, _))| (*id, repository.current)).collect();
    let removals = carried::removals(write, &row, &there).await?;
    let mut repositories = Vec::new();
    for (repository, packages) in there.into_values() {
        let address = || app.url(&format!("repos/{}/{}@{}/", row.product, repository.path, repository.current));
        let url = (repository.current > 0).then(address);
        repositories.push(PlanRepository { packages, repository, url });
    }
    anima_db::release::set_base(write, id, &base).await?;
    Ok(PlanWork {
        gates: product.product.gates.clone(),
        packages_url: Some(app.url(&format!("api/v1/releases/{id}/packages"))),
        key: anima_db::key::get(write, key).await?.public_key,
        stands_on: stands_on(app, write, &product).await?,
        references: references(app, &product),
        edits: row.edits,
        removals,
        usage: Holding { quota: product.product.options.quota, bytes },
        ..PlanWork::new(id, packages, repositories)
    })
}

async fn row_of(connection: &mut Connection, task: &Task) -> ApiResult<(Release, Product)> {
    let row = anima_db::release::get(connection, release_of(task)?).await?;
    let product = anima_db::product::get(connection, &row.product).await?;
    Ok((row, product))
}

impl Facts {
    async fn read(connection: &mut Connection, row: Release, product: &Product) -> ApiResult<Facts> {
        let key = product.key.ok_or_else(|| ApiError::internal(format!("product {} has no key", row.product)))?;
        let packages = plan_packages(connection, &row, key).await?;
        let mut there = BTreeMap::new();
        for repository in anima_db::repository::list(connection, Some(&row.product)).await? {
            let packages = anima_db::snapshot::listed(connection, repository.id, repository.current).await?;
            there.insert(repository.id, (repository, packages));
        }
        let bytes = match product.product.options.quota.is_empty() {
            true => 0,
            false => anima_db::artifact::bytes_of_product(connection, &row.product).await?,
        };
        Ok(Facts { row, key, packages, there, bytes })
    }

    /// Returns whether what it was read of is as it was: the release, and what users see of its product.
    async fn holds(&self, connection: &mut Connection, row: &Release, product: &Product) -> ApiResult<bool> {
        let repositories = anima_db::repository::list(connection, Some(&row.product)).await?;
        let is_same = |one: &Repository| self.there.get(&one.id).is_some_and(|(known, _)| known == one);
        Ok(self.row == *row
            && product.key == Some(self.key)
            && repositories.len() == self.there.len()
            && repositories.iter().all(is_same))
    }
}

/// All packages that a release carries, with their signatures.
async fn plan_packages(connection: &mut Connection, row: &Release, key: KeyId) -> ApiResult<Vec<PlanPackage>> {
    let all = carried::all(connection, row).await?;
    let verdicts = carried::Verdicts::read(connection, &all).await?;
    let signed = carried::signed(connection, &all, key).await?;
    let mut packages = BTreeMap::new();
    for carried in all {
        let Some(&artifact) = signed.get(&carried.original.artifact) else {
            let message = format!("{} came while it was being planned, without a signature", carried.original.nevra);
            let hint = format!("Plan it again: `anima release replan {}`.", row.id);
            return Err(ApiError::conflict("not_signed", message).hint(hint));
        };
        let is_green = verdicts.of(&carried);
        let package = RepositoryPackage { artifact, ..carried.original };
        let package = PlanPackage { package, target_arch: carried.target_arch, places: carried.places, is_green };
        packages.entry(artifact).or_insert(package);
    }
    Ok(packages.into_values().collect())
}

#[cfg(test)]
mod tests {
    use anima_types::{
        id::ReleaseId,
        release::{Content, Status},
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn nothing() -> Facts {
        let row = Release {
            id: ReleaseId(1),
            status: Status::ALL[0],
            product: "seed-1".into(),
            content: Content::Removal { remove: Vec::new(), from: Vec::new() },
            build: None,
            plan: Vec::new(),
            removals: Vec::new(),
            left_out: Vec::new(),
            attachments: Vec::new(),
            edits: Vec::new(),
            approvals: Vec::new(),
            scheduled_at: None,
            gates: Vec::new(),
            base: BTreeMap::new(),
            published: None,
            summary: String::new(),
            committed_by: None,
            reason: None,
            created_at: NOW,
            released_at: None,
        };
        Facts { row, key: KeyId(1), packages: Vec::new(), there: BTreeMap::new(), bytes: 0 }
    }

    #[test]
    fn what_was_read_for_a_plan_that_nobody_takes_is_forgotten() {
        let prepared = Prepared::default();
        prepared.keep(TaskId(7), NOW, nothing());

        prepared.forget_old(NOW.plus_secs(59));
        assert!(prepared.has(TaskId(7), NOW.plus_secs(59)));
        prepared.forget_old(NOW.plus_secs(60));

        assert!(prepared.kept().is_none());
    }
}
