//! The texts of the pages, in English and German; a host can add languages.

mod table;

use std::fmt;

use keywright_core::UnixSeconds;
use time::OffsetDateTime;

pub use self::table::Text;
use self::table::{english, german};

/// The texts of one language. Implement it to add a language, or to word some texts differently: a
/// text that is `None` is shown in English.
pub trait Texts: fmt::Debug + Send + Sync {
    /// Returns the language as a BCP 47 tag, such as `de`. It is matched with `Accept-Language`,
    /// and it is the `lang` of the pages.
    fn language(&self) -> &str;

    /// Returns a text, or `None` to use the English one. Each `{}` stands for a value that the page
    /// inserts.
    fn text(&self, text: Text) -> Option<&str>;

    /// Returns the sentence for a kind of event in the security log, by its name
    /// ([`EventKind::name`](keywright_core::EventKind::name)), or `None` for a kind without one.
    fn event(&self, kind: &str) -> Option<&str>;

    /// Returns what a method that the host checks is called, by its name
    /// ([`AttestedMethod::name`](keywright_twofactor::AttestedMethod::name)), or `None` to show that
    /// name.
    fn method(&self, _: &str) -> Option<&str> {
        None
    }

    /// Returns a moment, in the coordinated universal time.
    fn moment(&self, at: UnixSeconds) -> String;

    /// Returns a duration as it stands after the word "in": "4 minutes".
    fn duration(&self, seconds: u64) -> String;
}

/// The English texts.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct English;

/// The German texts.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct German;

const MONTHS_ENGLISH: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_GERMAN: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

impl Texts for English {
    fn language(&self) -> &str {
        "en"
    }

    fn text(&self, text: Text) -> Option<&str> {
        Some(english(text))
    }

    fn event(&self, kind: &str) -> Option<&str> {
        table::event(kind).map(|(english, _)| english)
    }

    fn method(&self, name: &str) -> Option<&str> {
        table::method(name).map(|(english, _)| english)
    }

    fn moment(&self, at: UnixSeconds) -> String {
        moment(at, "", &MONTHS_ENGLISH)
    }

    fn duration(&self, seconds: u64) -> String {
        duration(seconds, [("second", "seconds"), ("minute", "minutes"), ("hour", "hours"), ("day", "days")])
    }
}

impl Texts for German {
    fn language(&self) -> &str {
        "de"
    }

    fn text(&self, text: Text) -> Option<&str> {
        Some(german(text))
    }

    fn event(&self, kind: &str) -> Option<&str> {
        table::event(kind).map(|(_, german)| german)
    }

    fn method(&self, name: &str) -> Option<&str> {
        table::method(name).map(|(_, german)| german)
    }

    fn moment(&self, at: UnixSeconds) -> String {
        moment(at, ".", &MONTHS_GERMAN)
    }

    fn duration(&self, seconds: u64) -> String {
        duration(seconds, [("Sekunde", "Sekunden"), ("Minute", "Minuten"), ("Stunde", "Stunden"), ("Tag", "Tagen")])
    }
}

/// Returns a date and a time of day: `30 November 2026, 06:45 UTC`.
fn moment(at: UnixSeconds, after_day: &str, months: &[&str; 12]) -> String {
    let seconds = i64::try_from(at.get()).unwrap_or(i64::MAX);
    let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::from("?") };
    let month = months.get(usize::from(u8::from(at.month())).saturating_sub(1)).copied().unwrap_or("?");
    format!("{}{after_day} {month} {}, {:02}:{:02} UTC", at.day(), at.year(), at.hour(), at.minute())
}

