//! A delivery of GitHub: first whose it is, then what it asks for.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use model::{
    Delivery, ForgeKind, GitRef, InvalidName, Origin, PullRequest, RepoName, Trigger, TriggerKind,
};
use serde::de::IgnoredAny;
use url::Url;

use super::payload;
use crate::text::asks_to_skip;
use crate::{Received, Secret, WebhookError, json, origin, signature};

const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";
const SIGNATURE: &str = "X-Hub-Signature-256";
const SHA1_SIGNATURE: &str = "X-Hub-Signature";

/// The value of `X-Hub-Signature-256` for a body: `sha256=` and 64 hexadecimal digits.
///
/// For whoever plays GitHub: development commands and tests.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    format!("sha256={}", signature::sign(secret, body))
}

/// Lets only bodies pass that were signed with our secret.
pub(super) fn verify(
    secret: &Secret,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), WebhookError> {
    let Some(value) = headers.get(SIGNATURE) else {
        return Err(if headers.contains_key(SHA1_SIGNATURE) {
            WebhookError::WeakSignature {
                found: SHA1_SIGNATURE,
                header: SIGNATURE,
            }
        } else {
            WebhookError::MissingSignature { header: SIGNATURE }
        });
    };
    let malformed = |why| WebhookError::MalformedSignature {
        header: SIGNATURE,
        why,
    };
    let digits = value
        .as_bytes()
        .strip_prefix(b"sha256=")
        .ok_or_else(|| malformed("it does not start with `sha256=`"))?;
    let mut expected = [0; 32];
    hex::decode_to_slice(digits, &mut expected)
        .map_err(|_| malformed("it does not have 64 hexadecimal digits after `sha256=`"))?;
    if signature::is_right(secret, body, &expected) {
        Ok(())
    } else {
        Err(WebhookError::WrongSignature { header: SIGNATURE })
    }
}

/// Reads a body that was verified.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Received, WebhookError> {
    let event = header(headers, EVENT)?.ok_or(WebhookError::MissingHeader { header: EVENT })?;
    let delivery = header(headers, DELIVERY)?.map(|id| Delivery {
        forge: ForgeKind::Github,
        id: id.to_owned(),
    });
    let body = json_of(headers, body)?;
    match event {
        "push" => push(json::read(&body)?, delivery),
        "pull_request" => pull_request(&body, delivery),
        "check_run" | "check_suite" => check(event, &body, delivery),
        "ping" => json::read::<IgnoredAny>(&body).map(|_| Received::Pong),
        _ => {
            json::read::<IgnoredAny>(&body)?;
            Ok(ignored(format!("the event `{event}` starts no pipeline")))
        }
    }
}

/// A header of one short word.
fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, WebhookError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if (1..=200).contains(&text.len()) => Ok(Some(text)),
        Ok(_) | Err(_) => Err(WebhookError::InvalidHeader {
            header: name,
            why: "it must have 1 to 200 ASCII characters".to_owned(),
        }),
    }
}

/// The JSON in a body of either of the two content types that a webhook of GitHub can have.
fn json_of<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Cow<'a, [u8]>, WebhookError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(body.into());
    };
    let media_type = value.to_str().unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(body.into())
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        url::form_urlencoded::parse(body)
            .find(|(name, _)| name == "payload")
            .map(|(_, payload)| payload.into_owned().into_bytes().into())
            .ok_or_else(|| WebhookError::MissingField {
                path: "payload".to_owned(),
            })
    } else {
        Err(WebhookError::InvalidHeader {
            header: "Content-Type",
            why: "it must be application/json or application/x-www-form-urlencoded".to_owned(),
        })
    }
}

fn push(push: payload::Push, delivery: Option<Delivery>) -> Result<Received, WebhookError> {
    let payload::Push {
        full_ref,
        before,
        after,
        deleted,
        head_commit,
        pusher,
        repository,
    } = push;
    let is_other_ref = full_ref.starts_with("refs/")
        && !full_ref.starts_with("refs/heads/")
        && !full_ref.starts_with("refs/tags/");
    if is_other_ref {
        return Ok(ignored(
            "only pushes to `refs/heads/` and `refs/tags/` start pipelines",
        ));
    }
    let git_ref: GitRef = full_ref.parse().map_err(|error| invalid("ref", &error))?;
    let (repo, origin) = code(repository)?;
    if deleted || after.is_null() {
        return Ok(ignored(format!("`{}` was deleted", git_ref.full())));
    }
    let (head_id, message, author) = match head_commit {
        Some(head) => (head.id, head.message, head.author),
        None => (None, None, None),
    };
    let (kind, commit) = match &git_ref {
        GitRef::Branch(_) => (TriggerKind::Push, after),
        // An annotated tag points to an object of its own; the commit is behind it.
        GitRef::Tag(_) => (TriggerKind::Tag, head_id.unwrap_or(after)),
    };
    if message.as_deref().is_some_and(asks_to_skip) {
        return Ok(ignored("the head commit's message asks to skip CI"));
    }
    Ok(Received::Trigger(Box::new(Trigger {
        kind,
        repo,
        origin,
        commit: Some(commit),
        git_ref: Some(git_ref),
        base: before.filter(|before| !before.is_null()),
        author: author
            .and_then(|author| author.username)
            .or(pusher.and_then(|pusher| pusher.name)),
        message,
        pull_request: None,
        rerun: None,
        forge: Some(ForgeKind::Github),
        parameters: std::collections::BTreeMap::new(),
        delivery,
    })))
}

