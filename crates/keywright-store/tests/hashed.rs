//! Codes of which only slow hashes are kept: what the driver does around the verifier.
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keywright_core::{Attempt, Client, Generation, ManualClock, Refusal, SecretKind, SecretString};
use keywright_store::guess::{self, AttemptOutcome, Comparison, LEDGER, Spent};
use keywright_store::hashed::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};
use keywright_store::{BoxFuture, Draft, Driver, Partition, Record, Slot, Standing, StepError, TransactError, hashed};
use keywright_testing::{PlainHashes, World};
use serde::{Deserialize, Serialize};

const CODE: SecretKind = SecretKind::new("test-code");

#[derive(Serialize, Deserialize)]
struct Runs(u8);

impl Record for Runs {
    const SCHEMA: u16 = 1;
}

const RUNS: Slot<Runs> = Slot::lasting("runs");

fn attempt() -> Attempt {
    Attempt::new(CODE, Generation::HOST, Client::unknown())
}

fn check(draft: &mut Draft<'_>, code: &str) -> Result<AttemptOutcome<SecretString, Spent>, StepError> {
    hashed::check(draft, &attempt(), code.as_bytes(), &[SecretString::new(PlainHashes::hash_of("right"))])
}

/// Whether a code is accepted; `None` if it was not looked at.
fn verdict(draft: &mut Draft<'_>, code: &str) -> Result<Option<bool>, StepError> {
    Ok(match check(draft, code)? {
        AttemptOutcome::Right(_) => Some(true),
        AttemptOutcome::Wrong(_) | AttemptOutcome::Replayed(Spent) => Some(false),
        AttemptOutcome::Refused(_) => None,
    })
}

async fn guess_at(world: &World, driver: &Driver, code: &str) -> Result<Option<bool>, TransactError> {
    driver.transact(&world.partition(), &[LEDGER.name()], |draft| verdict(draft, code)).await
}

async fn refusal(world: &World) -> Option<Refusal> {
    world.look(|draft| guess::peek_refusal(draft, &attempt())).await
}

async fn charged(world: &World) -> usize {
    world.denials().await.iter().filter(|event| event.kind() == "guess_denied").count()
}

#[tokio::test]
async fn a_code_is_compared_once_and_what_was_staged_before_it_is_staged_once() {
    let world = World::builder().comparing().build().await;
    for (code, accepted) in [("wrong", false), ("right", true)] {
        let runs = AtomicUsize::new(0);
        let step = |draft: &mut Draft<'_>| {
            runs.fetch_add(1, Ordering::Relaxed);
            let Runs(before) = draft.read(RUNS)?.unwrap_or(Runs(0));
            draft.put(RUNS, &Runs(before + 1))?;
            verdict(draft, code)
        };
        let slots = [RUNS.name(), LEDGER.name()];
        assert_eq!(world.driver.transact(&world.partition(), &slots, step).await.unwrap(), Some(accepted));
        assert!(runs.into_inner() >= 2, "before the comparison and after it");
        assert_eq!(world.hashes.compared(), 1);
    }
    assert_eq!((world.look(|draft| draft.read(RUNS)).await.unwrap().0, charged(&world).await), (2, 1));
}

#[tokio::test]
async fn a_guess_whose_step_ends_before_it_is_not_charged() {
    let world = World::builder().comparing().build().await;
    for _ in 0..20 {
        // Another proof of the request is no longer right when the step runs again.
        let mut was_asked = false;
        let step = |draft: &mut Draft<'_>| {
            if was_asked {
                return Ok(None);
            }
            let decided = verdict(draft, "wrong");
            was_asked = matches!(decided, Err(StepError::NeedsComparison));
            decided
        };
        assert_eq!(world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap(), None);
    }
    // Nor later, as one without a verdict would be.
    world.advance(3_600);
    assert!(refusal(&world).await.is_none());
    assert_eq!((guess_at(&world, &world.driver, "right").await.unwrap(), charged(&world).await), (Some(true), 0));
}

#[tokio::test]
async fn a_busy_verifier_is_a_busy_driver() {
    let world = World::builder().comparing().build().await;
    world.hashes.set_busy(true);
    for _ in 0..20 {
        let error = guess_at(&world, &world.driver, "right").await.unwrap_err();
        assert!(matches!(error, TransactError::Busy) && error.is_busy(), "{error:?}");
    }
    world.hashes.set_busy(false);
    assert_eq!(guess_at(&world, &world.driver, "right").await.unwrap(), Some(true));
}

/// Notes for whom it compares.
#[derive(Debug)]
struct Watching(Arc<Mutex<Vec<(Partition, Standing)>>>, Arc<PlainHashes>);

impl CodeVerifier for Watching {
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
        self.0.lock().unwrap().push((job.partition().clone(), job.standing()));
        self.1.verify(job)
    }
}

