//! Security events: what happened to an account, without secrets.
//!
//! The crate that emits an event declares its kind; there is no central list:
//!
//! ```
//! use keywright_core::{Event, EventKind, Severity};
//!
//! /// A voucher was redeemed.
//! const VOUCHER_REDEEMED: EventKind = EventKind::change("voucher_redeemed", Severity::Notice, "a voucher was redeemed");
//!
//! let event = Event::new(&VOUCHER_REDEEMED).with("coins", 10_u64);
//! assert_eq!(event.to_json(None), br#"{"kind":"voucher_redeemed","coins":10}"#);
//! assert_eq!(event.to_string(), "a voucher was redeemed (coins: 10)");
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::seal::append_lp;
use crate::time::UnixSeconds;

/// The label of the hash chain (`docs/security.md` § 3).
const CHAIN_LABEL: &[u8] = b"keywright.event.v1";

/// The longest text of a field, in bytes. Longer ones are cut at a character boundary, because an
/// event is one line of a log.
pub const MAX_FIELD_BYTES: usize = 200;

/// How much attention an event needs from an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Ordinary use.
    Info,
    /// A change that the owner should hear about.
    Notice,
    /// A denial, or a sign of an attack.
    Warning,
    /// Damaged or tampered data.
    Alert,
}

/// The two append-only logs of an account's security events. Each is a hash chain. They are
/// separate so that denials cannot crowd out changes and grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a backend stores exactly these two chains")]
pub enum EventChain {
    /// Changes and grants.
    Changes,
    /// What was denied.
    Denials,
}

impl EventChain {
    /// Both chains, in the order in which they are stored.
    pub const ALL: [Self; 2] = [Self::Changes, Self::Denials];

    /// Returns the chain's stored number: 0 for changes, 1 for denials.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Changes => 0,
            Self::Denials => 1,
        }
    }

    /// Returns the chain with this stored [`number`](Self::number), or `None` if there is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Changes),
            1 => Some(Self::Denials),
            _ => None,
        }
    }
}

/// A declared kind of event: its stored name, its chain, its severity and a sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub struct EventKind {
    name: &'static str,
    chain: EventChain,
    severity: Severity,
    sentence: &'static str,
}

impl EventKind {
    /// Declares a change or a grant. `name` is stored, and is in snake case. `sentence` is shown to
    /// people, and is in the past tense.
    #[must_use]
    pub const fn change(name: &'static str, severity: Severity, sentence: &'static str) -> Self {
        Self { name, chain: EventChain::Changes, severity, sentence }
    }

    /// Declares a denial, with [`Severity::Warning`].
    #[must_use]
    pub const fn denial(name: &'static str, sentence: &'static str) -> Self {
        Self { name, chain: EventChain::Denials, severity: Severity::Warning, sentence }
    }

    /// Returns the stored name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the chain to which events of this kind are appended.
    #[must_use]
    pub const fn chain(&self) -> EventChain {
        self.chain
    }

    /// Returns the severity of events of this kind.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns the sentence for people.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        self.sentence
    }
}

/// The value of an event's field. It must never be a secret, an address, a code or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EventValue {
    /// A number.
    Number(u64),
    /// A short text: the name of a secret, of an action or of a purpose.
    Text(String),
}

impl From<u64> for EventValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for EventValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u8> for EventValue {
    fn from(number: u8) -> Self {
        Self::Number(number.into())
    }
}

impl From<UnixSeconds> for EventValue {
    fn from(moment: UnixSeconds) -> Self {
        Self::Number(moment.get())
    }
}

impl From<&str> for EventValue {
    fn from(text: &str) -> Self {
        let mut end = text.len().min(MAX_FIELD_BYTES);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        Self::Text(text.get(..end).unwrap_or_default().to_owned())
    }
}

impl fmt::Display for EventValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A security event that has not been stored yet, and so has neither a number nor a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    kind: &'static EventKind,
    fields: Vec<(Cow<'static, str>, EventValue)>,
}

