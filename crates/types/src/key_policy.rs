//! What a key may sign, as data: for whom, of what kind, and what has to be true of it first.
//!
//! The master asks it before it gives a task out, the Sign Server asks its own copy of it again before it signs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::signature::{Account, Imported, Kind};

/// Approvals that can be wanted at most: more people than that are no team.
pub const MAX_APPROVALS: u32 = 9;

/// A key's policy. Lists that are empty allow everything.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What it may sign.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// The products that it may sign for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<String>,
    /// The platforms whose packages it may sign.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// What has to be true of an artifact first.
    pub requires: Requires,
}

/// What has to be true of an artifact before it is signed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requires {
    /// Packages and indexes came under a lease that the master gave out.
    pub built: bool,
    /// Every verdict of the tests on a package that was built here is green.
    pub green: bool,
    /// Which packages from elsewhere are signed: there are no tests of ours that speak for them.
    pub imports: Imports,
    /// So many people, not counting who asked, approved that packages, lists or advisories are signed.
    pub approvals: u32,
}

/// Which packages from elsewhere a key signs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Imports {
    /// None.
    Refused,
    /// Those that were signed by one of the keys that were named for their repository.
    #[default]
    Verified,
    /// All: their digests stood in the repository's metadata, and that is all that is known.
    Any,
}

impl Default for Requires {
    fn default() -> Requires {
        Requires { built: true, green: true, imports: Imports::default(), approvals: 0 }
    }
}

impl Policy {
    /// Returns why the key does not sign this, or `None` where it does. The sentence goes on after "could not sign …: ".
    pub fn refuses(&self, account: &Account) -> Option<String> {
        let Account { kind, product, .. } = account;
        if !self.kinds.is_empty() && !self.kinds.contains(kind) {
            let kinds = self.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
            return Some(format!("the key's policy is for {kinds}, and it is of kind {kind}"));
        }
        if !self.products.is_empty() && !self.products.contains(product) {
            return Some(format!("the key's policy is for {}, not for {product}", self.products.join(", ")));
        }
        if !self.platforms.is_empty()
            && *kind == Kind::Rpm
            && !account.platform.as_ref().is_some_and(|platform| self.platforms.contains(platform))
        {
            let platform = account.platform.as_deref().unwrap_or("no platform");
            return Some(format!(
                "the key's policy is for packages of {}, not of {platform}",
                self.platforms.join(", ")
            ));
        }
        self.requires.refuses(account)
    }
}

impl Requires {
    fn refuses(&self, account: &Account) -> Option<String> {
        let is_ours = matches!(account.kind, Kind::Rpm | Kind::Repomd);
        if self.built && is_ours && account.made_by.is_none() {
            return Some("no lease is known under which it was made".to_string());
        }
        if account.kind == Kind::Rpm
            && let Some(refused) = self.refuses_package(account)
        {
            return Some(refused);
        }
        let missing = self.missing_approvals(account);
        let word = if missing == 1 { "approval" } else { "approvals" };
        (missing > 0).then(|| format!("{missing} more {word} of the {} that the key's policy wants", self.approvals))
    }

    /// Tests speak for what was built here, and the keys of its repository for what was not.
    fn refuses_package(&self, account: &Account) -> Option<String> {
        let Some(Imported { url, is_verified }) = &account.imported else {
            let is_missing = self.green && !account.is_green;
            return is_missing.then(|| "no tests are known that say it is good".to_string());
        };
        match self.imports {
            Imports::Refused => Some(format!("it comes from {url}, and the key's policy is not for imports")),
            Imports::Verified if !is_verified => {
                Some(format!("it comes from {url}, and no key was named there that it had to be signed with"))
            }
            Imports::Verified | Imports::Any => None,
        }
    }

