//! What the outside sees of what is remembered.

use model::{JobState, Status, StepState};

/// A pipeline, as lists have it.
pub(crate) fn pipeline(pipeline: store::Pipeline) -> api::Pipeline {
    let store::Pipeline {
        id,
        trigger,
        status,
        created,
        started,
        ended,
        reason,
        ..
    } = pipeline;
    let git_ref = trigger.git_ref.as_ref();
    api::Pipeline {
        id,
        branch: git_ref
            .and_then(|git_ref| git_ref.branch())
            .map(ToOwned::to_owned),
        tag: git_ref
            .and_then(|git_ref| git_ref.tag())
            .map(ToOwned::to_owned),
        repo: trigger.repo,
        commit_sha: trigger.commit,
        status,
        trigger: trigger.kind,
        author: trigger.author,
        message: trigger.message,
        created_at: created,
        start_time: started,
        end_time: ended,
        reason,
        pull_request: trigger.pull_request.map(|pull_request| pull_request.number),
        rerun_of: trigger.rerun.map(|rerun| rerun.of),
    }
}

/// A job, as its pipeline shows it.
pub(crate) fn job(job: store::Job) -> api::Job {
    let outcome = job.state.outcome();
    api::Job {
        id: job.id,
        uuid: job.uuid,
        status: job.state.status(),
        start_time: job.state.started(),
        end_time: job.state.ended(),
        attempt: job.state.attempt(),
        exit_code: outcome.and_then(model::Outcome::exit_code),
        reason: outcome.and_then(model::Outcome::reason),
        job_name: job.name,
        workflow: job.workflow,
        requires: job.requires,
    }
}

/// A job, as who follows it by its UUID sees it.
pub(crate) fn job_view(job: store::Job) -> api::JobView {
    let (status, success) = match &job.state {
        JobState::Blocked | JobState::OnHold | JobState::Queued { .. } => {
            (api::JobViewStatus::Queued, None)
        }
        JobState::Running { .. } => (api::JobViewStatus::Running, None),
        JobState::Ended { outcome, .. } => {
            let success = outcome.kind().status() == Status::Success;
            (api::JobViewStatus::Completed, Some(success))
        }
    };
    api::JobView {
        job_id: job.uuid,
        status,
        success,
        start_time: job.state.started(),
        end_time: job.state.ended(),
        pipeline_id: job.pipeline,
        job_name: job.name,
    }
}

/// A step of an attempt.
pub(crate) fn step(step: store::Step) -> api::Step {
    let (start_time, end_time, exit_code) = match step.state {
        StepState::Running { since } => (Some(since), None, None),
        StepState::Ended {
            since,
            at,
            exit_code,
        } => (Some(since), Some(at), Some(exit_code)),
        StepState::Skipped => (None, None, None),
    };
    api::Step {
        index: step.index,
        status: step.state.status(),
        name: step.name,
        start_time,
        end_time,
        exit_code,
        log_start: step.log_start,
        log_end: step.log_end,
    }
}

/// What a test said of itself.
pub(crate) fn test_result(test: store::TestResult) -> api::TestResult {
    api::TestResult {
        classname: test.classname,
        name: test.name,
        file: test.file,
        result: test.outcome.as_str().to_owned(),
        duration_us: test.duration_us,
        message: test.message,
    }
}

/// A runner.
pub(crate) fn runner(runner: store::Runner) -> api::Runner {
    api::Runner {
        id: runner.id,
        host: runner.host,
        active: runner.active,
        labels: runner.labels,
        last_seen: runner.last_seen,
        busy: runner.busy,
        capacity: runner.capacity,
    }
}

/// A project.
pub(crate) fn project(project: store::Project) -> api::Project {
    let run = |run: store::ProjectRun| api::ProjectRun {
        pipeline: run.pipeline,
        status: run.status,
        duration_ms: run.duration_ms,
    };
    api::Project {
        repo: project.repo,
        pipelines: project.pipelines,
        last_pipeline: project.last.id,
        last_status: project.last.status,
        last_activity: project.last.created,
        success_rate: project.success_rate,
        median_ms: project.median_ms,
        trend: project.recent.into_iter().map(run).collect(),
    }
}

/// A variable, without its value.
pub(crate) fn secret(secret: engine::SecretInfo) -> api::Secret {
    api::Secret {
        name: secret.name,
        hint: secret.hint,
        created_at: secret.created,
        updated_at: secret.updated,
    }
}

/// A context.
pub(crate) fn context(context: store::Context) -> api::Context {
    api::Context {
        name: context.name,
        projects: context.projects,
        variables: context.variables,
        created_at: context.created,
    }
}

/// A token, without its text.
pub(crate) fn token(token: store::Token) -> api::Token {
    api::Token {
        id: token.id,
        name: token.name,
        scope: token.scope,
        runner: token.runner,
        created_at: token.created,
        last_used_at: token.last_used,
        expires_at: token.expires,
        revoked_at: token.revoked,
    }
}
