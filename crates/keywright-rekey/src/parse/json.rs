//! Parsing the list from a JSON body, more quickly than a general parser can. An entry of the usual
//! form is read directly, with one search for the end of the text. Any other entry (with escapes,
//! other members or other types) is passed to `serde_json`, so the meaning is the same and only the
//! speed differs.

use std::borrow::Cow;
use std::fmt;

use keywright_core::SecretVec;
use memchr::memchr2;
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};

use super::id::{ID_TEXT_BYTES, parse_id_bytes};
use super::{CipherList, entry};
use crate::parse::submission::Submission;

/// A JSON object whose list was parsed separately.
pub struct Split<'b> {
    /// The list, or `None` if the object has no such member or the member is not a list.
    pub submission: Option<Submission<'b>>,
    /// The object with `null` in place of the list. It is checked only as far as needed to find its
    /// members: parse it with a JSON parser.
    pub rest: SecretVec,
}

impl fmt::Debug for Split<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Split({:?}, {} bytes)", self.submission, self.rest.expose().len())
    }
}

/// Why a body is not JSON of the expected form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The body is not well-formed, or has another value where there must be an object or a list.
    #[error("the JSON is malformed or of the wrong type at byte {at}")]
    Syntax {
        /// The position of the error, in bytes from the beginning of the body.
        at: usize,
    },
    /// The object contains the list twice.
    #[error("the object contains the list twice")]
    Twice,
    /// The body is larger than 4 GiB.
    #[error("the body is larger than 4 GiB")]
    TooLarge,
}

impl<'b> CipherList<'b> {
    /// Parses a body that is the list.
    ///
    /// # Errors
    /// Returns a [`JsonError`] if the body is not well-formed, is not a list, or is larger than 4
    /// GiB. Faults of single entries are recorded in the submission.
    pub fn read_json(&self) -> Result<Submission<'b>, JsonError> {
        let mut reader = Reader::new(self)?;
        reader.space();
        let submission = reader.list(self)?;
        reader.end()?;
        Ok(submission)
    }

    /// Parses the list from a body that is an object with the list as `member`. Returns the list
    /// and the rest of the object.
    ///
    /// ```
    /// # use keywright_rekey::{CipherList, Hex, JsonError, Limits};
    /// let body = br#"{"hint": "a", "ciphers": [], "memory": 1}"#;
    /// let split = CipherList::new(body, Limits::default(), &Hex).split_json("ciphers")?;
    /// assert!(split.submission.is_some_and(|list| list.is_empty()));
    /// assert_eq!(split.rest.expose(), br#"{"hint": "a", "ciphers": null, "memory": 1}"#);
    /// # Ok::<(), JsonError>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`JsonError`] if the body is not well-formed, is not an object, contains the list
    /// twice, or is larger than 4 GiB. Faults of single entries are recorded in the submission.
    pub fn split_json(&self, member: &str) -> Result<Split<'b>, JsonError> {
        let mut reader = Reader::new(self)?;
        let (mut found, mut is_there) = (None, false);
        reader.space();
        reader.expect(b'{')?;
        reader.space();
        let mut more = reader.peek() != Some(b'}');
        while more {
            reader.space();
            let is_list = reader.name()? == member;
            reader.space();
            reader.expect(b':')?;
            reader.space();
            let from = reader.at;
            // This also applies if one of the two is not a list; otherwise their order would decide
            // which of them counts.
            if is_list && std::mem::replace(&mut is_there, true) {
                return Err(JsonError::Twice);
            }
            if is_list && reader.peek() == Some(b'[') {
                found = Some((reader.list(self)?, from..reader.at));
            } else {
                reader.skip()?;
            }
            reader.space();
            more = reader.peek() == Some(b',');
            if more {
                reader.at = reader.at.saturating_add(1);
            }
        }
        reader.expect(b'}')?;
        reader.end()?;
        let body = self.body.0;
        let (submission, rest) = match found {
            None => (None, body.to_vec()),
            Some((submission, list)) => {
                let (before, after) = (body.get(..list.start), body.get(list.end..));
                (Some(submission), [before.unwrap_or_default(), b"null", after.unwrap_or_default()].concat())
            }
        };
        Ok(Split { submission, rest: SecretVec::new(rest) })
    }
}

