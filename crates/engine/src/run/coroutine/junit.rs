//! JUnit's XML, as its many writers write it: what each test says of itself.
//!
//! There is no schema that all follow. Suites may be nested or left out, a class may be called `classname`
//! or `class`, a time may have thousands separators, and a failure's message may be an attribute, a text or
//! both. What comes from a job is read as a stream, with a limit to each piece; entities that a document
//! defines are not expanded.

use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use store::{TestOutcome, TestResult};

/// The longest piece of a document (a tag, or a text between two), in bytes.
const PIECE: usize = 8 << 20;
/// How much of a message is kept, in bytes.
const MESSAGE: usize = 16 << 10;
/// How much of a name is kept, in bytes.
const NAME: usize = 1 << 10;
/// How deep elements may be nested.
const DEPTH: usize = 100;

/// Gives each test of a document to `sink`.
///
/// # Errors
/// Why the document can't be read, for people. Tests before the fault have been given, and the one that it
/// is in.
pub(super) fn read(
    from: impl BufRead,
    mut sink: impl FnMut(TestResult) -> Result<(), String>,
) -> Result<(), String> {
    let mut open = None;
    let read = read_until_fault(from, &mut open, &mut sink);
    if read.is_err() {
        finish(&mut open, &mut sink)?;
    }
    read
}

