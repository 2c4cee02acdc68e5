//! Accounts: made and disabled by who manages people; their owners mind their own password and sessions.

use std::cmp::Reverse;

use anima_db::{Connection, Write};
use anima_types::{
    account::{Account, AccountDetail, CreateAccount, Session, SetPassword, check_name},
    id::SessionId,
    permission::Permission,
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::{Caller, Via},
    error::{ApiError, ApiResult, Json, Path},
    paging::{Page, Paging},
    password,
    route::Route,
};

/// Characters of a name for people at most.
const MAX_TITLE_CHARS: usize = 200;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/accounts", Permission::ManagePeople, list),
        Route::post("/api/v1/accounts", Permission::ManagePeople, create),
        Route::get("/api/v1/accounts/{account}", Permission::Own, show),
        Route::put("/api/v1/accounts/{account}/password", Permission::Own, set_password),
        Route::post("/api/v1/accounts/{account}/disable", Permission::ManagePeople, disable),
        Route::post("/api/v1/accounts/{account}/enable", Permission::ManagePeople, enable),
        Route::get("/api/v1/sessions", Permission::Own, sessions),
        Route::delete("/api/v1/sessions/{session}", Permission::Own, end_session),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<Account>> {
    let mut read = app.db.read().await?;
    paging.page_of_all(anima_db::account::list(&mut read).await?, |one| one.name.clone())
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateAccount>,
) -> ApiResult<(StatusCode, Json<Account>)> {
    let hash = match &wanted.password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    };
    let mut write = app.db.write(app.now(), &caller).await?;
    let account = make(&mut write, &wanted, hash.as_deref()).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(account)))
}

/// Writes an account, if it may be called that.
pub async fn make(write: &mut Write, wanted: &CreateAccount, hash: Option<&str>) -> ApiResult<Account> {
    check_name(&wanted.name).map_err(|message| ApiError::unprocessable("bad_name", message))?;
    check_title(&wanted.title)?;
    // Who did something is told by name: a person is not to be taken for a part of the system.
    if anima_db::token::is_name_of_none(write, &wanted.name).await? {
        let message = format!("\"{}\" is the name of a token that belongs to no person", wanted.name);
        return Err(ApiError::conflict("taken", message).hint("`anima token list` shows it; revoke it first."));
    }
    anima_db::account::insert(write, wanted, hash).await?;
    Ok(anima_db::account::get(write, &wanted.name).await?)
}

/// Refuses a name for people that cannot be shown.
pub fn check_title(title: &str) -> ApiResult<()> {
    match title.chars().count() > MAX_TITLE_CHARS || title.chars().any(char::is_control) {
        true => Err(ApiError::unprocessable(
            "bad_title",
            format!("a name for people has at most {MAX_TITLE_CHARS} characters"),
        )),
        false => Ok(()),
    }
}

async fn show(State(app): State<App>, Path(name): Path<String>, caller: Caller) -> ApiResult<Json<AccountDetail>> {
    own_or_managed(&caller, &name)?;
    let mut read = app.db.read().await?;
    let account = anima_db::account::get(&mut read, &name).await?;
    Ok(Json(detail(&mut read, account).await?))
}

/// Returns an account with its teams, rights and identities.
pub async fn detail(read: &mut Connection, account: Account) -> ApiResult<AccountDetail> {
    let teams = anima_db::team::of_account(read, account.id).await?;
    let rights = anima_db::right::of_account(read, account.id).await?;
    let identities = anima_db::identity::of_account(read, account.id).await?;
    Ok(AccountDetail { account, teams, rights, identities })
}

/// What is somebody else's is minded by who manages people.
pub fn own_or_managed(caller: &Caller, name: &str) -> ApiResult<()> {
    match caller.account.is_some() && caller.name == name {
        true => Ok(()),
        false => caller.check(Permission::ManagePeople, &[]),
    }
}

async fn set_password(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
    Json(wanted): Json<SetPassword>,
) -> ApiResult<()> {
    own_or_managed(&caller, &name)?;
    change_password(&app, &caller, &name, wanted.old.as_deref(), &wanted.new).await
}

/// Gives an account another password and ends its sessions but the caller's own. Who changes their own has to know the
/// old one, where there is one: a browser that was left open is not enough, and a token that is narrowed never is.
pub async fn change_password(app: &App, caller: &Caller, name: &str, old: Option<&str>, new: &str) -> ApiResult<()> {
    let mut read = app.db.read().await?;
    let stored = anima_db::account::find(&mut read, name).await?;
    drop(read);
    let stored = stored.ok_or_else(|| ApiError::not_found(format!("there is no account \"{name}\"")))?;
    let is_own = caller.account == Some(stored.account.id);
    if is_own {
        caller.check_unnarrowed()?;
    }
    if is_own && stored.password.is_some() {
        app.limits.sign_in(name, caller.address)?;
        if !password::verify(old.unwrap_or_default(), stored.password).await? {
            return Err(ApiError::new(StatusCode::FORBIDDEN, "wrong_password", "the old password is wrong"));
        }
    }
    let hash = password::hash(new).await?;
    let mut write = app.db.write(app.now(), caller).await?;
    anima_db::account::set_password(&mut write, &stored.account, &hash).await?;
    let kept = match caller.via {
        Via::Session(id) if is_own => Some(id),
        _ => None,
    };
    anima_db::session::delete_others(&mut write, stored.account.id, kept).await?;
    Ok(write.commit().await?)
}

async fn disable(State(app): State<App>, Path(name): Path<String>, caller: Caller) -> ApiResult<Json<Account>> {
    set_disabled(&app, &caller, &name, true).await
}

async fn enable(State(app): State<App>, Path(name): Path<String>, caller: Caller) -> ApiResult<Json<Account>> {
    set_disabled(&app, &caller, &name, false).await
}

/// A disabled account's sessions end at once; its tokens are of no use while it is.
pub async fn set_disabled(app: &App, caller: &Caller, name: &str, is_disabled: bool) -> ApiResult<Json<Account>> {
    let mut write = app.db.write(app.now(), caller).await?;
    let account = anima_db::account::get(&mut write, name).await?;
    anima_db::account::set_disabled(&mut write, &account, is_disabled).await?;
    if is_disabled {
        anima_db::session::delete_others(&mut write, account.id, None).await?;
    }
    let account = anima_db::account::get(&mut write, name).await?;
    write.commit().await?;
    Ok(Json(account))
}

async fn sessions(State(app): State<App>, paging: Paging, caller: Caller) -> ApiResult<Page<Session>> {
    let account = caller.person()?;
    let mut read = app.db.read().await?;
    let sessions = anima_db::session::of_account(&mut read, account).await?;
    paging.page_of_all(sessions, |one| Reverse((one.seen_at, one.id)))
}

async fn end_session(State(app): State<App>, Path(id): Path<SessionId>, caller: Caller) -> ApiResult<()> {
    end_own_session(&app, &caller, id).await
}

/// Ends a session of the caller.
pub async fn end_own_session(app: &App, caller: &Caller, id: SessionId) -> ApiResult<()> {
    let account = caller.person()?;
    caller.check_unnarrowed()?;
    let mut write = app.db.write(app.now(), caller).await?;
    anima_db::session::delete(&mut write, account, id).await?;
    anima_db::account::record(&mut write, "session_ended", format!("{} ended session {id}.", caller.name)).await?;
    Ok(write.commit().await?)
}
