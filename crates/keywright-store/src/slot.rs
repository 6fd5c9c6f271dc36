//! Slots: the typed places of a partition, each declared by the crate that owns it.
//!
//! ```
//! use keywright_store::{Full, Record, Slot, SlotFamily};
//! use keywright_store::slot::Expiring;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct Voucher;
//! # impl Record for Voucher { const SCHEMA: u16 = 1; }
//! # #[derive(serde::Serialize, serde::Deserialize)] struct Ticket;
//! # impl Record for Ticket { const SCHEMA: u16 = 1; }
//!
//! /// Must be there once it was written, or the account is denied.
//! const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
//! /// At most eight; each may be missing once it has expired. A ninth replaces the first to expire.
//! const TICKETS: SlotFamily<Ticket, Expiring> = SlotFamily::expiring("ticket", 8, Full::EvictsFirstToExpire);
//!
//! assert_eq!(VOUCHER.name().to_string(), "voucher");
//! assert_eq!(TICKETS.at([0xab; 16]).name().to_string(), format!("ticket/{}", "ab".repeat(16)));
//! ```

use std::fmt;
use std::marker::PhantomData;

/// The longest name of a kind, in bytes.
pub const MAX_KIND_BYTES: usize = 23;

/// The most slots of one partition, over all kinds. It bounds the root record.
pub const MAX_SLOTS: u16 = 256;

/// The name of the root record, which is not a slot.
pub(crate) const ROOT: &str = "root";

/// The name of a kind of slot: 1 to 23 characters of `a-z`, `0-9` and `-`. It is a constant of the
/// crate that owns the kind, so no input ever becomes part of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindName {
    bytes: [u8; MAX_KIND_BYTES],
    length: u8,
}

