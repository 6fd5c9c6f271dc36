//! The stored state: what is pending, at most eight confirmations (`docs/decisions.md` 8), and what
//! has been used up.
//!
//! There are two records, because losing them has different effects (`docs/security.md` § 3).
//! Without the pending confirmations everything is denied, so that record may expire. Without the
//! counts, mails, attempts and events would be counted from zero, so that record is kept.

use keywright_core::{ActionName, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{Draft, Epochs, Record, Slot, StepError};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};

use crate::action::{Binding, Place};
use crate::code::{CancelToken, Code, Label};
use crate::events::Reason;
use crate::outbox::Outbox;
use crate::policy::{CODE_SECONDS, CODE_TRIES, ConfirmPolicy, MAILED_MAX_SECONDS, MAX_PENDING, MAX_WAIT_SECONDS};
use crate::repeats::Tallies;

/// The account's pending confirmations.
pub(crate) const PENDING: Slot<PendingList, Expiring> = Slot::expiring("confirm-pending");

/// The counts of what has been used up.
pub(crate) const COUNTS: Slot<Counts> = Slot::lasting("confirm-counts");

/// The maximum number of cancel tokens of one pending confirmation. Each notice has one, and the
/// newest are kept. A link in the first mail still works after the second was sent.
const MAX_CANCELS: usize = 5;

/// All pending confirmations of an account. Its stored form is hostile input: anything that this
/// crate cannot have written is an error of the decoder.
#[derive(Default, Serialize, Deserialize)]
#[serde(try_from = "StoredList")]
pub(crate) struct PendingList {
    /// The confirmations, oldest first, with at most one for an (action, session).
    pending: Vec<Pending>,
}

/// One pending confirmation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The action's name, for events.
    pub(crate) action: String,
    pub(crate) place: Place,
    digest: [u8; 32],
    pub(crate) style: Style,
    /// The hashes of the cancel tokens, newest last.
    cancels: Vec<[u8; 32]>,
    made: UnixSeconds,
    /// The first time at which the confirmation is void; for a wait, the end of its use.
    pub(crate) expires: UnixSeconds,
    epochs: Epochs,
}

/// How it is confirmed. Each variant holds only what that state needs.
#[derive(Serialize, Deserialize)]
pub(crate) enum Style {
    /// By a code that was shown and is to be typed back, with the number of wrong attempts.
    TypedCode { code: Code, tries: u8 },
    /// By a wait, from this time on.
    Wait { earliest: UnixSeconds },
    /// By a code that was mailed and is to be typed back. Its attempts are counted in the outbox,
    /// which outlives it.
    MailedCode { code: Code },
    /// It was granted, invalidated by wrong attempts, or cancelled. The record is written, not
    /// deleted (`docs/decisions.md` 7); the next request or the sweep removes it. The code of a
    /// grant is kept until it is replayed once, for the one event.
    Spent { code: Option<Code> },
}

/// The time and state at which an attempt is decided, which determine what is void.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: UnixSeconds,
    epochs: Epochs,
    fence: UnixSeconds,
}

impl Now {
    pub(crate) fn of(draft: &Draft<'_>) -> Result<Self, StepError> {
        Ok(Self { at: draft.now(), epochs: draft.root()?.epochs(), fence: draft.keyring().fence() })
    }
}

impl Pending {
    pub(crate) fn new(binding: &Binding, now: &Now, style: Style, expires: UnixSeconds) -> Self {
        Self {
            action: binding.action.into(),
            place: binding.place,
            digest: binding.digest,
            style,
            cancels: Vec::new(),
            made: now.at,
            expires,
            epochs: now.epochs,
        }
    }

    /// Returns why it can no longer be confirmed, whatever is typed.
    pub(crate) fn void(&self, now: &Now) -> Option<Reason> {
        // A creation time in the future means that the clock went back, so the age is unknown.
        if self.made > now.at || self.made < now.fence || self.epochs != now.epochs {
            return Some(Reason::Unbound);
        }
        (now.at >= self.expires).then_some(Reason::Expired)
    }