    /// Returns how many more people have to approve.
    pub fn missing_approvals(&self, account: &Account) -> u32 {
        if account.kind == Kind::Repomd {
            // Who decides on a release decides on its index.
            return 0;
        }
        let others = account.approved_by.iter().filter(|who| Some(*who) != account.asked_by.as_ref()).count();
        self.approvals.saturating_sub(others as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::TaskId, signature::MadeBy};

    fn package() -> Account {
        Account {
            kind: Kind::Rpm,
            name: "jq-0:1.7-1.x86_64".into(),
            product: "seed-1".into(),
            platform: Some("seed-1".into()),
            build: None,
            release: None,
            made_by: Some(MadeBy { task: TaskId(4), lease: 1, node: "b1".into() }),
            is_green: true,
            imported: None,
            asked_by: None,
            approved_by: Vec::new(),
        }
    }

    fn file(kind: Kind) -> Account {
        Account { kind, platform: None, made_by: None, is_green: false, asked_by: Some("ada".into()), ..package() }
    }

    #[test]
    fn what_was_built_and_tested_is_signed_where_nothing_else_is_said() {
        let policy = Policy::default();

        assert_eq!(policy.refuses(&package()), None);
        assert_eq!(policy.refuses(&file(Kind::Checksum)), None);
        assert!(policy.refuses(&Account { made_by: None, ..package() }).unwrap().contains("lease"));
        assert!(policy.refuses(&Account { is_green: false, ..package() }).unwrap().contains("tests"));
        assert!(policy.refuses(&file(Kind::Repomd)).unwrap().contains("lease"));
    }

    #[test]
    fn what_comes_from_elsewhere_is_signed_where_its_own_signature_was_checked() {
        let imported = |is_verified| {
            let imported = Imported { url: "https://example.org/os".into(), is_verified };
            Account { is_green: false, imported: Some(imported), ..package() }
        };
        let with = |imports| Policy { requires: Requires { imports, ..Requires::default() }, ..Policy::default() };

        assert_eq!(Policy::default().refuses(&imported(true)), None);
        assert!(Policy::default().refuses(&imported(false)).unwrap().contains("no key was named"));
        assert_eq!(with(Imports::Any).refuses(&imported(false)), None);
        assert!(with(Imports::Refused).refuses(&imported(true)).unwrap().contains("not for imports"));
        assert!(with(Imports::Any).refuses(&Account { is_green: false, ..package() }).unwrap().contains("tests"));
        let no_lease = Account { made_by: None, ..imported(true) };
        assert!(Policy::default().refuses(&no_lease).unwrap().contains("lease"));
    }

    #[test]
    fn a_key_signs_only_what_its_policy_names() {
        let policy = Policy {
            kinds: vec![Kind::Rpm],
            products: vec!["seed-1".into()],
            platforms: vec!["seed-1".into()],
            ..Policy::default()
        };

        assert_eq!(policy.refuses(&package()), None);
        assert!(policy.refuses(&file(Kind::Advisory)).unwrap().contains("for rpm"));
        assert!(policy.refuses(&Account { product: "p2".into(), ..package() }).unwrap().contains("not for p2"));
        assert!(policy.refuses(&Account { platform: None, ..package() }).unwrap().contains("no platform"));
    }

    #[test]
    fn approvals_are_those_of_others_than_who_asked() {
        let policy = Policy { requires: Requires { approvals: 2, ..Requires::default() }, ..Policy::default() };
        let approved = |who: &[&str]| {
            let approved_by = who.iter().map(|name| name.to_string()).collect();
            policy.refuses(&Account { approved_by, ..file(Kind::Advisory) })
        };

        assert!(approved(&[]).unwrap().contains("2 more approvals of the 2"));
        assert!(approved(&["ada", "bob"]).unwrap().contains("1 more approval of"));
        assert_eq!(approved(&["bob", "eve"]), None);
    }

    #[test]
    fn an_index_is_decided_on_with_its_release() {
        let policy = Policy { requires: Requires { approvals: 2, ..Requires::default() }, ..Policy::default() };

        assert_eq!(policy.refuses(&Account { kind: Kind::Repomd, ..package() }), None);
    }

    #[test]
    fn a_policy_with_a_word_that_is_not_known_is_refused() {
        assert!(serde_json::from_str::<Policy>(r#"{"kind": ["rpm"]}"#).is_err());
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    }
}
