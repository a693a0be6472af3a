//! A job's log, as it comes.

use std::pin::Pin;
use std::time::{Duration, Instant};

use api::{LOG_ATTEMPT, LOG_START, LogQuery};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::{JobId, PipelineId};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};

use crate::error::root_cause;
use crate::retry::Retry;
use crate::{Client, ClientError};

/// How long the log of a job that has ended may stall.
const STALL: Duration = Duration::from_secs(30);

/// Which part of a job's log.
pub type LogRequest = LogQuery;

/// A log's bytes, as they were written, in pieces of any size.
pub struct LogStream {
    client: Client,
    pipeline: PipelineId,
    job: JobId,
    request: LogRequest,
    /// None after it broke.
    bytes: Option<Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>>,
    /// Where in the log the next bytes are; none where the server did not say.
    place: Option<Place>,
    /// When the connection was made.
    since: Instant,
    retry: Retry,
}

/// A place in the log of an attempt.
#[derive(Clone, Copy, Debug)]
struct Place {
    attempt: u32,
    bytes: u64,
}

impl Client {
    /// A job's log. With `follow` it goes on until the job has ended, however long the job says
    /// nothing, and over broken connections: TCP's keep-alive notices a server that is gone, and once it
    /// is there again the log goes on where it was.
    ///
    /// # Errors
    /// As every request, and this first time nothing is tried again; an error in the middle comes from
    /// [`LogStream::next`].
    pub async fn log(
        &self,
        id: PipelineId,
        job: JobId,
        request: &LogRequest,
    ) -> Result<LogStream, ClientError> {
        let mut log = LogStream {
            client: self.clone(),
            pipeline: id,
            job,
            request: request.clone(),
            bytes: None,
            place: None,
            since: Instant::now(),
            retry: Retry::default(),
        };
        let response = log.ask(request).await?;
        log.begin(response);
        Ok(log)
    }
}

impl LogStream {
    /// The next bytes; none at the log's end. Safe to drop and call again.
    ///
    /// # Errors
    /// [`ClientError::Lost`] where the connection breaks, or a log that does not grow any more stalls;
    /// for one that is followed, the last attempt's error once the server could not be reached again
    /// for half a minute.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.read().await {
                Ok(bytes) => {
                    self.retry = Retry::default();
                    return Ok(bytes);
                }
                Err(error) => {
                    if !self.follows() || self.place.is_none() {
                        return Err(error);
                    }
                    // One that held for long is no failure in a row: a proxy may end silent ones.
                    if self.bytes.take().is_some() && self.since.elapsed() > STALL {
                        self.retry = Retry::default();
                    }
                    self.retry.wait(error).await?;
                }
            }
        }
    }

    fn follows(&self) -> bool {
        self.request.follow == Some(true)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, ClientError> {
        if self.bytes.is_none() {
            self.resume().await?;
        }
        let follows = self.follows();
        let Some(stream) = &mut self.bytes else {
            return Ok(None);
        };
        let next = if follows {
            stream.next().await
        } else {
            tokio::time::timeout(STALL, stream.next())
                .await
                .map_err(|_| {
                    let cause = format!("nothing came for {} s", STALL.as_secs());
                    self.client.lost(cause)
                })?
        };
        let bytes = next
            .transpose()
            .map_err(|error| self.client.lost(root_cause(&error)))?;
        if let (Some(place), Some(bytes)) = (&mut self.place, &bytes) {
            place.bytes += bytes.len() as u64;
        }
        Ok(bytes)
    }

    /// Goes on after what came before the connection broke. If the job has another attempt by now, that
    /// one's log comes from its start; some of it may have come already.
    async fn resume(&mut self) -> Result<(), ClientError> {
        let Some(place) = self.place else {
            return Ok(());
        };
        let mut request = LogRequest {
            from: Some(place.bytes),
            tail: None,
            ..self.request.clone()
        };
        let mut response = self.ask(&request).await?;
        if place_of(response.headers()).is_none_or(|found| found.attempt != place.attempt) {
            request.from = None;
            response = self.ask(&request).await?;
        }
        self.begin(response);
        Ok(())
    }

    async fn ask(&self, request: &LogRequest) -> Result<Response, ClientError> {
        let (pipeline, job) = (self.pipeline.to_string(), self.job.to_string());
        let path = ["pipelines", &pipeline, "jobs", &job, "log"];
        let asked = self.client.request(Method::GET, &path).query(request);
        self.client.stream(asked, "text/plain").await
    }

    fn begin(&mut self, response: Response) {
        self.place = place_of(response.headers());
        self.bytes = Some(Box::pin(response.bytes_stream()));
        self.since = Instant::now();
    }
}

/// Where a log that is followed begins.
fn place_of(headers: &HeaderMap) -> Option<Place> {
    let number = |name| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    Some(Place {
        attempt: u32::try_from(number(LOG_ATTEMPT)?).ok()?,
        bytes: number(LOG_START)?,
    })
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStream")
            .field("job", &self.job)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
