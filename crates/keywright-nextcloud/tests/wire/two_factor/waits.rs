//! Waits at a token and at the passphrase beside it.

use keywright_nextcloud::NextcloudPolicy;
use serde_json::json;

use super::{code, code_before, enrolled, foreign, opened, recovery, world, wrong};
use crate::support::{World, secret};

/// The form of both and the waits of both come before either is checked: nothing is learnt of one
/// by spoiling the other.
#[tokio::test]
async fn a_shut_door_keeps_the_other_token_from_being_looked_at() {
    let world = world().await;
    let (codes, foreign) = (recovery(&world).await, foreign(&world).await);
    for _ in 0..5 {
        world.password().open_totp(&secret(1), &wrong()).await;
    }
    let (rows, mut laptop) = (world.scan().await, world.token("laptop"));
    for backup in [&codes[0], &foreign[0]] {
        for totp in [code(0), wrong()] {
            let both = json!({"totp": totp, "backup_codes": backup});
            laptop.open_with(&secret(1), both).await.is_refused(30);
        }
        laptop.open_with(&secret(1), json!({"totp": "x", "backup_codes": backup})).await.fails(401, "8b4f02b4");
    }
    assert_eq!(world.scan().await, rows);
}

#[tokio::test]
async fn while_the_passphrase_waits_no_token_is_looked_at() {
    let world = world().await;
    let mut guesser = world.password();
    guesser.open_totp(&secret(9), &code_before()).await.fails(401, "ab6e13ba");
    for _ in 0..3 {
        guesser.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    guesser.open(&secret(9)).await.waits(401, "ab6e13ba", 30);
    let rows = world.scan().await;
    for code in [code(0), wrong()] {
        world.token("laptop").open_totp(&secret(1), &code).await.is_refused(30);
    }
    assert_eq!(world.scan().await, rows);
    world.password().open_totp(&secret(1), &code(0)).await.is_refused(30);
    world.clock.advance(30);
    world.token("laptop").open_totp(&secret(1), &code(0)).await.is(200, opened());
}

/// Passphrase and token are refused for earlier wrong ones: the longer wait is reported, and after
/// it neither is refused.
#[tokio::test]
async fn a_request_with_a_token_is_told_the_longer_of_two_waits() {
    let policy = NextcloudPolicy::builder().require_token(false).build().unwrap();
    let world = World::with(policy).await;
    enrolled(&world).await;
    let mut client = world.password();
    for _ in 0..4 {
        client.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    for _ in 0..4 {
        client.open_totp(&secret(1), &wrong()).await.fails(401, "8b4f02b4");
    }
    client.open_totp(&secret(1), &wrong()).await.waits(401, "8b4f02b4", 30);
    world.clock.advance(30);
    client.open_totp(&secret(1), &wrong()).await.waits(401, "8b4f02b4", 60);
    client.open(&secret(9)).await.waits(401, "ab6e13ba", 30);
    let mut phone = world.token("t1");
    for client in [&mut client, &mut phone] {
        client.open(&secret(1)).await.is_refused(30);
        client.open_totp(&secret(1), &code(30)).await.is_refused(60);
        // It is malformed, so it is not checked, and no wait is reported for it.
        client.open_totp(&secret(1), "code").await.is_refused(30);
    }
    world.clock.advance(60);
    client.open_totp(&secret(1), &code(90)).await.is(200, opened());
}
