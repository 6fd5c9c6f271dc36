//! The driver as a state machine: load, commit, settle, fence, retry, answer.
//!
//! A load and the decision on it are one transition, because nothing can come between them. A lost
//! reply leaves a commit that is *held*: the store may apply it at once, later, or never.

use keywright_store::Revision;
use keywright_store::settle::{Settlement, settle};

use crate::attempt::{Act, Opened};
pub use crate::attempt::{Driver, Phase};
use crate::bugs::Bug;
use crate::coverage::{Answer, Event};
use crate::promise::Promise;
use crate::recent::MAX_DEPTH;
use crate::search::Search;
use crate::step::{Moments, batch, decide, fence, open};
use crate::store::{Batch, CODE, COUNTER, Effect, Rev, Root, SESSION, Stage, Store, VAULT};
use crate::world::{Held, World};

impl World {
    /// What loads see.
    fn shown(&self) -> &Store {
        self.replica.as_ref().unwrap_or(&self.store)
    }

    /// Starts an act. Nothing depends on the moment, so the first load is part of it.
    pub(crate) fn begin(&mut self, search: &Search, driver: usize, act: Act) {
        self.acts[act as usize] -= 1;
        if act == Act::Stage {
            return self.stage(search);
        }
        let reruns = search.config.reruns;
        self.drivers[driver] = Driver {
            act: Some(act),
            phase: Phase::Loading { suspect: None },
            reruns,
            ..self.drivers[driver].at_rest()
        };
        self.load(search, driver);
    }

    /// Stages rows beside the vault, over its current state. No root guards this.
    fn stage(&mut self, search: &Search) {
        let head = self.store.root.and_then(|root| root.contents[VAULT]);
        if let Some((head, row)) = head.zip(self.store.rows[VAULT]) {
            search.coverage.met(Event::Staged);
            self.store.stage = Some(Stage { base: head.rev, over: row.value });
        }
    }

    /// Loads, or does the first half of a load.
    pub(crate) fn load(&mut self, search: &Search, driver: usize) {
        let shown = *self.shown();
        match self.drivers[driver].phase {
            Phase::Loading { suspect } => {
                self.drivers[driver].passed = 0;
                if search.config.two_reads {
                    self.drivers[driver].phase = Phase::Half { root: shown.root, log: shown.log, suspect };
                } else {
                    self.loaded(search, driver, shown, suspect);
                }
            }
            Phase::Half { root, log, suspect } => {
                self.loaded(search, driver, Store { root, log, ..shown }, suspect);
            }
            Phase::Settling { ours, loaded } => self.settle(search, driver, shown.root.as_ref(), ours, loaded),
            Phase::More { first } => self.loaded_more(search, driver, shown, first),
            Phase::Idle | Phase::Ready { .. } | Phase::Fencing { .. } => {}
        }
    }

    /// Returns the moments that a driver uses.
    pub(crate) fn moments(&self, search: &Search, driver: usize) -> Moments {
        let Driver { heard, furthest, .. } = self.drivers[driver];
        Moments { now: self.now.saturating_add_signed(search.config.ahead[driver]), heard, furthest }
    }

    /// Opens what was loaded and runs the step on it.
    fn loaded(&mut self, search: &Search, driver: usize, shown: Store, suspect: Option<Rev>) {
        let asks = search.config.extra_load && !self.drivers[driver].wide;
        let slots: &[usize] = if asks { &[CODE, COUNTER, VAULT] } else { &[CODE, COUNTER, SESSION, VAULT] };
        let Some(seen) = open(&shown, slots) else {
            let bug = search.config.bug;
            // It is an integrity error only if the root has not moved since the first read.
            let is_reported = match suspect {
                None => bug == Some(Bug::NoSecondLook),
                Some(rev) => rev == shown.rev() || bug == Some(Bug::BlindSecondLook),
            };
            if is_reported {
                self.answer(search, driver, Answer::Integrity);
            } else {
                search.coverage.met(Event::SecondLook);
                self.drivers[driver].phase = Phase::Loading { suspect: Some(shown.rev()) };
            }
            return;
        };
        if asks {
            // Everything is loaded again, in one snapshot.
            let keeps = search.config.bug == Some(Bug::KeepsOldRows);
            self.drivers[driver].wide = !keeps;
            self.drivers[driver].phase = if keeps { Phase::More { first: seen } } else { Phase::Loading { suspect } };
        } else {
            self.run(search, driver, &shown, &seen);
        }
    }

