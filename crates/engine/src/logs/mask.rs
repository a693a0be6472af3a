//! Masks: the secrets that a job was given don't get into its log.
//!
//! Every place where one is found is replaced by [`MASK`]; where several lap over each other, all by one. What is looked for is each line of a value, because logs are read and written by the line, and
//! its base64 forms, because that is how secrets travel in headers and manifests. Too short values, and
//! those that say no more than yes or no, are left: they would mask half of every log.
//!
//! The output comes in pieces of any size. Of each, the end is held back that may be the beginning of a
//! secret, and no more: what is a secret never gets out in two halves, and everything else at once.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// What is read in the place of a secret.
pub(crate) const MASK: &[u8] = b"********";

/// The shortest text that is masked, in characters; CircleCI's own limit.
const LEAST: usize = 4;
/// Values that are not masked, for the same reason and by the same model.
const PLAIN: [&str; 4] = ["true", "True", "false", "False"];
/// Longer lines are looked for in parts of so many bytes, so that never more than that is held back.
const PART: usize = 4 << 10;
/// Of which values the base64 forms are looked for, in bytes: a form of fewer would be found by chance,
/// one of more comes broken into lines.
const ENCODED: Range<usize> = 8..1025;
/// A search table of so many bytes of secrets is made for speed, a larger one for its size.
const FEW: usize = 8 << 10;
/// How much is held back at most, while one secret may lap over the next.
const HELD: usize = 4 * PART;

/// The secrets of a job, ready to be looked for. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks(Option<Arc<Search>>);

#[derive(Debug)]
struct Search {
    finder: AhoCorasick,
    /// In order.
    patterns: Vec<Vec<u8>>,
    longest: usize,
    /// Whether some pattern begins with that byte.
    begins: [bool; 256],
}

impl Masks {
    /// Of these values.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns = BTreeSet::new();
        for value in values {
            for line in value.lines().map(str::trim).filter(|line| is_secret(line)) {
                patterns.extend(parts(line.as_bytes()));
            }
            if ENCODED.contains(&value.len()) {
                patterns.extend(encoded(value.as_bytes()));
            }
        }
        let patterns: Vec<Vec<u8>> = patterns.into_iter().collect();
        let Some(longest) = patterns.iter().map(Vec::len).max() else {
            return Self::default();
        };
        let bytes: usize = patterns.iter().map(Vec::len).sum();
        let kind = if bytes <= FEW {
            AhoCorasickKind::DFA
        } else {
            AhoCorasickKind::ContiguousNFA
        };
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(kind))
            .build(&patterns)
            .expect("what a job may be given makes far fewer states than a table can have");
        let mut begins = [false; 256];
        for first in patterns.iter().filter_map(|pattern| pattern.first()) {
            begins[usize::from(*first)] = true;
        }
        Self(Some(Arc::new(Search {
            finder,
            patterns,
            longest,
            begins,
        })))
    }
}

fn is_secret(line: &str) -> bool {
    line.chars().count() >= LEAST && !PLAIN.contains(&line)
}

/// A line as what is looked for. The parts of a long one lap over each other, so that they make one place.
fn parts(line: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let last = line.len().saturating_sub(PART);
    let starts = (0..last).step_by(PART - 1).chain([last]);
    starts.map(|start| line[start..line.len().min(start + PART)].to_vec())
}

/// The base64 of a value alone, and what is always there of it where it is encoded together with
/// something before and after it.
fn encoded(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let inside = (0..3).map(|skipped| {
        let whole = &value[skipped..];
        STANDARD_NO_PAD.encode(&whole[..whole.len() / 3 * 3])
    });
    let alone = STANDARD.encode(value);
    inside.chain([alone]).map(String::into_bytes)
}

