//! The submission of a client, kept as positions in its body.

use std::borrow::Cow;
use std::fmt;

use keywright_store::{CipherId, ClientNonce};
use memchr::memchr;

use super::entry::{Member, Read};
use super::{Body, CipherList};
use crate::fingerprint::fingerprint;
use crate::format::{Format, Malformed};
use crate::parse::id::parse_id;
use crate::policy::Limits;
use crate::report::{Difference, Fault};

/// One cipher of a submission. It has 24 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: CipherId,
    /// Where the text begins. Either it is in the body, where it ends before the next `"`; or,
    /// beyond the body's end, it is in the spill, where its length comes first. [`NO_TEXT`] if it
    /// is malformed.
    start: u32,
    /// The fingerprint of the nonce, so that a check need not read the body again.
    print: u32,
}

/// A text that is well-formed and longer than the limit. Its entry has no text unless the text is
/// [accepted](Submission::accepting_long).
#[derive(Debug, Clone, Copy)]
struct LongText {
    /// The index of its entry.
    entry: usize,
    start: u32,
    length: usize,
    print: u32,
}

/// No body that is parsed is large enough for this position.
const NO_TEXT: u32 = u32::MAX;

/// The number of entries for which there is room before their total is first estimated.
const FIRST: usize = 16;

/// Ciphers as a client sent them, each well-formed or recorded as a fault. Checking it
/// [`against`](Self::against) a manifest yields a [`SwapPlan`](crate::SwapPlan) or a
/// [`Difference`].
///
/// It uses 24 bytes per cipher and borrows the texts from the body.
#[derive(Clone)]
pub struct Submission<'b> {
    body: Body<'b>,
    /// The texts that do not occur literally in the body.
    spill: Vec<u8>,
    entries: Vec<Entry>,
    /// The well-formed texts beyond the length limit.
    long: Vec<LongText>,
    /// The number of all entries that were sent, including those without a usable id and those
    /// beyond the limit.
    sent: usize,
    faults: Difference,
    format: &'b dyn Format,
}

impl<'b> Submission<'b> {
    pub(super) fn new(list: &CipherList<'b>) -> Self {
        let (spill, entries) = (Vec::new(), Vec::new());
        let (long, faults) = (Vec::new(), Difference::none());
        Self { body: list.body, spill, entries, long, sent: 0, faults, format: list.format }
    }

