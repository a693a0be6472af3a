//! Who may ask what: a token opens as much as its scope says.
//!
//! A token that is sent has to be valid, whether or not one is needed: who believes to be somebody is told
//! where that is not so. Browsers send it as the password of HTTP Basic, so that the pages can be used
//! before there is a sign-in. Forges prove who they are by signatures; their doors are not behind this.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use maud::html;
use model::TokenScope;

use crate::app::App;
use crate::error::ApiError;

/// Who is asked for a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nobody, but for managing tokens.
    #[default]
    None,
    /// Everybody.
    Token,
}

/// Lets through who may, and tells the others why not.
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (is_page, is_about_tokens) = (is_page(path), is_about_tokens(path));
    let is_git = path.starts_with("/git/");
    let refusal = match needed(request.method(), path) {
        Some(needed) => {
            let asks_nobody = app.settings.auth == Auth::None && !is_about_tokens;
            let presented = presented(request.headers());
            refusal(&app, needed, asks_nobody, presented).await
        }
        None => None,
    };
    match refusal {
        None => next.run(request).await,
        Some(error) => {
            let asks = error.status() == StatusCode::UNAUTHORIZED;
            let mut response = if is_page {
                page(&error)
            } else {
                error.into_response()
            };
            if asks {
                // Browsers and git ask their users for it.
                let challenge = if is_page || is_git {
                    HeaderValue::from_static("Basic realm=\"Popsicle\", charset=\"UTF-8\"")
                } else {
                    HeaderValue::from_static("Bearer realm=\"Popsicle\"")
                };
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

async fn refusal(
    app: &App,
    needed: TokenScope,
    asks_nobody: bool,
    presented: Presented,
) -> Option<ApiError> {
    let unauthorized = |message: &str| {
        Some(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            message,
        ))
    };
    let held = match presented {
        Presented::Nothing => None,
        Presented::Nonsense => {
            return unauthorized(
                "the header `Authorization` is not valid: it must be `Bearer` and a token",
            );
        }
        Presented::Token(text) => match app.engine.store().token_of(&text, app.world.now()).await {
            Ok(Some(token)) => Some(token.scope),
            Ok(None) => {
                return unauthorized(
                    "this token opens nothing: it is none of this server's, has expired or was \
                         revoked",
                );
            }
            Err(error) => return Some(error.into()),
        },
    };
    match held {
        Some(held) if held.allows(needed) => None,
        Some(held) => Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("this needs a token of the scope `{needed}`, and yours has `{held}`"),
        )),
        None if asks_nobody => None,
        None => Some(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            format!(
                "this needs a token of the scope `{needed}`: `popsicle token create` makes one on \
                 the server's machine; send it as `Authorization: Bearer …`"
            ),
        )),
    }
}

/// What a request needs; none where anybody may ask.
fn needed(method: &Method, path: &str) -> Option<TokenScope> {
    let path = path
        .strip_prefix("/api/")
        .unwrap_or(path.trim_start_matches('/'));
    let is_below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if is_below("healthz") || is_below("readyz") || is_below("badge") || is_below("assets") {
        return None;
    }
    // A fetch is a `POST` too, and a push first asks what there is.
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
        || path.ends_with("/git-upload-pack");
    let keeps_secrets = is_below("secrets") || is_below("contexts");
    Some(
        if is_below("tokens") || (keeps_secrets && !reads) || (is_below("runners") && !reads) {
            TokenScope::Admin
        } else if reads {
            TokenScope::Read
        } else {
            TokenScope::Write
        },
    )
}

/// Whoever can make tokens can keep what they could do once the server asks for them.
fn is_about_tokens(path: &str) -> bool {
    needed(&Method::GET, path) == Some(TokenScope::Admin)
}

enum Presented {
    Nothing,
    Nonsense,
    Token(String),
}

fn presented(headers: &HeaderMap) -> Presented {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Presented::Nothing;
    };
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    let Some((scheme, rest)) = parts else {
        return Presented::Nonsense;
    };
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        Some(rest.trim().to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") {
        password(rest.trim())
    } else {
        None
    };
    token.map_or(Presented::Nonsense, Presented::Token)
}

/// The password of HTTP Basic, whatever the user's name (RFC 7617).
fn password(credentials: &str) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(credentials).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    Some(text.split_once(':')?.1.to_owned())
}

fn is_page(path: &str) -> bool {
    path == "/" || path == "/ui" || path.starts_with("/ui/")
}

fn page(error: &ApiError) -> Response {
    let content = html! {
        header { h1 { "Popsicle" } }
        main {
            p { "This server asks who is there. Give a token of the scope " code { "read" }
                " as the password; the user's name does not matter." }
            p { "On the server's machine, " code { "popsicle token create NAME --scope read" }
                " makes one." }
            p { (error.message()) }
        }
    };
    let Html(text) = crate::ui::page("Popsicle", false, &content);
    (error.status(), Html(text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_needs_what_it_does() {
        for (method, path, scope) in [
            (Method::GET, "/", Some(TokenScope::Read)),
            (Method::GET, "/healthz", None),
            (Method::GET, "/api/readyz", None),
            (Method::GET, "/badge/octo/repo.svg", None),
            (Method::GET, "/healthzz", Some(TokenScope::Read)),
            (Method::GET, "/metrics", Some(TokenScope::Read)),
            (Method::GET, "/api/pipelines/1", Some(TokenScope::Read)),
            (Method::POST, "/pipelines/1/cancel", Some(TokenScope::Write)),
            (Method::DELETE, "/api/jobs/x", Some(TokenScope::Write)),
            (Method::GET, "/runners", Some(TokenScope::Read)),
            (Method::PATCH, "/api/runners/1", Some(TokenScope::Admin)),
            (Method::GET, "/tokens", Some(TokenScope::Admin)),
            (Method::POST, "/api/tokens", Some(TokenScope::Admin)),
        ] {
            assert_eq!(needed(&method, path), scope, "{method} {path}");
        }
    }

    #[test]
    fn a_token_is_a_bearer_s_or_a_password() {
        for (header, token) in [
            ("Bearer pop_1_a", Some("pop_1_a")),
            ("bearer  pop_1_a", Some("pop_1_a")),
            ("Basic dTpwb3BfMV9h", Some("pop_1_a")),
            ("Basic dTpwb3BfMV9", None),
            ("Digest x", None),
            ("pop_1_a", None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(header))]);
            let found = match presented(&headers) {
                Presented::Token(text) => Some(text),
                Presented::Nothing | Presented::Nonsense => None,
            };
            assert_eq!(found.as_deref(), token, "{header}");
        }
    }
}