/// Rounds up, because a wait must not be stated shorter than it is.
fn duration(seconds: u64, units: [(&str, &str); 4]) -> String {
    let [second, minute, hour, day] = units;
    let (count, (one, many)) = match seconds {
        0..100 => (seconds, second),
        100..5_400 => (seconds.div_ceil(60), minute),
        5_400..129_600 => (seconds.div_ceil(3_600), hour),
        _ => (seconds.div_ceil(86_400), day),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns a text of a language, or the English one that it lacks.
pub(crate) fn say(texts: &dyn Texts, text: Text) -> &str {
    texts.text(text).unwrap_or_else(|| english(text))
}

/// Returns a text with its places filled in.
pub(crate) fn fill(texts: &dyn Texts, text: Text, values: &[&str]) -> String {
    let mut pieces = say(texts, text).split("{}");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    for piece in pieces {
        filled.push_str(values.next().copied().unwrap_or_default());
        filled.push_str(piece);
    }
    filled
}

/// Returns the language that a request prefers among those that there are, by `Accept-Language`
/// (RFC 9110 § 12.5.4); the first one where none matches.
pub(crate) fn preferred<'t>(languages: &'t [Box<dyn Texts>], accepted: &str) -> &'t dyn Texts {
    let mut best: Option<(&dyn Texts, f32)> = None;
    for range in accepted.split(',').take(16) {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim();
        let quality = parts
            .find_map(|part| part.trim().strip_prefix("q=")?.trim().parse::<f32>().ok())
            .unwrap_or(1.0)
            .clamp(0.0, 1.0);
        let matches = |language: &str| {
            tag.get(..language.len()).is_some_and(|start| start.eq_ignore_ascii_case(language))
                && matches!(tag.as_bytes().get(language.len()), None | Some(b'-'))
        };
        if let Some(texts) = languages.iter().find(|texts| matches(texts.language()))
            && quality > best.map_or(0.0, |(_, best)| best)
        {
            best = Some((&**texts, quality));
        }
    }
    best.map(|(texts, _)| texts).or_else(|| languages.first().map(|texts| &**texts)).unwrap_or(&English)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages() -> Vec<Box<dyn Texts>> {
        vec![Box::new(English), Box::new(German)]
    }

    #[test]
    fn the_preferred_language_is_found() {
        let languages = languages();
        for (accepted, language) in [
            ("", "en"),
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("fr, en;q=0.3, de;q=0.7", "de"),
            ("fr", "en"),
            ("den", "en"),
            ("de;q=0", "en"),
            ("DE-de", "de"),
            ("ä;q=x", "en"),
        ] {
            assert_eq!(preferred(&languages, accepted).language(), language, "{accepted}");
        }
    }

    #[test]
    fn moments_and_durations_are_written_out() {
        let at = UnixSeconds::new(1_796_021_100).unwrap();
        assert_eq!(English.moment(at), "30 November 2026, 06:45 UTC");
        assert_eq!(German.moment(at), "30. November 2026, 06:45 UTC");
        for (seconds, english, german) in [
            (1, "1 second", "1 Sekunde"),
            (30, "30 seconds", "30 Sekunden"),
            (101, "2 minutes", "2 Minuten"),
            (3_600, "60 minutes", "60 Minuten"),
            (7_201, "3 hours", "3 Stunden"),
            (172_800, "2 days", "2 Tagen"),
        ] {
            assert_eq!((English.duration(seconds).as_str(), German.duration(seconds).as_str()), (english, german));
        }
    }

    /// A translation has the places that the original has.
    #[test]
    fn every_text_has_as_many_places_in_both_languages() {
        for text in Text::ALL {
            let places = |text: &str| text.matches("{}").count();
            assert_eq!(places(english(*text)), places(german(*text)), "{text:?}");
            assert!(!english(*text).is_empty() && !german(*text).is_empty(), "{text:?}");
        }
    }

    /// Other crates' kinds are known by their names alone.
    #[test]
    fn the_kinds_of_the_crates_below_have_sentences() {
        use keywright_twofactor::events;
        for kind in [
            &events::FACTOR_ADDED,
            &events::FACTOR_REPLACED,
            &events::FACTOR_REMOVED,
            &events::RECOVERY_CODE_USED,
            &events::RECOVERY_CODES_LIVE,
            &events::STEP_UP_GRANTED,
            &events::TOTP_ACCEPTED,
            &events::TOTP_OUT_OF_WINDOW,
            &crate::act::sessions::SESSIONS_ENDED,
        ] {
            assert!(English.event(kind.name()).is_some() && German.event(kind.name()).is_some(), "{}", kind.name());
        }
        assert_eq!(English.event("nothing"), None);
    }
}