#[tokio::test]
async fn the_verifier_learns_whose_guess_it_is() {
    let world = World::builder().build().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let driver = world.driver.with_code_verifier(Arc::new(Watching(Arc::clone(&seen), world.hashes.clone())));
    let client = Client::credential(driver.client_tag(&world.account, b"a device"));
    let codes = [SecretString::new(PlainHashes::hash_of("right"))];
    for _ in 0..2 {
        let step = |draft: &mut Draft<'_>| {
            hashed::check(draft, &Attempt::new(CODE, Generation::HOST, client), b"right", &codes).map(drop)
        };
        driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap();
    }
    // Known since its first right guess.
    let whose = |standing| (world.partition(), standing);
    assert_eq!(*seen.lock().unwrap(), [whose(Standing::Unknown), whose(Standing::Known)]);
}

/// Takes longer than a verdict may.
#[derive(Debug)]
struct Slow(Arc<ManualClock>, Arc<PlainHashes>);

impl CodeVerifier for Slow {
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
        self.0.advance(121);
        self.1.verify(job)
    }
}

#[tokio::test]
async fn a_verdict_that_comes_too_late_grants_nothing_and_its_guess_is_charged() {
    let world = World::builder().build().await;
    let slow = Slow(Arc::clone(&world.clock), Arc::clone(&world.hashes));
    let driver = world.driver.with_code_verifier(Arc::new(slow));
    assert_eq!(guess_at(&world, &driver, "right").await.unwrap(), Some(false));
    for _ in 0..4 {
        let _ = guess_at(&world, &driver, "right").await.unwrap();
    }
    assert!(refusal(&world).await.is_some(), "five guesses without a verdict were charged");
}

#[tokio::test]
async fn where_no_verifier_can_be_asked_no_code_is_checked() {
    let world = World::builder().build().await;
    let error = guess_at(&world, &world.driver, "right").await.unwrap_err();
    assert!(matches!(error, TransactError::Step(StepError::Misuse(_))), "{error:?}");
    let comparing = world.driver.with_code_verifier(world.hashes.clone());
    let look = |draft: &mut Draft<'_>| Ok((draft.can_compare(), check(draft, "right").is_err()));
    let looked = comparing.observe(&world.partition(), &[LEDGER.name()], look).await.unwrap();
    assert_eq!((looked, world.hashes.compared()), ((false, true), 0));
}

#[tokio::test]
async fn two_codes_of_one_request_are_compared_once_each_and_a_third_is_too_many() {
    let world = World::builder().comparing().build().await;
    for codes in [["right", "wrong"], ["wrong", "right"]] {
        let step = |draft: &mut Draft<'_>| Ok([verdict(draft, codes[0])?, verdict(draft, codes[1])?]);
        let decided = world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap();
        assert_eq!(decided.map(Option::unwrap), codes.map(|code| code == "right"));
        assert_eq!(world.hashes.compared(), 2);
    }
    let step = |draft: &mut Draft<'_>| Ok([verdict(draft, "a")?, verdict(draft, "right")?, verdict(draft, "c")?]);
    let error = world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap_err();
    assert!(matches!(error, TransactError::Busy), "{error:?}");
    assert_eq!(world.hashes.compared(), 2);
    // "a" is charged, "right" is not, and "c" was not compared.
    world.advance(3_600);
    for _ in 0..4 {
        assert!(refusal(&world).await.is_none());
        assert_eq!(guess_at(&world, &world.driver, "wrong").await.unwrap(), Some(false));
    }
    assert!(refusal(&world).await.is_some());
}

const PIN: SecretKind = SecretKind::new("test-pin");

/// Checks a PIN that the step compares itself, and then, if it is wrong, the same text as a code. The
/// PIN's verdict is held back, as by a form with one field for both.
fn either(draft: &mut Draft<'_>, text: &str) -> Result<Option<bool>, StepError> {
    let attempt = Attempt::new(PIN, Generation::HOST, Client::unknown());
    let pin = draft.judge(|draft| {
        guess::check(draft, &attempt, |_| Ok(if text == "1234" { Comparison::Right(()) } else { Comparison::Wrong }))
    })?;
    match pin.outcome() {
        AttemptOutcome::Right(()) => return draft.stage(pin).map(|_| Some(true)),
        AttemptOutcome::Refused(_) => return Ok(None),
        _ => {}
    }
    let code = draft.judge(|draft| verdict(draft, text))?;
    if *code.outcome() == Some(true) { draft.stage(code) } else { draft.stage(pin).map(|_| Some(false)) }
}

#[tokio::test]
async fn what_was_found_wrong_before_the_question_is_charged_whatever_the_verifier_does() {
    let world = World::builder().comparing().build().await;
    let guess_either =
        async |text| world.driver.transact(&world.partition(), &[LEDGER.name()], |draft| either(draft, text)).await;
    assert_eq!(guess_either("wrong").await.unwrap(), Some(false));
    assert_eq!(charged(&world).await, 1, "one text is charged once");
    world.hashes.set_busy(true);
    for _ in 1..5 {
        assert!(guess_either("wrong").await.unwrap_err().is_busy());
    }
    assert_eq!(guess_either("1234").await.unwrap(), None, "five wrong PINs were looked at");
    // The code itself is not charged: nobody has compared it but once.
    world.hashes.set_busy(false);
    assert_eq!(guess_at(&world, &world.driver, "right").await.unwrap(), Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_guesses_with_a_question_no_more_are_looked_at_than_one_after_the_other() {
    let world = Arc::new(World::builder().comparing().build().await);
    world.hashes.set_busy(true);
    let guesses = (0..64).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut is_looked_at = false;
            let step = |draft: &mut Draft<'_>| {
                // A run that does not have the partition ends before the PIN is compared.
                let decided = either(draft, "wrong");
                is_looked_at = matches!(decided, Err(StepError::NeedsComparison));
                decided
            };
            let _ = world.driver.transact(&world.partition(), &[LEDGER.name()], step).await;
            is_looked_at
        })
    });
    let mut looked_at = 0;
    for guess in guesses.collect::<Vec<_>>() {
        looked_at += usize::from(guess.await.unwrap());
    }
    // Those that are being settled are in the way of others, so that it may be fewer.
    assert!((1..=5).contains(&looked_at), "{looked_at}");
}

