//! The context of a step: the current time, what is pending, and what has been used up.

use keywright_core::{Event, SecretString};
use keywright_store::{Draft, StepError, Tentative};

use crate::action::Binding;
use crate::code::{CancelToken, Label};
use crate::events::{CONFIRMATION_ASKED, CONFIRMATION_DENIED, CONFIRMATION_GRANTED, Reason};
use crate::outcome::{Confirmation, Denial};
use crate::policy::ConfirmPolicy;
use crate::repeats::Repeated;
use crate::state::{Counts, Now, Pending, PendingList};

/// A grant, before it is turned into a proof.
pub(crate) type Grant = Tentative<()>;

/// The confirmations of one account, as one attempt of a step sees them.
pub(crate) struct Context {
    pub(crate) now: Now,
    pub(crate) list: PendingList,
    pub(crate) counts: Counts,
}

impl Context {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(Self { now: Now::of(draft)?, list: PendingList::read(draft)?, counts: Counts::read(draft)? })
    }

    /// Stages both records, and emits the events that were only counted and whose hour is over.
    pub(crate) fn put(&mut self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        for (action, what, times) in self.counts.repeats.take_unreported(self.now.at) {
            draft.event(repeated(&action, what, times));
        }
        self.list.put(draft)?;
        self.counts.put(draft)
    }

    /// Makes a confirmation pending, with a cancel token.
    pub(crate) fn begin(
        &mut self,
        draft: &mut Draft<'_>,
        policy: &ConfirmPolicy,
        pending: Pending,
        cancel: &CancelToken,
    ) -> Result<(), StepError> {
        self.asked(draft, &pending.action);
        self.list.insert(policy, &self.now, pending, cancel);
        self.put(draft)
    }

    /// Spends the pending confirmation that the binding identifies, and grants.
    pub(crate) fn grant(&mut self, draft: &mut Draft<'_>, binding: &Binding) -> Result<Grant, StepError> {
        if let Some(pending) = self.list.at(&binding.place) {
            pending.spend(true);
        }
        self.put(draft)?;
        draft.event(Event::new(&CONFIRMATION_GRANTED).with("action", binding.action));
        Ok(draft.tentative(()))
    }

    /// Emits the event that a confirmation was requested, or counts it. The caller must then stage
    /// the counts.
    pub(crate) fn asked(&mut self, draft: &mut Draft<'_>, action: &str) {
        self.report(draft, action, Repeated::Asked);
    }

    /// Emits the event of a denial, or counts it. The caller must then stage the counts.
    pub(crate) fn denied(&mut self, draft: &mut Draft<'_>, binding: &Binding, reason: Reason) {
        self.report(draft, binding.action, Repeated::Denied(reason));
    }

    fn report(&mut self, draft: &mut Draft<'_>, action: &str, what: Repeated) {
        if let Some(earlier) = self.counts.repeats.report(action, what, self.now.at) {
            draft.event(repeated(action, what, earlier));
        }
    }

    /// Denies where no code is pending. Nothing is charged. Only the first attempt at a
    /// confirmation that has expired, was made void or is spent emits an event, so a flood of them
    /// writes nothing.
    pub(crate) fn stale<C>(
        mut self,
        draft: &mut Draft<'_>,
        binding: &Binding,
        label: Label,
        typed: Option<&SecretString>,
    ) -> Result<Confirmation<C>, StepError> {
        let now = self.now;
        let reason = self.list.at(&binding.place).and_then(|pending| match pending.void(&now) {
            Some(reason) => Some(reason),
            None => {
                let replays = typed.is_some_and(|typed| pending.is_replay(label, typed.expose().as_bytes()));
                replays.then_some(Reason::Replayed)
            }
        });
        if let Some(reason) = reason {
            if reason != Reason::Replayed {
                self.list.remove(&binding.place);
            }
            self.denied(draft, binding, reason);
            self.put(draft)?;
        }
        Ok(Confirmation::Denied(Denial::FREE))
    }
}

fn repeated(action: &str, what: Repeated, earlier: u32) -> Event {
    let event = match what {
        Repeated::Asked => Event::new(&CONFIRMATION_ASKED).with("action", action),
        Repeated::Denied(reason) => {
            Event::new(&CONFIRMATION_DENIED).with("action", action).with("reason", reason.name())
        }
    };
    if earlier == 0 { event } else { event.with("earlier", earlier) }
}
