//! The bytes of a root record.
//!
//! The codec is hand-written: every operation encodes and decodes a root, and a general one took
//! longer than the cipher around it. Everything has a fixed width except the names of kinds, which
//! are written once for all slots of the kind.

use keywright_core::{SealBuffer, UnixSeconds};

use super::{Chain, Root, RootRecord};
use crate::contents::{Contents, Entry};
use crate::revision::Revision;
use crate::slot::{KindName, SlotName};

impl RootRecord {
    /// The version of the record's bytes.
    pub(crate) const SCHEMA: u16 = 1;

    /// Returns the bytes to seal, in the buffer in which they are sealed.
    pub(crate) fn encode(&self) -> SealBuffer {
        encode(self)
    }

    /// Decodes the bytes of a schema. Returns `None` for any bytes that this version does not
    /// write.
    pub(crate) fn decode(schema: u16, bytes: &[u8]) -> Option<Self> {
        if schema == Self::SCHEMA { decode(bytes) } else { None }
    }
}

/// The width of a moment: the year 9999 is below 2³⁸ seconds.
const MOMENT: usize = 5;

const HAS_STATE: u8 = 1;
const SEEDED: u8 = 1 << 1;
const EXPIRES: u8 = 1 << 2;
const DUE: u8 = 1 << 3;
const ERASED: u8 = 1 << 4;
/// One flag for each chain. Without it the chain is empty, as that of denials nearly always is.
const HAS_CHAIN: [u8; 2] = [1 << 5, 1 << 6];
const KNOWN: u8 = HAS_STATE | SEEDED | EXPIRES | DUE | ERASED | HAS_CHAIN[0] | HAS_CHAIN[1];

const HAS_ID: u8 = 1;
const HAS_EXPIRY: u8 = 1 << 1;

/// The largest width of an entry: id, revision, expiry.
const ENTRY: usize = 16 + 16 + MOMENT;

/// The largest width of a chain: two numbers, a moment, the head.
const CHAIN: usize = 2 * MOST_NUMBER + MOMENT + 32;

/// The largest width of a number, with seven bits in each byte.
const MOST_NUMBER: usize = 10;

/// The largest width of what comes before the entries: flags, the state, two moments, the recent
/// revisions, two chains.
const HEAD: usize = 1 + 3 * 8 + MOMENT + 2 * MOMENT + 1 + 16 * crate::revision::RECENT + 2 * CHAIN;

/// Writes a root in the buffer in which it is sealed, which is sized once. Entries of one kind that
/// have the same parts form a run, before which kind and parts are written once.
fn encode(root: &RootRecord) -> SealBuffer {
    let entries = root.contents.as_slice();
    let runs = entries
        .chunk_by(|(one, entry), (other, next)| parts(one, entry) == parts(other, next) && one.kind() == other.kind());
    // The largest possible size. The excess is freed with the buffer, and costs nothing.
    let most = entries.len().saturating_mul(ENTRY + crate::slot::MAX_KIND_BYTES + 4).saturating_add(HEAD);
    let mut out = SealBuffer::with_capacity(most);
    put_head(&mut out, root);
    for run in runs {
        let Some((first, entry)) = run.first() else { continue };
        let kind = first.kind();
        out.put(&[u8::try_from(kind.as_str().len()).unwrap_or(u8::MAX)]);
        out.put(kind.as_str().as_bytes());
        let [high, low] = u16::try_from(run.len()).unwrap_or(u16::MAX).to_be_bytes();
        out.put(&[parts(first, entry), high, low]);
        for (name, entry) in run {
            put_entry(&mut out, name, entry);
        }
    }
    out
}

const fn flag(on: bool, flag: u8) -> u8 {
    if on { flag } else { 0 }
}

const fn parts(name: &SlotName, entry: &Entry) -> u8 {
    flag(name.id().is_some(), HAS_ID) | flag(entry.expiry.is_some(), HAS_EXPIRY)
}

