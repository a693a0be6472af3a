//! Addresses of repositories: which ones are given to git, and what git's refusals mean.

use url::Url;

use crate::SourceError;

/// An address that git may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    url: String,
    kind: RemoteKind,
}

/// By what a repository is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RemoteKind {
    /// `http://` or `https://`; the address is kept to find its credential.
    Http(Url),
    /// `ssh://` or `user@host:path`.
    Ssh,
    /// `file://`, a path of this machine, or `git://`.
    Plain,
}

impl Remote {
    /// Reads an address.
    ///
    /// # Errors
    /// [`SourceError::BadUrl`] for what holds a credential, would run a program (`ext::…`), would be
    /// an option, or would depend on where the server stands.
    pub(crate) fn parse(url: &str) -> Result<Self, SourceError> {
        let bad = |why| {
            Err(SourceError::BadUrl {
                url: without_userinfo(url),
                why,
            })
        };
        if url.is_empty() || url.len() > 2000 {
            return bad("it must have 1 to 2000 characters");
        }
        if url.chars().any(char::is_control) {
            return bad("it holds a control character");
        }
        if url.starts_with('-') {
            return bad("it starts with `-`");
        }
        let kind = if url.starts_with('/') || url.starts_with("file:///") {
            RemoteKind::Plain
        } else if let Some((scheme, rest)) = url.split_once("://") {
            let parsed = Url::parse(url)
                .ok()
                .filter(|parsed| parsed.has_host() && !rest.starts_with('/'));
            let host = rest.split(['/', '@']).next().unwrap_or_default();
            match (scheme, parsed) {
                ("http" | "https" | "ssh" | "git", None) => return bad("it names no host"),
                (_, Some(parsed)) if parsed.password().is_some() => {
                    return bad(
                        "it holds a password; leave it out and set POPSICLE_GITHUB_TOKEN, or a \
                         credential helper of git's",
                    );
                }
                ("http" | "https", Some(parsed)) if !parsed.username().is_empty() => {
                    return bad("it holds a user name or a token; leave it out and set \
                         POPSICLE_GITHUB_TOKEN, or a credential helper of git's");
                }
                ("http" | "https", Some(parsed)) => RemoteKind::Http(parsed),
                ("ssh", Some(_)) if host.starts_with('-') => {
                    return bad("its host starts with `-`");
                }
                ("ssh", Some(_)) => RemoteKind::Ssh,
                ("git", Some(_)) => RemoteKind::Plain,
                ("file", _) => return bad("a file address is written file:///absolute/path"),
                _ => return bad("only http, https, ssh, git and file addresses can be fetched"),
            }
        } else {
            match url.split_once(':') {
                Some((_, rest)) if rest.starts_with(':') => {
                    return bad("only http, https, ssh, git and file addresses can be fetched");
                }
                Some((host, path)) if !host.contains('/') => {
                    let host = host.rsplit('@').next().unwrap_or_default();
                    if host.is_empty() || path.is_empty() || host.starts_with('-') {
                        return bad("an SSH address is written user@host:path");
                    }
                    RemoteKind::Ssh
                }
                _ => return bad("a path must be absolute"),
            }
        };
        Ok(Self {
            url: url.to_owned(),
            kind,
        })
    }

    /// The address as it was given.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// By what it is reached.
    pub(crate) fn kind(&self) -> &RemoteKind {
        &self.kind
    }

