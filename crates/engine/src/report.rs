//! The outbox is emptied to the forge.
//!
//! What a forge is to be told was stored with the change that it tells of; here it is delivered, in
//! order per commit and scope, until the forge has it or says that it never will. A report is on its way
//! until what became of it is stored: where that can't be stored, it is not sent again meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use forge::{Report, ReportError};
use model::{EventBody, ForgeKind, RepoName, ReportId, Timestamp};
use store::{DueReport, Except, StoreError};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::handle::Shared;
use crate::run::chain;

/// How many reports are under way at once.
const AT_ONCE: usize = 4;
/// How often to look where nothing is known to become due.
const IDLE: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(10 * 60);
/// With the delays above this is more than a day of trying.
const MOST_TRIES: u32 = 160;

/// Delivers until it is stopped.
pub(crate) async fn deliver(shared: Arc<Shared>, stop: CancellationToken) {
    let mut events = shared.feed.events();
    let mut outbox = Outbox::new(shared);
    loop {
        let wait = match outbox.start_due().await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(error = chain(&error), "could not look for reports");
                FIRST_RETRY
            }
        };
        let sleep = tokio::time::sleep(wait);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    outbox.tasks.shutdown().await;
                    return;
                }
                Some(done) = outbox.tasks.join_next_with_id() => {
                    outbox.done(done);
                    break;
                }
                event = events.recv() => {
                    let tells = event.map_or(true, |event| match event.body {
                        EventBody::Pipeline { .. } | EventBody::Job { .. } => true,
                        EventBody::Step { .. } => false,
                    });
                    if tells && outbox.room() > 0 {
                        break;
                    }
                }
                () = &mut sleep => break,
            }
        }
    }
}

/// What is under way, and what the forges said.
struct Outbox {
    shared: Arc<Shared>,
    tasks: JoinSet<Done>,
    under_way: HashMap<Id, UnderWay>,
    /// Until when a forge wants to be left alone. It says so of our token, so of all reports to it.
    not_before: HashMap<ForgeKind, Timestamp>,
    /// Whom the logs were told of that our token may not; a success takes them out.
    denied: HashSet<(ForgeKind, RepoName)>,
    warned_of_token: bool,
}

/// What each task is about.
struct UnderWay {
    report: ReportId,
    tries: u32,
    span: Span,
}

/// What a task did.
enum Done {
    /// The forge was told, or could not be.
    Told(Box<DueReport>, Result<(), ReportError>),
    /// What became of a report is stored.
    Stored,
}

/// What became of a report.
enum Fate {
    Delivered,
    Dropped { why: String },
    Later { at: Timestamp, why: String },
}

