//! A delivery as GitHub sends it, and the ways to spoil it.

use forge::{Forge, Received, Secret, WebhookError, github};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::Trigger;
use serde_json::Value;

use crate::{SECRET, mute_github};

/// The bytes of one of the payloads in `tests/payloads`.
macro_rules! payload {
    ($name:literal) => {
        include_bytes!(concat!("../payloads/", $name, ".json")).as_slice()
    };
}
pub(crate) use payload;

/// Its id, as GitHub has it in its documentation.
pub const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

/// One delivery, signed as GitHub does unless a test spoils it.
pub struct Delivery {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Delivery {
    pub fn of(event: &str, body: &[u8]) -> Self {
        let delivery = Self {
            headers: HeaderMap::new(),
            body: body.to_owned(),
        };
        delivery
            .header("x-github-event", event)
            .header("x-github-delivery", ID)
            .header("content-type", "application/json")
            .signed()
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a valid header");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Changes the payload at a JSON pointer and signs anew.
    pub fn with(self, pointer: &str, value: Value) -> Self {
        self.edited(|json| {
            *json.pointer_mut(pointer).expect("the field is there") = value;
        })
    }

    /// Removes a field that is given as people write it, and signs anew.
    pub fn missing(self, path: &str) -> Self {
        self.edited(|json| {
            let mut names: Vec<_> = path.split('.').collect();
            let last = names.pop().expect("a path has a name");
            let parent = names.iter().fold(json, |json, name| &mut json[*name]);
            let object = parent.as_object_mut().expect("an object");
            object.remove(last).expect("the field is there");
        })
    }

    fn edited(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut json = serde_json::from_slice(&self.body).expect("the payload is JSON");
        edit(&mut json);
        self.body = serde_json::to_vec(&json).expect("JSON can be written");
        self.signed()
    }

    fn signed(self) -> Self {
        let signature = github::sign(&Secret::new(SECRET), &self.body);
        self.header("x-hub-signature-256", &signature)
    }

    pub fn received(&self) -> Result<Received, WebhookError> {
        mute_github().receive(&self.headers, &self.body)
    }

    #[track_caller]
    pub fn trigger(&self) -> Trigger {
        match self.received() {
            Ok(Received::Trigger(trigger)) => *trigger,
            other => panic!("no trigger: {other:?}"),
        }
    }

    #[track_caller]
    pub fn ignored(&self) -> String {
        match self.received() {
            Ok(Received::Ignored { reason }) => reason,
            other => panic!("not ignored: {other:?}"),
        }
    }

    /// The HTTP status, the code and the text of the refusal.
    #[track_caller]
    pub fn refused(&self) -> (u16, &'static str, String) {
        let error = self.received().expect_err("a delivery that is wrong");
        (error.status().as_u16(), error.code(), error.to_string())
    }
}

pub fn push() -> Delivery {
    Delivery::of("push", payload!("push_branch"))
}

pub fn tag() -> Delivery {
    Delivery::of("push", payload!("push_tag"))
}

pub fn pull_request() -> Delivery {
    Delivery::of("pull_request", payload!("pull_request_opened"))
}
