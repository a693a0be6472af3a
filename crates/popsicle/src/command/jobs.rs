//! Finds the job that somebody means: by name, by `workflow/name`, by number, or by asking.

use api::{Job, PipelineDetail};

use crate::error::Failure;
use crate::output::{Output, clean, painted};

/// How to name a job so that it can't be mistaken for another of its pipeline.
pub fn label(job: &Job, jobs: &[Job]) -> String {
    let same = jobs.iter().filter(|other| other.job_name == job.job_name);
    if same.count() > 1 {
        format!("{}/{}", clean(&job.workflow), clean(&job.job_name))
    } else {
        clean(&job.job_name).into_owned()
    }
}

/// The job of that name, `workflow/name` or number.
pub fn find<'a>(pipeline: &'a PipelineDetail, wanted: &str) -> Result<&'a Job, Failure> {
    let jobs = &pipeline.jobs;
    let by = |is: &dyn Fn(&Job) -> bool| jobs.iter().filter(|job| is(job)).collect::<Vec<_>>();
    let mut found = by(&|job| job.job_name == wanted);
    if found.is_empty() {
        found = by(&|job| format!("{}/{}", job.workflow, job.job_name) == wanted);
    }
    if found.is_empty() {
        found = by(&|job| job.id.to_string() == wanted || job.uuid.to_string() == wanted);
    }
    match found[..] {
        [job] => Ok(job),
        [] => Err(Failure::usage(format_args!(
            "pipeline {} has no job `{}`",
            pipeline.id,
            clean(wanted)
        ))
        .hint(known(pipeline))),
        [..] => Err(Failure::usage(format_args!(
            "pipeline {} has {} jobs named `{}`",
            pipeline.id,
            found.len(),
            clean(wanted)
        ))
        .hint(known(pipeline))),
    }
}

/// The pipeline's only job, or the one that the person at the terminal names. Without a terminal the
/// jobs are listed and the command ends.
pub fn choose<'a>(pipeline: &'a PipelineDetail, out: &mut Output) -> Result<&'a Job, Failure> {
    let jobs = &pipeline.jobs;
    match &jobs[..] {
        [job] => return Ok(job),
        [] => return Err(no_jobs(pipeline)),
        [..] => {}
    }
    let several = || {
        Failure::usage(format_args!(
            "pipeline {} has {} jobs: name one of them",
            pipeline.id,
            jobs.len()
        ))
    };
    let width = jobs
        .iter()
        .map(|job| label(job, jobs).chars().count())
        .max();
    let width = width.unwrap_or_default();
    for job in jobs {
        let status = painted(job.status, job.status.as_str());
        out.say(format_args!("  {:width$}  {status}", label(job, jobs)));
    }
    if !out.can_ask() {
        return Err(several());
    }
    loop {
        match out.ask("Which job? ")? {
            None => return Err(several()),
            Some(answer) if answer.is_empty() => {}
            Some(answer) => match find(pipeline, &answer) {
                Ok(job) => return Ok(job),
                Err(_) => out.say(format_args!("there is no job `{}`", clean(&answer))),
            },
        }
    }
}

fn known(pipeline: &PipelineDetail) -> String {
    let jobs = &pipeline.jobs;
    if jobs.is_empty() {
        return "it has no jobs".into();
    }
    let names: Vec<String> = jobs.iter().map(|job| label(job, jobs)).collect();
    format!("its jobs are {}", names.join(", "))
}

fn no_jobs(pipeline: &PipelineDetail) -> Failure {
    if !pipeline.status.is_ended() {
        return Failure::usage(format_args!("pipeline {} has no jobs yet", pipeline.id)).hint(
            format_args!("follow it with `popsicle watch {}`", pipeline.id),
        );
    }
    let failure = Failure::usage(format_args!("pipeline {} has no jobs", pipeline.id));
    match &pipeline.reason {
        // Several lines, where a config has errors.
        Some(reason) => failure.hint(reason.lines().map(clean).collect::<Vec<_>>().join("\n")),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(jobs: &[(i64, &str, &str)]) -> PipelineDetail {
        let jobs: Vec<_> = jobs
            .iter()
            .map(|(id, workflow, name)| {
                serde_json::json!({
                    "id": id, "uuid": format!("550e8400-e29b-41d4-a716-44665544000{id}"),
                    "job_name": name, "workflow": workflow, "status": "success",
                    "start_time": null, "end_time": null, "requires": [], "attempt": 1,
                    "exit_code": 0, "reason": null,
                })
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "id": 5, "repo": "r", "commit_sha": null, "branch": null, "tag": null,
            "status": "success", "trigger": "push", "author": null, "message": null,
            "created_at": "2024-06-01T12:00:00Z", "start_time": null, "end_time": null,
            "reason": null, "pull_request": null, "rerun_of": null, "jobs": jobs,
        }))
        .unwrap()
    }

    #[test]
    fn a_job_is_found_by_name_by_workflow_and_by_number() {
        let pipeline = pipeline(&[
            (1, "main", "build"),
            (2, "nightly", "build"),
            (3, "main", "lint"),
        ]);
        let id = |wanted: &str| find(&pipeline, wanted).ok().map(|job| job.id.0);
        assert_eq!(id("lint"), Some(3));
        assert_eq!(id("nightly/build"), Some(2));
        assert_eq!(id("1"), Some(1));
        assert_eq!(id("550e8400-e29b-41d4-a716-446655440002"), Some(2));
        let Err(Failure::Told { message, hint, .. }) = find(&pipeline, "build") else {
            panic!("two jobs have that name");
        };
        assert_eq!(message, "pipeline 5 has 2 jobs named `build`");
        assert_eq!(
            hint.as_deref(),
            Some("its jobs are main/build, nightly/build, lint")
        );
        assert_eq!(id("deploy"), None);
    }
}
