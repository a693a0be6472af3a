//! The way to the server and back: URLs, time limits, and what answers that are no success mean.

use std::time::Duration;

use api::ErrorBody;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::ClientError;
use crate::error::root_cause;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a whole request may take that is not a stream; on streams, the wait for the headers.
pub(crate) const REQUEST: Duration = Duration::from_secs(30);

/// How long a connection may be silent before the other side is asked whether it lives; it is given
/// up after as many unanswered questions as [`KEEPALIVE_TRIES`].
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_TRIES: u32 = 4;

/// How much of an answer is read: more than any page can have.
const ANSWER_LIMIT: usize = 64 << 20;

/// How much of an error's answer is read.
const ERROR_LIMIT: usize = 64 << 10;

/// A client of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// What is sent as `Authorization`; never printed.
    authorization: Option<HeaderValue>,
}

impl Client {
    /// A client of the server at `server_url`, such as `http://localhost:5000`. Connects to nothing
    /// yet.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`] where that is no address, [`ClientError::Setup`] where this machine
    /// can't make such requests.
    pub fn new(server_url: &str) -> Result<Self, ClientError> {
        let bad = |why: &str| ClientError::BadUrl {
            url: without_password(server_url),
            why: why.to_owned(),
        };
        let base = Url::parse(server_url).map_err(|error| bad(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad("it must begin with http:// or https://"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(bad("it must not have a query or a fragment"));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("popsicle/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .tcp_keepalive_retries(KEEPALIVE_TRIES)
            .redirect(reqwest::redirect::Policy::limited(3));
        if base.scheme() == "http" {
            // Plain HTTP needs no certificates, and a bare machine or container has none.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| ClientError::Setup(root_cause(&error)))?;
        Ok(Self {
            http,
            base,
            authorization: None,
        })
    }

    /// The same, who sends that token with each request.
    ///
    /// # Errors
    /// [`ClientError::BadToken`] where that can be no token.
    pub fn with_token(mut self, token: &str) -> Result<Self, ClientError> {
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| ClientError::BadToken)?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// The address of the server, without a password.
    pub fn server_url(&self) -> Url {
        let mut url = self.base.clone();
        // Only addresses without a host refuse this, and those were refused before.
        let _ = url.set_password(None);
        url
    }

    /// The address of what these path segments name on the server.
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(crate) fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        let request = self.http.request(method, self.url(segments));
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
    ) -> Result<T, ClientError> {
        let answer = self.answer(self.request(Method::GET, segments)).await?;
        Ok(answer.0)
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::POST, segments).json(body);
        Ok(self.answer(request).await?.0)
    }

    /// Sends a request and reads its JSON answer.
    pub(crate) async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<(T, HeaderMap), ClientError> {
        let mut response = self.send(request.timeout(REQUEST)).await?;
        let headers = response.headers().clone();
        self.expect_type(&headers, "application/json")?;
        let bytes = self.body(&mut response, ANSWER_LIMIT).await?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| self.foreign(format!("its answer can't be read: {error}")))?;
        Ok((value, headers))
    }

    /// Sends a request whose answer says nothing but that it was done.
    pub(crate) async fn done(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.send(request.timeout(REQUEST)).await.map(drop)
    }

    /// Sends a request whose answer is a stream; returns once the headers are here.
    pub(crate) async fn stream(
        &self,
        request: RequestBuilder,
        content_type: &str,
    ) -> Result<Response, ClientError> {
        let response = self.download(request).await?;
        self.expect_type(response.headers(), content_type)?;
        Ok(response)
    }

    /// Sends a request whose answer may be of any type; returns once the headers are here.
    pub(crate) async fn download(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        tokio::time::timeout(REQUEST, self.send(request))
            .await
            .map_err(|_| self.timed_out())?
    }

    /// What a lost connection means.
    pub(crate) fn lost(&self, cause: String) -> ClientError {
        ClientError::Lost {
            url: self.server_url(),
            cause,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let mut response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.body(&mut response, ERROR_LIMIT).await?;
        Err(self.refused(status, &bytes))
    }

    async fn body(&self, response: &mut Response, limit: usize) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > limit => {
                    return Err(self.foreign("its answer has no end".into()));
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes),
                Err(error) if error.is_timeout() => return Err(self.timed_out()),
                Err(error) => return Err(self.lost(root_cause(&error))),
            }
        }
    }

    fn refused(&self, status: StatusCode, bytes: &[u8]) -> ClientError {
        match serde_json::from_slice::<ErrorBody>(bytes) {
            Ok(ErrorBody { error }) => ClientError::Refused {
                status: status.as_u16(),
                code: error.code,
                message: error.message,
            },
            // Whoever stands in between, a proxy say.
            Err(_) if status.is_server_error() => ClientError::Refused {
                status: status.as_u16(),
                code: "unavailable".into(),
                message: format!("{} answered {status}", self.server_url()),
            },
            Err(_) => self.foreign(format!("it answered {status}")),
        }
    }

    fn expect_type(&self, headers: &HeaderMap, wanted: &str) -> Result<(), ClientError> {
        let found = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("nothing");
        let essence = found.split(';').next().unwrap_or(found).trim();
        if essence.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        Err(self.foreign(format!("it sent {essence} where {wanted} was expected")))
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() && !error.is_connect() {
            return self.timed_out();
        }
        let cause = if error.is_timeout() {
            format!("no connection within {} s", CONNECT.as_secs())
        } else {
            root_cause(error)
        };
        ClientError::Unreachable {
            url: self.server_url(),
            cause,
        }
    }

    /// What an answer means that no Popsicle server gives.
    pub(crate) fn foreign(&self, found: String) -> ClientError {
        ClientError::NotPopsicle {
            url: self.server_url(),
            found,
        }
    }

    pub(crate) fn timed_out(&self) -> ClientError {
        ClientError::TimedOut {
            url: self.server_url(),
            limit: REQUEST,
        }
    }
}

/// Requests to this very machine never want a proxy.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The text without what stands between `//` and `@`: it may be a password.
fn without_password(text: &str) -> String {
    match (text.find("//"), text.rfind('@')) {
        (Some(start), Some(end)) if start + 2 <= end => {
            format!("{}…{}", &text[..start + 2], &text[end..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new(url).unwrap()
    }

    #[test]
    fn paths_are_joined_to_the_address() {
        let joined = |base: &str, segments: &[&str]| client(base).url(segments).to_string();
        assert_eq!(
            joined("http://ci:5000", &["pipelines", "5"]),
            "http://ci:5000/pipelines/5"
        );
        assert_eq!(
            joined(
                "https://ci.example.com/popsicle/",
                &["projects", "octo/repo"]
            ),
            "https://ci.example.com/popsicle/projects/octo%2Frepo"
        );
    }

    #[test]
    fn bad_addresses_are_refused_without_their_password() {
        for bad in ["", "localhost:5000", "ftp://x", "http://", "http://x?y=1"] {
            let error = Client::new(bad).unwrap_err();
            assert!(matches!(error, ClientError::BadUrl { .. }), "{bad}");
        }
        let error = Client::new("ftp://me:hunter2@host").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let shown = client("http://me:hunter2@host").server_url();
        assert_eq!(shown.as_str(), "http://me@host/");
    }
}
