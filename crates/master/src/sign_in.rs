//! Signing in with a name and a password: as a session for a browser, or as a token for a command line.

use anima_types::{
    account::{Account, MAX_NAME_CHARS, SignIn},
    permission::{Permission, Role},
    token::{CreatedToken, DEFAULT_DAYS, Scopes},
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
};

use crate::{
    app::App,
    auth::{self, Caller},
    error::{ApiError, ApiResult, Json},
    password,
    route::Route,
    session,
};

/// Characters of a token's label at most.
const MAX_LABEL_CHARS: usize = 128;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::post("/api/v1/sign-in", Permission::Read, create)]
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<SignIn>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    let account = prove(&app, &caller, &wanted.account, &wanted.password).await?;
    let caller = Caller { name: account.name.clone(), ..caller };
    let mut write = app.db.write(app.now(), &caller).await?;
    let (secret, hash) = auth::new_secret();
    let expires_at = Some(app.now().plus_secs(i64::from(DEFAULT_DAYS) * 86_400));
    let token = anima_db::token::NewToken {
        name: label(&wanted.label),
        role: Role::Person,
        account: Some((account.id, account.name.clone())),
        scopes: Scopes::default(),
        expires_at,
        is_of_node: false,
    };
    anima_db::account::signed_in(&mut write, &account, "on a command line").await?;
    let id = anima_db::token::insert(&mut write, &token, &hash).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { id, secret, expires_at })))
}

/// Returns what a command line's token is called.
pub fn label(wanted: &str) -> String {
    match wanted.trim() {
        "" => "anima login".to_string(),
        label => label.chars().filter(|c| !c.is_control()).take(MAX_LABEL_CHARS).collect(),
    }
}

/// Begins a session in a browser; returns the cookies to set.
pub async fn begin_session(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    name: &str,
    password: &str,
) -> ApiResult<[HeaderValue; 2]> {
    let account = prove(app, caller, name, password).await?;
    let caller = Caller { name: account.name.clone(), ..caller.clone() };
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::account::signed_in(&mut write, &account, "with a password").await?;
    let address = caller.address.map(|address| address.to_string());
    let cookies = session::begin(app, &mut write, &account, address.as_deref(), headers).await?;
    write.commit().await?;
    Ok(cookies)
}

/// Returns the account whose name and password these are. Which of the two is wrong is not said, nor how long it took.
async fn prove(app: &App, caller: &Caller, name: &str, password: &str) -> ApiResult<Account> {
    app.limits.sign_in(name, caller.address)?;
    let mut read = app.db.read().await?;
    let found = anima_db::account::find(&mut read, name).await?;
    drop(read);
    let (account, hash) = found.map_or((None, None), |stored| (Some(stored.account), stored.password));
    let is_right = password::verify(password, hash).await?;
    let refused = |why: &str| {
        let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
        format!("A sign-in as \"{name}\" was refused: {why}.")
    };
    let why = match account {
        Some(account) if is_right && !account.is_disabled => return Ok(account),
        Some(_) if is_right => "the account is disabled",
        Some(_) => "the password is wrong",
        None => "there is no such account",
    };
    let mut write = app.db.write(app.now(), caller).await?;
    anima_db::account::record(&mut write, "refused", refused(why)).await?;
    write.commit().await?;
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong_password", "the account's name or its password is wrong")
        .hint("Who lost a password asks an administrator: `anima account passwd NAME`."))
}
