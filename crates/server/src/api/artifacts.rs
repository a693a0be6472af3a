//! `/pipelines/{pipeline}/jobs/{job}/artifacts`: what a job keeps for people.
//!
//! A file is whatever a job has made, of which a browser must not make more than a file: it is told not to
//! guess what it is, and to give a page no scripts and nothing of this server's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use api::{ArtifactQuery, AttemptQuery};
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::Engine;
use futures_util::{Stream, stream};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use model::{JobId, PipelineId};
use serde::Deserialize;

use super::jobs::{self, JobPath};
use super::range::{Wanted, wanted};
use super::{logs, page};
use crate::error::ApiError;
use crate::extract::{Path, Query};

/// How much of a file is in memory at once, for each reader.
const CHUNK: usize = 256 << 10;

/// `/pipelines/{pipeline}/jobs/{job}/artifacts/{*path}`
#[derive(Debug, Deserialize)]
pub(crate) struct ArtifactPath {
    pipeline: PipelineId,
    job: JobId,
    path: String,
}

/// `GET /pipelines/{pipeline}/jobs/{job}/artifacts`
pub(crate) async fn list(
    State(engine): State<Engine>,
    Path(path): Path<JobPath>,
    uri: OriginalUri,
    Query(query): Query<AttemptQuery>,
) -> Result<Response, ApiError> {
    let job = jobs::of_pipeline(&engine, path).await?;
    let attempt = logs::attempt(&job, query.attempt)?;
    let page = page::wanted(query.limit, query.cursor);
    let found = engine.store().artifacts(job.id, attempt, &page).await?;
    Ok(page::answer(&uri, found, |artifact| {
        view(&job, attempt, artifact)
    }))
}

/// An artifact of an attempt of a job.
pub(crate) fn view(job: &store::Job, attempt: u32, artifact: store::Artifact) -> api::Artifact {
    let path: Vec<String> = artifact.path.split('/').map(encoded).collect();
    api::Artifact {
        url: format!(
            "/pipelines/{}/jobs/{}/artifacts/{}?attempt={attempt}&node_index={}",
            job.pipeline,
            job.id,
            path.join("/"),
            artifact.node_index
        ),
        path: artifact.path,
        node_index: artifact.node_index,
        size_bytes: artifact.blob.bytes,
        sha256: artifact.blob.digest.to_string(),
    }
}

/// `GET /pipelines/{pipeline}/jobs/{job}/artifacts/{*path}`
pub(crate) async fn read(
    State(engine): State<Engine>,
    Path(path): Path<ArtifactPath>,
    Query(query): Query<ArtifactQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let ArtifactPath {
        pipeline,
        job,
        path,
    } = path;
    let job = jobs::of_pipeline(&engine, JobPath { pipeline, job }).await?;
    let attempt = logs::attempt(&job, query.attempt)?;
    let node = query.node_index.unwrap_or_default();
    let artifact = engine
        .store()
        .artifact(job.id, attempt, node, &path)
        .await?;
    let (blobs, digest) = (engine.blobs().clone(), artifact.blob.digest);
    let file = logs::blocking(move || blobs.open(&digest)).await?;
    let length = artifact.blob.bytes;
    let (status, range) = match wanted(&headers, length) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => return Ok(logs::beyond(length)),
    };
    let body = Body::from_stream(chunks(Arc::new(file), range.start, range.end));
    let mut answer = (status, body).into_response();
    let headers = answer.headers_mut();
    describe(headers, &artifact.path);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        if let Ok(part) = HeaderValue::try_from(part) {
            headers.insert(CONTENT_RANGE, part);
        }
    }
    Ok(answer)
}

