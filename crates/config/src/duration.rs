//! Durations as configs have them: `30m`, `1.25h`, `1h30m`, or `1200`, which are seconds.

use crate::fault::Fault;

/// The longest duration, in milliseconds: 100 days. No job runs that long.
pub(crate) const MAX_DURATION_MS: u64 = 100 * 24 * 60 * 60 * 1000;

/// The units and how many nanoseconds they are.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 60 * 60 * 1_000_000_000),
];

/// A duration in milliseconds. What is less than one is rounded up to it, so that only 0 is 0.
///
/// # Errors
///
/// It is no duration, is negative, or longer than [`MAX_DURATION_MS`].
pub(crate) fn parse(text: &str) -> Result<u64, Fault> {
    const HELP: &str = "durations are like `30m`, `90s`, `1.5h` and `1h30m`";
    let chars: Vec<char> = text.trim().chars().collect();
    let length = text.chars().count();
    let indent = text.chars().take_while(|char| char.is_whitespace()).count();
    if chars.is_empty() {
        return Err(Fault::new(0..length, "there is no duration").help(HELP));
    }
    if chars[0] == '-' {
        return Err(Fault::new(0..length, "a duration can't be negative").help(HELP));
    }
    let too_long = || {
        let days = MAX_DURATION_MS / (24 * 60 * 60 * 1000);
        Fault::new(
            0..length,
            format!("the duration is longer than {days} days"),
        )
    };
    let mut nanos: u128 = 0;
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let (number, end) = Decimal::read(&chars, at).ok_or_else(|| {
            Fault::new(
                indent + start..indent + start + 1,
                "a number is expected here",
            )
            .help(HELP)
        })?;
        let unit: String = chars[end..]
            .iter()
            .take_while(|char| !char.is_ascii_digit() && **char != '.')
            .collect();
        at = end + unit.chars().count();
        let of_unit = match unit.as_str() {
            // A number alone: seconds.
            "" if start == 0 && at == chars.len() => UNITS[5].1,
            unit => UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, nanos)| *nanos)
                .ok_or_else(|| unknown_unit(unit, indent + end).help(HELP))?,
        };
        nanos += number.times(of_unit).ok_or_else(too_long)?;
        if nanos > u128::from(MAX_DURATION_MS) * 1_000_000 {
            return Err(too_long());
        }
    }
    u64::try_from(nanos.div_ceil(1_000_000)).map_err(|_| too_long())
}

fn unknown_unit(unit: &str, at: usize) -> Fault {
    let shown: String = unit.chars().take(20).collect();
    let place = at..at + unit.chars().count();
    if unit.is_empty() {
        return Fault::new(place, "a unit is expected here");
    }
    if unit.contains(char::is_whitespace) {
        return Fault::new(place, "a duration can't have spaces inside");
    }
    Fault::new(place, format!("there is no unit `{shown}`"))
}

/// A number as it is written: digits, and how many of them are behind the point.
struct Decimal {
    digits: u64,
    places: u32,
}

impl Decimal {
    /// The number that begins here, and where it ends.
    fn read(chars: &[char], start: usize) -> Option<(Self, usize)> {
        /// More digits than this say nothing about milliseconds.
        const MAX_PLACES: u32 = 9;
        let mut decimal = Self {
            digits: 0,
            places: 0,
        };
        let mut at = start;
        let mut is_behind_point = false;
        let mut has_digits = false;
        while let Some(char) = chars.get(at) {
            match char.to_digit(10) {
                Some(_) if is_behind_point && decimal.places >= MAX_PLACES => {}
                Some(digit) => {
                    has_digits = true;
                    decimal.places += u32::from(is_behind_point);
                    decimal.digits = decimal
                        .digits
                        .saturating_mul(10)
                        .saturating_add(digit.into());
                }
                None if *char == '.' && !is_behind_point => is_behind_point = true,
                None => break,
            }
            at += 1;
        }
        has_digits.then_some((decimal, at))
    }

    fn times(&self, nanos: u64) -> Option<u128> {
        let product = u128::from(self.digits).checked_mul(nanos.into())?;
        Some(product.div_ceil(10_u128.pow(self.places)))
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::{MAX_DURATION_MS, parse};
    use crate::fault::shown;

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("30m", 1_800_000),
            ("90s", 90_000),
            ("5s", 5_000),
            ("1.25h", 4_500_000),
            ("1.5h", 5_400_000),
            ("1h30m", 5_400_000),
            ("1h0m0.5s", 3_600_500),
            ("250ms", 250),
            ("1us", 1),
            ("1µs1ns", 1),
            ("0", 0),
            ("0s", 0),
            ("1200", 1_200_000),
            ("1.5", 1_500),
            (".5m", 30_000),
            ("2.m", 120_000),
            (" 10m\n", 600_000),
            ("2400h", MAX_DURATION_MS),
            ("0.33333333333333333333333m", 20_000),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_with_its_place() {
        let faults: Vec<_> = [
            "m",
            "",
            "-5m",
            "5x",
            "30 m",
            "30min",
            "10m5",
            "1h 30m",
            "ten minutes",
            "1..5h",
            ".s",
            "2401h",
            "99999999999999999999h",
            "8640000001ms",
            "5m-3s",
        ]
        .into_iter()
        .map(|text| shown(text, &parse(text).unwrap_err()))
        .collect();
        assert_snapshot!(faults.join("\n"), @"
    m
    ^ a number is expected here
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`

    ^ there is no duration
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    -5m
    ^^^ a duration can't be negative
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    5x
     ^ there is no unit `x`
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    30 m
      ^^ a duration can't have spaces inside
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    30min
      ^^^ there is no unit `min`
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    10m5
        ^ a unit is expected here
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    1h 30m
     ^^ a duration can't have spaces inside
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    ten minutes
    ^ a number is expected here
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    1..5h
      ^ a unit is expected here
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    .s
    ^ a number is expected here
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    2401h
    ^^^^^ the duration is longer than 100 days
    99999999999999999999h
    ^^^^^^^^^^^^^^^^^^^^^ the duration is longer than 100 days
    8640000001ms
    ^^^^^^^^^^^^ the duration is longer than 100 days
    5m-3s
     ^^ there is no unit `m-`
    help: durations are like `30m`, `90s`, `1.5h` and `1h30m`
    ");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,40}") {
            if let Err(fault) = parse(&text) {
                shown(&text, &fault);
            }
        }

        #[test]
        fn any_pieces_get_an_answer(text in "[0-9.hms -]{0,40}") {
            match parse(&text) {
                Ok(ms) => prop_assert!(ms <= MAX_DURATION_MS),
                Err(fault) => drop(shown(&text, &fault)),
            }
        }

        #[test]
        fn parts_add_up(hours in 0..1000u64, minutes in 0..100u64, seconds in 0..100u64, ms in 0..1000u64) {
            let whole = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
            prop_assert_eq!(parse(&format!("{hours}h{minutes}m{seconds}s{ms}ms")), Ok(whole));
            prop_assert_eq!(parse(&format!("{hours}h{minutes}m{seconds}.{ms:03}s")), Ok(whole));
            prop_assert_eq!(parse(&format!("{whole}ms")), Ok(whole));
        }
    }
}
