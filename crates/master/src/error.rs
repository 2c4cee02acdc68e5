//! The API's edge: every answer of 400 and above has one form.

use std::{fmt, marker::PhantomData};

use anima_types::{
    error::{ErrorBody, is_code},
    lease::{LOG_FULL, LOG_GAP},
};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request, rejection},
    http::{StatusCode, Uri, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Why a request was not done.
#[derive(Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: ErrorBody,
    /// After how many seconds to ask again, where that is known.
    pub retry_after_secs: Option<u64>,
}

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// Returns an error with a code of [the table](anima_types::error::CODES) and a sentence.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> ApiError {
        debug_assert!(is_code(code), "{code} is in the table of codes");
        let body = ErrorBody { code: code.to_string(), message: message.into(), hint: None };
        ApiError { status, body, retry_after_secs: None }
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> ApiError {
        self.body.hint = Some(hint.into());
        self
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 422: it was understood, and cannot be.
    pub fn unprocessable(code: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 409.
    pub fn conflict(code: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, code, message)
    }

    /// 500: the caller can do nothing about it; the log says more.
    pub fn internal(error: impl std::fmt::Display) -> ApiError {
        tracing::error!(%error, "a request failed: {error}");
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("something is wrong with the service: {error}"),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after_secs.map(|secs| (header::RETRY_AFTER, secs.to_string()));
        (self.status, AppendHeaders(retry_after), axum::Json(self.body)).into_response()
    }
}

impl From<anima_db::Error> for ApiError {
    fn from(error: anima_db::Error) -> ApiError {
        use anima_db::Error;
        match error {
            Error::Missing { .. } => ApiError::not_found(error.to_string()),
            Error::Taken { .. } => ApiError::conflict("taken", error.to_string()),
            Error::Transition { .. } => ApiError::conflict("wrong_status", error.to_string()),
            Error::Conflict { .. } => {
                ApiError::conflict("changed_meanwhile", error.to_string()).hint("Look again and repeat.")
            }
            Error::Query(_) if error.is_of_full_disk() => out_of_disk(error),
            Error::Query(_) if error.is_of_value() => ApiError::unprocessable("bad_value", error.to_string()),
            Error::Query(_) | Error::Open { .. } | Error::Migrate(_) => {
                tracing::error!(%error, "the database does not answer: {error}");
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_database", error.to_string()).hint("Try again soon.")
            }
            Error::Column { .. } | Error::Version { .. } | Error::Archive { .. } => ApiError::internal(error),
        }
    }
}

impl From<anima_store::Error> for ApiError {
    fn from(error: anima_store::Error) -> ApiError {
        use anima_store::Error;
        match error {
            Error::NotFound(_) => ApiError::not_found(error.to_string()),
            Error::WrongHash { .. } => {
                ApiError::unprocessable("wrong_hash", error.to_string()).hint("Send the file again.")
            }
            Error::TooLong { .. } => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", error.to_string()),
            Error::Interrupted { .. } => ApiError::new(StatusCode::BAD_REQUEST, "interrupted", error.to_string()),
            Error::NoSuchPiece { .. } => ApiError::unprocessable("no_such_piece", error.to_string()),
            Error::LogGap { .. } => ApiError::conflict(LOG_GAP, error.to_string()),
            Error::LogSealed { .. } => ApiError::conflict("log_closed", error.to_string()),
            Error::LogDiffers { .. } => ApiError::conflict("log_differs", error.to_string()),
            Error::LogFull { .. } => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, LOG_FULL, error.to_string()),
            Error::DiskFull { .. } => out_of_disk(error),
            Error::Away { .. } => {
                tracing::error!(%error, "the object store does not answer: {error}");
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_store", error.to_string()).hint("Try again soon.")
            }
            Error::Damaged { .. } | Error::Io { .. } => ApiError::internal(error),
        }
    }
}

fn out_of_disk(error: impl std::fmt::Display) -> ApiError {
    tracing::error!(%error, "the disk is full: {error}");
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "out_of_disk", error.to_string())
        .hint("Make room on the disk of the master's data folder; then repeat.")
}

macro_rules! rejections {
    ($($rejection:ty => $code:literal),* $(,)?) => {$(
        impl From<$rejection> for ApiError {
            fn from(rejection: $rejection) -> ApiError {
                ApiError::new(rejection.status(), $code, rejection.body_text())
            }
        }
    )*};
}

rejections! {
    rejection::JsonRejection => "bad_body",
    rejection::FormRejection => "bad_form",
    rejection::QueryRejection => "bad_query",
    rejection::PathRejection => "bad_address",
    rejection::BytesRejection => "bad_body",
}

/// A JSON body, which is an object, and whose faults are told in the API's form.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Json<T>, ApiError> {
        let (request, body) = with_body(request, state).await?;
        if !nuls(&body).is_empty() {
            return Err(nul(StatusCode::UNPROCESSABLE_ENTITY, "bad_body"));
        }
        let axum::Json(Object(value)) = axum::Json::<Object<T>>::from_request(request, state).await?;
        Ok(Json(value))
    }
}

/// What a node says, as [`Json`]. Its texts quote programs, which write what they like: nothing is refused for the NUL in them, as
/// the node could only say the same again, and so lose its task; it is marked as what cannot be shown.
pub struct Told<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Told<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Told<T>, ApiError> {
        let (request, body) = with_body(request, state).await?;
        let request = request.map(|whole| match nuls(&body) {
            none if none.is_empty() => whole,
            nuls => Body::from(marked(&body, &nuls)),
        });
        let axum::Json(Object(value)) = axum::Json::<Object<T>>::from_request(request, state).await?;
        Ok(Told(value))
    }
}

