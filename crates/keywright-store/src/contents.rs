//! The contents of a root, and the bytes of the whole root record.
//!
//! A codec by hand: a root is encoded and decoded by every act, and a general one took longer than the cipher around it.
//! Everything has a fixed width but the names of kinds, which are written once for all slots of the kind.

use keywright_core::{SealBuffer, UnixSeconds};

use crate::Revision;
use crate::root::{Chain, Entry, Root, RootRecord};
use crate::slot::{KindName, SlotName};

/// Moments take five bytes: the year 9999 is below 2³⁸ seconds.
const MOMENT: usize = 5;

/// What a root says of each record, sorted by slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents(Vec<(SlotName, Entry)>);

impl Contents {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    fn find(&self, name: &SlotName) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(name))
    }

    pub(crate) fn get(&self, name: &SlotName) -> Option<&Entry> {
        self.find(name).ok().and_then(|at| self.0.get(at)).map(|(_, entry)| entry)
    }

    pub(crate) fn contains_key(&self, name: &SlotName) -> bool {
        self.find(name).is_ok()
    }

    pub(crate) fn insert(&mut self, name: SlotName, entry: Entry) {
        match self.find(&name) {
            Ok(at) => {
                if let Some(slot) = self.0.get_mut(at) {
                    slot.1 = entry;
                }
            }
            Err(at) => self.0.insert(at, (name, entry)),
        }
    }

    pub(crate) fn remove(&mut self, name: &SlotName) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &SlotName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Names and entries, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(SlotName, Entry)> {
        self.0.iter()
    }
}

const HAS_STATE: u8 = 1;
const SEEDED: u8 = 1 << 1;
const EXPIRES: u8 = 1 << 2;
const DUE: u8 = 1 << 3;
const ERASED: u8 = 1 << 4;

const HAS_ID: u8 = 1;
const HAS_EXPIRY: u8 = 1 << 1;

/// The bytes of an entry: flags, id, revision, expiry.
const MOST_ENTRY: usize = 1 + 16 + 16 + MOMENT;

/// The most bytes before the entries: flags, the state, two moments, the recent revisions, two chains.
const MOST_HEAD: usize = 1 + 3 * 8 + MOMENT + 2 * MOMENT + 1 + 16 * crate::RECENT + 2 * CHAIN;

/// The bytes of a chain.
const CHAIN: usize = 8 + 8 + MOMENT + 32;

