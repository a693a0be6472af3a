//! GitHub, github.com and Enterprise.

mod payload;
mod status;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use model::ForgeKind;
use url::Url;

use crate::{Forge, Received, Report, ReportError, Secret, Token, WebhookError};

pub use webhook::sign;

/// How to know GitHub's deliveries, and how to reach its API.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// What deliveries are signed with.
    pub webhook_secret: Secret,
    /// What opens the API: a personal token with the scope `repo:status`, or a fine-grained one that
    /// may write commit statuses. Without it nothing is reported.
    pub token: Option<Token>,
    /// Where the API is: `https://api.github.com`, or `https://<host>/api/v3` for Enterprise.
    pub api_url: Url,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a report may take from its start to its end.
    pub timeout: Duration,
}

impl GithubSettings {
    /// github.com, without a token.
    pub fn new(webhook_secret: Secret) -> Self {
        Self {
            webhook_secret,
            token: None,
            api_url: Url::parse("https://api.github.com").expect("the address is well-formed"),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What is wrong with [`GithubSettings`].
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Anybody could sign with it.
    #[error("the webhook secret of GitHub is empty")]
    EmptySecret,
    /// It can't be sent in a header.
    #[error("the token of GitHub is empty or has characters that no token has")]
    InvalidToken,
    /// It is not the address of an API.
    #[error(
        "the API address of GitHub {why}: it must look like https://api.github.com or \
         https://github.example.com/api/v3"
    )]
    InvalidApiUrl {
        /// What is wrong with it. The address is not repeated, as it may hold a credential.
        why: &'static str,
    },
    /// No HTTP client could be made.
    #[error("could not set up the HTTP client for GitHub")]
    Client(#[source] reqwest::Error),
}

/// GitHub with its secrets. Cheap to share, not to make.
#[derive(Debug)]
pub struct Github {
    webhook_secret: Secret,
    api: Option<status::Api>,
}

impl Github {
    /// Checks the settings and makes the HTTP client. Panics if the process has no TLS provider
    /// (`rustls::crypto::CryptoProvider`): `main` installs one.
    pub fn new(settings: GithubSettings) -> Result<Self, SettingsError> {
        if settings.webhook_secret.expose().is_empty() {
            return Err(SettingsError::EmptySecret);
        }
        Ok(Self {
            api: status::Api::new(&settings)?,
            webhook_secret: settings.webhook_secret,
        })
    }
}

#[async_trait]
impl Forge for Github {
    fn kind(&self) -> ForgeKind {
        ForgeKind::Github
    }

    fn receive(&self, headers: &http::HeaderMap, body: &[u8]) -> Result<Received, WebhookError> {
        webhook::verify(&self.webhook_secret, headers, body)?;
        webhook::read(headers, body)
    }

    async fn report(&self, report: &Report) -> Result<(), ReportError> {
        match &self.api {
            Some(api) => api.report(report).await,
            None => Err(ReportError::NoToken),
        }
    }
}
