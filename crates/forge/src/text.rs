//! Foreign words: what they ask for, and how they are made fit for one line of a person's screen.

/// Whether a commit's message or a pull request's title says `[skip ci]` or `[ci skip]`.
pub fn asks_to_skip(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("[skip ci]") || text.contains("[ci skip]")
}

/// One line of at most `longest` characters, without control characters.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    line.chars()
        .take(longest.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_short_line() {
        assert_eq!(shortened(" a\n\tb\u{1b}[0m ", 140), "a b [0m");
        let long = shortened(&"ü".repeat(141), 140);
        assert_eq!(long.chars().count(), 140);
        assert!(long.ends_with("ü…"));
        assert_eq!(shortened(&"ü".repeat(140), 140), "ü".repeat(140));
    }
}
