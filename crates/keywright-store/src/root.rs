//! The root: the sealed table of contents of a partition, and the part of it that steps see.

use keywright_core::{Entropy, EntropyError, EventChain, UnixSeconds, chain_head};
use serde::{Deserialize, Serialize};

use crate::batch::EventNumber;
use crate::contents::Contents;
use crate::port::Newest;
use crate::revision::{Recent, Revision};
use crate::slot::{KindName, MAX_SLOTS, SlotKinds, SlotName};

mod codec;

/// The largest sealed root that is opened, in bytes. It holds 256 entries of at most 66 bytes and
/// the recent revisions, with space to spare.
pub const MAX_ROOT_BYTES: usize = 32 * 1024;

/// How long after its expiry an entry of the contents is dropped, in seconds. Until then it is
/// kept, so that servers whose clocks differ do not drop what others still accept.
pub(crate) const PRUNE_AFTER: u64 = 86_400;

/// The most events that the chain of denials keeps.
pub const MAX_DENIALS: u64 = 1_000;

/// The most events that the chain of changes keeps.
pub const MAX_CHANGES: u64 = 9_000;

/// How many events are dropped together when a chain is full, so that not every commit has to
/// delete.
const FORGET_AT_ONCE: u64 = 64;

/// An account's root, as steps see it. Sessions, tokens, pending confirmations and held batches
/// record the epochs in which they were made and are void in others, so "end all sessions" is one
/// write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Root {
    /// Moved by a change of challenge, password, keys or address, by recovery, and by an erase.
    pub credential_epoch: u64,
    /// Moved by adding, replacing or removing a second factor.
    pub factor_epoch: u64,
    /// Moved by a swap of the vault.
    pub key_epoch: u64,
    /// When the account's records were created, or last erased.
    pub created: UnixSeconds,
    /// Whether a host has seeded the account from a file, which happens once.
    pub seeded: bool,
    /// Whether the records were dropped for good, and none was put since. See
    /// [`Draft::expire_erased`](crate::Draft::expire_erased).
    pub erased: bool,
}

impl Root {
    /// Creates a new root. Epochs start at random numbers, so that nothing that a lost root had
    /// voided becomes valid again.
    pub(crate) fn new(entropy: &dyn Entropy, now: UnixSeconds) -> Result<Self, EntropyError> {
        let epoch = || keywright_core::random_bytes(entropy).map(u64::from_be_bytes);
        Ok(Self {
            credential_epoch: epoch()?,
            factor_epoch: epoch()?,
            key_epoch: epoch()?,
            created: now,
            seeded: false,
            erased: false,
        })
    }

    /// Returns the epochs that bind what is made now.
    #[must_use]
    pub const fn epochs(&self) -> Epochs {
        Epochs { credential: self.credential_epoch, factor: self.factor_epoch }
    }
}

/// The epochs in which something was made. It is void once either differs from the root's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Epochs {
    /// The credential epoch.
    pub credential: u64,
    /// The factor epoch.
    pub factor: u64,
}

/// One chain of events, as the root authenticates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The oldest number that is kept.
    pub(crate) first: EventNumber,
    /// The number of the next event.
    pub(crate) next: EventNumber,
    /// When the newest event was written. Each event contains the moment of the one before it, from
    /// which a reader can tell whether what is missing at the old end was old enough to be dropped.
    pub(crate) last: UnixSeconds,
    /// The head after the newest event.
    pub(crate) head: [u8; 32],
}

impl Chain {
    pub(crate) const EMPTY: Self = Self { first: 1, next: 1, last: UnixSeconds::EPOCH, head: [0; 32] };

    /// When the newest event was written; `None` if there is none.
    pub(crate) fn last(&self) -> Option<UnixSeconds> {
        (self.next > 1).then_some(self.last)
    }

    /// Appends an event. Returns its number and the head before it.
    pub(crate) fn append(&mut self, at: UnixSeconds, json: &[u8]) -> (EventNumber, [u8; 32]) {
        let (number, prev) = (self.next, self.head);
        self.head = chain_head(&prev, number, at, json);
        self.next = number.saturating_add(1);
        self.last = at;
        (number, prev)
    }

    /// Drops the oldest events if there are more than `most`. Returns the new oldest number.
    fn trim(&mut self, most: u64) -> Option<EventNumber> {
        if self.next.saturating_sub(self.first) <= most {
            return None;
        }
        self.first = self.next.saturating_sub(most.saturating_sub(FORGET_AT_ONCE.min(most / 2)));
        Some(self.first)
    }
}

/// The sealed body of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootRecord {
    /// What steps see; `None` in a blank root, which only records that a creation did not happen.
    pub(crate) state: Option<Root>,
    pub(crate) recent: Recent,
    pub(crate) contents: Contents,
    pub(crate) chains: [Chain; 2],
    /// The moment from which the whole partition may be swept.
    pub(crate) expires: Option<UnixSeconds>,
    /// The earliest due work.
    pub(crate) due_at: Option<UnixSeconds>,
}

