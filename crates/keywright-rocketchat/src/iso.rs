//! A moment as the wire writes it.

use keywright_core::UnixSeconds;

/// ISO 8601 in UTC with milliseconds: `2030-01-01T00:00:00.000Z`. For the years 1970 to 9999, which is all there is.
#[expect(clippy::arithmetic_side_effects, reason = "whole days of the years 1970 to 9999, divisors are constants")]
pub(crate) fn milliseconds(at: UnixSeconds) -> String {
    let (days, second) = (at.get() / 86_400, at.get() % 86_400);
    // Years that begin in March, so that the leap day is the last of its year; an era has 400 of them.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.000Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_800_000_000, "2027-01-15T08:00:00.000Z"),
            (1_893_456_000, "2030-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(milliseconds(UnixSeconds::new(seconds).unwrap()), text);
        }
    }
}
