//! The client that made a change is admitted at the new secret, whoever has locked it since: the
//! address, which is the key's salt, and the second factor. A change of the password is covered in
//! `ways_in.rs`.

use keywright_librepass::UserId;
use keywright_twofactor::TotpSecret;
use serde_json::json;

use crate::change_email::settled;
use crate::support::{Answer, Client, PUBLIC, World, alice, code_of, on_both};
use crate::ways_in::{AWAY, HOME, HOSTILE, client_from, prove_from, right, until_shut, waiting_from, wrong_code_of};

const ELSEWHERE: &str = "203.0.113.200";
const ONE: [u8; 20] = [7; 20];
const TWO: [u8; 20] = [8; 20];

/// The new key starts without wrong guesses, and knows the network that requested the change,
/// wherever its link was opened.
#[tokio::test]
async fn a_change_of_address_lets_the_network_that_asked_for_it_in() {
    on_both(async |world: World| {
        let (old, new, user) = settled(&world).await;
        let home = client_from(&world, HOME).await;
        let body = world.address_body(&user, &old, &new).await;
        let ask = home.request("PATCH", "/api/user/email").header("x-test-address", HOME).json(&body);
        ask.send().await.is_empty();
        let link = world.host.link_to(&new.email).unwrap();
        let open = world.client().get(link.strip_prefix(PUBLIC).unwrap()).header("x-test-address", ELSEWHERE);
        open.send().await.redirects();

        let from = async |address: &str, key: &str| {
            world.client().log_in(&new.email, key).header("x-test-address", address).send().await
        };
        let guess = async |n: usize| from(HOSTILE, &format!("{n:064x}")).await;
        assert_eq!(until_shut(&world, guess).await, 50, "a new key, and fifty guesses at it");
        let key = new.shared(&world.server_key().await);
        from(AWAY, &key).await.fails(429, "LP-RateLimit");
        from(HOME, &key).await.ok();
    })
    .await;
}

/// `setup/2fa` from home. Returns the recovery code.
pub(crate) async fn set_up_from_home(world: &World, client: &Client, secret: &[u8]) -> String {
    let base32 = TotpSecret::from_slice(secret).unwrap().to_base32().expose().to_owned();
    let code = code_of(secret, world.now());
    let body = json!({"sharedKey": right(world).await, "secret": base32, "code": code});
    let answer = client.post("/api/user/setup/2fa").header("x-test-address", HOME).json(&body).send().await;
    answer.ok()["recoveryCode"].as_str().unwrap().to_owned()
}

/// An attacker who knows the password guesses at the codes of a secret.
async fn shut_out_of_codes(world: &World, secret: &[u8]) -> usize {
    let token = waiting_from(world, HOSTILE).await;
    until_shut(world, async |_| prove_from(world, HOSTILE, &token, &wrong_code_of(secret, world.now())).await).await
}

async fn log_in_with_code(world: &World, address: &str, secret: &[u8]) -> Answer {
    world.clock.advance(30);
    let token = waiting_from(world, address).await;
    prove_from(world, address, &token, &code_of(secret, world.now())).await
}

#[tokio::test]
async fn a_set_up_of_the_second_factor_lets_the_network_that_made_it_in() {
    let world = World::new().await;
    let user: UserId = world.settle(&alice()).await;
    let home = client_from(&world, HOME).await;
    let _ = set_up_from_home(&world, &home, &ONE).await;
    assert_eq!(shut_out_of_codes(&world, &ONE).await, 50);
    log_in_with_code(&world, AWAY, &ONE).await.fails(429, "LP-RateLimit");
    log_in_with_code(&world, HOME, &ONE).await.is_empty();

    // Set up again, by a login from home that has just proven the first: new codes begin without wrong guesses.
    world.clock.advance(30);
    let token = waiting_from(&world, HOME).await;
    prove_from(&world, HOME, &token, &code_of(&ONE, world.now())).await.is_empty();
    let _ = set_up_from_home(&world, &world.client().with_token(&token), &TWO).await;
    assert_eq!(world.count_events(&user, "factor_replaced").await, 1);
    assert_eq!(shut_out_of_codes(&world, &TWO).await, 50);
    log_in_with_code(&world, AWAY, &TWO).await.fails(429, "LP-RateLimit");
    log_in_with_code(&world, HOME, &TWO).await.is_empty();
    assert!(world.host.mails().iter().all(|mail| !mail.subject.contains("refused")), "no mail at a second factor");
}
