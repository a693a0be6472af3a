//! Which secrets a job gets, which it does not, and that its log tells none.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use model::{
    BuildSpec, JobKind, JobSpec, PipelineId, Plan, PullRequest, RepoName, RunStep, RunsIn,
    SecretOwner, SecretValue, Status, StepAction, StepSpec, StepWhen, Trigger, WorkflowSpec,
};
use store::Store;

use super::actor::Act;
use super::world::{Ci, trigger};

fn project() -> SecretOwner {
    SecretOwner::Project("octo/repo".parse().unwrap())
}

fn context(name: &str) -> SecretOwner {
    SecretOwner::Context(name.parse().unwrap())
}

impl Ci {
    async fn set(&self, owner: &SecretOwner, name: &str, value: &str) {
        let value = SecretValue::try_from(value.to_owned()).unwrap();
        let name = name.parse().unwrap();
        self.engine
            .secrets()
            .set(owner, &name, &value)
            .await
            .unwrap();
    }

    async fn context(&self, name: &str, projects: Option<&[RepoName]>, variables: &[(&str, &str)]) {
        let (parsed, now) = (name.parse().unwrap(), model::Timestamp::from_millis(0));
        let store = self.engine.store();
        store.create_context(&parsed, projects, now).await.unwrap();
        for (variable, value) in variables {
            self.set(&context(name), variable, value).await;
        }
    }

    /// A pipeline of one job, planned while no engine runs.
    async fn planned(&mut self, trigger: Trigger, job: JobSpec) -> PipelineId {
        self.stop().await;
        let path = self.dir.path().join("popsicle.db");
        let store = Store::open(path.to_str().unwrap()).await.unwrap();
        let now = model::Timestamp::from_millis(0);
        let made = store.create_pipelines(&[trigger], now).await.unwrap();
        store.claim_preparation(&[], now).await.unwrap().unwrap();
        let plan = Plan::from(vec![WorkflowSpec::new("ci", vec![job])]);
        let uuids = [model::JobUuid(uuid::Uuid::new_v4())];
        let stored = store.store_plan(made[0].id, &plan, &uuids, None, now);
        stored.await.unwrap();
        store.close().await;
        self.restart().await;
        made[0].id
    }

    fn pushed(&self) -> Trigger {
        trigger(self.dir.path().to_owned())
    }

    /// Writes to the output of the only attempt, as its container does.
    fn write(&self, text: &str) {
        let log = self.job_folder().join("io/log");
        let mut log = OpenOptions::new().append(true).open(log).unwrap();
        log.write_all(text.as_bytes()).unwrap();
    }
}

fn build(contexts: &[&str], environment: &[(&str, &str)]) -> JobSpec {
    let step = StepSpec {
        name: "build".to_owned(),
        when: StepWhen::OnSuccess,
        action: StepAction::Run(RunStep::default()),
    };
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    JobSpec {
        name: "build".to_owned(),
        requires: Vec::new(),
        contexts: contexts.iter().map(|name| (*name).to_owned()).collect(),
        kind: JobKind::Build(Box::new(BuildSpec {
            environment: environment.iter().map(own).collect(),
            ..BuildSpec::new(RunsIn::Machine, vec![step])
        })),
    }
}

#[tokio::test]
async fn a_job_has_the_variables_of_its_project_and_contexts_and_its_log_tells_none() {
    let mut ci = Ci::start().await;
    let names = &["ONE", "TWO", "THREE", "FOUR", "CIRCLE_JOB"];
    ci.stage.act("build", &[Act::Print(names)]);
    for name in names {
        ci.set(&project(), name, &format!("project-{name}")).await;
    }
    let aws = [
        ("TWO", "aws-TWO"),
        ("THREE", "aws-THREE"),
        ("FOUR", "aws-FOUR"),
    ];
    ci.context("aws", None, &aws).await;
    let npm = [("THREE", "npm-THREE"), ("FOUR", "npm-FOUR")];
    ci.context("npm", Some(&["octo/repo".parse().unwrap()]), &npm)
        .await;
    let job = build(&["aws", "npm"], &[("FOUR", "job-FOUR")]);
    let pushed = ci.pushed();
    let id = ci.planned(pushed, job).await;
    assert_eq!(ci.settled(id).await, "build success\n");
    let given = ci.stage.given();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    assert_eq!(
        given,
        [
            "ONE=project-ONE",
            "TWO=aws-TWO",
            "THREE=npm-THREE",
            "FOUR=job-FOUR",
            "CIRCLE_JOB=build"
        ]
    );
    // What the job's own config says is no secret.
    assert_eq!(
        ci.log(&ci.job(id, "build").await).await,
        "ONE=********\nTWO=********\nTHREE=********\nFOUR=job-FOUR\nCIRCLE_JOB=build\n"
    );
    ci.stop().await;
    for entry in std::fs::read_dir(ci.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for value in ["project-ONE", "aws-TWO", "npm-THREE"] {
                let held = bytes
                    .windows(value.len())
                    .any(|part| part == value.as_bytes());
                assert!(!held, "{value} is in {}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_context_that_is_not_there_or_not_for_the_project_ends_the_job() {
    let mut ci = Ci::start().await;
    ci.context(
        "aws",
        Some(&["octo/other".parse().unwrap()]),
        &[("A", "secret")],
    )
    .await;
    for (name, reason) in [
        (
            "aws",
            "unauthorized: `octo/repo` is none of the projects that may use the context `aws`",
        ),
        (
            "npm",
            "unauthorized: there is no context `npm`; `popsicle context create` makes one",
        ),
    ] {
        let pushed = ci.pushed();
        let id = ci.planned(pushed, build(&[name], &[])).await;
        assert_eq!(ci.settled(id).await, format!("build failure: {reason}\n"));
    }
    assert!(ci.stage.launched().is_empty());
    ci.swept().await;
    ci.stop().await;
}

#[tokio::test]
async fn a_pull_request_from_a_fork_gets_nothing_and_says_so() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Print(&["TOKEN", "KEY"])]);
    ci.set(&project(), "TOKEN", "hunter2").await;
    ci.context("aws", None, &[("KEY", "hunter3")]).await;
    for (from_fork, expected) in [
        (
            true,
            "this pull request comes from a fork: its jobs get no secrets of the project and of contexts\nTOKEN=\nKEY=\n",
        ),
        (false, "TOKEN=********\nKEY=********\n"),
    ] {
        let mut pushed = ci.pushed();
        pushed.pull_request = Some(PullRequest {
            number: 7,
            base_branch: "main".to_owned(),
            from_fork,
            fork: None,
            fetch_ref: "refs/pull/7/head".to_owned(),
            url: None,
        });
        let id = ci.planned(pushed, build(&["aws"], &[])).await;
        assert_eq!(ci.settled(id).await, "build success\n");
        assert_eq!(ci.log(&ci.job(id, "build").await).await, expected);
    }
    ci.stop().await;
}

