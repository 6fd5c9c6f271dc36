//! Clock jumps and the fence (`docs/security.md` § 12).

use crate::support::{Outcome, SEED, START, UNKNOWN, World, code};
use keywright_core::Purpose;

#[tokio::test]
async fn the_last_step_stays_when_the_clock_goes_back() {
    for back in [1, 30, 3_600, 86_400, 10 * 365 * 86_400] {
        let world = World::new().await;
        world.import("phone", SEED).await;
        assert!(world.totp(&code(SEED, START)).await.granted());
        world.set(START - back);
        assert_eq!(world.totp(&code(SEED, START - back)).await, Outcome::Replayed, "{back}");
        world.set(START + 30);
        assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed, "{back}");
        assert!(world.totp(&code(SEED, START + 30)).await.granted());
    }
}

#[tokio::test]
async fn a_clock_that_jumps_forward_burns_what_lies_before() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let future = START + 10 * 365 * 86_400;
    world.set(future);
    assert!(world.totp(&code(SEED, future)).await.granted());
    world.set(START);
    assert_eq!(world.totp(&code(SEED, START)).await, Outcome::Replayed);
}

/// RFC 6238 § 4.2: 64-bit time, after 2038 and at both ends.
#[tokio::test]
async fn rfc_6238_4_2_time_has_64_bits() {
    for at in [0, 29, 30, 4_294_967_296, 253_402_300_799] {
        let world = World::new().await;
        world.set(at);
        world.import("phone", SEED).await;
        assert_eq!(world.totp(&code(SEED, at)).await, Outcome::Granted(0), "{at}");
        assert_eq!(world.totp(&code(SEED, at)).await, Outcome::Replayed, "{at}");
    }
}

/// After a restore the last steps are outdated: codes up to the fence may have been spent.
#[tokio::test]
async fn steps_up_to_the_fence_are_refused() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let fenced = world.another_server(5, START + 7);
    // A code from before the fence is not a guess.
    for (at, outcome) in
        [(START - 30, Outcome::Replayed), (START, Outcome::Replayed), (START + 30, Outcome::Granted(1))]
    {
        let verdict =
            fenced.verify_totp(&world.account, &code(SEED, at), &Purpose::new("test"), UNKNOWN).await.unwrap();
        assert_eq!(Outcome::of(verdict), outcome, "{at}");
    }
}
