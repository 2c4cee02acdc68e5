//! Searches everything that has a page: builds, source packages, what users see in all repositories, and people.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anima_db::package_search::Candidate;
use anima_types::{
    id::BuildId,
    permission::Permission,
    search::{Everything, EverythingQuery, FoundAccount, FoundBuild, FoundKind, FoundPackage, FoundPlace, FoundRpm},
};
use axum::extract::State;
use tokio::sync::Semaphore;

use super::{MAX_FOUND, MIN_INDEXED_BYTES, check, index, row};
use crate::{
    app::App,
    auth::Caller,
    error::{ApiResult, Json, Query},
};

/// Things of each kind, where nothing is said, and at most.
const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;
/// Less of a commit is too many commits.
const MIN_COMMIT_CHARS: usize = 7;
/// Packages whose paths are looked through at once: what they are searched by is some MiB.
const PACKAGES_AT_ONCE: u32 = 500;
/// Each product has its own copy of a package, with its own signature: so many are read for each that is shown, and more where that
/// was too few.
const COPIES: u32 = 4;

/// Each looks at all packages: more at once would be felt by everybody else, and by who searches one repository.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// `GET /api/v1/search`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<EverythingQuery>,
) -> ApiResult<Json<Everything>> {
    Ok(Json(everything(&app, &caller, &query).await?))
}

/// Searches everything that the caller may see. It looks at whole tables, and is counted as that.
pub async fn everything(app: &App, caller: &Caller, query: &EverythingQuery) -> ApiResult<Everything> {
    let text = query.q.trim();
    check(text)?;
    app.limits.dear(caller)?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
    let mut found = Everything::default();
    // One more of each says whether there are more.
    let more = limit as u32 + 1;
    let small = text.to_lowercase();
    let mut read = app.db.read().await?;
    found.builds = builds(&mut read, text, more).await?;
    let packages = anima_db::search::packages(&mut read, &small, more).await?;
    found.packages = packages.into_iter().map(|one| FoundPackage { name: one.name, last_build: one.build }).collect();
    if caller.check_somewhere(Permission::Own).is_ok() {
        let accounts = anima_db::search::accounts(&mut read, &small, more).await?;
        found.accounts = accounts.into_iter().map(|one| FoundAccount { name: one.name, title: one.title }).collect();
    }
    drop(read);
    found.rpms = rpms(app, text, more).await?;
    cut(&mut found.builds, limit, FoundKind::Builds, &mut found.more);
    cut(&mut found.packages, limit, FoundKind::Packages, &mut found.more);
    cut(&mut found.rpms, limit, FoundKind::Rpms, &mut found.more);
    cut(&mut found.accounts, limit, FoundKind::Accounts, &mut found.more);
    Ok(found)
}

fn cut<T>(found: &mut Vec<T>, limit: usize, kind: FoundKind, more: &mut Vec<FoundKind>) {
    more.extend((found.len() > limit).then_some(kind));
    found.truncate(limit);
}

/// Returns the build of that number, those of a commit that begins so, and those of that person.
async fn builds(read: &mut anima_db::Read, text: &str, limit: u32) -> ApiResult<Vec<FoundBuild>> {
    let mut rows = Vec::new();
    if let Ok(id) = text.trim_start_matches('#').parse::<i64>() {
        match anima_db::build::get(read, BuildId(id)).await {
            Err(anima_db::Error::Missing { .. }) => {}
            found => rows.push(found?),
        }
    }
    let small = text.to_lowercase();
    if text.len() >= MIN_COMMIT_CHARS && text.chars().all(|char| char.is_ascii_hexdigit()) {
        rows.extend(anima_db::search::builds_of_commit(read, &small, limit).await?);
    }
    rows.extend(anima_db::search::builds_of_owner(read, text, limit).await?);
    let found = |row: anima_db::build::Build| FoundBuild {
        id: row.id,
        status: row.status,
        owner: row.owner,
        reason: row.reason,
        summary: row.summary,
        created_at: row.created_at,
    };
    Ok(rows.into_iter().map(found).collect())
}

