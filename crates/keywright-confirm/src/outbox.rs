//! The counts of what mails have used up. They are kept apart from the pending confirmations, so
//! that dropping or replacing one resets nothing.

use keywright_core::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::action::Place;
use crate::policy::{
    ConfirmPolicy, DAY_SECONDS, MAILED_MAX_SECONDS, MAILED_TRIES, MAILS_PER_DAY, MAILS_PER_PENDING, RESENDS_PER_DAY,
};

/// The mails of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outbox {
    /// When mails were sent in the last 24 hours, oldest first.
    sent: Vec<UnixSeconds>,
    /// When those of them were sent that were for requests without login.
    resent: Vec<UnixSeconds>,
    /// One budget for each (action, session) that was mailed to and whose limits still apply.
    budgets: Vec<Budget>,
}

/// What the mails of one (action, session) have used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Budget {
    place: Place,
    /// The number of wrong attempts.
    tries: u8,
    sends: u8,
    /// When the last mail was sent.
    last: UnixSeconds,
    /// When the last code expires. From then on, attempts and mails are counted from zero.
    until: UnixSeconds,
}

/// The kind of caller that requests a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requester {
    /// A caller that is logged in.
    LoggedIn,
    /// Any other caller, who gets only a part of the day's mails.
    Anonymous,
}

/// The reason why no mail is sent now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    NotYet(u64),
    Exhausted(u64),
}

impl Outbox {
    /// Brings the counts to `now`. After the clock went back, a period that lies in the future
    /// begins again at `now`, no shorter than it was (`docs/security.md` § 12). Returns true in
    /// that case; the counts must then be stored, even together with a refusal.
    pub(crate) fn settle(&mut self, policy: &ConfirmPolicy, now: UnixSeconds) -> bool {
        let mut went_back = false;
        for at in self.sent.iter_mut().chain(&mut self.resent).filter(|at| **at > now) {
            *at = now;
            went_back = true;
        }
        for budget in self.budgets.iter_mut().filter(|budget| budget.last > now) {
            budget.until = now.plus(budget.until.since(budget.last));
            budget.last = now;
            went_back = true;
        }
        self.sent.retain(|at| now.since(*at) < DAY_SECONDS);
        self.resent.retain(|at| now.since(*at) < DAY_SECONDS);
        self.budgets.retain(|budget| now < budget.until || now.since(budget.last) < policy.mail_spacing_seconds);
        went_back
    }

    /// Checks whether a mail may be sent now. The outbox must have been settled.
    pub(crate) fn admit(
        &self,
        policy: &ConfirmPolicy,
        place: &Place,
        now: UnixSeconds,
        requester: Requester,
    ) -> Result<(), Held> {
        let all = full_for(&self.sent, policy.mails_per_day, now);
        let day = match requester {
            Requester::LoggedIn => all,
            Requester::Anonymous => all.max(full_for(&self.resent, policy.resends_per_day, now)),
        };
        let budget = self.find(place);
        let used_up = budget
            .filter(|budget| budget.tries >= policy.mailed_tries || budget.sends >= policy.mails_per_pending)
            .map(|budget| left(budget.until, now));
        let spacing = budget.map_or(0, |budget| left(budget.last.plus(policy.mail_spacing_seconds), now));
        match day.max(used_up.unwrap_or(0)) {
            0 if spacing == 0 => Ok(()),
            0 => Err(Held::NotYet(spacing)),
            seconds => Err(Held::Exhausted(seconds.max(spacing))),
        }
    }

    /// Counts a mail that was admitted and whose code expires at `until`.
    pub(crate) fn book(&mut self, place: &Place, now: UnixSeconds, until: UnixSeconds, requester: Requester) {
        self.sent.push(now);
        if requester == Requester::Anonymous {
            self.resent.push(now);
        }
        let old = self.budgets.iter().position(|budget| budget.place == *place).map(|at| self.budgets.remove(at));
        let (tries, sends) = old.filter(|old| now < old.until).map_or((0, 0), |old| (old.tries, old.sends));
        self.budgets.push(Budget { place: *place, tries, sends: sends.saturating_add(1), last: now, until });
    }

    /// Counts a wrong attempt. Returns true if it was the last.
    pub(crate) fn miss(&mut self, policy: &ConfirmPolicy, place: &Place) -> bool {
        // A live code always has a budget; if one had none, it would have no attempts left.
        let Some(budget) = self.budgets.iter_mut().find(|budget| budget.place == *place) else { return true };
        budget.tries = budget.tries.saturating_add(1).min(MAILED_TRIES);
        budget.tries >= policy.mailed_tries
    }

    /// Records that the code was correct: the next confirmation has its own attempts and mails. The
    /// spacing and the day's count stay.
    pub(crate) fn pass(&mut self, place: &Place) {
        if let Some(budget) = self.budgets.iter_mut().find(|budget| budget.place == *place) {
            budget.until = budget.last;
            budget.tries = 0;
            budget.sends = 0;
        }
    }

    /// Whether this crate can have written it.
    pub(crate) fn is_bounded(&self) -> bool {
        self.sent.len() <= MAILS_PER_DAY
            && self.resent.len() <= RESENDS_PER_DAY
            && self.budgets.len() <= MAILS_PER_DAY
            && self.budgets.iter().all(|budget| {
                budget.tries <= MAILED_TRIES
                    && budget.sends <= MAILS_PER_PENDING
                    && budget.last <= budget.until
                    && budget.until.since(budget.last) <= MAILED_MAX_SECONDS
            })
    }

    fn find(&self, place: &Place) -> Option<&Budget> {
        self.budgets.iter().find(|budget| budget.place == *place)
    }
}

