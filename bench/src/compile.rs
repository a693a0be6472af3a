//! Compiling configs, against parsing the same bytes into plain YAML values.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use config::{Inputs, SourceFile};
use saphyr::{LoadableYamlNode, Yaml};

use crate::figures::{median, ms};
use crate::measures::Row;
use crate::world::Result;

/// One config.
struct Subject {
    text: String,
    file: SourceFile,
}

/// What one config took, in its fastest round.
struct Taken {
    ours: Duration,
    floor: Duration,
}

/// The rows of the configs in a folder, or of the project's own ones.
pub(crate) fn compile(folder: Option<&Path>, rounds: usize) -> Result<Vec<Row>> {
    let subjects = subjects(folder)?;
    let taken: Vec<Taken> = subjects
        .iter()
        .map(|subject| time(subject, rounds))
        .collect();
    let (mut ours, mut floor) = (Duration::ZERO, Duration::ZERO);
    for taken in &taken {
        ours += taken.ours;
        floor += taken.floor;
    }
    let ratio = ours.as_secs_f64() / floor.as_secs_f64();
    let each: Vec<f64> = taken.iter().map(|taken| ms(taken.ours)).collect();
    let floors: Vec<f64> = taken.iter().map(|taken| ms(taken.floor)).collect();
    let slowest = taken
        .iter()
        .max_by_key(|taken| taken.ours)
        .ok_or("there is no config to measure")?;
    let (allocations, floor_allocations) = allocations(&subjects);
    let all: usize = subjects.iter().map(|subject| subject.text.len()).sum();
    Ok(vec![
        Row {
            name: format!("compiling {} configs, {} KiB", subjects.len(), all / 1024),
            ours: format!("{:.1} ms", ms(ours)),
            floor: format!("{:.1} ms", ms(floor)),
            value: format!("{ratio:.2}"),
            promise: "at most 5",
            kept: Some(ratio <= 5.0),
        },
        Row {
            name: "the median of them".into(),
            ours: format!("{:.0} µs", 1000.0 * median(&each)),
            floor: format!("{:.0} µs", 1000.0 * median(&floors)),
            value: format!("{:.2}", median(&each) / median(&floors)),
            promise: "at most 300 µs",
            kept: Some(median(&each) <= 0.3),
        },
        Row {
            name: "the slowest of them".into(),
            ours: format!("{:.2} ms", ms(slowest.ours)),
            floor: format!("{:.2} ms", ms(slowest.floor)),
            value: format!(
                "{:.2}",
                slowest.ours.as_secs_f64() / slowest.floor.as_secs_f64()
            ),
            promise: "at most 10 ms",
            kept: Some(ms(slowest.ours) <= 10.0),
        },
        Row {
            name: "allocations for all of them".into(),
            ours: count(&allocations),
            floor: count(&floor_allocations),
            value: quotient(allocations.count_total, floor_allocations.count_total),
            promise: "–",
            kept: None,
        },
        Row {
            name: "bytes held at once, at most".into(),
            ours: format!("{} KiB", allocations.bytes_max / 1024),
            floor: format!("{} KiB", floor_allocations.bytes_max / 1024),
            value: quotient(allocations.bytes_max, floor_allocations.bytes_max),
            promise: "–",
            kept: None,
        },
    ])
}

/// Configs that a plain parser takes: where it stops early, it is no floor.
fn subjects(folder: Option<&Path>) -> Result<Vec<Subject>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/config/tests/corpus");
    let folder = folder.unwrap_or(&own);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::result::Result<_, _>>()?;
    paths.sort();
    let mut subjects = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if Yaml::load_from_str(&text).is_err() {
            continue;
        }
        let file = SourceFile {
            path: path.display().to_string(),
            text: text.clone().into_bytes(),
        };
        subjects.push(Subject { text, file });
    }
    Ok(subjects)
}

fn time(subject: &Subject, rounds: usize) -> Taken {
    let mut taken = Taken {
        ours: Duration::MAX,
        floor: Duration::MAX,
    };
    for _ in 0..rounds {
        let began = Instant::now();
        parse(subject);
        taken.floor = taken.floor.min(began.elapsed());
        let began = Instant::now();
        compile_one(subject);
        taken.ours = taken.ours.min(began.elapsed());
    }
    taken
}

fn parse(subject: &Subject) {
    black_box(Yaml::load_from_str(&subject.text).is_ok());
}

fn compile_one(subject: &Subject) {
    let files = std::slice::from_ref(&subject.file);
    black_box(config::compile(files, &Inputs::default()));
}

fn allocations(subjects: &[Subject]) -> (AllocationInfo, AllocationInfo) {
    let of_all = |what: fn(&Subject)| {
        allocation_counter::measure(|| {
            for subject in subjects {
                what(subject);
            }
        })
    };
    (of_all(compile_one), of_all(parse))
}

fn count(info: &AllocationInfo) -> String {
    format!("{} ({} KiB)", info.count_total, info.bytes_total / 1024)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn quotient(ours: u64, floor: u64) -> String {
    format!("{:.2}", ours as f64 / floor as f64)
}
