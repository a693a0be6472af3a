//! Our own log lines: what the program says about itself, on stderr, for who operates it.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings, SettingsError};

/// Starts to write log lines, as the settings say. Called once, before anything is logged.
///
/// # Errors
/// Where the filter makes no sense.
pub fn start(settings: &Settings) -> Result<(), SettingsError> {
    let filter = EnvFilter::builder()
        .parse(settings.log.as_str())
        .map_err(|error| SettingsError::Value {
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
