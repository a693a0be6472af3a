//! Jobs, their steps and their logs: `/pipelines/{id}/jobs/…` and `/jobs/{uuid}`.

use model::{JobId, JobUuid, PipelineId, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Cursor, Limit};

/// One job of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number, over the whole server.
    pub id: JobId,
    /// What `/jobs/{uuid}` calls it.
    pub uuid: JobUuid,
    /// Its name; no two of a workflow have the same.
    pub job_name: String,
    /// Its workflow's name.
    pub workflow: String,
    /// How far it is.
    pub status: Status,
    /// When its last attempt began; none before.
    pub start_time: Option<Timestamp>,
    /// When it ended; none before.
    pub end_time: Option<Timestamp>,
    /// The names of the jobs of its workflow that have to end first.
    pub requires: Vec<String>,
    /// The number of its current or last attempt; 0 before the first.
    pub attempt: u32,
    /// What decided its end, where an exit code did.
    pub exit_code: Option<i32>,
    /// Why it ended without success.
    pub reason: Option<String>,
}

/// One step of a job's attempt: `GET /pipelines/{id}/jobs/{job}/steps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the job, from 0: what `?step=` of the log asks for.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub status: Status,
    /// When it began; none if it was passed over.
    pub start_time: Option<Timestamp>,
    /// When it ended; none before.
    pub end_time: Option<Timestamp>,
    /// What it ended with.
    pub exit_code: Option<i32>,
    /// Where its output begins in the job's log, in bytes.
    pub log_start: u64,
    /// Where its output ends in the job's log, in bytes; none while it runs. What runs in the background has
    /// no output there, from its beginning on: `?step=` of the log gives it.
    pub log_end: Option<u64>,
}

/// A file that a job keeps for people: `GET /pipelines/{id}/jobs/{job}/artifacts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is found by: relative, with `/`. `…/artifacts/<path>` is the file itself.
    pub path: String,
    /// Which of the job's parallel nodes kept it, from 0.
    pub node_index: u32,
    /// How long it is, in bytes.
    pub size_bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// The address of the file itself, from the server's root.
    pub url: String,
}

/// What a test said of itself: `GET /pipelines/{id}/jobs/{job}/tests`, those that failed first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// The class or module that it is in; may be empty.
    pub classname: String,
    /// Its name.
    pub name: String,
    /// The file that it is written in.
    pub file: Option<String>,
    /// `failure`, `error`, `skipped` or `success`.
    pub result: String,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// What it had to say, where it did not go well.
    pub message: Option<String>,
}

/// The query of `…/steps`, `…/artifacts` and `…/tests`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptQuery {
    /// Which attempt's, from 1; the last one's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where the page begins, as the page before told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// The query of `…/artifacts/<path>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactQuery {
    /// Which attempt's, from 1; the last one's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Which node's, from 0; the first one's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_index: Option<u32>,
}

/// The query of `GET /pipelines/{id}/jobs/{job}/log`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Only this step's output; its place in the job, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Whether to go on until the job has ended. A queued job is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// Only so many last lines, and with `follow` what comes after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Which attempt's, from 1; the last one's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Only with `follow`, and not with `tail`: only what comes after so many bytes of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}

/// On the answer to who follows a log: which attempt's log it begins with. The logs of later attempts
/// come after it.
pub const LOG_ATTEMPT: &str = "x-log-attempt";

/// On the answer to who follows a log: how many bytes of that attempt's log come before it. Who was cut
/// off adds what it got, and goes on there with [`LogQuery::from`].
pub const LOG_START: &str = "x-log-start";

/// One job, as `GET /jobs` and `GET /jobs/{uuid}` have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// The job.
    pub job_id: JobUuid,
    /// How far it is.
    pub status: JobViewStatus,
    /// How it ended; none before.
    pub success: Option<bool>,
    /// When its last attempt began; none before.
    pub start_time: Option<Timestamp>,
    /// When it ended; none before.
    pub end_time: Option<Timestamp>,
    /// Its pipeline.
    pub pipeline_id: PipelineId,
    /// Its name.
    pub job_name: String,
}

/// How far a job is, in three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobViewStatus {
    /// It waits: for other jobs, for a person, or for room.
    Queued,
    /// It runs.
    Running,
    /// Nothing more will happen.
    Completed,
}

/// The query of `GET /jobs/{uuid}/stream`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobStreamQuery {
    /// Whether to replay all of the log; only what is new otherwise.
    #[serde(default)]
    pub from_beginning: bool,
}

/// One message of a job's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JobStreamEvent {
    /// More of its log.
    Log {
        /// The text, line ends included; may be a part of a line.
        data: String,
    },
    /// The job has ended; the last message.
    Complete {
        /// Whether it ended well.
        success: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_messages_have_the_shape_of_the_contract() {
        let log = JobStreamEvent::Log {
            data: "hi\n".into(),
        };
        assert_eq!(
            serde_json::to_string(&log).unwrap(),
            r#"{"type":"log","data":"hi\n"}"#
        );
        let complete = JobStreamEvent::Complete { success: true };
        assert_eq!(
            serde_json::to_string(&complete).unwrap(),
            r#"{"type":"complete","success":true}"#
        );
    }

    #[test]
    fn a_job_has_the_keys_of_the_contract() {
        let json = serde_json::json!({
            "id": 9,
            "uuid": "550e8400-e29b-41d4-a716-446655440000",
            "job_name": "build",
            "workflow": "main",
            "status": "failure",
            "start_time": "2024-06-01T12:00:00Z",
            "end_time": "2024-06-01T12:00:01.500Z",
            "requires": ["lint"],
            "attempt": 1,
            "exit_code": 2,
            "reason": "step \"make\" ended with exit code 2",
        });
        let job: Job = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&job).unwrap(), json);
    }

    #[test]
    fn a_job_that_is_not_done_has_no_success() {
        let json = serde_json::json!({
            "job_id": "550e8400-e29b-41d4-a716-446655440000",
            "status": "running",
            "success": null,
            "start_time": "2024-06-01T12:00:00Z",
            "end_time": null,
            "pipeline_id": 5,
            "job_name": "build",
        });
        let view: JobView = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&view).unwrap(), json);
    }
}