    /// A seeded fault: only the missing slot is loaded.
    fn loaded_more(&mut self, search: &Search, driver: usize, shown: Store, first: Opened) {
        match open(&shown, &[SESSION]) {
            Some(Opened { session, .. }) => {
                self.run(search, driver, &shown, &Opened { session, ..first });
            }
            None => self.drivers[driver].phase = Phase::Loading { suspect: Some(shown.rev()) },
        }
    }

    /// Runs the step on what was opened.
    fn run(&mut self, search: &Search, driver: usize, shown: &Store, seen: &Opened) {
        let Some(act) = self.drivers[driver].act else { return };
        let moments = self.moments(search, driver);
        let plan = decide(act, seen, shown.stage, moments.now, search.config.bug);
        let batch = batch(search, shown.root.as_ref(), &plan, moments);
        if batch.effect == Effect::Denied {
            // A refusal commits nothing.
            if act == Act::Redeem && self.ledger.code == Some(false) {
                self.broke(Promise::RestsOnWhatStands);
            }
            return self.answer(search, driver, Answer::Refused);
        }
        self.drivers[driver].phase = Phase::Ready { batch };
    }

    /// Sends the batch or the fence, and receives the reply.
    pub(crate) fn commit(&mut self, search: &Search, driver: usize) {
        match self.drivers[driver].phase {
            Phase::Ready { batch: Batch { expect, write: None, effect } } => {
                if self.shown().rev() != expect {
                    search.coverage.met(Event::Conflict);
                    return self.rerun(search, driver);
                }
                self.check(search, driver, effect);
            }
            Phase::Ready { batch } => {
                if !self.store.takes(&batch) {
                    search.coverage.met(Event::Conflict);
                    if search.config.bug == Some(Bug::EventBeforeTheGuard) {
                        self.store.log += u8::from(batch.effect.is_event());
                    }
                    return self.rerun(search, driver);
                }
                self.land(search, &batch, Some(driver));
                self.answer(search, driver, Answer::Done);
            }
            Phase::Fencing { ours, loaded, fence } => {
                if self.store.rev() != fence.expect {
                    return self.look_again(search, driver, ours, loaded);
                }
                search.coverage.met(Event::FenceStands);
                self.land(search, &fence, None);
                self.never_landed(search, driver);
            }
            Phase::Idle | Phase::Loading { .. } | Phase::Half { .. } | Phase::More { .. } | Phase::Settling { .. } => {}
        }
    }

    /// The store refuses the batch or the fence although the root is current, as databases do that
    /// give up one of two transactions.
    pub(crate) fn refuse(&mut self, search: &Search, driver: usize) {
        self.conflicts -= 1;
        match self.drivers[driver].phase {
            Phase::Fencing { ours, loaded, .. } => self.look_again(search, driver, ours, loaded),
            _ => self.rerun(search, driver),
        }
    }

    /// The store has answered that the root is still current, so the grant that writes nothing is
    /// released.
    fn check(&mut self, search: &Search, driver: usize, effect: Effect) {
        search.coverage.met(Event::Checked);
        if effect != self.ledger.session.map_or(Effect::Denied, Effect::Live) {
            self.broke(Promise::RestsOnWhatStands);
        }
        self.drivers[driver].landed = true;
        self.answer(search, driver, Answer::Done);
    }

