//! Who gets which token, and how git is given it: through a helper that prints it from the
//! environment of that one git process, so that it stands in no argument list, address or file.

use std::fmt;

use url::Url;

use crate::git::Git;
use crate::remote::{Remote, RemoteKind};

/// The variable that holds the token in the environment of a git process that needs it.
const VARIABLE: &str = "POPSICLE_GIT_TOKEN";
/// Git runs this with its shell and asks it on standard input; it answers a question (`get`) only,
/// so that nothing is ever stored. GitHub wants this user name for tokens of Apps and takes any
/// for personal ones.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=x-access-token\\npassword=%s\\n' \
                      \"$POPSICLE_GIT_TOKEN\"; }; f";

/// A secret. `Debug` hides it; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes the secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A token and the one host that is given it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `https://github.com`, or scheme, host and port of GitHub Enterprise or a test's server.
    pub host_url: String,
    /// The token.
    pub token: Token,
}

/// Lets a call answer for `remote`, if one of the credentials is for its host. Hosts without one are
/// left to the credential helpers that the operator gave git.
pub(crate) fn give(git: Git, credentials: &[Credential], remote: &Remote) -> Git {
    let RemoteKind::Http(url) = remote.kind() else {
        return git;
    };
    let origin = url.origin();
    let is_for_it = |credential: &&Credential| {
        Url::parse(&credential.host_url).is_ok_and(|host| host.origin() == origin)
    };
    let Some(credential) = credentials.iter().find(is_for_it) else {
        return git;
    };
    // The first, empty one makes git forget the helpers that its files name for this host: it would
    // ask those first, and tell them our token afterwards.
    let key = format!("credential.{}.helper", origin.ascii_serialization());
    git.config(&key, "")
        .config(&key, HELPER)
        .secret(VARIABLE, &credential.token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Hears;

    #[test]
    fn a_token_is_given_to_its_own_host_alone() {
        let credentials = [Credential {
            host_url: "https://github.com/".into(),
            token: Token::new("s3cret"),
        }];
        let given = |url: &str| {
            let git = Git::new("fetch", Hears::Operator);
            let git = give(git, &credentials, &Remote::parse(url).unwrap());
            let told = format!("{git:?}");
            let args = told.split(" env: ").next().unwrap().to_owned();
            assert!(!args.contains("s3cret"), "{args}");
            told.contains(VARIABLE) && args.contains("credential.https://github.com.helper")
        };
        assert!(given("https://github.com/octo/repo"));
        assert!(given("https://github.com:443/octo/repo"));
        for other in [
            "http://github.com/octo/repo",
            "https://github.com.evil.example/octo/repo",
            "https://github.com:8443/octo/repo",
            "ssh://git@github.com/octo/repo",
            "git@github.com:octo/repo",
            "file:///github.com/octo/repo",
        ] {
            assert!(!given(other), "{other}");
        }
    }

    #[test]
    fn a_token_hides() {
        let credential = Credential {
            host_url: "https://github.com".into(),
            token: Token::new("s3cret"),
        };
        assert!(!format!("{credential:?}").contains("s3cret"));
    }
}
