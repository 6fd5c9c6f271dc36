//! The security log, and its observers.

use keywright_core::{Event, EventChain, SecurityEvent};
use keywright_store::{Damage, Draft, EventCursor, StepError};
use keywright_store_conformance::Fault;

use crate::{REDEEMED, REFUSED, START, World, step_error};

/// Writes one change and one denial.
fn tell(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.event(Event::new(&REDEEMED).with("action", "test"));
    draft.event(&REFUSED);
    Ok(())
}

#[tokio::test]
async fn the_observer_hears_of_each_event_once_after_its_commit() {
    let world = World::made(1).await;
    let heard = || world.heard.kinds().len() - 1; // the creation
    world.faults.next_commit(Fault::Rejected);
    assert!(world.driver.transact(&world.partition, &[], tell).await.is_err());
    assert_eq!(heard(), 0, "of nothing that did not happen");
    let failed = world.driver.transact(&world.partition, &[], |draft| {
        tell(draft)?;
        Err::<(), _>(StepError::Crypto)
    });
    assert!(failed.await.is_err());
    assert_eq!(heard(), 0);
    for fault in [Fault::None, Fault::Conflict, Fault::LostAfter, Fault::LostBefore, Fault::Held] {
        let before = heard();
        world.faults.next_commit(fault);
        world.driver.transact(&world.partition, &[], tell).await.unwrap();
        assert_eq!(heard(), before + 2);
    }
    let (account, event) = world.heard.events()[1].clone();
    assert_eq!((&account, event.at, event.number), (&world.account, START, 2));
    assert!(event.is(&REDEEMED) && event.text("action") == Some("test"));
    // The observer received what was written.
    let told = |event: &SecurityEvent| (event.chain, event.number, event.at, event.to_string());
    let mut written: Vec<_> = world.driver.recent_events(&world.account, 100).await.unwrap().iter().map(told).collect();
    let mut heard: Vec<_> = world.heard.events().iter().map(|(_, event)| told(event)).collect();
    written.sort();
    heard.sort();
    assert_eq!(heard, written);
}

#[tokio::test]
async fn a_dropped_verdict_tells_nothing() {
    let world = World::made(2).await;
    let held = world.driver.transact(&world.partition, &[], |draft| draft.judge(tell).map(drop));
    held.await.unwrap();
    assert_eq!(world.heard.kinds(), ["account_created"]);
    assert_eq!(world.numbers(EventChain::Denials), 0);
}

#[tokio::test]
async fn pages_lead_to_the_old_end_and_no_further() {
    let world = World::made(3).await;
    for _ in 0..7 {
        world.driver.transact(&world.partition, &[], tell).await.unwrap();
    }
    for (chain, count) in [(EventChain::Changes, 8), (EventChain::Denials, 7)] {
        for limit in [1, 3, 7, 8, 100] {
            let mut cursor: Option<EventCursor> = None;
            let mut numbers = Vec::new();
            loop {
                let page = world.driver.events(&world.account, chain, cursor.as_ref(), limit).await.unwrap();
                numbers.extend(page.events.iter().map(|event| event.number));
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(numbers, (1..=count).rev().collect::<Vec<u64>>(), "{chain:?} by {limit}");
        }
    }
    let cursor = world.driver.events(&world.account, EventChain::Changes, None, 1).await.unwrap().next.unwrap();
    assert_eq!(cursor.chain(), EventChain::Changes);
    let crossed = world.driver.events(&world.account, EventChain::Denials, Some(&cursor), 1).await;
    assert!(matches!(step_error(crossed), StepError::Misuse(_)));
    let mixed = world.driver.recent_events(&world.account, 3).await.unwrap();
    assert_eq!(mixed.len(), 3);
    // A cursor stays valid across later commits.
    world.driver.transact(&world.partition, &[], tell).await.unwrap();
    let page = world.driver.events(&world.account, EventChain::Changes, Some(&cursor), 2).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.number).collect::<Vec<_>>(), [7, 6]);
}

/// An event below the oldest number that the root keeps is one that was added, however the pages
/// are cut.
#[tokio::test]
async fn nothing_lies_below_the_old_end() {
    let world = World::made(6).await;
    for _ in 0..7 {
        world.driver.transact(&world.partition, &[], tell).await.unwrap();
    }
    world.glass.edit(|rows| {
        let key = (world.partition.clone(), EventChain::Changes, 1);
        let first = rows.events.get(&key).cloned().unwrap();
        rows.events.insert((key.0, key.1, 0), keywright_store::StoredEvent { number: 0, ..first });
    });
    for limit in [1, 2, 3, 4, 7, 8, 9, 100] {
        let mut cursor: Option<EventCursor> = None;
        let error = loop {
            match world.driver.events(&world.account, EventChain::Changes, cursor.as_ref(), limit).await {
                Ok(page) => cursor = Some(page.next.unwrap_or_else(|| panic!("by {limit} it was not found"))),
                error => break step_error(error),
            }
        };
        assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)), "by {limit}");
    }
    assert_eq!(world.driver.events(&world.account, EventChain::Denials, None, 7).await.unwrap().events.len(), 7);
}

#[tokio::test]
async fn only_what_is_older_than_the_policy_may_be_missing_at_the_old_end() {
    let world = World::made(4).await;
    for _ in 0..3 {
        world.clock.advance(86_400);
        world.driver.transact(&world.partition, &[], tell).await.unwrap();
    }
    let all = async || world.driver.events(&world.account, EventChain::Changes, None, 100).await;
    world.glass.edit(|rows| rows.events.retain(|(_, chain, number), _| *chain != EventChain::Changes || *number > 1));
    assert_eq!(step_error(all().await), StepError::Damaged(Damage::Events(EventChain::Changes)));
    assert_eq!(world.heard.damages(), 1, "told once");
    world.clock.advance(keywright_store::EVENTS_KEPT);
    assert_eq!(all().await.unwrap().events.len(), 3);
    // But never out of the middle, nor at the new end.
    let rows = world.glass.rows();
    for gone in [3, 4] {
        world
            .glass
            .edit(|rows| rows.events.retain(|(_, chain, number), _| *chain != EventChain::Changes || *number != gone));
        assert_eq!(step_error(all().await), StepError::Damaged(Damage::Events(EventChain::Changes)), "{gone}");
        world.glass.edit(|now| *now = rows.clone());
    }
}

#[tokio::test]
async fn an_erased_account_keeps_its_log() {
    let world = World::made(5).await;
    world.driver.transact(&world.partition, &[], tell).await.unwrap();
    world.driver.erase_account(&world.account).await.unwrap();
    world.driver.transact(&world.partition, &[], tell).await.unwrap();
    let kinds: Vec<String> = world
        .driver
        .events(&world.account, EventChain::Changes, None, 10)
        .await
        .unwrap()
        .events
        .iter()
        .map(|event| event.kind().to_owned())
        .collect();
    assert_eq!(kinds, ["test_redeemed", "account_erased", "test_redeemed", "account_created"]);
}
