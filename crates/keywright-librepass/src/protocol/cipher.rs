//! A cipher in the protocol's form, and the note in which its description is kept.
//!
//! The text (`protectedData`) is a row's body, byte for byte as it was sent. Everything else is the
//! row's sealed note, which a re-encryption leaves unchanged.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use keywright_core::UnixSeconds;
use keywright_rekey::{Hex, Limits, id_text, parse_id};
use keywright_store::{CipherId, ClientNonce};
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::protocol::error::ApiError;
use crate::protocol::user::UserId;

/// The most entries of one list of a request. No vault has more ciphers, because the policy allows
/// no more.
pub(crate) const MAX_ENTRIES: usize = 100_000;

/// A cipher in a request. Optional members that are absent or null have their default (protocol §
/// 3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sent<'b> {
    #[serde(borrow)]
    id: Cow<'b, str>,
    #[serde(borrow)]
    owner: Cow<'b, str>,
    #[serde(rename = "type")]
    kind: Option<i32>,
    #[serde(borrow)]
    protected_data: Cow<'b, str>,
    collection: Option<String>,
    favorite: Option<bool>,
    re_prompt: Option<bool>,
    created: Option<i64>,
    last_modified: Option<i64>,
}

impl<'b> Sent<'b> {
    /// Checks a cipher that comes from a user. Only the form of the id is checked: a row of another
    /// account lies in another partition, so it does not matter whose id it is elsewhere (protocol
    /// § 11, 2).
    pub(crate) fn check(self, user: &UserId, limits: &Limits) -> Result<Incoming<'b>, ApiError> {
        let id = parse_id(&self.id).ok_or(ApiError::CIPHER)?;
        if UserId::parse(&self.owner).ok().as_ref() != Some(user) {
            return Err(ApiError::CIPHER);
        }
        let nonce = limits.check(&Hex, &self.protected_data).map_err(|_| ApiError::CIPHER)?;
        let collection = match self.collection {
            Some(text) => Some(parse_id(&text).ok_or(ApiError::CIPHER)?.0),
            None => None,
        };
        Ok(Incoming {
            id,
            nonce,
            text: self.protected_data,
            kind: self.kind.unwrap_or(0),
            collection,
            favorite: self.favorite.unwrap_or(false),
            re_prompt: self.re_prompt.unwrap_or(false),
            created: self.created,
            last_modified: self.last_modified,
        })
    }
}

/// A cipher that was checked.
pub(crate) struct Incoming<'b> {
    pub(crate) id: CipherId,
    pub(crate) nonce: ClientNonce,
    pub(crate) text: Cow<'b, str>,
    kind: i32,
    collection: Option<[u8; 16]>,
    favorite: bool,
    re_prompt: bool,
    created: Option<i64>,
    last_modified: Option<i64>,
}

impl Incoming<'_> {
    /// Returns what is kept beside the text. The client supplies its own times. A time that it
    /// leaves out becomes now, and so does one in the future, so that a clock that is fast, or
    /// counts milliseconds, does not make a cipher new for ever.
    /// `edit` is the number of the vault's edit that stores it.
    pub(crate) fn note(&self, now: UnixSeconds, edit: u64) -> Note {
        let at = i64::try_from(now.get()).unwrap_or(i64::MAX);
        Note {
            kind: self.kind,
            collection: self.collection,
            favorite: self.favorite,
            re_prompt: self.re_prompt,
            created: self.created.map_or(at, |sent| sent.min(at)),
            last_modified: self.last_modified.map_or(at, |sent| sent.min(at)),
            stored: now,
            edit,
        }
    }
}

/// The description of a cipher: everything that the protocol has beside the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    kind: i32,
    collection: Option<[u8; 16]>,
    favorite: bool,
    re_prompt: bool,
    created: i64,
    last_modified: i64,
    /// When this server accepted the cipher, by its own clock. This decides what counts as "changed
    /// since", because a client may send an edit long after it was made.
    pub(crate) stored: UnixSeconds,
    /// Which of the vault's edits stored it. This decides what a token has read, because clocks may
    /// disagree or go back.
    pub(crate) edit: u64,
}

/// The only format of a note, which its first byte names.
const FORM: u8 = 1;
const FAVORITE: u8 = 1;
const RE_PROMPT: u8 = 2;
const COLLECTION: u8 = 4;

