//! Tokens: made once, shown once, kept as a hash.

use anima_types::{
    id::TokenId,
    permission::Permission,
    token::{CreateToken, CreatedToken, Token, Whoami},
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::{self, Caller},
    error::{ApiError, ApiResult, Json, Path},
    route::Route,
};

/// Bytes of a name at most.
const MAX_NAME_BYTES: usize = 128;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/tokens", Permission::ManageTokens, list),
        Route::post("/api/v1/tokens", Permission::ManageTokens, create),
        Route::delete("/api/v1/tokens/{token}", Permission::ManageTokens, revoke),
        Route::get("/api/v1/tokens/whoami", Permission::Read, whoami),
    ]
}

async fn list(State(app): State<App>) -> ApiResult<Json<Vec<Token>>> {
    let mut read = app.db.read().await?;
    Ok(Json(anima_db::token::list(&mut read).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateToken>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    if !wanted.role.is_grantable() {
        let message = format!("a token cannot have the role {}", wanted.role.name());
        return Err(ApiError::unprocessable("bad_role", message));
    }
    if wanted.name.trim().is_empty() || wanted.name.len() > MAX_NAME_BYTES || wanted.name.chars().any(char::is_control)
    {
        return Err(ApiError::unprocessable("bad_name", "a token needs the name of a person or a node"));
    }
    let (secret, hash) = auth::new_secret();
    let mut write = app.db.write(app.now(), &caller.name).await?;
    let id = anima_db::token::insert(&mut write, &wanted, &hash).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { id, secret })))
}

async fn revoke(State(app): State<App>, Path(id): Path<TokenId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller.name).await?;
    anima_db::token::delete(&mut write, id).await?;
    Ok(write.commit().await?)
}

async fn whoami(caller: Caller) -> Json<Whoami> {
    Json(Whoami { name: caller.name, role: caller.role })
}
