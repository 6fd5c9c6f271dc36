//! What is stored: one record per account with all that is pending, at most eight (`decisions.md` 8), and what mails have
//! used up.

use alloc::string::String;
use alloc::vec::Vec;

use keywright_core::{Reason, UnixSeconds};
use keywright_store::{Draft, Epochs, Record, Slot, StepError};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};

use crate::action::{Binding, MAX_NAME, Place};
use crate::code::{CancelToken, Code, Label};
use crate::outbox::Outbox;
use crate::policy::{CODE_TRIES, ConfirmPolicy, MAX_PENDING};

/// Cancel tokens of one pending confirmation: one per notice, the newest ones. A link in the first mail still works after
/// the second was sent.
const MAX_CANCELS: usize = 5;

/// All pending confirmations of an account. Its stored form is hostile input: what this crate cannot have written is an
/// error of the decoder.
#[derive(Default, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct Confirmations {
    /// Oldest first; at most one for a place.
    pending: Vec<Pending>,
    pub(crate) mail: Outbox,
}

/// One pending confirmation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The action's name, for events.
    pub(crate) action: String,
    pub(crate) place: Place,
    digest: [u8; 32],
    pub(crate) style: Style,
    /// Hashes of cancel tokens, newest last.
    cancels: Vec<[u8; 32]>,
    made: UnixSeconds,
    /// The first moment at which it is void; for a wait, the latest.
    pub(crate) expires: UnixSeconds,
    epochs: Epochs,
}

/// How it is confirmed. Each variant holds only what that state knows.
#[derive(Serialize, Deserialize)]
pub(crate) enum Style {
    /// Shown, to be typed back; so many wrong tries.
    TypedCode { code: Code, tries: u8 },
    /// From this moment on.
    Wait { earliest: UnixSeconds },
    /// Mailed, to be typed back. Its tries are in the outbox, which outlives it.
    MailedCode { code: Code },
    /// Granted, dead by wrong tries, or cancelled. Put, not deleted (`decisions.md` 7); the next ask or the sweep tidies.
    /// The code of a grant is kept until it is replayed once, for the one event.
    Spent { code: Option<Code> },
}

/// When and in which epochs an attempt is decided.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: UnixSeconds,
    epochs: Epochs,
    fence: UnixSeconds,
}

impl Moment {
    pub(crate) fn of(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(Self { now: draft.now(), epochs: draft.root()?.epochs(), fence: draft.keyring().fence() })
    }
}

impl Pending {
    pub(crate) fn new(binding: &Binding, moment: &Moment, style: Style, expires: UnixSeconds) -> Self {
        Self {
            action: binding.action.into(),
            place: binding.place,
            digest: binding.digest,
            style,
            cancels: Vec::new(),
            made: moment.now,
            expires,
            epochs: moment.epochs,
        }
    }

    /// Why it can no longer be confirmed, whatever is typed.
    pub(crate) fn void(&self, moment: &Moment) -> Option<Reason> {
        // Made in the future: the clock went back, and its age is not known.
        if self.made > moment.now || self.made < moment.fence || self.epochs != moment.epochs {
            return Some(Reason::Unbound);
        }
        (moment.now >= self.expires).then_some(Reason::Expired)
    }

    /// Whether it was asked for with this very action, target, parameters and session.
    pub(crate) fn is_bound_to(&self, binding: &Binding) -> Choice {
        self.digest.as_slice().ct_eq(binding.digest.as_slice())
    }

    /// Puts a fresh code in the place of the mailed one. It lives no longer than that would have: whoever can have a mail
    /// sent again must not keep a confirmation pending for ever.
    pub(crate) fn renew(&mut self, code: Code, moment: &Moment) {
        self.style = Style::MailedCode { code };
        self.made = moment.now;
    }

    /// Spends it. The code of a grant is kept to tell a replay.
    pub(crate) fn spend(&mut self, granted: bool) {
        let old = core::mem::replace(&mut self.style, Style::Spent { code: None });
        if let (true, Style::TypedCode { code, .. } | Style::MailedCode { code }) = (granted, old) {
            self.style = Style::Spent { code: Some(code) };
        }
    }

    /// Whether a text is the code that was granted here. Says so once.
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
        let style = match &self.style {
            Style::TypedCode { tries, .. } => *tries < CODE_TRIES,
            Style::Wait { earliest } => *earliest <= self.expires,
            Style::MailedCode { .. } | Style::Spent { .. } => true,
        };
        style
            && (1..=MAX_NAME).contains(&self.action.len())
            && self.cancels.len() <= MAX_CANCELS
            && self.made <= self.expires
    }
}

