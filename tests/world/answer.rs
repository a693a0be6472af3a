//! What the server and its commands answer, as stories compare it.

use std::process::Output;

use serde_json::Value;

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status.
    pub code: u16,
    /// Its headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answered {
    /// Reads an answer to its end.
    pub async fn read(answer: reqwest::Response) -> Self {
        let code = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let body = answer
            .bytes()
            .await
            .expect("the server ends its answers")
            .to_vec();
        Self {
            code,
            headers,
            body,
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.code, self.text()))
    }

    /// The header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The number of the pipeline that a webhook's answer names.
    pub fn pipeline(&self) -> u64 {
        assert_eq!(self.code, 200, "{}", self.text());
        let answer = self.json();
        assert_eq!(answer["status"], "queued", "{answer}");
        answer["pipeline_id"]
            .as_u64()
            .expect("a queued webhook's answer names its pipeline")
    }

    /// `400 invalid: …`, for an error in the contract's form.
    pub fn error(&self) -> String {
        let error = &self.json()["error"];
        let text = |key: &str| {
            error[key]
                .as_str()
                .expect("errors have a code and a message")
        };
        format!("{} {}: {}", self.code, text("code"), text("message"))
    }
}

/// What a command told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its result.
    pub stdout: String,
    /// Its talk.
    pub stderr: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Told {
    /// Its result, after an exit code of 0.
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}