impl Event {
    /// Creates an event without fields.
    #[must_use]
    pub const fn new(kind: &'static EventKind) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// Adds a field. Field names are constants of the crate that emits the event.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<EventValue>) -> Self {
        self.fields.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// Whether the event has a field of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    /// Returns the event's kind.
    #[must_use]
    pub const fn kind(&self) -> &'static EventKind {
        self.kind
    }

    /// Returns the stored bytes. They are a JSON object with `kind` first, then the fields in
    /// order, then `after` if it is given: the moment of the previous event in the same chain.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it does not panic")]
    pub fn to_json(&self, after: Option<UnixSeconds>) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "string keys, numbers and texts always serialise")]
        serde_json::to_vec(&Body { kind: Cow::Borrowed(self.kind.name), fields: self.fields.clone(), after })
            .expect("a map of texts and numbers is JSON")
    }
}

impl From<&'static EventKind> for Event {
    fn from(kind: &'static EventKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.sentence)?;
        write_fields(f, &self.fields)
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[(Cow<'static, str>, EventValue)]) -> fmt::Result {
    for (at, (name, value)) in fields.iter().enumerate() {
        write!(f, "{}{name}: {value}", if at == 0 { " (" } else { ", " })?;
    }
    if fields.is_empty() { Ok(()) } else { f.write_str(")") }
}

/// One entry of an account's security log, as it is read back from the store.
///
/// It is written by the same commit as the change that it describes, and it is kept when an account
/// is erased.
///
/// It is stored in clear and shown to operators, so it contains no secret and no personal data. It
/// serialises as `{"at":…,"kind":…,…fields}`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityEvent {
    /// The chain to which the event belongs.
    pub chain: EventChain,
    /// The event's number in that chain, counted from 1.
    pub number: u64,
    /// When the event was decided, by the server's clock.
    pub at: UnixSeconds,
    kind: String,
    fields: Vec<(Cow<'static, str>, EventValue)>,
    after: Option<UnixSeconds>,
}

impl SecurityEvent {
    /// Parses the stored bytes of an event.
    ///
    /// # Errors
    /// Returns [`EventFormatError`] if the bytes are not a JSON object with a `kind` and flat
    /// fields.
    pub fn parse(chain: EventChain, number: u64, at: UnixSeconds, json: &[u8]) -> Result<Self, EventFormatError> {
        let Body { kind, fields, after } = serde_json::from_slice(json).map_err(|_| EventFormatError)?;
        Ok(Self { chain, number, at, kind: kind.into_owned(), fields, after })
    }

    /// Returns the entry that a stored event will be read back as, apart from
    /// [`after`](Self::after).
    #[must_use]
    pub fn of(event: &Event, number: u64, at: UnixSeconds) -> Self {
        let kind = event.kind.name.to_owned();
        Self { chain: event.kind.chain, number, at, kind, fields: event.fields.clone(), after: None }
    }

    /// Returns the moment of the previous event in the same chain, or `None` for the first event.
    /// It is known only for events that are read back.
    #[must_use]
    pub const fn after(&self) -> Option<UnixSeconds> {
        self.after
    }

    /// Returns the stored name of the event's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether the event is of a declared kind.
    #[must_use]
    pub fn is(&self, kind: &EventKind) -> bool {
        self.kind == kind.name
    }

    /// Returns the fields, in the order in which they were added.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &EventValue)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Returns the text of a field, or `None` if there is no text field of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields().find(|(field, _)| *field == name).and_then(|(_, value)| match value {
            EventValue::Text(text) => Some(text.as_str()),
            EventValue::Number(_) => None,
        })
    }

    /// Returns the number in a field, or `None` if there is no number field of this name.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        self.fields().find(|(field, _)| *field == name).and_then(|(_, value)| match value {
            EventValue::Number(number) => Some(*number),
            EventValue::Text(_) => None,
        })
    }
}

impl fmt::Display for SecurityEvent {
    /// Writes the name and the fields. The sentence is not stored; it belongs to the crate that
    /// declares the kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        write_fields(f, &self.fields)
    }
}

impl Serialize for SecurityEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len().saturating_add(2)))?;
        map.serialize_entry("at", &self.at)?;
        map.serialize_entry("kind", &self.kind)?;
        self.fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// The stored bytes are not an event: a newer version wrote them, or they are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored security event is malformed or was written by a newer version")]
