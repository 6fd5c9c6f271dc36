//! Guesses are never judged by a ledger that is not committed, and never compared without need.

use std::sync::atomic::{AtomicU32, Ordering};

use keywright_core::{Attempt, Client, ClientAdmission, ClientTag, EventChain, Generation, SecretKind};
use keywright_store::guess::{self, AttemptOutcome, Comparison, LEDGER};
use keywright_store::{Draft, Driver, Partition, TransactError};
use keywright_store_conformance::{Fault, Odds};
use tokio::task::JoinSet;

use crate::World;

const SECRET: SecretKind = SecretKind::new("test-secret");

/// How a guess ended: compared and wrong, or refused without a comparison.
async fn guess(driver: &Driver, account: &Partition, compared: &AtomicU32) -> Result<bool, TransactError> {
    let attempt = Attempt::new(SECRET, Generation::from_u64(1), Client::unknown());
    let step = |draft: &mut Draft<'_>| {
        let outcome = guess::check(draft, &attempt, |_| {
            compared.fetch_add(1, Ordering::SeqCst);
            Ok(Comparison::<()>::Wrong)
        })?;
        match outcome {
            AttemptOutcome::Wrong(_) => Ok(true),
            AttemptOutcome::Refused(_) => Ok(false),
            AttemptOutcome::Right(()) => panic!("it is wrong"),
        }
    };
    driver.transact(account, &[LEDGER.name()], step).await
}

#[tokio::test]
async fn parallel_guesses_are_charged_one_by_one() {
    let world = World::made(1).await;
    let servers = [world.another_server(), world.another_server()];
    let compared: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    world.faults.randomise(1, Odds { pause: 700, ..Odds::default() });
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let (driver, account) = (servers[number % 2].clone(), world.partition.clone());
        calls.spawn(async move { guess(&driver, &account, compared).await });
    }
    let (mut wrong, mut refused) = (0, 0);
    while let Some(said) = calls.join_next().await {
        match said.unwrap() {
            Ok(true) => wrong += 1,
            Ok(false) => refused += 1,
            Err(TransactError::Busy) => {}
            Err(other) => panic!("{other}"),
        }
    }
    let free = u32::from(world.driver.ledger_policy().free_tries());
    assert!(wrong <= free + 2, "{wrong} of 200 parallel guesses were judged");
    assert!(refused > 0);
    // Both servers may have compared concurrently, but what they answered was charged.
    assert!(compared.load(Ordering::SeqCst) <= 2 * (free + 2), "{compared:?}");
    assert!(world.numbers(EventChain::Denials) >= 1);
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let world = World::made(2).await;
    let compared = AtomicU32::new(0);
    while guess(&world.driver, &world.partition, &compared).await.unwrap() {}
    let (rows, seen, commits) = (world.glass.rows(), compared.load(Ordering::SeqCst), world.commits());
    for _ in 0..50 {
        assert!(!guess(&world.driver, &world.partition, &compared).await.unwrap());
    }
    assert_eq!(world.glass.rows(), rows);
    assert_eq!((compared.load(Ordering::SeqCst), world.commits()), (seen, commits), "nor is it looked at");
}

#[tokio::test]
async fn a_charge_that_is_lost_is_settled_and_counted_once() {
    for fault in [Fault::LostAfter, Fault::LostBefore, Fault::Held, Fault::Conflict] {
        let (world, other) = (World::made(3).await, World::made(3).await);
        let compared = AtomicU32::new(0);
        let tries = async |world: &World, fault: Fault| {
            let mut tries = 0;
            world.faults.next_commit(fault);
            while guess(&world.driver, &world.partition, &compared).await.unwrap() {
                tries += 1;
            }
            while world.faults.deliver().await.is_some() {}
            tries
        };
        assert_eq!(tries(&world, fault).await, tries(&other, Fault::None).await);
    }
}

/// A clock that ran ahead used up the day's admissions, and was corrected. The wait that is
/// announced then ends when announced, for a session's admission and for a click on a mail's link,
/// which does not use one up.
#[tokio::test]
async fn a_day_of_admissions_ends_when_it_was_told_after_the_clock_went_back() {
    const TICKET: [u8; 16] = [7; 16];
    let generation = Generation::from_u64(1);
    for by_mail in [false, true] {
        let world = World::made(4).await;
        let act = async |ticket: bool, tag: u8| {
            let tag = ClientTag::from_bytes([tag; 16]);
            let step = |draft: &mut Draft<'_>| match ticket {
                true => guess::unlock_mail_clicked(draft, SECRET, generation, TICKET, tag),
                false => guess::admit_client(draft, SECRET, generation, tag).map(Some),
            };
            world.driver.transact(&world.partition, &[LEDGER.name()], step).await.unwrap()
        };
        // The mail is sent at the right time; its link works for a month.
        world
            .driver
            .transact(&world.partition, &[LEDGER.name()], |draft| {
                let attempt = Attempt::new(SECRET, generation, Client::unknown());
                let mut ledger = draft.read(LEDGER)?.unwrap_or_default();
                for _ in 0..6 {
                    let end = ledger.unlock_mail_sent(draft.ledger_policy(), &attempt, TICKET, draft.now());
                    assert!(end >= draft.now().plus(86_400) && end <= draft.now().plus(30 * 86_400));
                }
                draft.put(LEDGER, &ledger)
            })
            .await
            .unwrap();
        let sent = keywright_core::Clock::now(&*world.clock).unwrap();
        world.clock.advance(10 * 86_400);
        for tag in 1..=3 {
            assert!(matches!(act(false, tag).await, Some(ClientAdmission::Admitted { .. })));
        }
        world.clock.set(sent);
        let waits = |seconds| Some(ClientAdmission::TooMany { retry_after: seconds });
        assert_eq!(act(by_mail, 4).await, waits(86_400));
        world.clock.advance(86_399);
        assert_eq!(act(by_mail, 4).await, waits(1), "by mail: {by_mail}");
        let rows = world.glass.rows();
        assert_eq!(act(by_mail, 4).await, waits(1));
        assert_eq!(world.glass.rows(), rows, "it is stored once");
        world.clock.advance(1);
        assert!(matches!(act(by_mail, 4).await, Some(ClientAdmission::Admitted { .. })), "by mail: {by_mail}");
    }
}