    /// Turns git's words about this remote into what they mean. The words are git's and curl's and
    /// OpenSSH's, in the C locale.
    pub(crate) fn explain(&self, error: SourceError) -> SourceError {
        let SourceError::Git { stderr, .. } = &error else {
            return error;
        };
        let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
        if says(&LACKS) {
            return error;
        }
        let (url, detail) = (self.url.clone(), stderr.clone());
        if says(&["No space left on device", "Disk quota exceeded"]) {
            return SourceError::DiskFull { detail };
        }
        if says(&["returned error: 30"]) {
            return SourceError::BadUrl {
                url,
                why: "the server there redirects to another address; use that one",
            };
        }
        if says(&[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "returned error: 401",
            "returned error: 403",
            "HTTP Basic: Access denied",
            "Permission denied (",
            "Host key verification failed",
            "Too many authentication failures",
            "dubious ownership",
        ]) {
            let advice = match self.kind {
                RemoteKind::Http(_) => {
                    "if it is private, set POPSICLE_GITHUB_TOKEN to a token that may read it"
                }
                RemoteKind::Ssh => {
                    "see that the server's user has a key (~/.ssh) that may read it, and knows the host"
                }
                RemoteKind::Plain => "see that the server's user may read it",
            };
            return SourceError::Denied {
                url,
                detail,
                advice,
            };
        }
        if says(&[
            "Could not resolve host",
            "Could not resolve proxy",
            "Failed to connect",
            "Couldn't connect",
            "Could not connect",
            "unable to connect",
            "Connection refused",
            "Connection reset",
            "Connection timed out",
            "Connection closed by",
            "Operation timed out",
            "No route to host",
            "Network is unreachable",
            "unable to look up",
            "Empty reply from server",
            "SSL certificate problem",
            "returned error: 5",
            "early EOF",
            "unexpected disconnect",
            "the remote end hung up unexpectedly",
        ]) && !says(&["does not appear to be a git repository"])
        {
            return SourceError::Unreachable { url, detail };
        }
        if says(&[
            "does not appear to be a git repository",
            "Repository not found",
            "not found",
            "not a git repository",
            "returned error: 404",
            "not valid: is this a git repository",
            "could not be found",
        ]) && !says(&["command not found"])
        {
            return SourceError::NoSuchRepository { url, detail };
        }
        error
    }
}

/// Git's words for a ref or a commit that the remote does not have.
const LACKS: [&str; 4] = [
    "couldn't find remote ref",
    "not our ref",
    "Server does not allow request for unadvertised object",
    "unadvertised object",
];

/// Whether a fetch failed because the remote, though it answered, does not have what was asked for.
pub(crate) fn lacks_it(error: &SourceError) -> bool {
    matches!(error, SourceError::Git { stderr, .. } if LACKS.iter().any(|word| stderr.contains(word)))
}

/// An address without what may be a credential, for messages.
fn without_userinfo(url: &str) -> String {
    let shown: String = url.chars().take(200).collect();
    match shown.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split('/').next().unwrap_or_default();
            match authority.rsplit_once('@') {
                Some((_, host)) => {
                    format!("{scheme}://[hidden]@{host}{}", &rest[authority.len()..])
                }
                None => shown,
            }
        }
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_addresses_are_taken_as_they_are() {
        for good in [
            "https://github.com/octo/repo.git",
            "http://127.0.0.1:3000/octo/repo",
            "ssh://git@github.com:22/octo/repo.git",
            "git@github.com:octo/repo.git",
            "github.com:octo/repo",
            "git://host/repo",
            "file:///srv/a folder/repo.git",
            "/srv/repo.git",
            "/srv/odd:name",
        ] {
            let remote = Remote::parse(good).unwrap();
            assert_eq!(remote.url(), good);
        }
    }

    #[test]
    fn addresses_that_run_programs_or_hold_secrets_are_refused() {
        for bad in [
            "",
            "--upload-pack=x",
            "-x:y",
            "ext::sh -c x",
            "fd::7",
            "https::x",
            "ftp://host/x",
            "ext://host/x",
            "file://host/x",
            "file://../x",
            "../repo",
            "repo",
            "https:///x",
            "ssh://-oProxyCommand=x/y",
            "git@-oProxyCommand=x:y",
            "https://host/a\nb",
            "https://us3r:p4ss@host/x",
            "https://t0ken@host/x",
            "ssh://git:p4ss@host/x",
        ] {
            let Err(error @ SourceError::BadUrl { .. }) = Remote::parse(bad) else {
                panic!("{bad}");
            };
            let told = error.to_string();
            for secret in ["us3r", "p4ss", "t0ken"] {
                assert!(!told.contains(secret), "{told}");
            }
            assert!(error.is_users());
        }
    }
}