/// Reads the body of a request, and returns both.
async fn with_body<S: Send + Sync>(request: Request, state: &S) -> ApiResult<(Request, Bytes)> {
    let (parts, body) = request.into_parts();
    let body = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await?;
    Ok((Request::from_parts(parts, Body::from(body.clone())), body))
}

/// How a JSON text says NUL.
const JSON_NUL: &[u8] = br"\u0000";

/// Returns where a JSON text says NUL. A backslash that is itself said so begins nothing.
fn nuls(json: &[u8]) -> Vec<usize> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some(next) = json.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += next;
        if json[at..].starts_with(JSON_NUL) {
            found.push(at);
        }
        at += 2;
    }
    found
}

/// Returns a JSON text with what stands for an unknown character in place of each NUL.
fn marked(json: &[u8], nuls: &[usize]) -> Vec<u8> {
    let mut marked = json.to_vec();
    for &at in nuls {
        marked[at..at + JSON_NUL.len()].copy_from_slice(br"\ufffd");
    }
    marked
}

/// Refuses an address with a NUL in it: PostgreSQL has no text with one, so nothing is called so or can be.
pub fn without_nul(address: &Uri) -> ApiResult<()> {
    let has_nul = |part: &str| part.contains("%00");
    if has_nul(address.path()) {
        return Err(nul(StatusCode::BAD_REQUEST, "bad_address"));
    }
    match address.query().is_some_and(has_nul) {
        true => Err(nul(StatusCode::BAD_REQUEST, "bad_query")),
        false => Ok(()),
    }
}

fn nul(status: StatusCode, code: &str) -> ApiError {
    ApiError::new(status, code, "there is a NUL character in it, which no text here can have")
}

/// What stands in a body as an object: a list of the fields' values in their order, which serde takes as well, is none.
struct Object<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// A page's form, whose faults are told in the API's form.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Form<T>, ApiError> {
        let (request, body) = with_body(request, state).await?;
        if body.contains(&0) || body.windows(3).any(|three| three == b"%00") {
            return Err(nul(StatusCode::UNPROCESSABLE_ENTITY, "bad_form"));
        }
        let axum::Form(value) = axum::Form::from_request(request, state).await?;
        Ok(Form(value))
    }
}

/// A query, whose faults are told in the API's form.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub struct Query<T>(pub T);

/// The variable parts of an address, whose faults are told in the API's form.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> Json<T> {
    /// Reads a body that may also be absent, where the extractor would ask for one.
    pub fn from_bytes(bytes: &[u8]) -> ApiResult<Json<T>> {
        if !nuls(bytes).is_empty() {
            return Err(nul(StatusCode::UNPROCESSABLE_ENTITY, "bad_body"));
        }
        Ok(axum::Json::from_bytes(bytes).map(|axum::Json(Object(value))| Json(value))?)
    }
}

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;
    use anima_types::{
        error::CODES,
        lease::{NAME_TAKEN, NODE_ENDS, NODE_TOO_OLD, STALE_LEASE},
    };
    use regex::Regex;

    #[derive(Debug, Deserialize)]
    struct Wanted {
        #[serde(default)]
        name: String,
    }

    #[test]
    fn a_body_is_an_object() {
        let read = |text: &str| Json::<Wanted>::from_bytes(text.as_bytes()).map(|Json(wanted)| wanted.name);

        assert_eq!(read("{\"name\": \"a\"}").unwrap(), "a");
        assert_eq!(read("{}").unwrap(), "");
        for wrong in ["[]", "[\"a\"]", "\"a\"", "1", "null"] {
            let refused = read(wrong).unwrap_err();
            assert_eq!(
                (refused.status, refused.body.code.as_str()),
                (StatusCode::UNPROCESSABLE_ENTITY, "bad_body"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn nul_is_found_where_it_is_said_and_nowhere_else() {
        let marked = |text: &str| String::from_utf8(super::marked(text.as_bytes(), &nuls(text.as_bytes()))).unwrap();

        assert_eq!(marked(r#"{"a":"x\u0000\u0000y"}"#), r#"{"a":"x\ufffd\ufffdy"}"#);
        for without in [r#"{"a":"\\u0000"}"#, r#"{"a":"u0000 \u00e9 \n"}"#, "\\", "{}"] {
            assert_eq!(marked(without), without);
        }
        assert_eq!(Json::<Wanted>::from_bytes(br#"{"name":"\u0000"}"#).err().unwrap().body.code, "bad_body");
    }

    /// Every word that stands where a code stands is in the table, and every one of the table stands somewhere.
    #[test]
    fn the_codes_are_those_of_the_table_and_no_others() {
        let text = sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path());
        let call = r#"(?:ApiError::new\([^";]*?,|unprocessable\(|conflict\()\s*"([a-z_]+)""#;
        let used: BTreeSet<String> =
            Regex::new(call).unwrap().captures_iter(&text).map(|found| found[1].to_string()).collect();

        let unknown: Vec<_> = used.iter().filter(|code| !is_code(code)).collect();
        let unused: Vec<_> = CODES.iter().filter(|(code, _)| !text.contains(&format!("\"{code}\""))).collect();

        assert!(unknown.is_empty(), "not in anima_types::error::CODES: {unknown:?}");
        let of_leases = [NAME_TAKEN, NODE_TOO_OLD, NODE_ENDS, STALE_LEASE, LOG_GAP, LOG_FULL];
        assert!(unused.iter().all(|(code, _)| of_leases.contains(code)), "no longer used: {unused:?}");
        assert!(used.len() > 100, "{}", used.len());
    }

    fn sources(folder: &Path) -> String {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| match path.is_dir() {
                true => sources(&path),
                false => std::fs::read_to_string(&path).unwrap(),
            })
            .collect()
    }
}
