//! Deliveries as GitHub sends them.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// What the stories' servers and their GitHub share.
pub const SECRET: &str = "story-secret-that-must-not-leak-6d1f";

/// One delivery; its parts can be spoilt before it is sent.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// `X-GitHub-Event`
    pub event: String,
    /// `X-GitHub-Delivery`
    pub delivery: String,
    /// The signature's header and value.
    pub signature: Option<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Webhook {
    /// A delivery that is signed as it has to be, and that nobody has seen before.
    pub fn new(event: &str, payload: &Value) -> Self {
        Self::of_bytes(event, payload.to_string().into_bytes())
    }

    /// The same of a body that may be no JSON.
    pub fn of_bytes(event: &str, body: Vec<u8>) -> Self {
        Self {
            event: event.to_owned(),
            delivery: super::unique(),
            signature: Some(("X-Hub-Signature-256", sign(SECRET, &body))),
            body,
        }
    }

    /// The same delivery with another signature.
    pub fn signed(self, header: &'static str, value: &str) -> Self {
        Self {
            signature: Some((header, value.to_owned())),
            ..self
        }
    }

    /// The same delivery without any.
    pub fn unsigned(self) -> Self {
        Self {
            signature: None,
            ..self
        }
    }
}

/// The value of `X-Hub-Signature-256`.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key may have any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