    /// Whether it was requested with this very action, target, parameters and session.
    pub(crate) fn is_bound_to(&self, binding: &Binding) -> Choice {
        self.digest.as_slice().ct_eq(binding.digest.as_slice())
    }

    /// Replaces the mailed code with a new one. The new code expires no later than the old one
    /// would have: a client that can have a mail sent again must not keep a confirmation pending
    /// for ever.
    pub(crate) fn renew(&mut self, code: Code, now: &Now) {
        self.style = Style::MailedCode { code };
        self.made = now.at;
    }

    /// Marks it as spent. The code of a grant is kept, to recognize a replay.
    pub(crate) fn spend(&mut self, granted: bool) {
        let old = std::mem::replace(&mut self.style, Style::Spent { code: None });
        if let (true, Style::TypedCode { code, .. } | Style::MailedCode { code }) = (granted, old) {
            self.style = Style::Spent { code: Some(code) };
        }
    }

    /// Whether a text is the code that was granted here. Returns true only once.
    pub(crate) fn is_replay(&mut self, label: Label, text: &[u8]) -> bool {
        let Style::Spent { code } = &mut self.style else { return false };
        let replay = code.as_ref().is_some_and(|code| code.matches(label, text).into());
        if replay {
            *code = None;
        }
        replay
    }

    pub(crate) const fn is_spent(&self) -> bool {
        matches!(self.style, Style::Spent { .. })
    }

    pub(crate) fn allow_cancel(&mut self, token: &CancelToken) {
        if self.cancels.len() >= MAX_CANCELS {
            self.cancels.remove(0);
        }
        self.cancels.push(token.hash());
    }

    fn is_bounded(&self) -> bool {
        // No style lives longer than this after it was made.
        let life = match &self.style {
            Style::TypedCode { tries, .. } if *tries < CODE_TRIES => CODE_SECONDS,
            Style::TypedCode { .. } => return false,
            Style::Wait { earliest } if self.made <= *earliest && *earliest <= self.expires => {
                MAX_WAIT_SECONDS.saturating_add(MAX_WAIT_SECONDS)
            }
            Style::Wait { .. } => return false,
            Style::MailedCode { .. } | Style::Spent { .. } => MAILED_MAX_SECONDS,
        };
        (1..=ActionName::MAX_BYTES).contains(&self.action.len())
            && self.cancels.len() <= MAX_CANCELS
            && self.made <= self.expires
            && self.expires.since(self.made) <= life
    }
}

impl PendingList {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(PENDING)?.unwrap_or_default())
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        match self.pending.iter().map(|pending| pending.expires).max() {
            Some(ends) => draft.put_until(PENDING, self, ends),
            None => draft.delete(PENDING),
        }
    }

    /// Returns what is pending for an (action, session), void or not.
    pub(crate) fn at(&mut self, place: &Place) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.place == *place)
    }

    /// Returns all that is pending, oldest first.
    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Pending> {
        self.pending.iter_mut()
    }

    pub(crate) fn remove(&mut self, place: &Place) {
        self.pending.retain(|pending| pending.place != *place);
    }

    /// Adds a confirmation that was requested, replacing what was pending for the same (action,
    /// session). To make room, void confirmations are dropped first, then the oldest spent one,
    /// then the oldest.
    pub(crate) fn insert(&mut self, policy: &ConfirmPolicy, now: &Now, mut pending: Pending, cancel: &CancelToken) {
        self.pending.retain(|old| old.void(now).is_none());
        if let Some(at) = self.pending.iter().position(|old| old.place == pending.place) {
            let old = self.pending.remove(at);
            // If the same act is requested again, a link in the first notice still withdraws it.
            if !old.is_spent() && bool::from(old.digest.as_slice().ct_eq(pending.digest.as_slice())) {
                pending.cancels = old.cancels;
            }
        }
        pending.allow_cancel(cancel);
        while self.pending.len() >= policy.pending {
            let oldest = self.pending.iter().position(Pending::is_spent).unwrap_or(0);
            self.pending.remove(oldest);
        }
        self.pending.push(pending);
    }

    /// Spends the pending confirmation that a token belongs to. Returns its action. All are
    /// compared, without early exit.
    pub(crate) fn cancel(&mut self, now: &Now, token: &CancelToken) -> Option<String> {
        let hash = token.hash();
        let mut cancelled = None;
        for pending in &mut self.pending {
            let hit = pending.cancels.iter().fold(Choice::from(0), |hit, one| hit | one.as_slice().ct_eq(&hash));
            if bool::from(hit) && !pending.is_spent() && pending.void(now).is_none() {
                pending.spend(false);
                cancelled = Some(pending.action.clone());
            }
        }
        cancelled
    }
}

