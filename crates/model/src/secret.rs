//! What is set for jobs and shown to nobody: whose it is, and its value.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ContextName, InvalidName, RepoName};

/// Whose variables they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretOwner {
    /// A project: all its jobs get them.
    Project(RepoName),
    /// A context: the jobs that name it get them.
    Context(ContextName),
}

impl fmt::Display for SecretOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(repo) => write!(f, "project `{repo}`"),
            Self::Context(name) => write!(f, "context `{name}`"),
        }
    }
}

/// The value of a secret. It is never printed: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretValue(String);

impl SecretValue {
    /// The longest value, in bytes; four of them fit in what Linux takes for one variable.
    pub const MOST_BYTES: usize = 32 << 10;

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What people may see of it, to tell it from others: its last four characters, as CircleCI shows
    /// them, where these are no more than a third of it.
    pub fn hint(&self) -> String {
        const SHOWN: usize = 4;
        let mut hint = "xxxx".to_owned();
        let count = self.0.chars().count();
        let end: String = self.0.chars().skip(count.saturating_sub(SHOWN)).collect();
        // The end of a certificate or a key file is the same for all of them, and a line end at that.
        if count >= 3 * SHOWN && !end.contains(char::is_control) {
            hint.push_str(&end);
        }
        hint
    }
}

impl TryFrom<String> for SecretValue {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        let bad = |why: String| Err(InvalidName::new("value", "(hidden)", why));
        if value.is_empty() {
            return bad("it is empty".to_owned());
        }
        if value.len() > Self::MOST_BYTES {
            return bad(format!("it has more than {} bytes", Self::MOST_BYTES));
        }
        if value.contains('\0') {
            return bad("it has a NUL character, which no variable can have".to_owned());
        }
        Ok(Self(value))
    }
}

impl From<SecretValue> for String {
    fn from(value: SecretValue) -> Self {
        value.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> SecretValue {
        SecretValue::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_hint_tells_little() {
        assert_eq!(value("hunter2").hint(), "xxxx");
        assert_eq!(value("elevenchars").hint(), "xxxx");
        assert_eq!(value("ghp_0123456789").hint(), "xxxx6789");
        assert_eq!(value("ünïcödé-ünïcödé").hint(), "xxxxcödé");
        assert_eq!(value("-----END KEY-----\n").hint(), "xxxx");
    }

    #[test]
    fn a_value_is_printed_nowhere_and_fits_a_variable() {
        assert_eq!(format!("{:?}", value("hunter2")), "SecretValue(hidden)");
        for bad in [
            String::new(),
            "a\0b".to_owned(),
            "x".repeat(SecretValue::MOST_BYTES + 1),
        ] {
            let error = SecretValue::try_from(bad).unwrap_err().to_string();
            assert!(error.contains("(hidden)"), "{error}");
        }
    }
}
