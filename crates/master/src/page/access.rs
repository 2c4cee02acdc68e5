//! People and access: accounts, rights, tokens and webhooks, for who minds them, with what can be done to each.

use anima_types::{
    account::Account,
    id::{RightId, TokenId, WebhookId},
    permission::Permission,
    right::GivenRight,
    token::Token,
    webhook::Webhook,
};
use askama::Template;
use axum::extract::{Query, State as Extract};
use serde::Deserialize;

use super::{
    account::scopes_in_words,
    answer::{Frame, PageResult, page},
    sign_in::see,
    words::{When, address_part, count},
};
use crate::{
    account,
    app::App,
    auth::Caller,
    error::{ApiError, Path},
    right,
    route::Route,
    token, webhook,
};

/// Lines of each kind: the page stays small, and who looks for one types a part of its name.
const SHOWN: usize = 60;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/people", Permission::ManagePeople, show),
        Route::form("/people/accounts/{account}/disable", Permission::ManagePeople, disable),
        Route::form("/people/accounts/{account}/enable", Permission::ManagePeople, enable),
        Route::form("/people/rights/{right}/take", Permission::ManagePeople, take_right),
        Route::form("/people/tokens/{token}/revoke", Permission::ManagePeople, revoke_token),
        Route::form("/people/webhooks/{webhook}/stop", Permission::Configure, stop_webhook),
        Route::form("/people/webhooks/{webhook}/resume", Permission::Configure, resume_webhook),
    ]
}

/// What is looked for; it stays in the address.
#[derive(Debug, Default, Deserialize)]
pub struct PeopleQuery {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: Frame,
    word: String,
    answer: String,
    search: String,
    accounts: Part<AccountRow>,
    rights: Part<RightRow>,
    tokens: Part<TokenRow>,
    /// None for who may not see them.
    webhooks: Option<Part<WebhookRow>>,
}

/// The first of some things, and how many more there are.
struct Part<T> {
    rows: Vec<T>,
    more: usize,
}

struct AccountRow {
    name: String,
    address: String,
    title: String,
    is_disabled: bool,
    is_own: bool,
    signs_in: &'static str,
    signed_in: Option<When>,
    created: When,
}

struct RightRow {
    id: RightId,
    right: String,
    holder: String,
    given_by: String,
    given: When,
}

struct TokenRow {
    id: TokenId,
    name: String,
    holder: String,
    scopes: String,
    expires: String,
    is_over: bool,
    used: Option<When>,
    created: When,
}

struct WebhookRow {
    id: WebhookId,
    name: String,
    url: String,
    events: String,
    is_active: bool,
    why: String,
    created_by: String,
}

fn part<T, R>(things: Vec<T>, search: &str, name: impl Fn(&T) -> String, row: impl Fn(T) -> R) -> Part<R> {
    let wanted = search.to_lowercase();
    let mut found: Vec<T> = things.into_iter().filter(|one| name(one).to_lowercase().contains(&wanted)).collect();
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    Part { rows: found.into_iter().map(row).collect(), more }
}

/// `/people`
pub async fn show(
    Extract(app): Extract<App>,
    caller: Caller,
    query: Result<Query<PeopleQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    let Query(PeopleQuery { q }) = query.map_err(ApiError::from)?;
    let search = q.trim().to_string();
    let now = app.now();
    let mut read = app.db.read().await?;
    let accounts = anima_db::account::list(&mut read).await?;
    let rights = anima_db::right::list(&mut read).await?;
    let tokens = anima_db::token::list(&mut read).await?;
    let webhooks = match caller.may_everywhere(Permission::Configure) {
        true => Some(anima_db::webhook::list(&mut read).await?),
        false => None,
    };
    drop(read);
    let disabled = accounts.iter().filter(|account| account.is_disabled).count();
    let answer = format!(
        "{}, {disabled} of them disabled; {}, {} given.",
        count(accounts.len(), "account"),
        count(tokens.len(), "token"),
        count(rights.len(), "right")
    );
    let frame = Frame::new("People and access", "people", "/api/v1/accounts");
    page(&PeoplePage {
        word: frame.visitor.word(),
        frame,
        answer,
        accounts: part(
            accounts,
            &search,
            |one| format!("{} {}", one.name, one.title),
            |one: Account| AccountRow {
                address: address_part(&one.name),
                is_own: caller.account == Some(one.id),
                is_disabled: one.is_disabled,
                signs_in: if one.has_password { "with a password" } else { "elsewhere" },
                signed_in: one.signed_in_at.map(|at| When::new(at, now)),
                created: When::new(one.created_at, now),
                name: one.name,
                title: one.title,
            },
        ),
        rights: part(rights, &search, holder, |one: GivenRight| RightRow {
            id: one.id,
            holder: holder(&one),
            right: one.right.to_string(),
            given_by: one.given_by,
            given: When::new(one.given_at, now),
        }),
        tokens: part(
            tokens,
            &search,
            |one| format!("{} {}", one.name, one.account.as_deref().unwrap_or_default()),
            |one: Token| TokenRow {
                id: one.id,
                holder: one.account.unwrap_or_else(|| format!("the role {}", one.role.name())),
                scopes: if one.scopes.is_all() { String::new() } else { scopes_in_words(&one.scopes) },
                expires: one.expires_at.map_or_else(|| "never".to_string(), day),
                is_over: one.expires_at.is_some_and(|at| at <= now),
                used: one.used_at.map(|at| When::new(at, now)),
                created: When::new(one.created_at, now),
                name: one.name,
            },
        ),
        webhooks: webhooks.map(|all| part(all, &search, |one| one.name.clone(), webhook_row)),
        search,
    })
}

fn day(at: anima_types::Timestamp) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_string()
}

fn holder(given: &GivenRight) -> String {
    match (&given.account, &given.team) {
        (Some(account), _) => account.clone(),
        (None, Some(team)) => format!("team {team}"),
        (None, None) => String::new(),
    }
}

fn webhook_row(one: Webhook) -> WebhookRow {
    WebhookRow {
        id: one.id,
        name: one.name,
        url: one.url,
        events: if one.events.is_empty() { "all".to_string() } else { one.events.join(", ") },
        is_active: one.is_active,
        why: one.why.unwrap_or_default(),
        created_by: one.created_by,
    }
}

async fn disable(Extract(app): Extract<App>, Path(name): Path<String>, caller: Caller) -> PageResult {
    account::set_disabled(&app, &caller, &name, true).await?;
    Ok(see("/people#accounts"))
}

async fn enable(Extract(app): Extract<App>, Path(name): Path<String>, caller: Caller) -> PageResult {
    account::set_disabled(&app, &caller, &name, false).await?;
    Ok(see("/people#accounts"))
}

async fn take_right(app: Extract<App>, id: Path<RightId>, caller: Caller) -> PageResult {
    right::delete(app, id, caller).await?;
    Ok(see("/people#rights"))
}

async fn revoke_token(Extract(app): Extract<App>, Path(id): Path<TokenId>, caller: Caller) -> PageResult {
    token::drop_token(&app, &caller, id).await?;
    Ok(see("/people#tokens"))
}

async fn stop_webhook(app: Extract<App>, id: Path<WebhookId>, caller: Caller) -> PageResult {
    webhook::stop(app, id, caller).await?;
    Ok(see("/people#webhooks"))
}

async fn resume_webhook(app: Extract<App>, id: Path<WebhookId>, caller: Caller) -> PageResult {
    webhook::resume(app, id, caller).await?;
    Ok(see("/people#webhooks"))
}
