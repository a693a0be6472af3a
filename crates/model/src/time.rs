//! One kind of time: milliseconds since the Unix epoch, written as UTC ISO-8601 with `Z`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// A moment, in milliseconds since the Unix epoch.
///
/// Its text, `2024-06-01T12:00:00Z`, has whole seconds where the milliseconds are zero and
/// three decimals otherwise. Serde writes that text too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub fn from_millis(epoch_ms: i64) -> Self {
        Self(epoch_ms)
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment that long after this one; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same moment without its milliseconds, for people.
    #[must_use]
    pub fn to_seconds(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1000))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        let decimals = if self.0.rem_euclid(1000) == 0 { 0 } else { 3 };
        write!(f, "{moment:.decimals$}")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        s.parse::<jiff::Timestamp>()
            .map(|moment| Self(moment.as_millisecond()))
            .map_err(|_| InvalidName::new("time", s, "write it as 2024-06-01T12:00:00Z"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_iso_8601() {
        let noon: Timestamp = "2024-06-01T12:00:00Z".parse().unwrap();
        assert_eq!(noon.to_string(), "2024-06-01T12:00:00Z");
        let later = noon.after(Duration::from_millis(220_007));
        assert_eq!(later.to_string(), "2024-06-01T12:03:40.007Z");
        assert_eq!(later.to_seconds().to_string(), "2024-06-01T12:03:40Z");
        assert_eq!(later.since(noon).as_millis(), 220_007);
        assert_eq!(noon.since(later), Duration::ZERO);
        assert_eq!("2024-06-01T14:00:00+02:00".parse(), Ok(noon));
        assert!("noon".parse::<Timestamp>().is_err());
    }
}
