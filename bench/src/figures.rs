//! Medians, percentiles, and the table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::measures::Row;

/// Milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which that share of the values lies; 0 of none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a short list"
    )]
    let place = (share * last as f64).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// The middle value.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The rows as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| measure | ours | floor | ours over floor | promised | kept |\n|---|---|---|---|---|---|\n",
    );
    for Row {
        name,
        ours,
        floor,
        value,
        promise,
        kept,
    } in rows
    {
        let kept = match kept {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "–",
        };
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| {name} | {ours} | {floor} | {value} | {promise} | {kept} |"
        );
    }
    text
}
