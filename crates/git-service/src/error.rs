//! Why a request was not done: as plain text, which git shows to its user, and as the API's JSON.

use anima_types::error::ErrorBody;
use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// An error of a request.
#[derive(Debug)]
pub(crate) struct Error {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Error {
        Error { status, code, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn bad_name(name: &str) -> Error {
        Error::new(StatusCode::BAD_REQUEST, "bad_name", format!("{name:?} is no name for a package"))
    }

    pub fn internal(error: impl std::fmt::Display) -> Error {
        tracing::error!(%error, "a request failed: {error}");
        Error::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("something is wrong with the service: {error}"),
        )
    }

    /// Returns the error of an operation on disk.
    pub fn disk(what: &str, error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                tracing::error!("could not {what}: the disk is full");
                Error::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "out_of_disk",
                    format!("could not {what}: the disk is full"),
                )
                .hint("Make room on the disk of the Git Service's data folder; then repeat.")
            }
            _ => Error::internal(format!("could not {what}: {error}")),
        }
    }

    /// Returns the answer as git shows it: as text, and with the question for a password where one would help.
    pub fn as_text(&self) -> Response {
        let hint = self.hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default();
        let mut response = (self.status, format!("{}{hint}\n", self.message)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let ask = header::HeaderValue::from_static("Basic realm=\"Anima: any name, and a token as password\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = ErrorBody { code: self.code.to_string(), message: self.message, hint: self.hint };
        (self.status, Json(body)).into_response()
    }
}
