//! Schedules in crontab's five fields, in UTC: `30 4 * * 1,3`.
//!
//! More is understood than CircleCI takes (steps, ranges in lists, ranges of days), which is doubted, not
//! refused. As crontab has it, a day has to be one of the month's or one of the week's where both are
//! given.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::fault::Fault;

/// How many characters a schedule may have; the longest that means anything are shorter.
const MAX_CRON_CHARS: usize = 1000;

/// For how many months a next run is looked for: between two leap days are up to eight years.
const MAX_MONTHS: usize = 8 * 12 + 1;

/// When something runs.
#[derive(Clone, Debug)]
pub(crate) struct Cron {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    /// From Sunday, 0.
    weekdays: Set,
    doubts: Vec<Fault>,
}

/// What a field allows.
#[derive(Clone, Copy, Debug)]
struct Set {
    /// A bit for each number.
    bits: u64,
    /// Whether the field begins with `*`.
    is_any: bool,
}

/// One of the five fields.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Other words for the numbers from `least` on.
    words: &'static [&'static str],
    /// Whether CircleCI takes ranges here.
    is_ranged: bool,
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        least: 0,
        most: 59,
        words: &[],
        is_ranged: true,
    },
    Field {
        name: "hour",
        least: 0,
        most: 23,
        words: &[],
        is_ranged: true,
    },
    Field {
        name: "day of the month",
        least: 1,
        most: 31,
        words: &[],
        is_ranged: true,
    },
    Field {
        name: "month",
        least: 1,
        most: 12,
        words: &MONTHS,
        is_ranged: true,
    },
    // 7 is Sunday too.
    Field {
        name: "day of the week",
        least: 0,
        most: 7,
        words: &WEEKDAYS,
        is_ranged: false,
    },
];

impl Cron {
    /// Reads a schedule.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, or that there are not five.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        const HELP: &str = "the fields are minute, hour, day of the month, month and day of the week: `30 4 * * 1,3`";
        let length = text.chars().count();
        if length > MAX_CRON_CHARS {
            return Err(Fault::new(
                0..length,
                format!("the schedule has {length} characters, and {MAX_CRON_CHARS} are the most"),
            ));
        }
        let chars: Vec<char> = text.chars().collect();
        let words = words(&chars);
        if let [first, ..] = words.as_slice()
            && chars[first.start] == '@'
        {
            return Err(
                Fault::new(first.clone(), "names of schedules are not supported").help(HELP),
            );
        }
        let [minutes, hours, days, months, weekdays] = words.as_slice() else {
            let place = match (words.first(), words.last()) {
                (Some(first), Some(last)) => first.start..last.end,
                _ => 0..length,
            };
            let message = format!("a schedule has five fields, and this has {}", words.len());
            return Err(Fault::new(place, message).help(HELP));
        };
        let mut doubts = Vec::new();
        let mut read = |field: usize, place: &Range<usize>| {
            FIELDS[field].read(&chars, place.clone(), &mut doubts)
        };
        let mut cron = Self {
            minutes: read(0, minutes)?,
            hours: read(1, hours)?,
            days: read(2, days)?,
            months: read(3, months)?,
            weekdays: read(4, weekdays)?,
            doubts: Vec::new(),
        };
        if cron.weekdays.has(7) {
            cron.weekdays.bits |= 1;
        }
        if cron.next(0).is_none() {
            doubts.push(Fault::new(
                days.start..months.end,
                "this never runs: no such month has such a day",
            ));
        }
        cron.doubts = doubts;
        Ok(cron)
    }

    /// What CircleCI doesn't take, and schedules that never run.
    pub(crate) fn doubts(&self) -> &[Fault] {
        &self.doubts
    }

    /// The first run after a point in time, both in minutes since 1970 in UTC. None if it never runs again,
    /// or not before the year 10,000.
    pub(crate) fn next(&self, after_unix_minutes: i64) -> Option<i64> {
        let first = after_unix_minutes.checked_add(1)?;
        let first = Timestamp::from_second(first.checked_mul(60)?).ok()?;
        let first = TimeZone::UTC.to_datetime(first);
        let mut date = first.date();
        let mut least = first.time();
        for _ in 0..=MAX_MONTHS {
            if self.months.has(date.month()) {
                let month = date.month();
                while date.month() == month {
                    if self.is_day(date)
                        && let Some(time) = self.next_time(least)
                    {
                        return unix_minutes(date.to_datetime(time));
                    }
                    date = date.tomorrow().ok()?;
                    least = Time::midnight();
                }
            } else {
                date = date.last_of_month().tomorrow().ok()?;
                least = Time::midnight();
            }
        }
        None
    }

    fn is_day(&self, date: Date) -> bool {
        let is_day = self.days.has(date.day());
        let is_weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        if self.days.is_any || self.weekdays.is_any {
            is_day && is_weekday
        } else {
            is_day || is_weekday
        }
    }

    /// The first time of a day that is not before `least`.
    fn next_time(&self, least: Time) -> Option<Time> {
        let hour = self.hours.first_from(least.hour())?;
        if hour == least.hour()
            && let Some(minute) = self.minutes.first_from(least.minute())
        {
            return Time::new(hour, minute, 0, 0).ok();
        }
        let hour = if hour == least.hour() {
            self.hours.first_from(hour + 1)?
        } else {
            hour
        };
        Time::new(hour, self.minutes.first_from(0)?, 0, 0).ok()
    }
}

