//! `anima build find`: which builds came of commits that were pushed.

use std::{collections::BTreeSet, time::Duration};

use anima_types::{
    build::{Build, ListQuery, SourceRef},
    id::BuildId,
};
use tokio::time::{Instant, sleep};

use super::Ask;
use crate::exit::{Exit, Failure, Result};

/// Pushes of a second are one build, and the Git Service may have to wait for the master to tell of them.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Prints the builds of all commits; one that has none yet is waited for.
pub async fn find(ask: &Ask, commits: &[SourceRef]) -> Result {
    let until = Instant::now() + LIMIT;
    let mut found = BTreeSet::new();
    for wanted in commits {
        found.insert(of_commit(ask, wanted, until).await?);
    }
    let ids: Vec<BuildId> = found.into_iter().collect();
    ask.output.show(&ids, |ids| ids.iter().map(BuildId::to_string).collect::<Vec<_>>().join("\n"))
}

async fn of_commit(ask: &Ask, wanted: &SourceRef, until: Instant) -> Result<BuildId> {
    let commit = wanted.reference.as_deref().ok_or_else(|| {
        Failure::user(format!("nothing says which commit of {} is meant", wanted.package)).hint("say PACKAGE@COMMIT")
    })?;
    let query = ListQuery { package: Some(wanted.package.clone()), ..ListQuery::default() };
    loop {
        let builds = ask.client.builds(&query).await?;
        if let Some(build) = builds.iter().find(|build| has(build, &wanted.package, commit)) {
            return Ok(build.id);
        }
        if Instant::now() >= until {
            let limit = LIMIT.as_secs();
            return Err(Failure::new(
                Exit::Remote,
                format!("no build of {} at {commit} began in {limit} s", wanted.package),
            )
            .hint("is the branch that of a platform? See `anima platform list`, and the log of the Git Service"));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn has(build: &Build, package: &str, commit: &str) -> bool {
    build.sources.iter().any(|source| source.package == package && source.commit.starts_with(commit))
}
