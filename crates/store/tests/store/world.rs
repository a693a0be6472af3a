//! What the stories of this test are told with: triggers, plans, a store in a temporary folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use model::{
    BuildSpec, Delivery, Event, EventId, ForgeKind, GitRef, JobKind, JobSpec, JobUuid, Origin,
    OutcomeKind, Plan, Requirement, RunStep, RunsIn, StepAction, StepSpec, StepWhen, Timestamp,
    Trigger, TriggerKind, WorkflowSpec,
};
use store::{DueReport, Except, Job, Pipeline, Store};
use tempfile::TempDir;
use uuid::Uuid;

/// A store, and the folder that it is in.
pub struct World {
    pub store: Store,
    pub folder: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        Self { store, folder }
    }

    /// Another store over the same file.
    pub async fn another(&self) -> Store {
        open(&self.folder).await
    }

    /// As after `kill -9`: what the files hold at this moment is all that is left.
    pub async fn crash(&mut self) {
        let left = tempfile::tempdir().unwrap();
        for file in ["popsicle.db", "popsicle.db-wal"] {
            let from = self.folder.path().join(file);
            if from.exists() {
                std::fs::copy(from, left.path().join(file)).unwrap();
            }
        }
        let old = std::mem::replace(&mut self.store, open(&left).await);
        old.close().await;
        self.folder = left;
    }

    /// As after a restart.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.another().await;
    }
}

async fn open(folder: &TempDir) -> Store {
    Store::open(folder.path().join("popsicle.db").to_str().unwrap())
        .await
        .unwrap()
}

/// A moment, in milliseconds.
pub fn t(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A push to `octo/<name>`, told to nobody.
pub fn push(name: &str) -> Trigger {
    Trigger {
        kind: TriggerKind::Push,
        repo: format!("octo/{name}").parse().unwrap(),
        origin: Origin::Git {
            url: format!("https://example.org/octo/{name}.git"),
        },
        commit: Some("a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5".parse().unwrap()),
        git_ref: Some(GitRef::Branch("main".into())),
        base: None,
        author: Some("octocat".into()),
        message: Some("Say \"hello\" to 🧊".into()),
        pull_request: None,
        rerun: None,
        forge: None,
        parameters: std::collections::BTreeMap::new(),
        delivery: None,
    }
}

/// The same, told to GitHub.
pub fn told_push(name: &str) -> Trigger {
    Trigger {
        forge: Some(ForgeKind::Github),
        ..push(name)
    }
}

/// The same, brought by a delivery.
pub fn delivered_push(name: &str, delivery: &str) -> Trigger {
    let delivery = Delivery {
        forge: ForgeKind::Github,
        id: delivery.into(),
    };
    Trigger {
        delivery: Some(delivery),
        ..told_push(name)
    }
}

/// A job of one step that requires others to succeed.
pub fn job(name: &str, requires: &[&str]) -> JobSpec {
    let step = StepSpec {
        name: "test".into(),
        when: StepWhen::OnSuccess,
        action: StepAction::Run(RunStep {
            command: "make test".into(),
            ..RunStep::default()
        }),
    };
    JobSpec {
        name: name.into(),
        requires: requires
            .iter()
            .map(|name| Requirement::success_of(*name))
            .collect(),
        contexts: Vec::new(),
        kind: JobKind::Build(Box::new(BuildSpec {
            environment: vec![("A".into(), "b".into())],
            ..BuildSpec::new(RunsIn::Machine, vec![step])
        })),
    }
}

/// A job that waits for a person.
pub fn approval(name: &str, requires: &[&str]) -> JobSpec {
    JobSpec {
        kind: JobKind::Approval,
        ..job(name, requires)
    }
}

/// A job that has nothing to run.
pub fn point(name: &str, requires: &[&str]) -> JobSpec {
    JobSpec {
        kind: JobKind::NoOp,
        ..job(name, requires)
    }
}

/// A requirement of a job's end in any of some ways.
pub fn requirement(job: &str, outcomes: &[OutcomeKind]) -> Requirement {
    Requirement {
        job: job.into(),
        outcomes: outcomes.iter().copied().collect::<BTreeSet<_>>(),
    }
}

/// A plan of one workflow.
pub fn plan(jobs: Vec<JobSpec>) -> Plan {
    Plan::from(vec![WorkflowSpec::new("main", jobs)])
}

/// Different for each seed and place.
pub fn uuids(seed: u64, count: usize) -> Vec<JobUuid> {
    (0..count)
        .map(|place| JobUuid(Uuid::from_u64_pair(seed, place as u64 + 1)))
        .collect()
}

/// A pipeline of these jobs, planned.
pub async fn planned(
    store: &Store,
    trigger: Trigger,
    plan: &Plan,
    now: i64,
) -> (Pipeline, Vec<Job>) {
    let created = store.create_pipelines(&[trigger], t(now)).await.unwrap()[0];
    let claimed = store
        .claim_preparation(&[], t(now + 1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claimed.id, created.id);
    let uuids = uuids(created.id.0.cast_unsigned(), plan.jobs().count());
    let jobs = store
        .store_plan(created.id, plan, &uuids, None, t(now + 2))
        .await
        .unwrap();
    (store.pipeline(created.id).await.unwrap(), jobs)
}

/// Every event that is stored.
pub async fn events(store: &Store) -> Vec<Event> {
    store.events_after(EventId(0), u32::MAX).await.unwrap()
}

/// Up to a hundred reports that are due.
pub async fn due(store: &Store, now: i64) -> Vec<DueReport> {
    let found = store.due_reports(t(now), 100, &Except::default()).await;
    let reports = found.unwrap().into_iter();
    reports.map(|(_, report)| report.unwrap()).collect()
}

/// A small disk of its own; none where this process may not mount one.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    pub fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=512k", "tmpfs"];
        let mounted = Command::new("mount")
            .args(mount)
            .arg(folder.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn grow(&self) {
        let mount = ["-o", "remount,size=64m"];
        let mut mounted = Command::new("mount");
        mounted.args(mount).arg(self.0.path());
        assert!(mounted.status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
