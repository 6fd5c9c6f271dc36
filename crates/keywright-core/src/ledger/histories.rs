//! Random histories against the reference: clients that come and go, an owner who succeeds, changes
//! of the secret, admissions, unlocks, guesses that the host judges late or never, and a clock that
//! jumps.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use std::collections::VecDeque;

use proptest::prelude::*;

use self::op::{Op, op};
use super::model::{DAY, ModelAnswer, Place, Reference, Who, tag};
use super::{
    Admission, AdmittedAttempt, Attempt, ClientAdmission, Generation, GuessLedger, LedgerPolicy, PendingGuess, Refusal,
    SecretKind,
};
use crate::UnixSeconds;

mod op;

const START: u64 = 2_000_000_000;
const KINDS: [SecretKind; 2] = [SecretKind::new("passphrase"), SecretKind::new("recovery").unguessable()];

/// The guesses of one generation that may have been checked.
#[derive(Debug, Clone, Default)]
struct Budget {
    /// Seconds that the clock has moved forward since the first wrong guess.
    passed: u64,
    wrong: u64,
    in_a_row: u64,
    new_places: u64,
    admissions: u64,
    admissions_in_a_row: u64,
    unlocks: u64,
}

struct Question {
    kind: usize,
    guess: PendingGuess,
    id: u8,
    who: Who,
    right: bool,
    generation: Generation,
}

/// A wait that was reported to a client.
struct Promise {
    kind: usize,
    who: Who,
    /// How long the wait was.
    reported: u64,
    deadline: u64,
    /// Whether the client was known: then nothing that others do counts. Those that are not known
    /// share their waits.
    known: bool,
    /// How often the clock has gone back since. A stored moment that lies further away than its own
    /// wait is settled when somebody asks next, so each time the wait may begin anew, once.
    restarts: u32,
}

struct History {
    policy: LedgerPolicy,
    ledger: GuessLedger,
    references: [Reference; 2],
    budgets: [Budget; 2],
    generations: [Generation; 2],
    admissions: Vec<u64>,
    now: u64,
    next_id: u8,
    questions: VecDeque<Question>,
    promises: Vec<Promise>,
}

impl History {
    fn new() -> Self {
        Self {
            policy: LedgerPolicy::default(),
            ledger: GuessLedger::default(),
            references: [Reference::new(true), Reference::new(false)],
            budgets: Default::default(),
            generations: [Generation::from_u64(1), Generation::HOST],
            admissions: Vec::new(),
            now: START,
            next_id: 0,
            questions: VecDeque::new(),
            promises: Vec::new(),
        }
    }

    fn now(&self) -> UnixSeconds {
        UnixSeconds::new(self.now).unwrap()
    }

    fn attempt(&self, kind: usize, who: Who) -> Attempt {
        Attempt::new(KINDS[kind], self.generations[kind], who.client())
    }

    fn settle(&mut self) {
        let now = self.now;
        self.references.iter_mut().for_each(|reference| reference.settle(now));
        self.admissions.iter_mut().for_each(|admission| *admission = (*admission).min(now));
    }

    /// The reference of a secret, ready for a change.
    fn reference(&mut self, kind: usize) -> &mut Reference {
        self.settle();
        let now = self.now;
        self.references[kind].tick(now);
        &mut self.references[kind]
    }

    /// Queries both, and checks the answer and everything that a refusal promises.
    fn admit(&mut self, kind: usize, who: Who) -> Result<(AdmittedAttempt, Place), Refusal> {
        let (policy, attempt, now, before) =
            (self.policy.clone(), self.attempt(kind, who), self.now(), self.ledger.clone());
        let mut ticked = self.references[kind].clone();
        ticked.tick(self.now);
        let expected = ticked.ask(who, self.now);
        let knows = ticked.knows(who);
        assert_eq!(self.ledger.is_known(&policy, &attempt), knows);
        let peeked = self.ledger.peek(&policy, &attempt, now);
        match self.ledger.admit(&policy, &attempt, now) {
            Admission::Open(admitted) => {
                assert_eq!(self.ledger, before, "opening changed something");
                assert_eq!(peeked, None);
                let place = expected.expect("the reference refuses");
                assert_eq!(admitted.is_admitted(), matches!(place, Place::Admitted(_)));
                assert_eq!(admitted.is_known(), knows);
                // A client that may guess now may be wrong, and that starts a new wait: its own,
                // that of all clients that are not known, or that of everybody in an admitted
                // network.
                let shares = |other: Who| match place {
                    Place::Admitted(name) => other.network == Some(name) || other.credential == Some(name),
                    _ => false,
                };
                self.promises.retain(|promise| {
                    promise.kind != kind
                        || (promise.who.name() != who.name() && !shares(promise.who) && (promise.known || knows))
                });
                Ok((admitted, place))
            }
            Admission::Refused(refusal) => {
                let verdict = expected.expect_err("the reference opens");
                assert_eq!(peeked.as_ref(), Some(&refusal), "a look tells another thing");
                assert_eq!(refusal.is_locked(), verdict == ModelAnswer::Locked);
                self.settle();
                self.check_refusal(&attempt, &refusal, &before, kind, &ticked);
                // Attempts in flight are shared by all who are not known: another may take the
                // place that becomes free.
                if !refusal.is_locked() && (knows || !ticked.has_flights()) {
                    let reported = refusal.retry_after();
                    let deadline = self.now + reported;
                    self.promises.push(Promise { kind, who, reported, deadline, known: knows, restarts: 0 });
                }
                Err(refusal)
            }
        }
    }

