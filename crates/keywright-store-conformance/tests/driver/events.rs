//! The security log, and who hears of it.

use keywright_core::{Event, EventChain, SecurityEvent};
use keywright_store::{Damage, Draft, EventCursor, StepError};
use keywright_store_conformance::Fault;

use crate::{Bench, REDEEMED, REFUSED, START, step_error};

/// Tells one change and one denial.
fn tell(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.event(Event::new(&REDEEMED).with("action", "test"));
    draft.event(&REFUSED);
    Ok(())
}

#[tokio::test]
async fn the_observer_hears_of_each_event_once_after_its_commit() {
    let bench = Bench::made(1).await;
    let heard = || bench.heard.kinds().len() - 1; // the creation
    bench.store.next_commit(Fault::Rejected);
    assert!(bench.driver.transact(&bench.account, &[], tell).await.is_err());
    assert_eq!(heard(), 0, "of nothing that did not happen");
    let failed = bench.driver.transact(&bench.account, &[], |draft| {
        tell(draft)?;
        Err::<(), _>(StepError::Crypto)
    });
    assert!(failed.await.is_err());
    assert_eq!(heard(), 0);
    for fault in [Fault::None, Fault::Conflict, Fault::LostAfter, Fault::LostBefore, Fault::Held] {
        let before = heard();
        bench.store.next_commit(fault);
        bench.driver.transact(&bench.account, &[], tell).await.unwrap();
        assert_eq!(heard(), before + 2);
    }
    let (account, event) = bench.heard.events.lock().unwrap()[1].clone();
    assert_eq!((&account, event.at, event.number), (&bench.id, START, 2));
    assert!(event.is(&REDEEMED) && event.text("action") == Some("test"));
    // What was heard is what is written.
    let told = |event: &SecurityEvent| (event.chain, event.number, event.at, event.to_string());
    let mut written: Vec<_> = bench.driver.recent_events(&bench.id, 100).await.unwrap().iter().map(told).collect();
    let mut heard: Vec<_> = bench.heard.events.lock().unwrap().iter().map(|(_, event)| told(event)).collect();
    written.sort();
    heard.sort();
    assert_eq!(heard, written);
}

#[tokio::test]
async fn a_dropped_verdict_tells_nothing() {
    let bench = Bench::made(2).await;
    let held = bench.driver.transact(&bench.account, &[], |draft| draft.judge(tell).map(drop));
    held.await.unwrap();
    assert_eq!(bench.heard.kinds(), ["account_created"]);
    assert_eq!(bench.numbers(EventChain::Denials), 0);
}

#[tokio::test]
async fn pages_lead_to_the_old_end_and_no_further() {
    let bench = Bench::made(3).await;
    for _ in 0..7 {
        bench.driver.transact(&bench.account, &[], tell).await.unwrap();
    }
    for (chain, count) in [(EventChain::Changes, 8), (EventChain::Denials, 7)] {
        for limit in [1, 3, 7, 8, 100] {
            let mut cursor: Option<EventCursor> = None;
            let mut numbers = Vec::new();
            loop {
                let page = bench.driver.events(&bench.id, chain, cursor.as_ref(), limit).await.unwrap();
                numbers.extend(page.events.iter().map(|event| event.number));
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(numbers, (1..=count).rev().collect::<Vec<u64>>(), "{chain:?} by {limit}");
        }
    }
    let cursor = bench.driver.events(&bench.id, EventChain::Changes, None, 1).await.unwrap().next.unwrap();
    assert_eq!(cursor.chain(), EventChain::Changes);
    let crossed = bench.driver.events(&bench.id, EventChain::Denials, Some(&cursor), 1).await;
    assert!(matches!(step_error(crossed), StepError::Misuse(_)));
    let mixed = bench.driver.recent_events(&bench.id, 3).await.unwrap();
    assert_eq!(mixed.len(), 3);
    // A cursor serves across commits that came meanwhile.
    bench.driver.transact(&bench.account, &[], tell).await.unwrap();
    let page = bench.driver.events(&bench.id, EventChain::Changes, Some(&cursor), 2).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.number).collect::<Vec<_>>(), [7, 6]);
}

/// An event below the oldest number that the root keeps was added, however the pages fall.
#[tokio::test]
async fn nothing_lies_below_the_old_end() {
    let bench = Bench::made(6).await;
    for _ in 0..7 {
        bench.driver.transact(&bench.account, &[], tell).await.unwrap();
    }
    bench.glass.edit(|rows| {
        let key = (bench.account.clone(), EventChain::Changes, 1);
        let first = rows.events.get(&key).cloned().unwrap();
        rows.events.insert((key.0, key.1, 0), keywright_store::StoredEvent { number: 0, ..first });
    });
    for limit in [1, 2, 3, 4, 7, 8, 9, 100] {
        let mut cursor: Option<EventCursor> = None;
        let error = loop {
            match bench.driver.events(&bench.id, EventChain::Changes, cursor.as_ref(), limit).await {
                Ok(page) => cursor = Some(page.next.unwrap_or_else(|| panic!("by {limit} it was not found"))),
                error => break step_error(error),
            }
        };
        assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)), "by {limit}");
    }
    assert_eq!(bench.driver.events(&bench.id, EventChain::Denials, None, 7).await.unwrap().events.len(), 7);
}

#[tokio::test]
async fn only_what_is_older_than_the_policy_may_be_missing_at_the_old_end() {
    let bench = Bench::made(4).await;
    for _ in 0..3 {
        bench.clock.advance(86_400);
        bench.driver.transact(&bench.account, &[], tell).await.unwrap();
    }
    let all = async || bench.driver.events(&bench.id, EventChain::Changes, None, 100).await;
    bench.glass.edit(|rows| rows.events.retain(|(_, chain, number), _| *chain != EventChain::Changes || *number > 1));
    assert_eq!(step_error(all().await), StepError::Damaged(Damage::Events(EventChain::Changes)));
    assert_eq!(bench.heard.damages(), 1, "told once");
    bench.clock.advance(keywright_store::EVENTS_KEPT);
    assert_eq!(all().await.unwrap().events.len(), 3);
    // But never out of the middle, nor at the new end.
    let rows = bench.glass.rows();
    for gone in [3, 4] {
        bench
            .glass
            .edit(|rows| rows.events.retain(|(_, chain, number), _| *chain != EventChain::Changes || *number != gone));
        assert_eq!(step_error(all().await), StepError::Damaged(Damage::Events(EventChain::Changes)), "{gone}");
        bench.glass.edit(|now| *now = rows.clone());
    }
}

#[tokio::test]
async fn an_erased_account_keeps_its_log() {
    let bench = Bench::made(5).await;
    bench.driver.transact(&bench.account, &[], tell).await.unwrap();
    bench.driver.erase_account(&bench.id).await.unwrap();
    bench.driver.transact(&bench.account, &[], tell).await.unwrap();
    let kinds: Vec<String> = bench
        .driver
        .events(&bench.id, EventChain::Changes, None, 10)
        .await
        .unwrap()
        .events
        .iter()
        .map(|event| event.kind().to_owned())
        .collect();
    assert_eq!(kinds, ["test_redeemed", "account_erased", "test_redeemed", "account_created"]);
}
