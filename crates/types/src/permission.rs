//! Who may do what: roles, permissions, and the one table between them. What is not in the table is denied.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything that people do.
    Admin,
    /// Pushes, starts, restarts and cancels builds.
    Packager,
    /// Plans, commits and reverts releases.
    ReleaseManager,
    /// Takes `src` and `build` tasks.
    BuildNode,
    /// Takes `test` tasks.
    TestNode,
    /// Takes `sign` tasks.
    SignServer,
    /// Takes `plan` and `publish` tasks.
    ReleaseSystem,
    /// Tells of pushes, asks whether somebody may push.
    GitService,
    /// Nobody in particular: no token was sent.
    Anonymous,
    /// The holder of a lease, for the task that it holds and nothing else.
    Lease,
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Read what everybody may read.
    Read,
    /// Push to git and upload to the lookaside.
    Push,
    /// Start, restart and cancel builds.
    Build,
    /// Plan, commit and revert releases.
    Release,
    /// Make products and keys.
    Configure,
    /// Make and revoke tokens.
    ManageTokens,
    /// Tell of a push.
    ReportPush,
    /// Wait for `src` and `build` tasks.
    ClaimBuild,
    /// Wait for `test` tasks.
    ClaimTest,
    /// Wait for `sign` tasks.
    ClaimSign,
    /// Wait for `plan` and `publish` tasks.
    ClaimRelease,
    /// Heartbeat, log, upload and report of the task that a lease is for.
    HoldLease,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 10] = [
        Role::Admin,
        Role::Packager,
        Role::ReleaseManager,
        Role::BuildNode,
        Role::TestNode,
        Role::SignServer,
        Role::ReleaseSystem,
        Role::GitService,
        Role::Anonymous,
        Role::Lease,
    ];

    /// Returns the word that is kept in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Packager => "packager",
            Role::ReleaseManager => "release-manager",
            Role::BuildNode => "build-node",
            Role::TestNode => "test-node",
            Role::SignServer => "sign-server",
            Role::ReleaseSystem => "release-system",
            Role::GitService => "git-service",
            Role::Anonymous => "anonymous",
            Role::Lease => "lease",
        }
    }

    /// Returns the role of that name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Returns whether a token of this role can be made: nobody is given "anonymous" or "lease".
    pub const fn is_grantable(self) -> bool {
        !matches!(self, Role::Anonymous | Role::Lease)
    }

    /// Returns whether the role has the permission.
    pub const fn may(self, permission: Permission) -> bool {
        use Permission::*;
        if matches!(permission, Read) {
            return true;
        }
        match self {
            Role::Admin => matches!(permission, Push | Build | Release | Configure | ManageTokens),
            Role::Packager => matches!(permission, Push | Build),
            Role::ReleaseManager => matches!(permission, Release),
            Role::BuildNode => matches!(permission, ClaimBuild),
            Role::TestNode => matches!(permission, ClaimTest),
            Role::SignServer => matches!(permission, ClaimSign),
            Role::ReleaseSystem => matches!(permission, ClaimRelease),
            Role::GitService => matches!(permission, ReportPush),
            Role::Lease => matches!(permission, HoldLease),
            Role::Anonymous => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_in_particular_may_only_read() {
        for permission in [Permission::Push, Permission::Build, Permission::HoldLease, Permission::ManageTokens] {
            assert!(!Role::Anonymous.may(permission));
        }
        assert!(Role::Anonymous.may(Permission::Read));
    }

    #[test]
    fn a_node_can_neither_sign_nor_release_nor_build_by_itself() {
        for permission in [Permission::ClaimSign, Permission::Release, Permission::Build, Permission::Push] {
            assert!(!Role::BuildNode.may(permission));
            assert!(!Role::TestNode.may(permission));
        }
    }

    #[test]
    fn not_even_an_admin_can_take_a_sign_task() {
        assert!(!Role::Admin.may(Permission::ClaimSign));
        assert!(!Role::Admin.may(Permission::HoldLease));
    }

    #[test]
    fn names_read_back() {
        assert!(Role::ALL.into_iter().all(|role| Role::from_name(role.name()) == Some(role)));
    }
}
