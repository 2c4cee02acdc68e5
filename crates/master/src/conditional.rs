//! Requests with a condition ([RFC 9110, 13](https://www.rfc-editor.org/rfc/rfc9110#section-13)): who has an answer already
//! is told that it is the same still (304), and who changes what they saw is told when somebody else was faster (412).
//!
//! The tag of an answer is the hash of its bytes, so it is the same on each master and says nothing else.

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::{ApiError, ApiResult};

/// Answers that are longer are sent as they are: to hash them is not worth it.
const MAX_BYTES: u64 = 8 << 20;
/// Bytes of the hash that a tag has: nobody meets two by chance.
const TAG_BYTES: usize = 16;

/// Gives a JSON answer its tag, and none where its reader has it.
pub async fn tagged(request: Request, next: Next) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let is_small = response.body().size_hint().exact().is_some_and(|size| size <= MAX_BYTES);
    if response.status() != StatusCode::OK || !is_json || !is_small {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = match axum::body::to_bytes(body, MAX_BYTES as usize).await {
        Ok(bytes) => bytes,
        Err(error) => return ApiError::internal(error).into_response(),
    };
    let tag = tag(&bytes);
    let is_known = known.is_some_and(|known| has(&known, &tag));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..TAG_BYTES]))
}

/// Returns whether a list of tags has this one, or is `*`.
fn has(list: &HeaderValue, tag: &str) -> bool {
    let Ok(text) = list.to_str() else { return false };
    // A proxy that packs an answer makes its tag a weak one.
    text.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// What a change is to be done on only: the thing as its reader saw it.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(Option<HeaderValue>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch, ApiError> {
        Ok(IfMatch::of(&parts.headers))
    }
}

impl IfMatch {
    fn of(headers: &HeaderMap) -> IfMatch {
        IfMatch(headers.get(header::IF_MATCH).cloned())
    }

    /// Refuses a change of something that is not any more as it was seen; `now` is what reading it would give in the
    /// transaction that changes it.
    pub fn check(&self, now: &impl Serialize) -> ApiResult<()> {
        let Some(seen) = &self.0 else { return Ok(()) };
        let bytes = serde_json::to_vec(now).map_err(ApiError::internal)?;
        match has(seen, &tag(&bytes)) {
            true => Ok(()),
            false => {
                let message = "it was changed since you looked";
                Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "changed_meanwhile", message)
                    .hint("Read it again, and send the change with the new ETag."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_done_on_what_was_seen_only() {
        let tag = tag(&serde_json::to_vec(&[1]).unwrap());
        let seen = |text: &str| IfMatch(Some(text.parse().unwrap()));

        assert!(IfMatch::default().check(&[2]).is_ok());
        assert!(seen("*").check(&[2]).is_ok());
        assert!(seen(&format!("\"x\", W/{tag}")).check(&[1]).is_ok());
        let refused = seen(&tag).check(&[2]).unwrap_err();
        assert_eq!(
            (refused.status, refused.body.code.as_str()),
            (StatusCode::PRECONDITION_FAILED, "changed_meanwhile")
        );
    }
}
