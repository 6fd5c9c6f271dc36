//! `auth/register`, `auth/verifyEmail`: the good path, the order of checks, what is strict.

use keywright_librepass::{ArgonParameters, MailedLinks, PublicKey};
use serde_json::{Value, json};

use crate::support::{PUBLIC, World, alice, bob, on_both, policy};

#[tokio::test]
async fn an_account_is_registered_verified_and_logged_in() {
    on_both(async |world: World| {
        let alice = alice();
        world.register(&alice).await.is(201, json!({}));
        let mails = world.host.mails();
        assert_eq!(
            (mails.len(), &*mails[0].to, mails[0].subject),
            (1, "alice@example.com", "Verify your e-mail address")
        );
        let link = world.host.link_to(&alice.email).unwrap();
        assert!(link.starts_with(&format!("{PUBLIC}/api/auth/verifyEmail?user=")), "{link}");
        world.log_in(&alice).await.fails(401, "LP-Email-Not-Verified");
        world.open_link(&alice.email).await.redirects();
        let body = world.log_in(&alice).await.ok();
        let user = body["userId"].as_str().unwrap();
        let api_key = body["apiKey"].as_str().unwrap();
        assert_eq!(body["verified"], true);
        assert_eq!(body.as_object().unwrap().len(), 3);
        assert!(link.contains(&format!("user={user}&")));
        assert_eq!((api_key.len(), &api_key[..3]), (67, "lp_"));
        // Already verified: the same answer, whatever the code.
        world.open_link(&alice.email).await.redirects();
        let other = format!("/api/auth/verifyEmail?user={user}&code=00000000-0000-0000-0000-000000000000");
        world.client().get(&other).send().await.redirects();
    })
    .await;
}

#[tokio::test]
async fn the_parameters_are_told_to_whoever_asks() {
    let world = World::new().await;
    let alice = alice();
    let mut body = world.registration(&alice).await;
    (body["parallelism"], body["memory"], body["iterations"]) = (json!(1), json!(20_480), json!(10));
    world.client().post("/api/auth/register").json(&body).send().await.is(201, json!({}));
    world.open_link(&alice.email).await.redirects();
    let ask = async |email: &str| world.client().get(&format!("/api/auth/preLogin?email={email}")).send().await.ok();
    let known = ask("Alice%40EXAMPLE.com").await;
    assert_eq!(
        (&known["parallelism"], &known["memory"], &known["iterations"]),
        (&json!(1), &json!(20_480), &json!(10))
    );
    assert!(PublicKey::from_hex(known["serverPublicKey"].as_str().unwrap()).is_ok());
    let defaults = ArgonParameters::default();
    for unknown in ["", "nobody@example.com"] {
        let body = ask(unknown).await;
        assert_eq!(body["parallelism"], defaults.parallelism());
        assert_eq!((&body["memory"], &body["iterations"]), (&json!(65_536), &json!(4)));
        assert_eq!(body["serverPublicKey"], known["serverPublicKey"]);
        assert_eq!(body.as_object().unwrap().len(), 4);
    }
}

#[tokio::test]
async fn an_address_is_one_name_in_any_case() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let mut body = world.registration(&bob()).await;
    body["email"] = json!("ALICE@Example.com");
    let answer = world.client().post("/api/auth/register").json(&body).send().await;
    answer.fails(400, "LP-Duplicated").says("database: duplicate key");
    let shared = alice().shared(&world.server_key().await);
    world.log_in_with("aLICE@example.COM", &shared).await.ok();
}

#[tokio::test]
async fn a_plus_that_a_client_did_not_encode_finds_the_address() {
    let world = World::new().await;
    let mut body = world.registration(&alice()).await;
    (body["email"], body["memory"]) = (json!("alice+tag@example.com"), json!(30_000));
    world.client().post("/api/auth/register").json(&body).send().await.is(201, json!({}));
    world.open_link("alice+tag@example.com").await.redirects();
    for email in ["alice+tag@example.com", "alice%2Btag@example.com", "alice%20tag@example.com"] {
        let answer = world.client().get(&format!("/api/auth/preLogin?email={email}")).send().await;
        assert_eq!(answer.ok()["memory"], 30_000, "{email}");
    }
}

