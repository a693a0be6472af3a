//! `/git/<name>.git`: git's smart HTTP, from the socket to git's own backend and back, in pieces.
//!
//! Only the three addresses that git uses with it are answered (gitprotocol-http(5), "Smart
//! Clients" and "Smart Services").

mod cgi;

use std::io;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::{GitRequest, GitService};
use futures_util::{StreamExt, TryStreamExt};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, PRAGMA,
};
use http::{HeaderMap, HeaderValue, StatusCode, request};
use model::HostedName;
use serde::Deserialize;
use tokio_util::io::StreamReader;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Path, Query};

/// The header in which git asks for a version of its protocol.
const GIT_PROTOCOL: &str = "git-protocol";
/// How long that may be.
const LONGEST_PROTOCOL: usize = 200;

/// What git's answers are not: to be kept by anyone in between.
const FRESH: [(http::HeaderName, HeaderValue); 3] = [
    (
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, max-age=0, must-revalidate"),
    ),
    (PRAGMA, HeaderValue::from_static("no-cache")),
    (
        EXPIRES,
        HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT"),
    ),
];

/// `/git/{folder}/…`
#[derive(Debug, Deserialize)]
pub(crate) struct GitPath {
    folder: String,
}

/// The query of `info/refs`.
#[derive(Debug, Deserialize)]
pub(crate) struct ServiceQuery {
    service: Option<String>,
}

/// `GET /git/{folder}/info/refs?service=…`
pub(crate) async fn advertise(
    State(app): State<App>,
    Path(path): Path<GitPath>,
    Query(query): Query<ServiceQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = query.service.as_deref();
    let services = [GitService::UploadPack, GitService::ReceivePack];
    let service = services
        .into_iter()
        .find(|service| asked == Some(service.as_str()))
        .ok_or_else(|| {
            ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "only git's smart HTTP is spoken here; use git 1.6.6 or newer",
            )
        })?;
    let (parts, _) = request.into_parts();
    let request = GitRequest {
        is_advertisement: true,
        is_gzip: false,
        length: None,
        ..read(&path, service, &parts)?
    };
    serve(&app, request, Body::empty()).await
}

/// `POST /git/{folder}/git-upload-pack`: a clone or a fetch.
pub(crate) async fn upload_pack(
    State(app): State<App>,
    Path(path): Path<GitPath>,
    request: Request,
) -> Result<Response, ApiError> {
    exchange(&app, &path, GitService::UploadPack, request).await
}

/// `POST /git/{folder}/git-receive-pack`: a push.
pub(crate) async fn receive_pack(
    State(app): State<App>,
    Path(path): Path<GitPath>,
    request: Request,
) -> Result<Response, ApiError> {
    exchange(&app, &path, GitService::ReceivePack, request).await
}

async fn exchange(
    app: &App,
    path: &GitPath,
    service: GitService,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let wanted = format!("application/x-{}-request", service.as_str());
    let found = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if found != Some(wanted.as_bytes()) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            format!("the body must be of the type `{wanted}`, as git sends it"),
        ));
    }
    serve(app, read(path, service, &parts)?, body).await
}

/// What a request's address and headers say.
fn read(
    GitPath { folder }: &GitPath,
    service: GitService,
    parts: &request::Parts,
) -> Result<GitRequest, ApiError> {
    // People leave the ending out.
    let name = HostedName::of_folder(folder).or_else(|| folder.parse().ok());
    let name = name.ok_or_else(|| {
        let folder: String = folder.chars().take(100).collect();
        ApiError::not_found(format!("there is no hosted repository {folder:?}"))
    })?;
    Ok(GitRequest {
        name,
        service,
        is_advertisement: false,
        protocol: protocol(&parts.headers),
        is_gzip: is_gzip(&parts.headers)?,
        length: length(&parts.headers),
    })
}

/// The versions that git asks for. What can't be one is passed over, as git does.
fn protocol(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(GIT_PROTOCOL)?.to_str().ok()?;
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"=:.-_".contains(&b);
    (text.len() <= LONGEST_PROTOCOL && text.bytes().all(is_known)).then(|| text.to_owned())
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(_) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body may be compressed by gzip alone",
        )),
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn serve(app: &App, request: GitRequest, body: Body) -> Result<Response, ApiError> {
    let body = body.into_data_stream().map_err(io::Error::other).boxed();
    let mut pieces = app.engine.git(request, StreamReader::new(body)).await?;
    let mut head = cgi::Head::default();
    let (status, headers, rest) = loop {
        let Some(piece) = pieces.recv().await else {
            return Err(ApiError::internal("git's backend ended without an answer"));
        };
        match head.feed(&piece) {
            cgi::Fed::More => {}
            cgi::Fed::Whole {
                status,
                headers,
                rest,
            } => break (status, headers, rest),
            cgi::Fed::Wrong => {
                return Err(ApiError::internal(
                    "git's backend gave no answer that can be read",
                ));
            }
        }
    };
    if status == StatusCode::NOT_FOUND {
        return Err(ApiError::not_found("the repository's files are not there"));
    }
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
        Some((pieces.recv().await?, pieces))
    });
    let first = futures_util::stream::iter((!rest.is_empty()).then_some(rest));
    let body = Body::from_stream(first.chain(pieces).map(Ok::<Bytes, io::Error>));
    let mut response = (status, headers, body).into_response();
    response.headers_mut().extend(FRESH);
    Ok(response)
}