pub struct EventFormatError;

/// Returns the head of a hash chain after an event: SHA-256(`keywright.event.v1` ‖ prev ‖
/// LP(number, time, event bytes)), where LP is the encoding of [`append_lp`](crate::append_lp).
/// Number and time are eight bytes big endian (`docs/security.md` § 3).
#[must_use]
pub fn chain_head(prev: &[u8; 32], number: u64, at: UnixSeconds, json: &[u8]) -> [u8; 32] {
    let mut message = Vec::with_capacity(json.len().saturating_add(96));
    message.extend_from_slice(CHAIN_LABEL);
    message.extend_from_slice(prev);
    append_lp(&mut message, &[&number.to_be_bytes(), &at.get().to_be_bytes(), json]);
    Sha256::digest(&message).into()
}

/// The stored form: `kind` first, then flat fields, then `after`.
struct Body<'a> {
    kind: Cow<'a, str>,
    fields: Vec<(Cow<'static, str>, EventValue)>,
    after: Option<UnixSeconds>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", &self.kind)?;
        self.fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        self.after.iter().try_for_each(|after| map.serialize_entry("after", after))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Body<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Body<'static>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut kind, mut fields, mut after) = (None, Vec::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    if name == "kind" && kind.is_none() {
                        kind = Some(Cow::Owned(map.next_value::<String>()?));
                    } else if name == "after" && after.is_none() {
                        after = Some(map.next_value()?);
                    } else {
                        fields.push((Cow::Owned(name), map.next_value()?));
                    }
                }
                let kind = kind.ok_or_else(|| A::Error::missing_field("kind"))?;
                Ok(Body { kind, fields, after })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CREATED: EventKind = EventKind::change("account_created", Severity::Info, "the account was created");
    const OPENED: EventKind = EventKind::change("session_opened", Severity::Info, "a session was opened");
    static DENIED: EventKind = EventKind::denial("guess_denied", "a wrong guess was counted");

    /// `docs/security.md` § 16.
    #[test]
    fn known_answers_of_the_chain() {
        let at = |seconds| UnixSeconds::new(seconds).unwrap();
        let first = chain_head(&[0; 32], 1, at(1_700_000_000), &Event::new(&CREATED).to_json(None));
        assert_eq!(hex::encode(first), "06c6c3eb3fa573d6d08568ccfc3574a2f04bcbaf93c57e149fa44bccdff94b7d");
        let second = chain_head(&first, 2, at(1_700_000_060), &Event::new(&OPENED).to_json(None));
        assert_eq!(hex::encode(second), "cc56f657eeb5dc02c398a61bbb6bba23f0bc26de9e2f5b52bd331ea66716f27d");
    }

    #[test]
    fn the_stored_form_is_stable_and_reads_back() {
        let at = UnixSeconds::new(7).unwrap();
        let event = Event::new(&DENIED).with("secret", "challenge").with("earlier", 3_u32);
        assert_eq!(event.to_json(None), br#"{"kind":"guess_denied","secret":"challenge","earlier":3}"#);
        let read = SecurityEvent::parse(EventChain::Denials, 4, at, &event.to_json(None)).unwrap();
        assert_eq!(read, SecurityEvent::of(&event, 4, at));
        let after = UnixSeconds::new(6).unwrap();
        let later = SecurityEvent::parse(EventChain::Denials, 4, at, &event.to_json(Some(after))).unwrap();
        assert_eq!((later.after(), later.count("after")), (Some(after), None));
        assert!(read.is(&DENIED) && !read.is(&OPENED));
        assert_eq!(
            (read.text("secret"), read.count("earlier"), read.count("secret")),
            (Some("challenge"), Some(3), None)
        );
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#"{"at":7,"kind":"guess_denied","secret":"challenge","earlier":3}"#
        );
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let EventValue::Text(text) = EventValue::from("é".repeat(150).as_str()) else { panic!("a text") };
        assert_eq!(text.len(), MAX_FIELD_BYTES);
    }

    proptest! {
        #[test]
        fn any_stored_bytes_parse_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = SecurityEvent::parse(EventChain::Changes, 1, UnixSeconds::EPOCH, &bytes);
        }
    }
}