impl Confirmations {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(Slot::Confirmations)?.unwrap_or_default())
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        let ends = self.pending.iter().fold(self.mail.ends(), |end, pending| end.max(pending.expires));
        draft.put(Slot::Confirmations, self, Some(ends))
    }

    /// What is pending at a place, void or not.
    pub(crate) fn at(&mut self, place: &Place) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|pending| pending.place == *place)
    }

    /// All that is pending, oldest first.
    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Pending> {
        self.pending.iter_mut()
    }

    pub(crate) fn remove(&mut self, place: &Place) {
        self.pending.retain(|pending| pending.place != *place);
    }

    /// Adds what was asked for, in the place of what was pending there. Makes room: what is void goes, then the oldest
    /// that is spent, then the oldest.
    pub(crate) fn insert(
        &mut self,
        policy: &ConfirmPolicy,
        moment: &Moment,
        mut pending: Pending,
        cancel: &CancelToken,
    ) {
        self.pending.retain(|old| old.void(moment).is_none());
        if let Some(at) = self.pending.iter().position(|old| old.place == pending.place) {
            let old = self.pending.remove(at);
            // The same act, asked for again: a link in the first notice still withdraws it.
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

    /// Spends the pending confirmation that a token belongs to. Gives its action. All are compared, without early exit.
    pub(crate) fn cancel(&mut self, moment: &Moment, token: &CancelToken) -> Option<String> {
        let hash = token.hash();
        let mut cancelled = None;
        for pending in &mut self.pending {
            let hit = pending.cancels.iter().fold(Choice::from(0), |hit, one| hit | one.as_slice().ct_eq(&hash));
            if bool::from(hit) && !pending.is_spent() && pending.void(moment).is_none() {
                pending.spend(false);
                cancelled = Some(pending.action.clone());
            }
        }
        cancelled
    }
}

impl Record for Confirmations {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is believed.
#[derive(Deserialize)]
struct Stored {
    pending: Vec<Pending>,
    mail: Outbox,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("pending confirmations are out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for Confirmations {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { pending, mail } = stored;
        let one_each =
            |(at, one): (usize, &Pending)| !pending.iter().skip(at).skip(1).any(|other| other.place == one.place);
        let bounded = pending.len() <= MAX_PENDING
            && pending.iter().all(Pending::is_bounded)
            && pending.iter().enumerate().all(one_each)
            && mail.is_bounded();
        if bounded { Ok(Self { pending, mail }) } else { Err(OutOfBounds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Asker;
    use keywright_core::LocalRng;
    use keywright_store::Root;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// A list with one pending confirmation of each style. Epochs come from a stored root: nothing else makes them.
    fn full() -> Confirmations {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        let now = UnixSeconds::new(1_000_000).unwrap();
        let root = Root::decode(Root::SCHEMA, &[1, 1, 1, 0, 0, 0]).unwrap();
        let moment = Moment { now, epochs: root.epochs(), fence: UnixSeconds::EPOCH };
        let code = |label| Code::new(&rng, label, "text").unwrap();
        let styles = [
            Style::TypedCode { code: code(Label::Typed), tries: 3 },
            Style::Wait { earliest: now.plus(7) },
            Style::MailedCode { code: code(Label::Mailed) },
            Style::Spent { code: Some(code(Label::Typed)) },
            Style::Spent { code: None },
        ];
        let (mut list, policy) = (Confirmations::default(), ConfirmPolicy::default());
        let account = keywright_core::AccountId::new("user-1").unwrap();
        for (style, byte) in styles.into_iter().zip(0_u8..) {
            let binding = Binding { account: account.clone(), action: "a", place: [byte; 32], digest: [byte; 32] };
            let pending = Pending::new(&binding, &moment, style, now.plus(600));
            list.insert(&policy, &moment, pending, &CancelToken::random(&rng).unwrap());
            list.mail.book(&[byte; 32], now, now.plus(600), if byte < 3 { Asker::Stranger } else { Asker::Login });
        }
        list
    }

    #[test]
    fn the_stored_form_reads_back() {
        let body = postcard::to_allocvec(&full()).unwrap();
        let back = Confirmations::decode(1, &body).unwrap();
        assert_eq!(postcard::to_allocvec(&back).unwrap(), body);
        assert!(Confirmations::decode(2, &body).is_err(), "another schema");
    }

    #[test]
    fn what_cannot_have_been_written_is_an_error() {
        let refuses = |change: fn(&mut Confirmations)| {
            let mut list = full();
            change(&mut list);
            assert!(Confirmations::decode(1, &postcard::to_allocvec(&list).unwrap()).is_err());
        };
        refuses(|list| list.pending[0].action = String::new());
        refuses(|list| list.pending[0].action = "a".repeat(65));
        refuses(|list| list.pending[0].expires = UnixSeconds::EPOCH);
        refuses(|list| list.pending[0].cancels = alloc::vec![[0; 32]; 6]);
        refuses(|list| list.pending[1].place = list.pending[0].place);
        refuses(|list| list.pending[1].style = Style::Wait { earliest: UnixSeconds::MAX });
        refuses(|list| {
            if let Style::TypedCode { tries, .. } = &mut list.pending[0].style {
                *tries = 5;
            }
        });
        refuses(|list| {
            (0..6).for_each(|_| list.mail.book(&[9; 32], UnixSeconds::EPOCH, UnixSeconds::EPOCH.plus(9), Asker::Login))
        });
        refuses(|list| list.mail.book(&[9; 32], UnixSeconds::EPOCH, UnixSeconds::EPOCH.plus(9), Asker::Stranger));
        refuses(|list| list.mail.book(&[9; 32], UnixSeconds::EPOCH, UnixSeconds::MAX, Asker::Login));
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Confirmations::decode(1, &bytes);
        }

        /// Decode, then encode: identity or refusal.
        #[test]
        fn a_damaged_body_is_refused_or_bounded(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut body = postcard::to_allocvec(&full()).unwrap();
            *at.get_mut(&mut body) = byte;
            if let Ok(list) = Confirmations::decode(1, &body) {
                prop_assert!(list.pending.len() <= MAX_PENDING && list.mail.is_bounded());
                let again = postcard::to_allocvec(&list).unwrap();
                prop_assert!(Confirmations::decode(1, &again).is_ok());
            }
        }
    }
}
