//! A release: which packages go to which repositories, from the plan to the switch and back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Nevra, Sha256, Timestamp, gate,
    id::{BuildId, ReleaseId, RepositoryId},
};

/// Where a release stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The release system is making the plan.
    Planning,
    /// The plan is there to be read; a person decides.
    Planned,
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
pub enum Event {
    /// The plan is made.
    PlanMade,
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

impl Status {
    /// All of them.
    pub const ALL: [Status; 8] = [
        Status::Planning,
        Status::Planned,
        Status::Publishing,
        Status::Signing,
        Status::Released,
        Status::Reverted,
        Status::Failed,
        Status::Abandoned,
    ];

    /// Returns the word that is kept in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Planning => "planning",
            Status::Planned => "planned",
            Status::Publishing => "publishing",
            Status::Signing => "signing",
            Status::Released => "released",
            Status::Reverted => "reverted",
            Status::Failed => "failed",
            Status::Abandoned => "abandoned",
        }
    }

    /// Returns the status of that name.
    pub fn from_name(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Returns whether a node works on it.
    pub const fn is_moving(self) -> bool {
        matches!(self, Status::Planning | Status::Publishing | Status::Signing)
    }
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 8] = [
        Event::PlanMade,
        Event::Committed,
        Event::MetadataMade,
        Event::Switched,
        Event::Reverted,
        Event::Failed,
        Event::Abandoned,
        Event::Replanned,
    ];

    /// Returns the word that is kept in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Event::PlanMade => "plan_made",
            Event::Committed => "committed",
            Event::MetadataMade => "metadata_made",
            Event::Switched => "switched",
            Event::Reverted => "reverted",
            Event::Failed => "failed",
            Event::Abandoned => "abandoned",
            Event::Replanned => "replanned",
        }
    }
}

/// Returns the status after `event`, or `None` where it cannot happen.
pub const fn next(status: Status, event: Event) -> Option<Status> {
    use Status::*;
    Some(match (status, event) {
        (Planning, Event::PlanMade) => Planned,
        (Planned, Event::Committed) => Publishing,
        (Publishing, Event::MetadataMade) => Signing,
        (Signing, Event::Switched) => Released,
        (Released, Event::Reverted) => Reverted,
        (Planning | Publishing | Signing, Event::Failed) => Failed,
        (Planning | Planned | Failed, Event::Abandoned) => Abandoned,
        (Planned | Publishing | Signing | Failed, Event::Replanned) => Planning,
        _ => return None,
    })
}

/// How sure the plan is of a placement.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The same name is in this repository already, for the same architecture or for all.
    SameName,
    /// Another package of the same source is in this repository already.
    SameSource,
    /// The kind of package decides (debug, source).
    ByKind,
    /// Nothing was found: the product's default.
    Default,
}

/// One line of a plan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanEntry {
    /// The package.
    #[schema(value_type = String)]
    pub nevra: Nevra,
    /// The signed package.
    #[schema(value_type = String)]
    pub artifact: Sha256,
    /// Where it goes.
    pub repository: RepositoryId,
    /// The repository's address within the product, such as `BaseOS/x86_64`.
    pub repository_path: String,
    /// The packages of the same name that it takes the place of.
    #[schema(value_type = Vec<String>)]
    pub replaces: Vec<Nevra>,
    /// How sure the plan is.
    pub trust: Trust,
    /// Why there, in words.
    pub reason: String,
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
    /// The build.
    pub build: BuildId,
    /// The plan, once it is made.
    pub plan: Vec<PlanEntry>,
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
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When users first saw it.
    #[schema(value_type = Option<String>)]
    pub released_at: Option<Timestamp>,
}

/// `POST /api/v1/releases`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateRelease {
    /// The build.
    pub build: BuildId,
    /// The product.
    pub product: String,
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
             planned committed publishing\nplanned abandoned abandoned\nplanned replanned planning\n\
             publishing metadata_made signing\npublishing failed failed\npublishing replanned planning\n\
             signing switched released\nsigning failed failed\nsigning replanned planning\nreleased reverted reverted\n\
             failed abandoned abandoned\nfailed replanned planning\n"
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
}
