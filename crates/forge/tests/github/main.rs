//! GitHub from outside: payloads that it really sent, and a stand-in for its API.

mod api;
mod delivery;
mod report;
mod settings;
mod verify;
mod webhook;

use forge::{Github, GithubSettings, Secret, Token};
use url::Url;

const SECRET: &str = "It's a Secret to Everybody";
const TOKEN: &str = "ghp_0123456789abcdef";

/// GitHub without a token: good for all that it sends.
fn mute_github() -> Github {
    Github::new(GithubSettings::new(Secret::new(SECRET))).expect("the settings are right")
}

/// Settings with a token, for the API at `url`.
fn settings(url: Url) -> GithubSettings {
    // The first test to come here installs it; for the others it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    GithubSettings {
        token: Some(Token::new(TOKEN)),
        api_url: url,
        ..GithubSettings::new(Secret::new(SECRET))
    }
}