/// Returns what users see of it in all repositories: NEVRAs, at least `limit` of them where there are so many.
async fn rpms(app: &App, text: &str, limit: u32) -> ApiResult<Vec<FoundRpm>> {
    let _permit = AT_ONCE.acquire().await;
    let mut found = match text.starts_with('/') {
        true if text.len() < MIN_INDEXED_BYTES => Vec::new(),
        true => with_path(app, text, limit).await?,
        false => with_text(app, text, limit).await?,
    };
    let hashes: Vec<String> = found.iter().map(|(sha256, _)| sha256.clone()).collect();
    let mut read = app.db.read().await?;
    let mut places: BTreeMap<String, Vec<FoundPlace>> = BTreeMap::new();
    for shown in anima_db::search::shown(&mut read, &hashes).await? {
        places.entry(shown.sha256).or_default().push(FoundPlace { id: shown.repository, address: shown.address });
    }
    for (sha256, rpm) in &mut found {
        rpm.repositories = places.remove(sha256).unwrap_or_default();
    }
    // Each product has its own signature on the same package.
    let mut rpms: Vec<FoundRpm> = Vec::with_capacity(found.len());
    for (_, rpm) in found {
        match rpms.last_mut().filter(|last| last.nevra == rpm.nevra) {
            Some(last) => last.repositories.extend(rpm.repositories),
            None => rpms.push(rpm),
        }
    }
    Ok(rpms)
}

/// One that has no row of what it is searched by yet is found by its name only.
async fn with_text(app: &App, text: &str, limit: u32) -> ApiResult<Vec<(String, FoundRpm)>> {
    let mut read = app.db.read().await?;
    let mut rows = limit;
    // Whether there are more is asked of NEVRAs, and what is read are copies of them.
    let candidates = loop {
        rows = rows.saturating_mul(COPIES);
        let candidates = anima_db::search::rpms(&mut read, &text.to_lowercase(), text, rows).await?;
        let nevras: HashSet<_> = candidates.iter().map(|one| &one.nevra).collect();
        if nevras.len() >= limit as usize || candidates.len() < rows as usize {
            break candidates;
        }
    };
    let found = |one: Candidate| {
        let (summary, provides) = one.searchable.map(|row| (row.summary, row.provides)).unwrap_or_default();
        let provided = provides.lines().filter(|line| line.contains(text)).take(MAX_FOUND).map(str::to_string);
        let (nevra, found) = (one.nevra.to_string(), provided.collect());
        (one.sha256.to_string(), FoundRpm { nevra, summary, found, repositories: Vec::new() })
    };
    Ok(candidates.into_iter().map(found).collect())
}

async fn with_path(app: &App, text: &str, limit: u32) -> ApiResult<Vec<(String, FoundRpm)>> {
    let (mut found, mut nevras, mut after) = (Vec::new(), BTreeSet::new(), String::new());
    let mut read = app.db.read().await?;
    loop {
        let candidates = anima_db::search::seen_after(&mut read, &after, PACKAGES_AT_ONCE).await?;
        let Some(last) = candidates.last() else { break };
        after = last.sha256.to_string();
        for Candidate { sha256, nevra, searchable } in candidates {
            let row = row(&mut read, sha256, searchable).await?;
            if !index::may_have(&row.files, text) {
                continue;
            }
            let paths = index::paths(&anima_db::package::get(&mut read, sha256).await?)?;
            let has: Vec<String> = paths.into_iter().filter(|path| path.contains(text)).take(MAX_FOUND).collect();
            if !has.is_empty() {
                let (nevra, summary) = (nevra.to_string(), row.summary);
                nevras.insert(nevra.clone());
                let rpm = FoundRpm { nevra, summary, found: has, repositories: Vec::new() };
                found.push((sha256.to_string(), rpm));
            }
        }
        // In the order of their hashes, which is nobody's: where there are more, it is said.
        if nevras.len() >= limit as usize {
            break;
        }
    }
    found.sort_by(|(_, a), (_, b)| a.nevra.cmp(&b.nevra));
    Ok(found)
}
