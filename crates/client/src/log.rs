//! A job's log, as it comes.

use std::pin::Pin;
use std::time::Duration;

use api::LogQuery;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::{JobId, PipelineId};
use reqwest::Method;

use crate::error::root_cause;
use crate::{Client, ClientError};

/// How long the log of a job that has ended may stall.
const STALL: Duration = Duration::from_secs(30);

/// Which part of a job's log.
pub type LogRequest = LogQuery;

/// A log's bytes, as they were written, in pieces of any size.
pub struct LogStream {
    client: Client,
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    stall: Option<Duration>,
}

impl Client {
    /// A job's log. With `follow` it goes on until the job has ended, however long the job says
    /// nothing: TCP's keep-alive notices a server that is gone.
    ///
    /// # Errors
    /// As every request; an error in the middle comes from [`LogStream::next`].
    pub async fn log(
        &self,
        id: PipelineId,
        job: JobId,
        request: &LogRequest,
    ) -> Result<LogStream, ClientError> {
        let (pipeline, job) = (id.to_string(), job.to_string());
        let asked = self
            .request(Method::GET, &["pipelines", &pipeline, "jobs", &job, "log"])
            .query(request);
        let follows = request.follow == Some(true);
        let response = self.stream(asked, "text/plain").await?;
        Ok(LogStream {
            client: self.clone(),
            bytes: Box::pin(response.bytes_stream()),
            stall: (!follows).then_some(STALL),
        })
    }
}

impl LogStream {
    /// The next bytes; none at the log's end. Safe to drop and call again.
    ///
    /// # Errors
    /// [`ClientError::Lost`] where the connection breaks, or a log that does not grow any more
    /// stalls.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let next = match self.stall {
            Some(limit) => tokio::time::timeout(limit, self.bytes.next())
                .await
                .map_err(|_| {
                    let cause = format!("nothing came for {} s", limit.as_secs());
                    self.client.lost(cause)
                })?,
            None => self.bytes.next().await,
        };
        next.transpose()
            .map_err(|error| self.client.lost(root_cause(&error)))
    }
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStream").finish_non_exhaustive()
    }
}