#[tokio::test]
async fn what_was_found_wrong_is_charged_though_the_second_run_ends_before_it() {
    let world = World::builder().comparing().build().await;
    for _ in 0..5 {
        let mut was_asked = false;
        let step = |draft: &mut Draft<'_>| {
            if was_asked {
                return Ok(None);
            }
            let decided = either(draft, "wrong");
            was_asked = matches!(decided, Err(StepError::NeedsComparison));
            decided
        };
        assert_eq!(world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap(), None);
    }
    let attempt = Attempt::new(PIN, Generation::HOST, Client::unknown());
    assert!(world.look(|draft| guess::peek_refusal(draft, &attempt)).await.is_some());
    assert!(refusal(&world).await.is_none(), "nobody has learned anything about the code");
}

#[tokio::test]
async fn a_run_that_fails_after_the_comparison_charges_what_was_wrong_and_nothing_else() {
    let world = World::builder().comparing().build().await;
    for (code, is_charged) in [("right", false), ("wrong", true)] {
        for _ in 0..5 {
            let step = |draft: &mut Draft<'_>| match check(draft, code) {
                Ok(_) => Err(StepError::Misuse("what follows the code")),
                Err(error) => Err::<(), _>(error),
            };
            let error = world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap_err();
            assert!(matches!(error, TransactError::Step(StepError::Misuse(_))), "{error:?}");
        }
        assert_eq!(refusal(&world).await.is_some(), is_charged, "{code}");
    }
}

/// What was wrong when it was looked at is not looked at again later.
#[tokio::test]
async fn a_wrong_guess_does_not_become_right_while_a_code_is_compared() {
    let world = World::builder().comparing().build().await;
    let looks = AtomicUsize::new(0);
    let step = |draft: &mut Draft<'_>| {
        let attempt = Attempt::new(PIN, Generation::HOST, Client::unknown());
        let pin = guess::check(draft, &attempt, |_| {
            let earlier = looks.fetch_add(1, Ordering::Relaxed);
            Ok(if earlier > 0 { Comparison::Right(()) } else { Comparison::Wrong })
        })?;
        verdict(draft, "wrong").map(|code| (matches!(pin, AttemptOutcome::Right(())), code))
    };
    let decided = world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap();
    assert_eq!((decided, looks.into_inner()), ((false, Some(false)), 1));
}

/// A right code in the form of a PIN. What was a wrong PIN first is no wrong guess then.
#[tokio::test]
async fn a_right_code_pays_for_no_pin() {
    let world = World::builder().comparing().build().await;
    for _ in 0..20 {
        let step = |draft: &mut Draft<'_>| either(draft, "right");
        let decided = world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap();
        assert_eq!(decided, Some(true));
    }
    world.advance(3_600);
    let step = |draft: &mut Draft<'_>| either(draft, "1234");
    assert_eq!(world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap(), Some(true));
    assert_eq!(charged(&world).await, 0);
}

/// A library that panics, in a task of its own.
#[derive(Debug)]
struct Failing;

impl CodeVerifier for Failing {
    fn verify(&self, _: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
        Box::pin(async { Ok(HashMatch::none()) })
    }
}

#[tokio::test]
async fn a_comparison_that_fails_is_a_wrong_guess() {
    let world = World::builder().build().await;
    let driver = world.driver.with_code_verifier(Arc::new(Failing));
    for _ in 0..5 {
        assert_eq!(guess_at(&world, &driver, "right").await.unwrap(), Some(false));
    }
    assert!(refusal(&world).await.is_some());
}

#[tokio::test]
async fn every_hash_is_compared_wherever_the_right_one_stands() {
    let world = World::builder().comparing().build().await;
    for right in 0..3 {
        let codes =
            (0..3).map(|at| SecretString::new(PlainHashes::hash_of(if at == right { "right" } else { "other" })));
        let codes = codes.collect::<Vec<_>>();
        let step = |draft: &mut Draft<'_>| hashed::check(draft, &attempt(), b"right", &codes);
        let step = |draft: &mut Draft<'_>| Ok(matches!(step(draft)?, AttemptOutcome::Right(_)));
        assert!(world.driver.transact(&world.partition(), &[LEDGER.name()], step).await.unwrap());
        assert_eq!(world.hashes.compared(), 3);
    }
}