impl KindName {
    /// Creates a kind's name.
    ///
    /// # Panics
    /// Panics if the name has another form, or is `root`. In a constant, that is a compile-time
    /// error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        match Self::from_bytes(name.as_bytes()) {
            Some(name) => name,
            #[expect(clippy::panic, reason = "kinds are constants: this fails the build, not a server")]
            None => panic!("a kind of slot is 1 to 23 characters of a-z, 0-9 and -, and not `root`"),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "the loop stays below the checked length"
    )]
    pub(crate) const fn from_bytes(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > MAX_KIND_BYTES || matches!(name, b"root") {
            return None;
        }
        let mut bytes = [0; MAX_KIND_BYTES];
        let mut at = 0;
        while at < name.len() {
            if !matches!(name[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
                return None;
            }
            bytes[at] = name[at];
            at += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 23")]
        let length = name.len() as u8;
        Some(Self { bytes, length })
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The name contains only ASCII.
        self.bytes.get(..self.length.into()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One slot of a partition by name: its kind, and for a family an id of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotName {
    kind: KindName,
    id: Option<[u8; 16]>,
}

impl SlotName {
    /// Creates a name from its parts. Services use [`Slot::name`].
    #[must_use]
    pub const fn new(kind: KindName, id: Option<[u8; 16]>) -> Self {
        Self { kind, id }
    }

    /// A name that sorts before every other.
    pub(crate) const fn first() -> Self {
        Self { kind: KindName { bytes: [0; MAX_KIND_BYTES], length: 0 }, id: None }
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> KindName {
        self.kind
    }

    /// Returns the id within a family.
    #[must_use]
    pub const fn id(&self) -> Option<[u8; 16]> {
        self.id
    }

    /// Parses the printed form.
    ///
    /// # Errors
    /// Returns [`UnknownSlot`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UnknownSlot> {
        let (kind, id) = match text.split_once('/') {
            None => (text, None),
            Some((kind, digits)) => {
                let mut id = [0; 16];
                hex::decode_to_slice(digits, &mut id).map_err(|_| UnknownSlot)?;
                (kind, Some(id))
            }
        };
        let slot = Self { kind: KindName::from_bytes(kind.as_bytes()).ok_or(UnknownSlot)?, id };
        // There is one text for each slot, so upper-case digits are refused.
        if slot.to_text() == text { Ok(slot) } else { Err(UnknownSlot) }
    }

    /// Returns the printed form, of at most 56 bytes. A backend stores it, and sealing
    /// authenticates it.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        let Some(id) = self.id else { return Ok(()) };
        let mut digits = [0; 32];
        hex::encode_to_slice(id, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str("/")?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotName({self})")
    }
}

/// A stored text names no slot. It is a row of a newer version, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored slot name is malformed or was written by a newer version")]
pub struct UnknownSlot;

/// What happens when more records of a kind are put than a partition may have. It is part of the
/// kind's declaration. No variant removes a [lasting](Lasting) record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Full {
    /// The kind has one slot, and a put replaces what is in it.
    Replaces,
    /// Nothing is evicted: the step fails with
    /// [`StepError::TooManySlots`](crate::StepError::TooManySlots), and writes nothing.
    Refuses,
    /// The record that expires first is removed, unread, in the same batch. Records that the batch
    /// itself puts are never removed. If it puts all of them, the step fails as with
    /// [`Refuses`](Self::Refuses).
    EvictsFirstToExpire,
    /// A lasting record of this kind lists the family's members ([`Members`]), and decides which
    /// ones it leaves out, for example its own unproven ones first. A record that is not listed is
    /// removed, unread, in the batch that puts the list
    /// ([`Draft::put_members`](crate::Draft::put_members)). If one more is put without a list that
    /// makes room, the step fails as with [`Refuses`](Self::Refuses).
    EvictsUnlisted(KindName),
}

impl Full {
    /// Returns [`EvictsUnlisted`](Self::EvictsUnlisted) for the slot that holds the list.
    #[must_use]
    pub const fn evicts_unlisted<R: Members>(list: Slot<R, Lasting>) -> Self {
        Self::EvictsUnlisted(list.kind.name)
    }
}

/// A record that lists the members of a family.
pub trait Members: crate::record::Record {
    /// Whether the family's record with this id is a member.
    fn lists(&self, id: &[u8; 16]) -> bool;
}

/// A declared kind of slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotKind {
    name: KindName,
    most: u16,
    expiring: bool,
    full: Full,
}

impl SlotKind {
    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> KindName {
        self.name
    }

    /// Returns how many slots of this kind one partition may have.
    #[must_use]
    pub const fn most(&self) -> u16 {
        self.most
    }

    /// Whether records of this kind expire, and may be missing.
    #[must_use]
    pub const fn is_expiring(&self) -> bool {
        self.expiring
    }

    /// Returns what happens when more than [`most`](Self::most) are put.
    #[must_use]
    pub const fn full(&self) -> Full {
        self.full
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "a sealed trait: no other lifetime exists")]
    pub trait Sealed {}
}

/// How long the records of a kind exist.
pub trait Lifetime: sealed::Sealed {
    /// Whether the records expire.
    const EXPIRING: bool;
}

/// Marks records that must exist once they were written. If one is missing, the account's requests
/// are denied with an integrity error.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a marker that is never made")]
pub enum Lasting {}

/// Marks records with an expiry, such as sessions, tokens and step-ups. Losing one never grants
/// more than having it. One that is missing reads as absent.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a marker that is never made")]
pub enum Expiring {}

impl sealed::Sealed for Lasting {}
impl sealed::Sealed for Expiring {}
impl Lifetime for Lasting {
    const EXPIRING: bool = false;
}
impl Lifetime for Expiring {
    const EXPIRING: bool = true;
}

/// A typed slot. The type of its record is known at compile time, so putting a record in another's
/// slot does not compile.
pub struct Slot<T, L = Lasting> {
    kind: SlotKind,
    id: Option<[u8; 16]>,
    holds: PhantomData<fn() -> (T, L)>,
}

impl<T, L> Clone for Slot<T, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, L> Copy for Slot<T, L> {}

impl<T> Slot<T, Lasting> {
    /// Declares a slot whose record must be there once it was written. `kind` must satisfy
    /// [`KindName::new`].
    #[must_use]
    pub const fn lasting(kind: &'static str) -> Self {
        let kind = SlotKind { name: KindName::new(kind), most: 1, expiring: false, full: Full::Replaces };
        Self { kind, id: None, holds: PhantomData }
    }
}

impl<T> Slot<T, Expiring> {
    /// Declares a slot whose record has an expiry. `kind` must satisfy [`KindName::new`].
    #[must_use]
    pub const fn expiring(kind: &'static str) -> Self {
        let kind = SlotKind { name: KindName::new(kind), most: 1, expiring: true, full: Full::Replaces };
        Self { kind, id: None, holds: PhantomData }
    }
}

impl<T, L> Slot<T, L> {
    /// Returns the slot's name, by which it is loaded.
    #[must_use]
    pub const fn name(&self) -> SlotName {
        SlotName { kind: self.kind.name, id: self.id }
    }

    /// Returns the declared kind, for a driver's list of kinds.
    #[must_use]
    pub const fn kind(&self) -> SlotKind {
        self.kind
    }
}

impl<T, L> fmt::Debug for Slot<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({})", self.name())
    }
}

/// Slots of one kind, distinguished by an id of 16 bytes.
pub struct SlotFamily<T, L = Lasting> {
    kind: SlotKind,
    holds: PhantomData<fn() -> (T, L)>,
}

impl<T, L> Clone for SlotFamily<T, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, L> Copy for SlotFamily<T, L> {}

impl<T> SlotFamily<T, Lasting> {
    /// Declares at most `most` records that must be there once they were written. None of them is
    /// ever evicted: one more is [refused](Full::Refuses).
    #[must_use]
    pub const fn lasting(kind: &'static str, most: u16) -> Self {
        let kind = SlotKind { name: KindName::new(kind), most, expiring: false, full: Full::Refuses };
        Self { kind, holds: PhantomData }
    }
}

