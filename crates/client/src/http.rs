//! The one place where requests are made: addresses, credentials, time limits, errors, repetition.

use std::{fmt, time::Duration};

use anima_types::error::ErrorBody;
use bytes::Bytes;
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderName, LINK},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::Error,
    retry::{Backoff, patiently},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A dead peer is noticed by then, however long the call may last.
const TCP_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that nobody uses is closed by us, before the master does: it waits 30 s for the next request's head.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// A call that neither waits for anything nor moves a file is answered by then.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A call that is safe to repeat is repeated for so long: over a hiccup, but a person at a terminal does not wait longer.
const CALL_PATIENCE: Duration = Duration::from_secs(3);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Of a file something comes at least so often: the head of the answer, and then its pieces. A server that accepts and says
/// nothing is away, however alive its machine is.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// JSON of one answer at most: the largest are plans of whole repositories.
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;
/// The body of an error at most.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// What a call is done once by.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The code of an answer to a call that is being done already.
const IN_PROGRESS: &str = "in_progress";

/// A client of one master with one token, or none. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    pub(crate) idle_timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// A call that is about to be made.
pub(crate) struct Call {
    pub(crate) what: String,
    pub(crate) request: RequestBuilder,
}

impl Client {
    /// Returns a client of the master at `base_url`, such as `http://localhost:8080`. It does not connect yet.
    pub fn new(base_url: &str, token: Option<String>) -> Result<Client, Error> {
        let wrong = |reason: String| Error::Address { url: base_url.to_string(), reason };
        let mut base = Url::parse(base_url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong("it has to begin with http:// or https://".to_string()));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("anima/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_keepalive(TCP_TIMEOUT)
            .tcp_user_timeout(TCP_TIMEOUT)
            // A library does not read the environment.
            .no_proxy()
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Client { http, base, token, idle_timeout: IDLE_TIMEOUT })
    }

    /// Returns the same client with another token.
    pub fn with_token(&self, token: Option<String>) -> Client {
        Client { token, ..self.clone() }
    }

    /// Returns the master's address.
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Returns whether the master is there and well.
    pub async fn healthz(&self) -> Result<(), Error> {
        self.send(self.call(Method::GET, "healthz").limited(CALL_TIMEOUT)).await.map(drop)
    }

