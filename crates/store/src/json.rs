//! Values of the model in and out of text columns.

use model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, StoreError};

/// The text of a value of the model.
pub(crate) fn write(value: &impl Serialize) -> String {
    // Of the model's types none has a map with other keys than text, and none fails by itself.
    serde_json::to_string(value).expect("every type of the model can be JSON")
}

/// The value of `what` in `of` (`job 7`).
pub(crate) fn read<T: DeserializeOwned>(
    text: &str,
    what: &'static str,
    of: impl FnOnce() -> String,
) -> Result<T> {
    serde_json::from_str(text).map_err(|cause| StoreError::corrupt(what, of(), cause))
}

/// A stored word of a type that reads its words.
pub(crate) fn word<T>(text: &str, what: &'static str, of: impl FnOnce() -> String) -> Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .map_err(|cause: T::Err| StoreError::corrupt(what, of(), cause))
}

/// A stored count; a negative one is as good as none.
pub(crate) fn count<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// A byte offset as a column has it.
pub(crate) fn offset(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A moment that may not have come.
pub(crate) fn moment(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}
