//! Tokens: made once, shown once, kept as a hash. People make their own; those of parts of the system are made by who
//! manages people.

use anima_db::{Write, token::NewToken};
use anima_types::{
    Timestamp,
    id::TokenId,
    permission::{Permission, Role},
    token::{CreateToken, CreatedToken, DEFAULT_DAYS, MAX_DAYS, Pushes, Token, Whoami},
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::{self, Caller, Via},
    error::{ApiError, ApiResult, Json, Path},
    paging::{Page, Paging},
    route::Route,
    target,
};

/// Bytes of a name at most.
const MAX_NAME_BYTES: usize = 128;
/// Tokens of one person at most: more are forgotten ones.
const MAX_OF_PERSON: usize = 100;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/tokens", Permission::Own, list),
        Route::post("/api/v1/tokens", Permission::Own, create),
        Route::delete("/api/v1/tokens/{token}", Permission::Own, revoke),
        Route::delete("/api/v1/tokens/own", Permission::Read, revoke_own),
        Route::get("/api/v1/tokens/whoami", Permission::Read, whoami),
    ]
}

async fn list(State(app): State<App>, paging: Paging, caller: Caller) -> ApiResult<Page<Token>> {
    let mut read = app.db.read().await?;
    let tokens = match caller.account {
        Some(account) if !caller.may_everywhere(Permission::ManagePeople) => {
            anima_db::token::of_account(&mut read, account).await?
        }
        _ => {
            caller.check(Permission::ManagePeople, &[])?;
            anima_db::token::list(&mut read).await?
        }
    };
    paging.page_of_all(tokens, |token| token.id)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateToken>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    Ok((StatusCode::CREATED, Json(make(&app, &caller, wanted).await?)))
}

/// Makes a token: the caller's own, or one of a part of the system.
pub async fn make(app: &App, caller: &Caller, wanted: CreateToken) -> ApiResult<CreatedToken> {
    if wanted.name.trim().is_empty() || wanted.name.len() > MAX_NAME_BYTES || wanted.name.chars().any(char::is_control)
    {
        return Err(ApiError::unprocessable("bad_name", "a token needs a name: what it is for, or whose it is"));
    }
    let mut write = app.db.write(app.now(), caller).await?;
    let token = match wanted.role {
        Some(role) => of_nobody(&mut write, caller, role, wanted).await?,
        None => own(&mut write, caller, wanted).await?,
    };
    let (secret, hash) = auth::new_secret();
    let id = anima_db::token::insert(&mut write, &token, &hash).await?;
    write.commit().await?;
    Ok(CreatedToken { id, secret, expires_at: token.expires_at })
}

async fn of_nobody(write: &mut Write, caller: &Caller, role: Role, wanted: CreateToken) -> ApiResult<NewToken> {
    caller.check(Permission::ManagePeople, &[])?;
    if !role.is_grantable() {
        return Err(ApiError::unprocessable("bad_role", format!("a token cannot have the role {}", role.name())));
    }
    if anima_db::account::find(write, &wanted.name).await?.is_some() {
        let message = format!("{} is a person with an account, who makes their own tokens", wanted.name);
        return Err(ApiError::unprocessable("bad_name", message).hint("Give the account a right: `anima right give`."));
    }
    let expires_at = wanted.days.map(|days| after(write.now, days));
    Ok(NewToken { name: wanted.name, role, account: None, scopes: wanted.scopes, expires_at, is_of_node: false })
}

/// A token that is made with a token is not good for longer than that, and none is made with one that is narrowed.
async fn own(write: &mut Write, caller: &Caller, wanted: CreateToken) -> ApiResult<NewToken> {
    let account = caller.account.ok_or_else(|| {
        ApiError::unprocessable("no_role", "a token that belongs to no person needs a role").hint("say --role ROLE")
    })?;
    caller.check_unnarrowed()?;
    let days = wanted.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        let message = format!("a token of a person is good for 1 to {MAX_DAYS} days");
        return Err(ApiError::unprocessable("bad_days", message));
    }
    if anima_db::token::of_account(write, account).await?.len() >= MAX_OF_PERSON {
        let message = format!("{} has {MAX_OF_PERSON} tokens already", caller.name);
        return Err(ApiError::conflict("too_many", message).hint("Revoke those that nobody uses."));
    }
    let mut expires_at = after(write.now, days);
    if let Via::Token(id) = caller.via {
        let own = anima_db::token::get(write, id).await?.token.expires_at;
        expires_at = own.map_or(expires_at, |own| own.min(expires_at));
    }
    Ok(NewToken {
        name: wanted.name,
        role: Role::Person,
        account: Some((account, caller.name.clone())),
        scopes: wanted.scopes,
        expires_at: Some(expires_at),
        is_of_node: false,
    })
}

fn after(now: Timestamp, days: u32) -> Timestamp {
    now.plus_secs(i64::from(days) * 86_400)
}

async fn revoke(State(app): State<App>, Path(id): Path<TokenId>, caller: Caller) -> ApiResult<()> {
    drop_token(&app, &caller, id).await
}

/// A program that ends takes its own token with it, to whatever that is narrowed.
async fn revoke_own(State(app): State<App>, caller: Caller) -> ApiResult<()> {
    caller.person()?;
    match caller.via {
        Via::Token(id) => drop_token(&app, &caller, id).await,
        _ => Err(ApiError::conflict("no_token", "this was not asked with a token")),
    }
}

/// Revokes a token: one's own, or any where one manages people.
pub async fn drop_token(app: &App, caller: &Caller, id: TokenId) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), caller).await?;
    let owner = match anima_db::token::get(&mut write, id).await {
        Ok(stored) => stored.account,
        // Whose there are is not told to who may not see them.
        Err(error) => {
            caller.check(Permission::ManagePeople, &[])?;
            return Err(error.into());
        }
    };
    match owner.is_some() && owner == caller.account {
        true if caller.via == Via::Token(id) => {}
        true => caller.check_unnarrowed()?,
        false => caller.check(Permission::ManagePeople, &[])?,
    }
    anima_db::token::delete(&mut write, id).await?;
    Ok(write.commit().await?)
}

async fn whoami(State(app): State<App>, caller: Caller) -> Json<Whoami> {
    let pushes = pushes(&app, &caller);
    let via = anima_db::Origin::from(&caller).via;
    Json(Whoami { name: caller.name, role: caller.role, rights: caller.rights, scopes: caller.scopes, pushes, via })
}

/// Returns where the caller may push: a push to a platform's branch is a build for it.
fn pushes(app: &App, caller: &Caller) -> Pushes {
    if caller.may_everywhere(Permission::Push) {
        return Pushes::All;
    }
    if caller.check_somewhere(Permission::Push).is_err() {
        return Pushes::None;
    }
    let may = |name: &str| caller.check(Permission::Push, &[target::platform(app, name)]).is_ok();
    let (mut granted, mut denied) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for platform in &app.config.platforms {
        let side = if may(&platform.name) { &mut granted } else { &mut denied };
        side.insert(platform.branch.clone());
    }
    // What is built for two platforms needs a right for both.
    granted.retain(|branch| !denied.contains(branch));
    Pushes::Branches { may: granted, may_not: denied }
}
