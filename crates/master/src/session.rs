//! Sessions of people in browsers: the cookie, when it is over, and what protects forms against other sites.
//!
//! The cookie's secret is new at each sign-in, so one that somebody else put there is of no use; it is known here by its
//! hash. A form carries a word that is made from the secret, which another site cannot read.

use anima_db::{Connection, Write, session::Stored};
use anima_types::{Timestamp, account::Account, id::SessionId, identity::DEVICE_SECS};
use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, SameSite};

use crate::{
    app::App,
    auth::{self, Caller, Known, Via},
    error::{ApiError, ApiResult},
    oidc,
};

/// A session that was not used for so long is over.
pub const IDLE_SECS: i64 = 12 * 3_600;
/// A session is over after so long, however much it is used.
pub const MAX_SECS: i64 = 7 * 86_400;
/// When a session was used last is known to the minute: a page with ten pieces does not write ten times.
const TOUCH_SECS: f64 = 60.0;
/// What a browser says of itself is kept up to so many characters.
const MAX_AGENT_CHARS: usize = 200;

/// The cookie of who signed in, and that of a form before anybody has.
const SESSION: &str = "anima-session";
const VISIT: &str = "anima-visit";
/// The cookie of a browser that is at the provider.
const FLOW: &str = "anima-flow";

/// Returns a cookie's name: over https with the prefix that no other host of the domain can set
/// ([RFC 6265bis, 4.1.3.2](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#section-4.1.3.2)).
fn name(app: &App, plain: &str) -> String {
    if is_https(app) { format!("__Host-{plain}") } else { plain.to_string() }
}

fn is_https(app: &App) -> bool {
    app.config.public_url.starts_with("https://")
}

/// Returns the one cookie of that name. Two of them were not both set by us: then none counts.
fn read(app: &App, headers: &HeaderMap, plain: &str) -> Option<String> {
    let wanted = name(app, plain);
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = texts.flat_map(|text| Cookie::split_parse(text.to_string())).filter_map(Result::ok);
    let mut found = cookies.filter(|cookie| cookie.name() == wanted);
    let first = found.next()?;
    found.next().is_none().then(|| first.value().to_string())
}

