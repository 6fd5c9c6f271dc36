//! How the ledger treats wrong codes, and which input is not charged.

use keywright_core::{Refusal, SessionId};
use keywright_store::guess::GUESS_DENIED;
use keywright_twofactor::recovery::{Liveness, Preset};

use crate::world::{Outcome, SESSION, START, UNKNOWN, World, at, client, foreign};

/// Makes wrong guesses, and waits as long as reported, until guesses are locked or `most` were
/// checked.
async fn guess_on(world: &World, preset: Preset, most: usize) -> (usize, Option<Refusal>) {
    let (mut looked, mut now) = (0, START);
    while looked < most {
        match world.verify(&foreign(preset, looked + 1)).await {
            Outcome::Charged(_) => looked += 1,
            Outcome::Refused(refusal) if refusal.is_locked() => return (looked, Some(refusal)),
            Outcome::Refused(refusal) => {
                now += refusal.retry_after();
                world.clock.set(at(now));
            }
            other => panic!("{other:?}"),
        }
    }
    (looked, None)
}

/// `docs/security.md` § 6: with 64 bits and more a recovery code is the way out, so guesses wait
/// and are never locked.
#[tokio::test]
async fn unguessable_codes_wait_and_are_never_shut() {
    for preset in [Preset::Default, Preset::Nist, Preset::LibrePass] {
        let world = World::new().await;
        let codes = world.make(preset, Liveness::Now).await;
        assert_eq!(guess_on(&world, preset, 120).await, (120, None), "{preset:?}");
        let Outcome::Refused(wait) = world.verify(&codes[0]).await else { panic!("no wait") };
        assert!(!wait.is_locked() && wait.retry_after() == 3_600);
        assert_eq!(world.refusal(UNKNOWN).await, Some(wait));
        world.clock.advance(3_600);
        assert_eq!(world.verify(&codes[0]).await, Outcome::Granted, "{preset:?}");
    }
}

#[tokio::test]
async fn nist_3_2_2_rocket_chat_codes_are_shut_like_any_other_secret() {
    let world = World::new().await;
    let codes = world.make(Preset::RocketChat, Liveness::Now).await;
    // A client that passed before is known here.
    assert_eq!(world.verify_as(&codes[0], client(Some(7))).await, Outcome::Granted);
    let (looked, lock) = guess_on(&world, Preset::RocketChat, 1_000).await;
    assert_eq!(looked, 50);
    world.clock.advance(10 * 365 * 86_400);
    let Outcome::Refused(refusal) = world.verify(&codes[1]).await else { panic!("no lock") };
    assert!(refusal.is_locked() && lock.is_some_and(|lock| lock.is_locked()));
    assert_eq!(world.verify_as(&codes[1], client(Some(7))).await, Outcome::Granted, "the owner's client gets in");
    assert!(world.refusal(client(Some(7))).await.is_none());
}

/// A limit does not outlive the codes that were guessed at (`docs/security.md` § 6).
#[tokio::test]
async fn a_new_set_is_guessed_at_anew_once_it_is_live() {
    let world = World::new().await;
    world.make(Preset::RocketChat, Liveness::Now).await;
    let (looked, lock) = guess_on(&world, Preset::RocketChat, 1_000).await;
    assert!(looked == 50 && lock.is_some_and(|lock| lock.is_locked()));
    // A pending set does not reset the count.
    for _ in 0..3 {
        world.make(Preset::RocketChat, Liveness::OnAcknowledgement { session: SessionId::new(SESSION) }).await;
        assert!(matches!(world.verify(&foreign(Preset::RocketChat, 1)).await, Outcome::Refused(_)));
    }
    let codes = world.make(Preset::RocketChat, Liveness::Now).await;
    assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
    for nth in 1..=5 {
        assert_eq!(world.verify(&foreign(Preset::RocketChat, nth.into())).await, Outcome::Charged(nth));
    }
    assert!(world.remove().await);
    let codes = world.make(Preset::RocketChat, Liveness::Now).await;
    assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
}

/// The answers are defined; nothing is spent, charged, written or logged.
#[tokio::test]
async fn asvs_2_2_1_malformed_input_and_refusals_write_nothing() {
    let huge = "0".repeat(1 << 20);
    for preset in [Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass] {
        let world = World::new().await;
        let codes = world.make(preset, Liveness::Now).await;
        let slip = format!("{}!", codes[0]);
        let full_width: String =
            codes[0].chars().map(|symbol| char::from_u32(u32::from(symbol) + 0xfee0).unwrap()).collect();
        let inputs = ["", " ", "123456", "12345", "123456789", "\0", "\u{661}\u{662}", &huge, &slip, &full_width];
        let before = world.stored().await;
        for input in inputs {
            assert_eq!(world.verify(input).await, Outcome::Malformed, "{preset:?}");
        }
        assert_eq!(world.stored().await, before);
        for nth in 1..=5 {
            assert_eq!(world.verify(&foreign(preset, nth.into())).await, Outcome::Charged(nth));
        }
        let before = world.stored().await;
        for guess in [&codes[0], &foreign(preset, 6)] {
            assert!(matches!(world.verify(guess).await, Outcome::Refused(refusal) if refusal.retry_after() == 30));
        }
        assert_eq!(world.stored().await, before);
        let denied = world.denials().await.iter().filter(|event| event.is(&GUESS_DENIED)).count();
        assert_eq!(denied, 1, "reported once an hour");
        world.clock.advance(30);
        assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
    }
}

/// Checked codes as people type them.
#[tokio::test]
async fn typed_codes_are_forgiven() {
    let world = World::new().await;
    let codes = world.make(Preset::Default, Liveness::Now).await;
    let spellings = [
        codes[0].to_lowercase(),
        codes[1].replace('-', ""),
        codes[2].replace('-', " \u{2013}\t\u{a0}\u{2212}"),
        codes[3].replace('0', "o").replace('1', "l"),
        format!("  {} ", codes[4].replace('1', "I")),
    ];
    for (typed, code) in spellings.iter().zip(&codes) {
        assert_eq!(world.verify(typed).await, Outcome::Granted, "{typed}");
        assert_eq!(world.verify(code).await, Outcome::Denied, "one code, however it is written");
    }
}

/// One wrong symbol is not a wrong guess.
#[tokio::test]
async fn a_slip_of_the_finger_costs_nothing() {
    let world = World::new().await;
    let codes = world.make(Preset::Default, Liveness::Now).await;
    let before = world.stored().await;
    for (at, symbol) in codes[0].char_indices().filter(|(_, symbol)| *symbol != '-') {
        let other = if symbol == '7' { "8" } else { "7" };
        let slip = format!("{}{other}{}", &codes[0][..at], &codes[0][at + 1..]);
        assert_eq!(world.verify(&slip).await, Outcome::Malformed, "{slip}");
    }
    assert_eq!(world.stored().await, before);
    assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
}
