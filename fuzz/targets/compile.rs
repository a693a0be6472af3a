//! Any bytes as a config: looked over, and compiled for a push.
#![no_main]

use config::Inputs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::check(bytes, &Inputs::default());
    let trigger = fuzz::trigger();
    let inputs = Inputs {
        trigger: Some(&trigger),
        ..Inputs::default()
    };
    fuzz::check(bytes, &inputs);
});
