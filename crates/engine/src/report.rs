//! The outbox is emptied to the forge.
//!
//! What a forge is to be told was stored with the change that it tells of; here it is delivered, in
//! order per commit and scope, until the forge has it or says that it never will.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use forge::{Report, ReportError};
use model::{EventBody, ReportId};
use store::{DueReport, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
    let mut under_way: HashSet<ReportId> = HashSet::new();
    let mut deliveries: JoinSet<ReportId> = JoinSet::new();
    let mut warned = false;
    loop {
        let wait = match start_due(&shared, &mut deliveries, &mut under_way, &mut warned).await {
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
                    deliveries.shutdown().await;
                    return;
                }
                Some(done) = deliveries.join_next() => match done {
                    Ok(report) => {
                        under_way.remove(&report);
                        break;
                    }
                    Err(error) => {
                        tracing::error!(%error, "a delivery died");
                        under_way.clear();
                        break;
                    }
                },
                event = events.recv() => {
                    let tells = event.map_or(true, |event| match event.body {
                        EventBody::Pipeline { .. } | EventBody::Job { .. } => true,
                        EventBody::Step { .. } => false,
                    });
                    if tells && deliveries.len() < AT_ONCE {
                        break;
                    }
                }
                () = &mut sleep => break,
            }
        }
    }
}

/// Starts what is due and has room; says how long to wait for the next.
async fn start_due(
    shared: &Arc<Shared>,
    deliveries: &mut JoinSet<ReportId>,
    under_way: &mut HashSet<ReportId>,
    warned: &mut bool,
) -> Result<Duration, StoreError> {
    let now = shared.world.now();
    // What is under way is due still, so ask for as many more.
    let limit = u32::try_from(2 * AT_ONCE).unwrap_or(u32::MAX);
    for due in shared.store.due_reports(now, limit).await? {
        if deliveries.len() >= AT_ONCE {
            return Ok(IDLE);
        }
        if under_way.insert(due.id) {
            let warn = !std::mem::replace(warned, true);
            deliveries.spawn(deliver_one(Arc::clone(shared), due, warn));
        }
    }
    let next = shared.store.next_report_at().await?;
    Ok(match next {
        // What is due now is under way, or waits for what is.
        Some(at) if at > now => at.since(now).min(IDLE),
        Some(_) | None => IDLE,
    })
}

async fn deliver_one(shared: Arc<Shared>, due: DueReport, warn_of_token: bool) -> ReportId {
    let id = due.id;
    let told = match shared.forges.iter().find(|forge| forge.kind() == due.forge) {
        Some(forge) => forge.report(&report(&shared, &due)).await,
        None => Err(ReportError::NoToken),
    };
    let now = shared.world.now();
    let (pipeline, repo, branch) = (due.pipeline.0, due.repo.as_str(), due.branch.as_deref());
    let stored = match told {
        Ok(()) => {
            let (state, scope) = (due.status.state.as_str(), due.workflow.as_deref());
            tracing::info!(
                pipeline,
                repo,
                branch,
                state,
                scope,
                "commit status delivered"
            );
            shared.store.report_delivered(id, now).await
        }
        Err(error @ ReportError::NoToken) => {
            if warn_of_token {
                tracing::warn!(
                    "commit statuses are not sent: no token; set POPSICLE_GITHUB_TOKEN to send them"
                );
            }
            shared.store.drop_report(id, &error.to_string(), now).await
        }
        Err(error) if error.is_permanent() || due.tries >= MOST_TRIES => {
            let error = chain(&error);
            tracing::warn!(pipeline, repo, branch, error, "commit status given up");
            shared.store.drop_report(id, &error, now).await
        }
        Err(error) => {
            let delay = error
                .retry_after()
                .unwrap_or(Duration::ZERO)
                .max(backoff(due.tries));
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            let error = chain(&error);
            tracing::warn!(
                pipeline,
                repo,
                branch,
                error,
                delay_ms,
                "commit status not delivered; later again"
            );
            shared
                .store
                .retry_report(id, now.after(delay), &error)
                .await
        }
    };
    if let Err(error) = stored {
        tracing::error!(
            pipeline,
            repo,
            branch,
            error = chain(&error),
            "could not store a report's fate"
        );
    }
    id
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
