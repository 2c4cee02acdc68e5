//! Accounts: people who sign in; their sessions, and the teams that they are in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    id::{AccountId, SessionId},
    identity::Identity,
    permission::Role,
    right::GivenRight,
};

/// Characters of a password at least: by NIST SP 800-63B-4 for a password that stands alone, 15 are better.
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Bytes of a password at most: enough for a sentence, and nobody makes the server hash a book.
pub const MAX_PASSWORD_BYTES: usize = 256;
/// Characters of an account's or team's name at most.
pub const MAX_NAME_CHARS: usize = 64;

/// `POST /api/v1/accounts`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateAccount {
    /// What it is called: small letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// The person's name for people.
    #[serde(default)]
    pub title: String,
    /// Its password; without one it cannot sign in here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// An account as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it is called.
    pub name: String,
    /// The person's name for people.
    pub title: String,
    /// It cannot sign in, and its tokens are of no use.
    pub is_disabled: bool,
    /// Whether it has a password here.
    pub has_password: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody signed in with it last.
    pub signed_in_at: Option<Timestamp>,
}

/// `GET /api/v1/accounts/{account}`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccountDetail {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// The teams that it is in.
    pub teams: Vec<String>,
    /// What it may, by itself and through its teams.
    pub rights: Vec<GivenRight>,
    /// Who it is at a provider, by which its person may sign in.
    #[serde(default)]
    pub identities: Vec<Identity>,
}

/// `PUT /api/v1/accounts/{account}/password`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SetPassword {
    /// The old one, of who changes their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The new one.
    pub new: String,
}

/// `POST /api/v1/sign-in`: a token for a name and a password, as a command line needs it.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// The account.
    pub account: String,
    /// Its password.
    pub password: String,
    /// What the token is called, such as the machine's name.
    #[serde(default)]
    pub label: String,
}

/// A session as its owner sees it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// From where somebody signed in.
    pub address: Option<String>,
    /// With which browser, in its own words.
    pub agent: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub seen_at: Timestamp,
}

/// `POST /api/v1/teams`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateTeam {
    /// What it is called.
    pub name: String,
    /// Its name for people.
    #[serde(default)]
    pub title: String,
}

/// A team: people who may the same. Its members build for the products that are the team's, and release into them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Team {
    /// What it is called.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The names of the accounts in it.
    pub members: Vec<String>,
    /// The products that are its.
    pub products: Vec<String>,
    /// What its members may besides.
    pub rights: Vec<GivenRight>,
}

/// What membership of a team means for the team's products.
pub const TEAM_ROLES: [Role; 2] = [Role::Contributor, Role::ReleaseManager];

/// Names that mean something else wherever somebody is named as who did something.
const RESERVED: [&str; 3] = ["anima", "root", "system"];

/// Returns why an account or a team cannot be called that.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || !name.chars().all(is_plain) {
        return Err(format!("a name has 1 to {MAX_NAME_CHARS} small letters, digits, '-', '.' and '_'"));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("a name begins with a letter or a digit".to_string());
    }
    // A person called "admin" could not be told from the administrator's own token.
    if Role::from_name(name).is_some() || RESERVED.contains(&name) {
        return Err(format!("\"{name}\" is the name of a part of the system"));
    }
    Ok(())
}

/// Returns why something cannot be a password.
pub fn check_password(password: &str) -> Result<(), String> {
    if password.chars().count() < MIN_PASSWORD_CHARS {
        return Err(format!("a password has at least {MIN_PASSWORD_CHARS} characters"));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(format!("a password has at most {MAX_PASSWORD_BYTES} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_no_part_of_the_system() {
        for good in ["ann", "j.doe", "a-b_c", "0x"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "Ann", "a b", "../x", "-a", ".a", "ann\n", "admin", "packager", "git-service", "anima", "é"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name(&"a".repeat(65)).is_err());
    }

    #[test]
    fn a_password_is_neither_short_nor_a_book() {
        assert!(check_password("short").is_err());
        assert!(check_password("twelve chars").is_ok());
        assert!(check_password(&"a".repeat(257)).is_err());
    }
}
