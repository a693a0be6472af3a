//! What can be wrong with a delivery.

/// Why a delivery was not taken. Nothing of it was kept.
///
/// The texts go back to the sender: they name the header or field and never repeat a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// It carries no signature at all.
    #[error(
        "the header `{header}` is missing: set the webhook's secret on the forge to the one that \
         Popsicle has"
    )]
    MissingSignature {
        /// The header that should hold it.
        header: &'static str,
    },
    /// It is signed with SHA-1 only, which is not to be trusted.
    #[error(
        "only the SHA-1 signature `{found}` is there, and SHA-1 is not accepted: send `{header}`"
    )]
    WeakSignature {
        /// The header with the SHA-1 signature.
        found: &'static str,
        /// The header that should hold the SHA-256 one.
        header: &'static str,
    },
    /// The signature's header does not have the form of one.
    #[error("the header `{header}` is not a signature: {why}")]
    MalformedSignature {
        /// The header.
        header: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The signature is another body's, or was made with another secret.
    #[error(
        "the signature in `{header}` does not match the body: check that the webhook's secret on \
         the forge is the one that Popsicle has"
    )]
    WrongSignature {
        /// The header.
        header: &'static str,
    },
    /// A header that tells what was sent is missing.
    #[error("the header `{header}` is missing")]
    MissingHeader {
        /// The header.
        header: &'static str,
    },
    /// A header says something that can't be.
    #[error("the header `{header}` is not valid: {why}")]
    InvalidHeader {
        /// The header.
        header: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The body is not JSON.
    #[error("the body is not valid JSON: {why}")]
    MalformedJson {
        /// What is wrong with it, with line and column.
        why: String,
    },
    /// A field that is needed is not there.
    #[error("the field `{path}` is missing")]
    MissingField {
        /// Where it should be: `repository.full_name`.
        path: String,
    },
    /// A field holds something that it can't.
    #[error("the field `{path}` is not valid: {why}")]
    InvalidField {
        /// Where it is: `repository.full_name`.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl WebhookError {
    /// The word for it in an error's JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingSignature { .. } => "missing_signature",
            Self::WeakSignature { .. } => "weak_signature",
            Self::MalformedSignature { .. } => "malformed_signature",
            Self::WrongSignature { .. } => "wrong_signature",
            Self::MissingHeader { .. } => "missing_header",
            Self::InvalidHeader { .. } => "invalid_header",
            Self::MalformedJson { .. } => "malformed_json",
            Self::MissingField { .. } => "missing_field",
            Self::InvalidField { .. } => "invalid_field",
        }
    }

    /// The HTTP status to answer with: 401 where it is not proven who sent it, 400 otherwise.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::MissingSignature { .. }
            | Self::WeakSignature { .. }
            | Self::MalformedSignature { .. }
            | Self::WrongSignature { .. } => http::StatusCode::UNAUTHORIZED,
            Self::MissingHeader { .. }
            | Self::InvalidHeader { .. }
            | Self::MalformedJson { .. }
            | Self::MissingField { .. }
            | Self::InvalidField { .. } => http::StatusCode::BAD_REQUEST,
        }
    }
}
