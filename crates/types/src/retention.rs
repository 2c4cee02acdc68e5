//! What is kept and for how long: which snapshots of a repository, which artifacts. What is dropped, and why.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Sha256, Timestamp, repository::Compression};

const DAY_SECS: i64 = 86_400;
/// Artifacts of builds that came to nothing are of use while somebody looks for the reason.
pub const FAILED_BUILD_DAYS: i64 = 30;
/// Metadata that a release made and no snapshot has: somebody may still look at the release's log.
pub const UNUSED_METADATA_DAYS: i64 = 2;
/// A file that no row names may belong to an upload that is under way: the longest takes two hours.
pub const STRAY_FILE_DAYS: i64 = 1;
/// Artifacts that one answer names; the others are counted.
pub const MAX_NAMED: usize = 1_000;

/// `PUT /api/v1/repositories/{repository}/settings`: how a repository's metadata is made and which of its snapshots stay.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepositorySettings {
    /// How its metadata is packed, from the next snapshot on.
    #[serde(default)]
    pub compression: Compression,
    /// Which snapshots stay; without a rule all of them do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<SnapshotRule>,
}

/// A snapshot stays if it is among the newest so many, or not older than so many days.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotRule {
    /// How many of the newest stay, whatever their age.
    pub newest_count: u32,
    /// How old one may be.
    pub days: u32,
}

/// `PUT /api/v1/repositories/{repository}/snapshots/{number}/pin`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pin {
    /// Why it stays, whatever the rule says.
    pub reason: String,
}

/// What the rule looks at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotFacts {
    /// The snapshot.
    pub number: i64,
    /// What it was made from.
    pub base: i64,
    /// When.
    pub created_at: Timestamp,
    /// Why somebody wants it to stay.
    pub pin: Option<String>,
}

/// Whether a snapshot stays, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It stays.
    Kept(String),
    /// It goes.
    Dropped(String),
}

/// Decides over all snapshots of a repository. `current` is what users see; `in_use` are snapshots that something else
/// names (a platform's file, an open release), with the reason.
pub fn decide(
    snapshots: &[SnapshotFacts],
    rule: Option<SnapshotRule>,
    current: i64,
    in_use: &[(i64, String)],
    now: Timestamp,
) -> Vec<(i64, Fate)> {
    let base = snapshots.iter().find(|snapshot| snapshot.number == current).map(|snapshot| snapshot.base);
    let mut newest_first: Vec<&SnapshotFacts> = snapshots.iter().collect();
    newest_first.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.number));
    let fates = newest_first.iter().zip(1_u32..).map(|(snapshot, place)| {
        let kept = |why: String| (snapshot.number, Fate::Kept(why));
        let named = in_use.iter().find(|(number, _)| *number == snapshot.number);
        let age_days = now.secs_since(snapshot.created_at) as i64 / DAY_SECS;
        match (rule, &snapshot.pin, named) {
            _ if snapshot.number == current => kept("users see it".to_string()),
            (_, Some(reason), _) => kept(format!("it is pinned: {reason}")),
            (_, _, Some((_, reason))) => kept(reason.clone()),
            _ if base == Some(snapshot.number) => kept("the current one can be taken back to it".to_string()),
            (None, _, _) => kept("no rule says otherwise".to_string()),
            (Some(rule), _, _) if place <= rule.newest_count => {
                kept(format!("it is one of the newest {}", rule.newest_count))
            }
            (Some(rule), _, _) if age_days <= i64::from(rule.days) => {
                kept(format!("it is not older than {} days", rule.days))
            }
            (Some(rule), _, _) => {
                let why = format!(
                    "{age_days} days old, and {} newer ones: the rule keeps {} and {} days",
                    place - 1,
                    rule.newest_count,
                    rule.days
                );
                (snapshot.number, Fate::Dropped(why))
            }
        }
    });
    fates.collect()
}

/// An event stays so long at least: who reads the stream of them, another master or a webhook may have been away and goes on where
/// it stopped, and a number of an event that is gone says nothing.
pub const MIN_AUDIT_DAYS: u32 = 30;

