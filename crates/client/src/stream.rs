//! Live streams of the master: they survive its restart, and go on where they were.

use std::time::Duration;

use anima_types::{
    event::Event,
    id::{BuildId, EventId, TaskId},
    task_log::{LogId, LogName},
};
use async_stream::try_stream;
use futures_util::Stream;
use reqwest::{
    Method, Response,
    header::{ACCEPT, HeaderName},
};
use tokio::time::Instant;

use crate::{
    error::Error,
    http::Client,
    lease::PATIENCE,
    retry::Backoff,
    sse::{Message, Parser},
};

const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The master sends a sign of life every few seconds; without one for so long, the line is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A piece of a task's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogPiece {
    /// Where it ends in the log: the `offset` to go on from.
    pub end_offset: u64,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl Client {
    /// Follows a task's log from byte `offset` on, and ends when the task does.
    pub fn follow_log(&self, task: TaskId, offset: u64) -> impl Stream<Item = Result<LogPiece, Error>> + Send + use<> {
        self.follow_log_of(LogId::from(task), offset)
    }

    /// Follows one of a task's logs from byte `offset` on, and ends when the task does, or when another attempt begins.
    pub fn follow_log_of(&self, log: LogId, offset: u64) -> impl Stream<Item = Result<LogPiece, Error>> + Send + use<> {
        let LogId { task, name, attempt } = log;
        let mut live =
            Live::new(self, format!("api/v1/tasks/{task}/log/stream"), (offset > 0).then(|| offset.to_string()));
        live.query.extend((name != LogName::default()).then(|| ("name", name.name().to_string())));
        live.query.extend(attempt.map(|attempt| ("attempt", attempt.to_string())));
        try_stream! {
            while let Some(message) = live.next().await? {
                if message.event == "end" {
                    break;
                }
                let end_offset = message.id.as_deref().and_then(|id| id.parse().ok()).ok_or_else(|| live.unreadable("a piece has no offset"))?;
                let text = serde_json::from_str(&message.data).map_err(|error| live.unreadable(error))?;
                yield LogPiece { end_offset, text };
            }
        }
    }

    /// Follows what happens, after an event or from now on, to one build or to everything. It has no end.
    pub fn follow_events(
        &self,
        after: Option<EventId>,
        build: Option<BuildId>,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        let mut live = Live::new(self, "api/v1/events".to_string(), after.map(|after| after.to_string()));
        live.id_is_query = true;
        live.query.extend(build.map(|build| ("build", build.to_string())));
        try_stream! {
            while let Some(message) = live.next().await? {
                let event: Event = serde_json::from_str(&message.data).map_err(|error| live.unreadable(error))?;
                yield event;
            }
        }
    }
}

/// One stream over as many connections as it takes.
struct Live {
    client: Client,
    path: String,
    query: Vec<(&'static str, String)>,
    last_id: Option<String>,
    /// Whether the place to go on from is told as `after=` too, as clients do that set no headers.
    id_is_query: bool,
    connection: Option<(Response, Parser)>,
    backoff: Backoff,
    broken_since: Option<Instant>,
}

impl Live {
    fn new(client: &Client, path: String, last_id: Option<String>) -> Live {
        let (query, backoff) = (Vec::new(), Backoff::up_to(LONGEST_WAIT));
        let client = client.clone();
        Live { client, path, query, last_id, id_is_query: false, connection: None, backoff, broken_since: None }
    }

    async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let error = match self.next_of_connection().await {
                Ok(Some(message)) => {
                    self.last_id = message.id.clone().or(self.last_id.take());
                    self.broken_since = None;
                    self.backoff.reset();
                    return Ok(Some(message));
                }
                // The master ended it without an `end`: it restarts.
                Ok(None) => None,
                Err(error) if error.is_temporary() => Some(error),
                Err(error) => return Err(error),
            };
            self.connection = None;
            match error {
                None => self.broken_since = None,
                Some(error) if self.broken_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE => {
                    return Err(error);
                }
                Some(_) => (),
            }
            tokio::time::sleep(self.backoff.next()).await;
        }
    }

    async fn next_of_connection(&mut self) -> Result<Option<Message>, Error> {
        if self.connection.is_none() {
            self.connection = Some((self.connect().await?, Parser::default()));
        }
        loop {
            let Some((response, parser)) = &mut self.connection else { return Ok(None) };
            if let Some(message) = parser.next() {
                return Ok(Some(message));
            }
            let Ok(piece) = tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await else { return Ok(None) };
            let Some(piece) = piece.map_err(|error| self.client.broken(&self.path, error))? else { return Ok(None) };
            let fed = parser.feed(&piece);
            fed.map_err(|_| self.unreadable("a message does not end"))?;
        }
    }

    async fn connect(&self) -> Result<Response, Error> {
        let mut call = self.client.call(Method::GET, &self.path).query(&self.query).header(ACCEPT, "text/event-stream");
        if let Some(id) = &self.last_id {
            call = call.header(LAST_EVENT_ID, id);
            call = if self.id_is_query { call.query(&[("after", id)]) } else { call };
        }
        self.client.send(call).await
    }

    fn unreadable(&self, reason: impl ToString) -> Error {
        Error::Answer { what: format!("GET /{}", self.path), reason: reason.to_string() }
    }
}