    fn check_refusal(
        &self,
        attempt: &Attempt,
        refusal: &Refusal,
        before: &GuessLedger,
        kind: usize,
        ticked: &Reference,
    ) {
        let (policy, now) = (&self.policy, self.now());
        assert!(refusal.retry_after() >= 1);
        assert_eq!(refusal.changed(), self.ledger != *before, "a refusal wrote, or hid that it did");
        let mut again = self.ledger.clone();
        match again.admit(policy, attempt, now) {
            Admission::Refused(second) => {
                assert!(!second.changed() && second.retry_after() == refusal.retry_after());
                assert_eq!(again, self.ledger);
            }
            Admission::Open(_) => panic!("a second guess is looked at"),
        }
        if refusal.is_locked() {
            assert_eq!(refusal.retry_after(), 86_400);
        } else {
            let at = |ledger: &GuessLedger, seconds| ledger.peek(policy, attempt, now.plus(seconds));
            assert_eq!(at(&self.ledger, refusal.retry_after()), None, "not open in time");
            // The same if all verdicts come in between, and are bad.
            let mut judged = self.ledger.clone();
            for question in self.questions.iter().filter(|question| question.kind == kind) {
                judged.settle_wrong(policy, &question.guess, now.plus(refusal.retry_after() / 2));
            }
            assert_eq!(at(&judged, refusal.retry_after()), None, "not open in time after verdicts");
            if !ticked.has_flights() {
                assert!(at(&self.ledger, refusal.retry_after() - 1).is_some(), "opens too early");
            }
        }
        // Every way in really lets in.
        let (secret, generation) = (attempt.secret, attempt.generation);
        let mut unlocked = self.ledger.clone();
        assert!(unlocked.unlock(policy, secret, generation, now), "nothing to unlock");
        assert_eq!(unlocked.peek(policy, attempt, now), None, "an unlock does not let in");
        if let Some(tag) = attempt.client.tag() {
            let mut admitted = self.ledger.clone();
            if let ClientAdmission::Admitted { .. } = admitted.admit_client(policy, secret, generation, tag, now) {
                let Admission::Open(admitted) = admitted.admit(policy, attempt, now) else {
                    panic!("an admission does not let in")
                };
                assert!(admitted.is_admitted());
            }
        }
    }

    fn count_wrong(&mut self, kind: usize) {
        let budget = &mut self.budgets[kind];
        budget.wrong += 1;
        budget.in_a_row += 1;
        if kind == 0 {
            let days = budget.passed / DAY;
            let most = 100 + days + budget.new_places + 10 * budget.admissions + 100 * budget.unlocks;
            assert!(budget.wrong <= most, "{budget:?}");
            assert!(budget.in_a_row <= 100 + 10 * budget.admissions_in_a_row, "{budget:?}");
        }
    }

    fn count_right(&mut self, kind: usize, new_place: bool) {
        let budget = &mut self.budgets[kind];
        budget.new_places += u64::from(new_place);
        (budget.in_a_row, budget.admissions_in_a_row) = (0, 0);
    }

    fn guess(&mut self, kind: usize, who: Who, right: bool) -> Result<(), Refusal> {
        let (admitted, place) = self.admit(kind, who)?;
        let (policy, now, seconds) = (self.policy.clone(), self.now(), self.now);
        if right {
            let before = self.ledger.clone();
            let changed = self.ledger.forgive(&policy, &admitted, now);
            assert_eq!(changed, before != self.ledger);
            let new_place = self.reference(kind).succeed(who, seconds);
            self.count_right(kind, new_place);
        } else {
            let charge = self.ledger.charge(&policy, &admitted, now);
            self.reference(kind).charge(place, seconds);
            self.count_wrong(kind);
            let next = self.references[kind].ask(who, seconds).err();
            assert_eq!(charge.next().is_some(), next.is_some());
            assert_eq!(charge.locked(), next == Some(ModelAnswer::Locked));
        }
        Ok(())
    }

