//! Triggers become pipelines, many at a time: a batch costs few statements and one flush to disk.

use std::collections::HashMap;

use model::{
    CommitStatus, Delivery, EventBody, PipelineId, PipelineState, Preparation, Timestamp, Trigger,
};
use sqlx::{QueryBuilder, Sqlite};

use crate::report::{self, NewReport};
use crate::write::{FEW, ROWS, Write};
use crate::{Result, Store, json, pipeline};

/// What became of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// The pipeline.
    pub id: PipelineId,
    /// Whether it was made of an earlier trigger of the same delivery.
    pub repeated: bool,
}

impl Store {
    /// Makes a pipeline of each trigger, all in one transaction; answers in the order of the triggers.
    ///
    /// Triggers of the same delivery, whether stored before or in the same call, make one pipeline.
    ///
    /// # Errors
    /// Where the database can't be written; then none is stored.
    pub async fn create_pipelines(&self, new: &[Trigger], now: Timestamp) -> Result<Vec<Created>> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let mut write = self.write().await?;
        let mut created = Vec::with_capacity(new.len());
        for triggers in new.chunks(ROWS) {
            create(&mut write, triggers, now, &mut created).await?;
        }
        write.commit().await?;
        Ok(created)
    }
}

/// Stores up to [`ROWS`] triggers with few statements, however many they are.
async fn create(
    write: &mut Write,
    triggers: &[Trigger],
    now: Timestamp,
    created: &mut Vec<Created>,
) -> Result<()> {
    let known = delivered(write, triggers).await?;
    // Of several triggers of one delivery, the first is new and the others repeat it.
    let mut new = Vec::with_capacity(triggers.len());
    let mut places = Vec::with_capacity(triggers.len());
    let mut firsts: HashMap<&Delivery, usize> = HashMap::new();
    for trigger in triggers {
        let place = match &trigger.delivery {
            None => Place::New(new.len()),
            Some(delivery) => match (known.get(delivery), firsts.get(delivery)) {
                (Some(id), _) => Place::Stored(*id),
                (None, Some(first)) => Place::Repeats(*first),
                (None, None) => {
                    firsts.insert(delivery, new.len());
                    Place::New(new.len())
                }
            },
        };
        if let Place::New(_) = place {
            new.push(trigger);
        }
        places.push(place);
    }

    let ids = insert(write, &new, now).await?;
    created.extend(places.into_iter().map(|place| match place {
        Place::Stored(id) => Created { id, repeated: true },
        Place::Repeats(first) => Created {
            id: ids[first],
            repeated: true,
        },
        Place::New(index) => Created {
            id: ids[index],
            repeated: false,
        },
    }));
    Ok(())
}

enum Place {
    /// An earlier transaction stored its delivery.
    Stored(PipelineId),
    /// An earlier trigger of this call has its delivery.
    Repeats(usize),
    New(usize),
}

/// Which deliveries are stored already. Nobody can add one meanwhile: this transaction has the lock.
async fn delivered<'a>(
    write: &mut Write,
    triggers: &'a [Trigger],
) -> Result<HashMap<&'a Delivery, PipelineId>> {
    let deliveries: Vec<&Delivery> = triggers
        .iter()
        .filter_map(|trigger| trigger.delivery.as_ref())
        .collect();
    if deliveries.is_empty() {
        return Ok(HashMap::new());
    }
    // Each pair by itself: SQLite would read the whole table for `(forge, id) IN (VALUES …)`.
    let mut query = QueryBuilder::<Sqlite>::new("SELECT forge, id, pipeline_id FROM deliveries");
    let mut word = " WHERE ";
    for delivery in &deliveries {
        query
            .push(word)
            .push("(forge = ")
            .push_bind(delivery.forge.as_str());
        query.push(" AND id = ").push_bind(&delivery.id).push(")");
        word = " OR ";
    }
    let rows: Vec<(String, String, i64)> = query
        .build_query_as()
        .persistent(deliveries.len() <= FEW)
        .fetch_all(write.connection())
        .await?;
    let stored = |delivery: &Delivery| {
        let (forge, id) = (delivery.forge.as_str(), &delivery.id);
        let row = rows.iter().find(|row| row.0 == forge && row.1 == *id)?;
        Some(PipelineId(row.2))
    };
    Ok(deliveries
        .into_iter()
        .filter_map(|delivery| Some((delivery, stored(delivery)?)))
        .collect())
}

async fn insert(
    write: &mut Write,
    triggers: &[&Trigger],
    now: Timestamp,
) -> Result<Vec<PipelineId>> {
    if triggers.is_empty() {
        return Ok(Vec::new());
    }
    let few = triggers.len() <= FEW;
    let preparation = Preparation::Waiting;
    let state = PipelineState::Queued;
    let mut rows = QueryBuilder::<Sqlite>::new(
        "INSERT INTO pipelines (repo, commit_sha, branch, tag, trigger_kind, cause, status, \
         stage, preparation, created_at) ",
    );
    rows.push_values(triggers, |mut row, trigger| {
        let git_ref = trigger.git_ref.as_ref();
        row.push_bind(trigger.repo.as_str())
            .push_bind(trigger.commit.as_ref().map(|commit| commit.as_str()))
            .push_bind(git_ref.and_then(|git_ref| git_ref.branch()))
            .push_bind(git_ref.and_then(|git_ref| git_ref.tag()))
            .push_bind(trigger.kind.as_str())
            .push_bind(json::write(trigger))
            .push_bind(state.status().as_str())
            .push_bind(pipeline::stage(&preparation))
            .push_bind(json::write(&preparation))
            .push_bind(now.as_millis());
    });
    rows.push(" RETURNING id");
    let mut ids: Vec<i64> = rows
        .build_query_scalar()
        .persistent(few)
        .fetch_all(write.connection())
        .await?;
    // Rows get growing numbers in the order of their VALUES, but may come back in any.
    ids.sort_unstable();
    let ids: Vec<PipelineId> = ids.into_iter().map(PipelineId).collect();

    let deliveries: Vec<(&Delivery, PipelineId)> = triggers
        .iter()
        .zip(&ids)
        .filter_map(|(trigger, id)| Some((trigger.delivery.as_ref()?, *id)))
        .collect();
    if !deliveries.is_empty() {
        let mut rows =
            QueryBuilder::<Sqlite>::new("INSERT INTO deliveries (forge, id, pipeline_id) ");
        rows.push_values(&deliveries, |mut row, (delivery, pipeline)| {
            row.push_bind(delivery.forge.as_str())
                .push_bind(&delivery.id)
                .push_bind(pipeline.0);
        });
        rows.build()
            .persistent(few)
            .execute(write.connection())
            .await?;
    }

    let status = CommitStatus::of(&preparation, state, &[]);
    let reports: Vec<NewReport<'_>> = triggers
        .iter()
        .zip(&ids)
        .filter_map(|(trigger, id)| NewReport::of(trigger, *id, None, &status))
        .collect();
    report::insert(write, &reports, now).await?;

    let queued = EventBody::Pipeline {
        status: state.status(),
        reason: None,
    };
    write
        .record_all(now, ids.iter().map(|id| (*id, queued.clone())).collect())
        .await?;
    Ok(ids)
}