fn pull_request(body: &[u8], delivery: Option<Delivery>) -> Result<Received, WebhookError> {
    let payload::Action { action } = json::read(body)?;
    if !matches!(action.as_str(), "opened" | "synchronize" | "reopened") {
        return Ok(ignored_action("pull_request", &action));
    }
    let payload::PullRequestEvent {
        number,
        pull_request,
        repository,
    } = json::read(body)?;
    let payload::PullRequest {
        title,
        html_url,
        user,
        head,
        base,
    } = pull_request;
    let own_branch =
        branch(&head.branch).map_err(|error| invalid("pull_request.head.ref", &error))?;
    branch(&base.branch).map_err(|error| invalid("pull_request.base.ref", &error))?;
    let (repo, origin) = code(repository)?;
    if asks_to_skip(&title) {
        return Ok(ignored("the pull request's title asks to skip CI"));
    }
    // A fork that is gone is a fork.
    let from_fork = head.repo.as_ref().is_none_or(|head| head.full_name != repo);
    let git_ref = if from_fork {
        // Its branch may be called `main`, and a step that deploys `main` must not deploy that.
        // CircleCI gives it the same name.
        GitRef::Branch(format!("pull/{number}"))
    } else {
        own_branch
    };
    Ok(Received::Trigger(Box::new(Trigger {
        kind: TriggerKind::PullRequest,
        pull_request: Some(PullRequest {
            number,
            base_branch: base.branch,
            from_fork,
            fork: head.repo.map(|head| head.full_name).filter(|_| from_fork),
            fetch_ref: format!("refs/pull/{number}/head"),
            url: html_url
                .and_then(|url| Url::parse(&url).ok())
                .map(Into::into),
        }),
        repo,
        origin,
        commit: Some(head.sha),
        git_ref: Some(git_ref),
        base: None,
        author: user.map(|user| user.login),
        message: Some(title),
        rerun: None,
        forge: Some(ForgeKind::Github),
        parameters: std::collections::BTreeMap::new(),
        delivery,
    })))
}

/// `check_run` and `check_suite`: somebody pressed "Re-run" on GitHub's page.
fn check(event: &str, body: &[u8], delivery: Option<Delivery>) -> Result<Received, WebhookError> {
    let payload::Action { action } = json::read(body)?;
    if action != "rerequested" {
        return Ok(ignored_action(event, &action));
    }
    let (check, repository) = if event == "check_run" {
        let event: payload::CheckRunEvent = json::read(body)?;
        (event.check_run, event.repository)
    } else {
        let event: payload::CheckSuiteEvent = json::read(body)?;
        (event.check_suite, event.repository)
    };
    Ok(Received::Rerequested {
        repo: owned(repository.full_name)?,
        commit: check.head_sha,
        delivery,
    })
}

fn ignored(reason: impl Into<String>) -> Received {
    Received::Ignored {
        reason: reason.into(),
    }
}

fn ignored_action(event: &str, action: &str) -> Received {
    let action: String = action.chars().take(100).collect();
    ignored(format!(
        "the event `{event}` with the action `{action}` starts no pipeline"
    ))
}

fn branch(name: &str) -> Result<GitRef, InvalidName> {
    format!("refs/heads/{name}").parse()
}

/// Which project it is, and where its code is.
fn code(repository: payload::CodeRepository) -> Result<(RepoName, Origin), WebhookError> {
    let url =
        origin::clone_url(&repository.clone_url).map_err(|why| WebhookError::InvalidField {
            path: "repository.clone_url".to_owned(),
            why: why.to_owned(),
        })?;
    Ok((owned(repository.full_name)?, Origin::Git { url }))
}

/// A name with an owner, as all have here and as the API's addresses need.
fn owned(full_name: RepoName) -> Result<RepoName, WebhookError> {
    if full_name.as_str().split('/').count() == 2 {
        return Ok(full_name);
    }
    let error = InvalidName::new(
        "repository name",
        full_name.as_str(),
        "on GitHub it is `owner/name`",
    );
    Err(invalid("repository.full_name", &error))
}

fn invalid(path: &str, error: &InvalidName) -> WebhookError {
    WebhookError::InvalidField {
        path: path.to_owned(),
        why: error.to_string(),
    }
}
