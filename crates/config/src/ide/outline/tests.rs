//! Holds the outline to what the compiler's reader sees.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::SourceFile;
use crate::diagnostic::Problems;
use crate::read::{self, FileId, Source, Value};

/// All keys and values, with where they begin.
fn seen(outline: &Outline) -> Vec<String> {
    let mut seen = Vec::new();
    for id in outline.ids() {
        let node = outline.node(id);
        if let Some(key) = node.key.as_ref().filter(|key| outline.slice(key) != "<<") {
            let (line, column) = outline.place(key.start);
            seen.push(format!("{line}:{column} {}:", outline.slice(key)));
        }
        if let Some(scalar) = node.scalar.as_ref().filter(|_| node.is_plain) {
            // To the compiler a value begins with its anchor.
            let anchor = node.anchor.as_ref().map(|anchor| anchor.start - 1);
            let (line, column) = outline.place(anchor.unwrap_or(scalar.start));
            let text: Vec<&str> = outline.slice(scalar).split_whitespace().collect();
            seen.push(format!("{line}:{column} {}", text.join(" ")));
        }
    }
    seen.sort();
    seen.dedup();
    seen
}

fn read_by_the_compiler(node: &read::Node, outline: &Outline, seen: &mut Vec<String>) {
    match &node.value {
        Value::Scalar(scalar) => {
            if scalar.plain && !scalar.text.is_empty() {
                let region = node.region;
                let text: Vec<&str> = scalar.text.split_whitespace().collect();
                let text = text.join(" ");
                seen.push(format!("{}:{} {text}", region.line, region.column));
            }
        }
        Value::List(items) => {
            for item in items {
                read_by_the_compiler(item, outline, seen);
            }
        }
        Value::Map(map) => {
            for entry in map.iter() {
                let region = entry.key.region;
                let at = outline.offset(region.line, region.column);
                let quote = usize::from(outline.text()[at..].starts_with(['"', '\'']));
                let column = region.column + quote;
                seen.push(format!("{}:{column} {}:", region.line, entry.key.text));
                read_by_the_compiler(&entry.value, outline, seen);
            }
        }
    }
}

/// What the compiler sees in a text and the outline does not.
fn missed(text: &str) -> Vec<String> {
    let file = SourceFile {
        path: "ci.yml".into(),
        text: text.into(),
    };
    let Ok(source) = Source::decode(FileId::default(), &file) else {
        return Vec::new();
    };
    let source = Rc::new(source);
    let mut problems = Problems::new(Rc::clone(&source));
    let Some(root) = read::read(&source, &mut problems) else {
        return Vec::new();
    };
    let outline = Outline::new(text);
    let mut wanted = Vec::new();
    read_by_the_compiler(&root, &outline, &mut wanted);
    let found = seen(&outline);
    wanted.sort();
    wanted.dedup();
    wanted.retain(|one| found.binary_search(one).is_err());
    wanted
}

#[test]
fn it_sees_what_the_compiler_sees() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut folders = vec![tests.join("corpus"), tests.join("suite")];
    folders.extend(std::env::var_os("POPSICLE_CORPUS").map(Into::into));
    let mut count = 0;
    for folder in folders {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yml") {
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            count += 1;
            assert_eq!(missed(&text), [""; 0], "{path:?}");
        }
    }
    assert!(count >= 5);
}

#[test]
fn every_end_of_a_line_is_as_good() {
    let text = "\u{feff}jobs:\n  build: &a\n    steps: [x, y]\n    shell: 'b'\n# c\nd: e";
    let wanted = seen(&Outline::new(text));
    assert_eq!(wanted.len(), 8);
    for end in ["\r\n", "\r"] {
        let text = text.replace('\n', end);
        assert_eq!(seen(&Outline::new(&text)), wanted, "{end:?}");
        assert_eq!(missed(&text), [""; 0], "{end:?}");
    }
    let mixed = "a: b\rc:\r\n  - d\r  - e\n";
    assert_eq!(seen(&Outline::new(mixed)).len(), 5);
    assert_eq!(missed(mixed), [""; 0]);
}

#[test]
fn broken_texts_keep_their_outline() {
    for (text, expected) in [
        (
            "jobs:\n  build:\n    dock\n    steps:\n    - run",
            "1:1 jobs:, 2:3 build:, 3:5 dock, 4:5 steps:, 5:7 run",
        ),
        (
            "a:\n  requires: [bu\n  next: [x]\nb: c",
            "1:1 a:, 2:14 bu, 2:3 requires:, 3:3 next:, 3:10 x, 4:1 b:, 4:4 c",
        ),
        ("a: \"never closed\nb: c", "1:1 a:, 2:1 b:, 2:4 c"),
        (
            "a: {b: c, d\ne: f",
            "1:1 a:, 1:11 d, 1:5 b:, 1:8 c, 2:1 e:, 2:4 f",
        ),
    ] {
        let mut expected: Vec<&str> = expected.split(", ").collect();
        expected.sort_unstable();
        assert_eq!(seen(&Outline::new(text)), expected, "{text}");
    }
}