/// Protocol § 11, weaknesses 8 to 10 and 19: what upstream stores or fails on.
#[tokio::test]
async fn what_is_out_of_its_range_is_refused_and_nothing_is_written() {
    let world = World::new().await;
    let good = world.registration(&alice()).await;
    let before = world.scan().await;
    let low_order = "00".repeat(32);
    let cases: Vec<(&str, Value, &str)> = vec![
        ("email", json!("alice"), "LP-Invalid-Body"),
        ("email", json!("alice@example.com,eve@example.com"), "LP-Invalid-Body"),
        ("email", json!("<alice@example.com>"), "LP-Invalid-Body"),
        ("email", json!("alice@example.com\r\nBcc: eve@example.com"), "LP-Invalid-Body"),
        ("email", json!(""), "LP-Invalid-Body"),
        ("email", json!(null), "LP-Invalid-Body"),
        ("email", json!(["alice@example.com"]), "LP-Invalid-Body"),
        ("passwordHint", json!("h".repeat(101)), "LP-Invalid-Body"),
        ("passwordHint", json!("two\nlines"), "LP-Invalid-Body"),
        ("passwordHint", json!(1), "LP-Invalid-Body"),
        ("parallelism", json!(0), "LP-Invalid-Body"),
        ("parallelism", json!(11), "LP-Invalid-Body"),
        ("parallelism", json!("3"), "LP-Invalid-Body"),
        ("parallelism", json!(3.5), "LP-Invalid-Body"),
        ("parallelism", json!(-1), "LP-Invalid-Body"),
        ("parallelism", json!(4_294_967_299_u64), "LP-Invalid-Body"),
        ("memory", json!(20_479), "LP-Invalid-Body"),
        ("memory", json!(153_601), "LP-Invalid-Body"),
        ("memory", json!(null), "LP-Invalid-Body"),
        ("iterations", json!(0), "LP-Invalid-Body"),
        ("iterations", json!(11), "LP-Invalid-Body"),
        ("publicKey", json!("ab"), "LP-Invalid-Shared-Secret"),
        ("publicKey", json!("zz".repeat(32)), "LP-Invalid-Shared-Secret"),
        ("publicKey", json!(null), "LP-Invalid-Body"),
        ("publicKey", json!(bob().key.public_key().to_hex().expose()), "LP-Invalid-Shared-Secret"),
        ("sharedKey", json!(""), "LP-Invalid-Shared-Secret"),
        ("sharedKey", json!("0".repeat(63)), "LP-Invalid-Shared-Secret"),
        ("sharedKey", json!("a".repeat(64)), "LP-Invalid-Shared-Secret"),
        ("sharedKey", json!(7), "LP-Invalid-Body"),
    ];
    for (member, value, code) in cases {
        let mut body = good.clone();
        body[member] = value;
        world.client().post("/api/auth/register").json(&body).send().await.fails(400, code);
    }
    for member in ["email", "sharedKey", "parallelism", "memory", "iterations", "publicKey"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(member);
        world.client().post("/api/auth/register").json(&body).send().await.fails(400, "LP-Invalid-Body");
    }
    // The zero product would match a zero shared key: then anybody could log in.
    let mut body = good.clone();
    (body["publicKey"], body["sharedKey"]) = (json!(low_order), json!(low_order));
    world.client().post("/api/auth/register").json(&body).send().await.fails(400, "LP-Invalid-Shared-Secret");
    assert_eq!(world.scan().await, before);
    assert!(world.host.mails().is_empty());
    // The same without the faults, and with a hint that is null.
    let mut body = good;
    body["passwordHint"] = json!(null);
    body["unknown"] = json!({"members": "are ignored"});
    world.client().post("/api/auth/register").json(&body).send().await.is(201, json!({}));
}

#[tokio::test]
async fn a_taken_address_is_refused_before_anything_is_written() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let before = world.scan().await;
    world.register(&alice()).await.fails(400, "LP-Duplicated");
    assert_eq!(world.scan().await, before);
    assert_eq!(world.host.mails().len(), 1);
}

#[tokio::test]
async fn a_code_opens_for_a_day() {
    let world = World::new().await;
    world.register(&alice()).await.is(201, json!({}));
    world.clock.advance(86_400);
    world.open_link(&alice().email).await.fails(400, "LP-Email-Invalid-Code");
    world.clock.set(keywright_core::UnixSeconds::new(crate::support::START - 1).unwrap());
    world.open_link(&alice().email).await.fails(400, "LP-Email-Invalid-Code");
    world.clock.set(keywright_core::UnixSeconds::new(crate::support::START + 86_399).unwrap());
    world.open_link(&alice().email).await.redirects();
}