    /// `path` has no slash in front, and its variable parts are percent-encoded.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let what = format!("{method} /{path}");
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Call { what, request }
    }

    /// Any address, without a token.
    pub(crate) fn foreign_call(&self, url: &str) -> Call {
        Call { what: format!("GET {url}"), request: self.http.get(url) }
    }

    /// Sends it once; an answer of 400 and above is an error.
    pub(crate) async fn send(&self, call: Call) -> Result<Response, Error> {
        let Call { what, request } = call;
        let response = request.send().await.map_err(|error| self.broken(&what, error))?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(self.refusal(what, response).await);
        }
        Ok(response)
    }

    /// As [`Client::send`], of a call without a limit as a whole: its answer begins in time, and [`Client::read`] sees to the rest.
    pub(crate) async fn send_for_file(&self, call: Call) -> Result<Response, Error> {
        let what = call.what.clone();
        match tokio::time::timeout(self.idle_timeout, self.send(call)).await {
            Ok(response) => response,
            Err(_) => Err(self.silent(what)),
        }
    }

    /// Returns the next piece of an answer; nothing at its end.
    pub(crate) async fn next_piece(&self, what: &str, response: &mut Response) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(self.idle_timeout, response.chunk()).await {
            Ok(piece) => piece.map_err(|error| self.broken(what, error)),
            Err(_) => Err(self.silent(what.to_string())),
        }
    }

    fn silent(&self, what: String) -> Error {
        let url = what.split_once(' ').and_then(|(_, address)| Url::parse(address).ok());
        let server = url.map_or_else(|| self.base.to_string(), |url| url.origin().ascii_serialization());
        let reason = format!("nothing came for {} seconds", self.idle_timeout.as_secs_f64());
        Error::Unreachable { server, what, reason }
    }

    /// Sends a call that is safe to repeat, and reads its answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Error> {
        patiently(CALL_PATIENCE, LONGEST_WAIT, Error::is_temporary, || async {
            let call = self.call(Method::GET, path).limited(CALL_TIMEOUT).query(query);
            self.json(call).await
        })
        .await
    }

    /// Reads a list: all of it, or as many things as are wanted, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
        wanted: Option<u32>,
    ) -> Result<Vec<T>, Error> {
        let wanted = wanted.map_or(usize::MAX, |wanted| wanted as usize);
        let mut things: Vec<T> = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = patiently(CALL_PATIENCE, LONGEST_WAIT, Error::is_temporary, || async {
                let call = match &next {
                    // The link has the query in it.
                    Some(link) => self.call(Method::GET, link.trim_start_matches('/')),
                    None => self.call(Method::GET, path).query(query),
                };
                let response = self.send(call.limited(CALL_TIMEOUT)).await?;
                let link = next_page(&response);
                Ok((self.read_json::<Vec<T>>(format!("GET /{path}"), response).await?, link))
            });
            let (page, link) = page.await?;
            things.extend(page);
            next = link;
            if next.is_none() || things.len() >= wanted {
                things.truncate(wanted);
                return Ok(things);
            }
        }
    }

    /// Sends a call that does something, with a key by which it is done once. So it is repeated as one that is safe to.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let response = self.once(|| self.call(Method::POST, path).limited(CALL_TIMEOUT).json(body)).await?;
        self.read_json(format!("POST /{path}"), response).await
    }

    /// Sends a call of somebody who is nobody yet, and has no keys. It is repeated only while no connection could be made.
    pub(crate) async fn post_as_nobody<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let response = self.once_connected(|| self.call(Method::POST, path).limited(CALL_TIMEOUT).json(body)).await?;
        self.read_json(format!("POST /{path}"), response).await
    }

    async fn once(&self, call: impl Fn() -> Call) -> Result<Response, Error> {
        let key = format!("{:032x}", rand::random::<u128>());
        let is_temporary = |error: &Error| error.is_temporary() || error.code() == Some(IN_PROGRESS);
        patiently(CALL_PATIENCE, LONGEST_WAIT, is_temporary, || self.send(call().header(IDEMPOTENCY_KEY, &key))).await
    }

    /// The same of a call whose answer is waited for, and may be that there is nothing yet (204).
    pub(crate) async fn post_waiting<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<Option<T>, Error> {
        let response = self.once_connected(|| self.call(Method::POST, path).limited(limit).json(body)).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            _ => self.read_json(format!("POST /{path}"), response).await.map(Some),
        }
    }

    /// Puts something in the place of what was there, which may be done again; reads the answer.
    pub(crate) async fn put_json<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let response = self.once_connected(|| self.call(Method::PUT, path).limited(CALL_TIMEOUT).json(body)).await?;
        self.read_json(format!("PUT /{path}"), response).await
    }

    /// As [`Client::post`], and whatever the answer says is not read.
    pub(crate) async fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), Error> {
        self.once(|| self.call(Method::POST, path).limited(CALL_TIMEOUT).json(body)).await.map(drop)
    }

    /// As [`Client::tell`], without a body.
    pub(crate) async fn act(&self, method: Method, path: &str) -> Result<(), Error> {
        if method == Method::POST {
            return self.once(|| self.call(Method::POST, path).limited(CALL_TIMEOUT)).await.map(drop);
        }
        self.once_connected(|| self.call(method.clone(), path).limited(CALL_TIMEOUT)).await.map(drop)
    }

    /// Sends a call, and reads its answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let what = call.what.clone();
        let response = self.send(call).await?;
        self.read_json(what, response).await
    }

    async fn read_json<T: DeserializeOwned>(&self, what: String, response: Response) -> Result<T, Error> {
        let bytes = self.read(&what, response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Answer { what, reason: error.to_string() })
    }

    /// Reads the whole answer, if it is not longer than allowed.
    pub(crate) async fn read(&self, what: &str, mut response: Response, max_bytes: u64) -> Result<Bytes, Error> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next_piece(what, &mut response).await? {
            if bytes.len() as u64 + piece.len() as u64 > max_bytes {
                return Err(Error::TooLong { what: what.to_string(), max_bytes });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    pub(crate) fn broken(&self, what: &str, error: reqwest::Error) -> Error {
        let server = error.url().map_or_else(|| self.base.to_string(), |url| url.origin().ascii_serialization());
        let is_answer = error.is_builder() || error.is_redirect();
        let (what, reason) = (what.to_string(), innermost(&error.without_url()));
        match is_answer {
            true => Error::Answer { what, reason },
            false => Error::Unreachable { server, what, reason },
        }
    }

    async fn once_connected(&self, call: impl Fn() -> Call) -> Result<Response, Error> {
        let mut backoff = Backoff::up_to(LONGEST_WAIT);
        let until = tokio::time::Instant::now() + CALL_PATIENCE;
        loop {
            let Call { what, request } = call();
            match request.send().await {
                Err(error) if error.is_connect() && tokio::time::Instant::now() < until => {
                    tokio::time::sleep(backoff.next()).await;
                }
                Err(error) => return Err(self.broken(&what, error)),
                Ok(response) if response.status().as_u16() >= 400 => return Err(self.refusal(what, response).await),
                Ok(response) => return Ok(response),
            }
        }
    }

    async fn refusal(&self, what: String, response: Response) -> Error {
        let status = response.status();
        let is_json =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let bytes = self.read(&what, response, MAX_ERROR_BYTES).await.unwrap_or_default();
        let body = is_json.then(|| serde_json::from_slice(&bytes).ok()).flatten();
        Error::Api { what, status: status.as_u16(), body: body.unwrap_or_else(|| foreign_error(status)) }
    }
}

impl Call {
    pub(crate) fn limited(self, timeout: Duration) -> Call {
        Call { request: self.request.timeout(timeout), ..self }
    }

    pub(crate) fn query(self, query: &impl Serialize) -> Call {
        Call { request: self.request.query(query), ..self }
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Call {
        Call { request: self.request.json(body), ..self }
    }

    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Call {
        Call { request: self.request.body(body), ..self }
    }

    pub(crate) fn header(self, name: reqwest::header::HeaderName, value: impl ToString) -> Call {
        Call { request: self.request.header(name, value.to_string()), ..self }
    }
}

/// Returns the address of the next page of a list, where there is one
/// ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)): `</api/v1/builds?cursor=…>; rel="next"`.
fn next_page(response: &Response) -> Option<String> {
    let links = response.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links.filter_map(|link| link.split_once(">; rel=\"next\""));
    // The token goes nowhere else.
    let own = next.filter_map(|(address, _)| address.strip_prefix('<')).filter(|address| address.starts_with("/api/"));
    own.map(str::to_string).next()
}

/// An error of something between us and the master, such as a proxy: it does not speak our form.
fn foreign_error(status: StatusCode) -> ErrorBody {
    let reason = status.canonical_reason().unwrap_or("error");
    ErrorBody {
        code: format!("http_{}", status.as_u16()),
        message: format!("the server answered {reason} without saying why"),
        hint: Some("Check that the address is that of Anima's Master Service.".to_string()),
    }
}

/// Returns the cause at the end of the chain: "Connection refused" and not "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}

/// Makes a text fit for one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'+' => all.push(byte as char),
            // A segment of dots alone would be a path of its own.
            b'.' if text.bytes().any(|byte| byte != b'.') => all.push('.'),
            _ => all += &format!("%{byte:02X}"),
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused() {
        for bad in ["", "localhost:8080", "ftp://h/", "http://"] {
            assert!(matches!(Client::new(bad, None), Err(Error::Address { .. })), "{bad}");
        }
        assert_eq!(Client::new("http://h/anima", None).unwrap().base_url(), "http://h/anima/");
    }

    #[test]
    fn a_client_does_not_show_its_token() {
        let client = Client::new("http://h", Some("secret".into())).unwrap();

        assert!(!format!("{client:?}").contains("secret"));
    }

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        assert_eq!(segment("libstdc++"), "libstdc++");
        assert_eq!(segment("a/../b c"), "a%2F..%2Fb%20c");
    }
}
