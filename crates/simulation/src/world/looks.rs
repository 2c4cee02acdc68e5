//! What a world looks at: events in their order, repositories that are no mixture, and that everything came to its end.

use anima_types::event::Event;
use anyhow::{Result, anyhow};
use serde_json::Value;

use super::*;

impl World {
    pub(super) async fn look(&mut self) -> Result<()> {
        self.after(LOOK_SECS * SECOND, Happening::Look);
        if !self.master.is_up() {
            return Ok(());
        }
        let before = self.replay.last();
        self.read_events().await?;
        // What users see changes by events alone.
        if self.replay.last() != before {
            self.no_mixture().await?;
        }
        if self.is_faulty() || self.pushes_open > 0 {
            return Ok(());
        }
        let (Some(builds), Some(releases)) = (self.list("builds").await?, self.list("releases").await?) else {
            return Ok(());
        };
        let rebuilds = self.list("rebuilds").await?.unwrap_or_default();
        if self.go_on(&builds, &rebuilds, &releases).await? || !self.replay.open_tasks().is_empty() {
            return Ok(());
        }
        self.replay.compare(&builds, &releases).map_err(|complaint| anyhow!(complaint))?;
        self.everything_is_released(&builds, &rebuilds, &releases)?;
        self.summary.event_count = self.replay.count;
        self.summary.secs = (self.now - START.0) / SECOND;
        Ok(())
    }

    /// Nothing goes wrong any more: people start again what failed, and decide what waits; returns whether anything has not ended.
    pub(super) async fn go_on(&mut self, builds: &[Value], rebuilds: &[Value], releases: &[Value]) -> Result<bool> {
        let token = self.tokens["admin"].clone();
        let mut is_open = false;
        for task in self.replay.failed_lone_tasks() {
            is_open = true;
            self.ask(&people::press("tasks", &task.0.into(), "restart", token.clone())).await?;
            self.say(format_args!("a person, at the end: restart task {task}"));
        }
        for rebuild in rebuilds {
            let is_ended = matches!(rebuild["build"]["status"].as_str(), Some("succeeded" | "failed" | "cancelled"));
            if rebuild["is_paused"] == true && !is_ended {
                is_open = true;
                self.ask(&people::press("rebuilds", &rebuild["build"]["id"], "resume", token.clone())).await?;
                self.say(format_args!("a person, at the end: resume rebuild {}", rebuild["build"]["id"]));
            }
        }
        for (noun, list) in [("builds", builds), ("releases", releases)] {
            for one in list {
                if noun == "builds" && is_left_out(one, rebuilds) {
                    continue;
                }
                let verb = match (noun, one["status"].as_str().unwrap_or_default()) {
                    (_, "succeeded" | "released" | "reverted" | "abandoned") => continue,
                    ("builds", "failed" | "cancelled") => Some("restart"),
                    ("releases", "failed") => Some("replan"),
                    ("releases", "planned") => Some("commit"),
                    _ => None,
                };
                is_open = true;
                if let Some(verb) = verb {
                    let answer = self.ask(&people::press(noun, &one["id"], verb, token.clone())).await?;
                    let is_refused = answer.as_ref().is_some_and(|(status, _)| *status == StatusCode::CONFLICT);
                    let is_of_rebuild = rebuilds.iter().any(|rebuild| rebuild["build"]["id"] == one["build"]);
                    if verb == "commit" && is_refused && is_of_rebuild {
                        // Users have newer packages by now, and a gate says so.
                        self.ask(&people::press(noun, &one["id"], "abandon", token.clone())).await?;
                    }
                    let how = answer.map(|(status, body)| {
                        (status.as_u16(), String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned())
                    });
                    self.say(format_args!("a person, at the end: {verb} {noun} {} {how:?}", one["id"]));
                }
            }
        }
        Ok(is_open)
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Option<Value>> {
        let call = Call { method: Method::GET, path: path.to_string(), token: String::new(), body: Vec::new() };
        match self.master.ask(&call, None).await? {
            Some((StatusCode::OK, body)) => Ok(Some(serde_json::from_slice(&body)?)),
            Some((status, body)) => {
                Err(anyhow!("{path} was answered with {status}: {}", String::from_utf8_lossy(&body)))
            }
            None => Ok(None),
        }
    }

    pub(super) async fn list(&mut self, noun: &str) -> Result<Option<Vec<Value>>> {
        Ok(self.get(&format!("/api/v1/{noun}?limit=200")).await?.and_then(|value| value.as_array().cloned()))
    }

    pub(super) async fn read_events(&mut self) -> Result<()> {
        loop {
            let path = format!("/api/v1/events/list?limit={EVENTS}&after={}", self.replay.last());
            let Some(value) = self.get(&path).await? else { return Ok(()) };
            let events: Vec<Event> = serde_json::from_value(value)?;
            for event in &events {
                self.replay.take(event).map_err(|complaint| anyhow!(complaint))?;
            }
            if events.len() < EVENTS {
                return Ok(());
            }
        }
    }

    /// Returns what users see in the repositories of a kind.
    pub(super) async fn packages(&mut self, path: &str) -> Result<Option<Vec<Value>>> {
        let Some(repositories) = self.list("repositories").await? else { return Ok(None) };
        let one = repositories.iter().find(|one| one["path"] == path).with_context(|| format!("there is no {path}"))?;
        self.list(&format!("repositories/{}/packages", one["id"])).await
    }

    pub(super) async fn no_mixture(&mut self) -> Result<()> {
        let binary = self.packages("BaseOS/x86_64").await?;
        let source = self.packages("source").await?;
        match (binary, source) {
            (Some(binary), Some(source)) => {
                invariants::no_mixture(&binary, &source).map_err(|complaint| anyhow!(complaint))
            }
            _ => Ok(()),
        }
    }

    /// Whatever failed was started again until it succeeded, and what was pushed came to releases.
    pub(super) fn everything_is_released(
        &self,
        builds: &[Value],
        rebuilds: &[Value],
        releases: &[Value],
    ) -> Result<()> {
        let failed = |build: &&Value| build["status"] != "succeeded" && !is_left_out(build, rebuilds);
        if let Some(build) = builds.iter().find(failed) {
            return Err(anyhow!("build {} is {} at the end", build["id"], build["status"]));
        }
        invariants::pushes_are_built_once(&self.pushed, builds, releases).map_err(|complaint| anyhow!(complaint))
    }
}

/// Returns whether a build is a mass rebuild of which people left everything out: nothing is left that could be started again.
fn is_left_out(build: &Value, rebuilds: &[Value]) -> bool {
    let is_rebuild = rebuilds.iter().any(|rebuild| rebuild["build"]["id"] == build["id"]);
    let summary = build["summary"].as_str().unwrap_or_default();
    is_rebuild && build["status"] == "failed" && summary.starts_with("Failed: nothing is left to build")
}
