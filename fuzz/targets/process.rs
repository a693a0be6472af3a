//! Any bytes as a config: what it stands for, written down, is the same config.
#![no_main]

use config::Inputs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let trigger = fuzz::trigger();
    let inputs = Inputs {
        trigger: Some(&trigger),
        ..Inputs::default()
    };
    let compiled = config::compile(&[fuzz::file(bytes)], &inputs);
    let Some(plan) = compiled.plan else { return };
    let processed = config::process(&fuzz::file(bytes), &inputs);
    let text = processed.text.expect("what compiles is processed");
    let again = config::compile(&[fuzz::file(text.as_bytes())], &inputs);
    assert_eq!(again.plan, Some(plan), "{text}\n{:?}", again.diagnostics);
    let twice = config::process(&fuzz::file(text.as_bytes()), &inputs);
    assert_eq!(twice.text, Some(text));
});