    /// Returns how many entries were sent, including faulty ones.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.sent
    }

    /// Whether no entry was sent.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sent == 0
    }

    /// Returns the entries whose id and text are well-formed, in the order in which they were sent,
    /// with the nonces of the texts.
    pub fn iter(&self) -> impl Iterator<Item = (CipherId, ClientNonce, &str)> + '_ {
        self.entries.iter().filter_map(|entry| {
            let text = self.text(entry)?;
            Some((entry.id, self.format.nonce(text), std::str::from_utf8(text).ok()?))
        })
    }

    /// Returns the faults that can be found without a manifest.
    #[must_use]
    pub fn faults(&self) -> &Difference {
        &self.faults
    }

    /// Returns how many bytes of memory it uses in addition to the body.
    #[must_use]
    pub fn memory(&self) -> usize {
        let entries = self.entries.capacity().saturating_mul(size_of::<Entry>());
        let long = self.long.capacity().saturating_mul(size_of::<LongText>());
        self.spill.capacity().saturating_add(entries).saturating_add(long)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the bytes of an entry's text, if it is well-formed.
    #[inline]
    pub(crate) fn text(&self, entry: &Entry) -> Option<&[u8]> {
        if entry.start == NO_TEXT {
            return None;
        }
        let start = entry.start as usize;
        match start.checked_sub(self.body.0.len()) {
            None => {
                let text = self.body.0.get(start..)?;
                text.get(..memchr(b'"', text)?)
            }
            Some(start) => {
                let (len, text) = self.spill.get(start..)?.split_first_chunk()?;
                text.get(..u32::from_le_bytes(*len) as usize)
            }
        }
    }

    /// Returns the ids of the entries whose texts are well-formed and longer than the limit.
    pub(crate) fn long_ids(&self) -> Vec<CipherId> {
        self.long.iter().filter_map(|long| self.entries.get(long.entry)).map(|entry| entry.id).collect()
    }

    /// Returns the submission with the texts beyond the limit that `accepts`, by id and length in
    /// bytes, like any other text.
    pub(crate) fn accepting_long(&self, accepts: impl Fn(CipherId, usize) -> bool) -> Self {
        let mut accepting = self.clone();
        for long in &self.long {
            if let Some(entry) = accepting.entries.get_mut(long.entry)
                && accepts(entry.id, long.length)
            {
                (entry.start, entry.print) = (long.start, long.print);
                accepting.faults.forget_id(Fault::MalformedText, entry.id);
            }
        }
        accepting
    }

    pub(crate) fn format(&self) -> &dyn Format {
        self.format
    }

    #[inline]
    pub(crate) fn nonce(&self, entry: &Entry) -> Option<ClientNonce> {
        self.text(entry).map(|text| self.format.nonce(text))
    }

    /// Returns the fingerprint of a text's nonce, or `None` if the text is malformed.
    #[inline]
    pub(crate) fn print(entry: &Entry) -> Option<u32> {
        (entry.start != NO_TEXT).then_some(entry.print)
    }

    /// Whether the limit allows one more entry to be read.
    #[inline]
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        self.sent < limits.max_entries()
    }

    /// Adds a well-formed entry whose text begins at `start` in the body.
    #[cfg(feature = "json")]
    #[inline]
    pub(super) fn add_right(&mut self, id: CipherId, start: u32, nonce: ClientNonce) {
        self.sent = self.sent.saturating_add(1);
        self.push(Entry { id, start, print: fingerprint(nonce) });
    }

    /// Counts an entry beyond the limit.
    pub(super) fn add_beyond(&mut self) {
        self.sent = self.sent.saturating_add(1);
        self.faults.plain(Fault::TooMany);
    }

    /// Adds one entry as it was read.
    pub(super) fn add(&mut self, limits: &Limits, read: Read<'b>) {
        let position = self.sent;
        self.sent = position.saturating_add(1);
        let wrong_type = |member: &Member<'_>| matches!(member, Member::Absent | Member::NoText);
        let any_wrong = wrong_type(&read.id) || wrong_type(&read.text);
        let id = match &read.id {
            Member::Text(text) => parse_id(text),
            _ => None,
        };
        let (mut text, mut long) = (None, None);
        if let Member::Text(sent) = read.text {
            match limits.check(self.format, &sent) {
                Ok(nonce) => text = Some((sent, nonce)),
                Err(Malformed::TooLong) => long = id.and_then(|_| self.long_text(&sent)),
                Err(_) => {}
            }
        }
        // Without an id there is no need to keep a text.
        let kept = match id {
            Some(_) => text.and_then(|(text, nonce)| Some((self.keep(text)?, fingerprint(nonce)))),
            None => text.map(|_| (0, 0)),
        };
        let mut note = |fault| match id {
            Some(id) => self.faults.of_id(fault, id),
            None => self.faults.at(fault, position),
        };
        if id.is_none() {
            note(Fault::MalformedId);
        }
        if kept.is_none() {
            note(Fault::MalformedText);
        }
        if any_wrong {
            note(Fault::WrongType);
        }
        if let Some(id) = id {
            let (start, print) = kept.unwrap_or((NO_TEXT, 0));
            self.long.extend(long);
            self.push(Entry { id, start, print });
        }
    }

    /// Returns a text beyond the limit that the next entry has, if it is well-formed and lies in
    /// the body as it is. It is never copied.
    fn long_text(&self, text: &str) -> Option<LongText> {
        let start = u32::try_from(self.place_of(text)?).ok().filter(|&start| start != NO_TEXT)?;
        let nonce = self.format.check(text.as_bytes()).ok()?;
        Some(LongText { entry: self.entries.len(), start, length: text.len(), print: fingerprint(nonce) })
    }

    /// Returns the position of a text, or `None` beyond 4 GiB. A text that is not enclosed in
    /// quotes in the body is copied.
    fn keep(&mut self, text: Cow<'b, str>) -> Option<u32> {
        let within = match text {
            Cow::Borrowed(text) => self.place_of(text),
            Cow::Owned(_) => None,
        };
        let start = match within {
            Some(start) => start,
            None => {
                let start = self.body.0.len().saturating_add(self.spill.len());
                self.spill.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
                self.spill.extend_from_slice(text.as_bytes());
                start
            }
        };
        u32::try_from(start).ok().filter(|&start| start != NO_TEXT)
    }

    /// Returns the position in the body of a borrowed text, if it lies there and its end can be
    /// found again.
    fn place_of(&self, text: &str) -> Option<usize> {
        let start = text.as_ptr().addr().checked_sub(self.body.0.as_ptr().addr())?;
        let end = memchr(b'"', self.body.0.get(start..)?)?;
        (end == text.len()).then_some(start)
    }

    /// Adds an entry. The capacity grows to the expected total, estimated from the entries so far,
    /// instead of doubling, to keep to the documented memory per cipher.
    #[inline]
    fn push(&mut self, entry: Entry) {
        if self.entries.len() == self.entries.capacity() {
            self.grow(entry.start);
        }
        self.entries.push(entry);
    }

    #[cold]
    fn grow(&mut self, place: u32) {
        let (count, place) = (self.entries.len(), place as usize);
        let expected = match self.body.0.len().checked_sub(place) {
            Some(left) if count >= FIRST => count.saturating_mul(left).checked_div(place).unwrap_or(0),
            _ => 0,
        };
        // A little more than expected, and never so little that growing costs more than parsing.
        let more = expected.saturating_add(expected / 64).max(count / 8).max(FIRST);
        self.entries.reserve_exact(more);
    }

    /// Releases the memory that was reserved for entries that did not come.
    pub(super) fn finish(&mut self) {
        let spare = self.entries.capacity().saturating_sub(self.entries.len());
        if spare > self.entries.len() / 32 {
            self.entries.shrink_to_fit();
        }
    }
}

impl fmt::Debug for Submission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Submission({} sent, {} with an id, {:?})", self.sent, self.entries.len(), self.faults)
    }
}
