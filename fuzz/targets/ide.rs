//! Any bytes as a place (the first two) and a text in an editor: questions have answers.
#![no_main]

use config::ide::{Document, Position};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [line, column, text @ ..] = bytes else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let document = Document::new(&text, None);
    let position = Position {
        line: usize::from(*line),
        column: usize::from(*column),
    };
    let _ = document.hover(position);
    let _ = document.definition(position);
    let _ = document.complete(position);
});