impl Search {
    /// The places of secrets, in order, none lapping over another. The first `covered` bytes are one.
    fn places(&self, text: &[u8], covered: usize) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        if covered > 0 {
            places.push(0..covered);
        }
        for found in self.finder.find_overlapping_iter(text) {
            // They come by their ends.
            let mut place = found.range();
            while let Some(last) = places.pop_if(|last| last.end > place.start) {
                place.start = place.start.min(last.start);
                place.end = place.end.max(last.end);
            }
            places.push(place);
        }
        places
    }

    /// From where on the text may be the beginning of a secret that is yet to come whole.
    fn undecided(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest - 1);
        (first..text.len())
            .find(|start| self.begins[usize::from(text[*start])] && self.is_begun(&text[*start..]))
            .unwrap_or(text.len())
    }

    fn is_begun(&self, end: &[u8]) -> bool {
        // The patterns that begin with it come right after it.
        let after = self
            .patterns
            .partition_point(|pattern| pattern.as_slice() <= end);
        self.patterns
            .get(after)
            .is_some_and(|pattern| pattern.starts_with(end))
    }
}

/// Masks a stream.
#[derive(Debug)]
pub(crate) struct Masker {
    masks: Masks,
    /// The end of what came, held back.
    pending: Vec<u8>,
    /// How many of these belong to a place whose mask was given already.
    covered: usize,
}

impl Masker {
    pub(crate) fn new(masks: Masks) -> Self {
        Self {
            masks,
            pending: Vec::new(),
            covered: 0,
        }
    }

    /// How many bytes are held back.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes the next piece; gives what is decided of the text to `sink`, in order.
    pub(crate) fn mask<E>(
        &mut self,
        piece: &[u8],
        sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(piece, false, sink)
    }

    /// The text is over, or interrupted: nothing of it is held back any more.
    pub(crate) fn flush<E>(&mut self, sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.take(&[], true, sink)
    }

