//! The measures, each beside its floor.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::task::JoinSet;

use crate::figures::{median, ms, percentile};
use crate::world::{Repository, Result, Server, payload, signed, time};

/// One line of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ours: String,
    pub(crate) floor: String,
    pub(crate) value: String,
    pub(crate) promise: &'static str,
    /// None where it was not measured, or nothing is promised.
    pub(crate) kept: Option<bool>,
}

const SENDERS: usize = 32;
const WEBHOOKS: usize = 6000;

/// Webhooks a second, each durably stored, against a handler that only inserts one row.
pub(crate) async fn webhooks(binary: &Path) -> Result<[Row; 2]> {
    let (mut floor_rates, mut floor_p99s, mut rates, mut p99s) = (vec![], vec![], vec![], vec![]);
    for round in 0..3 {
        let (rate, p99) = bare_insert().await?;
        floor_rates.push(rate);
        floor_p99s.push(p99);
        let server = Server::start(binary).await?;
        let (rate, p99) = flood(&server.http, &format!("{}/webhook", server.url), round).await?;
        rates.push(rate);
        p99s.push(p99);
    }
    let (rate, floor_rate) = (median(&rates), median(&floor_rates));
    let (p99, floor_p99) = (median(&p99s), median(&floor_p99s));
    Ok([
        Row {
            name: "webhooks a second, 32 senders".into(),
            ours: format!("{rate:.0}/s"),
            floor: format!("{floor_rate:.0}/s"),
            value: format!("{:.2}", rate / floor_rate),
            promise: "at least 0.5",
            kept: Some(rate >= 0.5 * floor_rate),
        },
        Row {
            name: "their 99th percentile".into(),
            ours: format!("{p99:.1} ms"),
            floor: format!("{floor_p99:.1} ms"),
            value: format!("{:.2}", p99 / floor_p99),
            promise: "at most 3",
            kept: Some(p99 <= 3.0 * floor_p99),
        },
    ])
}

