//! Each promise of speed, as a ratio to a floor that is measured in the same run.
//!
//! `cargo run --release -p bench -- table` builds the release binary, measures, and prints a table. Timings
//! of shared machines are noisy: floor and measure take turns, and medians are compared.
#![forbid(unsafe_code)]

mod compile;
mod figures;
mod measures;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use measures::Row;

/// Measures Popsicle's promises of speed.
#[derive(Parser)]
struct Args {
    /// What to measure.
    #[arg(value_enum, ignore_case = true, default_value_t = What::Table)]
    what: What,
    /// How many times each is measured.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// A folder of configs to compile, instead of the project's own ones.
    #[arg(long, value_name = "DIR", env = "POPSICLE_CORPUS")]
    corpus: Option<PathBuf>,
    /// The binary to measure, instead of one built for it.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// All of them.
    Table,
    /// Webhooks a second.
    Webhooks,
    /// Webhook to first output.
    FirstOutput,
    /// A job of one step on Docker.
    Docker,
    /// A job of fifty steps.
    Steps,
    /// Compiling configs.
    Compile,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("note: a TLS provider was there already");
    }
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> world::Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    let wanted = |what| args.what == What::Table || args.what == what;
    if wanted(What::Compile) {
        rows.extend(compile::compile(args.corpus.as_deref(), args.rounds)?);
    }
    if args.what == What::Compile {
        print!("{}", figures::table(&rows));
        return Ok(());
    }
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => world::build()?,
    };
    if wanted(What::Webhooks) {
        rows.extend(measures::webhooks(&binary).await?);
    }
    if wanted(What::FirstOutput) {
        rows.push(measures::first_output(&binary, args.rounds).await?);
    }
    if wanted(What::Docker) {
        match world::docker_image() {
            Ok(image) => rows.push(measures::docker(&binary, &image.0, args.rounds).await?),
            Err(why) => rows.push(measures::docker_missing(&why.to_string())),
        }
    }
    if wanted(What::Steps) {
        rows.extend(measures::steps(&binary, args.rounds).await?);
    }
    print!("{}", figures::table(&rows));
    Ok(())
}
