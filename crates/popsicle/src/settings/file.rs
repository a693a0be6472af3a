//! The settings file: a flat TOML table whose keys are the table's names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::SettingsError;
use super::table::{CONFIG, TABLE};

/// What the settings file says, by the setting's name.
#[derive(Debug, Default)]
pub struct SettingsFile {
    /// Where it is; none if there is none.
    pub path: Option<PathBuf>,
    values: BTreeMap<String, String>,
}

impl SettingsFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Where it can't be read, is not TOML, or names a setting that does not exist.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|cause| SettingsError::File {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(path, &text)
    }

    /// Reads the file at `path` if there is one.
    ///
    /// # Errors
    /// As [`SettingsFile::read`].
    pub fn read_if_there(path: &Path) -> Result<Self, SettingsError> {
        match Self::read(path) {
            Err(SettingsError::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            other => other,
        }
    }

    /// What it says about that setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let table: toml::Table = toml::from_str(text).map_err(|error| SettingsError::Syntax {
            path: path.to_owned(),
            message: describe(&error, text),
        })?;
        let mut values = BTreeMap::new();
        for (key, value) in table {
            if !TABLE
                .iter()
                .any(|row| row.name == key && row.name != CONFIG.name)
            {
                return Err(SettingsError::UnknownKey {
                    path: path.to_owned(),
                    suggestion: nearest(&key),
                    key,
                });
            }
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(on) => on.to_string(),
                other @ (toml::Value::Datetime(_)
                | toml::Value::Array(_)
                | toml::Value::Table(_)) => {
                    return Err(SettingsError::Syntax {
                        path: path.to_owned(),
                        message: format!(
                            "`{key}` is a {}, expected a string, a number, true or false",
                            other.type_str()
                        ),
                    });
                }
            };
            values.insert(key, text);
        }
        Ok(Self {
            path: Some(path.to_owned()),
            values,
        })
    }
}

/// The message with its place, without the file's text: that may hold secrets.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let message = error.message();
    match error.span() {
        Some(span) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message.to_owned(),
    }
}

fn nearest(key: &str) -> Option<&'static str> {
    let normal = key.to_ascii_lowercase().replace('-', "_");
    let normal = normal.strip_prefix("popsicle_").unwrap_or(&normal);
    TABLE
        .iter()
        .map(|row| row.name)
        .filter(|name| *name != CONFIG.name)
        .map(|name| (strsim::osa_distance(normal, name), name))
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        SettingsFile::parse(Path::new("popsicle.toml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn strings_numbers_and_switches_are_read() {
        let text = "listen = '127.0.0.1:1'\nmax_jobs = 3\nallow_unauthenticated = true\n";
        let file = SettingsFile::parse(Path::new("x"), text).unwrap();
        assert_eq!(file.get("listen"), Some("127.0.0.1:1"));
        assert_eq!(file.get("max_jobs"), Some("3"));
        assert_eq!(file.get("allow_unauthenticated"), Some("true"));
        assert_eq!(file.get("log"), None);
    }

    #[test]
    fn a_mistyped_key_is_an_error_with_a_suggestion() {
        let told = error("max-job = 3\n");
        assert!(told.contains("`max-job`"), "{told}");
        let SettingsError::UnknownKey { suggestion, .. } =
            SettingsFile::parse(Path::new("x"), "max-job = 3").unwrap_err()
        else {
            panic!("another error");
        };
        assert_eq!(suggestion, Some("max_jobs"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest("POPSICLE_LISTEN"), Some("listen"));
    }

    #[test]
    fn a_syntax_error_names_its_line_and_shows_no_value() {
        let told = error("listen = 'x'\ngithub_token = \"ghp_abc\nmax_jobs = 1\n");
        assert!(told.contains("line 2"), "{told}");
        assert!(!told.contains("ghp_abc"), "{told}");
        assert!(error("listen = ['a']").contains("array"));
    }
}