    /// Sends the batch or the fence, and the reply is lost.
    pub(crate) fn lose(&mut self, search: &Search, driver: usize) {
        self.losses -= 1;
        let (batch, ours, loaded) = match self.drivers[driver].phase {
            Phase::Ready { batch: batch @ Batch { write: Some(write), .. } } => {
                self.drivers[driver].looks = search.config.looks;
                (batch, write.root.rev, batch.expect)
            }
            // A check without an answer has changed nothing, so it is repeated.
            Phase::Ready { .. } if self.drivers[driver].reruns > 0 => return self.rerun(search, driver),
            Phase::Fencing { ours, loaded, fence } => {
                search.coverage.met(Event::FenceLost);
                (fence, ours, loaded)
            }
            _ => return self.answer(search, driver, Answer::Unknown),
        };
        let owner = u8::try_from(driver).ok();
        self.held.push(Held { owner, batch, dead: false, refused: false, done: false });
        self.look_again(search, driver, ours, loaded);
    }

    /// Reads the root again to settle an attempt, up to the limit.
    fn look_again(&mut self, search: &Search, driver: usize, ours: Rev, loaded: Rev) {
        if self.drivers[driver].looks == 0 {
            return self.answer(search, driver, Answer::Unknown);
        }
        self.drivers[driver].looks -= 1;
        self.drivers[driver].phase = Phase::Settling { ours, loaded };
    }

    /// Settles a lost reply by the root that was loaded.
    fn settle(&mut self, search: &Search, driver: usize, root: Option<&Root>, ours: Rev, loaded: Rev) {
        let bug = search.config.bug;
        let mut recent = [Revision::ZERO; MAX_DEPTH];
        let current = root.map(|root| {
            let remembered = root.recent.as_slice();
            for (revision, rev) in recent.iter_mut().zip(remembered) {
                *revision = rev.revision();
            }
            (root.rev.revision(), &recent[..remembered.len()])
        });
        let settlement = match settle(current, ours.revision(), loaded.revision()) {
            Settlement::Fence if bug == Some(Bug::NoFence) => Settlement::NeverLanded,
            Settlement::Fence if bug == Some(Bug::CreationWithoutFence) && root.is_none() => Settlement::NeverLanded,
            Settlement::Fence | Settlement::Unknown if bug == Some(Bug::SettleByAbsence) => Settlement::NeverLanded,
            settlement => settlement,
        };
        match settlement {
            Settlement::Landed => {
                search.coverage.met(Event::SettledLanded);
                self.answer(search, driver, Answer::Done);
            }
            Settlement::NeverLanded => {
                search.coverage.met(Event::SettledNever);
                self.never_landed(search, driver);
            }
            Settlement::Fence => {
                search.coverage.met(if root.is_some() { Event::FenceSent } else { Event::BlankFence });
                let fence = fence(search, root, self.moments(search, driver));
                self.drivers[driver].phase = Phase::Fencing { ours, loaded, fence };
            }
            Settlement::Unknown => {
                search.coverage.met(Event::Unknown);
                if usize::from(self.drivers[driver].passed) <= search.config.depth {
                    self.broke(Promise::UnknownOnlyBeyond);
                }
                self.answer(search, driver, Answer::Unknown);
            }
        }
    }

    /// The driver has concluded that no attempt of its act was applied or can be.
    fn never_landed(&mut self, search: &Search, driver: usize) {
        if self.drivers[driver].landed {
            self.broke(Promise::SettledStaysSettled);
        }
        for held in self.held_of(driver) {
            held.dead = true;
        }
        self.rerun(search, driver);
    }

    fn rerun(&mut self, search: &Search, driver: usize) {
        let attempt = &mut self.drivers[driver];
        if attempt.reruns == 0 {
            search.coverage.met(Event::Busy);
            return self.answer(search, driver, Answer::Refused);
        }
        attempt.reruns -= 1;
        attempt.looks = 0;
        attempt.passed = 0;
        attempt.phase = Phase::Loading { suspect: None };
    }

