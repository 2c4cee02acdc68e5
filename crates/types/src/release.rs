//! A release: which packages go to which repositories, from the plan to the switch and back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::release_content::{
    Approval, Content, CreateRelease, Edit, EditRelease, Import, MadeEdit, ScheduleRelease,
};
use crate::{
    Nevra, Sha256, Timestamp, gate,
    id::{BuildId, ReleaseId, RepositoryId},
    words::words,
};

/// Where a release stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReleaseStatus)]
pub enum Status {
    /// The release system is making the plan.
    Planning,
    /// The plan is there to be read; a person decides.
    Planned,
    /// It was decided, and goes to users when its time has come.
    Scheduled,
    /// The release system is making the new metadata.
    Publishing,
    /// The new metadata is being signed.
    Signing,
    /// Users see it.
    Released,
    /// It was taken back.
    Reverted,
    /// It could not be done; nothing was changed for users.
    Failed,
    /// The plan was thrown away.
    Abandoned,
}

/// What happens to a release.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReleaseEvent)]
pub enum Event {
    /// The plan is made.
    PlanMade,
    /// Somebody wants something to go elsewhere, or not at all: it is planned with that.
    Edited,
    /// It is decided: go, but later.
    Scheduled,
    /// It shall not go by itself any more.
    Unscheduled,
    /// It is decided: go.
    Committed,
    /// The metadata is made.
    MetadataMade,
    /// The pointers of all its repositories were moved, at once.
    Switched,
    /// The pointers were moved back.
    Reverted,
    /// A step failed.
    Failed,
    /// The plan was thrown away.
    Abandoned,
    /// Another release came first, or somebody wants it tried again: it is planned anew.
    Replanned,
}

words!(Status {
    Planning = "planning",
    Planned = "planned",
    Scheduled = "scheduled",
    Publishing = "publishing",
    Signing = "signing",
    Released = "released",
    Reverted = "reverted",
    Failed = "failed",
    Abandoned = "abandoned",
});

impl Status {
    /// Returns whether a node works on it.
    pub const fn is_moving(self) -> bool {
        matches!(self, Status::Planning | Status::Publishing | Status::Signing)
    }
}

words!(Event {
    PlanMade = "plan_made",
    Edited = "edited",
    Scheduled = "scheduled",
    Unscheduled = "unscheduled",
    Committed = "committed",
    MetadataMade = "metadata_made",
    Switched = "switched",
    Reverted = "reverted",
    Failed = "failed",
    Abandoned = "abandoned",
    Replanned = "replanned",
});

/// Returns the status after `event`, or `None` where it cannot happen.
pub const fn next(status: Status, event: Event) -> Option<Status> {
    use Status::*;
    Some(match (status, event) {
        (Planning, Event::PlanMade) => Planned,
        (Planned | Scheduled | Failed, Event::Edited) => Planning,
        (Planned, Event::Scheduled) => Scheduled,
        (Scheduled, Event::Unscheduled) => Planned,
        (Planned | Scheduled, Event::Committed) => Publishing,
        (Publishing, Event::MetadataMade) => Signing,
        (Signing, Event::Switched) => Released,
        (Released, Event::Reverted) => Reverted,
        (Planning | Publishing | Signing, Event::Failed) => Failed,
        (Planning | Planned | Scheduled | Failed, Event::Abandoned) => Abandoned,
        (Planned | Scheduled | Publishing | Signing | Failed, Event::Replanned) => Planning,
        _ => return None,
    })
}

/// How sure the plan is of a placement.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// A person said so.
    Person,
    /// This very package is there: in the last release, in the reference, or where it is copied from.
    Exact,
    /// The same name and version is there.
    SameVersion,
    /// The same name is there, for the same architecture or for all.
    SameName,
    /// Another package of the same source is there.
    SameSource,
    /// A rule decides: the kind of package (debug, source), or where an import wants it.
    #[serde(alias = "by_kind")]
    ByRule,
    /// Nothing was found: the product's default.
    Default,
}

impl Trust {
    /// All of them, the surest first.
    pub const ALL: [Trust; 7] = [
        Trust::Person,
        Trust::Exact,
        Trust::SameVersion,
        Trust::SameName,
        Trust::SameSource,
        Trust::ByRule,
        Trust::Default,
    ];

    /// Returns the word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Trust::Person => "a person said so",
            Trust::Exact => "exact",
            Trust::SameVersion => "same version",
            Trust::SameName => "same name",
            Trust::SameSource => "same source",
            Trust::ByRule => "by rule",
            Trust::Default => "nothing found",
        }
    }
}

/// One line of a plan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanEntry {
    /// The package.
    pub nevra: Nevra,
    /// The signed package.
    pub artifact: Sha256,
    /// Where it goes.
    pub repository: RepositoryId,
    /// The repository's address within the product, such as `BaseOS/x86_64`.
    pub repository_path: String,
    /// The packages of the same name that it takes the place of.
    pub replaces: Vec<Nevra>,
    /// How sure the plan is.
    pub trust: Trust,
    /// Why there, in words.
    pub reason: String,
}

/// A package that users no longer see after the release, and that nothing takes the place of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanRemoval {
    /// The package.
    pub nevra: Nevra,
    /// Where it is.
    pub repository: RepositoryId,
    /// The repository's address within the product.
    pub repository_path: String,
    /// Why it goes, in words.
    pub reason: String,
}