fn read_until_fault(
    from: impl BufRead,
    test: &mut Option<Test>,
    sink: &mut impl FnMut(TestResult) -> Result<(), String>,
) -> Result<(), String> {
    let mut reader = Reader::from_reader(Bounded { from, left: PIECE });
    // Some writers leave tags open that they should not; what was read counts.
    reader.config_mut().allow_unmatched_ends = true;
    let mut buffer = Vec::new();
    let mut suites: Vec<Suite> = Vec::new();
    let mut depth = 0_usize;
    loop {
        buffer.clear();
        reader.get_mut().left = PIECE;
        let event = reader
            .read_event_into(&mut buffer)
            .map_err(|error| error.to_string())?;
        match event {
            Event::Start(tag) => {
                depth += 1;
                if depth > DEPTH {
                    return Err(format!("its elements are nested deeper than {DEPTH}"));
                }
                start(&tag, &mut suites, test, false);
            }
            Event::Empty(tag) => {
                start(&tag, &mut suites, test, true);
                match tag.local_name().as_ref() {
                    "testcase" => finish(test, sink)?,
                    "testsuite" => drop(suites.pop()),
                    _ => {}
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                match tag.local_name().as_ref() {
                    "testcase" => finish(test, sink)?,
                    "testsuite" => drop(suites.pop()),
                    name => {
                        if let Some(test) = test.as_mut()
                            && outcome_of(name).is_some()
                        {
                            test.is_told = false;
                        }
                    }
                }
            }
            Event::Text(text) => tell(test, &text.xml10_content()),
            Event::CData(text) => tell(test, &text.xml10_content()),
            Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                Ok(Some(char)) => tell(test, char.encode_utf8(&mut [0; 4])),
                Ok(None) | Err(_) => {
                    let known = resolve_predefined_entity(&entity.xml10_content());
                    tell(test, known.unwrap_or_default());
                }
            },
            Event::Eof if depth > 0 => return Err("it ends inside of an element".to_owned()),
            Event::Eof => return Ok(()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// What tests take from the suite that they are in.
struct Suite {
    name: String,
    file: Option<String>,
}

/// A test whose end has not come.
struct Test {
    result: TestResult,
    message: String,
    /// Whether what comes is what it says of its failure.
    is_told: bool,
}

fn start(tag: &BytesStart<'_>, suites: &mut Vec<Suite>, test: &mut Option<Test>, is_empty: bool) {
    match (tag.local_name().as_ref(), test.as_mut()) {
        ("testsuite", _) => suites.push(Suite {
            name: attribute(tag, &["name"]).unwrap_or_default(),
            file: attribute(tag, &["file", "filepath"]),
        }),
        ("testcase", _) => *test = Some(begin(tag, suites.last())),
        (name, Some(test)) => {
            if let Some(outcome) = outcome_of(name) {
                // Of several the gravest counts.
                test.result.outcome = test.result.outcome.min(outcome);
                test.is_told = !is_empty;
                if let Some(message) = attribute_up_to(tag, &["message"], MESSAGE) {
                    test.say(&message);
                    test.say("\n");
                }
            }
        }
        (_, None) => {}
    }
}

fn outcome_of(name: &str) -> Option<TestOutcome> {
    match name {
        "failure" => Some(TestOutcome::Failure),
        "error" => Some(TestOutcome::Error),
        "skipped" | "ignored" => Some(TestOutcome::Skipped),
        _ => None,
    }
}

fn begin(tag: &BytesStart<'_>, suite: Option<&Suite>) -> Test {
    let classname = attribute(tag, &["classname", "class"]).filter(|name| !name.is_empty());
    let status = attribute(tag, &["status", "result"]).unwrap_or_default();
    let outcome = match status.to_ascii_lowercase().as_str() {
        // GoogleTest's words, where there is no element of it.
        "notrun" | "suppressed" | "skipped" | "disabled" | "ignored" => TestOutcome::Skipped,
        "failed" | "failure" | "fail" => TestOutcome::Failure,
        "error" | "errored" => TestOutcome::Error,
        _ => TestOutcome::Success,
    };
    let result = TestResult {
        classname: classname
            .or_else(|| suite.map(|suite| suite.name.clone()))
            .unwrap_or_default(),
        name: attribute(tag, &["name"]).unwrap_or_default(),
        file: attribute(tag, &["file", "filepath"])
            .or_else(|| suite.and_then(|suite| suite.file.clone())),
        outcome,
        duration_us: attribute(tag, &["time", "duration"]).and_then(|time| microseconds(&time)),
        message: None,
    };
    Test {
        result,
        message: String::new(),
        is_told: false,
    }
}

impl Test {
    fn say(&mut self, text: &str) {
        let room = MESSAGE.saturating_sub(self.message.len());
        self.message
            .push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
    }
}

fn tell(test: &mut Option<Test>, text: &str) {
    if let Some(test) = test.as_mut().filter(|test| test.is_told) {
        test.say(text);
    }
}

fn finish(
    test: &mut Option<Test>,
    sink: &mut impl FnMut(TestResult) -> Result<(), String>,
) -> Result<(), String> {
    let Some(Test {
        mut result,
        message,
        ..
    }) = test.take()
    else {
        return Ok(());
    };
    let message = message.trim();
    if result.outcome != TestOutcome::Success && !message.is_empty() {
        result.message = Some(message.to_owned());
    }
    sink(result)
}

fn attribute(tag: &BytesStart<'_>, names: &[&str]) -> Option<String> {
    attribute_up_to(tag, names, NAME)
}

/// The first of these attributes that there is, up to so many bytes.
fn attribute_up_to(tag: &BytesStart<'_>, names: &[&str], limit: usize) -> Option<String> {
    names.iter().find_map(|name| {
        let found = tag.try_get_attribute(name).ok()??;
        // One with an entity that only its document knows is taken as it is written.
        let value = found
            .normalized_value(XmlVersion::Implicit1_0)
            .unwrap_or_else(|_| found.value.clone());
        let end = value.floor_char_boundary(limit.min(value.len()));
        Some(value[..end].to_owned())
    })
}

/// Seconds with a fraction, as `1,234.5` too.
fn microseconds(time: &str) -> Option<u64> {
    let seconds: f64 = time.trim().replace(',', "").parse().ok()?;
    let is_sane = seconds.is_finite() && (0.0..=1e9).contains(&seconds);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    let us = (seconds * 1e6).round() as u64;
    is_sane.then_some(us)
}

/// A reader that fails once a piece is longer than it may.
struct Bounded<R> {
    from: R,
    left: usize,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.from.fill_buf()?;
        if self.left == 0 && !bytes.is_empty() {
            return Err(io::Error::other(format!(
                "a part of it is larger than {} MiB",
                PIECE >> 20
            )));
        }
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.from.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(document: &str) -> (Vec<String>, Result<(), String>) {
        let mut lines = Vec::new();
        let read = read(document.as_bytes(), |test| {
            let text = |text: Option<String>| text.unwrap_or_default();
            lines.push(format!(
                "{} {}/{} [{}] {:?} {:?}",
                test.outcome.as_str(),
                test.classname,
                test.name,
                text(test.file),
                test.duration_us,
                text(test.message)
            ));
            Ok(())
        });
        (lines, read)
    }

    #[test]
    fn the_dialects_are_understood() {
        let document = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="all" time="3">
  <testsuite name="pytest" file="tests/suite.py">
    <testcase classname="tests.test_a" name="test_ok" time="0.001"/>
    <testcase classname="tests.test_a" name="test_bad[&lt;1&gt;]" file="a.py" time="1,234.5">
      <system-out>not this</system-out>
      <failure message="assert 1 == 2 &amp; more">Trace &lt;line&gt;<![CDATA[ <raw> ]]>&#33;</failure>
      <system-err>nor this</system-err>
    </testcase>
    <testsuite name="inner">
      <testcase name="boom"><error type="E">oh</error><failure/></testcase>
      <testcase class="K" name="skip"><skipped message="why"/></testcase>
    </testsuite>
    <testcase name="back" time="-1"/>
  </testsuite>
  <testcase name="googletest" status="notrun" time="x" />
</testsuites>"#;
        let (lines, read) = listed(document);
        assert_eq!(read, Ok(()));
        assert_eq!(
            lines,
            [
                r#"success tests.test_a/test_ok [tests/suite.py] Some(1000) """#,
                r#"failure tests.test_a/test_bad[<1>] [a.py] Some(1234500000) "assert 1 == 2 & more\nTrace <line> <raw> !""#,
                r#"failure inner/boom [] None "oh""#,
                r#"skipped K/skip [] None "why""#,
                r#"success pytest/back [tests/suite.py] None """#,
                r#"skipped /googletest [] None """#,
            ]
        );
    }

    #[test]
    fn what_is_hostile_takes_no_memory_and_no_time() {
        // Entities of the document's own, each ten of the one before.
        let mut bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\">".to_owned();
        for (name, before) in ('b'..='k').zip('a'..) {
            bomb.push_str(&format!(
                "<!ENTITY {name} \"{}\">",
                format!("&{before};").repeat(10)
            ));
        }
        bomb.push_str("]><testcase name=\"&k;\"><failure>&k;x</failure></testcase>");
        let (lines, read) = listed(&bomb);
        assert_eq!(read, Ok(()));
        assert_eq!(lines, [r#"failure /&k; [] None "x""#]);

        let deep = "<testcase name='t'/>".to_owned() + &"<testsuite name='s'>".repeat(DEPTH + 1);
        let (lines, read) = listed(&deep);
        assert_eq!(lines.len(), 1);
        assert!(read.unwrap_err().contains("nested deeper than 100"));
        let suites = DEPTH - 1;
        let well = "<testsuite>".repeat(suites) + "<testcase></testcase>";
        assert_eq!(listed(&(well + &"</testsuite>".repeat(suites))).1, Ok(()));

        let long = format!("<testcase name='{}'/>", "n".repeat(PIECE));
        let (lines, read) = listed(&long);
        assert!(lines.is_empty() && read.unwrap_err().contains("8 MiB"));

        let message = format!(
            "<testcase name='t'><failure>{}</failure></testcase>",
            "m".repeat(1 << 20)
        );
        assert!(listed(&message).0[0].len() < MESSAGE + 100);
    }

    #[test]
    fn what_was_read_before_a_fault_counts() {
        let (lines, read) = listed("<testsuite><testcase name='a'/><testcase name=");
        assert_eq!(lines, ["success /a [] None \"\""]);
        assert!(read.is_err());
        for cut in ["", "</failure>", "</failure></testca", "</fail"] {
            let document = format!("<testsuite><testcase name='b'><failure>no{cut}");
            let (lines, read) = listed(&document);
            assert_eq!(lines, ["failure /b [] None \"no\""], "{cut}");
            assert!(read.is_err(), "{cut}");
        }
        let (lines, read) = listed("<testsuite><testcase name='a'/>");
        assert_eq!((lines.len(), read.is_err()), (1, true));
        for other in ["", "not xml", "<html><body/></html>"] {
            assert!(listed(other).0.is_empty(), "{other}");
        }
    }
}