/// Returns the seconds until one more mail is within the day's limit: until the last of those in
/// excess is a day old.
fn full_for(mails: &[UnixSeconds], most: usize, now: UnixSeconds) -> u64 {
    let surplus = mails.len().saturating_add(1).saturating_sub(most);
    let last = surplus.checked_sub(1).and_then(|nth| mails.get(nth));
    last.map_or(0, |at| left(at.plus(DAY_SECONDS), now))
}

/// Returns the seconds from `now` to `end`, or 0 if `end` has passed.
const fn left(end: UnixSeconds, now: UnixSeconds) -> u64 {
    end.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds::new(1_000_000).unwrap().plus(seconds)
    }

    fn send(outbox: &mut Outbox, place: u8, now: UnixSeconds) -> Result<(), Held> {
        let policy = ConfirmPolicy::default();
        send_for(outbox, place, now, &policy, Requester::LoggedIn)
    }

    fn send_for(
        outbox: &mut Outbox,
        place: u8,
        now: UnixSeconds,
        policy: &ConfirmPolicy,
        requester: Requester,
    ) -> Result<(), Held> {
        outbox.settle(policy, now);
        outbox.admit(policy, &[place; 32], now, requester)?;
        outbox.book(&[place; 32], now, now.plus(600), requester);
        assert!(outbox.is_bounded());
        Ok(())
    }

    #[test]
    fn requests_without_login_get_three_a_day_of_the_ten() {
        let (mut outbox, policy) = (Outbox::default(), ConfirmPolicy::default());
        for nth in 0..3 {
            assert_eq!(send_for(&mut outbox, nth, at(nth.into()), &policy, Requester::Anonymous), Ok(()));
        }
        let fourth = send_for(&mut outbox, 3, at(3), &policy, Requester::Anonymous);
        assert_eq!(fourth, Err(Held::Exhausted(86_397)));
        for nth in 3..10 {
            assert_eq!(send(&mut outbox, nth, at(nth.into())), Ok(()), "seven are the owner's");
        }
        assert_eq!(send(&mut outbox, 10, at(10)), Err(Held::Exhausted(86_390)));
        assert_eq!(send_for(&mut outbox, 10, at(86_400), &policy, Requester::Anonymous), Ok(()), "the window slides");
    }

    #[test]
    fn sixty_seconds_apart_five_times() {
        let mut outbox = Outbox::default();
        for nth in 0..5 {
            assert_eq!(send(&mut outbox, 1, at(nth * 60)), Ok(()));
            assert_ne!(send(&mut outbox, 1, at(nth * 60 + 59)), Ok(()));
        }
        assert_eq!(send(&mut outbox, 1, at(300)), Err(Held::Exhausted(540)), "600 s from the fifth at 240");
        assert_eq!(send(&mut outbox, 1, at(839)), Err(Held::Exhausted(1)));
        assert_eq!(send(&mut outbox, 1, at(840)), Ok(()));
    }

    #[test]
    fn ten_a_day_whatever_the_place() {
        let mut outbox = Outbox::default();
        for nth in 0..10 {
            assert_eq!(send(&mut outbox, nth, at(u64::from(nth))), Ok(()));
        }
        assert_eq!(send(&mut outbox, 77, at(10)), Err(Held::Exhausted(86_390)));
        assert_eq!(send(&mut outbox, 77, at(86_399)), Err(Held::Exhausted(1)));
        assert_eq!(send(&mut outbox, 77, at(86_400)), Ok(()), "the window slides: one more");
        assert_eq!(send(&mut outbox, 78, at(86_400)), Err(Held::Exhausted(1)));
    }

    #[test]
    fn a_clock_that_goes_back_prolongs_once_and_never_for_years() {
        let mut outbox = Outbox::default();
        assert_eq!(send(&mut outbox, 1, at(400_000_000)), Ok(()));
        let policy = ConfirmPolicy::default();
        assert!(outbox.settle(&policy, at(0)));
        assert!(!outbox.settle(&policy, at(1)), "once");
        assert_eq!(outbox.admit(&policy, &[1; 32], at(1), Requester::LoggedIn), Err(Held::NotYet(59)));
        assert_eq!(send(&mut outbox, 1, at(60)), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_keeps_the_days_counts_for_a_day() {
        let (mut outbox, policy) = (Outbox::default(), ConfirmPolicy::default());
        for nth in 0..3 {
            assert_eq!(send_for(&mut outbox, nth, at(400_000_000), &policy, Requester::Anonymous), Ok(()));
        }
        let send = |outbox: &mut Outbox, now| send_for(outbox, 9, now, &policy, Requester::Anonymous);
        assert_eq!(send(&mut outbox, at(0)), Err(Held::Exhausted(86_400)));
        assert_eq!(send(&mut outbox, at(1)), Err(Held::Exhausted(86_399)));
        assert_eq!(send(&mut outbox, at(86_400)), Ok(()));
    }

    #[test]
    fn nist_3_1_3_2_a_new_code_does_not_reset_the_failure_count() {
        let (mut outbox, policy) = (Outbox::default(), ConfirmPolicy::default());
        send(&mut outbox, 1, at(0)).unwrap();
        for _ in 0..4 {
            assert!(!outbox.miss(&policy, &[1; 32]));
        }
        send(&mut outbox, 1, at(60)).unwrap();
        assert!(outbox.miss(&policy, &[1; 32]), "the fifth, though the code is fresh");
        assert_eq!(send(&mut outbox, 1, at(120)), Err(Held::Exhausted(540)));
    }
}