impl RootRecord {
    /// The value that stands for an absent root.
    pub(crate) const fn blank() -> Self {
        Self {
            state: None,
            recent: Recent::new(),
            contents: Contents::new(),
            chains: [Chain::EMPTY; 2],
            expires: None,
            due_at: None,
        }
    }

    pub(crate) const fn chain(&self, chain: EventChain) -> &Chain {
        let [changes, denials] = &self.chains;
        match chain {
            EventChain::Changes => changes,
            EventChain::Denials => denials,
        }
    }

    pub(crate) const fn chain_mut(&mut self, chain: EventChain) -> &mut Chain {
        let [changes, denials] = &mut self.chains;
        match chain {
            EventChain::Changes => changes,
            EventChain::Denials => denials,
        }
    }

    /// Drops the oldest events of full chains. Returns what a batch must forget.
    pub(crate) fn trim_chains(&mut self) -> Vec<(EventChain, EventNumber)> {
        let most = |chain| match chain {
            EventChain::Changes => MAX_CHANGES,
            EventChain::Denials => MAX_DENIALS,
        };
        EventChain::ALL
            .into_iter()
            .filter_map(|chain| self.chain_mut(chain).trim(most(chain)).map(|first| (chain, first)))
            .collect()
    }

    /// Returns the first chain whose newest event in the store differs from the one that this root
    /// records.
    pub(crate) fn newest_mismatch(&self, newest: &Newest) -> Option<EventChain> {
        EventChain::ALL.into_iter().find(|&chain| self.chain(chain).next.saturating_sub(1) != newest.of(chain))
    }

    /// Whether this version can have written the root, under this revision.
    pub(crate) fn is_sound(&self, own: Revision) -> bool {
        self.recent.is_sound(own)
            && self.contents.len() <= usize::from(MAX_SLOTS)
            && (self.state.is_some() || self.contents.is_empty())
            && self.chains.iter().all(|chain| chain.first >= 1 && chain.first <= chain.next)
    }

    /// Returns the first slot of a kind that is unknown, or that has more slots than it declares.
    /// The contents are sorted by kind.
    pub(crate) fn undeclared(&self, kinds: &SlotKinds) -> Option<SlotName> {
        let mut run: Option<(KindName, usize)> = None;
        for name in self.contents.keys() {
            let left = match run {
                Some((kind, left)) if kind == name.kind() => left,
                _ => kinds.find(name.kind()).map_or(0, |kind| usize::from(kind.most())),
            };
            let Some(left) = left.checked_sub(1) else { return Some(*name) };
            run = Some((name.kind(), left));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contents::Entry;

    fn with_slots(count: u8) -> RootRecord {
        let mut root = RootRecord::blank();
        root.state = Some(Root::new(&keywright_core::SystemEntropy, UnixSeconds::EPOCH.plus(1_700_000_000)).unwrap());
        for at in 0..16 {
            root.recent.push(Revision::from_bytes([at; 16]));
        }
        for at in 0..count {
            let name = SlotName::new(KindName::new("session"), Some([at; 16]));
            let expiry = Some(UnixSeconds::EPOCH.plus(1_700_000_000));
            root.contents.insert(name, Entry { revision: Revision::from_bytes([at; 16]), expiry });
        }
        root
    }

    #[test]
    fn a_root_of_twenty_entries_stays_inline() {
        // Beyond 1.9 KB PostgreSQL moves the body out of line, which costs two more rows for each
        // commit.
        let size = with_slots(20).encode().body().len();
        assert!(size < 1_900, "{size} bytes");
    }

    #[test]
    fn chains_are_trimmed_from_the_old_end() {
        let mut root = with_slots(0);
        for _ in 0..MAX_DENIALS {
            root.chain_mut(EventChain::Denials).append(UnixSeconds::EPOCH, b"{}");
        }
        assert!(root.trim_chains().is_empty());
        root.chain_mut(EventChain::Denials).append(UnixSeconds::EPOCH, b"{}");
        let [(EventChain::Denials, first)] = root.trim_chains()[..] else { panic!("one chain is full") };
        let chain = root.chain(EventChain::Denials);
        assert_eq!((first, chain.first, chain.next), (66, 66, MAX_DENIALS + 2));
        assert!(root.is_sound(Revision::ZERO) || root.recent.as_slice().contains(&Revision::ZERO));
    }

    #[test]
    fn unsound_roots_are_detected() {
        let own = Revision::from_bytes([0xee; 16]);
        assert!(with_slots(3).is_sound(own));
        assert!(!with_slots(3).is_sound(Revision::from_bytes([3; 16])), "its own revision is among those before");
        let mut repeated = with_slots(0);
        repeated.recent.push(Revision::from_bytes([15; 16]));
        assert!(!repeated.is_sound(own));
        let mut kinds = SlotKinds::new();
        assert!(with_slots(1).undeclared(&kinds).is_some());
        kinds
            .add(&[crate::SlotFamily::<u8, crate::slot::Expiring>::expiring("session", 2, crate::Full::Refuses).kind()])
            .unwrap();
        assert!(with_slots(2).undeclared(&kinds).is_none());
        assert!(with_slots(3).undeclared(&kinds).is_some());
    }
}
