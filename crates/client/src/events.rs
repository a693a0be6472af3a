//! What changes on the server, as it changes, over broken connections too.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use api::Event;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::EventId;
use reqwest::Method;

use crate::error::root_cause;
use crate::retry::Retry;
use crate::sse::Parser;
use crate::{Client, ClientError};

/// How long the server may say nothing: four times what lies between its comments.
const SILENCE: Duration = Duration::from_secs(60);

/// Every change on the server, in order. Connects again by itself, where it stopped, so that no
/// change is missed or told twice.
pub struct Events {
    client: Client,
    last: Option<EventId>,
    connection: Option<Connection>,
    waiting: VecDeque<Event>,
    retry: Retry,
    /// Whether a connection that breaks is not made again.
    is_impatient: bool,
}

struct Connection {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    parser: Parser,
}

impl Client {
    /// The changes after `last`, or from now on. Returns once the server listens to us: what changes
    /// after that will be told.
    ///
    /// # Errors
    /// As every request; this first time nothing is tried again.
    pub async fn events(&self, last: Option<EventId>) -> Result<Events, ClientError> {
        let mut events = Events {
            client: self.clone(),
            last,
            connection: None,
            waiting: VecDeque::new(),
            retry: Retry::default(),
            is_impatient: false,
        };
        events.connection = Some(events.connect().await?);
        Ok(events)
    }
}

impl Events {
    /// The same, which end with the first connection that breaks: for who has no time.
    #[must_use]
    pub fn impatient(self) -> Self {
        Self {
            is_impatient: true,
            retry: Retry::spent(),
            ..self
        }
    }

    /// The next change. Safe to drop and call again.
    ///
    /// # Errors
    /// The last attempt's, once the server could not be reached again for half a minute, or at once
    /// where it refuses.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.last = Some(event.id);
                return Ok(event);
            }
            match self.read().await {
                Ok(()) if self.is_impatient => {}
                Ok(()) => self.retry = Retry::default(),
                Err(error) => {
                    self.close();
                    self.retry.wait(error).await?;
                }
            }
        }
    }

    /// Takes what comes next from the connection, which it makes if there is none.
    async fn read(&mut self) -> Result<(), ClientError> {
        if self.connection.is_none() {
            self.connection = Some(self.connect().await?);
        }
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let bytes = match tokio::time::timeout(SILENCE, connection.bytes.next()).await {
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(error))) => return Err(self.client.lost(root_cause(&error))),
            Ok(None) => return Err(self.client.lost("the server closed it".into())),
            Err(_) => {
                let cause = format!("nothing came for {} s", SILENCE.as_secs());
                return Err(self.client.lost(cause));
            }
        };
        let messages = connection
            .parser
            .feed(&bytes)
            .map_err(|_| self.client.lost("it sent a message without an end".into()))?;
        for data in messages {
            let event: Event = serde_json::from_str(&data).map_err(|error| {
                self.client
                    .foreign(format!("an event can't be read: {error}"))
            })?;
            // Told twice if it was sent but not read before the connection broke.
            if self.last.is_none_or(|last| event.id > last) {
                self.waiting.push_back(event);
            }
        }
        Ok(())
    }

    /// Lets the connection go, but not its place among the changes: a server may tell that with an id
    /// alone, before anything changes.
    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            let told = connection.parser.last_id().and_then(|id| id.parse().ok());
            self.last = self.last.max(told);
        }
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        let mut request = self.client.request(Method::GET, &["events"]);
        if let Some(last) = self.last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response = self.client.stream(request, "text/event-stream").await?;
        Ok(Connection {
            bytes: Box::pin(response.bytes_stream()),
            parser: Parser::default(),
        })
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