    fn take<E>(
        &mut self,
        piece: &[u8],
        is_end: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(search) = self.masks.0.clone() else {
            return if piece.is_empty() {
                Ok(())
            } else {
                sink(piece)
            };
        };
        let joined;
        let text = if self.pending.is_empty() {
            piece
        } else {
            self.pending.extend_from_slice(piece);
            joined = std::mem::take(&mut self.pending);
            &joined
        };
        if text.is_empty() {
            return Ok(());
        }
        let covered = std::mem::take(&mut self.covered);
        let places = search.places(text, covered);
        let mut end = if is_end {
            text.len()
        } else {
            search.undecided(text)
        };
        let crossing = places
            .iter()
            .find(|place| place.start < end && end < place.end);
        if let Some(place) = crossing
            && (place.start > 0 || covered == 0)
            && text.len() - place.start <= HELD
        {
            // Who goes on from here after a crash would not know that its end is a secret's.
            end = place.start;
        }
        let mut given = 0;
        for place in places {
            // Of one that goes on from before, the mask was given then.
            let is_new = place.start > 0 || covered == 0;
            if is_new && place.start >= end {
                break;
            }
            if place.start > given {
                sink(&text[given..place.start])?;
            }
            if is_new {
                sink(MASK)?;
            }
            given = place.end.min(end);
            self.covered = place.end.saturating_sub(end);
        }
        if end > given {
            sink(&text[given..end])?;
        }
        self.pending.extend_from_slice(&text[end..]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text as it is masked where it comes in these pieces.
    fn masked<'a>(masks: &Masks, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut masker = Masker::new(masks.clone());
        let mut log = Vec::new();
        let mut sink = |text: &[u8]| {
            log.extend_from_slice(text);
            Ok::<(), ()>(())
        };
        for piece in pieces {
            masker.mask(piece, &mut sink).unwrap();
        }
        masker.flush(&mut sink).unwrap();
        String::from_utf8(log).unwrap()
    }

    fn whole(values: &[&str], text: &str) -> String {
        masked(&Masks::of(values.iter().copied()), [text.as_bytes()])
    }

    #[test]
    fn secrets_are_masked_wherever_the_pieces_end() {
        let masks = Masks::of([
            "hunter2",
            "two-face",
            "facetious",
            "\n  first line\n}\n second\n",
        ]);
        for (text, expected) in [
            ("hunter2", "********"),
            ("a hunter2hunter2 b", "a **************** b"),
            ("hunter hunter3 hunte", "hunter hunter3 hunte"),
            ("two-facetious!", "********!"),
            ("two-faced two-facetiou", "********d ********tiou"),
            (
                "  first line\r\n}\r\n second\r\n",
                "  ********\r\n}\r\n ********\r\n",
            ),
            ("huhunter2", "hu********"),
            ("ünï hunter2 ünï", "ünï ******** ünï"),
            ("", ""),
        ] {
            for size in 1..=text.len().max(1) {
                let pieces = text.as_bytes().chunks(size);
                assert_eq!(
                    masked(&masks, pieces),
                    expected,
                    "{text:?} in pieces of {size}"
                );
            }
        }
    }

    #[test]
    fn another_masker_goes_on_where_one_stopped() {
        let masks = Masks::of(["hunter2", "two-face", "facetious", "2fast"]);
        let text = "x hunter2 two-facetious hunter2fast two-fac y";
        for stop in 0..text.len() {
            let mut log = Vec::new();
            let mut sink = |text: &[u8]| {
                log.extend_from_slice(text);
                Ok::<(), ()>(())
            };
            let mut first = Masker::new(masks.clone());
            first.mask(&text.as_bytes()[..stop], &mut sink).unwrap();
            let rest = &text.as_bytes()[stop - first.pending()..];
            let mut second = Masker::new(masks.clone());
            second.mask(rest, &mut sink).unwrap();
            second.flush(&mut sink).unwrap();
            assert_eq!(
                String::from_utf8(log).unwrap(),
                "x ******** ******** ******** two-fac y",
                "stop at {stop}"
            );
        }
    }

    #[test]
    fn what_can_be_no_secret_is_given_at_once_and_little_is_held() {
        let long = "s3cr3t".repeat(5000);
        let masks = Masks::of([long.as_str(), "abab"]);
        let mut masker = Masker::new(masks.clone());
        let mut given = 0;
        let mut sink = |text: &[u8]| {
            given += text.len();
            Ok::<(), ()>(())
        };
        masker.mask(b"a line\n", &mut sink).unwrap();
        assert_eq!(masker.pending(), 0);
        // Laps over itself for ever.
        for _ in 0..9000 {
            masker.mask(b"ab", &mut sink).unwrap();
            assert!(masker.pending() <= HELD);
        }
        masker.flush(&mut sink).unwrap();
        assert_eq!(given, "a line\n".len() + MASK.len());
        for size in [97, 1000, 4096, 5000, 100_000] {
            let text = format!("<{long}>");
            let log = masked(&masks, text.as_bytes().chunks(size));
            assert_eq!(log, "<********>", "pieces of {size}");
        }
    }

    #[test]
    fn short_and_plain_values_are_left() {
        let values = ["abc", "true", "False", "", "line one\nno\n"];
        assert_eq!(
            whole(&values, "abc true False no line one"),
            "abc true False no ********"
        );
        assert!(Masks::of(["abc", "true"]).0.is_none());
        assert_eq!(whole(&["äöüß"], "äöüß"), "********");
    }

    #[test]
    fn base64_forms_are_masked_too() {
        let secret = "hunter2-and-more";
        for before in ["", "a", "me:", "you:"] {
            let encoded = STANDARD.encode(format!("{before}{secret}"));
            let log = whole(&[secret], &format!("Basic {encoded}\n"));
            assert!(log.contains("********"), "{before}: {log}");
            let left: String = log.replace("********", "").replace("Basic ", "");
            // What is left is at its ends, and mixed with what stood beside it.
            assert!(
                left.trim().len() <= before.len().div_ceil(3) * 4 + 4 + 4,
                "{before}: {log}"
            );
        }
        assert_eq!(whole(&[secret], &STANDARD.encode(secret)), "********");
    }

    #[test]
    fn many_values_make_a_table_of_bounded_size() {
        let values: Vec<String> = (0..200).map(|n| format!("{n:04}").repeat(300)).collect();
        let masks = Masks::of(values.iter().map(String::as_str));
        let text = format!("a {} b", values[100]);
        assert_eq!(masked(&masks, [text.as_bytes()]), "a ******** b");
        let Some(search) = &masks.0 else {
            panic!("there are masks")
        };
        assert!(
            search.finder.memory_usage() < 16 << 20,
            "{}",
            search.finder.memory_usage()
        );
    }
}