/// Writes a root where it is sealed, in a buffer that is sized once.
pub(crate) fn encode(root: &RootRecord) -> SealBuffer {
    let entries = root.contents.0.as_slice();
    let kinds = entries.chunk_by(|(one, _), (other, _)| one.kind() == other.kind());
    let names = kinds.clone().filter_map(<[_]>::first).fold(0_usize, |sum, (name, _)| {
        // The kind's length, its name, and how many there are.
        sum.saturating_add(name.kind().as_str().len()).saturating_add(3)
    });
    let most = entries.len().saturating_mul(MOST_ENTRY).saturating_add(names).saturating_add(MOST_HEAD);
    let mut out = SealBuffer::with_capacity(most);
    put_head(&mut out, root);
    for group in kinds {
        let Some((first, _)) = group.first() else { continue };
        let kind = first.kind();
        out.put(&[u8::try_from(kind.as_str().len()).unwrap_or(u8::MAX)]);
        out.put(kind.as_str().as_bytes());
        out.put(&u16::try_from(group.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (name, entry) in group {
            put_entry(&mut out, name, entry);
        }
    }
    out
}

const fn flag(on: bool, flag: u8) -> u8 {
    if on { flag } else { 0 }
}

/// What comes before the contents.
fn put_head(out: &mut SealBuffer, root: &RootRecord) {
    out.put(&[flag(root.state.is_some(), HAS_STATE)
        | flag(root.state.is_some_and(|state| state.seeded), SEEDED)
        | flag(root.expires.is_some(), EXPIRES)
        | flag(root.due_at.is_some(), DUE)
        | flag(root.state.is_some_and(|state| state.erased), ERASED)]);
    if let Some(state) = &root.state {
        for epoch in [state.credential_epoch, state.factor_epoch, state.key_epoch] {
            out.put(&epoch.to_be_bytes());
        }
        out.put(&moment(state.created));
    }
    root.expires.iter().chain(&root.due_at).for_each(|at| out.put(&moment(*at)));
    // At most sixteen, and at most 256: both fit.
    out.put(&[u8::try_from(root.recent.as_slice().len()).unwrap_or(u8::MAX)]);
    root.recent.as_slice().iter().for_each(|revision| out.put(&revision.to_bytes()));
    for chain in &root.chains {
        out.put(&chain.first.to_be_bytes());
        out.put(&chain.next.to_be_bytes());
        out.put(&moment(chain.last));
        out.put(&chain.head);
    }
}

/// One entry. Nearly all have an id and an expiry, or neither, and are put in one piece.
fn put_entry(out: &mut SealBuffer, name: &SlotName, entry: &Entry) {
    let (id, revision) = (name.id(), entry.revision.to_bytes());
    let flags = flag(id.is_some(), HAS_ID) | flag(entry.expiry.is_some(), HAS_EXPIRY);
    if let (Some(id), Some(expiry)) = (id, entry.expiry) {
        let mut piece = [0_u8; MOST_ENTRY];
        let (head, rest) = piece.split_at_mut(1);
        let (id_part, rest) = rest.split_at_mut(16);
        let (revision_part, expiry_part) = rest.split_at_mut(16);
        head.fill(flags);
        id_part.copy_from_slice(&id);
        revision_part.copy_from_slice(&revision);
        expiry_part.copy_from_slice(&moment(expiry));
        out.put(&piece);
        return;
    }
    out.put(&[flags]);
    id.iter().for_each(|id| out.put(id));
    out.put(&revision);
    entry.expiry.iter().for_each(|expiry| out.put(&moment(*expiry)));
}

/// Reads a root; `None` for bytes that [`encode`] does not write.
pub(crate) fn decode(bytes: &[u8]) -> Option<RootRecord> {
    let mut reader = Reader(bytes);
    let [flags] = reader.take()?;
    if flags & !(HAS_STATE | SEEDED | EXPIRES | DUE | ERASED) != 0 {
        return None;
    }
    let mut root = RootRecord::blank();
    if flags & HAS_STATE != 0 {
        root.state = Some(Root {
            credential_epoch: u64::from_be_bytes(reader.take()?),
            factor_epoch: u64::from_be_bytes(reader.take()?),
            key_epoch: u64::from_be_bytes(reader.take()?),
            created: reader.moment()?,
            seeded: flags & SEEDED != 0,
            erased: flags & ERASED != 0,
        });
    } else if flags & (SEEDED | ERASED) != 0 {
        return None;
    }
    root.expires = if flags & EXPIRES != 0 { Some(reader.moment()?) } else { None };
    root.due_at = if flags & DUE != 0 { Some(reader.moment()?) } else { None };
    let [recent] = reader.take()?;
    let mut revisions = Vec::with_capacity(recent.into());
    for _ in 0..recent {
        revisions.push(Revision::from_bytes(reader.take()?));
    }
    root.recent = crate::Recent::from_newest_first(revisions)?;
    for chain in &mut root.chains {
        let (first, next) = (u64::from_be_bytes(reader.take()?), u64::from_be_bytes(reader.take()?));
        *chain = Chain { first, next, last: reader.moment()?, head: reader.take()? };
    }
    let mut contents: Vec<(SlotName, Entry)> = Vec::with_capacity((reader.0.len() / 40).saturating_add(1));
    while !reader.0.is_empty() {
        reader.group(&mut contents)?;
    }
    root.contents = Contents(contents);
    Some(root)
}

const fn moment(moment: UnixSeconds) -> [u8; MOMENT] {
    let [.., a, b, c, d, e] = moment.get().to_be_bytes();
    [a, b, c, d, e]
}

/// The id of a slot within its kind, as a number: the order of numbers is that of the bytes.
type SlotId = Option<u128>;

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn moment(&mut self) -> Option<UnixSeconds> {
        let [a, b, c, d, e] = self.take()?;
        UnixSeconds::new(u64::from_be_bytes([0, 0, 0, a, b, c, d, e])).ok()
    }

    /// All slots of one kind. Names must come in order, so none is listed twice.
    fn group(&mut self, contents: &mut Vec<(SlotName, Entry)>) -> Option<()> {
        let [length] = self.take()?;
        let (kind, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        let kind = KindName::from_bytes(kind)?;
        let count = u16::from_be_bytes(self.take()?);
        if count == 0 || contents.last().is_some_and(|(last, _)| last.kind() >= kind) {
            return None;
        }
        let mut before: Option<SlotId> = None;
        for _ in 0..count {
            let [flags] = self.take()?;
            if flags & !(HAS_ID | HAS_EXPIRY) != 0 {
                return None;
            }
            let id = if flags & HAS_ID != 0 { Some(self.take()?) } else { None };
            // Of one kind, so the ids alone are in order.
            let order: SlotId = id.map(u128::from_be_bytes);
            if before.is_some_and(|before| before >= order) {
                return None;
            }
            before = Some(order);
            let name = SlotName::new(kind, id);
            let revision = Revision::from_bytes(self.take()?);
            let expiry = if flags & HAS_EXPIRY != 0 { Some(self.moment()?) } else { None };
            contents.push((name, Entry { revision, expiry }));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment() -> impl Strategy<Value = UnixSeconds> {
        (0..=UnixSeconds::MAX.get()).prop_map(|seconds| UnixSeconds::new(seconds).unwrap())
    }

    fn revision() -> impl Strategy<Value = Revision> {
        any::<[u8; 16]>().prop_map(Revision::from_bytes)
    }

    fn entry() -> impl Strategy<Value = (SlotName, Entry)> {
        let kind = prop::sample::select(vec!["challenge", "session", "token", "a"]).prop_map(KindName::new);
        let expiry = prop::option::of(moment());
        (kind, prop::option::of(any::<[u8; 16]>()), revision(), expiry)
            .prop_map(|(kind, id, revision, expiry)| (SlotName::new(kind, id), Entry { revision, expiry }))
    }

    fn chain() -> impl Strategy<Value = Chain> {
        (any::<u64>(), any::<u64>(), moment(), any::<[u8; 32]>()).prop_map(|(first, next, last, head)| Chain {
            first,
            next,
            last,
            head,
        })
    }

    fn root() -> impl Strategy<Value = RootRecord> {
        let state =
            (any::<[u64; 3]>(), moment(), any::<[bool; 2]>()).prop_map(|([a, b, c], created, [seeded, erased])| Root {
                credential_epoch: a,
                factor_epoch: b,
                key_epoch: c,
                created,
                seeded,
                erased,
            });
        let parts = (
            prop::option::of(state),
            prop::collection::vec(revision(), 0..=16),
            prop::collection::vec(entry(), 0..40),
            [chain(), chain()],
            prop::option::of(moment()),
            prop::option::of(moment()),
        );
        parts.prop_map(|(state, recent, entries, chains, expires, due_at)| {
            let mut contents = Contents::new();
            entries.into_iter().for_each(|(name, entry)| contents.insert(name, entry));
            let recent = crate::Recent::from_newest_first(recent).unwrap();
            RootRecord { state, recent, contents, chains, expires, due_at }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(root in root()) {
            let bytes = encode(&root);
            prop_assert_eq!(decode(bytes.body()), Some(root));
            let (_, shorter) = bytes.body().split_last().unwrap();
            prop_assert_eq!(decode(shorter), None);
        }

        #[test]
        fn one_root_has_one_form(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Some(root) = decode(&bytes) {
                let again = encode(&root);
                prop_assert_eq!(again.body(), bytes.as_slice());
            }
        }

        #[test]
        fn a_changed_byte_is_another_root_or_none(root in root(), at in any::<prop::sample::Index>(), by in 1..=255_u8) {
            let mut bytes = encode(&root).body().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            if let Some(other) = decode(&bytes) {
                prop_assert_ne!(&other, &root);
                let again = encode(&other);
                prop_assert_eq!(again.body(), bytes.as_slice());
            }
        }
    }

    #[test]
    fn the_names_stay_sorted() {
        let name = |id: u8| SlotName::new(KindName::new("a"), Some([id; 16]));
        let entry = Entry { revision: Revision::ZERO, expiry: None };
        let mut contents = Contents::new();
        for id in [3, 1, 2, 1] {
            contents.insert(name(id), entry);
        }
        assert_eq!(contents.keys().copied().collect::<Vec<_>>(), [1, 2, 3].map(name));
        contents.remove(&name(2));
        contents.remove(&name(9));
        assert!(contents.contains_key(&name(1)) && !contents.contains_key(&name(2)) && contents.len() == 2);
        assert!(contents.get(&name(3)).is_some());
        contents.clear();
        assert!(contents.is_empty());
    }
}
