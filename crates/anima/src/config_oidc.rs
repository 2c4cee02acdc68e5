//! `[oidc]` of the configuration: the OpenID provider that people may sign in by.

use std::{fs, path::PathBuf};

use anima_master::oidc::{self, ClientSecret, Grant};
use serde::{Deserialize, Serialize};

use crate::{
    exit::{Failure, Result},
    secret,
};

/// The name of the client's secret among the credentials that a service manager gives.
const CREDENTIAL: &str = "oidc-client-secret";

/// The provider. There is none where nothing is said.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its address, as it calls itself: https://, or on this machine.
    pub issuer: String,
    /// What this installation is called there.
    pub client_id: String,
    /// A file with the client's secret. Where nothing is said, the service manager's credential `oidc-client-secret`, else
    /// none: a client that is known by its address and PKCE alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Its name for people; the issuer's host where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is asked to tell, besides `openid`; `profile` and `email` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Who signs in for the first time gets an account.
    #[serde(default = "yes")]
    pub create_accounts: bool,
    /// The claim that says what a new account is called; `preferred_username` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_claim: Option<String>,
    /// The claim with a person's groups, also inside of others (`realm_access.roles`); `groups` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// Only who has a verified address of one of these domains may sign in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_domains: Vec<String>,
    /// Only who is in one of these groups may sign in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_groups: Vec<String>,
    /// What people have by what it says of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<OidcGrant>,
}

/// What a person has, of whom a claim says this.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcGrant {
    /// The claim; that of the groups where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// What it says, or has in its list.
    pub value: String,
    /// Teams that such a person is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Rights that such a person has: `contributor`, `release-manager on product:web`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<String>,
}

const fn yes() -> bool {
    true
}

impl Oidc {
    /// Refuses what cannot be.
    pub fn check(&self) -> Result {
        oidc::check_issuer(&self.issuer).map_err(|why| Failure::config(format!("[oidc] {why}")))?;
        if self.client_id.is_empty() {
            return Err(Failure::config("[oidc] has no client_id: the provider gives one"));
        }
        self.grants.iter().try_for_each(|grant| grant.parsed().map(drop))
    }

    /// Returns what the master is told of it.
    pub fn of_master(&self) -> Result<oidc::Oidc> {
        let grants = self.grants.iter().map(OidcGrant::parsed).collect::<Result<_>>()?;
        let defaults = oidc::Oidc::new(&self.issuer, &self.client_id);
        Ok(oidc::Oidc {
            client_secret: self.secret()?,
            title: self.title.clone().unwrap_or(defaults.title),
            scopes: self.scopes.clone().unwrap_or(defaults.scopes),
            create_accounts: self.create_accounts,
            name_claim: self.name_claim.clone().unwrap_or(defaults.name_claim),
            groups_claim: self.groups_claim.clone().unwrap_or(defaults.groups_claim),
            allowed_domains: self.allowed_domains.clone(),
            allowed_groups: self.allowed_groups.clone(),
            grants,
            ..defaults
        })
    }

    fn secret(&self) -> Result<Option<ClientSecret>> {
        let given = || secret::credential(std::env::var_os(secret::FOLDER), CREDENTIAL);
        let Some(file) = self.client_secret_file.clone().or_else(given) else { return Ok(None) };
        let text = fs::read_to_string(&file)
            .map_err(|error| Failure::config(format!("could not read {}: {error}", file.display())))?;
        match text.trim() {
            "" => Err(Failure::config(format!("could not use {}: it is empty", file.display()))),
            secret => Ok(Some(ClientSecret::new(secret.to_string()))),
        }
    }
}

impl OidcGrant {
    fn parsed(&self) -> Result<Grant> {
        let rights = self.rights.iter().map(|text| text.parse()).collect::<std::result::Result<_, String>>();
        let rights = rights.map_err(|why| Failure::config(format!("[[oidc.grants]] of \"{}\": {why}", self.value)))?;
        Ok(Grant { claim: self.claim.clone(), value: self.value.clone(), teams: self.teams.clone(), rights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "issuer = \"https://id.example.org\"\nclient_id = \"anima\"\nallowed_domains = [\"example.org\"]\n\
                        [[grants]]\nvalue = \"rpm\"\nteams = [\"crew\"]\nrights = [\"contributor on product:web\", \"observer\"]\n";

    #[test]
    fn a_provider_is_what_the_section_says_and_a_secret_is_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "hush\n").unwrap();
        let section: Oidc = toml::from_str(TEXT).unwrap();
        let section = Oidc { client_secret_file: Some(file.clone()), ..section };

        let oidc = section.of_master().unwrap();

        assert!(section.check().is_ok());
        assert_eq!(oidc.title, "id.example.org");
        assert_eq!(oidc.client_secret.as_ref().unwrap().secret(), "hush");
        assert!(!format!("{oidc:?}").contains("hush"));
        let rights: Vec<_> = oidc.grants[0].rights.iter().map(ToString::to_string).collect();
        assert_eq!(rights, ["contributor on product:web", "observer everywhere"]);
        fs::write(&file, "\n").unwrap();
        assert!(section.of_master().unwrap_err().message.contains("empty"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let wrong = |text: &str| toml::from_str::<Oidc>(text).unwrap().check().unwrap_err().message;

        assert!(wrong("issuer = \"http://id.example.org\"\nclient_id = \"a\"").contains("https://"));
        assert!(wrong("issuer = \"https://id.example.org\"\nclient_id = \"\"").contains("client_id"));
        assert!(wrong(&TEXT.replace("observer", "cook")).contains("cook"));
        assert!(wrong(&TEXT.replace("observer", "git-service")).contains("git-service"));
        assert!(toml::from_str::<Oidc>("isuer = \"x\"").is_err());
    }
}
