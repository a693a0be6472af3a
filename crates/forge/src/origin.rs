//! Checks the address that somebody says the code is at, before git sees it.

use url::Url;

/// Lets `https://`, `http://`, `ssh://` and `file://` pass, and `user@host:path`.
///
/// The answer is the address to give to git.
///
/// # Errors
/// Why not. The reasons never repeat the address: it may hold the very credential that it is refused for.
pub fn clone_url(text: &str) -> Result<String, &'static str> {
    const FORMS: &str = "it must be https://…, http://…, ssh://…, file:///… or user@host:path";
    if text.starts_with('-') {
        return Err("it must not start with `-`");
    }
    // Also backslashes: to some readers they are slashes, to others they are not.
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err("it must not have control characters or backslashes");
    }
    // `ext::command` and its like run a program.
    if text.contains("::") && !text.contains("://") {
        return Err(FORMS);
    }
    if !text.contains("://") {
        return if is_scp_like(text) {
            Ok(text.to_owned())
        } else {
            Err(FORMS)
        };
    }
    let url = Url::parse(text).map_err(|_| FORMS)?;
    match url.scheme() {
        "https" | "http" if !url.username().is_empty() => {
            return Err("it must not hold a user name or a token");
        }
        "https" | "http" => {}
        "ssh" if !url.username().is_empty() && !is_word(url.username()) => {
            return Err("its user name must be of letters, digits, `.`, `_` and `-`");
        }
        "ssh" if url.host_str().is_none_or(|host| host.starts_with('-')) => {
            return Err("its host must not be empty or start with `-`");
        }
        "ssh" => {}
        "file" if url.host_str().is_none_or(str::is_empty) => {}
        "file" => return Err("a file:// address must not name a host"),
        _ => return Err(FORMS),
    }
    if url.password().is_some() {
        return Err("it must not hold a password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it must not hold `?` or `#`");
    }
    // As the parser understood it, so that git can't understand something else.
    Ok(url.into())
}

/// `user@host:path`, as ssh has it.
fn is_scp_like(text: &str) -> bool {
    let Some((user, (host, path))) = text
        .split_once('@')
        .and_then(|(user, rest)| Some((user, rest.split_once(':')?)))
    else {
        return false;
    };
    is_word(user) && is_word(host) && !path.is_empty() && !path.starts_with('-')
}

/// A user's or a host's name that nobody takes for an option.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_git_may_see() {
        for good in [
            "https://github.com/octo/repo.git",
            "http://127.0.0.1:3000/octo/repo.git",
            "ssh://git@github.com/octo/repo.git",
            "ssh://git@example.com:2222/octo/repo.git",
            "ssh://example.com/octo/repo.git",
            "git@github.com:octo/repo.git",
            "file:///srv/git/repo.git",
        ] {
            assert_eq!(clone_url(good).as_deref(), Ok(good));
        }
        assert_eq!(
            clone_url("file:///srv/my code/repo.git").as_deref(),
            Ok("file:///srv/my%20code/repo.git")
        );
    }

    #[test]
    fn addresses_that_git_may_not_see() {
        for bad in [
            "",
            "repo",
            "/srv/git/repo.git",
            "../repo",
            "--upload-pack=touch /tmp/x",
            "-u@host:path",
            "git@-oProxyCommand=x:path",
            "git@host:-path",
            "git@host:",
            "git@ho st:path",
            "host:path",
            "ext::sh -c touch% /tmp/x",
            "ext::sh -c 'x https://example.com'",
            "fd::17",
            "git://example.com/repo.git",
            "ftp://example.com/repo.git",
            "ssh://-oProxyCommand=x/repo",
            "ssh://-lroot@example.com/repo",
            "ssh:///repo",
            "https://",
            "file://example.com/repo",
            "https://example.com/repo\n.git",
            "https://example.com\\@example.org/repo",
            "https://user@example.com/repo.git",
            "https://user:hunter2@example.com/repo.git",
            "https://:hunter2@example.com/repo.git",
            "ssh://git:hunter2@example.com/repo.git",
            "https://example.com/repo.git?access_token=hunter2",
            "https://example.com/repo.git#hunter2",
        ] {
            let why = clone_url(bad).expect_err(bad);
            assert!(!why.contains("hunter2"), "{bad}: {why}");
        }
    }
}
