//! Fetching orbs that are not here: from a registry that speaks as CircleCI's does, or from an address.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{MAX_ORB_BYTES, OrbReference, OrbVersion};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a fetch may take from its start to its end.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many addresses may lead to others.
const MAX_REDIRECTS: usize = 5;
/// The largest answer of a registry, in bytes: JSON writes a character of a text in up to six.
const MAX_ANSWER_BYTES: usize = 6 * MAX_ORB_BYTES + 64 * 1024;
/// How much of what a registry says is shown.
const MAX_SHOWN_CHARS: usize = 500;
/// What is asked of a registry.
const QUERY: &str = "query($orbVersionRef: String!) { orbVersion(orbVersionRef: $orbVersionRef) { version source } }";

/// Where orbs are fetched from. Cheap to share, not to make.
#[derive(Clone, Debug)]
pub struct OrbRegistry {
    http: Client,
    url: Url,
}

/// An orb that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOrb {
    /// The reference with the very version that came.
    pub reference: OrbReference,
    /// Its text.
    pub text: Vec<u8>,
}

/// Why an orb can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No HTTP client could be made.
    #[error("could not set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// Nothing answered, or not to the end.
    #[error("could not reach `{url}` for {reference}: {why}")]
    Unreachable {
        /// Who was asked.
        url: String,
        /// For what.
        reference: String,
        /// What kept it.
        why: String,
    },
    /// The answer is not an orb.
    #[error("`{url}` did not give {reference}: {why}")]
    Refused {
        /// Who was asked.
        url: String,
        /// For what.
        reference: String,
        /// What it answered.
        why: String,
    },
}

#[derive(Serialize)]
struct Question<'a> {
    query: &'static str,
    variables: Variables<'a>,
}

#[derive(Serialize)]
struct Variables<'a> {
    #[serde(rename = "orbVersionRef")]
    reference: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "orbVersion")]
    found: Option<Found>,
}

#[derive(Deserialize)]
struct Found {
    version: String,
    source: String,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
}

impl OrbRegistry {
    /// Makes the HTTP client; `url` is the registry's GraphQL address. Panics if the process has no TLS
    /// provider (`rustls::crypto::CryptoProvider`): `main` installs one.
    ///
    /// # Errors
    /// [`FetchError::Setup`].
    pub fn new(url: Url) -> Result<Self, FetchError> {
        let http = Client::builder()
            .user_agent("popsicle")
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::custom(|attempt| {
                let was_secret = attempt
                    .previous()
                    .last()
                    .is_some_and(|url| url.scheme() == "https");
                if was_secret && attempt.url().scheme() != "https" {
                    attempt.error("it leads to an address that is not https")
                } else if attempt.previous().len() > MAX_REDIRECTS {
                    attempt.error("it leads from address to address")
                } else {
                    attempt.follow()
                }
            }))
            .build()
            .map_err(FetchError::Setup)?;
        Ok(Self { http, url })
    }

    /// Fetches one orb.
    ///
    /// # Errors
    /// [`FetchError::Unreachable`] and [`FetchError::Refused`].
    pub async fn fetch(&self, reference: &OrbReference) -> Result<FetchedOrb, FetchError> {
        match reference {
            OrbReference::Url(url) => {
                let call = Call { url, reference };
                let answer = self.http.get(url).send().await;
                let text = call.read(answer, MAX_ORB_BYTES).await?;
                Ok(FetchedOrb {
                    reference: reference.clone(),
                    text,
                })
            }
            OrbReference::Named { version, .. } => self.ask(reference, version).await,
        }
    }

    async fn ask(
        &self,
        reference: &OrbReference,
        asked: &OrbVersion,
    ) -> Result<FetchedOrb, FetchError> {
        let call = Call {
            url: self.url.as_str(),
            reference,
        };
        let question = Question {
            query: QUERY,
            variables: Variables {
                reference: &reference.to_string(),
            },
        };
        let answer = self.http.post(self.url.clone()).json(&question).send();
        let answer = call.read(answer.await, MAX_ANSWER_BYTES).await?;
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|error| call.refused(format!("its answer is not a registry's: {error}")))?;
        let Some(found) = answer.data.and_then(|data| data.found) else {
            let complaints: Vec<String> = answer
                .errors
                .into_iter()
                .map(|complaint| complaint.message)
                .collect();
            return Err(call.refused(if complaints.is_empty() {
                "it knows no such orb, or no such version of it".to_owned()
            } else {
                complaints.join("; ")
            }));
        };
        let version = found
            .version
            .parse::<OrbVersion>()
            .ok()
            .filter(|version| asked.takes(version) && !matches!(version, OrbVersion::Newest(_)))
            .ok_or_else(|| call.refused(format!("it gave version `{}`", found.version)))?;
        if found.source.len() > MAX_ORB_BYTES {
            return Err(call.too_large());
        }
        Ok(FetchedOrb {
            reference: reference.with_version(version),
            text: found.source.into_bytes(),
        })
    }
}

/// Who is asked for what.
struct Call<'a> {
    url: &'a str,
    reference: &'a OrbReference,
}

impl Call<'_> {
    /// The answer's body, unless it is larger than `limit` bytes.
    async fn read(
        &self,
        answer: reqwest::Result<Response>,
        limit: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let mut answer = answer.map_err(|error| self.unreachable(error))?;
        if !answer.status().is_success() {
            return Err(self.refused(format!("it answered {}", answer.status())));
        }
        let mut body = Vec::new();
        while let Some(part) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            if body.len() + part.len() > limit {
                return Err(self.too_large());
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn unreachable(&self, error: reqwest::Error) -> FetchError {
        let error = error.without_url();
        // The innermost cause says what kept it: `connection refused`.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        FetchError::Unreachable {
            url: self.url.to_owned(),
            reference: self.reference.to_string(),
            why: shown(&cause.to_string()),
        }
    }

    fn refused(&self, why: impl AsRef<str>) -> FetchError {
        FetchError::Refused {
            url: self.url.to_owned(),
            reference: self.reference.to_string(),
            why: shown(why.as_ref()),
        }
    }

    fn too_large(&self) -> FetchError {
        self.refused(format!("it is larger than {} KiB", MAX_ORB_BYTES / 1024))
    }
}

/// What another says, for a terminal: on one line, of a fair length, and with nothing that steers it.
fn shown(text: &str) -> String {
    let is_shown = |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let chars = text.chars().filter(is_shown);
    let mut chars = chars.map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = chars.by_ref().take(MAX_SHOWN_CHARS).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}