    /// Returns the attempts of a driver's act that may still be applied. Its fences may always be.
    fn held_of(&mut self, driver: usize) -> impl Iterator<Item = &mut Held> {
        self.held
            .iter_mut()
            .filter(move |held| held.owner.map(usize::from) == Some(driver) && held.batch.effect != Effect::Fence)
    }

    /// Answers the caller, and ends the act.
    fn answer(&mut self, search: &Search, driver: usize, answer: Answer) {
        let Driver { act, landed, .. } = self.drivers[driver];
        search.coverage.answered(answer);
        match answer {
            Answer::Done => {
                if !landed {
                    self.broke(Promise::AcknowledgedStays);
                }
                if act == Some(Act::Redeem) {
                    search.coverage.met(Event::Granted);
                    self.grants += 1;
                }
                self.held_of(driver).for_each(|held| held.done = true);
            }
            Answer::Refused | Answer::Integrity => {
                if landed {
                    self.broke(Promise::RefusedNeverLands);
                }
                if answer == Answer::Integrity {
                    self.broke(Promise::Integrity);
                }
                self.held_of(driver).for_each(|held| held.refused = true);
            }
            Answer::Unknown => {}
        }
        for held in &mut self.held {
            if held.owner.map(usize::from) == Some(driver) {
                held.owner = None;
            }
        }
        self.drivers[driver] = self.drivers[driver].at_rest();
    }

    /// Restarts a driver. It forgets everything, and its caller receives no answer.
    pub(crate) fn restart(&mut self, search: &Search, driver: usize) {
        search.coverage.met(Event::Restarted);
        self.restarts -= 1;
        self.answer(search, driver, Answer::Unknown);
        // At its start, the driver learns the current horizon, and believes it up to its own clock.
        let now = self.moments(search, driver).now;
        self.drivers[driver] = Driver::default();
        self.drivers[driver].hear(self.horizon.min(now));
    }

    /// Applies a held commit late.
    pub(crate) fn land_late(&mut self, search: &Search, held: usize) {
        search.coverage.met(Event::LandedLate);
        let Held { owner, batch, dead, refused, done } = self.held.remove(held);
        if dead {
            self.broke(Promise::SettledStaysSettled);
        }
        if refused {
            self.broke(Promise::RefusedNeverLands);
        }
        if done {
            self.broke(Promise::LandedOnce);
        }
        let owner = owner.map(usize::from).filter(|_| batch.effect != Effect::Fence);
        self.land(search, &batch, owner);
    }

    /// Applies a commit to the store, and records it in the observer's ledger.
    fn land(&mut self, search: &Search, batch: &Batch, owner: Option<usize>) {
        let Some(write) = &batch.write else { return };
        self.store.apply(write, self.horizon, search.config.bug);
        if batch.effect == Effect::Spend && self.ledger.code != Some(false) {
            self.broke(Promise::RestsOnWhatStands);
        }
        if let Effect::Promote(over) = batch.effect {
            search.coverage.met(Event::Promoted);
            if self.ledger.vault != Some(over) {
                // An edit is overwritten.
                self.broke(Promise::RestsOnWhatStands);
            }
        }
        match batch.effect {
            Effect::Create | Effect::Register(_) => search.coverage.met(Event::Created),
            Effect::Verify => search.coverage.met(Event::Verified),
            Effect::Erase => search.coverage.met(Event::Erased),
            _ => {}
        }
        self.ledger.book(batch.effect);
        if batch.expect == Rev::ZERO {
            self.moves_since_absence = 0;
        }
        for driver in &mut self.drivers {
            if !matches!(driver.phase, Phase::Idle | Phase::Loading { .. }) {
                driver.passed = driver.passed.saturating_add(1).min(search.config.beyond());
            }
        }
        if let Some(owner) = owner {
            if self.drivers[owner].landed {
                self.broke(Promise::LandedOnce);
            }
            self.drivers[owner].landed = true;
        }
    }
}