impl Record for PendingList {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is validated.
#[derive(Deserialize)]
struct StoredList {
    pending: Vec<Pending>,
}

impl TryFrom<StoredList> for PendingList {
    type Error = OutOfBounds;
    fn try_from(StoredList { pending }: StoredList) -> Result<Self, OutOfBounds> {
        let one_each =
            |(at, one): (usize, &Pending)| !pending.iter().skip(at).skip(1).any(|other| other.place == one.place);
        let bounded = pending.len() <= MAX_PENDING
            && pending.iter().all(Pending::is_bounded)
            && pending.iter().enumerate().all(one_each);
        if bounded { Ok(Self { pending }) } else { Err(OutOfBounds) }
    }
}

/// What has been used up. It is kept apart from what is pending, so that dropping or replacing that
/// gives nothing back.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredCounts")]
pub(crate) struct Counts {
    pub(crate) mail: Outbox,
    pub(crate) repeats: Tallies,
}

impl Counts {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(COUNTS)?.unwrap_or_default())
    }

    /// Stages the counts, if they differ from the stored ones.
    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        if Self::read(draft)? == *self { Ok(()) } else { draft.put(COUNTS, self) }
    }
}

impl Record for Counts {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is validated.
#[derive(Deserialize)]
struct StoredCounts {
    mail: Outbox,
    repeats: Tallies,
}

impl TryFrom<StoredCounts> for Counts {
    type Error = OutOfBounds;
    fn try_from(StoredCounts { mail, repeats }: StoredCounts) -> Result<Self, OutOfBounds> {
        if mail.is_bounded() && repeats.is_bounded() { Ok(Self { mail, repeats }) } else { Err(OutOfBounds) }
    }
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("a stored confirmation is out of bounds")]
struct OutOfBounds;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Requester;
    use crate::repeats::Repeated;
    use keywright_core::{AccountId, LocalRng};
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    const NOW: u64 = 1_000_000;

    fn now() -> Now {
        // Epochs come from a root or a stored form: they can be constructed in no other way.
        let epochs = postcard::from_bytes(&[1, 1]).unwrap();
        Now { at: UnixSeconds::new(NOW).unwrap(), epochs, fence: UnixSeconds::EPOCH }
    }

    /// A list with one pending confirmation of each style.
    fn list() -> PendingList {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        let now = now();
        let code = |label| Code::new(&rng, label, "text").unwrap();
        let styles = [
            Style::TypedCode { code: code(Label::Typed), tries: 3 },
            Style::Wait { earliest: now.at.plus(7) },
            Style::MailedCode { code: code(Label::Mailed) },
            Style::Spent { code: Some(code(Label::Typed)) },
            Style::Spent { code: None },
        ];
        let (mut list, policy) = (PendingList::default(), ConfirmPolicy::default());
        let account = AccountId::new("user-1").unwrap();
        for (style, byte) in styles.into_iter().zip(0_u8..) {
            let binding = Binding { account: account.clone(), action: "a", place: [byte; 32], digest: [byte; 32] };
            let pending = Pending::new(&binding, &now, style, now.at.plus(600));
            list.insert(&policy, &now, pending, &CancelToken::random(&rng).unwrap());
        }
        list
    }

    fn counts() -> Counts {
        let (mut counts, now) = (Counts::default(), now().at);
        for byte in 0..5 {
            let requester = if byte < 3 { Requester::Anonymous } else { Requester::LoggedIn };
            counts.mail.book(&[byte; 32], now, now.plus(600), requester);
        }
        counts.repeats.report("a", Repeated::Asked, now);
        counts.repeats.report("a", Repeated::Denied(Reason::Wrong), now);
        counts
    }