#[tokio::test]
async fn what_a_job_has_is_masked_by_the_next_server_though_it_was_replaced() {
    let mut ci = Ci::start().await;
    ci.stage.act("build", &[Act::Stay]);
    ci.set(&project(), "TOKEN", "hunter2-and-more").await;
    let pushed = ci.pushed();
    let id = ci.planned(pushed, build(&[], &[])).await;
    ci.until(id, |_, _| ci.stage.held() == 1).await;
    let folder = ci.job_folder();
    let kept = std::fs::read(folder.join("given")).unwrap();
    assert!(!kept.windows(7).any(|part| part == b"hunter2"));
    let mode = std::fs::metadata(folder.join("given"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    ci.write("one hunter2-and-more\ntwo hunter2-");
    let job = ci.job(id, "build").await;
    let mut follow = ci.engine.follow(job.id, 0).await.unwrap();
    let mut seen = String::new();
    while !seen.ends_with("two ") {
        let more = tokio::time::timeout(super::world::PATIENCE, follow.next());
        let more = more.await.unwrap().unwrap().unwrap();
        seen += std::str::from_utf8(&more).unwrap();
    }
    drop(follow);
    ci.set(&project(), "TOKEN", "another").await;
    ci.restart().await;
    ci.write("and-more\nthree hunter2-and-more\n");
    ci.stage.finish("build", 0);
    assert_eq!(ci.settled(id).await, "build success\n");
    assert_eq!(
        ci.log(&job).await,
        "build stays\none ********\ntwo ********\nthree ********\n"
    );
    ci.stop().await;
}

#[tokio::test]
async fn a_lost_key_fails_the_job_and_says_what_to_do() {
    let mut ci = Ci::start().await;
    ci.set(&project(), "TOKEN", "hunter2").await;
    ci.key = "fedcba9876543210fedcba9876543210";
    let pushed = ci.pushed();
    let id = ci.planned(pushed, build(&[], &[])).await;
    let told = ci.settled(id).await;
    assert!(
        told.starts_with("build error: the job can't have its secrets: can't read TOKEN of project `octo/repo`: it is encrypted with the key ")
            && told.contains("give it that key back"),
        "{told}"
    );
    // Nothing is lost: with the old key it works again, and can be moved to the new one.
    ci.key = "fedcba9876543210fedcba9876543210 0123456789abcdef0123456789abcdef";
    ci.restart().await;
    ci.key = "fedcba9876543210fedcba9876543210";
    let pushed = ci.pushed();
    let id = ci.planned(pushed, build(&[], &[])).await;
    assert_eq!(ci.settled(id).await, "build success\n");
    assert_eq!(ci.status(id).await, Status::Success);
    ci.stop().await;
}

#[tokio::test]
async fn where_no_secrets_are_kept_a_job_runs_without_its_contexts_and_says_so() {
    let mut ci = Ci::start().await;
    ci.key = "";
    let pushed = ci.pushed();
    let id = ci.planned(pushed, build(&["aws", "npm"], &[])).await;
    assert_eq!(ci.settled(id).await, "build success\n");
    assert_eq!(
        ci.log(&ci.job(id, "build").await).await,
        "warning: contexts are kept by a server; the job runs without the variables of `aws`, `npm`\nbuild says hello\n"
    );
    let (name, value) = (
        "A".parse().unwrap(),
        SecretValue::try_from("b".to_owned()).unwrap(),
    );
    let refused = ci.engine.secrets().set(&project(), &name, &value).await;
    assert!(refused.unwrap_err().is_conflict());
    ci.stop().await;
}
