//! A file on its way from the server, in pieces.

use bytes::Bytes;
use reqwest::Response;

use crate::error::root_cause;
use crate::transport::REQUEST;
use crate::{Client, ClientError};

/// A file on its way from the server.
#[derive(Debug)]
pub struct Download {
    pub(crate) response: Response,
    pub(crate) client: Client,
}

impl Download {
    /// The next piece; none after the last.
    ///
    /// # Errors
    /// Where the connection breaks off, or is silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        match tokio::time::timeout(REQUEST, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| self.client.lost(root_cause(&error))),
            Err(_) => Err(self.client.timed_out()),
        }
    }
}
