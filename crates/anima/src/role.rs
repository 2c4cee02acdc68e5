//! The roles: what this program can be. Each is a command of its own; `anima up` starts them all.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A role, in the order in which they are started; they are stopped the other way round.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Master,
    GitService,
    SignServer,
    ReleaseSystem,
    BuildNode,
    TestNode,
}

impl Role {
    pub const ALL: [Role; 6] =
        [Role::Master, Role::GitService, Role::SignServer, Role::ReleaseSystem, Role::BuildNode, Role::TestNode];

    /// Returns the command's name, which is also that of its token, its log and its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::GitService => "git-service",
            Role::SignServer => "sign-server",
            Role::ReleaseSystem => "release-system",
            Role::BuildNode => "build-node",
            Role::TestNode => "test-node",
        }
    }

    /// Returns the name of its folder in the data folder. Both kinds of node share one, and so the layers of their roots.
    pub const fn folder(self) -> &'static str {
        match self {
            Role::BuildNode | Role::TestNode => "node",
            role => role.name(),
        }
    }

    /// Returns whether it serves others, and so listens; all others only dial out.
    pub const fn listens(self) -> bool {
        matches!(self, Role::Master | Role::GitService)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_name_everywhere() {
        for role in Role::ALL {
            assert_eq!(Role::from_str(role.name(), false), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }

    #[test]
    fn the_master_comes_first() {
        assert_eq!(Role::ALL.iter().min(), Some(&Role::Master));
    }
}
