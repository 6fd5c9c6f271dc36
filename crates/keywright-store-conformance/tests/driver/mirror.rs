//! The stored form of a root, written down a second time, so that roots can be made that no driver
//! makes.

const HAS_STATE: u8 = 1;
const SEEDED: u8 = 1 << 1;
const EXPIRES: u8 = 1 << 2;
const DUE: u8 = 1 << 3;
const ERASED: u8 = 1 << 4;
const HAS_CHAIN: [u8; 2] = [1 << 5, 1 << 6];

/// A root, field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Three epochs, and when it was made.
    pub(crate) state: Option<([u64; 3], u64)>,
    pub(crate) seeded: bool,
    pub(crate) erased: bool,
    pub(crate) expires: Option<u64>,
    pub(crate) due_at: Option<u64>,
    pub(crate) recent: Vec<[u8; 16]>,
    pub(crate) chains: [Chain; 2],
    /// Kinds with their slots: an id, the revision under which the record was put, its expiry.
    pub(crate) contents: Vec<(String, Vec<Entry>)>,
}

pub(crate) type Entry = (Option<[u8; 16]>, [u8; 16], Option<u64>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) first: u64,
    pub(crate) next: u64,
    pub(crate) last: u64,
    pub(crate) head: [u8; 32],
}

const EMPTY: Chain = Chain { first: 1, next: 1, last: 0, head: [0; 32] };

/// Which parts an entry has.
fn parts((id, _, expiry): &Entry) -> u8 {
    u8::from(id.is_some()) | u8::from(expiry.is_some()) << 1
}

impl Mirror {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let mut out = vec![
            flag(self.state.is_some(), HAS_STATE)
                | flag(self.seeded, SEEDED)
                | flag(self.expires.is_some(), EXPIRES)
                | flag(self.due_at.is_some(), DUE)
                | flag(self.erased, ERASED)
                | flag(self.chains[0] != EMPTY, HAS_CHAIN[0])
                | flag(self.chains[1] != EMPTY, HAS_CHAIN[1]),
        ];
        if let Some((epochs, created)) = self.state {
            epochs.iter().for_each(|epoch| out.extend_from_slice(&epoch.to_be_bytes()));
            put_moment(&mut out, created);
        }
        self.expires.iter().chain(&self.due_at).for_each(|moment| put_moment(&mut out, *moment));
        out.push(self.recent.len().try_into().unwrap());
        self.recent.iter().for_each(|revision| out.extend_from_slice(revision));
        for Chain { first, next, last, head } in self.chains.iter().filter(|chain| **chain != EMPTY) {
            put_number(&mut out, *first);
            put_number(&mut out, *next);
            put_moment(&mut out, *last);
            out.extend_from_slice(head);
        }
        for (kind, entries) in &self.contents {
            // A kind without slots has an empty run.
            let none: &[Entry] = &[];
            let runs = entries.chunk_by(|one, other| parts(one) == parts(other));
            for run in runs.chain(entries.is_empty().then_some(none)) {
                out.push(kind.len().try_into().unwrap());
                out.extend_from_slice(kind.as_bytes());
                out.push(run.first().map_or(0, parts));
                out.extend_from_slice(&u16::try_from(run.len()).unwrap().to_be_bytes());
                for (id, revision, expiry) in run {
                    id.iter().for_each(|id| out.extend_from_slice(id));
                    out.extend_from_slice(revision);
                    expiry.iter().for_each(|expiry| put_moment(&mut out, *expiry));
                }
            }
        }
        out
    }

    /// Decodes what a driver wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let [flags] = take(&mut rest);
        let epoch = |rest: &mut &[u8]| u64::from_be_bytes(take(rest));
        let state = (flags & HAS_STATE != 0).then(|| {
            let epochs = [epoch(&mut rest), epoch(&mut rest), epoch(&mut rest)];
            (epochs, moment(&mut rest))
        });
        let expires = (flags & EXPIRES != 0).then(|| moment(&mut rest));
        let due_at = (flags & DUE != 0).then(|| moment(&mut rest));
        let [recent] = take(&mut rest);
        let recent = (0..recent).map(|_| take(&mut rest)).collect();
        let chains = HAS_CHAIN.map(|flag| match flags & flag {
            0 => EMPTY,
            _ => Chain {
                first: number(&mut rest),
                next: number(&mut rest),
                last: moment(&mut rest),
                head: take(&mut rest),
            },
        });
        let mut contents: Vec<(String, Vec<Entry>)> = Vec::new();
        while !rest.is_empty() {
            let [length] = take(&mut rest);
            let (kind, after) = rest.split_at(length.into());
            rest = after;
            let kind = String::from_utf8(kind.to_vec()).unwrap();
            let [parts] = take(&mut rest);
            let count = u16::from_be_bytes(take(&mut rest));
            let entries = (0..count).map(|_| {
                let id = (parts & 1 != 0).then(|| take(&mut rest));
                let revision = take(&mut rest);
                (id, revision, (parts & 2 != 0).then(|| moment(&mut rest)))
            });
            let entries: Vec<Entry> = entries.collect();
            match contents.last_mut() {
                Some((last, before)) if *last == kind => before.extend(entries),
                _ => contents.push((kind, entries)),
            }
        }
        let (seeded, erased) = (flags & SEEDED != 0, flags & ERASED != 0);
        Self { state, seeded, erased, expires, due_at, recent, chains, contents }
    }
}

fn put_moment(out: &mut Vec<u8>, moment: u64) {
    out.extend_from_slice(&moment.to_be_bytes()[3..]);
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number % 0x80) as u8 | 0x80);
        number /= 0x80;
    }
    out.push(number as u8);
}

fn number(rest: &mut &[u8]) -> u64 {
    let [byte] = take(rest);
    let more = if byte & 0x80 == 0 { 0 } else { number(rest) * 0x80 };
    more | u64::from(byte & 0x7f)
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, after) = rest.split_first_chunk::<N>().unwrap();
    *rest = after;
    *taken
}

fn moment(rest: &mut &[u8]) -> u64 {
    let [a, b, c, d, e] = take(rest);
    u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
}
