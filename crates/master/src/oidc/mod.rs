//! Signing in by an OpenID provider ([OpenID Connect Core 1.0](https://openid.net/specs/openid-connect-core-1_0.html)): the
//! code flow with PKCE, state and nonce, bound by a cookie to the browser that began it.
//!
//! Who the provider speaks of is known by issuer and subject, never by a name or an address, which can change hands. Who is
//! not known yet gets an account of their own, if the configuration says so; an account that is there is linked only by who
//! manages people, or by its own person who has signed in.

mod claims;
mod person;
mod provider;

use anima_db::sign_in::Flow;
use anima_types::right::Right;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
pub use openidconnect::ClientSecret;
use serde::Deserialize;
use url::Url;

use crate::{
    app::App,
    auth::{self, Caller},
    error::{ApiError, ApiResult},
    session,
};

pub use person::take_grants;
pub use provider::Provider;

/// Where a browser comes back to.
pub const CALLBACK: &str = "/sign-in/oidc/callback";
/// A sign-in at the provider takes no longer: longer ones were left open.
pub const FLOW_SECS: i64 = 600;
/// Characters that are shown of what a provider says, at most.
const MAX_TOLD_CHARS: usize = 200;

/// The provider that people may sign in by.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Its address, as it calls itself.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// What we show there.
    pub client_secret: Option<ClientSecret>,
    /// Its name for people.
    pub title: String,
    /// What we ask to be told, besides `openid`.
    pub scopes: Vec<String>,
    /// Who signs in for the first time gets an account.
    pub create_accounts: bool,
    /// The claim whose text is what a new account is called.
    pub name_claim: String,
    /// The claim that has the groups of a person.
    pub groups_claim: String,
    /// Only who has a verified address of one of these domains may sign in; all where there is none.
    pub allowed_domains: Vec<String>,
    /// Only who is in one of these groups may sign in; all where there is none.
    pub allowed_groups: Vec<String>,
    /// What people have by what the provider says of them.
    pub grants: Vec<Grant>,
}

/// What a person has, of whom a claim says this.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The claim; that of the groups where there is none.
    pub claim: Option<String>,
    /// What it says, or has in its list.
    pub value: String,
    /// Teams that the person is in then.
    pub teams: Vec<String>,
    /// Rights that the person has then.
    pub rights: Vec<Right>,
}

impl Oidc {
    /// Returns a provider of which nothing more is said.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Oidc {
        let issuer = issuer.into();
        let title = Url::parse(&issuer).ok().and_then(|url| url.host_str().map(str::to_string));
        Oidc {
            title: title.unwrap_or_else(|| issuer.clone()),
            issuer,
            client_id: client_id.into(),
            client_secret: None,
            scopes: ["profile", "email"].map(str::to_string).to_vec(),
            create_accounts: true,
            name_claim: "preferred_username".to_string(),
            groups_claim: "groups".to_string(),
            allowed_domains: Vec::new(),
            allowed_groups: Vec::new(),
            grants: Vec::new(),
        }
    }
}

/// Returns why an address cannot be an issuer's: whoever sits between it and us could be anybody there.
pub fn check_issuer(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("\"{text}\" is not an address: {error}"))?;
    let is_here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        _ => return Err(format!("\"{text}\" is no issuer: it begins with https://, or is on this machine")),
    }
    match url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        true => Err(format!("\"{text}\" is no issuer: it has no user, query or fragment")),
        false => Ok(()),
    }
}

/// What a browser comes back with ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2),
/// [RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)).
#[derive(Deserialize)]
pub struct Return {
    code: Option<String>,
    #[serde(default)]
    state: String,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
}

/// What came of a sign-in.
pub enum End {
    /// A session: its cookies, and where the browser goes.
    SignedIn([HeaderValue; 2], String),
    /// The identity is the account's now; where the browser goes.
    Linked(String),
}

pub(crate) fn configured(app: &App) -> ApiResult<&Oidc> {
    let none =
        || ApiError::not_found("nobody signs in by a provider here").hint("It is the section [oidc] of anima.toml.");
    app.config.oidc.as_ref().ok_or_else(none)
}

