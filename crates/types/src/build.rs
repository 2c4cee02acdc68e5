//! A build: one request of packages × platforms × architectures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch, Timestamp,
    id::{BuildId, ReleaseId},
    task::Task,
    words::words,
};

/// Packages in one build at most: more than any distribution has. What is looked at as a whole is linear in it.
pub const MAX_PACKAGES: usize = 20_000;

/// Where a build stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BuildStatus)]
pub enum Status {
    /// Source packages are being made; the order is not known yet.
    Sources,
    /// Binary packages are being made.
    Building,
    /// Packages are being tested.
    Testing,
    /// Packages are being signed.
    Signing,
    /// Everything is there, tested and signed.
    Succeeded,
    /// Something failed.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// What happens to a build.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BuildEvent)]
pub enum Event {
    /// All source packages are there.
    SourcesMade,
    /// All binary packages are there.
    Built,
    /// Every verdict is green.
    Tested,
    /// Every package is signed.
    Signed,
    /// A task failed, and no other can go on.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// Somebody wants what failed tried again.
    Restarted,
}

words!(Status {
    Sources = "sources",
    Building = "building",
    Testing = "testing",
    Signing = "signing",
    Succeeded = "succeeded",
    Failed = "failed",
    Cancelled = "cancelled",
});

impl Status {
    /// Returns whether nothing more happens unless somebody restarts it.
    pub const fn is_ended(self) -> bool {
        matches!(self, Status::Succeeded | Status::Failed | Status::Cancelled)
    }
}

words!(Event {
    SourcesMade = "sources_made",
    Built = "built",
    Tested = "tested",
    Signed = "signed",
    Failed = "failed",
    Cancelled = "cancelled",
    Restarted = "restarted",
});

/// Returns the status after `event`, or `None` where it cannot happen. A restarted build begins at its sources
/// again; tasks that had succeeded stay so, and it moves on at once past what is there.
pub const fn next(status: Status, event: Event) -> Option<Status> {
    use Status::*;
    Some(match (status, event) {
        (Sources, Event::SourcesMade) => Building,
        (Building, Event::Built) => Testing,
        (Testing, Event::Tested) => Signing,
        (Signing, Event::Signed) => Succeeded,
        (Sources | Building | Testing | Signing, Event::Failed) => Failed,
        (Sources | Building | Testing | Signing, Event::Cancelled) => Cancelled,
        (Failed | Cancelled, Event::Restarted) => Sources,
        _ => return None,
    })
}

/// How much a build is hurried. It moves a build's tasks in the queue by a day and not more, so that nothing waits for ever.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A mass rebuild, which takes what others leave.
    Background,
    /// What a packager waits for.
    #[default]
    Normal,
    /// A security fix.
    Urgent,
}

words!(Priority {
    Background = "background",
    Normal = "normal",
    Urgent = "urgent",
});

/// One package of a request: where its source is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceRef {
    /// The repository's name in the Git Service, which is the package's name.
    pub package: String,
    /// A branch, tag or commit; none means the platform's branch.
    #[serde(default)]
    pub reference: Option<String>,
}

/// How a build differs from others.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Options {
    /// Flavors of its platforms, in their order: where two say something of one thing, the later one's word counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flavors: Vec<String>,
    /// Builds whose packages its buildroots and tests see, as they see its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked: Vec<BuildId>,
}

/// Builds that are linked to one at most: each is a repository more in its roots.
pub const MAX_LINKED: usize = 16;

/// `POST /api/v1/builds`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateBuild {
    /// What to build, in any order.
    pub packages: Vec<SourceRef>,
    /// The platforms' names.
    pub platforms: Vec<String>,
    /// The architectures; empty means all that the platform has and a node runs.
    #[serde(default)]
    pub architectures: Vec<Arch>,
    /// How much it is hurried.
    #[serde(default)]
    pub priority: Priority,
    /// How it differs from others.
    #[serde(flatten)]
    pub options: Options,
}

/// Query of `GET /api/v1/builds`: newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ListQuery {
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only builds older than this one: the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BuildId>,
    /// Only builds of this package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Only builds on this platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Only builds that this token's owner asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Only builds that stand so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// One source of a build, resolved to its commit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// The package's name.
    pub package: String,
    /// The branch or tag that was asked for.
    pub reference: String,
    /// The commit that it named then.
    pub commit: String,
}

/// A build as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// Where it stands.
    pub status: Status,
    /// Who asked for it.
    pub owner: String,
    /// How it came to be: "pushed to rpms/jq@s1" or "asked for by NAME".
    pub reason: String,
    /// What is built.
    pub sources: Vec<Source>,
    /// On which platforms.
    pub platforms: Vec<String>,
    /// For which architectures.
    pub architectures: Vec<Arch>,
    /// How much it is hurried.
    #[serde(default)]
    pub priority: Priority,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its state in one sentence, with the reason where it failed or waits.
    pub summary: String,
    /// Releases that carry it.
    pub releases: Vec<ReleaseId>,
    /// How it differs from others.
    #[serde(flatten)]
    pub options: Options,
    /// When somebody deleted what it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub deleted_at: Option<Timestamp>,
}

/// Packages of a build that wait for one another on a platform, and how they are built all the same.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = BuildCircle)]
pub struct Circle {
    /// The platform's name.
    pub platform: String,
    /// All of them.
    pub members: Vec<String>,
    /// One way round.
    pub path: Vec<String>,
    /// The way out: each first package is built with what the platform has of the second.
    // Generators of clients stumble over the schema of a pair.
    #[schema(value_type = Vec<Vec<String>>)]
    pub bootstrap: Vec<(String, String)>,
}

/// `GET /api/v1/builds/{build}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildDetail {
    /// The build.
    #[serde(flatten)]
    pub build: Build,
    /// All its tasks.
    pub tasks: Vec<Task>,
    /// Packages that wait for one another, once the order is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub circles: Vec<Circle>,
}

impl Circle {
    /// Returns the packages that are built with what the platform has of others: those that it pays to build once more when this
    /// build is released.
    pub fn again(&self) -> Vec<&str> {
        let mut again: Vec<&str> = self.bootstrap.iter().map(|(first, _)| first.as_str()).collect();
        again.sort_unstable();
        again.dedup();
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_status_and_event_is_decided() {
        let mut table = String::new();
        for status in Status::ALL {
            for event in Event::ALL {
                if let Some(next) = next(status, event) {
                    table += &format!("{} {} {}\n", status.name(), event.name(), next.name());
                }
            }
        }

        assert_eq!(
            table,
            "sources sources_made building\nsources failed failed\nsources cancelled cancelled\nbuilding built testing\n\
             building failed failed\nbuilding cancelled cancelled\ntesting tested signing\ntesting failed failed\n\
             testing cancelled cancelled\nsigning signed succeeded\nsigning failed failed\nsigning cancelled cancelled\n\
             failed restarted sources\ncancelled restarted sources\n"
        );
    }
}