/// Says what a file is, as far as its name tells, and what a browser may make of it.
fn describe(headers: &mut HeaderMap, path: &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let (kind, is_shown) = kind_of(&extension.unwrap_or_default().to_ascii_lowercase());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    // A report of coverage keeps its looks, and gets nothing else.
    let policy = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; \
                  style-src 'self' 'unsafe-inline'; font-src 'self' data:";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    // To a browser a page in a sandbox is of no site, and so what it shows comes from another one.
    let is_part_of_pages = ["text/css", "image/", "audio/", "video/"]
        .iter()
        .any(|of_pages| kind.starts_with(of_pages));
    if is_part_of_pages {
        let policy = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(policy, HeaderValue::from_static("cross-origin"));
    }
    let shown = if is_shown { "inline" } else { "attachment" };
    let disposition = format!("{shown}; filename*=UTF-8''{}", encoded(name));
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
}

/// The type of a file with that extension, and whether a browser may show it.
fn kind_of(extension: &str) -> (&'static str, bool) {
    match extension {
        "txt" | "log" | "md" | "yml" | "yaml" | "toml" | "csv" | "out" | "diff" | "patch" => {
            ("text/plain; charset=utf-8", true)
        }
        "html" | "htm" => ("text/html; charset=utf-8", true),
        "css" => ("text/css; charset=utf-8", true),
        "js" | "mjs" => ("text/javascript; charset=utf-8", true),
        "json" | "map" => ("application/json", true),
        "xml" => ("text/xml; charset=utf-8", true),
        "png" => ("image/png", true),
        "jpg" | "jpeg" => ("image/jpeg", true),
        "gif" => ("image/gif", true),
        "webp" => ("image/webp", true),
        "svg" => ("image/svg+xml", true),
        "ico" => ("image/x-icon", true),
        "pdf" => ("application/pdf", true),
        "mp4" => ("video/mp4", true),
        "webm" => ("video/webm", true),
        "woff2" => ("font/woff2", true),
        "gz" | "tgz" => ("application/gzip", false),
        "zip" | "jar" | "whl" => ("application/zip", false),
        "tar" => ("application/x-tar", false),
        _ => ("application/octet-stream", false),
    }
}

/// As a part of an address, or of a header's parameter (RFC 8187): all but what is a plain letter is encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The bytes of a file, read as the client takes them.
fn chunks(
    file: Arc<File>,
    from: u64,
    to: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    stream::try_unfold((file, from), move |(file, from)| async move {
        let left = usize::try_from(to - from).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let reading = Arc::clone(&file);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; left.min(CHUNK)];
            reading.read_exact_at(&mut bytes, from)?;
            io::Result::Ok(Bytes::from(bytes))
        });
        let bytes = read.await.map_err(io::Error::other)??;
        let next = from + bytes.len() as u64;
        Ok(Some((bytes, (file, next))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_makes_nothing_more_of_a_file() {
        let described = |path: &str| {
            let mut headers = HeaderMap::new();
            describe(&mut headers, path);
            let text = |name| headers[name].to_str().unwrap().to_owned();
            assert_eq!(text(X_CONTENT_TYPE_OPTIONS), "nosniff");
            assert!(text(CONTENT_SECURITY_POLICY).starts_with("sandbox; default-src 'none'"));
            (text(CONTENT_TYPE), text(CONTENT_DISPOSITION))
        };
        assert_eq!(
            described("coverage/index.HTML").0,
            "text/html; charset=utf-8"
        );
        let (kind, disposition) = described("a/ü \"x\".exe");
        assert_eq!(kind, "application/octet-stream");
        assert_eq!(
            disposition,
            "attachment; filename*=UTF-8''%C3%BC%20%22x%22.exe"
        );
        assert_eq!(described("Makefile").0, "application/octet-stream");
    }

    #[test]
    fn a_page_in_its_sandbox_has_its_looks() {
        let is_for_others = |path: &str| {
            let mut headers = HeaderMap::new();
            describe(&mut headers, path);
            headers
                .get("cross-origin-resource-policy")
                .map(|policy| policy.to_str().unwrap().to_owned())
        };
        for part in ["a/style.css", "a.png", "a.svg", "a.webm"] {
            assert_eq!(
                is_for_others(part).as_deref(),
                Some("cross-origin"),
                "{part}"
            );
        }
        for other in ["a.html", "a.js", "a.json", "a.txt", "a.zip", "a"] {
            assert_eq!(is_for_others(other), None, "{other}");
        }
    }
}