impl Note {
    /// Encodes format, flags, type, three times, the edit, and the collection if there is one: 38
    /// or 54 bytes, numbers little endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = flag(self.favorite, FAVORITE)
            | flag(self.re_prompt, RE_PROMPT)
            | flag(self.collection.is_some(), COLLECTION);
        let mut bytes = Vec::with_capacity(54);
        bytes.extend([FORM, flags]);
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.created.to_le_bytes());
        bytes.extend(self.last_modified.to_le_bytes());
        bytes.extend(self.stored.get().to_le_bytes());
        bytes.extend(self.edit.to_le_bytes());
        bytes.extend(self.collection.iter().flatten());
        bytes
    }

    /// Decodes a note; returns `None` for bytes that [`encode`](Self::encode) cannot have written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[form, flags], rest) = bytes.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        let (last_modified, rest) = rest.split_first_chunk()?;
        let (stored, rest) = rest.split_first_chunk()?;
        let (edit, rest) = rest.split_first_chunk()?;
        let collection = match (flags & COLLECTION != 0, rest) {
            (true, id) => Some(id.try_into().ok()?),
            (false, []) => None,
            (false, _) => return None,
        };
        if form != FORM || flags & !(FAVORITE | RE_PROMPT | COLLECTION) != 0 {
            return None;
        }
        Some(Self {
            kind: i32::from_le_bytes(*kind),
            collection,
            favorite: flags & FAVORITE != 0,
            re_prompt: flags & RE_PROMPT != 0,
            created: i64::from_le_bytes(*created),
            last_modified: i64::from_le_bytes(*last_modified),
            stored: UnixSeconds::new(u64::from_le_bytes(*stored)).ok()?,
            edit: u64::from_le_bytes(*edit),
        })
    }

    /// Returns the cipher in the form of an answer.
    pub(crate) fn shown<'a>(&self, id: CipherId, owner: &'a str, text: &'a str) -> Shown<'a> {
        Shown {
            id: id_text(id),
            owner,
            kind: self.kind,
            protected_data: text,
            collection: self.collection.map(|id| id_text(CipherId(id))),
            favorite: self.favorite,
            re_prompt: self.re_prompt,
            created: self.created,
            last_modified: self.last_modified,
        }
    }
}

/// A cipher in an answer. A member that would be null is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown<'a> {
    id: String,
    owner: &'a str,
    #[serde(rename = "type")]
    kind: i32,
    protected_data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    favorite: bool,
    re_prompt: bool,
    created: i64,
    last_modified: i64,
}

/// The id of a cipher; `None` if the text sent was not one.
pub(crate) struct SentId(pub(crate) Option<CipherId>);

impl<'de> Deserialize<'de> for SentId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SentId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<SentId, E> {
                Ok(SentId(parse_id(text)))
            }
        }
        from.deserialize_str(Text)
    }
}

/// A list of at most [`MAX_ENTRIES`]; entries beyond that are read and dropped.
pub(crate) struct Bounded<T> {
    pub(crate) entries: Vec<T>,
    /// Whether there were more entries.
    pub(crate) over: bool,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Bounded<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded<T>, A::Error> {
                let mut entries = Vec::new();
                while entries.len() < MAX_ENTRIES {
                    match list.next_element()? {
                        Some(entry) => entries.push(entry),
                        None => return Ok(Bounded { entries, over: false }),
                    }
                }
                let mut over = false;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    over = true;
                }
                Ok(Bounded { entries, over })
            }
        }
        from.deserialize_seq(List(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_note() -> impl Strategy<Value = Note> {
        let collection = proptest::option::of(any::<[u8; 16]>());
        let numbers = (0..=253_402_300_799_u64, any::<u64>());
        (any::<i32>(), collection, any::<[bool; 2]>(), any::<[i64; 2]>(), numbers).prop_map(
            |(kind, collection, [favorite, re_prompt], [created, last_modified], (stored, edit))| {
                let stored = UnixSeconds::new(stored).unwrap();
                Note { kind, collection, favorite, re_prompt, created, last_modified, stored, edit }
            },
        )
    }

    proptest! {
        #[test]
        fn a_note_reads_back(note in any_note()) {
            let bytes = note.encode();
            prop_assert_eq!(bytes.len(), if note.collection.is_some() { 54 } else { 38 });
            prop_assert_eq!(Note::decode(&bytes), Some(note));
            prop_assert_eq!(Note::decode(&bytes[1..]), None);
            prop_assert_eq!(Note::decode(&[&bytes[..], &[0]].concat()), None);
        }

        #[test]
        fn any_bytes_decode_to_what_encodes_to_them_or_not_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(note) = Note::decode(&bytes) {
                prop_assert_eq!(note.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_list_is_read_to_its_end_and_kept_to_its_bound() {
        let text = |entries: usize| format!("[{}]", vec!["1"; entries].join(","));
        for (entries, kept, over) in
            [(0, 0, false), (MAX_ENTRIES, MAX_ENTRIES, false), (MAX_ENTRIES + 1, MAX_ENTRIES, true)]
        {
            let list: Bounded<u8> = serde_json::from_str(&text(entries)).unwrap();
            assert_eq!((list.entries.len(), list.over), (kept, over));
        }
        assert!(serde_json::from_str::<Bounded<u8>>(&text(MAX_ENTRIES + 1).replace(']', ",{]")).is_err());
    }
}
