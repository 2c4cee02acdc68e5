//! Who calls, and whether they may. Secrets are known by their SHA-256 only.

use anima_db::lease::Lease;
use anima_types::permission::{Permission, Role};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts},
};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// Bits that nobody guesses.
const SECRET_BYTES: usize = 32;

/// Who calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// What they may do.
    pub role: Role,
    /// Their token's name, or the node's.
    pub name: String,
    /// The lease whose secret was sent, whether it still holds or not.
    pub lease: Option<Lease>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        // The route's check has put it there; without that check nobody comes so far.
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| ApiError::internal("a route is without a check"))
    }
}

/// Returns who sent the request. A secret that nobody has is refused, so that a typing error is not taken for a guest.
pub async fn caller(app: &App, headers: &HeaderMap) -> ApiResult<Caller> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(Caller { role: Role::Anonymous, name: "anonymous".to_string(), lease: None });
    };
    let secret = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(|| {
        ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", "the Authorization header is not \"Bearer TOKEN\"")
    })?;
    let hash = hash(secret.trim());
    let mut read = app.db.read().await?;
    if let Some(token) = anima_db::token::find(&mut read, &hash).await? {
        return Ok(Caller { role: token.role, name: token.name, lease: None });
    }
    match anima_db::lease::find(&mut read, &hash).await? {
        Some(lease) => Ok(Caller { role: Role::Lease, name: lease.node.clone(), lease: Some(lease) }),
        None => Err(ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", "this token is not known here")
            .hint("It was revoked, or belongs to another installation; make one with `anima token create`.")),
    }
}

/// Decides whether the caller may use a route; `task` is the one in its address.
pub fn check(caller: &Caller, permission: Permission, task: Option<&str>) -> ApiResult<()> {
    if !caller.role.may(permission) {
        return Err(denied(caller, permission));
    }
    // A lease is good for its own task only.
    let is_own = |lease: &Lease| task.is_some_and(|task| task == lease.task.to_string());
    if permission == Permission::HoldLease && !caller.lease.as_ref().is_some_and(is_own) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", "this lease is for another task"));
    }
    Ok(())
}

fn denied(caller: &Caller, permission: Permission) -> ApiError {
    let what = serde_json::to_value(permission).ok().and_then(|value| value.as_str().map(str::to_string));
    let what = what.unwrap_or_default();
    if caller.role == Role::Anonymous {
        return ApiError::new(
            StatusCode::UNAUTHORIZED,
            "token_needed",
            format!("this needs a token that may \"{what}\""),
        )
        .hint("Send `Authorization: Bearer TOKEN`; on the command line, --token or ANIMA_TOKEN.");
    }
    let message = format!("{} is a {} and may not \"{what}\"", caller.name, caller.role.name());
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}

/// Returns a new secret and its hash.
pub fn new_secret() -> (String, String) {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = hex::encode(bytes);
    let hash = hash(&secret);
    (secret, hash)
}

/// Returns what a secret is known by.
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::id::TaskId;

    fn caller(role: Role) -> Caller {
        Caller { role, name: "x".into(), lease: None }
    }

    #[test]
    fn a_lease_is_good_for_its_own_task_and_nothing_else() {
        let lease = Lease { task: TaskId(7), number: 1, node: "n".into() };
        let holder = Caller { role: Role::Lease, name: "n".into(), lease: Some(lease) };

        assert!(check(&holder, Permission::HoldLease, Some("7")).is_ok());
        assert!(check(&holder, Permission::HoldLease, Some("8")).is_err());
        assert!(check(&holder, Permission::HoldLease, None).is_err());
        assert!(check(&holder, Permission::Build, None).is_err());
    }

    #[test]
    fn who_sent_no_token_is_told_that_one_is_needed_and_who_sent_a_wrong_one_that_it_may_not() {
        assert_eq!(
            check(&caller(Role::Anonymous), Permission::Build, None).unwrap_err().status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(check(&caller(Role::TestNode), Permission::Build, None).unwrap_err().status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(new_secret().0, new_secret().0);
        assert_eq!(new_secret().0.len(), SECRET_BYTES * 2);
    }
}
