//! One method a route.

use api::{
    Artifact, ArtifactQuery, AttemptQuery, BuildAnswer, CreatedToken, Health, Limit, NewBuild,
    NewPipeline, NewRepo, NewRunner, NewToken, PageQuery, Pipeline, PipelineDetail, PipelineQuery,
    Project, Readiness, Repo, RerunRequest, Runner, RunnerWithToken, Step, TestResult, Token,
    WebhookAnswer,
};
use model::{HostedName, JobId, PipelineId, RepoName, RerunFrom, TokenId};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::download::Download;
use crate::page::next_cursor;
use crate::{Client, ClientError, Page};

/// Every method fails as [`ClientError`] tells; an answer that is an error comes as
/// [`ClientError::Refused`].
impl Client {
    /// Most recent pipelines first, those that the query lets through.
    pub async fn pipelines(&self, query: &PipelineQuery) -> Result<Page<Pipeline>, ClientError> {
        self.page(&["pipelines"], query).await
    }

    /// One pipeline with its jobs.
    pub async fn pipeline(&self, id: PipelineId) -> Result<PipelineDetail, ClientError> {
        self.get(&["pipelines", &id.to_string()]).await
    }

    /// Starts a pipeline.
    pub async fn start(&self, pipeline: &NewPipeline) -> Result<Pipeline, ClientError> {
        self.post(&["pipelines"], pipeline).await
    }

    /// Cancels what of a pipeline has not ended; returns how it is then.
    pub async fn cancel(&self, id: PipelineId) -> Result<Pipeline, ClientError> {
        self.post(&["pipelines", &id.to_string(), "cancel"], &json!({}))
            .await
    }

    /// Runs a pipeline again; returns the new one.
    pub async fn rerun(&self, id: PipelineId, from: RerunFrom) -> Result<Pipeline, ClientError> {
        self.post(
            &["pipelines", &id.to_string(), "rerun"],
            &RerunRequest { from },
        )
        .await
    }

    /// Approves a job that waits for a person.
    pub async fn approve(&self, id: PipelineId, job: JobId) -> Result<api::Job, ClientError> {
        self.post(
            &[
                "pipelines",
                &id.to_string(),
                "jobs",
                &job.to_string(),
                "approve",
            ],
            &json!({}),
        )
        .await
    }

    /// Gives a job that ended without success another attempt in the same pipeline.
    pub async fn retry(&self, id: PipelineId, job: JobId) -> Result<api::Job, ClientError> {
        let (id, job) = (id.to_string(), job.to_string());
        self.post(&["pipelines", &id, "jobs", &job, "retry"], &json!({}))
            .await
    }

    /// The steps of a job's last attempt.
    pub async fn steps(&self, id: PipelineId, job: JobId) -> Result<Vec<Step>, ClientError> {
        let (id, job) = (id.to_string(), job.to_string());
        self.all(&["pipelines", &id, "jobs", &job, "steps"]).await
    }

    /// The artifacts of a job's last attempt.
    pub async fn artifacts(
        &self,
        id: PipelineId,
        job: JobId,
    ) -> Result<Vec<Artifact>, ClientError> {
        let (id, job) = (id.to_string(), job.to_string());
        self.all(&["pipelines", &id, "jobs", &job, "artifacts"])
            .await
    }

    /// The bytes of an artifact, as they come.
    pub async fn artifact(
        &self,
        id: PipelineId,
        job: JobId,
        artifact: &Artifact,
    ) -> Result<Download, ClientError> {
        let (id, job) = (id.to_string(), job.to_string());
        let segments: Vec<&str> = ["pipelines", &id, "jobs", &job, "artifacts"]
            .into_iter()
            .chain(artifact.path.split('/'))
            .collect();
        let query = ArtifactQuery {
            attempt: None,
            node_index: Some(artifact.node_index),
        };
        let request = self.request(Method::GET, &segments).query(&query);
        Ok(Download {
            response: self.download(request).await?,
            client: self.clone(),
        })
    }

    /// What the tests of a job's last attempt said of themselves, a page at a time.
    pub async fn tests(
        &self,
        id: PipelineId,
        job: JobId,
        query: &AttemptQuery,
    ) -> Result<Page<TestResult>, ClientError> {
        let (id, job) = (id.to_string(), job.to_string());
        self.page(&["pipelines", &id, "jobs", &job, "tests"], query)
            .await
    }