    #[test]
    fn the_stored_forms_read_back() {
        let body = postcard::to_allocvec(&list()).unwrap();
        assert_eq!(postcard::to_allocvec(&PendingList::decode(1, &body).unwrap()).unwrap(), body);
        assert!(PendingList::decode(2, &body).is_err(), "another schema");
        let body = postcard::to_allocvec(&counts()).unwrap();
        assert!(Counts::decode(1, &body).unwrap() == counts());
        assert!(Counts::decode(2, &body).is_err(), "another schema");
    }

    #[test]
    fn a_list_that_cannot_have_been_written_is_an_error() {
        let refuses = |change: fn(&mut PendingList)| {
            let mut list = list();
            change(&mut list);
            assert!(PendingList::decode(1, &postcard::to_allocvec(&list).unwrap()).is_err());
        };
        refuses(|list| list.pending[0].action = String::new());
        refuses(|list| list.pending[0].action = "a".repeat(65));
        refuses(|list| list.pending[0].expires = UnixSeconds::EPOCH);
        refuses(|list| list.pending[0].expires = list.pending[0].made.plus(601));
        refuses(|list| list.pending[1].expires = list.pending[1].made.plus(601));
        refuses(|list| list.pending[2].expires = list.pending[2].made.plus(86_401));
        refuses(|list| list.pending[4].expires = UnixSeconds::MAX);
        refuses(|list| list.pending[0].cancels = vec![[0; 32]; 6]);
        refuses(|list| list.pending[1].place = list.pending[0].place);
        refuses(|list| list.pending[1].style = Style::Wait { earliest: UnixSeconds::MAX });
        refuses(|list| list.pending[1].style = Style::Wait { earliest: UnixSeconds::EPOCH });
        refuses(|list| {
            if let Style::TypedCode { tries, .. } = &mut list.pending[0].style {
                *tries = 5;
            }
        });
    }

    #[test]
    fn counts_that_cannot_have_been_written_are_an_error() {
        let refuses = |change: fn(&mut Counts)| {
            let mut counts = counts();
            change(&mut counts);
            assert!(Counts::decode(1, &postcard::to_allocvec(&counts).unwrap()).is_err());
        };
        const SOON: UnixSeconds = UnixSeconds::EPOCH.plus(9);
        refuses(|counts| {
            (0..6).for_each(|_| counts.mail.book(&[9; 32], UnixSeconds::EPOCH, SOON, Requester::LoggedIn));
        });
        refuses(|counts| counts.mail.book(&[9; 32], UnixSeconds::EPOCH, SOON, Requester::Anonymous));
        refuses(|counts| counts.mail.book(&[9; 32], UnixSeconds::EPOCH, UnixSeconds::MAX, Requester::LoggedIn));
        refuses(|counts| assert!(counts.repeats.report(&"a".repeat(65), Repeated::Asked, SOON).is_some()));
        refuses(|counts| assert!(counts.repeats.report("", Repeated::Asked, SOON).is_some()));
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = PendingList::decode(1, &bytes);
            let _ = Counts::decode(1, &bytes);
        }

        /// Decoding either fails, or encoding the result gives back the same body.
        #[test]
        fn a_damaged_body_is_refused_or_bounded(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut body = postcard::to_allocvec(&list()).unwrap();
            *at.get_mut(&mut body) = byte;
            if let Ok(list) = PendingList::decode(1, &body) {
                prop_assert!(list.pending.len() <= MAX_PENDING);
                let again = postcard::to_allocvec(&list).unwrap();
                prop_assert!(PendingList::decode(1, &again).is_ok());
            }
            let mut body = postcard::to_allocvec(&counts()).unwrap();
            *at.get_mut(&mut body) = byte;
            if let Ok(counts) = Counts::decode(1, &body) {
                prop_assert!(counts.mail.is_bounded() && counts.repeats.is_bounded());
                let again = postcard::to_allocvec(&counts).unwrap();
                prop_assert!(Counts::decode(1, &again).is_ok());
            }
        }
    }
}
