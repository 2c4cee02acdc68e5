//! Lists in pages. A page ends with where the next begins, as a link that its reader follows
//! ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)): `Link: </api/v1/builds?cursor=…>; rel="next"`; the last has none.
//!
//! A cursor is the key of the last thing that was shown, not a number of things to leave out: what comes or goes meanwhile
//! shifts nothing. It is for the list that it came from, and means nothing to anybody else.

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{AppendHeaders, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{ApiError, ApiResult, Json, Query};

/// Things in one answer, where nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 500;
const MAX_LIMIT: u32 = 1_000;

/// Which page of a list is wanted.
#[derive(Clone, Debug)]
pub struct Paging {
    uri: Uri,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
struct Wanted {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Paging, ApiError> {
        let Query(Wanted { cursor, limit }) = Query::from_request_parts(parts, state).await?;
        Ok(Paging { uri: parts.uri.clone(), cursor, limit })
    }
}

impl Paging {
    /// Returns how many things a page has; a list that is dearer says other numbers where nothing is said, and at most.
    pub fn limit_of(&self, default: u32, max: u32) -> u32 {
        self.limit.unwrap_or(default).clamp(1, max)
    }

    /// Returns how many things a page has.
    pub fn limit(&self) -> u32 {
        self.limit_of(DEFAULT_LIMIT, MAX_LIMIT)
    }

    /// Returns the key after which the page begins.
    pub fn after<K: DeserializeOwned>(&self) -> ApiResult<Option<K>> {
        // An empty one is none: who builds addresses from forms sends it.
        let Some(cursor) = self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
        let bad = || {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_cursor", "this cursor is not one of this list")
                .hint("Begin without one, and follow the links of the answers.")
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
        let (path, key): (String, K) = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        if path != self.uri.path() {
            return Err(bad());
        }
        Ok(Some(key))
    }

    /// Returns a page of what was read: one more than `limit`, where there is more.
    pub fn page<T, K: Serialize>(&self, mut things: Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> ApiResult<Page<T>> {
        let limit = limit as usize;
        let is_more = things.len() > limit;
        things.truncate(limit);
        let next = match things.last().filter(|_| is_more) {
            Some(last) => Some(self.link(&key(last))?),
            None => None,
        };
        Ok(Page { things, next })
    }

    /// Returns a page of all that there is, in the order of its keys: for lists that fit into memory many times.
    pub fn page_of_all<T, K: Serialize + DeserializeOwned + Ord>(
        &self,
        mut things: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> ApiResult<Page<T>> {
        // Databases order texts each in their own way.
        things.sort_by_cached_key(&key);
        let limit = self.limit();
        let after: Option<K> = self.after()?;
        let is_after = |thing: &T| after.as_ref().is_none_or(|after| key(thing) > *after);
        let rest = things.into_iter().filter(is_after).take(limit as usize + 1).collect();
        self.page(rest, limit, key)
    }

    fn link(&self, key: &impl Serialize) -> ApiResult<HeaderValue> {
        let text = serde_json::to_vec(&(self.uri.path(), key)).map_err(ApiError::internal)?;
        let query = self.uri.query().unwrap_or_default();
        let others = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor");
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.extend_pairs(others).append_pair("cursor", &URL_SAFE_NO_PAD.encode(text)).finish();
        let link = format!("<{}?{query}>; rel=\"next\"", self.uri.path());
        HeaderValue::from_str(&link).map_err(ApiError::internal)
    }
}

/// A page of a list.
pub struct Page<T> {
    things: Vec<T>,
    next: Option<HeaderValue>,
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        (AppendHeaders(self.next.map(|next| (header::LINK, next))), Json(self.things)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(uri: &str) -> Paging {
        let uri: Uri = uri.parse().unwrap();
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let find = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        Paging { cursor: find("cursor"), limit: find("limit").map(|text| text.parse().unwrap()), uri }
    }

    fn next(page: &Page<i64>) -> Option<String> {
        let text = page.next.as_ref()?.to_str().unwrap();
        Some(text.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_string())
    }

    #[test]
    fn the_pages_together_are_the_list_also_when_something_goes_meanwhile() {
        let first = paging("/l?limit=2&q=a%26b").page_of_all(vec![1, 3, 5, 7, 9], |one| *one).unwrap();
        let second = paging(&next(&first).unwrap()).page_of_all(vec![1, 5, 6, 7, 9], |one| *one).unwrap();
        let third = paging(&next(&second).unwrap()).page_of_all(vec![1, 5, 6, 7, 9], |one| *one).unwrap();

        assert_eq!(
            (first.things.as_slice(), second.things.as_slice(), third.things.as_slice()),
            (&[1, 3][..], &[5, 6][..], &[7, 9][..])
        );
        assert!(next(&second).unwrap().contains("q=a%26b"));
        assert_eq!(next(&third), None);
    }

    #[test]
    fn a_cursor_of_another_list_or_of_nobody_is_refused() {
        let first = paging("/l?limit=1").page_of_all(vec![1, 2], |one| *one).unwrap();
        let elsewhere = next(&first).unwrap().replace("/l?", "/m?");

        for wrong in [elsewhere.as_str(), "/l?cursor=nonsense"] {
            let refused = paging(wrong).after::<i64>().unwrap_err();
            assert_eq!((refused.status, refused.body.code.as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "bad_cursor"));
        }
        assert_eq!(paging("/l?cursor=").after::<i64>().unwrap(), None, "an empty one is none");
    }
}
