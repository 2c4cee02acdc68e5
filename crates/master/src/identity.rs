//! Identities of accounts at a provider: listed and unlinked by their own people, linked and unlinked by who manages people.

use anima_types::{
    account::Account,
    id::IdentityId,
    identity::{Identity, LinkIdentity, MAX_SUBJECT_BYTES},
    permission::Permission,
};
use axum::{extract::State, http::StatusCode};

use crate::{
    account::own_or_managed,
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path},
    oidc,
    route::Route,
};

/// Identities of one account at most: more than anybody has providers.
const MAX_OF_ACCOUNT: usize = 20;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/accounts/{account}/identities", Permission::Own, list),
        Route::post("/api/v1/accounts/{account}/identities", Permission::ManagePeople, create),
        Route::delete("/api/v1/accounts/{account}/identities/{identity}", Permission::Own, delete),
    ]
}

async fn list(State(app): State<App>, Path(name): Path<String>, caller: Caller) -> ApiResult<Json<Vec<Identity>>> {
    own_or_managed(&caller, &name)?;
    let mut read = app.db.read().await?;
    let account = anima_db::account::get(&mut read, &name).await?;
    Ok(Json(anima_db::identity::of_account(&mut read, account.id).await?))
}

async fn create(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
    Json(wanted): Json<LinkIdentity>,
) -> ApiResult<(StatusCode, Json<Identity>)> {
    let issuer = match wanted.issuer {
        Some(issuer) => issuer,
        None => oidc::configured(&app)?.issuer.clone(),
    };
    oidc::check_issuer(&issuer).map_err(|why| ApiError::unprocessable("bad_issuer", why))?;
    let subject = &wanted.subject;
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
        let message = format!("a subject has 1 to {MAX_SUBJECT_BYTES} bytes");
        return Err(ApiError::unprocessable("bad_subject", message));
    }
    let mut write = app.db.write(app.now(), &caller).await?;
    let account = anima_db::account::get(&mut write, &name).await?;
    if anima_db::identity::of_account(&mut write, account.id).await?.len() >= MAX_OF_ACCOUNT {
        let message = format!("an account has at most {MAX_OF_ACCOUNT} identities");
        return Err(ApiError::unprocessable("too_many", message));
    }
    let stored = anima_db::identity::insert(&mut write, &account, &issuer, subject).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(stored.identity)))
}

async fn delete(State(app): State<App>, Path((name, id)): Path<(String, IdentityId)>, caller: Caller) -> ApiResult<()> {
    own_or_managed(&caller, &name)?;
    unlink(&app, &caller, &name, id).await
}

/// Takes an identity away from an account, with what was granted by it. Nobody takes their own last way in.
pub async fn unlink(app: &App, caller: &Caller, name: &str, id: IdentityId) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), caller).await?;
    let account = anima_db::account::get(&mut write, name).await?;
    if is_own(caller, &account) {
        caller.check_unnarrowed()?;
    }
    let stored = anima_db::identity::get(&mut write, id).await?;
    if stored.account != account.id {
        return Err(ApiError::not_found(format!("{name} has no identity {id}")));
    }
    let is_last = anima_db::identity::of_account(&mut write, account.id).await?.len() == 1;
    if is_last && is_own(caller, &account) && !account.has_password {
        return Err(ApiError::conflict("last_way", "this is the only way in which you can sign in")
            .hint("Give your account a password first, on its page."));
    }
    oidc::take_grants(&mut write, &account, &stored.granted).await?;
    anima_db::identity::delete(&mut write, &account, &stored.identity).await?;
    Ok(write.commit().await?)
}

fn is_own(caller: &Caller, account: &Account) -> bool {
    caller.account == Some(account.id)
}