/// Begins a sign-in, or with `is_link` the linking of who has signed in; returns the provider's address for the browser, and
/// its cookie.
pub async fn begin(app: &App, caller: &Caller, return_to: &str, is_link: bool) -> ApiResult<(String, HeaderValue)> {
    let oidc = configured(app)?;
    app.limits.sign_in_elsewhere(caller.address)?;
    let account = if is_link { Some(caller.person()?) } else { None };
    let request = provider::request(app, oidc).await?;
    let (secret, browser) = auth::new_secret();
    let mut write = app.db.write(app.now(), "anima").await?;
    let begun_at = write.now;
    let flow = Flow {
        browser,
        nonce: request.nonce,
        verifier: request.verifier,
        return_to: return_to.to_string(),
        account,
        begun_at,
    };
    anima_db::sign_in::drop_old(&mut write, begun_at.plus_secs(-FLOW_SECS)).await?;
    anima_db::sign_in::begin(&mut write, &auth::hash(&request.state), &flow).await?;
    write.commit().await?;
    Ok((request.url, session::flow_cookie(app, Some(secret))))
}

/// Ends a sign-in with what the browser came back with. A refusal is told in the audit; that of a state which was never
/// given out is not, and costs no more than a look: anybody can make one up. That is counted, and the others were when they began.
pub async fn end(app: &App, caller: &Caller, headers: &HeaderMap, back: Return) -> ApiResult<End> {
    let oidc = configured(app)?;
    let mut read = app.db.read().await?;
    let is_begun = anima_db::sign_in::is_begun(&mut read, &auth::hash(&back.state)).await?;
    drop(read);
    if !is_begun {
        app.limits.sign_in_elsewhere(caller.address)?;
        return Err(not_begun());
    }
    match ended(app, oidc, caller, headers, back).await {
        Err(error) if error.status.is_client_error() => {
            let mut write = app.db.write(app.now(), caller).await?;
            let message = format!("A sign-in by {} was refused: {}.", oidc.issuer, error.body.message);
            anima_db::account::record(&mut write, "refused", message).await?;
            write.commit().await?;
            Err(error)
        }
        other => other,
    }
}

async fn ended(app: &App, oidc: &Oidc, caller: &Caller, headers: &HeaderMap, back: Return) -> ApiResult<End> {
    let mut write = app.db.write(app.now(), "anima").await?;
    let now = write.now;
    let flow = anima_db::sign_in::take(&mut write, &auth::hash(&back.state)).await?;
    write.commit().await?;
    // Another browser's sign-in is not ended in this one: somebody would be signed in as somebody else.
    let browser = session::flow(app, headers);
    let is_own = |flow: &Flow| browser.as_deref().is_some_and(|secret| auth::hash(secret) == flow.browser);
    let is_in_time = |flow: &Flow| now < flow.begun_at.plus_secs(FLOW_SECS);
    let is_for_caller = |flow: &Flow| flow.account.is_none() || flow.account == caller.account;
    let flow = flow.filter(|flow| is_own(flow) && is_in_time(flow) && is_for_caller(flow)).ok_or_else(not_begun)?;
    if back.iss.is_some_and(|issuer| issuer != oidc.issuer) {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "bad_issuer",
            "another provider than the one that was asked answered",
        )
        .hint("Begin again at /sign-in."));
    }
    let code = match (back.error, back.code) {
        (None, Some(code)) => code,
        (error, _) => {
            let words = back.error_description.or(error).unwrap_or_else(|| "no code".to_string());
            let words: String = words.chars().filter(|c| !c.is_control()).take(MAX_TOLD_CHARS).collect();
            let message = format!("{} did not say who you are: {words}", oidc.title);
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "provider_refused", message)
                .hint("Begin again at /sign-in, and agree there."));
        }
    };
    let claims = provider::redeem(app, oidc, code, flow.verifier, flow.nonce).await?;
    match flow.account {
        Some(account) => {
            person::link(app, oidc, caller, account, &claims).await?;
            Ok(End::Linked(flow.return_to))
        }
        None => Ok(End::SignedIn(person::sign_in(app, oidc, caller, headers, &claims).await?, flow.return_to)),
    }
}

fn not_begun() -> ApiError {
    let message = "this sign-in was not begun in this browser, was ended already, or took too long";
    ApiError::new(StatusCode::FORBIDDEN, "bad_flow", message)
        .hint("Begin again at /sign-in. Going back to an old page, or reloading it, does not sign in.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_reached_safely() {
        for good in [
            "https://id.example.org",
            "https://id.example.org/realms/x",
            "http://127.0.0.1:7",
            "http://localhost:7",
            "http://[::1]:7",
        ] {
            assert_eq!(check_issuer(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "id.example.org",
            "http://id.example.org",
            "http://localhost.evil.example",
            "ftp://localhost",
            "https://a@b",
            "https://a?b",
            "https://a#b",
        ] {
            assert!(check_issuer(bad).is_err(), "{bad}");
        }
    }
}
