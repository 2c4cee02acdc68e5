//! What a provider says of a person, and whether such a person may come in.

use serde_json::{Map, Value};

use super::{Grant, Oidc};

/// What a provider says of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// What the provider calls the person; never given to another.
    pub subject: String,
    all: Map<String, Value>,
}

impl Claims {
    /// Returns the claims of a subject.
    pub fn new(subject: String, all: Map<String, Value>) -> Claims {
        Claims { subject, all }
    }

    /// Returns a claim that is a text and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.find(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// Returns whether a claim is this text, or a list with it.
    pub fn has(&self, name: &str, wanted: &str) -> bool {
        match self.find(name) {
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(wanted)),
            Some(one) => one.as_str() == Some(wanted),
            None => false,
        }
    }

    /// Returns the domain of the address that the provider has verified, in small letters.
    pub fn domain(&self) -> Option<String> {
        // Some providers write a text.
        let is_verified = match self.all.get("email_verified") {
            Some(Value::Bool(is)) => *is,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let (_, domain) = self.text("email")?.rsplit_once('@')?;
        is_verified.then(|| domain.to_ascii_lowercase())
    }

    /// A name is that of a claim, or a way to one inside of others: `realm_access.roles`.
    fn find(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.all.get(name) {
            return Some(value);
        }
        let mut parts = name.split('.');
        let first = self.all.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }
}

impl Oidc {
    /// Returns why such a person may not come in.
    pub fn refusal(&self, claims: &Claims) -> Option<String> {
        let domain = claims.domain();
        let is_of = |allowed: &String| domain.as_deref() == Some(&allowed.to_ascii_lowercase());
        if !self.allowed_domains.is_empty() && !self.allowed_domains.iter().any(is_of) {
            return Some(format!("only verified addresses of {} may sign in", self.allowed_domains.join(", ")));
        }
        let is_in = |group: &String| claims.has(&self.groups_claim, group);
        if !self.allowed_groups.is_empty() && !self.allowed_groups.iter().any(is_in) {
            return Some(format!("only members of {} may sign in", self.allowed_groups.join(", ")));
        }
        None
    }

    /// Returns what such a person has by the configuration.
    pub fn grants<'a>(&'a self, claims: &'a Claims) -> impl Iterator<Item = &'a Grant> {
        self.grants.iter().filter(|grant| claims.has(grant.claim.as_ref().unwrap_or(&self.groups_claim), &grant.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(all: Value) -> Claims {
        Claims::new("7".into(), all.as_object().unwrap().clone())
    }

    #[test]
    fn only_a_verified_address_of_an_allowed_domain_counts() {
        let oidc = Oidc { allowed_domains: vec!["Example.org".into()], ..Oidc::new("https://i", "c") };
        let refused = |email: &str, verified: Value| {
            oidc.refusal(&claims(json!({ "email": email, "email_verified": verified }))).is_some()
        };

        assert!(!refused("ann@example.ORG", json!(true)));
        assert!(!refused("ann@example.org", json!("true")));
        assert!(refused("ann@example.org", json!(false)));
        assert!(refused("ann@example.org", json!(null)));
        assert!(refused("ann@notexample.org", json!(true)));
        assert!(refused("ann@example.org@evil.example", json!(true)));
        assert!(refused("ann", json!(true)));
        assert!(oidc.refusal(&claims(json!({}))).is_some());
    }

    #[test]
    fn a_group_is_a_text_in_a_list_or_alone_also_inside_of_others() {
        let oidc = Oidc {
            groups_claim: "realm.roles".into(),
            allowed_groups: vec!["rpm".into()],
            ..Oidc::new("https://i", "c")
        };

        for inside in [json!({ "realm": { "roles": ["x", "rpm"] } }), json!({ "realm.roles": "rpm" })] {
            assert_eq!(oidc.refusal(&claims(inside)), None);
        }
        for outside in
            [json!({ "realm": { "roles": ["rpm2"] } }), json!({ "realm": "rpm" }), json!({ "roles": ["rpm"] })]
        {
            assert!(oidc.refusal(&claims(outside)).is_some());
        }
    }

    #[test]
    fn grants_are_those_of_claims_that_are_so() {
        let grant = |claim: Option<&str>, value: &str| Grant {
            claim: claim.map(str::to_string),
            value: value.to_string(),
            teams: Vec::new(),
            rights: Vec::new(),
        };
        let grants = vec![grant(None, "a"), grant(None, "b"), grant(Some("dept"), "a")];
        let oidc = Oidc { grants, ..Oidc::new("https://i", "c") };

        let person = claims(json!({ "groups": ["b"], "dept": "a" }));

        let found: Vec<_> = oidc.grants(&person).map(|grant| (grant.claim.as_deref(), grant.value.as_str())).collect();
        assert_eq!(found, [(None, "b"), (Some("dept"), "a")]);
    }
}
