//! Keys: asked for here, made and kept by the Sign Server alone. They expire, are rotated and are revoked.

mod api;
pub mod rotate;

use anima_db::{
    Connection, Write,
    key::Made,
    task::{About, Subject, Task},
};
use anima_rpm_file::PublicKey;
use anima_types::{
    Timestamp,
    id::KeyId,
    key::{Algorithm, CreateKey, Event, Key, KeyDetail, RevokeKey, Status},
    key_policy::{MAX_APPROVALS, Policy},
    task::{self, Kind},
    work::SignOutcome,
};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

pub use api::{key_of, routes};

/// Bytes of a key's name at most: it is a file's name.
const MAX_NAME_BYTES: usize = 64;
/// A key that is good for less is a mistake: nobody could take another in time.
const MIN_VALID_SECS: u32 = 24 * 60 * 60;
/// People are told of a key that expires in so many days: time to make another and to tell users.
const WARN_DAYS: [i64; 4] = [90, 30, 7, 1];
const DAY_SECS: i64 = 24 * 60 * 60;
/// Words of a person on why a key is revoked: they go into the public key.
const MAX_REASON_BYTES: usize = 500;
/// What a page and the command line show of what a key signed last.
const NEWEST_SIGNATURES: u32 = 20;

/// Says what is wrong with a key that is asked for.
pub fn check(wanted: &CreateKey) -> ApiResult<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let is_name = !wanted.name.is_empty() && wanted.name.len() <= MAX_NAME_BYTES && wanted.name.chars().all(plain);
    if !is_name || wanted.name.starts_with('.') || wanted.name.ends_with(".files") {
        let message = "a key's name has lower-case letters, digits, '-', '.' and '_', does not begin with '.' and does not end with \".files\"";
        return Err(ApiError::unprocessable("bad_name", message));
    }
    if wanted.user_id.trim().is_empty() {
        return Err(ApiError::unprocessable(
            "bad_user_id",
            "a key needs a user id such as \"NAME <mail@example.org>\"",
        ));
    }
    if wanted.options.valid_secs.is_some_and(|secs| secs < MIN_VALID_SECS) {
        return Err(ApiError::unprocessable("bad_validity", "a key is good for a day at least"));
    }
    if wanted.options.signs_payload && wanted.algorithm != Algorithm::Rsa4096 {
        let message = "signatures over header and payload are for clients that read no Ed25519: such a key is of RSA";
        return Err(ApiError::unprocessable("bad_options", message));
    }
    if let Some(fingerprint) = &wanted.options.adopt
        && (fingerprint.len() != 40 || !fingerprint.chars().all(|c| c.is_ascii_hexdigit()))
    {
        return Err(ApiError::unprocessable("bad_fingerprint", "a fingerprint has 40 hexadecimal digits"));
    }
    Ok(())
}

fn check_policy(policy: &Policy) -> ApiResult<()> {
    match policy.requires.approvals > MAX_APPROVALS {
        true => Err(ApiError::unprocessable("bad_policy", format!("{MAX_APPROVALS} approvals at most can be wanted"))),
        false => Ok(()),
    }
}

/// Why a task that makes a key is not done yet.
pub const WAITS: &str = "It waits for the Sign Server.";

/// Writes a key, and the task that makes it.
pub async fn ask(write: &mut Write, wanted: &CreateKey, policy: &Policy) -> ApiResult<KeyId> {
    let id = anima_db::key::insert(write, wanted, policy).await?;
    let about = About { key: Some(id), subject: Some(Subject::Key), ..About::new(Kind::Sign) };
    begin(write, &about, "A key was asked for.").await?;
    Ok(id)
}

async fn begin(write: &mut Write, about: &About, why: &str) -> ApiResult<()> {
    let task = anima_db::task::insert(write, about, why).await?;
    let task = anima_db::task::get(write, task).await?;
    anima_db::task::apply(write, &task, task::Event::DependenciesMet, WAITS).await?;
    Ok(())
}

/// Takes a key out of trust: nothing is signed with it from now on. Its public half says so as soon as there is a
/// revocation, which somebody made before, or the Sign Server makes now.
pub async fn revoke(write: &mut Write, key: &Key, wanted: &RevokeKey) -> ApiResult<()> {
    if wanted.reason.len() > MAX_REASON_BYTES || wanted.reason.contains(char::is_control) {
        let message = format!("a reason has {MAX_REASON_BYTES} bytes at most, and no control characters");
        return Err(ApiError::unprocessable("bad_reason", message));
    }
    let certified = wanted.certificate.as_deref().map(|text| certified(key, text)).transpose()?;
    let name = &key.key.name;
    let words = match wanted.reason.as_str() {
        "" => wanted.why.name().to_string(),
        reason => format!("{}: {reason}", wanted.why.name()),
    };
    let message = format!("{} revoked key {name} ({words}).", write.actor);
    anima_db::key::apply(write, key, Event::Revoked, &message).await?;
    anima_db::key::set_reason(write, key.id, &words).await?;
    for task in anima_db::task::open_of_key(write, key.id).await? {
        anima_db::task::apply(write, &task, task::Event::Cancelled, &format!("Key {name} is revoked.")).await?;
    }
    match certified {
        Some(public_key) => anima_db::key::set_revoked(write, key, &public_key).await?,
        None => {
            let about = About { key: Some(key.id), subject: Some(Subject::Revocation), ..About::new(Kind::Sign) };
            begin(write, &about, &words).await?;
        }
    }
    Ok(())
}

