//! Settings that can't be, and secrets that don't show.

use forge::{Github, GithubSettings, Secret, SettingsError, Token};
use url::Url;

use crate::{SECRET, TOKEN, settings};

const API: &str = "https://api.github.com";

fn url(text: &str) -> Url {
    text.parse().expect("an address")
}

#[track_caller]
fn refused(settings: GithubSettings) -> String {
    let error = Github::new(settings).expect_err("settings that can't be");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error.to_string()
}

#[test]
fn an_empty_secret_would_let_anybody_in() {
    let settings = GithubSettings::new(Secret::new("  \n"));
    assert_eq!(refused(settings), "the webhook secret of GitHub is empty");
}

#[test]
fn a_token_must_fit_in_a_header() {
    for token in ["", "two words", "two\nlines", "hunter2ü"] {
        let settings = GithubSettings {
            token: Some(Token::new(token)),
            ..settings(url(API))
        };
        assert_eq!(
            refused(settings),
            "the token of GitHub is empty or has characters that no token has"
        );
    }
}

#[test]
fn an_api_address_is_plain_http() {
    for (address, why) in [
        ("ftp://api.github.com", "is neither http:// nor https://"),
        (
            "https://user:hunter2@api.github.com",
            "holds a user name or password",
        ),
        (
            "https://hunter2@api.github.com",
            "holds a user name or password",
        ),
        ("https://api.github.com?token=hunter2", "holds `?` or `#`"),
    ] {
        let without_token = GithubSettings {
            token: None,
            ..settings(url(address))
        };
        for settings in [settings(url(address)), without_token] {
            assert_eq!(
                refused(settings),
                format!(
                    "the API address of GitHub {why}: it must look like https://api.github.com or \
                     https://github.example.com/api/v3"
                )
            );
        }
    }
}

#[test]
fn secrets_do_not_show() -> Result<(), SettingsError> {
    let settings = settings(url("http://127.0.0.1:1"));
    let shown = format!("{settings:?} {:?}", Github::new(settings.clone())?);
    assert!(shown.contains("[hidden]"), "{shown}");
    assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
    Ok(())
}

#[test]
fn white_space_around_a_secret_is_not_the_secret() {
    assert_eq!(Secret::new(" x\r\n").expose(), "x");
    assert_eq!(Token::new("\tx ").expose(), "x");
}
