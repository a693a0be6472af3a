//! Leap years of the Gregorian calendar.

/// Whether the year has a 29th of February.
pub fn is_leap(year: u32) -> bool {
    matches!((year % 4, year % 100, year % 400), (0, 1.., _) | (0, _, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centuries_are_special() {
        assert!(is_leap(2024));
        assert!(!is_leap(2023));
        assert!(!is_leap(1900));
        assert!(is_leap(2000));
    }
}