fn unix_minutes(time: DateTime) -> Option<i64> {
    let timestamp = TimeZone::UTC.to_timestamp(time).ok()?;
    Some(timestamp.as_second().div_euclid(60))
}

/// Where the words of a text are.
fn words(chars: &[char]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut is_inside = false;
    for (at, char) in chars.iter().enumerate() {
        let was_inside = std::mem::replace(&mut is_inside, !char.is_whitespace());
        match words.last_mut() {
            Some(word) if was_inside && is_inside => word.end = at + 1,
            _ if is_inside => words.push(at..at + 1),
            _ => {}
        }
    }
    words
}

impl Set {
    fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| number < u64::BITS && self.bits >> number & 1 == 1)
    }

    fn first_from(self, least: i8) -> Option<i8> {
        (least..60).find(|number| self.has(*number))
    }
}

impl Field {
    fn read(
        &self,
        chars: &[char],
        place: Range<usize>,
        doubts: &mut Vec<Fault>,
    ) -> Result<Set, Fault> {
        let mut set = Set {
            bits: 0,
            is_any: chars[place.start] == '*',
        };
        let mut start = place.start;
        let is_list = chars[place.clone()].contains(&',');
        for element in chars[place].split(|char| *char == ',') {
            let place = start..start + element.len();
            start = place.end + 1;
            let text: String = element.iter().collect();
            let (range, step) = match text.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (text.as_str(), None),
            };
            let (first, last) = self.range(range, step.is_some(), &place)?;
            let step_by = match step.map(str::parse) {
                None => 1,
                Some(Ok(step)) if (1..=self.most).contains(&step) => step,
                Some(_) => {
                    return Err(self.fault(
                        place,
                        format!("the step of `{text}` is no number from 1 to {}", self.most),
                    ));
                }
            };
            for number in (first..=last).step_by(step_by as usize) {
                set.bits |= 1 << number;
            }
            if step.is_some() {
                doubts.push(
                    Fault::new(place, "CircleCI takes no steps in schedules")
                        .help("a list of numbers works on both"),
                );
            } else if range.contains('-') && (is_list || !self.is_ranged) {
                let message = match is_list {
                    true => "CircleCI takes no ranges in lists in schedules",
                    false => "CircleCI takes no ranges of days in schedules",
                };
                doubts.push(Fault::new(place, message).help("a list of numbers works on both"));
            }
        }
        Ok(set)
    }

    /// What is before a step: `*`, a number, or a range.
    fn range(&self, text: &str, has_step: bool, place: &Range<usize>) -> Result<(u32, u32), Fault> {
        if text == "*" {
            return Ok((self.least, self.most));
        }
        let Some((first, last)) = text.split_once('-') else {
            let number = self.number(text, place)?;
            if has_step {
                let fault = self.fault(place.clone(), "a step needs a range before it");
                return Err(fault.help(format!("write `{number}-{}/…`", self.most)));
            }
            return Ok((number, number));
        };
        let (first, last) = (self.number(first, place)?, self.number(last, place)?);
        if first > last {
            let fault = self.fault(place.clone(), format!("the range `{text}` runs backwards"));
            return Err(fault.help("write it as a list"));
        }
        Ok((first, last))
    }

    fn number(&self, text: &str, place: &Range<usize>) -> Result<u32, Fault> {
        let is_number = !text.is_empty() && text.chars().all(|char| char.is_ascii_digit());
        let number = if is_number {
            text.parse().ok()
        } else {
            let word = |word: &&str| word.eq_ignore_ascii_case(text);
            (self.least..)
                .zip(self.words)
                .find(|(_, name)| word(name))
                .map(|(number, _)| number)
        };
        if let Some(number) = number
            && (self.least..=self.most).contains(&number)
        {
            return Ok(number);
        }
        let Self { least, most, .. } = self;
        let help = match self.words {
            [] => format!("it is a number from {least} to {most}, a list of them, or `*`"),
            [first, .., last] => format!(
                "it is a number from {least} to {most}, one of {first} to {last}, a list of them, or `*`"
            ),
            [_] => format!("it is a number from {least} to {most}"),
        };
        let message = match text {
            "" => "a number is missing".to_owned(),
            text => format!("`{text}` is none"),
        };
        Err(self.fault(place.clone(), message).help(help))
    }

    fn fault(&self, place: Range<usize>, message: impl std::fmt::Display) -> Fault {
        Fault::new(place, format!("the {}: {message}", self.name))
    }
}

#[cfg(test)]
mod tests;
