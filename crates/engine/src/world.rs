//! Time and randomness, which come in from outside so that a test can bring its own.

use std::fmt;
use std::time::SystemTime;

use model::{JobUuid, Timestamp};

/// Where the engine gets the time and its random numbers from.
pub trait World: Send + Sync + fmt::Debug {
    /// The time.
    fn now(&self) -> Timestamp;

    /// A new random (version 4) UUID.
    fn uuid(&self) -> JobUuid;

    /// A new secret that nobody can guess.
    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("a system that runs a server has random numbers");
        secret
    }
}

/// The machine's clock and its random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWorld;

impl World for SystemWorld {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn uuid(&self) -> JobUuid {
        JobUuid(uuid::Uuid::new_v4())
    }
}
