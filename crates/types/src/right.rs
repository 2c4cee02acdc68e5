//! Rights: a role that an account or a team has, everywhere or for one thing. Default deny: what no right covers, nobody
//! may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    id::{KeyId, RightId},
    permission::{Permission, Role},
};

/// What a right may be for. Written as `platform:seed-1`, `product:seed-1`, `key:3`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Thing {
    /// A platform: what is built for it.
    Platform(String),
    /// A product, with its repositories, releases, key, and what is built for a platform that releases to it.
    Product(String),
    /// A signing key.
    Key(KeyId),
}

/// What a request is about: whoever has a right for one of these things may do it.
pub type Target = Vec<Thing>;

/// A role, and where it counts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Right {
    /// The role.
    pub role: Role,
    /// For this thing only; everywhere where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Thing>,
}

/// A right as somebody gave it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GivenRight {
    /// Its id.
    pub id: RightId,
    /// The account that has it, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Or the team whose members have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The right.
    #[serde(flatten)]
    pub right: Right,
    /// Who gave it.
    pub given_by: String,
    /// When.
    pub given_at: Timestamp,
}

/// `POST /api/v1/rights`: to an account or to a team.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GiveRight {
    /// The account's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The team's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The right.
    #[serde(flatten)]
    pub right: Right,
}

impl Right {
    /// Returns a role that counts everywhere.
    pub const fn everywhere(role: Role) -> Right {
        Right { role, on: None }
    }

    /// Returns whether it allows something with all of these things; with none, only a right that counts everywhere does.
    pub fn covers(&self, permission: Permission, target: &[Thing]) -> bool {
        self.role.may(permission) && self.on.as_ref().is_none_or(|on| target.contains(on))
    }
}

/// Returns whether these rights allow something: each target is covered by one of them. What has no target concerns the
/// whole system.
pub fn allow(rights: &[Right], permission: Permission, targets: &[Target]) -> bool {
    let covered = |target: &[Thing]| rights.iter().any(|right| right.covers(permission, target));
    match targets {
        [] => covered(&[]),
        targets => targets.iter().all(|target| covered(target)),
    }
}

/// Returns whether there is anything for which these rights allow it.
pub fn allow_somewhere(rights: &[Right], permission: Permission) -> bool {
    rights.iter().any(|right| right.role.may(permission))
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Platform(name) => write!(f, "platform:{name}"),
            Thing::Product(name) => write!(f, "product:{name}"),
            Thing::Key(id) => write!(f, "key:{id}"),
        }
    }
}

impl FromStr for Right {
    type Err = String;

    /// Reads what [`Right`]'s `Display` writes: `contributor on platform:seed-1`, or `contributor` alone for everywhere.
    fn from_str(text: &str) -> Result<Right, String> {
        let (role, on) = match text.trim().split_once(" on ") {
            Some((role, on)) => (role, Some(on.trim().parse()?)),
            None => (text.trim().trim_end_matches(" everywhere"), None),
        };
        let role = Role::from_name(role.trim()).filter(|role| role.is_of_people());
        let role = role.ok_or_else(|| format!("\"{text}\" is none of ROLE, ROLE on THING"))?;
        Ok(Right { role, on })
    }
}

impl fmt::Display for Right {
    /// Writes it for people: `contributor on platform:seed-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.on {
            Some(on) => write!(f, "{} on {on}", self.role.name()),
            None => write!(f, "{} everywhere", self.role.name()),
        }
    }
}

impl FromStr for Thing {
    type Err = String;

    fn from_str(text: &str) -> Result<Thing, String> {
        let wrong = || format!("\"{text}\" is none of platform:NAME, product:NAME, key:ID");
        match text.split_once(':').ok_or_else(wrong)? {
            (_, "") => Err(wrong()),
            ("platform", name) => Ok(Thing::Platform(name.to_string())),
            ("product", name) => Ok(Thing::Product(name.to_string())),
            ("key", id) => id.parse().map(Thing::Key).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Thing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Thing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Thing, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(role: Role, thing: &str) -> Right {
        Right { role, on: Some(thing.parse().unwrap()) }
    }

    fn target(things: &[&str]) -> Target {
        things.iter().map(|thing| thing.parse().unwrap()).collect()
    }

    #[test]
    fn no_right_allows_nothing_but_reading_by_a_role() {
        assert!(!allow(&[], Permission::Read, &[]));
        assert!(allow(&[Right::everywhere(Role::Anonymous)], Permission::Read, &[]));
    }

    #[test]
    fn a_right_for_a_thing_is_good_for_that_thing_and_not_for_the_whole() {
        let rights = [on(Role::Contributor, "platform:seed-1")];

        assert!(allow(&rights, Permission::Build, &[target(&["platform:seed-1", "product:seed"])]));
        assert!(!allow(&rights, Permission::Build, &[target(&["platform:seed-2"])]));
        assert!(!allow(&rights, Permission::Build, &[]));
        assert!(!allow(&rights, Permission::Release, &[target(&["platform:seed-1"])]));
        assert!(allow_somewhere(&rights, Permission::Build) && !allow_somewhere(&rights, Permission::Release));
    }

    #[test]
    fn a_request_about_two_things_needs_a_right_for_each() {
        let both = [target(&["platform:a"]), target(&["platform:b"])];
        let one = on(Role::Contributor, "platform:a");
        let other = on(Role::Contributor, "platform:b");

        assert!(!allow(std::slice::from_ref(&one), Permission::Build, &both));
        assert!(allow(&[one, other], Permission::Build, &both));
        assert!(allow(&[Right::everywhere(Role::Contributor)], Permission::Build, &both));
    }

    #[test]
    fn a_target_that_nothing_is_known_of_is_covered_only_everywhere() {
        assert!(!allow(&[on(Role::Admin, "product:p")], Permission::Build, &[target(&[])]));
        assert!(allow(&[Right::everywhere(Role::Admin)], Permission::Build, &[target(&[])]));
    }

    #[test]
    fn a_thing_reads_back_and_what_is_none_is_refused() {
        for text in ["platform:seed-1", "product:a:b", "key:3"] {
            assert_eq!(text.parse::<Thing>().unwrap().to_string(), text);
        }
        for bad in ["", "seed-1", "product:", "key:x", "node:n1"] {
            assert!(bad.parse::<Thing>().is_err(), "{bad}");
        }
        let right: Right = serde_json::from_str(r#"{"role":"signer","on":"key:3"}"#).unwrap();
        assert_eq!(right.to_string(), "signer on key:3");
    }
}
