//! The nearest known name to one that is not known.

/// The candidate that was most likely meant by `name`, if one is near enough.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Distances cost the product of both lengths; nobody mistypes a name this long.
    const MAX_BYTES: usize = 100;
    if name.len() > MAX_BYTES {
        return None;
    }
    const MAX_CANDIDATES: usize = 1000;
    let length = name.chars().count();
    // Any letter is near to any other: a name is like another only if they have some in common.
    let allowed = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| {
            candidate.len() <= MAX_BYTES && candidate.len().abs_diff(name.len()) <= 3 * allowed
        })
        .take(MAX_CANDIDATES)
        .map(|candidate| {
            let distance = strsim::osa_distance(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= allowed && *candidate != name)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_typos_and_nothing_else() {
        let jobs = ["build", "test", "deploy"];
        assert_eq!(nearest("biuld", jobs), Some("build"));
        assert_eq!(nearest("Deploy", jobs), Some("deploy"));
        assert_eq!(nearest("tests", jobs), Some("test"));
        assert_eq!(nearest("lint", jobs), None);
        assert_eq!(nearest("x", jobs), None);
        assert_eq!(nearest("x", ["y", "xy"]), None);
        assert_eq!(nearest("B", ["b"]), Some("b"));
        assert_eq!(nearest(&"build".repeat(1000), jobs), None);
    }
}
