//! Markers: what a job's script says to the engine, in the same stream as the steps' output.
//!
//! A marker is an operating system command (OSC, ECMA-48 8.3.89) of a number that no terminal knows:
//! `ESC ] 7770 ; <nonce> ; <verb> ; <arguments> BEL LF`. The nonce is made anew for each attempt, so that
//! no output is taken for a marker by chance. A job can read its own nonce; all that it gains is to lie
//! about its own steps.
//!
//! The line feed is there for daemons that pass a container's output on by the line: without one, what
//! a step asks would not be heard before the answer. It belongs to the marker and not to the text. Where
//! it is missing the marker counts all the same: Docker 20.10 loses the end of a line over 16 KiB.

use std::fmt;

/// Longer than any marker; what has the prefix but no end within this many bytes is text.
const LONGEST: usize = 160;

/// What tells an attempt's markers from its output: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(String);

impl Nonce {
    /// From a random UUID.
    pub(crate) fn new(random: model::JobUuid) -> Self {
        Self(random.0.simple().to_string())
    }

    /// From its text, as kept for a later server.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Self(text.to_owned()))
    }

    fn prefix(&self) -> String {
        format!("\x1b]7770;{self};")
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the script says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    /// A step begins.
    Start(u32),
    /// A step ended with that exit code.
    End(u32, i32),
    /// A step is passed over.
    Skip(u32),
    /// A step waits for the engine to do something.
    Ask(u32),
}

impl Marker {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let verb = parts.next()?;
        let step = parts.next()?.parse().ok()?;
        let argument = parts.next();
        let marker = match (verb, argument) {
            ("start", None) => Self::Start(step),
            ("end", Some(code)) => Self::End(step, code.parse().ok()?),
            ("skip", None) => Self::Skip(step),
            // Scripts of earlier versions say what for, which their plan says too.
            ("ask", None | Some("checkout")) => Self::Ask(step),
            _ => return None,
        };
        parts.next().is_none().then_some(marker)
    }
}

/// A stretch of output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// What the steps wrote.
    Text(&'a [u8]),
    /// What the script says.
    Marker(Marker),
}

/// Tells markers from text in a stream that comes in chunks of any size.
#[derive(Debug)]
pub(crate) struct Splitter {
    prefix: Vec<u8>,
    /// The end of what came, if it may be the beginning of a marker.
    pending: Vec<u8>,
    /// The length of the marker that was the end of what came: its line feed may be yet to come.
    ended: usize,
}

impl Splitter {
    pub(crate) fn new(nonce: &Nonce) -> Self {
        Self {
            prefix: nonce.prefix().into_bytes(),
            pending: Vec::new(),
            ended: 0,
        }
    }

    /// How many bytes, from the end of what came, a new splitter needs to go on as this one would.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len() + self.ended
    }

    /// Takes the next chunk; gives each piece to `sink`, in order.
    pub(crate) fn split<E>(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let joined;
        let mut rest = if chunk.is_empty() {
            return Ok(());
        } else if self.pending.is_empty() {
            match std::mem::take(&mut self.ended) {
                0 => chunk,
                _ => chunk.strip_prefix(b"\n").unwrap_or(chunk),
            }
        } else {
            self.pending.extend_from_slice(chunk);
            joined = std::mem::take(&mut self.pending);
            &joined
        };
        let mut searched = 0;
        while let Some(found) = rest[searched..].iter().position(|byte| *byte == 0x1b) {
            let escape = searched + found;
            match self.marker_at(&rest[escape..]) {
                At::Marker(marker, length) => {
                    text(&rest[..escape], &mut sink)?;
                    sink(Piece::Marker(marker))?;
                    rest = &rest[escape + length..];
                    if rest.is_empty() {
                        self.ended = length;
                    }
                    rest = rest.strip_prefix(b"\n").unwrap_or(rest);
                    searched = 0;
                }
                At::Nothing => searched = escape + 1,
                At::Undecided => {
                    text(&rest[..escape], &mut sink)?;
                    self.pending = rest[escape..].to_vec();
                    return Ok(());
                }
            }
        }
        text(rest, &mut sink)
    }

    /// The stream is over: what may have been the beginning of a marker is text.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    fn marker_at(&self, bytes: &[u8]) -> At {
        let common = bytes.len().min(self.prefix.len());
        if bytes[..common] != self.prefix[..common] {
            return At::Nothing;
        }
        let window = &bytes[..bytes.len().min(LONGEST)];
        match window.iter().position(|byte| *byte == 0x07) {
            Some(bell) if bell > self.prefix.len() => {
                std::str::from_utf8(&bytes[self.prefix.len()..bell])
                    .ok()
                    .and_then(Marker::parse)
                    .map_or(At::Nothing, |marker| At::Marker(marker, bell + 1))
            }
            Some(_) => At::Nothing,
            None if bytes.len() < LONGEST => At::Undecided,
            None => At::Nothing,
        }
    }
}

