//! From the text of a setting to its value. An error says what was expected.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use engine::RedundantBranches;
use forge::Secret;
use jiff::SignedDuration;
use store::Keyring;
use url::Url;

/// What runs jobs that name an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorChoice {
    /// The best that works on this machine.
    Auto,
    /// Popsicle's own.
    Native,
    /// Docker, or what speaks its API.
    Docker,
}

/// Who is asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthChoice {
    /// Nobody.
    None,
    /// Everybody but forges and who asks whether the server lives.
    Token,
}

/// The form of our own log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What was expected instead, as it follows "expected".
pub type Expected = String;

/// `ADDRESS:PORT`; `localhost` stands for 127.0.0.1.
pub fn listen(text: &str) -> Result<SocketAddr, Expected> {
    let numeric = text.replacen("localhost:", "127.0.0.1:", 1);
    numeric
        .parse()
        .map_err(|_| "an address and a port, such as 127.0.0.1:5000 or [::1]:5000".into())
}

/// An address alone, for aliases that leave the port to another one.
pub fn host(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        other => other.parse().ok(),
    }
}

/// Keys for secrets.
pub fn secrets_key(text: &str) -> Result<Secret, Expected> {
    match Keyring::parse(text) {
        Ok(_) => Ok(Secret::new(text)),
        Err(_) => Err("at least 32 characters, as `openssl rand -hex 32` makes them".into()),
    }
}

/// A port alone.
pub fn port(text: &str) -> Result<u16, Expected> {
    text.parse()
        .map_err(|_| "a port from 0 to 65535".to_owned())
}

/// A switch.
pub fn switch(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("true or false".into()),
    }
}

/// A path, made absolute from the current directory.
pub fn path(text: &str) -> Result<PathBuf, Expected> {
    std::path::absolute(text).map_err(|_| "a path".to_owned())
}

/// `http://` or `https://`, without a query.
pub fn http_url(text: &str) -> Result<Url, Expected> {
    let expected = || "a URL such as http://localhost:5000".to_owned();
    let url = Url::parse(text).map_err(|_| expected())?;
    // It is shown in logs and on pages.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL without a user name and password".to_owned());
    }
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.query().is_none()
        && url.fragment().is_none();
    if fits { Ok(url) } else { Err(expected()) }
}

/// `sqlite:<path>`, or the path alone.
pub fn database_url(text: &str) -> Result<String, Expected> {
    let expected = || "sqlite:<path> or a path; other databases are not supported".to_owned();
    let path = match text.split_once(':') {
        Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
        Some((scheme, _)) if !scheme.contains(['/', '.']) => return Err(expected()),
        Some(_) | None => text,
    };
    if path.is_empty() {
        return Err(expected());
    }
    Ok(format!("sqlite:{path}"))
}

/// A duration with its unit, longer than nothing.
pub fn duration(text: &str) -> Result<Duration, Expected> {
    let expected = || "a duration such as 500ms, 2s or 1h30m".to_owned();
    let signed: SignedDuration = text.parse().map_err(|_| expected())?;
    match Duration::try_from(signed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) | Err(_) => Err(expected()),
    }
}

/// Patterns of branches.
pub fn redundant_branches(text: &str) -> Result<RedundantBranches, Expected> {
    text.parse()
        .map_err(|_| "none, or patterns of branches such as `*,!main`".to_owned())
}

/// A whole number of milliseconds, as the canonical duration.
pub fn milliseconds(text: &str) -> Result<String, Expected> {
    match text.parse::<u64>() {
        Ok(number @ 1..) => Ok(format!("{number}ms")),
        Ok(0) | Err(_) => Err("a whole number of milliseconds, such as 2000".into()),
    }
}

/// A size in bytes, with or without a unit, more than nothing.
pub fn size(text: &str) -> Result<u64, Expected> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(bytes @ 1..)) => Ok(bytes),
        Ok(ByteSize(0)) | Err(_) => Err("a size such as 512MiB or 1GB".into()),
    }
}

/// A limit, or `none`.
pub fn limit(
    text: &str,
    parse: impl Fn(&str) -> Result<u64, Expected>,
) -> Result<Option<u64>, Expected> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    parse(text)
        .map(Some)
        .map_err(|expected| format!("{expected}, or none"))
}

/// A size of memory in bytes; Docker takes no less.
pub fn memory(text: &str) -> Result<u64, Expected> {
    match size(text) {
        Ok(bytes) if bytes >= 6 << 20 => Ok(bytes),
        Ok(_) | Err(_) => Err("a size from 6MiB up, such as 2GiB".into()),
    }
}