/// Writes what comes before the contents.
fn put_head(out: &mut SealBuffer, root: &RootRecord) {
    let chains = root.chains.iter().zip(HAS_CHAIN).filter(|(chain, _)| **chain != Chain::EMPTY);
    out.put(&[flag(root.state.is_some(), HAS_STATE)
        | flag(root.state.is_some_and(|state| state.seeded), SEEDED)
        | flag(root.expires.is_some(), EXPIRES)
        | flag(root.due_at.is_some(), DUE)
        | flag(root.state.is_some_and(|state| state.erased), ERASED)
        | chains.clone().fold(0, |flags, (_, flag)| flags | flag)]);
    if let Some(state) = &root.state {
        for epoch in [state.credential_epoch, state.factor_epoch, state.key_epoch] {
            out.put(&epoch.to_be_bytes());
        }
        out.put(&moment(state.created));
    }
    root.expires.iter().chain(&root.due_at).for_each(|at| out.put(&moment(*at)));
    // At most sixteen, and at most 256, so both fit.
    out.put(&[u8::try_from(root.recent.as_slice().len()).unwrap_or(u8::MAX)]);
    root.recent.as_slice().iter().for_each(|revision| out.put(&revision.to_bytes()));
    for (chain, _) in chains {
        put_number(out, chain.first);
        put_number(out, chain.next);
        out.put(&moment(chain.last));
        out.put(&chain.head);
    }
}

/// Writes seven bits in each byte, the lowest first. All bytes except the last have the high bit
/// set.
fn put_number(out: &mut SealBuffer, mut number: u64) {
    while number >= 0x80 {
        let [.., low] = number.to_be_bytes();
        out.put(&[low | 0x80]);
        number >>= 7;
    }
    let [.., low] = number.to_be_bytes();
    out.put(&[low]);
}

fn put_entry(out: &mut SealBuffer, name: &SlotName, entry: &Entry) {
    let revision = entry.revision.to_bytes();
    let (Some(id), Some(expiry)) = (name.id(), entry.expiry) else {
        name.id().iter().for_each(|id| out.put(id));
        out.put(&revision);
        entry.expiry.iter().for_each(|expiry| out.put(&moment(*expiry)));
        return;
    };
    // The entries that an account has many of, its sessions and tokens, are written in one piece.
    let mut piece = [0_u8; ENTRY];
    let (id_part, rest) = piece.split_at_mut(16);
    let (revision_part, expiry_part) = rest.split_at_mut(16);
    id_part.copy_from_slice(&id);
    revision_part.copy_from_slice(&revision);
    expiry_part.copy_from_slice(&moment(expiry));
    out.put(&piece);
}

