//! Passwords: argon2id with the parameters of OWASP's
//! [cheat sheet](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id), which are the
//! library's own: 19 MiB, two passes, one lane.

use std::sync::LazyLock;

use anima_types::account::{MAX_PASSWORD_BYTES, check_password};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use rand::Rng as _;
use tokio::sync::Semaphore;

use crate::error::{ApiError, ApiResult};

/// Passwords that are hashed at once: each takes 19 MiB and some ten milliseconds of a processor.
const AT_ONCE: usize = 4;
/// Bytes of salt, as [RFC 9106](https://www.rfc-editor.org/rfc/rfc9106#section-3.1) recommends.
const SALT_BYTES: usize = 16;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// A hash of no password, so that asking for an account that is not there takes as long as one that is.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hashed("nobody has this password").unwrap_or_default());

/// Returns the hash of a password that somebody wants.
pub async fn hash(password: &str) -> ApiResult<String> {
    check_password(password).map_err(|message| ApiError::unprocessable("bad_password", message))?;
    let password = password.to_string();
    in_turn(move || hashed(&password)).await?
}

/// Returns whether the password is the one of that hash. Without a hash it is not, and takes as long.
pub async fn verify(password: &str, hash: Option<String>) -> ApiResult<bool> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Ok(false);
    }
    let password = password.to_string();
    in_turn(move || {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODYS.clone());
        Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok() && is_known
    })
    .await
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
    let _turn = TURNS.acquire().await.map_err(ApiError::internal)?;
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
}

fn hashed(password: &str) -> ApiResult<String> {
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(ApiError::internal)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_argon2id_and_verifies_and_another_does_not() {
        let hash = hash("correct horse battery").await.unwrap();

        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse battery", Some(hash.clone())).await.unwrap());
        assert!(!verify("correct horse batterz", Some(hash.clone())).await.unwrap());
        assert!(!verify("", Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        assert!(!verify("nobody has this password", None).await.unwrap());
        assert!(!verify("x", Some("not a hash".into())).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_that_is_too_short_is_refused_in_words() {
        let refused = hash("short").await.unwrap_err();

        assert_eq!(refused.body.code, "bad_password");
    }
}
