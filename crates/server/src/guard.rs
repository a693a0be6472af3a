//! Turns away what a browser was tricked into sending.
//!
//! Nobody signs in yet, so a page of another site must not be able to act through the browser of
//! somebody who can reach this server. Three things keep it out: requests that change something
//! must not come from another site (by `Origin` and `Sec-Fetch-Site`, as browsers send them); only
//! names of this machine are answered, so that no foreign name can be bent to it (DNS rebinding):
//! to a browser, what such a name leads to is of that name's site; and no answer may be framed,
//! sniffed or read by another site. Forges are no browsers, and prove who they are: their doors need
//! no right name.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use url::{Host, Url};

use crate::app::{App, ServerSettings};
use crate::error::ApiError;

/// On every answer.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'",
        ),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// Adds the headers that tell browsers to be careful.
pub(crate) async fn careful(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        // What a job has made is answered with a stricter policy of its own.
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Answers requests for foreign names with 421.
pub(crate) async fn only_our_names(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let host = match (request.uri().authority(), request.headers().get(HOST)) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host.to_str().unwrap_or_default(),
        // No browser leaves it out; checks of load balancers, in HTTP/1.0, do.
        (None, None) => return next.run(request).await,
    };
    if is_ours(&app.settings, host) {
        return next.run(request).await;
    }
    let host: String = host.chars().take(100).collect();
    ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        "foreign_host",
        format!(
            "this server does not answer for {host:?}; if people reach it under that name, set \
             POPSICLE_PUBLIC_URL to the address that they use"
        ),
    )
    .into_response()
}

/// Refuses requests that change something and come from a page of another site.
pub(crate) fn same_site(
    settings: &ServerSettings,
) -> CsrfLayer<impl FnMut(ProtectionError) -> Response + Clone + Send + Sync + 'static> {
    let layer = CsrfLayer::new().with_rejection_response(|_: ProtectionError| {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "this request comes from a page of another site, which may not act here",
        )
        .into_response()
    });
    match settings
        .public_url
        .as_ref()
        .map(|url| url.origin().ascii_serialization())
    {
        Some(origin) => match layer.clone().add_trusted_origin(&origin) {
            Ok(trusting) => trusting,
            // An opaque origin is one that no browser can send.
            Err(_) => layer,
        },
        None => layer,
    }
}

fn is_ours(settings: &ServerSettings, host: &str) -> bool {
    // No scheme of ours; only the host's syntax matters.
    let Ok(url) = Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    let is_public = settings
        .public_url
        .as_ref()
        .is_some_and(|public| public.host() == url.host());
    match url.host() {
        // An address is no name that could be bent.
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain(name)) => {
            let is_this_machine = settings
                .host_name
                .as_ref()
                .is_some_and(|own| own.eq_ignore_ascii_case(name));
            is_public || is_this_machine || name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_answered() {
        let settings = ServerSettings {
            public_url: Some(Url::parse("https://ci.example.com/").unwrap()),
            host_name: Some("Build-1".to_owned()),
            ..ServerSettings::default()
        };
        for ours in [
            "build-1:5000",
            "10.0.0.5:5000",
            "localhost",
            "LOCALHOST:5000",
            "popsicle.localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "ci.example.com",
        ] {
            assert!(is_ours(&settings, ours), "{ours}");
        }
        for foreign in [
            "",
            "evil.example:5000",
            "build-1.evil.example",
            "build-2:5000",
            "localhost.evil.example",
            "a b",
            "x/y@localhost",
        ] {
            assert!(!is_ours(&settings, foreign), "{foreign}");
        }
    }
}