    /// Delivers a webhook, as GitHub does; returns the pipeline that it makes.
    ///
    /// `event` is GitHub's word for the kind (`push`), `signature` the value of
    /// `X-Hub-Signature-256`, `body` what was signed, byte for byte.
    ///
    /// A delivery that makes no pipeline is [`ClientError::Refused`], with the server's reason.
    pub async fn send_webhook(
        &self,
        event: &str,
        signature: &str,
        body: String,
    ) -> Result<PipelineId, ClientError> {
        let request = self
            .request(Method::POST, &["webhook"])
            .header("X-GitHub-Event", event)
            .header("X-Hub-Signature-256", signature)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let message = match self.answer(request).await?.0 {
            WebhookAnswer::Queued { pipeline_id } => return Ok(pipeline_id),
            WebhookAnswer::Ignored { reason } => reason,
            WebhookAnswer::Pong => format!("a `{event}` event makes no pipeline"),
        };
        Err(ClientError::Refused {
            status: 202,
            code: "ignored".into(),
            message,
        })
    }

    /// The runners.
    pub async fn runners(&self) -> Result<Vec<Runner>, ClientError> {
        self.all(&["runners"]).await
    }

    /// Every token, newest first.
    pub async fn tokens(&self) -> Result<Vec<Token>, ClientError> {
        self.all(&["tokens"]).await
    }

    /// Makes a token.
    pub async fn create_token(&self, token: &NewToken) -> Result<CreatedToken, ClientError> {
        self.post(&["tokens"], token).await
    }

    /// Lets a token open nothing from now on.
    pub async fn revoke_token(&self, id: TokenId) -> Result<Token, ClientError> {
        let request = self.request(Method::DELETE, &["tokens", &id.to_string()]);
        Ok(self.answer(request).await?.0)
    }

    /// Registers a runner; the answer has its token.
    pub async fn add_runner(&self, runner: &NewRunner) -> Result<RunnerWithToken, ClientError> {
        self.post(&["runners"], runner).await
    }

    /// The hosted repositories, newest first.
    pub async fn repos(&self) -> Result<Vec<Repo>, ClientError> {
        self.all(&["repos"]).await
    }

    /// Makes a hosted repository.
    pub async fn create_repo(&self, repo: &NewRepo) -> Result<Repo, ClientError> {
        self.post(&["repos"], repo).await
    }

    /// Deletes a hosted repository.
    pub async fn delete_repo(&self, name: &HostedName) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &["repos", name.as_str()]))
            .await
    }

    /// Asks for a build of a hosted repository.
    pub async fn build(&self, build: &NewBuild) -> Result<BuildAnswer, ClientError> {
        self.post(&["api", "builds"], build).await
    }

    /// The projects, most recently active first.
    pub async fn projects(&self, query: &PageQuery) -> Result<Page<Project>, ClientError> {
        self.page(&["projects"], query).await
    }

    /// One project.
    pub async fn project(&self, repo: &RepoName) -> Result<Project, ClientError> {
        let segments: Vec<&str> = std::iter::once("projects")
            .chain(repo.as_str().split('/'))
            .collect();
        self.get(&segments).await
    }

    /// Whether the server lives, and its version.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get(&["healthz"]).await
    }

    /// Whether the server can do its work; [`ClientError::Refused`] with status 503 if it can't.
    pub async fn readiness(&self) -> Result<Readiness, ClientError> {
        self.get(&["readyz"]).await
    }

    async fn page<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &impl Serialize,
    ) -> Result<Page<T>, ClientError> {
        let request = self.request(Method::GET, segments).query(query);
        let (items, headers) = self.answer(request).await?;
        let next = next_cursor(&headers, &self.url(segments));
        Ok(Page { items, next })
    }

    /// Every page of a list that is not long.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        segments: &[&str],
    ) -> Result<Vec<T>, ClientError> {
        self.whole_list(segments, |query| query).await
    }

    /// The same of a list whose query has more than the page.
    pub(crate) async fn whole_list<T: DeserializeOwned, Q: Serialize>(
        &self,
        segments: &[&str],
        query_of: impl Fn(PageQuery) -> Q,
    ) -> Result<Vec<T>, ClientError> {
        let mut query = PageQuery {
            limit: Some(Limit::MAX),
            cursor: None,
        };
        let mut all = Vec::new();
        loop {
            let page = self.page(segments, &query_of(query.clone())).await?;
            // A list that goes on must also come on.
            let is_over = page.next.is_none() || page.items.is_empty();
            all.extend(page.items);
            if is_over {
                return Ok(all);
            }
            query.cursor = page.next;
        }
    }
}
