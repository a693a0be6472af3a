//! The routes of secrets and contexts.

use api::{Context, ContextPatch, NewContext, PageQuery, Secret, SecretOf, SecretQuery, SetSecret};
use model::{ContextName, RepoName, SecretValue, VariableName};
use reqwest::Method;

use crate::{Client, ClientError};

/// Every method fails as [`ClientError`] tells.
impl Client {
    /// The variables of a project, in the order in which they were first set.
    pub async fn secrets(&self, repo: &RepoName) -> Result<Vec<Secret>, ClientError> {
        self.whole_list(&["secrets"], |PageQuery { limit, cursor }| SecretQuery {
            repo: repo.clone(),
            limit,
            cursor,
        })
        .await
    }

    /// Sets a variable of a project.
    pub async fn set_secret(
        &self,
        repo: &RepoName,
        variable: &VariableName,
        value: SecretValue,
    ) -> Result<Secret, ClientError> {
        let request = self
            .request(Method::PUT, &["secrets", variable.as_str()])
            .query(&SecretOf { repo: repo.clone() })
            .json(&SetSecret { value });
        Ok(self.answer(request).await?.0)
    }

    /// Deletes a variable of a project.
    pub async fn delete_secret(
        &self,
        repo: &RepoName,
        variable: &VariableName,
    ) -> Result<(), ClientError> {
        let request = self
            .request(Method::DELETE, &["secrets", variable.as_str()])
            .query(&SecretOf { repo: repo.clone() });
        self.done(request).await
    }

    /// The contexts, in the order in which they were made.
    pub async fn contexts(&self) -> Result<Vec<Context>, ClientError> {
        self.all(&["contexts"]).await
    }

    /// Makes a context.
    pub async fn create_context(&self, new: &NewContext) -> Result<Context, ClientError> {
        self.post(&["contexts"], new).await
    }

    /// Says which projects may use a context; all of them where none are named.
    pub async fn restrict_context(
        &self,
        context: &ContextName,
        projects: Option<Vec<RepoName>>,
    ) -> Result<Context, ClientError> {
        let request = self
            .request(Method::PATCH, &["contexts", context.as_str()])
            .json(&ContextPatch { projects });
        Ok(self.answer(request).await?.0)
    }

    /// Deletes a context with its variables.
    pub async fn delete_context(&self, context: &ContextName) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &["contexts", context.as_str()]))
            .await
    }

    /// The variables of a context, in the order in which they were first set.
    pub async fn context_variables(
        &self,
        context: &ContextName,
    ) -> Result<Vec<Secret>, ClientError> {
        self.all(&["contexts", context.as_str(), "variables"]).await
    }

    /// Sets a variable of a context.
    pub async fn set_context_variable(
        &self,
        context: &ContextName,
        variable: &VariableName,
        value: SecretValue,
    ) -> Result<Secret, ClientError> {
        let segments = ["contexts", context.as_str(), "variables", variable.as_str()];
        let request = self
            .request(Method::PUT, &segments)
            .json(&SetSecret { value });
        Ok(self.answer(request).await?.0)
    }

    /// Deletes a variable of a context.
    pub async fn delete_context_variable(
        &self,
        context: &ContextName,
        variable: &VariableName,
    ) -> Result<(), ClientError> {
        let segments = ["contexts", context.as_str(), "variables", variable.as_str()];
        self.done(self.request(Method::DELETE, &segments)).await
    }
}