/// The floor: a bare axum handler that inserts one row into SQLite with the store's pragmas.
async fn bare_insert() -> Result<(f64, f64)> {
    let dir = tempfile::tempdir()?;
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("floor.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5));
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await?;
    sqlx::query("CREATE TABLE deliveries (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        .execute(&pool)
        .await?;
    let app = axum::Router::new()
        .route("/webhook", post(insert))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/webhook", listener.local_addr()?);
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(64)
        .build()?;
    let flooded = flood(&http, &url, 0).await;
    serving.abort();
    flooded
}

async fn insert(State(pool): State<SqlitePool>, body: String) -> axum::http::StatusCode {
    match sqlx::query("INSERT INTO deliveries (body) VALUES ($1)")
        .bind(body)
        .execute(&pool)
        .await
    {
        Ok(_) => axum::http::StatusCode::OK,
        Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Sends signed webhooks from all senders at once; the rate, and the 99th percentile in ms.
async fn flood(http: &reqwest::Client, url: &str, round: usize) -> Result<(f64, f64)> {
    let body = Arc::new(payload("file:///no/such/repository", &"a".repeat(40)));
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders: JoinSet<Result<Vec<f64>>> = JoinSet::new();
    let start = Instant::now();
    for _ in 0..SENDERS {
        let (http, url, body, next) = (
            http.clone(),
            url.to_owned(),
            Arc::clone(&body),
            Arc::clone(&next),
        );
        senders.spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= WEBHOOKS {
                    return Ok(times);
                }
                let request = signed(&http, &url, &body, &format!("{round}-{number}"))?;
                let sent = Instant::now();
                let answer = request.send().await?;
                // A webhook that is ignored stores nothing.
                if answer.status() != 200 {
                    return Err(format!("the webhook was answered {}", answer.status()).into());
                }
                answer.bytes().await?;
                times.push(ms(sent.elapsed()));
            }
        });
    }
    let mut times = Vec::new();
    while let Some(sender) = senders.join_next().await {
        times.extend(sender??);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    Ok((rate, percentile(&times, 0.99)))
}

/// From the webhook until somebody who follows the log has the first line that a command of the job
/// printed, against cloning the mirror and echoing.
pub(crate) async fn first_output(binary: &Path, rounds: usize) -> Result<Row> {
    let repository = Repository::new(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    steps:\n      - checkout\n      - run: echo hello\n",
    )?;
    let server = Server::start(binary).await?;
    let scratch = tempfile::tempdir()?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    // The first round makes the mirror and warms it, and does not count.
    for round in 0..=rounds {
        let sent = Instant::now();
        let id = server
            .push(
                &repository.url(),
                &repository.commit,
                &format!("first-{round}"),
            )
            .await?;
        server.until_log(id, "hello\n").await?;
        let printed = sent.elapsed();
        server.ended(id).await?;

        let mirror = server.mirror()?.display().to_string();
        let into = scratch.path().join(round.to_string()).display().to_string();
        let clone = format!(
            "git clone --quiet --local --branch main '{mirror}' '{into}' && sh -c 'echo hello'"
        );
        let floored = time("sh", &["-c", &clone])?;
        if round > 0 {
            floor.push(ms(floored));
            ours.push(ms(printed));
        }
    }
    let (ours, floor) = (median(&ours), median(&floor));
    Ok(Row {
        name: "webhook to first output, native job with checkout, warm mirror".into(),
        ours: format!("{ours:.1} ms"),
        floor: format!("{floor:.1} ms"),
        value: format!("{:.2}", ours / floor),
        promise: "at most 3",
        kept: Some(ours <= 3.0 * floor),
    })
}

const DOCKER: &str = "one-step job on Docker, claim to outcome";
const DOCKER_PROMISE: &str = "at most 1.25";

/// The row of what this machine can't measure.
pub(crate) fn docker_missing(why: &str) -> Row {
    Row {
        name: DOCKER.into(),
        ours: String::new(),
        floor: String::new(),
        value: why.trim().replace('\n', " "),
        promise: DOCKER_PROMISE,
        kept: None,
    }
}

/// A job of one step on Docker, from claim to outcome, against `docker run`.
pub(crate) async fn docker(binary: &Path, image: &str, rounds: usize) -> Result<Row> {
    let repository = Repository::new(&format!(
        "version: 2.1\njobs:\n  build:\n    docker:\n      - image: {image}\n    steps:\n      - run: 'true'\n"
    ))?;
    let server = Server::start(binary).await?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let floored = time("docker", &["run", "--rm", image, "true"])?;
        let took = job_time(&server, &repository, &format!("docker-{round}")).await?;
        if round > 0 {
            floor.push(ms(floored));
            ours.push(took);
        }
    }
    let (ours, floor) = (median(&ours), median(&floor));
    Ok(Row {
        name: DOCKER.into(),
        ours: format!("{ours:.0} ms"),
        floor: format!("{floor:.0} ms"),
        value: format!("{:.2}", ours / floor),
        promise: DOCKER_PROMISE,
        kept: Some(ours <= 1.25 * floor),
    })
}

/// Fifty steps instead of one, against one `sh` that forks fifty times.
pub(crate) async fn steps(binary: &Path, rounds: usize) -> Result<[Row; 2]> {
    let config = |steps: usize| {
        let steps = "      - run: 'true'\n".repeat(steps);
        format!("version: 2.1\njobs:\n  build:\n    machine: true\n    steps:\n{steps}")
    };
    let (one, fifty) = (Repository::new(&config(1))?, Repository::new(&config(50))?);
    let server = Server::start(binary).await?;
    let (mut ones, mut fifties, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    let forks = "/bin/true; ".repeat(50);
    for round in 0..=rounds {
        let floored = ms(time("sh", &["-c", &forks])?) - ms(time("sh", &["-c", "/bin/true"])?);
        let short = job_time(&server, &one, &format!("one-{round}")).await?;
        let long = job_time(&server, &fifty, &format!("fifty-{round}")).await?;
        if round > 0 {
            floor.push(floored);
            ones.push(short);
            fifties.push(long);
        }
    }
    let (more, floor) = (median(&fifties) - median(&ones), median(&floor));
    let row = |name: &str, value: f64| Row {
        name: name.into(),
        ours: format!("{more:.0} ms more"),
        floor: format!("{floor:.0} ms more"),
        value: format!("{value:.0} ms"),
        promise: "at most 150 ms",
        kept: Some(value <= 150.0),
    };
    Ok([
        row("a job of 50 steps, over a job of one", more),
        row("the same, beyond what the floor takes", more - floor),
    ])
}

/// How long the only job of a push ran, in ms, from claim to outcome.
async fn job_time(server: &Server, repository: &Repository, delivery: &str) -> Result<f64> {
    let id = server
        .push(&repository.url(), &repository.commit, delivery)
        .await?;
    let pipeline = server.ended(id).await?;
    let moment = |field: &str| -> Result<f64> {
        let text = pipeline["jobs"][0][field]
            .as_str()
            .ok_or("the job has no such time")?;
        Ok(seconds(text).ok_or_else(|| format!("`{text}` is no time"))? * 1000.0)
    };
    let took = moment("end_time")? - moment("start_time")?;
    // A job that ends just past midnight began the day before.
    Ok(if took < 0.0 {
        took + 86_400_000.0
    } else {
        took
    })
}

/// Seconds since midnight of an ISO-8601 time in UTC.
fn seconds(text: &str) -> Option<f64> {
    let (_, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}