/// `[retention]` of the configuration: what goes by its age alone. What has no rule stays: nobody can make an old log, a build or
/// who did what anew, and how long they are owed to somebody is for an operator to know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Logs of tasks stay for so long after their end. Those of builds that somebody deleted go with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_days: Option<u32>,
    /// What builds made that ended well and that no release carries stays for so long, as if nobody deleted it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreleased_build_days: Option<u32>,
    /// Events stay for so long, [`MIN_AUDIT_DAYS`] at least: they are the audit, and how a build came to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_days: Option<u32>,
}

impl Rules {
    /// Says what is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        let days = [
            ("logs_days", self.logs_days),
            ("unreleased_build_days", self.unreleased_build_days),
            ("audit_days", self.audit_days),
        ];
        if let Some((name, _)) = days.iter().find(|(_, days)| *days == Some(0)) {
            return Err(format!(
                "[retention] {name} = 0 would drop all of it at once, what just ended too: write 1 or more, or leave the line out and it stays for ever"
            ));
        }
        match self.audit_days {
            Some(days) if days < MIN_AUDIT_DAYS => Err(format!(
                "[retention] audit_days = {days} is too few: readers of events go on where they stopped, within {MIN_AUDIT_DAYS} days"
            )),
            _ => Ok(()),
        }
    }
}

/// What was dropped, or would be.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Collection {
    /// Whether nothing was done: it says what would be.
    pub is_dry_run: bool,
    /// Snapshots that go.
    pub snapshots: Vec<SnapshotFate>,
    /// Snapshots that stay, with the reason.
    pub kept_snapshots: Vec<SnapshotFate>,
    /// Artifacts that go; the largest of them, where there are many.
    pub artifacts: Vec<DroppedArtifact>,
    /// How many artifacts go.
    pub artifact_count: usize,
    /// The room that they take.
    pub size_bytes: u64,
    /// What goes by its age.
    #[serde(default)]
    pub rules: Rules,
    /// Builds that go because no release carries them.
    #[serde(default)]
    pub build_count: usize,
    /// Tasks whose logs go.
    #[serde(default)]
    pub log_count: usize,
    /// Events that go.
    #[serde(default)]
    pub event_count: usize,
}

/// A snapshot, and why it goes or stays.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotFate {
    /// `PRODUCT/PATH@N`
    pub address: String,
    /// Why.
    pub reason: String,
}

/// An artifact that goes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DroppedArtifact {
    /// The artifact.
    pub sha256: Sha256,
    /// The name that it had, where it had one.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshots(count: i64) -> Vec<SnapshotFacts> {
        let snapshot = |number| SnapshotFacts {
            number,
            base: number - 1,
            created_at: Timestamp(number * DAY_SECS * 1_000_000),
            pin: (number == 2).then(|| "the lab uses it".to_string()),
        };
        (1..=count).map(snapshot).collect()
    }

    fn dropped(rule: Option<SnapshotRule>, current: i64, in_use: &[(i64, String)]) -> Vec<i64> {
        let now = Timestamp(10 * DAY_SECS * 1_000_000);
        let fates = decide(&snapshots(10), rule, current, in_use, now);
        assert_eq!(fates.len(), 10);
        fates.into_iter().filter(|(_, fate)| matches!(fate, Fate::Dropped(_))).map(|(number, _)| number).collect()
    }

    #[test]
    fn without_a_rule_everything_stays() {
        assert_eq!(dropped(None, 10, &[]), [0; 0]);
    }

    #[test]
    fn what_is_neither_new_nor_young_nor_wanted_goes() {
        let rule = Some(SnapshotRule { newest_count: 2, days: 3 });

        assert_eq!(dropped(rule, 10, &[]), [6, 5, 4, 3, 1]);
        assert_eq!(dropped(rule, 10, &[(4, "platform x builds on it".into())]), [6, 5, 3, 1]);
    }

    #[test]
    fn what_users_see_and_what_they_would_see_after_a_revert_stays_however_old() {
        let rule = Some(SnapshotRule { newest_count: 0, days: 0 });

        assert_eq!(dropped(rule, 5, &[]), [9, 8, 7, 6, 3, 1]);
    }
}
