//! By a session with a fresh code of its own, for other clients at either kind of code; and each
//! way in at the recovery code, at which unknown clients can make others wait, an hour at most.

use keywright_core::SystemEntropy;
use keywright_librepass::{NetworkAdmission, Token, UserId};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, Partition};
use keywright_twofactor::CodeKind;

use crate::support::{Answer, World, alice, code_of};
use crate::ways_in::{AWAY, HOME, HOSTILE, client_from, prove_from, until_shut, waiting_from, wrong_code_of};
use crate::ways_in_changes::set_up_from_home;

const ELSEWHERE: &str = "203.0.113.200";
const SECRET: [u8; 20] = [7; 20];
const WRONG_RECOVERY: &str = "00000000-0000-4000-8000-000000000000";

/// Logs in from an address and proves a code.
async fn enter(world: &World, address: &str, code: &str) -> Answer {
    let token = waiting_from(world, address).await;
    prove_from(world, address, &token, code).await
}

/// A login from home that has proven the second factor by a time-based code.
async fn proven_from_home(world: &World) -> Token {
    world.clock.advance(30);
    let token = waiting_from(world, HOME).await;
    prove_from(world, HOME, &token, &code_of(&SECRET, world.now())).await.is_empty();
    Token::parse(&token).unwrap()
}

async fn admit(world: &World, token: &Token, code: &str, kind: CodeKind) -> NetworkAdmission {
    world.app.admit_network_at_codes(token, code, kind, ELSEWHERE.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_session_with_a_fresh_code_lets_a_network_in_at_time_based_codes() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &SECRET).await;
    let home = proven_from_home(&world).await;
    let thief = waiting_from(&world, HOSTILE).await;
    let guess = async |_| prove_from(&world, HOSTILE, &thief, &wrong_code_of(&SECRET, world.now())).await;
    assert_eq!(until_shut(&world, guess).await, 50);
    let fresh = || {
        world.clock.advance(30);
        code_of(&SECRET, world.now())
    };
    enter(&world, ELSEWHERE, &fresh()).await.fails(429, "LP-RateLimit");

    // Neither a token that is none, nor one that waits for its own second factor, nor a wrong code, nor a used one.
    let strange = Token::random(user, &SystemEntropy).unwrap();
    let waiting = Token::parse(&waiting_from(&world, HOME).await).unwrap();
    let code = fresh();
    for token in [&strange, &waiting] {
        assert_eq!(admit(&world, token, &code, CodeKind::Totp).await, NetworkAdmission::Denied);
    }
    let wrong = wrong_code_of(&SECRET, world.now());
    assert_eq!(admit(&world, &home, &wrong, CodeKind::Totp).await, NetworkAdmission::Denied);
    assert_eq!(admit(&world, &home, "no code", CodeKind::Totp).await, NetworkAdmission::Denied);
    enter(&world, ELSEWHERE, &code).await.fails(429, "LP-RateLimit");
    assert_eq!(admit(&world, &home, &code, CodeKind::Totp).await, NetworkAdmission::Admitted);
    assert_eq!(admit(&world, &home, &code, CodeKind::Totp).await, NetworkAdmission::Denied, "spent");

    enter(&world, ELSEWHERE, &fresh()).await.is_empty();
    enter(&world, AWAY, &fresh()).await.fails(429, "LP-RateLimit");
}

/// An attacker who knows the password makes others wait at the recovery code.
async fn hold_up(world: &World) {
    let thief = waiting_from(world, HOSTILE).await;
    loop {
        let answer = prove_from(world, HOSTILE, &thief, WRONG_RECOVERY).await;
        match answer.header("retry-after").map(|seconds| seconds.parse::<u64>().unwrap()) {
            None => assert_eq!(answer.status, 400, "{answer:?}"),
            Some(seconds) if seconds > 1_800 => {
                assert!(seconds <= 3_600, "{seconds}");
                return;
            }
            Some(seconds) => world.clock.advance(seconds),
        }
    }
}

/// A second factor that was set up from home, and its recovery code. Unknown clients hold up the
/// codes.
async fn held_up() -> (World, UserId, String) {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let recovery = set_up_from_home(&world, &client_from(&world, HOME).await, &SECRET).await;
    hold_up(&world).await;
    enter(&world, AWAY, &recovery).await.fails(429, "LP-RateLimit");
    (world, user, recovery)
}

#[tokio::test]
async fn at_the_recovery_code_the_network_that_made_it_is_not_held_up() {
    let (world, _, recovery) = held_up().await;
    enter(&world, HOME, &recovery).await.is_empty();
}

#[tokio::test]
async fn at_the_recovery_code_a_known_network_is_not_held_up() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let first = set_up_from_home(&world, &client_from(&world, HOME).await, &SECRET).await;
    // It passed by the first code; the second is made by another client.
    enter(&world, AWAY, &first).await.is_empty();
    world.clock.advance(30);
    let home = waiting_from(&world, HOME).await;
    prove_from(&world, HOME, &home, &code_of(&SECRET, world.now())).await.is_empty();
    world.clock.advance(30);
    let second = set_up_from_home(&world, &world.client().with_token(&home), &[8; 20]).await;
    hold_up(&world).await;
    enter(&world, ELSEWHERE, &second).await.fails(429, "LP-RateLimit");
    enter(&world, AWAY, &second).await.is_empty();
}

#[tokio::test]
async fn at_the_recovery_code_a_session_with_a_fresh_code_lets_a_network_in() {
    let (world, _, recovery) = held_up().await;
    let home = proven_from_home(&world).await;
    hold_up(&world).await;
    enter(&world, ELSEWHERE, &recovery).await.fails(429, "LP-RateLimit");
    world.clock.advance(30);
    let code = code_of(&SECRET, world.now());
    assert_eq!(admit(&world, &home, &code, CodeKind::Recovery).await, NetworkAdmission::Admitted);
    hold_up(&world).await;
    enter(&world, AWAY, &recovery).await.fails(429, "LP-RateLimit");
    enter(&world, ELSEWHERE, &recovery).await.is_empty();
}

#[tokio::test]
async fn at_the_recovery_code_the_operator_lets_everybody_in() {
    let (world, user, recovery) = held_up().await;
    let unlock = |draft: &mut Draft<'_>| guess::unlock_all(draft);
    let lifted = world.driver.transact(&Partition::account(user.account()), &[LEDGER.name()], unlock).await.unwrap();
    assert!(!lifted.is_empty());
    enter(&world, AWAY, &recovery).await.is_empty();
}
