//! Our own log lines: what the program says about itself, on stderr, for who operates it.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use crate::settings::{LogFormat, Settings, SettingsError};

/// Libraries whose debug lines hold what they send, a job's environment among it: these have to be
/// asked for by name.
const DISCREET: &str = "bollard=info,h2=info,hyper=info,hyper_util=info,reqwest=info";

/// Starts to write log lines, as the settings say. Called once, before anything is logged.
///
/// # Errors
/// Where the filter makes no sense.
pub fn start(settings: &Settings) -> Result<(), SettingsError> {
    let filter = filter(settings.log.as_str()).map_err(|error| SettingsError::Value {
        setting: "log",
        origin: settings.log.source.clone(),
        value: format!("{:?}", settings.log.value),
        expected: format!("a level such as info, or target=level pairs ({error})"),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // Refused only where log lines are written already, and then they go on as they were.
    let _ = match settings.log_format.value {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colour).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

fn filter(asked: &str) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::builder().parse(asked)?;
    // Who asks for less is not given more.
    if filter
        .max_level_hint()
        .is_some_and(|level| level <= LevelFilter::INFO)
    {
        return Ok(filter);
    }
    // What comes later wins.
    EnvFilter::builder().parse(format!("{DISCREET},{asked}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_discreet_unless_they_are_named() {
        let shown = |asked: &str| filter(asked).unwrap().to_string();
        assert!(shown("debug").contains("bollard=info"));
        assert!(shown("trace,engine=debug").contains("bollard=info"));
        let named = shown("info,bollard=debug");
        assert!(named.contains("bollard=debug") && !named.contains("bollard=info"));
        for less in ["info", "warn", "off"] {
            assert_eq!(shown(less), less);
        }
        assert!(filter("nonsense=nonsense").is_err());
    }
}
