//! Any bytes as a config and as the orb that it imports, parted by a line `%%%`.
#![no_main]

use config::Inputs;
use libfuzzer_sys::fuzz_target;

const BETWEEN: &[u8] = b"\n%%%\n";

fuzz_target!(|bytes: &[u8]| {
    let at = bytes
        .windows(BETWEEN.len())
        .position(|window| window == BETWEEN);
    // Without the line, both are the same text.
    let (config, orb) = match at {
        Some(at) => (&bytes[..at], &bytes[at + BETWEEN.len()..]),
        None => (bytes, bytes),
    };
    let orbs = fuzz::OneOrb(orb);
    let inputs = Inputs {
        orbs: Some(&orbs),
        ..Inputs::default()
    };
    fuzz::check(config, &inputs);
    let inputs = Inputs {
        orb_bodies: true,
        ..inputs
    };
    fuzz::check(config, &inputs);
});
