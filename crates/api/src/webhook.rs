//! What a forge is answered.

use model::PipelineId;
use serde::{Deserialize, Serialize};

/// The answer of `POST /webhook` and `POST /hooks/…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum WebhookAnswer {
    /// `200`: the pipeline is stored. A repeated delivery gets the first one's.
    Queued {
        /// The pipeline.
        pipeline_id: PipelineId,
    },
    /// `202`: nothing to do, on purpose.
    Ignored {
        /// Why.
        reason: String,
    },
    /// `200`: the forge only wanted to know that somebody is here.
    Pong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_shape_of_the_contract() {
        let json = |answer| serde_json::to_string(&answer).unwrap();
        let pipeline_id = PipelineId(7);
        assert_eq!(
            json(WebhookAnswer::Queued { pipeline_id }),
            r#"{"status":"queued","pipeline_id":7}"#
        );
        let reason = "`refs/heads/x` was deleted".to_owned();
        assert_eq!(
            json(WebhookAnswer::Ignored { reason }),
            r#"{"status":"ignored","reason":"`refs/heads/x` was deleted"}"#
        );
        assert_eq!(json(WebhookAnswer::Pong), r#"{"status":"pong"}"#);
    }
}