/// A position in the body.
#[derive(Clone, Copy)]
struct Reader<'b> {
    body: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn new(list: &CipherList<'b>) -> Result<Self, JsonError> {
        let body = list.body.0;
        u32::try_from(body.len()).map_err(|_| JsonError::TooLarge)?;
        Ok(Self { body, at: 0 })
    }

    const fn error(self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }

    #[inline]
    fn rest(self) -> &'b [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn peek(self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[inline]
    fn skip_bytes(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.skip_bytes(1);
        }
    }

    #[inline]
    fn take(&mut self, bytes: &[u8]) -> bool {
        let there = self.rest().starts_with(bytes);
        if there {
            self.skip_bytes(bytes.len());
        }
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(&[byte]) { Ok(()) } else { Err(self.error()) }
    }

    /// Checks that only white space follows.
    fn end(mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.body.len() { Ok(()) } else { Err(self.error()) }
    }

    /// Skips one value of any kind and returns its bytes.
    fn skip(&mut self) -> Result<&'b [u8], JsonError> {
        let rest = self.rest();
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            return Err(self.error());
        }
        let count = values.byte_offset();
        self.skip_bytes(count);
        rest.get(..count).ok_or_else(|| self.error())
    }

    /// Reads a member's name.
    fn name(&mut self) -> Result<Cow<'b, str>, JsonError> {
        /// Borrows if possible, which `Cow` does not do by itself.
        #[derive(Deserialize)]
        struct Name<'b>(#[serde(borrow)] Cow<'b, str>);
        let at = *self;
        let name = serde_json::from_slice::<Name<'b>>(self.skip()?);
        name.map(|name| name.0).map_err(|_| at.error())
    }

    fn list(&mut self, list: &CipherList<'b>) -> Result<Submission<'b>, JsonError> {
        let mut submission = Submission::new(list);
        self.expect(b'[')?;
        self.space();
        if !self.take(b"]") {
            loop {
                self.entry(list, &mut submission)?;
                self.space();
                match self.peek() {
                    Some(b',') => self.skip_bytes(1),
                    _ => break self.expect(b']')?,
                }
                self.space();
            }
        }
        submission.finish();
        Ok(submission)
    }

    #[inline]
    fn entry(&mut self, list: &CipherList<'b>, submission: &mut Submission<'b>) -> Result<(), JsonError> {
        if !submission.has_room(&list.limits) {
            self.skip()?;
            submission.add_beyond();
            return Ok(());
        }
        if let Some(end) = self.usual(list, submission) {
            self.at = end;
            return Ok(());
        }
        self.unusual(list, submission)
    }

    /// Reads an entry of the usual form: the two members, in either order, both valid plain
    /// strings. Returns where it ends.
    #[inline]
    fn usual(mut self, list: &CipherList<'b>, submission: &mut Submission<'b>) -> Option<usize> {
        if !self.take(b"{") {
            return None;
        }
        let (mut id, mut text) = (None, None);
        for separator in [b',', b'}'] {
            self.space();
            if id.is_none() && self.begins(list.names.id) {
                let (bytes, _) = self.rest().split_first_chunk::<ID_TEXT_BYTES>()?;
                id = Some(parse_id_bytes(bytes)?);
                self.skip_bytes(ID_TEXT_BYTES);
            } else if text.is_none() && self.begins(list.names.text) {
                let rest = self.rest();
                let bytes = rest.get(..memchr2(b'"', b'\\', rest)?)?;
                let nonce = list.limits.check_bytes(list.format, bytes).ok()?;
                let plain = list.format.is_plain() || bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
                text = Some((u32::try_from(self.at).ok().filter(|_| plain)?, nonce));
                self.skip_bytes(bytes.len());
            } else {
                return None;
            }
            if !self.take(b"\"") {
                return None;
            }
            self.space();
            if !self.take(&[separator]) {
                return None;
            }
        }
        let (id, (start, nonce)) = id.zip(text)?;
        submission.add_right(id, start, nonce);
        Some(self.at)
    }

    /// Whether the input continues with `"name": "`.
    #[inline]
    fn begins(&mut self, name: &str) -> bool {
        let mut reader = *self;
        if !(reader.take(b"\"") && reader.take(name.as_bytes()) && reader.take(b"\"")) {
            return false;
        }
        reader.space();
        if !reader.take(b":") {
            return false;
        }
        reader.space();
        if !reader.take(b"\"") {
            return false;
        }
        *self = reader;
        true
    }

    /// Reads any other entry.
    #[cold]
    fn unusual(&mut self, list: &CipherList<'b>, submission: &mut Submission<'b>) -> Result<(), JsonError> {
        let at = *self;
        let value = self.skip()?;
        let mut json = serde_json::Deserializer::from_slice(value);
        let read = entry::Seed(list.names).deserialize(&mut json).map_err(|_| at.error())?;
        submission.add(&list.limits, read);
        Ok(())
    }
}