fn write(app: &App, plain: &str, secret: String, max_age_secs: i64) -> HeaderValue {
    let cookie = Cookie::build((name(app, plain), secret))
        .path("/")
        .http_only(true)
        // Links from elsewhere come signed in; what changes something is protected by the form's word.
        .same_site(SameSite::Lax)
        .secure(is_https(app))
        .max_age(cookie::time::Duration::seconds(max_age_secs));
    // A secret is hexadecimal digits.
    HeaderValue::from_str(&cookie.build().to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Returns who has the session that the request's cookie is of.
pub async fn caller(app: &App, headers: &HeaderMap) -> ApiResult<Known> {
    let visit = read(app, headers, VISIT);
    let nobody = || Known { caller: Caller::anonymous(), form_secret: visit.clone() };
    let Some(secret) = read(app, headers, SESSION) else { return Ok(nobody()) };
    let mut connection = app.db.read().await?;
    let Some(stored) = living(&mut connection, &secret, app.now()).await? else { return Ok(nobody()) };
    let Some(caller) = auth::person(&mut connection, stored.account, Via::Session(stored.session.id)).await? else {
        return Ok(nobody());
    };
    drop(connection);
    if app.now().secs_since(stored.session.seen_at) >= TOUCH_SECS {
        let mut write = app.db.write(app.now(), "anima").await?;
        anima_db::session::touch(&mut write, stored.session.id).await?;
        write.commit().await?;
    }
    Ok(Known { caller, form_secret: Some(secret) })
}

async fn living(connection: &mut Connection, secret: &str, now: Timestamp) -> ApiResult<Option<Stored>> {
    let stored = anima_db::session::find(connection, &auth::hash(secret)).await?;
    Ok(stored.filter(|stored| {
        let (seen, made) = (stored.session.seen_at, stored.session.created_at);
        now < seen.plus_secs(IDLE_SECS) && now < made.plus_secs(MAX_SECS)
    }))
}

/// Begins a session of who just showed who they are, and ends the one that their browser had; returns the cookies.
pub async fn begin(
    app: &App,
    write: &mut Write,
    account: &Account,
    address: Option<&str>,
    headers: &HeaderMap,
) -> ApiResult<[HeaderValue; 2]> {
    if let Some(old) = read(app, headers, SESSION)
        && let Some(old) = anima_db::session::find(write, &auth::hash(&old)).await?
    {
        anima_db::session::delete(write, old.account, old.session.id).await?;
    }
    let (secret, hash) = auth::new_secret();
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let agent: Option<String> = agent.map(|text| text.chars().take(MAX_AGENT_CHARS).collect());
    anima_db::session::insert(write, account.id, &hash, address, agent.as_deref()).await?;
    Ok([self::write(app, SESSION, secret, MAX_SECS), self::write(app, VISIT, String::new(), 0)])
}

/// Ends the session; returns the cookie that is none any more.
pub async fn end(app: &App, caller: &Caller, id: SessionId) -> ApiResult<HeaderValue> {
    let mut write = app.db.write(app.now(), caller).await?;
    anima_db::session::delete(&mut write, caller.person()?, id).await?;
    anima_db::account::record(&mut write, "signed_out", format!("{} signed out.", caller.name)).await?;
    write.commit().await?;
    Ok(self::write(app, SESSION, String::new(), 0))
}

/// Returns the secret of a visit before anybody signed in, and the cookie where there was none yet.
pub fn visit(app: &App, known: Option<&str>) -> (String, Option<HeaderValue>) {
    match known {
        Some(secret) => (secret.to_string(), None),
        None => {
            let (secret, _) = auth::new_secret();
            let cookie = write(app, VISIT, secret.clone(), IDLE_SECS);
            (secret, Some(cookie))
        }
    }
}

/// Returns the cookie of a browser that goes to the provider, or with no secret, of one that is back.
pub fn flow_cookie(app: &App, secret: Option<String>) -> HeaderValue {
    match secret {
        Some(secret) => write(app, FLOW, secret, oidc::FLOW_SECS),
        None => write(app, FLOW, String::new(), 0),
    }
}

/// Returns the secret of a browser that comes back.
pub fn flow(app: &App, headers: &HeaderMap) -> Option<String> {
    read(app, headers, FLOW)
}

/// Returns the word that a form carries for who has this secret.
pub fn form_word(secret: &str) -> String {
    auth::hash(&format!("form:{secret}"))
}

/// Refuses a change that another site may have sent: the word of the form is missing or wrong, or the browser says that
/// it comes from elsewhere. `sent` is the form's or the header's word.
pub fn check_form(headers: &HeaderMap, secret: Option<&str>, sent: Option<&str>) -> ApiResult<()> {
    let refused = || {
        ApiError::new(
            axum::http::StatusCode::FORBIDDEN,
            "bad_form",
            "this form is not from here, or is too old: its word is not that of the session",
        )
        .hint("Reload the page, and send the form again.")
    };
    if is_from_elsewhere(headers) {
        return Err(refused());
    }
    let (Some(secret), Some(sent)) = (secret, sent) else { return Err(refused()) };
    // Hashes are compared, so that the time that it takes says nothing.
    match auth::hash(sent) == auth::hash(&form_word(secret)) {
        true => Ok(()),
        false => Err(refused()),
    }
}

/// Looks at what browsers say of where a request comes from
/// ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header), [RFC 6454](https://www.rfc-editor.org/rfc/rfc6454#section-7)).
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_none() || host != text("host")
}

/// Drops sessions that are over, and sign-ins that were not ended; returns how many sessions.
pub async fn drop_once(app: &App, now: Timestamp) -> ApiResult<u64> {
    let mut write = app.db.write(now, "anima").await?;
    let dropped = anima_db::session::drop_old(&mut write, now.plus_secs(-IDLE_SECS), now.plus_secs(-MAX_SECS)).await?;
    anima_db::sign_in::drop_old(&mut write, now.plus_secs(-oidc::FLOW_SECS.max(DEVICE_SECS))).await?;
    write.commit().await?;
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    #[test]
    fn a_form_needs_the_word_of_its_own_session() {
        let here = headers(&[("sec-fetch-site", "same-origin")]);

        assert!(check_form(&here, Some("a"), Some(&form_word("a"))).is_ok());
        assert!(check_form(&here, Some("a"), Some(&form_word("b"))).is_err());
        assert!(check_form(&here, Some("a"), Some("a")).is_err());
        assert!(check_form(&here, Some("a"), None).is_err());
        assert!(check_form(&here, None, Some(&form_word("a"))).is_err());
    }

    #[test]
    fn what_comes_from_another_site_is_refused_even_with_the_word() {
        let word = form_word("a");
        for elsewhere in [
            headers(&[("sec-fetch-site", "cross-site")]),
            headers(&[("sec-fetch-site", "same-site")]),
            headers(&[("origin", "https://evil.example"), ("host", "build.example")]),
            headers(&[("origin", "null"), ("host", "build.example")]),
        ] {
            assert!(check_form(&elsewhere, Some("a"), Some(&word)).is_err(), "{elsewhere:?}");
        }
        let here = headers(&[("origin", "https://build.example"), ("host", "build.example")]);
        assert!(check_form(&here, Some("a"), Some(&word)).is_ok());
        assert!(check_form(&HeaderMap::new(), Some("a"), Some(&word)).is_ok(), "an old browser says nothing");
    }
}
