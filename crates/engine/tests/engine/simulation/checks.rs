//! What holds at the end of every history.

use std::collections::HashMap;

use model::{AttemptKey, JobState, OutcomeKind, Status};
use store::Job;

use super::Simulation;
use super::player::Played;

pub async fn check(simulation: &Simulation) {
    assert_eq!(simulation.players.wrongs(), Vec::<String>::new());
    let played = simulation.players.played();
    for (id, _) in &simulation.stored {
        let jobs = simulation.engine.store().jobs_of(*id).await.unwrap();
        let plan = simulation.engine.store().plan(*id).await.unwrap();
        for job in &jobs {
            as_its_container_says(simulation, job, &played).await;
            let plan = plan.as_ref().unwrap();
            let spec = plan.jobs().find(|(_, spec)| spec.name == job.name);
            for requirement in &spec.unwrap().1.requires {
                let other = jobs.iter().find(|other| other.name == requirement.job);
                in_order(job, other.unwrap(), &requirement.outcomes, &played);
            }
        }
    }
    forge_knows(simulation).await;
}

fn last<'a>(job: &Job, played: &'a HashMap<AttemptKey, Played>) -> Option<&'a Played> {
    played.get(&AttemptKey {
        job: job.uuid,
        attempt: job.state.attempt(),
    })
}

async fn as_its_container_says(
    simulation: &Simulation,
    job: &Job,
    played: &HashMap<AttemptKey, Played>,
) {
    let JobState::Ended { outcome, .. } = &job.state else {
        panic!("{} has not ended: {:?}", job.name, job.state);
    };
    let last = last(job, played);
    let ended = last.and_then(|last| last.ended).map(|(_, code)| code);
    let launched = last.is_some_and(|last| last.launched.is_some());
    let context = || format!("{} {}: {:?}, {last:?}", job.pipeline, job.name, job.state);
    match outcome.kind() {
        // What has no container passes or is approved of.
        OutcomeKind::Success if job.state.attempt() == 0 => assert!(!launched, "{}", context()),
        OutcomeKind::Success => {
            assert_eq!(ended, Some(0), "{}", context());
        }
        OutcomeKind::Failure => {
            assert!(ended == Some(1) || !launched, "{}", context());
        }
        OutcomeKind::Error => assert_eq!(ended, None, "{}", context()),
        OutcomeKind::Canceled | OutcomeKind::Skipped => return,
    }
    if ended.is_some() {
        let mut follow = simulation.engine.follow(job.id, 0).await.unwrap();
        let mut log = Vec::new();
        while let Some(bytes) = follow.next().await.unwrap() {
            log.extend_from_slice(&bytes);
        }
        let text = last.map(|last| last.text.as_str()).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&log), text, "{}", context());
    }
}

/// A job's last attempt begins after what it requires has ended, as required.
fn in_order(
    job: &Job,
    required: &Job,
    outcomes: &std::collections::BTreeSet<OutcomeKind>,
    played: &HashMap<AttemptKey, Played>,
) {
    let Some(begun) = last(job, played).and_then(|played| played.launched) else {
        return;
    };
    let ends: Vec<(u64, i32)> = played
        .iter()
        .filter(|(key, _)| key.job == required.uuid)
        .filter_map(|(_, played)| played.ended)
        .collect();
    let only_success = outcomes.iter().eq([&OutcomeKind::Success]);
    let has_container = required.state.attempt() > 0;
    if only_success && has_container {
        let went_well = ends.iter().any(|(at, code)| *code == 0 && *at < begun);
        assert!(
            went_well,
            "{} {} began at {begun}, and what it requires, {}, ended {ends:?}",
            job.pipeline, job.name, required.name
        );
    }
}

/// The forge was told at last how it ended.
async fn forge_knows(simulation: &Simulation) {
    for (id, repo) in &simulation.stored {
        let status = simulation.status(*id).await;
        // Of several of one commit the one told last stands.
        if simulation
            .stored
            .iter()
            .filter(|(_, other)| other == repo)
            .count()
            > 1
        {
            continue;
        }
        let state = if status == Status::Success {
            "success"
        } else if status == Status::Failure {
            "failure"
        } else {
            "error"
        };
        simulation.forge.until(repo, &[state]).await;
    }
}