/// A package that the release carries and that goes nowhere.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// The package.
    pub nevra: Nevra,
    /// Why, in words.
    pub reason: String,
}

/// What becomes of a file of metadata that stands beside that of the packages.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentFate {
    /// It comes.
    Added,
    /// It takes the place of an older one.
    Changed,
    /// It goes.
    Removed,
}

impl AttachmentFate {
    /// Returns the word for people.
    pub const fn name(self) -> &'static str {
        match self {
            AttachmentFate::Added => "added",
            AttachmentFate::Changed => "changed",
            AttachmentFate::Removed => "removed",
        }
    }
}

/// What a release changes of the metadata that a repository has beside that of its packages.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanAttachment {
    /// The repository.
    pub repository: RepositoryId,
    /// Its address within the product.
    pub repository_path: String,
    /// The file's name, such as `updateinfo.xml.gz`.
    pub name: String,
    /// What becomes of it.
    pub fate: AttachmentFate,
    /// The file that comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

/// A release as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Where it stands.
    pub status: Status,
    /// The product.
    pub product: String,
    /// What it carries.
    pub content: Content,
    /// The build, where it carries one.
    pub build: Option<BuildId>,
    /// The plan, once it is made.
    pub plan: Vec<PlanEntry>,
    /// What users no longer see after it.
    #[serde(default)]
    pub removals: Vec<PlanRemoval>,
    /// What it carries and does not give to users.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// What it changes beside the packages.
    #[serde(default)]
    pub attachments: Vec<PlanAttachment>,
    /// What people changed of the plan.
    #[serde(default)]
    pub edits: Vec<MadeEdit>,
    /// Who said that the plan is good.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// How many have to say so before it may go.
    #[serde(default)]
    pub approvals_wanted: u32,
    /// When it goes to users, where that was said.
    #[serde(default)]
    pub scheduled_at: Option<Timestamp>,
    /// What the gates found in it.
    #[serde(default)]
    pub gates: Vec<gate::Answer>,
    /// What was published: repository address with the snapshot's number, such as `BaseOS/x86_64@3`.
    pub snapshots: Vec<String>,
    /// Its state in one sentence.
    pub summary: String,
    /// Who decided.
    pub committed_by: Option<String>,
    /// Why, where a gate asked for it or somebody said so.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When users first saw it.
    pub released_at: Option<Timestamp>,
}

/// A release in a list: how much it carries, where `GET /api/v1/releases/{release}` says what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListedRelease {
    /// Its id.
    pub id: ReleaseId,
    /// Where it stands.
    pub status: Status,
    /// The product.
    pub product: String,
    /// What it carries.
    pub content: Content,
    /// The build, where it carries one.
    pub build: Option<BuildId>,
    /// How many packages its plan gives to repositories.
    pub package_count: u64,
    /// How many packages users no longer see after it.
    pub removal_count: u64,
    /// How many it carries and does not give to users.
    pub left_out_count: u64,
    /// Who said that the plan is good.
    pub approvals: Vec<Approval>,
    /// How many have to say so before it may go.
    pub approvals_wanted: u32,
    /// When it goes to users, where that was said.
    pub scheduled_at: Option<Timestamp>,
    /// What was published: repository address with the snapshot's number, such as `BaseOS/x86_64@3`.
    pub snapshots: Vec<String>,
    /// Its state in one sentence.
    pub summary: String,
    /// Who decided.
    pub committed_by: Option<String>,
    /// Why, where a gate asked for it or somebody said so.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When users first saw it.
    pub released_at: Option<Timestamp>,
}

/// Query of `GET /api/v1/releases`: the newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ListQuery {
    /// Only releases to this product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Only releases that stand so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// `POST /api/v1/releases/{release}/commit` and `…/force`; the former may have no body at all.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommitRelease {
    /// Why, although a gate asks. It stands in the release's events for good.
    #[serde(default)]
    pub reason: Option<String>,
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
            "planning plan_made planned\nplanning failed failed\nplanning abandoned abandoned\n\
             planned edited planning\nplanned scheduled scheduled\nplanned committed publishing\n\
             planned abandoned abandoned\nplanned replanned planning\n\
             scheduled edited planning\nscheduled unscheduled planned\nscheduled committed publishing\n\
             scheduled abandoned abandoned\nscheduled replanned planning\n\
             publishing metadata_made signing\npublishing failed failed\npublishing replanned planning\n\
             signing switched released\nsigning failed failed\nsigning replanned planning\nreleased reverted reverted\n\
             failed edited planning\nfailed abandoned abandoned\nfailed replanned planning\n"
        );
    }

    #[test]
    fn users_see_a_release_only_after_it_was_signed() {
        for status in Status::ALL {
            for event in Event::ALL {
                if next(status, event) == Some(Status::Released) {
                    assert_eq!((status, event), (Status::Signing, Event::Switched));
                }
            }
        }
    }

    #[test]
    fn a_plan_of_an_earlier_version_is_still_read() {
        assert_eq!(serde_json::from_str::<Trust>("\"by_kind\"").unwrap(), Trust::ByRule);
    }
}