    fn begin(&mut self, kind: usize, who: Who, right: bool) {
        let Ok((admitted, place)) = self.admit(kind, who) else { return };
        let (policy, now, seconds) = (self.policy.clone(), self.now(), self.now);
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let guess = self.ledger.begin(&policy, &admitted, [id; 8], now);
        self.reference(kind).begin(id, place, seconds);
        if !right {
            self.count_wrong(kind);
        }
        let generation = self.generations[kind];
        self.questions.push_back(Question { kind, guess, id, who, right, generation });
    }

    fn answer(&mut self) {
        let Some(question) = self.questions.pop_front() else { return };
        let Question { kind, guess, id, who, right, generation } = question;
        let (policy, now, seconds) = (self.policy.clone(), self.now(), self.now);
        if self.ledger.entry(KINDS[kind], generation).is_none() {
            assert!(generation != self.generations[kind] || !self.references[kind].has_flight(id));
            assert!(!self.ledger.settle_right(&policy, &guess, now));
            return;
        }
        let place = self.reference(kind).take(id);
        if right {
            assert_eq!(self.ledger.settle_right(&policy, &guess, now), place.is_some());
            if place.is_some() {
                let new_place = self.references[kind].succeed(who, seconds);
                self.count_right(kind, new_place);
            }
        } else {
            let counts = place.is_some_and(|place| place != Place::Counted);
            assert_eq!(self.ledger.settle_wrong(&policy, &guess, now).is_some(), counts);
            if let Some(place) = place {
                self.references[kind].charge(place, seconds);
            }
        }
        assert!(!self.ledger.settle_right(&policy, &guess, now), "settled twice");
    }

    fn withdraw(&mut self) {
        let Some(Question { kind, guess, id, right, generation, .. }) = self.questions.pop_front() else { return };
        let (policy, now) = (self.policy.clone(), self.now());
        if self.ledger.entry(KINDS[kind], generation).is_none() {
            assert!(!self.ledger.withdraw(&policy, &guess, now));
            return;
        }
        let was_open = self.reference(kind).take(id).is_some_and(|place| place != Place::Counted);
        assert_eq!(self.ledger.withdraw(&policy, &guess, now), was_open);
        if was_open && !right {
            let budget = &mut self.budgets[kind];
            budget.wrong = budget.wrong.saturating_sub(1);
            budget.in_a_row = budget.in_a_row.saturating_sub(1);
        }
        assert!(!self.ledger.withdraw(&policy, &guess, now), "withdrawn twice");
        assert!(!self.ledger.settle_right(&policy, &guess, now), "granted after it was withdrawn");
    }

    fn renew(&mut self, kind: usize, changed_by: &[u8]) {
        let mut names = changed_by.to_vec();
        names.dedup();
        let from = self.generations[kind];
        // The second kind is the host's: its generation stays.
        let to = if kind == 0 { Generation::from_u64(from.get() + 1) } else { from };
        let tags: Vec<_> = names.iter().map(|name| tag(*name)).collect();
        self.ledger.renew(&self.policy, KINDS[kind], from, to, &tags, self.now());
        self.reference(kind).renew(&names);
        self.generations[kind] = to;
        self.budgets[kind] = Budget::default();
        self.promises.retain(|promise| promise.kind != kind);
    }

    fn admit_client(&mut self, kind: usize, name: u8) {
        let (policy, now, seconds) = (self.policy.clone(), self.now(), self.now);
        let answer = self.ledger.admit_client(&policy, KINDS[kind], self.generations[kind], tag(name), now);
        self.settle();
        self.admissions.retain(|admission| seconds < admission + DAY);
        self.references.iter_mut().for_each(|reference| reference.end_admissions(seconds));
        if self.admissions.len() >= 3 {
            let retry_after = self.admissions[0] + DAY - seconds;
            assert_eq!(answer, ClientAdmission::TooMany { retry_after });
            return;
        }
        assert_eq!(answer, ClientAdmission::Admitted { until: now.plus(3600) });
        self.admissions.push(seconds);
        self.reference(kind).admit(name, seconds);
        self.budgets[kind].admissions += 1;
        self.budgets[kind].admissions_in_a_row += 1;
    }

    fn unlock(&mut self, kind: usize) {
        let (policy, now, seconds, generation) = (self.policy.clone(), self.now(), self.now, self.generations[kind]);
        if self.ledger.entry(KINDS[kind], generation).is_none() {
            assert!(!self.ledger.unlock(&policy, KINDS[kind], generation, now));
            return;
        }
        self.ledger.unlock(&policy, KINDS[kind], generation, now);
        // A client that has waited may guess.
        self.promises.retain(|promise| promise.kind != kind);
        self.reference(kind).unlock(seconds);
        assert!(!self.ledger.unlock(&policy, KINDS[kind], generation, now));
        self.budgets[kind].unlocks += 1;
        self.budgets[kind].in_a_row = 0;
    }

    fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        for budget in self.budgets.iter_mut().filter(|budget| budget.wrong > 0) {
            budget.passed += seconds;
        }
        // A wait that was reported to a client has ended in time, whatever others have done since.
        let now = self.now;
        let (due, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.promises).into_iter().partition(|promise| promise.deadline <= now);
        self.promises = open;
        let mut kept = Vec::new();
        for promise in due {
            let attempt = self.attempt(promise.kind, promise.who);
            if promise.known && !self.ledger.is_known(&self.policy, &attempt) {
                // Another has its place.
                continue;
            }
            let Some(refusal) = self.ledger.peek(&self.policy, &attempt, self.now()) else {
                if promise.known {
                    kept.push(promise);
                }
                continue;
            };
            assert!(
                promise.restarts > 0,
                "a reported wait was too short: {:?} waited {} s",
                promise.who,
                promise.reported
            );
            assert!(!refusal.is_locked(), "a wait has become a lock");
            // It asks again: what the clock has left is settled, and stored.
            let Admission::Refused(refusal) = self.ledger.admit(&self.policy, &attempt, self.now()) else {
                panic!("a look and an admission differ")
            };
            self.settle();
            let (reported, restarts) = (refusal.retry_after(), promise.restarts - 1);
            kept.push(Promise { reported, deadline: now + reported, restarts, ..promise });
        }
        self.promises.append(&mut kept);
    }

    /// The clock goes back: a wait that was reported is no longer than it was, but may begin anew.
    fn go_back(&mut self, seconds: u64) {
        self.now -= seconds;
        for promise in &mut self.promises {
            promise.deadline = promise.deadline.min(self.now + promise.reported);
            promise.restarts += 1;
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Guess { kind, who, right } => {
                let _ = self.guess(kind, who, right);
            }
            Op::Slow { kind, who, right } => self.begin(kind, who, right),
            Op::Answer => self.answer(),
            Op::Lose => {
                self.questions.pop_front();
            }
            Op::Siege { kind, who, guesses } => {
                for _ in 0..guesses {
                    if let Err(refusal) = self.guess(kind, who, false)
                        && !refusal.is_locked()
                    {
                        self.pass(refusal.retry_after());
                    }
                }
            }
            Op::Thief { kind, who, rounds } => {
                for guess in 0..rounds * 5 {
                    let _ = self.guess(kind, who, guess % 5 == 4);
                }
            }
            Op::Withdraw => self.withdraw(),
            Op::Renew { kind, changed_by } => self.renew(kind, &changed_by),
            Op::Admit { kind, name } => self.admit_client(kind, name),
            Op::Unlock { kind } => self.unlock(kind),
            Op::Pass(seconds) => self.pass(seconds),
            Op::Jump(seconds) if seconds < 0 => {
                self.go_back(seconds.unsigned_abs());
            }
            Op::Jump(seconds) => self.pass(seconds.unsigned_abs()),
        }
        let stored = postcard::to_allocvec(&self.ledger).unwrap();
        assert_eq!(postcard::from_bytes::<GuessLedger>(&stored).unwrap(), self.ledger);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// The ledger agrees with the reference everywhere; no more is looked at than 100 + 1 a day, +
    /// 1 for a new place, + 10 for an admission; no more than 100 in a row (NIST SP 800-63B-4 §
    /// 3.2.2); refusals change nothing and come true; every way in lets in.
    #[test]
    fn nist_3_2_2_the_ledger_agrees_with_the_reference(ops in prop::collection::vec(op(), 1..120)) {
        let mut history = History::new();
        for op in ops {
            history.run(op);
        }
    }

    /// Others, however many, whenever, with whatever admissions and verdicts, hold up no known
    /// client. The owner is known by a credential, on a network that others guess from too, and has
    /// made up to four wrong guesses.
    #[test]
    fn others_never_hold_up_a_known_client(ops in prop::collection::vec(op(), 1..100), fails in 0..5_u8) {
        let owner = Who { credential: Some(50), network: Some(100) };
        let mut history = History::new();
        prop_assert_eq!(history.guess(0, owner, true), Ok(()));
        for _ in 0..fails {
            prop_assert_eq!(history.guess(0, owner, false), Ok(()));
        }
        for op in ops {
            // A right guess of five others would take the owner's place: that takes the secret.
            match op {
                Op::Guess { right: true, .. } | Op::Slow { right: true, .. } | Op::Thief { .. } | Op::Renew { .. } => {}
                op => history.run(op),
            }
            prop_assert!(history.admit(0, owner).is_ok());
        }
    }
}