#[tokio::test]
async fn an_unverified_registration_whose_code_is_over_may_be_replaced() {
    on_both(async |world: World| {
        world.register(&alice()).await.is(201, json!({}));
        let old_link = world.host.link_to(&alice().email).unwrap();
        world.clock.advance(86_400);
        // The same address, another person.
        let mut owner = bob();
        owner.email = alice().email;
        world.register(&owner).await.is(201, json!({}));
        world.open_link(&owner.email).await.redirects();
        world.log_in(&owner).await.ok();
        world.log_in(&alice()).await.fails(400, "LP-Invalid-Shared-Secret");
        // The one that was replaced opens nothing any more.
        let path = old_link.strip_prefix(PUBLIC).unwrap();
        world.client().get(path).send().await.fails(400, "LP-Email-Invalid-Code");
    })
    .await;
}

#[tokio::test]
async fn one_that_was_verified_is_never_replaced() {
    let world = World::new().await;
    world.settle(&alice()).await;
    world.clock.advance(400 * 86_400);
    let mut other = bob();
    other.email = alice().email;
    world.register(&other).await.fails(400, "LP-Duplicated");
    world.log_in(&alice()).await.ok();
}

#[tokio::test]
async fn without_verification_one_logs_in_at_once_and_stays() {
    let world = World::with(policy().verify_email(false)).await;
    world.register(&alice()).await.is(201, json!({}));
    assert!(world.host.mails().is_empty());
    world.log_in(&alice()).await.ok();
    world.clock.advance(86_400);
    let mut other = bob();
    other.email = alice().email;
    world.register(&other).await.fails(400, "LP-Duplicated");
}

/// An address is claimed when it is verified, or at the registration where nothing is verified: a
/// registration that waits is made again.
#[tokio::test]
async fn who_waits_when_verification_is_switched_off_registers_anew_and_stays() {
    let world = World::new().await;
    world.register(&alice()).await.is(201, json!({}));
    let lenient = world.ruled_by(policy().verify_email(false), 2).await;
    lenient.log_in(&alice()).await.fails(404, "LP-User-404");
    lenient.register(&alice()).await.is(201, json!({}));
    lenient.log_in(&alice()).await.ok();
    world.clock.advance(86_400);
    let mut other = bob();
    other.email = alice().email;
    lenient.register(&other).await.fails(400, "LP-Duplicated");
    // Switched on again, nobody has lost anything.
    world.log_in(&alice()).await.ok();
}

#[tokio::test]
async fn the_links_parameters_have_their_own_complaints() {
    let world = World::with(policy().mailed_links(MailedLinks::Act)).await;
    world.register(&alice()).await.is(201, json!({}));
    let link = world.host.link_to(&alice().email).unwrap();
    let (path, code) = link.strip_prefix(PUBLIC).unwrap().split_once("&code=").unwrap();
    let user = path.split_once("user=").unwrap().1;
    let before = world.scan().await;
    let get = async |query: String| world.client().get(&format!("/api/auth/verifyEmail{query}")).send().await;
    get(String::new()).await.fails(400, "LP-Invalid-Body").says("missing parameter");
    get(format!("?user={user}")).await.fails(400, "LP-Invalid-Body").says("missing parameter");
    get(format!("?code={code}")).await.fails(400, "LP-Invalid-Body").says("missing parameter");
    get(format!("?user=1-1-1-1-1&code={code}")).await.fails(400, "LP-Invalid-Body").says("argument type mismatch");
    get(format!("?user={user}&code=123456")).await.fails(400, "LP-Invalid-Body").says("argument type mismatch");
    get(format!("?user={user}&code={user}")).await.fails(400, "LP-Email-Invalid-Code");
    get(format!("?user={code}&code={code}")).await.fails(404, "LP-User-404");
    get(format!("?user={user}&user={user}&code={code}")).await.fails(400, "LP-Invalid-Body");
    assert_eq!(world.scan().await, before, "a wrong code changes nothing");
    get(format!("?user={}&code={}", user.to_uppercase(), code.to_uppercase())).await.redirects();
}
