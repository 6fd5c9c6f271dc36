//! The protocol's text form of a moment in time.

use std::num::NonZeroU8;

use keywright_core::UnixSeconds;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

/// Three digits after the second.
const MILLISECONDS: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZeroU8::new(3) }).encode();

/// Returns ISO 8601 in UTC with milliseconds: `2030-01-01T00:00:00.000Z`. It covers the years 1970
/// to 9999, the whole range of [`UnixSeconds`].
#[expect(clippy::expect_used, reason = "`UnixSeconds` ends where four digits of the year do")]
pub(crate) fn milliseconds(at: UnixSeconds) -> String {
    i64::try_from(at.get())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Iso8601::<MILLISECONDS>).ok())
        .expect("a moment of the years 1970 to 9999")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    proptest! {
        #[test]
        fn every_moment_has_one_form_and_they_sort_as_time_does(
            one in 0..=UnixSeconds::MAX.get(),
            other in 0..=UnixSeconds::MAX.get(),
        ) {
            let text = |seconds| milliseconds(UnixSeconds::new(seconds).unwrap());
            prop_assert_eq!(text(one).len(), "1970-01-01T00:00:00.000Z".len());
            prop_assert_eq!(text(one).cmp(&text(other)), one.cmp(&other));
        }
    }
}