enum At {
    Marker(Marker, usize),
    Nothing,
    Undecided,
}

fn text<E>(bytes: &[u8], sink: &mut impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
    if bytes.is_empty() {
        Ok(())
    } else {
        sink(Piece::Text(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce() -> Nonce {
        Nonce::parse("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn marker(text: &str) -> String {
        format!("{}{text}\x07\n", nonce().prefix())
    }

    /// The text and the markers (with the text's length before each), given in chunks of `size`.
    fn split(input: &[u8], size: usize) -> (Vec<u8>, Vec<(usize, Marker)>) {
        let mut splitter = Splitter::new(&nonce());
        let (mut text, mut markers) = (Vec::new(), Vec::new());
        for chunk in input.chunks(size) {
            let split = splitter.split(chunk, |piece| {
                match piece {
                    Piece::Text(bytes) => text.extend_from_slice(bytes),
                    Piece::Marker(marker) => markers.push((text.len(), marker)),
                }
                Ok::<(), ()>(())
            });
            split.unwrap();
        }
        text.extend(splitter.finish());
        (text, markers)
    }

    #[test]
    fn markers_come_out_and_text_stays_whatever_the_chunks() {
        let input = format!(
            "pulling\n{}hi \x1b[31mred\x1b[0m{}{}{}bye\x1b]0;title\x07{}",
            marker("start;0"),
            marker("end;0;-1"),
            marker("skip;1"),
            marker("ask;2"),
            marker("start;12"),
        );
        let expected = "pulling\nhi \x1b[31mred\x1b[0mbye\x1b]0;title\x07";
        for size in 1..input.len() {
            let (text, markers) = split(input.as_bytes(), size);
            assert_eq!(
                String::from_utf8(text).unwrap(),
                expected,
                "chunks of {size}"
            );
            assert_eq!(
                markers,
                [
                    (8, Marker::Start(0)),
                    (23, Marker::End(0, -1)),
                    (23, Marker::Skip(1)),
                    (23, Marker::Ask(2)),
                    (36, Marker::Start(12)),
                ],
                "chunks of {size}"
            );
        }
    }

    #[test]
    fn a_marker_takes_one_line_feed_with_it_and_needs_none() {
        let (start, end) = (marker("start;0"), marker("end;0;0"));
        let input = format!("a\n{start}\n\nb\n{}c{end}", end.trim_end());
        for size in 1..input.len() {
            let (text, markers) = split(input.as_bytes(), size);
            assert_eq!(
                String::from_utf8(text).unwrap(),
                "a\n\n\nb\nc",
                "chunks of {size}"
            );
            let places = markers.iter().map(|(place, _)| *place);
            assert!(places.eq([2, 6, 7]), "chunks of {size}: {markers:?}");
        }
    }

    #[test]
    fn another_splitter_goes_on_where_one_stopped() {
        let input = format!("a\n{}\nb\n{}c", marker("start;0"), marker("end;0;0"));
        let input = input.as_bytes();
        for stop in 0..input.len() {
            let mut text = Vec::new();
            let mut take = |splitter: &mut Splitter, chunk: &[u8]| {
                let taken = splitter.split(chunk, |piece| {
                    if let Piece::Text(bytes) = piece {
                        text.extend_from_slice(bytes);
                    }
                    Ok::<(), ()>(())
                });
                taken.unwrap();
            };
            let mut first = Splitter::new(&nonce());
            take(&mut first, &input[..stop]);
            let rest = &input[stop - first.pending()..];
            take(&mut Splitter::new(&nonce()), rest);
            assert_eq!(
                String::from_utf8(text).unwrap(),
                "a\n\nb\nc",
                "stop at {stop}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        let other = "\x1b]7770;ffffffffffffffffffffffffffffffff;start;0\x07".to_owned();
        let endless = format!("{}{}", nonce().prefix(), "1".repeat(500));
        for input in [
            other,
            endless,
            marker("start"),
            marker("start;x"),
            marker("end;1"),
            marker("start;1;2"),
            marker("ask;1;money"),
            marker(""),
            "\x1b".into(),
            "a\x1b]77".into(),
        ] {
            for size in [1, 7, 1000] {
                let (text, markers) = split(input.as_bytes(), size);
                assert_eq!(text, input.as_bytes(), "{input:?}");
                assert_eq!(markers, [], "{input:?}");
            }
        }
    }
}
