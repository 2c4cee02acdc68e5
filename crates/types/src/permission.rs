//! Who may do what: roles, permissions, and the one table between them. What is not in the table is denied.
//!
//! Where a role counts (everywhere, or for one platform, product or key) is data: see [`crate::right`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody is to the system.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything that people do.
    Admin,
    /// Builds, minds products and nodes, reads the audit.
    Manager,
    /// Builds for a product, releases into it, and says how it is kept.
    ProductMaintainer,
    /// Plans, commits and reverts releases.
    ReleaseManager,
    /// Asks for signatures, and approves them.
    Signer,
    /// Pushes, starts, restarts and cancels builds.
    #[serde(alias = "packager")]
    Contributor,
    /// Reads everything, the audit too, and changes nothing.
    Observer,
    /// Everybody who has an account: minds what is their own.
    Person,
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
    /// Mind what is one's own: password, sessions, tokens.
    Own,
    /// Push to git and upload to the lookaside.
    Push,
    /// Start, restart and cancel builds.
    Build,
    /// Ask for builds that go before everybody else's.
    Hurry,
    /// Plan, commit and revert releases.
    Release,
    /// Ask for signatures over files, and approve signatures.
    Sign,
    /// Say how a product and its repositories are kept.
    Maintain,
    /// Drain nodes.
    Operate,
    /// Make products and keys, force releases, collect garbage.
    Configure,
    /// Make and change accounts, teams, rights, and tokens of parts of the system.
    ManagePeople,
    /// Read who did what from where.
    Audit,
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
    pub const ALL: [Role; 15] = [
        Role::Admin,
        Role::Manager,
        Role::ProductMaintainer,
        Role::ReleaseManager,
        Role::Signer,
        Role::Contributor,
        Role::Observer,
        Role::Person,
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
            Role::Manager => "manager",
            Role::ProductMaintainer => "product-maintainer",
            Role::ReleaseManager => "release-manager",
            Role::Signer => "signer",
            Role::Contributor => "contributor",
            Role::Observer => "observer",
            Role::Person => "person",
            Role::BuildNode => "build-node",
            Role::TestNode => "test-node",
            Role::SignServer => "sign-server",
            Role::ReleaseSystem => "release-system",
            Role::GitService => "git-service",
            Role::Anonymous => "anonymous",
            Role::Lease => "lease",
        }
    }

    /// Returns the role of that name; `packager` is what a contributor was called at first.
    pub fn from_name(name: &str) -> Option<Role> {
        match name {
            "packager" => Some(Role::Contributor),
            name => Role::ALL.into_iter().find(|role| role.name() == name),
        }
    }

    /// Returns whether people and teams can be given it.
    pub const fn is_of_people(self) -> bool {
        use Role::*;
        matches!(self, Admin | Manager | ProductMaintainer | ReleaseManager | Signer | Contributor | Observer)
    }

    /// Returns whether it is a part of the system.
    pub const fn is_of_service(self) -> bool {
        use Role::*;
        matches!(self, BuildNode | TestNode | SignServer | ReleaseSystem | GitService)
    }

    /// Returns whether a token that belongs to no person can have it: nobody is given "anonymous", "person" or "lease".
    pub const fn is_grantable(self) -> bool {
        self.is_of_people() || self.is_of_service()
    }

    /// Returns whether the role has the permission.
    pub const fn may(self, permission: Permission) -> bool {
        use Permission::*;
        if matches!(permission, Read) {
            return true;
        }
        match self {
            Role::Admin => matches!(
                permission,
                Own | Push | Build | Hurry | Release | Sign | Maintain | Operate | Configure | ManagePeople | Audit
            ),
            Role::Manager => matches!(permission, Own | Push | Build | Hurry | Maintain | Operate | Audit),
            Role::ProductMaintainer => matches!(permission, Own | Push | Build | Hurry | Release | Maintain),
            Role::ReleaseManager => matches!(permission, Own | Release),
            Role::Signer => matches!(permission, Own | Sign),
            Role::Contributor => matches!(permission, Own | Push | Build),
            Role::Observer => matches!(permission, Own | Audit),
            Role::Person => matches!(permission, Own),
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

impl Permission {
    /// All of them.
    pub const ALL: [Permission; 18] = [
        Permission::Read,
        Permission::Own,
        Permission::Push,
        Permission::Build,
        Permission::Hurry,
        Permission::Release,
        Permission::Sign,
        Permission::Maintain,
        Permission::Operate,
        Permission::Configure,
        Permission::ManagePeople,
        Permission::Audit,
        Permission::ReportPush,
        Permission::ClaimBuild,
        Permission::ClaimTest,
        Permission::ClaimSign,
        Permission::ClaimRelease,
        Permission::HoldLease,
    ];

    /// Returns the word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Permission::Read => "read",
            Permission::Own => "own",
            Permission::Push => "push",
            Permission::Build => "build",
            Permission::Hurry => "hurry",
            Permission::Release => "release",
            Permission::Sign => "sign",
            Permission::Maintain => "maintain",
            Permission::Operate => "operate",
            Permission::Configure => "configure",
            Permission::ManagePeople => "manage-people",
            Permission::Audit => "audit",
            Permission::ReportPush => "report-push",
            Permission::ClaimBuild => "claim-build",
            Permission::ClaimTest => "claim-test",
            Permission::ClaimSign => "claim-sign",
            Permission::ClaimRelease => "claim-release",
            Permission::HoldLease => "hold-lease",
        }
    }

    /// Returns the permission of that name.
    pub fn from_name(name: &str) -> Option<Permission> {
        Permission::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, as one looks at it: a line for each role, a mark for each permission in the order of `ALL`.
    const TABLE: &str = "\
        admin              RoPBursmOcpa······
        manager            RoPBu··mO··a······
        product-maintainer RoPBur·m··········
        release-manager    Ro···r············
        signer             Ro····s···········
        contributor        RoPB··············
        observer           Ro·········a······
        person             Ro················
        build-node         R············B····
        test-node          R·············T···
        sign-server        R··············S··
        release-system     R···············R·
        git-service        R···········P·····
        anonymous          R·················
        lease              R················L
    ";

    #[test]
    fn the_table_is_this_and_nothing_else() {
        let letters: Vec<char> = "RoPBursmOcpaPBTSRL".chars().collect();
        let line = |role: Role| {
            let marks = Permission::ALL.iter().zip(&letters);
            let marks: String = marks.map(|(&one, &letter)| if role.may(one) { letter } else { '·' }).collect();
            format!("{:<18} {marks}", role.name())
        };

        let lines: Vec<String> = Role::ALL.into_iter().map(line).collect();

        let wanted: Vec<&str> = TABLE.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, wanted);
    }

    #[test]
    fn what_people_do_no_part_of_the_system_does_and_the_other_way_round() {
        for role in Role::ALL.into_iter().filter(|role| !role.is_of_people() && *role != Role::Person) {
            for permission in Permission::ALL.into_iter().filter(|&one| one != Permission::Read) {
                let is_peoples = Role::Admin.may(permission);
                assert!(!(is_peoples && role.may(permission)), "{role:?} {permission:?}");
            }
        }
        assert!(!Role::Admin.may(Permission::ClaimSign) && !Role::Admin.may(Permission::HoldLease));
    }

    #[test]
    fn names_read_back() {
        assert!(Role::ALL.into_iter().all(|role| Role::from_name(role.name()) == Some(role)));
        assert!(Permission::ALL.into_iter().all(|one| Permission::from_name(one.name()) == Some(one)));
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        for permission in Permission::ALL {
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.name());
        }
    }

    #[test]
    fn tokens_of_packagers_are_of_contributors() {
        assert_eq!(Role::from_name("packager"), Some(Role::Contributor));
        assert_eq!(serde_json::from_str::<Role>("\"packager\"").unwrap(), Role::Contributor);
    }
}