/// Decodes a root. Returns `None` for bytes that [`encode`] does not write.
fn decode(bytes: &[u8]) -> Option<RootRecord> {
    let mut reader = Reader(bytes);
    let [flags] = reader.take()?;
    if flags & !KNOWN != 0 {
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
    root.recent = crate::revision::Recent::from_newest_first(revisions)?;
    for (chain, flag) in root.chains.iter_mut().zip(HAS_CHAIN) {
        if flags & flag != 0 {
            let (first, next) = (reader.number()?, reader.number()?);
            *chain = Chain { first, next, last: reader.moment()?, head: reader.take()? };
            if *chain == Chain::EMPTY {
                return None;
            }
        }
    }
    // Exact if all have id and expiry, and nearly so if a few have not.
    let mut contents: Vec<(SlotName, Entry)> = Vec::with_capacity((reader.0.len() / ENTRY).saturating_add(1));
    let mut before = None;
    while !reader.0.is_empty() {
        before = Some(reader.run(before, &mut contents)?);
    }
    root.contents = Contents::from_sorted(contents);
    Some(root)
}

const fn moment(moment: UnixSeconds) -> [u8; MOMENT] {
    let [.., a, b, c, d, e] = moment.get().to_be_bytes();
    [a, b, c, d, e]
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn moment(&mut self) -> Option<UnixSeconds> {
        read_moment(self.take()?)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.take()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            number |= shifted;
            if byte & 0x80 == 0 {
                // Only the shortest form is accepted.
                return (shift == 0 || bits != 0).then_some(number);
            }
        }
        None
    }

    /// Reads a run of entries. Returns its kind and parts. Names must come in order, so that none
    /// is listed twice, and entries that could form one run must be one.
    fn run(&mut self, before: Option<(KindName, u8)>, contents: &mut Vec<(SlotName, Entry)>) -> Option<(KindName, u8)> {
        let [length] = self.take()?;
        let (kind, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        let kind = KindName::from_bytes(kind)?;
        let [parts, high, low] = self.take()?;
        let count = usize::from(u16::from_be_bytes([high, low]));
        let follows = before.is_none_or(|(last, with)| last < kind || (last == kind && with != parts));
        if count == 0 || parts & !(HAS_ID | HAS_EXPIRY) != 0 || !follows {
            return None;
        }
        // The kind is the same, so the order is that of the ids. Big-endian numbers have the same
        // order as their bytes.
        let order = |id: Option<[u8; 16]>| id.map(u128::from_be_bytes);
        let mut last = contents.last().filter(|(name, _)| name.kind() == kind).map(|(name, _)| order(name.id()));
        let mut push = |id, revision, expiry| {
            let this = order(id);
            let in_order = last.is_none_or(|last| last < this);
            last = Some(this);
            contents.push((SlotName::new(kind, id), Entry { revision: Revision::from_bytes(revision), expiry }));
            in_order.then_some(())
        };
        if parts == HAS_ID | HAS_EXPIRY {
            let (entries, rest) = self.0.split_at_checked(count.checked_mul(ENTRY)?)?;
            self.0 = rest;
            for entry in entries.as_chunks::<ENTRY>().0 {
                let (id, rest) = entry.split_first_chunk()?;
                let (revision, expiry) = rest.split_first_chunk()?;
                push(Some(*id), *revision, Some(read_moment(*expiry.first_chunk()?)?))?;
            }
            return Some((kind, parts));
        }
        for _ in 0..count {
            let id = if parts & HAS_ID != 0 { Some(self.take()?) } else { None };
            let revision = self.take()?;
            let expiry = if parts & HAS_EXPIRY != 0 { Some(self.moment()?) } else { None };
            push(id, revision, expiry)?;
        }
        Some((kind, parts))
    }
}

fn read_moment([a, b, c, d, e]: [u8; MOMENT]) -> Option<UnixSeconds> {
    UnixSeconds::new(u64::from_be_bytes([0, 0, 0, a, b, c, d, e])).ok()
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
        let number = || prop_oneof![0..300_u64, any::<u64>()];
        let filled = (number(), number(), moment(), any::<[u8; 32]>()).prop_map(|(first, next, last, head)| Chain {
            first,
            next,
            last,
            head,
        });
        prop_oneof![Just(Chain::EMPTY), filled]
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
            let recent = crate::revision::Recent::from_newest_first(recent).unwrap();
            RootRecord { state, recent, contents, chains, expires, due_at }
        })
    }

    #[test]
    fn numbers_have_one_form() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX - 1, u64::MAX] {
            let mut out = SealBuffer::with_capacity(MOST_NUMBER);
            put_number(&mut out, number);
            let mut reader = Reader(out.body());
            assert_eq!((reader.number(), reader.0), (Some(number), &[][..]));
        }
        for other in [
            &[0x80, 0][..],
            &[0xff],
            &[0xff; 10],
            &[0x80; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            assert_eq!(Reader(other).number(), None, "{other:?}");
        }
    }

    #[test]
    fn an_empty_chain_takes_no_bytes_and_one_that_is_written_is_none() {
        let mut root = RootRecord::blank();
        assert_eq!(encode(&root).body(), [0, 0], "no flags, no recent revision");
        // first and next 1, the epoch, the zero head.
        let written = [&[HAS_CHAIN[0], 0, 1, 1][..], &[0; MOMENT + 32]].concat();
        assert_eq!(decode(&written), None);
        root.chains[0].append(UnixSeconds::EPOCH, b"{}");
        assert_eq!(decode(encode(&root).body()), Some(root));
    }

    #[test]
    fn a_run_that_is_two_is_refused() {
        let run = |id: u8| [&[1, b'a', HAS_ID, 0, 1][..], &[id; 16], &[9; 16]].concat();
        let two = [&[0, 0][..], &run(1), &run(2)].concat();
        assert_eq!(decode(&two), None);
        let one = [&[0, 0, 1, b'a', HAS_ID, 0, 2][..], &[1; 16], &[9; 16], &[2; 16], &[9; 16]].concat();
        assert_eq!(encode(&decode(&one).unwrap()).body(), one);
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
}