impl Outbox {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            not_before: HashMap::new(),
            denied: HashSet::new(),
            warned_of_token: false,
        }
    }

    fn room(&self) -> usize {
        AT_ONCE.saturating_sub(self.tasks.len())
    }

    /// Starts what is due and has room; says how long to wait for the next.
    async fn start_due(&mut self) -> Result<Duration, StoreError> {
        let now = self.shared.world.now();
        self.not_before.retain(|_, until| *until > now);
        let mut except = Except {
            reports: self.under_way.values().map(|task| task.report).collect(),
            forges: self.not_before.keys().copied().collect(),
        };
        let store = self.shared.store.clone();
        let limit = u32::try_from(self.room()).unwrap_or(u32::MAX);
        for (report, due) in store.due_reports(now, limit, &except).await? {
            except.reports.push(report);
            match due {
                Ok(due) => self.tell(due),
                Err(error) => self.drop_unreadable(report, &error),
            }
        }
        // What is due already waits for room.
        let next = store.next_report_at(&except).await?;
        let next = next.filter(|at| *at > now).into_iter();
        let next = next.chain(self.not_before.values().copied()).min();
        Ok(next.map_or(IDLE, |at| at.since(now).min(IDLE)))
    }

    fn tell(&mut self, due: DueReport) {
        let task = UnderWay {
            report: due.id,
            tries: due.tries,
            span: tracing::info_span!(
                "report",
                pipeline = due.pipeline.0,
                repo = %due.repo,
                branch = due.branch,
            ),
        };
        self.spawn(task, tell(Arc::clone(&self.shared), due));
    }

    fn drop_unreadable(&mut self, report: ReportId, error: &StoreError) {
        let why = chain(error);
        tracing::error!(report = report.0, error = why, "commit status given up");
        let task = UnderWay {
            report,
            tries: 0,
            span: Span::none(),
        };
        self.store(task, Fate::Dropped { why }, Duration::ZERO);
    }

    /// What a task did, and what follows from it.
    fn done(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(task) = self.under_way.remove(&id) else {
            return;
        };
        match done {
            Ok((_, Done::Stored)) => {}
            Ok((_, Done::Told(due, told))) => {
                let fate = task.span.clone().in_scope(|| self.judge(&due, told));
                self.store(task, fate, Duration::ZERO);
            }
            Err(error) => {
                let why = format!("its delivery died: {error}");
                task.span
                    .in_scope(|| tracing::error!(error = why, "commit status not delivered"));
                let fate = if task.tries < MOST_TRIES {
                    let at = self.shared.world.now().after(LONGEST_RETRY);
                    Fate::Later { at, why }
                } else {
                    Fate::Dropped { why }
                };
                // It may have been the storing that died, and may die again.
                self.store(task, fate, FIRST_RETRY);
            }
        }
    }

    /// What an answer of the forge's makes of a report.
    fn judge(&mut self, due: &DueReport, told: Result<(), ReportError>) -> Fate {
        let now = self.shared.world.now();
        let project = (due.forge, due.repo.clone());
        let Err(error) = told else {
            self.denied.remove(&project);
            let (state, scope) = (due.status.state.as_str(), due.workflow.as_deref());
            tracing::info!(state, scope, "commit status delivered");
            return Fate::Delivered;
        };
        let why = chain(&error);
        let asked = error.retry_after().unwrap_or(Duration::ZERO);
        let delay = match &error {
            ReportError::RateLimited { .. } | ReportError::Retryable { .. } => {
                asked.max(backoff(due.tries))
            }
            ReportError::Denied { .. } => LONGEST_RETRY,
            ReportError::NoToken => {
                if !std::mem::replace(&mut self.warned_of_token, true) {
                    tracing::warn!(
                        "commit statuses are not sent: no token; set POPSICLE_GITHUB_TOKEN to send them"
                    );
                }
                return Fate::Dropped { why };
            }
            ReportError::Refused { .. } => Duration::ZERO,
        };
        if !asked.is_zero() {
            let until = now.after(asked);
            let not_before = self.not_before.entry(due.forge).or_insert(until);
            *not_before = until.max(*not_before);
        }
        if error.is_permanent() || due.tries >= MOST_TRIES {
            tracing::warn!(error = why, "commit status given up");
            return Fate::Dropped { why };
        }
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let is_known = matches!(error, ReportError::Denied { .. }) && !self.denied.insert(project);
        if is_known {
            tracing::debug!(error = why, delay_ms, "commit status denied still");
        } else {
            tracing::warn!(
                error = why,
                delay_ms,
                "commit status not delivered; later again"
            );
        }
        let at = now.after(delay);
        Fate::Later { at, why }
    }

    fn store(&mut self, task: UnderWay, fate: Fate, pause: Duration) {
        let storing = store_fate(Arc::clone(&self.shared), task.report, fate, pause);
        self.spawn(task, storing);
    }

    fn spawn(&mut self, task: UnderWay, work: impl Future<Output = Done> + Send + 'static) {
        let work = work.instrument(task.span.clone());
        let id = self.tasks.spawn(work).id();
        self.under_way.insert(id, task);
    }
}

async fn tell(shared: Arc<Shared>, due: DueReport) -> Done {
    let told = match shared.forges.iter().find(|forge| forge.kind() == due.forge) {
        Some(forge) => forge.report(&report(&shared, &due)).await,
        None => Err(ReportError::NoToken),
    };
    Done::Told(Box::new(due), told)
}

/// Stores what became of a report after a pause, and again until it is stored.
async fn store_fate(shared: Arc<Shared>, id: ReportId, fate: Fate, pause: Duration) -> Done {
    tokio::time::sleep(pause).await;
    let now = shared.world.now();
    let mut failures = 0;
    loop {
        let stored = match &fate {
            Fate::Delivered => shared.store.report_delivered(id, now).await,
            Fate::Dropped { why } => shared.store.drop_report(id, why, now).await,
            Fate::Later { at, why } => shared.store.retry_report(id, *at, why).await,
        };
        match stored {
            Ok(()) => return Done::Stored,
            // Its pipeline was deleted.
            Err(error) if error.is_not_found() => return Done::Stored,
            Err(error) => {
                let error = chain(&error);
                tracing::error!(report = id.0, error, "could not store a report's fate");
            }
        }
        tokio::time::sleep(backoff(failures).min(IDLE)).await;
        failures = failures.saturating_add(1);
    }
}

fn report(shared: &Shared, due: &DueReport) -> Report {
    let context = &shared.settings.status_context;
    Report {
        repo: due.repo.clone(),
        commit: due.commit.clone(),
        context: match &due.workflow {
            Some(workflow) => format!("{context}/{workflow}"),
            None => context.clone(),
        },
        status: due.status.clone(),
        target_url: shared
            .settings
            .public_url
            .as_ref()
            .map(|base| format!("{base}/ui/pipelines/{}", due.pipeline)),
    }
}

fn backoff(tries: u32) -> Duration {
    FIRST_RETRY
        .saturating_mul(1 << tries.min(16))
        .min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit() {
        let seconds: Vec<u64> = [0, 1, 2, 9, 10, 500].map(|n| backoff(n).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 512, 600, 600]);
    }
}
