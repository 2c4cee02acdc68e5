//! Watching a build live, to its end or until its packages are with users.

use std::{pin::pin, time::Duration};

use anima_types::{
    build::{self, BuildDetail},
    id::{BuildId, EventId},
    release,
};
use futures_util::StreamExt;

use super::{Ask, screen::Screen, show};
use crate::{
    exit::{Exit, Failure, Result},
    output::{self, Output},
};

/// Until when a build is watched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Until {
    Ended,
    Released,
}

/// Events that come together are shown together: what they changed is asked for once.
const TOGETHER: Duration = Duration::from_millis(20);

/// Watches a build; the end is an error if the build, or the release that was waited for, came to nothing.
pub async fn watch(ask: &Ask, id: BuildId, until: Until) -> Result {
    let mut detail = ask.client.build(id).await?;
    let mut screen = Screen::new(ask.output, detail.build.created_at);
    // From the build's first event on: nothing that happens between two questions is missed.
    let mut events = pin!(ask.client.follow_events(Some(EventId(0)), Some(id)));
    loop {
        screen.progress(&detail);
        let Some(event) = events.next().await else {
            return Err(Failure::new(Exit::Remote, "the master ended the stream of events"));
        };
        let mut news = vec![event?];
        while let Ok(Some(event)) = tokio::time::timeout(TOGETHER, events.next()).await {
            news.push(event?);
        }
        detail = ask.client.build(id).await?;
        for event in &news {
            screen.event(event, &detail)?;
        }
        let may_be_over = news.iter().any(|event| matches!(event.noun.as_str(), "build" | "release"));
        if may_be_over && let Some(end) = end(ask, &detail, until).await? {
            screen.close();
            return end;
        }
    }
}

/// Returns how it ended, if it has.
async fn end(ask: &Ask, detail: &BuildDetail, until: Until) -> Result<Option<Result>> {
    let build = &detail.build;
    match (build.status, until) {
        (build::Status::Failed | build::Status::Cancelled, _) => {
            if ask.output == Output::Text {
                output::line(&show::failures(detail))?;
            }
            let message = match build.status {
                build::Status::Cancelled => format!("build {} was cancelled", build.id),
                _ => format!("build {} has failed", build.id),
            };
            Ok(Some(Err(Failure::new(Exit::Unsuccessful, message).hint(format!(
                "`anima build show {}` tells more, `anima build restart {}` tries again",
                build.id, build.id
            )))))
        }
        (build::Status::Succeeded, Until::Ended) => Ok(Some(Ok(()))),
        (build::Status::Succeeded, Until::Released) => end_of_release(ask, detail).await,
        _ => Ok(None),
    }
}

async fn end_of_release(ask: &Ask, detail: &BuildDetail) -> Result<Option<Result>> {
    let mut end = None;
    for id in &detail.build.releases {
        let release = ask.client.release(*id).await?;
        match release.status {
            release::Status::Released => return Ok(Some(Ok(()))),
            status if status.is_moving() || status == release::Status::Planned => return Ok(None),
            status => {
                let message = format!("release {} is {}: {}", release.id, status.name(), release.summary);
                end = Some(Err(Failure::new(Exit::Unsuccessful, message)));
            }
        }
    }
    Ok(end)
}
