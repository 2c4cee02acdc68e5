//! API tokens: 32 random bytes, known to the server only by their hash. A token belongs to a person, and may then do no
//! more than that person, within its scopes; or it is that of a part of the system.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    id::TokenId,
    permission::{Permission, Role},
    right::{Right, Target, Thing},
};

/// Days that a person's token is good for, where nothing is said.
pub const DEFAULT_DAYS: u32 = 90;
/// Days that a person's token is good for at most.
pub const MAX_DAYS: u32 = 366;

/// `POST /api/v1/tokens`
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateToken {
    /// What it is called: what a person uses it for, or the name of a part of the system.
    pub name: String,
    /// What a token may do that belongs to no person; without it the token is the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// To what it is narrowed.
    #[serde(default, skip_serializing_if = "Scopes::is_all")]
    pub scopes: Scopes,
    /// After how many days it ends; for a person's own token 90 where nothing is said, and 366 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// To what a token is narrowed. What is not said is not narrowed.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scopes {
    /// These permissions only.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub permissions: BTreeSet<Permission>,
    /// What concerns these products only.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub products: BTreeSet<String>,
    /// What is built for these platforms only.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub platforms: BTreeSet<String>,
}

impl Scopes {
    /// Returns whether nothing is narrowed.
    pub fn is_all(&self) -> bool {
        *self == Scopes::default()
    }

    /// Returns whether the permission is within them, whatever it is for. What is one's own is of no product and no platform:
    /// a token that is narrowed to some has it only if it says so.
    pub fn has(&self, permission: Permission) -> bool {
        let is_all_by_default = permission != Permission::Own || self.is_about_all();
        permission == Permission::Read
            || (self.permissions.is_empty() && is_all_by_default)
            || self.permissions.contains(&permission)
    }

    fn is_about_all(&self) -> bool {
        self.products.is_empty() && self.platforms.is_empty()
    }

    /// Returns whether something is within them. What concerns the whole system is not within those of products or
    /// platforms.
    pub fn cover(&self, permission: Permission, targets: &[Target]) -> bool {
        if !self.has(permission) {
            return false;
        }
        // Reading, and minding what is one's own, is not about products.
        if self.is_about_all() || matches!(permission, Permission::Read | Permission::Own) {
            return true;
        }
        let is_within = |thing: &Thing| match thing {
            Thing::Product(name) => self.products.contains(name),
            Thing::Platform(name) => self.platforms.contains(name),
            Thing::Key(_) => false,
        };
        !targets.is_empty() && targets.iter().all(|target| target.iter().any(is_within))
    }
}

/// The answer, once: the secret is not kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Its id.
    pub id: TokenId,
    /// What to send as `Authorization: Bearer …`.
    pub secret: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is called.
    pub name: String,
    /// What it may do; `person` is what its owner may.
    pub role: Role,
    /// The account that it belongs to, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// To what it is narrowed.
    #[serde(default, skip_serializing_if = "Scopes::is_all")]
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

/// The answer to `GET /api/v1/tokens/whoami`: whose token was sent with it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The account's or the token's name.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// What they may, and where.
    #[serde(default)]
    pub rights: Vec<Right>,
    /// To what their token is narrowed.
    #[serde(default, skip_serializing_if = "Scopes::is_all")]
    pub scopes: Scopes,
    /// Where they may push.
    #[serde(default)]
    pub pushes: Pushes,
    /// Through what they call, as the audit has it: `token:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

/// To which branches somebody may push.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pushes {
    /// To none.
    #[default]
    None,
    /// To these: platforms are built of them, or nothing is.
    Branches {
        /// Branches of which something is built that they may build.
        may: BTreeSet<String>,
        /// Branches of which something is built that they may not build.
        may_not: BTreeSet<String>,
    },
    /// To all.
    All,
}

impl Pushes {
    /// Returns whether the branch is one of them. A branch of which nothing is built is everybody's who may push at all.
    pub fn allow(&self, branch: &str) -> bool {
        match self {
            Pushes::None => false,
            Pushes::Branches { may, may_not } => may.contains(branch) || !may_not.contains(branch),
            Pushes::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(permissions: &[Permission], products: &[&str], platforms: &[&str]) -> Scopes {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Scopes {
            permissions: permissions.iter().copied().collect(),
            products: names(products),
            platforms: names(platforms),
        }
    }

    fn about(thing: &str) -> Vec<Target> {
        vec![vec![thing.parse().unwrap()]]
    }

    #[test]
    fn scopes_narrow_permissions_and_things_and_never_reading() {
        let narrow = scopes(&[Permission::Build, Permission::Configure], &["p"], &[]);

        assert!(narrow.cover(Permission::Read, &[]));
        assert!(narrow.cover(Permission::Build, &about("product:p")));
        assert!(!narrow.cover(Permission::Build, &about("product:q")));
        assert!(!narrow.cover(Permission::Build, &about("platform:p")));
        assert!(!narrow.cover(Permission::Build, &about("key:1")));
        assert!(!narrow.cover(Permission::Release, &about("product:p")));
        assert!(!narrow.cover(Permission::Configure, &[]), "the whole system is not product p");
        assert!(Scopes::default().cover(Permission::Configure, &[]));
    }

    #[test]
    fn what_is_ones_own_is_of_no_product_and_no_platform() {
        for narrow in [scopes(&[], &["p"], &[]), scopes(&[], &[], &["s"]), scopes(&[Permission::Build], &[], &[])] {
            assert!(!narrow.has(Permission::Own) && !narrow.cover(Permission::Own, &[]), "{narrow:?}");
        }
        let listed = scopes(&[Permission::Own], &["p"], &[]);
        assert!(listed.has(Permission::Own) && listed.cover(Permission::Own, &[]));
        assert!(Scopes::default().cover(Permission::Own, &[]));
    }

    #[test]
    fn a_branch_of_somebody_elses_platform_is_not_pushed_to() {
        let branches = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let pushes = Pushes::Branches { may: branches(&["c10"]), may_not: branches(&["c9"]) };

        assert!(pushes.allow("c10") && pushes.allow("my-work") && !pushes.allow("c9"));
        assert!(Pushes::All.allow("c9") && !Pushes::None.allow("my-work"));
    }
}