impl<T> SlotFamily<T, Expiring> {
    /// Declares at most `most` records with an expiry, and how room is made for one more.
    ///
    /// # Panics
    /// Panics for [`Full::Replaces`], which is for a kind of one slot. In a constant, that is a
    /// compile-time error.
    #[must_use]
    pub const fn expiring(kind: &'static str, most: u16, full: Full) -> Self {
        #[expect(clippy::panic, reason = "kinds are constants: this fails the build, not a server")]
        if matches!(full, Full::Replaces) {
            panic!("a put into a family replaces the record of the same id only");
        }
        Self { kind: SlotKind { name: KindName::new(kind), most, expiring: true, full }, holds: PhantomData }
    }
}

impl<T, L> SlotFamily<T, L> {
    /// Returns the slot with an id.
    #[must_use]
    pub const fn at(&self, id: [u8; 16]) -> Slot<T, L> {
        Slot { kind: self.kind, id: Some(id), holds: PhantomData }
    }

    /// Returns the declared kind.
    #[must_use]
    pub const fn kind(&self) -> SlotKind {
        self.kind
    }
}

impl<T, L> fmt::Debug for SlotFamily<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotFamily({})", self.kind.name)
    }
}

/// The kinds of slots that a server knows. If a root lists any other kind, a newer version wrote
/// it, and the account's requests are denied.
#[derive(Debug, Clone, Default)]
pub struct SlotKinds {
    kinds: Vec<SlotKind>,
}

impl SlotKinds {
    /// Creates an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { kinds: Vec::new() }
    }

    /// Adds the kinds of a crate. Adding a kind again with the same declaration is not an error.
    ///
    /// # Errors
    /// Returns [`SlotKindsError`] if a kind is declared in two ways, if one is listed by a record
    /// that is not declared beside it, or if there are more than [`MAX_SLOTS`] slots in all.
    pub fn add(&mut self, kinds: &[SlotKind]) -> Result<(), SlotKindsError> {
        for kind in kinds {
            match self.find(kind.name) {
                Some(known) if known == *kind => {}
                Some(_) => return Err(SlotKindsError::DeclaredTwice(kind.name)),
                None => self.kinds.push(*kind),
            }
        }
        for kind in &self.kinds {
            if let Full::EvictsUnlisted(list) = kind.full
                && self.find(list).is_none_or(|list| list.expiring || list.full != Full::Replaces)
            {
                return Err(SlotKindsError::NoList(kind.name));
            }
        }
        let sum = self.kinds.iter().fold(0_u16, |sum, kind| sum.saturating_add(kind.most));
        if sum > MAX_SLOTS { Err(SlotKindsError::TooMany(sum)) } else { Ok(()) }
    }

    /// Returns the kind with this name.
    #[must_use]
    pub fn find(&self, name: KindName) -> Option<SlotKind> {
        self.kinds.iter().copied().find(|kind| kind.name == name)
    }
}

/// Why kinds cannot be used together. This is checked when a server is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlotKindsError {
    /// Two crates declare one kind in two ways.
    #[error("the slot kind `{0}` is declared twice with different settings")]
    DeclaredTwice(KindName),
    /// The record that lists the members of this kind is not declared, or does not have a single
    /// lasting slot.
    #[error("the slot kind `{0}` depends on a list record that is not declared")]
    NoList(KindName),
    /// The sum over all kinds is above [`MAX_SLOTS`].
    #[error("the declared slot kinds allow {0} slots per partition, more than {MAX_SLOTS}")]
    TooMany(u16),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_are_counted_and_declared_in_one_way() {
        let mut kinds = SlotKinds::new();
        let one = Slot::<u8>::lasting("one").kind();
        kinds.add(&[one, one]).unwrap();
        let other = Slot::<u8, Expiring>::expiring("one").kind();
        assert_eq!(kinds.add(&[other]), Err(SlotKindsError::DeclaredTwice(one.name())));
        let many = SlotFamily::<u8, Expiring>::expiring("many", 256, Full::Refuses).kind();
        assert_eq!(kinds.add(&[many]), Err(SlotKindsError::TooMany(257)));
        // A kind that makes room must be declared, and must be lasting.
        for list in [
            None,
            Some(Slot::<u8, Expiring>::expiring("list").kind()),
            Some(SlotFamily::<u8>::lasting("list", 2).kind()),
        ] {
            let listed =
                SlotFamily::<u8, Expiring>::expiring("listed", 2, Full::EvictsUnlisted(KindName::new("list"))).kind();
            let kinds: Vec<SlotKind> = list.into_iter().chain([listed]).collect();
            assert_eq!(SlotKinds::new().add(&kinds), Err(SlotKindsError::NoList(listed.name())));
            let sound = [Slot::<u8>::lasting("list").kind(), listed];
            assert_eq!(SlotKinds::new().add(&sound), Ok(()));
        }
    }

    #[test]
    fn names_that_are_none() {
        for text in ["", "root", "Upper", "a/", "a/zz", "a b", "toolongtoolongtoolongtool", "a/AA", "a\0"] {
            assert_eq!(SlotName::parse(text), Err(UnknownSlot), "{text:?}");
        }
        assert!(SlotName::parse(&format!("session/{}", "0a".repeat(16))).is_ok());
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_printing(text in "\\PC{0,60}") {
            if let Ok(slot) = SlotName::parse(&text) { prop_assert_eq!(slot.to_text(), text); }
        }
    }
}
