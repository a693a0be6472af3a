//! `GET /events`: every change, without a gap and none twice.
//!
//! The store has all events under growing ids; the broadcast has the newest, in memory. A listener
//! first subscribes, then reads from the store what came since the id that it names, then goes over
//! to the broadcast. Whenever the broadcast does not continue exactly where the listener is (it
//! lagged, or events came in between), the store fills the gap.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use engine::Engine;
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use model::{Event, EventId};
use serde::Deserialize;
use store::StoreError;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::jobs::KEEP_ALIVE;
use crate::app::Followers;
use crate::error::ApiError;
use crate::extract::Query;

/// How many events are read from the store at once.
const BATCH: u32 = 500;

/// The query of `GET /events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// As the header `Last-Event-ID`, for who can't set one; that wins.
    #[serde(default)]
    after: Option<i64>,
}

/// `GET /events`
pub(crate) async fn stream(
    State(engine): State<Engine>,
    State(stop): State<CancellationToken>,
    State(followers): State<Followers>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, ApiError> {
    let asked = last_event_id(&headers)?.or(query.after.map(EventId));
    let place = followers.place()?;
    let listener = Listener::new(engine, asked).await?;
    // Who is cut off before anything changes has to know, too, where to go on.
    let begin = Message::default().id(listener.last.to_string());
    let messages = stream::unfold((listener, place), |(mut listener, place)| async move {
        let event = listener.next().await?;
        Some((Ok(message(&event)), (listener, place)))
    });
    let messages = stream::iter([Ok(begin)])
        .chain(messages)
        .take_until(stop.cancelled_owned());
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, ApiError> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    match value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
    {
        Some(id) => Ok(Some(EventId(id))),
        None => Err(ApiError::invalid(
            "the header `Last-Event-ID` is not valid: it must be the id of an event",
        )),
    }
}

fn message(event: &Event) -> Message {
    Message::default()
        .id(event.id.to_string())
        .json_data(event)
        .expect("an event has only texts and numbers, which JSON can hold")
}

/// Hears every event after `last`, in order.
struct Listener {
    engine: Engine,
    live: Receiver<Event>,
    last: EventId,
    /// Read from the store and not yet told.
    replay: VecDeque<Event>,
    /// Whether the store may have more after those.
    has_more: bool,
}

impl Listener {
    /// Hears what comes after `asked`; what comes from now on if nothing was asked, or an event that
    /// this store never had (it is another server's).
    async fn new(engine: Engine, asked: Option<EventId>) -> Result<Self, StoreError> {
        let live = engine.feed().events();
        let newest = engine.store().last_event().await?;
        let last = asked.filter(|asked| *asked <= newest).unwrap_or(newest);
        Ok(Self {
            engine,
            live,
            last,
            replay: VecDeque::new(),
            has_more: last < newest,
        })
    }

    /// The next event; none where the store can't be read, or is closed.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.replay.pop_front() {
                self.last = event.id;
                return Some(event);
            }
            if self.has_more {
                if let Err(error) = self.read_on().await {
                    tracing::warn!(%error, "a stream of events broke off");
                    return None;
                }
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.id <= self.last => {}
                Ok(event) if event.id.0 == self.last.0 + 1 => {
                    self.last = event.id;
                    return Some(event);
                }
                Ok(_) | Err(RecvError::Lagged(_)) => self.has_more = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        let events = self.engine.store().events_after(self.last, BATCH).await?;
        self.has_more = events.len() >= BATCH as usize;
        self.replay.extend(events);
        Ok(())
    }
}