/// Returns a key's public half with the revocation in `text`.
fn certified(key: &Key, text: &str) -> ApiResult<String> {
    let bad = |error: anima_rpm_file::Error| ApiError::unprocessable("bad_revocation", error.to_string());
    let public = key.public_key.as_deref().ok_or_else(|| {
        ApiError::conflict("no_key", format!("the Sign Server has not made key {} yet", key.key.name))
    })?;
    let public = PublicKey::from_armoured(public).map_err(ApiError::internal)?;
    public.with_revocation(text).and_then(|revoked| revoked.to_armoured()).map_err(bad)
}

/// Checks what the Sign Server says of a key: that it is the one that was asked for.
pub fn accept(key: &Key, outcome: &SignOutcome) -> ApiResult<Made> {
    let SignOutcome::Key { fingerprint, public_key, file_key } = outcome else {
        return Err(ApiError::unprocessable("wrong_outcome", "a key was asked for"));
    };
    let bad = |why: String| ApiError::unprocessable("bad_key", why);
    let public = PublicKey::from_armoured(public_key).map_err(|error| bad(error.to_string()))?;
    if !public.fingerprint().eq_ignore_ascii_case(fingerprint) {
        return Err(bad(format!("the key's fingerprint is {}, the report says {fingerprint}", public.fingerprint())));
    }
    if let Some(wanted) = &key.key.options.adopt
        && !wanted.eq_ignore_ascii_case(fingerprint)
    {
        return Err(bad(format!("the Sign Server has key {fingerprint}; {wanted} was asked for")));
    }
    if key.key.options.signs_files != file_key.is_some() {
        return Err(bad("the key for signatures of files is missing, or was not asked for".to_string()));
    }
    if let Some(file_key) = file_key {
        PublicKey::from_armoured(file_key).map_err(|error| bad(format!("of file signatures: {error}")))?;
    }
    Ok(Made {
        fingerprint: fingerprint.to_uppercase(),
        public_key: public_key.clone(),
        file_key: file_key.clone(),
        expires_at: public.expires_at_secs().map(|secs| Timestamp(secs * 1_000_000)),
    })
}

/// Writes the revocation that the Sign Server made.
pub async fn accept_revocation(write: &mut Write, id: KeyId, public_key: &str) -> ApiResult<()> {
    let key = anima_db::key::get(write, id).await?;
    let public_key = certified(&key, public_key)?;
    Ok(anima_db::key::set_revoked(write, &key, &public_key).await?)
}

/// Ends keys whose time is over, and tells people of those that end soon. Returns whether anything was done.
pub async fn expire_once(app: &App, now: Timestamp) -> ApiResult<bool> {
    let mut read = app.db.read().await?;
    let soon = anima_db::key::list_expiring(&mut read, now.plus_secs(WARN_DAYS[0] * DAY_SECS)).await?;
    drop(read);
    if soon.is_empty() {
        return Ok(false);
    }
    let mut write = app.db.write(now, "anima").await?;
    let mut any = false;
    for key in &soon {
        let name = &key.key.name;
        let Some(days) = key.days_left(now) else { continue };
        if key.expires_at.is_some_and(|at| at <= now) {
            let message = format!("Key {name} is expired: it signs nothing any more.");
            anima_db::key::apply(&mut write, key, Event::Expired, &message).await?;
            any = true;
        } else if let Some(threshold) = WARN_DAYS.into_iter().rfind(|&threshold| days < threshold) {
            let message = format!("Key {name} expires in {days} days; give its products another in time.");
            any |= anima_db::key::warn(&mut write, key, threshold, &message).await?;
        }
    }
    write.commit().await?;
    Ok(any)
}

/// Returns a key with what it is used for.
pub async fn detail(connection: &mut Connection, id: KeyId) -> ApiResult<KeyDetail> {
    let key = anima_db::key::get(connection, id).await?;
    let products = anima_db::product::list(connection).await?;
    let products: Vec<String> =
        products.into_iter().filter(|product| product.key == Some(id)).map(|product| product.product.name).collect();
    let ever = anima_db::key::products_of(connection, id).await?;
    Ok(KeyDetail {
        former_products: ever.into_iter().filter(|name| !products.contains(name)).collect(),
        products,
        signed: anima_db::signature::counts(connection, id).await?,
        seen_count: anima_db::key::seen_count(connection, id).await?,
        newest: anima_db::signature::newest(connection, id, NEWEST_SIGNATURES).await?,
        key,
    })
}

/// Returns the public keys that a product's packages and indexes may be signed with, the newest first; or those that it
/// had and that are revoked.
pub async fn published(connection: &mut Connection, product: &str, are_revoked: bool) -> ApiResult<Vec<String>> {
    let keys = anima_db::key::of_product(connection, product).await?;
    let keys = keys.into_iter().filter(|key| match are_revoked {
        true => key.status == Status::Revoked,
        false => key.status.verifies(),
    });
    Ok(keys.filter_map(|key| key.public_key).collect())
}

/// A key that was made lets all wait no longer that need it.
pub fn tell(app: &App, task: &Task) {
    if matches!(task.about.subject, Some(Subject::Key | Subject::Revocation)) {
        app.everything_is_due();
    }
}