/// A number of cores, in thousandths; Docker takes no less than ten.
pub fn cpus(text: &str) -> Result<u64, Expected> {
    match text.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the bounds are just checked"
        )]
        Ok(cpus @ 0.01..=65536.0) => Ok((cpus * 1000.0).round() as u64),
        Ok(_) | Err(_) => Err("a number of cores from 0.01 up, such as 1.5".into()),
    }
}

/// A number of processes that a shell can work with.
pub fn pids(text: &str) -> Result<u64, Expected> {
    match text.parse() {
        Ok(pids @ 16..) => Ok(pids),
        Ok(_) | Err(_) => Err("a whole number from 16 up".into()),
    }
}

/// A number of jobs.
pub fn jobs(text: &str) -> Result<u64, Expected> {
    match text.parse() {
        Ok(jobs @ 1..) => Ok(jobs),
        Ok(0) | Err(_) => Err("a whole number from 1 up".into()),
    }
}

/// How many at once.
pub fn at_least_one(text: &str) -> Result<NonZeroUsize, Expected> {
    text.parse()
        .map_err(|_| "a whole number from 1 up".to_owned())
}

/// How often.
pub fn count(text: &str) -> Result<u32, Expected> {
    text.parse()
        .map_err(|_| "a whole number from 0 up".to_owned())
}

/// What containers are marked with.
pub fn namespace(text: &str) -> Result<String, Expected> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let good = text.len() <= 40
        && text.bytes().all(fits)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if good {
        Ok(text.to_owned())
    } else {
        Err("1 to 40 letters, digits, `.`, `_` or `-`, the first a letter or digit".into())
    }
}

/// One line of text that says something.
pub fn word(text: &str) -> Result<String, Expected> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("a line of text".into());
    }
    Ok(text.to_owned())
}

impl fmt::Display for ExecutorChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Docker => "docker",
        })
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for ExecutorChoice {
    type Err = Expected;

    fn from_str(s: &str) -> Result<Self, Expected> {
        match s {
            "auto" => Ok(Self::Auto),
            "native" => Ok(Self::Native),
            "docker" => Ok(Self::Docker),
            _ => Err("auto, native or docker".into()),
        }
    }
}

impl fmt::Display for AuthChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Token => "token",
        })
    }
}

impl FromStr for AuthChoice {
    type Err = Expected;

    fn from_str(s: &str) -> Result<Self, Expected> {
        match s {
            "none" => Ok(Self::None),
            "token" => Ok(Self::Token),
            _ => Err("none or token".into()),
        }
    }
}

impl FromStr for LogFormat {
    type Err = Expected;

    fn from_str(s: &str) -> Result<Self, Expected> {
        match s {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("text or json".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!(listen("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(listen("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(milliseconds("2000").as_deref(), Ok("2000ms"));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(database_url("../ci.db").as_deref(), Ok("sqlite:../ci.db"));
        assert_eq!(database_url("sqlite:///x/y").as_deref(), Ok("sqlite:/x/y"));
        assert_eq!(limit("None", memory), Ok(None));
        assert_eq!(limit("2GiB", memory), Ok(Some(2 << 30)));
        assert_eq!(limit("1.5", cpus), Ok(Some(1500)));
        assert_eq!(limit("16", pids), Ok(Some(16)));
        assert_eq!(switch("Yes"), Ok(true));
        assert_eq!(namespace("test1_").as_deref(), Ok("test1_"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "",
            "5000",
            ":5000",
            "example.com:80",
            "1.2.3.4",
            "1.2.3.4:99999",
        ] {
            assert!(listen(bad).is_err(), "{bad}");
        }
        for bad in ["", "2", "0s", "-1s", "soon", "2 parsecs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "-1", "1XB", "many"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "1k", "512", "lots"] {
            assert!(limit(bad, memory).is_err(), "{bad}");
        }
        for bad in ["", "0", "-1", "inf", "NaN", "1,5"] {
            assert!(limit(bad, cpus).is_err(), "{bad}");
        }
        assert!(limit("2", pids).is_err());
        for bad in ["", "localhost", "ftp://x", "http://", "http://x?y=1", "x:y"] {
            assert!(http_url(bad).is_err(), "{bad}");
        }
        for bad in ["", "sqlite:", "postgres://u:p@h/db", "mysql:x"] {
            assert!(database_url(bad).is_err(), "{bad}");
        }
        for bad in ["", "-x", "a b", "a/b", "ü"] {
            assert!(namespace(bad).is_err(), "{bad}");
        }
        assert!(milliseconds("2s").is_err());
        assert!(at_least_one("0").is_err());
        assert!(switch("maybe").is_err());
    }
}
