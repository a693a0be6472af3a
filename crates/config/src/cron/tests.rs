use insta::assert_snapshot;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::Cron;
use crate::fault::shown;

fn minutes(time: &str) -> i64 {
    let time: jiff::civil::DateTime = time.parse().unwrap();
    super::unix_minutes(time).unwrap()
}

fn time(minutes: i64) -> String {
    let time = TimeZone::UTC.to_datetime(Timestamp::from_second(minutes * 60).unwrap());
    format!(
        "{} {}",
        time.strftime("%a"),
        time.strftime("%Y-%m-%d %H:%M")
    )
}

/// The next runs after 2026-01-01 (a Thursday) at 00:00.
fn next(text: &str, count: usize) -> String {
    let cron = Cron::parse(text).unwrap_or_else(|fault| panic!("{}", shown(text, &fault)));
    let mut at = minutes("2026-01-01T00:00");
    let mut told = vec![text.to_owned()];
    for _ in 0..count {
        match cron.next(at) {
            Some(next) => at = next,
            None => {
                told.push("never".to_owned());
                break;
            }
        }
        told.push(time(at));
    }
    told.join("\n  ")
}

#[test]
fn next_runs() {
    let told: Vec<_> = [
        ("0 0 * * *", 2),
        ("* * * * *", 2),
        ("49 19 * * *", 2),
        ("0 2,5,8,11 * * *", 5),
        ("0 12 * * 1,2,3,4,5", 4),
        ("0 3 * * 0", 2),
        ("0 3 * * 7", 2),
        ("0 3 * * sun", 1),
        ("0 3 * Feb,mar MON", 2),
        ("59 23 31 12 *", 2),
        ("0 0 29 2 *", 2),
        ("0 0 30 2 *", 1),
        // The 13th, and Fridays.
        ("0 0 13 * 5", 5),
        ("*/20 9-10 * * *", 4),
        ("5-59/25 0 1 1 *", 3),
        ("0 0 */10 * *", 4),
        ("0 0 1-3,5 * 1-5", 2),
    ]
    .into_iter()
    .map(|(text, count)| next(text, count))
    .collect();
    assert_snapshot!(told.join("\n"), @"
    0 0 * * *
      Fri 2026-01-02 00:00
      Sat 2026-01-03 00:00
    * * * * *
      Thu 2026-01-01 00:01
      Thu 2026-01-01 00:02
    49 19 * * *
      Thu 2026-01-01 19:49
      Fri 2026-01-02 19:49
    0 2,5,8,11 * * *
      Thu 2026-01-01 02:00
      Thu 2026-01-01 05:00
      Thu 2026-01-01 08:00
      Thu 2026-01-01 11:00
      Fri 2026-01-02 02:00
    0 12 * * 1,2,3,4,5
      Thu 2026-01-01 12:00
      Fri 2026-01-02 12:00
      Mon 2026-01-05 12:00
      Tue 2026-01-06 12:00
    0 3 * * 0
      Sun 2026-01-04 03:00
      Sun 2026-01-11 03:00
    0 3 * * 7
      Sun 2026-01-04 03:00
      Sun 2026-01-11 03:00
    0 3 * * sun
      Sun 2026-01-04 03:00
    0 3 * Feb,mar MON
      Mon 2026-02-02 03:00
      Mon 2026-02-09 03:00
    59 23 31 12 *
      Thu 2026-12-31 23:59
      Fri 2027-12-31 23:59
    0 0 29 2 *
      Tue 2028-02-29 00:00
      Sun 2032-02-29 00:00
    0 0 30 2 *
      never
    0 0 13 * 5
      Fri 2026-01-02 00:00
      Fri 2026-01-09 00:00
      Tue 2026-01-13 00:00
      Fri 2026-01-16 00:00
      Fri 2026-01-23 00:00
    */20 9-10 * * *
      Thu 2026-01-01 09:00
      Thu 2026-01-01 09:20
      Thu 2026-01-01 09:40
      Thu 2026-01-01 10:00
    5-59/25 0 1 1 *
      Thu 2026-01-01 00:05
      Thu 2026-01-01 00:30
      Thu 2026-01-01 00:55
    0 0 */10 * *
      Sun 2026-01-11 00:00
      Wed 2026-01-21 00:00
      Sat 2026-01-31 00:00
      Sun 2026-02-01 00:00
    0 0 1-3,5 * 1-5
      Fri 2026-01-02 00:00
      Sat 2026-01-03 00:00
    ");
}

#[test]
fn a_leap_day_is_found_over_a_year_that_has_none() {
    let cron = Cron::parse("0 0 29 2 *").unwrap();
    let next = cron.next(minutes("2096-02-29T00:00")).unwrap();
    assert_eq!(time(next), "Fri 2104-02-29 00:00");
}

#[test]
fn times_far_away_get_an_answer() {
    let cron = Cron::parse("0 0 1 1 *").unwrap();
    for after in [
        i64::MIN,
        i64::MAX,
        i64::MAX / 60,
        minutes("9999-06-01T00:00"),
    ] {
        assert_eq!(cron.next(after), None);
    }
    assert_eq!(cron.next(-1), Some(0));
    assert_eq!(
        time(cron.next(minutes("1960-06-01T00:00")).unwrap()),
        "Sun 1961-01-01 00:00"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_field() {
    let faults: Vec<_> = [
        "0 0 * *",
        "0 0 * * * *",
        "",
        "@daily",
        "60 0 * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * Foo *",
        "0 0 * * 8",
        "0 0 * * Sunday",
        "0 0 * * L",
        "0 0 ? * *",
        "0 0 * * 5-1",
        "0 0 * * 1,,2",
        "1, 0 * * *",
        "*/0 * * * *",
        "*/60 * * * *",
        "*/x * * * *",
        "5/15 * * * *",
        "-1 * * * *",
        "1-2-3 * * * *",
        "99999999999 * * * *",
        "** * * * *",
        "é 0 * * *",
    ]
    .into_iter()
    .map(|text| shown(text, &Cron::parse(text).unwrap_err()))
    .collect();
    assert_snapshot!(faults.join("\n"), @"
    0 0 * *
    ^^^^^^^ a schedule has five fields, and this has 4
    help: the fields are minute, hour, day of the month, month and day of the week: `30 4 * * 1,3`
    0 0 * * * *
    ^^^^^^^^^^^ a schedule has five fields, and this has 6
    help: the fields are minute, hour, day of the month, month and day of the week: `30 4 * * 1,3`

    ^ a schedule has five fields, and this has 0
    help: the fields are minute, hour, day of the month, month and day of the week: `30 4 * * 1,3`
    @daily
    ^^^^^^ names of schedules are not supported
    help: the fields are minute, hour, day of the month, month and day of the week: `30 4 * * 1,3`
    60 0 * * *
    ^^ the minute: `60` is none
    help: it is a number from 0 to 59, a list of them, or `*`
    0 24 * * *
      ^^ the hour: `24` is none
    help: it is a number from 0 to 23, a list of them, or `*`
    0 0 0 * *
        ^ the day of the month: `0` is none
    help: it is a number from 1 to 31, a list of them, or `*`
    0 0 32 * *
        ^^ the day of the month: `32` is none
    help: it is a number from 1 to 31, a list of them, or `*`
    0 0 * 13 *
          ^^ the month: `13` is none
    help: it is a number from 1 to 12, one of JAN to DEC, a list of them, or `*`
    0 0 * Foo *
          ^^^ the month: `Foo` is none
    help: it is a number from 1 to 12, one of JAN to DEC, a list of them, or `*`
    0 0 * * 8
            ^ the day of the week: `8` is none
    help: it is a number from 0 to 7, one of SUN to SAT, a list of them, or `*`
    0 0 * * Sunday
            ^^^^^^ the day of the week: `Sunday` is none
    help: it is a number from 0 to 7, one of SUN to SAT, a list of them, or `*`
    0 0 * * L
            ^ the day of the week: `L` is none
    help: it is a number from 0 to 7, one of SUN to SAT, a list of them, or `*`
    0 0 ? * *
        ^ the day of the month: `?` is none
    help: it is a number from 1 to 31, a list of them, or `*`
    0 0 * * 5-1
            ^^^ the day of the week: the range `5-1` runs backwards
    help: write it as a list
    0 0 * * 1,,2
              ^ the day of the week: a number is missing
    help: it is a number from 0 to 7, one of SUN to SAT, a list of them, or `*`
    1, 0 * * *
      ^ the minute: a number is missing
    help: it is a number from 0 to 59, a list of them, or `*`
    */0 * * * *
    ^^^ the minute: the step of `*/0` is no number from 1 to 59
    */60 * * * *
    ^^^^ the minute: the step of `*/60` is no number from 1 to 59
    */x * * * *
    ^^^ the minute: the step of `*/x` is no number from 1 to 59
    5/15 * * * *
    ^^^^ the minute: a step needs a range before it
    help: write `5-59/…`
    -1 * * * *
    ^^ the minute: a number is missing
    help: it is a number from 0 to 59, a list of them, or `*`
    1-2-3 * * * *
    ^^^^^ the minute: `2-3` is none
    help: it is a number from 0 to 59, a list of them, or `*`
    99999999999 * * * *
    ^^^^^^^^^^^ the minute: `99999999999` is none
    help: it is a number from 0 to 59, a list of them, or `*`
    ** * * * *
    ^^ the minute: `**` is none
    help: it is a number from 0 to 59, a list of them, or `*`
    é 0 * * *
    ^ the minute: `é` is none
    help: it is a number from 0 to 59, a list of them, or `*`
    ");
    assert!(Cron::parse(&"0 ".repeat(5000)).is_err());
}

#[test]
fn what_circleci_refuses_is_doubted() {
    let doubts: Vec<_> = [
        "*/5 * * * *",
        "5 4 * * 1,3-5,6",
        "0 0 * * TUE-SAT",
        "0 0 31 2,4,6 *",
        "0 9-17 * * *",
    ]
    .into_iter()
    .flat_map(|text| {
        let cron = Cron::parse(text).unwrap();
        let told = cron.doubts().iter().map(|doubt| shown(text, doubt));
        told.collect::<Vec<_>>()
    })
    .collect();
    assert_snapshot!(doubts.join("\n"), @"
    */5 * * * *
    ^^^ CircleCI takes no steps in schedules
    help: a list of numbers works on both
    5 4 * * 1,3-5,6
              ^^^ CircleCI takes no ranges in lists in schedules
    help: a list of numbers works on both
    0 0 * * TUE-SAT
            ^^^^^^^ CircleCI takes no ranges of days in schedules
    help: a list of numbers works on both
    0 0 31 2,4,6 *
        ^^^^^^^^ this never runs: no such month has such a day
    ");
}

/// A field as a text and the numbers that it allows.
fn field(least: u32, most: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
    let any = Just(("*".to_owned(), (least..=most).collect::<Vec<_>>()));
    let list = proptest::collection::vec(least..=most, 1..4).prop_map(|numbers| {
        let text: Vec<_> = numbers.iter().map(u32::to_string).collect();
        (text.join(","), numbers)
    });
    let range = (least..=most, least..=most).prop_map(|(a, b)| {
        let (first, last) = (a.min(b), a.max(b));
        (format!("{first}-{last}"), (first..=last).collect())
    });
    let step = (1..=most).prop_map(move |step| {
        (
            format!("*/{step}"),
            (least..=most).step_by(step as usize).collect(),
        )
    });
    prop_oneof![any, list, range, step]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,40}", pieces in "[0-9*,/ A-Z-]{0,30}") {
        for text in [text, pieces] {
            match Cron::parse(&text) {
                Ok(cron) => drop(cron.next(0)),
                Err(fault) => drop(shown(&text, &fault)),
            }
        }
    }

    /// The next run is allowed by all fields, and no minute between is.
    #[test]
    fn the_next_run_is_the_first_that_all_fields_allow(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        after in 0..60_000_000_i64,
    ) {
        let (minute, hour, day, month, weekday) = fields;
        let text = [&minute.0, &hour.0, &day.0, &month.0, &weekday.0].map(String::as_str).join(" ");
        let cron = Cron::parse(&text).unwrap();
        let allows = |minutes: i64| {
            let time = TimeZone::UTC.to_datetime(Timestamp::from_second(minutes * 60).unwrap());
            let has = |set: &[u32], number: i8| set.contains(&u32::try_from(number).unwrap());
            let is_day = has(&day.1, time.day());
            let is_weekday = has(&weekday.1, time.weekday().to_sunday_zero_offset());
            let is_either = !day.0.starts_with('*') && !weekday.0.starts_with('*');
            has(&minute.1, time.minute())
                && has(&hour.1, time.hour())
                && has(&month.1, time.month())
                && (is_day && is_weekday || is_either && (is_day || is_weekday))
        };
        match cron.next(after) {
            Some(next) => {
                prop_assert!(next > after && allows(next), "{} {}", text, next);
                let between = (after + 1..next).take(5_000);
                for minutes in between.chain((after.max(next - 5_000) + 1)..next) {
                    prop_assert!(!allows(minutes), "{} {}", text, minutes);
                }
            }
            None => prop_assert!((after..after + 5_000).all(|minutes| !allows(minutes)), "{}", text),
        }
    }
}
