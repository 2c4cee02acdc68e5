//! A person's own account: what they may, their tokens, sessions and password.

use std::collections::BTreeSet;

use anima_types::{
    account::MIN_PASSWORD_CHARS,
    id::{IdentityId, SessionId, TokenId},
    permission::{Permission, Role},
    token::{CreateToken, DEFAULT_DAYS, MAX_DAYS, Scopes, Token},
};
use askama::Template;
use axum::extract::State as Extract;
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, page},
    sign_in::see,
    words::{When, count},
};
use crate::{
    account,
    app::App,
    auth::{Caller, Via},
    error::{ApiError, Form, Path},
    token,
};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    word: String,
    answer: String,
    name: String,
    title: String,
    teams: Vec<String>,
    rights: Vec<String>,
    has_password: bool,
    min_password_chars: usize,
    tokens: Vec<TokenRow>,
    made: Option<String>,
    permissions: Vec<&'static str>,
    default_days: u32,
    max_days: u32,
    sessions: Vec<SessionRow>,
    provider: Option<String>,
    identities: Vec<IdentityRow>,
}

struct TokenRow {
    id: TokenId,
    name: String,
    scopes: String,
    expires: String,
    is_over: bool,
    used: Option<When>,
    created: When,
}

struct SessionRow {
    id: SessionId,
    is_this: bool,
    address: String,
    agent: String,
    seen: When,
    created: When,
}

struct IdentityRow {
    id: IdentityId,
    issuer: String,
    subject: String,
    used: Option<When>,
    linked: When,
}

/// `/account`
pub async fn show(Extract(app): Extract<App>, caller: Caller) -> PageResult {
    render(&app, &caller, None).await
}

async fn render(app: &App, caller: &Caller, made: Option<String>) -> PageResult {
    let id = caller.person()?;
    let now = app.now();
    let mut read = app.db.read().await?;
    let account = anima_db::account::by_id(&mut read, id).await?;
    let teams = anima_db::team::of_account(&mut read, id).await?;
    let tokens = anima_db::token::of_account(&mut read, id).await?;
    let sessions = anima_db::session::of_account(&mut read, id).await?;
    let identities = anima_db::identity::of_account(&mut read, id).await?;
    drop(read);
    let rights = caller.rights.iter().filter(|right| right.role != Role::Person);
    let rights: BTreeSet<String> = rights.map(ToString::to_string).collect();
    let answer = match rights.len() {
        0 => "You can look at everything, and mind what is your own. An administrator gives rights.".to_string(),
        _ => format!("You have {} and {}.", count(rights.len(), "right"), count(tokens.len(), "token")),
    };
    let own = caller.account.is_some();
    let frame = Frame::new("Your account", "account", if own { "/api/v1/tokens/whoami" } else { "" });
    let people = Permission::ALL.into_iter().filter(|&one| Role::Admin.may(one) && one != Permission::Read);
    page(&AccountPage {
        word: frame.visitor.word(),
        frame,
        answer,
        name: account.name,
        title: account.title,
        teams,
        rights: rights.into_iter().collect(),
        has_password: account.has_password,
        min_password_chars: MIN_PASSWORD_CHARS,
        tokens: tokens.into_iter().map(|token| token_row(token, now)).collect(),
        made,
        provider: app.config.oidc.as_ref().map(|oidc| oidc.title.clone()),
        identities: identities
            .into_iter()
            .map(|identity| IdentityRow {
                id: identity.id,
                issuer: identity.issuer,
                subject: identity.subject,
                used: identity.signed_in_at.map(|at| When::new(at, now)),
                linked: When::new(identity.linked_at, now),
            })
            .collect(),
        permissions: people.map(Permission::name).collect(),
        default_days: DEFAULT_DAYS,
        max_days: MAX_DAYS,
        sessions: sessions
            .into_iter()
            .map(|session| SessionRow {
                id: session.id,
                is_this: caller.via == Via::Session(session.id),
                address: session.address.unwrap_or_else(|| "unknown".to_string()),
                agent: session.agent.unwrap_or_default(),
                seen: When::new(session.seen_at, now),
                created: When::new(session.created_at, now),
            })
            .collect(),
    })
}

fn token_row(token: Token, now: anima_types::Timestamp) -> TokenRow {
    let day = |at: anima_types::Timestamp| at.to_string().split('T').next().unwrap_or_default().to_string();
    TokenRow {
        id: token.id,
        name: token.name,
        scopes: scopes_in_words(&token.scopes),
        expires: token.expires_at.map(day).unwrap_or_else(|| "never".to_string()),
        is_over: token.expires_at.is_some_and(|at| at <= now),
        used: token.used_at.map(|at| When::new(at, now)),
        created: When::new(token.created_at, now),
    }
}

/// Says to what a token is narrowed.
pub fn scopes_in_words(scopes: &Scopes) -> String {
    let list = |what: &str, names: Vec<&str>| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
    let all = [
        list("may", scopes.permissions.iter().map(|one| one.name()).collect()),
        list("product", scopes.products.iter().map(String::as_str).collect()),
        list("platform", scopes.platforms.iter().map(String::as_str).collect()),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() { "all that you may".to_string() } else { all.join("; ") }
}

/// What the form for a token sends. A list of names has commas or spaces between them.
#[derive(Deserialize)]
pub struct WantedToken {
    name: String,
    #[serde(default)]
    days: String,
    #[serde(default)]
    permissions: String,
    #[serde(default)]
    products: String,
    #[serde(default)]
    platforms: String,
}

fn names(text: &str) -> BTreeSet<String> {
    text.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect()
}

/// `POST /account/tokens`
pub async fn make_token(Extract(app): Extract<App>, caller: Caller, Form(sent): Form<WantedToken>) -> PageResult {
    let unknown =
        |name: &String| ApiError::unprocessable("bad_permission", format!("there is no permission \"{name}\""));
    let permissions = names(&sent.permissions);
    let permissions = permissions.iter().map(|name| Permission::from_name(name).ok_or_else(|| unknown(name)));
    let days = match sent.days.trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| ApiError::unprocessable("bad_days", "days are a whole number"))?),
    };
    let scopes = Scopes {
        permissions: permissions.collect::<Result<_, _>>()?,
        products: names(&sent.products),
        platforms: names(&sent.platforms),
    };
    let made = token::make(&app, &caller, CreateToken { name: sent.name, role: None, scopes, days }).await?;
    render(&app, &caller, Some(made.secret)).await
}

/// `POST /account/tokens/{token}/revoke`
pub async fn revoke_token(Extract(app): Extract<App>, caller: Caller, Path(id): Path<TokenId>) -> PageResult {
    token::drop_token(&app, &caller, id).await?;
    Ok(see("/account#tokens"))
}

/// `POST /account/sessions/{session}/end`
pub async fn end_session(Extract(app): Extract<App>, caller: Caller, Path(id): Path<SessionId>) -> PageResult {
    account::end_own_session(&app, &caller, id).await?;
    Ok(see("/account#sessions"))
}

/// What the form for a password sends.
#[derive(Deserialize)]
pub struct WantedPassword {
    #[serde(default)]
    old: String,
    new: String,
    again: String,
}

/// `POST /account/password`
pub async fn set_password(Extract(app): Extract<App>, caller: Caller, Form(sent): Form<WantedPassword>) -> PageResult {
    if sent.new != sent.again {
        return Err(ApiError::unprocessable("bad_password", "the new password was not typed the same twice").into());
    }
    account::change_password(&app, &caller, &caller.name, Some(&sent.old), &sent.new).await?;
    Ok(see("/account#password"))
}
