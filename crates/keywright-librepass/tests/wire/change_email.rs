//! `PATCH user/email` and the link that completes it.

use keywright_core::UnixSeconds;
use keywright_librepass::UserId;
use keywright_rekey::EditOutcome;
use serde_json::json;

use super::support::{Person, World, alice, bob, on_both, policy};
use super::vaults::{id, sealed, with_address, with_password};

const NEW: &str = "a.new@example.com";
pub(crate) const DAY: u64 = 24 * 60 * 60;

/// Alice with a vault of three, and the person whose address she changes to.
pub(crate) async fn settled(world: &World) -> (Person, Person, UserId) {
    let (old, new) = (alice(), with_address(&alice(), NEW));
    let user = world.settle(&old).await;
    world.fill(&user, &old, 3).await;
    (old, new, user)
}

#[tokio::test]
async fn nothing_changes_before_the_link_is_opened_and_everything_then() {
    on_both(|world| async move {
        let (old, new, user) = settled(&world).await;
        let client = world.client_of(&old).await;
        let body = world.address_body(&user, &old, &new).await;
        client.change_address(&body).await.is_empty();

        assert!(client.is_in().await);
        world.belongs_to(&user, &old, 3).await;
        world.log_in(&new).await.fails(404, "LP-User-404");
        // Weakness 8: the old address gets a notice without a link; the new one gets the link,
        // whole on a line of its own.
        let notice = world.host.mails_to(&old.email).pop().unwrap();
        assert_eq!((notice.subject, notice.link()), ("A change of your e-mail address was asked for", None));
        assert!(!notice.text.contains("code=") && !notice.text.contains("://"));
        let link = world.host.link_to(NEW).unwrap();
        let (base, code) = link.split_once("&code=").unwrap();
        assert_eq!(base, format!("https://pass.example/api/user/verifyNewEmail?user={user}"));
        assert!(code.len() == 64 && code.bytes().all(|byte| byte.is_ascii_hexdigit()), "256 bits");
        for kind in ["vault_held", "address_change_asked"] {
            assert_eq!(world.count_events(&user, kind).await, 1, "{kind}");
        }

        world.open_link(NEW).await.redirects();
        assert!(!client.is_in().await, "weakness 13: every session ends");
        world.belongs_to(&user, &new, 3).await;
        world.log_in(&old).await.fails(404, "LP-User-404");
        assert_eq!(world.host.mails_to(&old.email).last().unwrap().subject, "Your e-mail address was changed");
        for kind in ["vault_swapped", "address_changed"] {
            assert_eq!(world.count_events(&user, kind).await, 1, "{kind}");
        }
        let texts = world.ciphers(&user).await;
        for cipher in body["ciphers"].as_array().unwrap() {
            assert_eq!(texts[cipher["id"].as_str().unwrap()], cipher["data"]);
        }
        // Once: another click changes nothing, and is told the same. And the old address is anybody's.
        let before = world.state(&user).await;
        world.open_link(NEW).await.redirects();
        assert_eq!(world.state(&user).await, before);
        world.settle(&old).await;
        world.belongs_to(&user, &new, 3).await;
    })
    .await;
}

#[tokio::test]
async fn parameters_hint_and_ciphers_notes_stay() {
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    let pass = with_password(&old, "new");
    let body = world.password_body(&user, &old, &pass).await;
    world.client_of(&old).await.change_password(&body).await.is_empty();
    world.ask_for(&user, &pass, &new).await.is_empty();
    world.open_link(NEW).await.redirects();
    let answer = world.client().get(&format!("/api/auth/preLogin?email={NEW}")).send().await.ok();
    assert_eq!(
        (&answer["parallelism"], &answer["memory"], &answer["iterations"]),
        (&json!(2), &json!(65_535), &json!(5))
    );
    world.client().get(&format!("/api/auth/passwordHint?email={NEW}")).send().await.is_empty();
    assert!(world.host.mails_to(NEW).last().unwrap().text.contains("a new hint"));
    world.belongs_to(&user, &new, 3).await;
}

#[tokio::test]
async fn a_new_address_is_an_address_and_lower_case() {
    // Weakness 8.
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    let client = world.client_of(&old).await;
    let body = world.address_body(&user, &old, &new).await;
    let before = world.state(&user).await;
    for value in [
        json!("a@b.example,mallory@example.com"),
        json!("a@b.example;c@d.example"),
        json!("<a@b.example>"),
        json!("a@b.example\r\nBcc: m@example.com"),
        json!("a\"><script>@b.example"),
        json!("a"),
        json!(""),
        json!("a@"),
        json!("a b@c.example"),
        json!(null),
        json!(7),
        json!(["a@b.example"]),
        json!(format!("{}@b.example", "a".repeat(300))),
    ] {
        let mut bad = body.clone();
        bad["newEmail"] = value;
        client.change_address(&bad).await.fails(400, "LP-Invalid-Body");
    }
    let mut bad = body.clone();
    bad.as_object_mut().unwrap().remove("newEmail");
    client.change_address(&bad).await.fails(400, "LP-Invalid-Body");
    let text = body.to_string();
    let twice = format!("{{\"newEmail\":\"x@y.example\",{}", &text[1..]);
    client.request("PATCH", "/api/user/email").raw(twice).send().await.fails(400, "LP-Invalid-Body");
    assert_eq!(world.state(&user).await, before);

    // The salt is what was typed; what is looked up is not.
    let typed = with_address(&old, "Alice.NEW@Example.com");
    client.change_address(&world.address_body(&user, &old, &typed).await).await.is_empty();
    world.open_link("alice.new@example.com").await.redirects();
    world.belongs_to(&user, &typed, 3).await;
    let lower = Person { email: "alice.new@example.com".into(), key: typed.key };
    world.belongs_to(&user, &lower, 3).await;
}

#[tokio::test]
async fn one_and_the_same_address_is_a_new_salt_and_a_new_key() {
    for verify in [true, false] {
        let world = World::with(policy().verify_email(verify)).await;
        let old = Person::new("Alice@Example.com");
        world.register(&old).await.is(201, json!({}));
        if verify {
            world.open_link("alice@example.com").await.redirects();
        }
        let user = world.user_of(&old).await;
        world.fill(&user, &old, 3).await;
        let lower = with_address(&old, "alice@example.com");
        let mails = world.host.mails().len();
        world.ask_for(&user, &old, &lower).await.is_empty();
        if verify {
            world.open_link("alice@example.com").await.redirects();
        }
        world.belongs_to(&user, &lower, 3).await;
        world.log_in(&old).await.fails(400, "LP-Invalid-Shared-Secret");
        let told = world.host.mails().split_off(mails);
        assert!(told.iter().all(|mail| mail.subject != "Your e-mail address was changed"), "{told:?}");
        // Nobody else got a chance at it.
        world.register(&bob_at("alice@example.com")).await.fails(400, "LP-Duplicated");
    }
}

fn bob_at(email: &str) -> Person {
    Person { email: email.into(), key: bob().key }
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_behind_the_password_alone() {
    on_both(|world| async move {
        let (old, _, user) = settled(&world).await;
        world.settle(&bob()).await;
        let client = world.client_of(&old).await;
        let to_bob = with_address(&old, "BOB@example.com");
        let body = world.address_body(&user, &old, &to_bob).await;
        client.change_address(&body).await.fails(400, "LP-Duplicated").says("database: duplicate key");
        world.belongs_to(&user, &old, 3).await;
        assert_eq!(world.host.mails_to("bob@example.com").len(), 1, "only that of the registration");
        let mut bad = body.clone();
        bad["oldSharedKey"] = json!(bob().shared(&world.server_key().await));
        client.change_address(&bad).await.fails(400, "LP-Invalid-Shared-Secret");
        let mut bad = body.clone();
        bad["ciphers"] = json!([]);
        client.change_address(&bad).await.fails(400, "LP-Missing-Cipher");
        // The answer reveals who has an account, so it is given ten times a day and no more.
        for _ in 1..10 {
            client.change_address(&body).await.fails(400, "LP-Duplicated");
        }
        client.change_address(&body).await.waits(DAY);
    })
    .await;
}

#[tokio::test]
async fn a_registration_that_nobody_verified_keeps_no_address() {
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    world.register(&bob_at(NEW)).await.is(201, json!({}));
    let registration = world.path_to(NEW);
    world.ask_for(&user, &old, &new).await.is_empty();
    world.open_link(NEW).await.redirects();
    world.belongs_to(&user, &new, 3).await;
    // The registration was slower.
    for _ in 0..2 {
        world.client().get(&registration).send().await.fails(400, "LP-Duplicated");
    }
    world.log_in(&bob_at(NEW)).await.fails(400, "LP-Invalid-Shared-Secret");
}

#[tokio::test]
async fn a_registration_that_is_verified_first_has_the_address() {
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    world.ask_for(&user, &old, &new).await.is_empty();
    let change = world.path_to(NEW);
    world.register(&bob_at(NEW)).await.is(201, json!({}));
    world.open_link(NEW).await.redirects();
    world.client().get(&change).send().await.fails(400, "LP-Duplicated");
    world.belongs_to(&user, &old, 3).await;
    world.log_in(&bob_at(NEW)).await.ok();
}

#[tokio::test]
async fn the_keys_and_the_batch_are_held_to_the_same_as_for_a_password() {
    on_both(|world| async move {
        let (old, new, user) = settled(&world).await;
        let client = world.client_of(&old).await;
        let body = world.address_body(&user, &old, &new).await;
        let server = world.server_key().await;
        let before = world.state(&user).await;
        let with = |name: &str, value: serde_json::Value| {
            let mut bad = body.clone();
            bad[name] = value;
            bad
        };
        let batch = |change: &dyn Fn(&mut Vec<serde_json::Value>)| {
            let mut bad = body.clone();
            change(bad["ciphers"].as_array_mut().unwrap());
            bad
        };
        let zeros = json!("00".repeat(32));
        let mut low = with("newPublicKey", zeros.clone());
        low["newSharedKey"] = zeros;
        for (bad, code) in [
            (with("newSharedKey", json!(bob().shared(&server))), "LP-Invalid-Shared-Secret"),
            (with("newPublicKey", json!("00")), "LP-Invalid-Shared-Secret"),
            (low, "LP-Invalid-Shared-Secret"),
            (with("ciphers", json!(null)), "LP-Invalid-Body"),
            (with("oldSharedKey", json!(null)), "LP-Invalid-Body"),
            (with("ciphers", json!([])), "LP-Missing-Cipher"),
            (batch(&|list| drop(list.pop())), "LP-Missing-Cipher"),
            (batch(&|list| list[2] = list[0].clone()), "LP-Invalid-Cipher"),
            (batch(&|list| list[2]["data"] = json!("")), "LP-Invalid-Cipher"),
            (batch(&|list| list[2]["data"] = json!(null)), "LP-Invalid-Body"),
        ] {
            client.change_address(&bad).await.fails(400, code);
            assert_eq!(world.state(&user).await, before, "{bad}");
        }
        let wrong = with("oldSharedKey", json!(bob().shared(&server)));
        let mut seen = 0;
        while client.change_address(&wrong).await.status != 429 {
            seen += 1;
            assert!(seen < 50, "guesses are limited");
        }
        assert!(world.host.mails_to(NEW).is_empty());
        world.client_of(&old).await;
    })
    .await;
}

#[tokio::test]
async fn a_second_request_replaces_the_first() {
    on_both(|world| async move {
        let (old, new, user) = settled(&world).await;
        world.ask_for(&user, &old, &new).await.is_empty();
        let first = world.path_to(NEW);
        let newer = with_address(&old, "a.newer@example.com");
        world.ask_for(&user, &old, &newer).await.is_empty();
        assert_eq!(world.count_events(&user, "vault_dropped").await, 1);
        world.client().get(&first).send().await.fails(400, "LP-Email-Invalid-Code");
        world.open_link(&newer.email).await.redirects();
        world.belongs_to(&user, &newer, 3).await;
        world.client().get(&first).send().await.fails(404, "LP-User-404");
    })
    .await;
}

#[tokio::test]
async fn a_link_is_good_for_a_day_and_by_every_clock() {
    for (forward, good) in [(DAY - 1, true), (DAY, false), (10 * DAY, false)] {
        let world = World::new().await;
        let (old, new, user) = settled(&world).await;
        world.ask_for(&user, &old, &new).await.is_empty();
        world.clock.advance(forward);
        let before = world.state(&user).await;
        if good {
            world.open_link(NEW).await.redirects();
        } else {
            world.open_link(NEW).await.fails(400, "LP-Email-Invalid-Code");
            assert_eq!(world.state(&user).await, before, "the row stays");
            world.belongs_to(&user, &old, 3).await;
        }
    }
    // Made in the future, once the clock went back: void.
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    world.ask_for(&user, &old, &new).await.is_empty();
    world.clock.set(keywright_core::UnixSeconds::new(world.now() - 1).unwrap());
    world.open_link(NEW).await.fails(400, "LP-Email-Invalid-Code");
}

#[tokio::test]
async fn a_wrong_code_changes_nothing_however_often() {
    // Weakness 14: 256 bits, so guesses need no limit.
    on_both(|world| async move {
        let (old, new, user) = settled(&world).await;
        world.ask_for(&user, &old, &new).await.is_empty();
        let right = world.path_to(NEW);
        let before = world.state(&user).await;
        let path = format!("/api/user/verifyNewEmail?user={user}&code=");
        let code = right.strip_prefix(&path).unwrap();
        let wrong =
            [String::new(), "x".into(), "0".repeat(64), code[..63].into(), format!("{code}0"), code.to_uppercase()];
        for code in wrong.iter().chain((0..100).map(|n| format!("{n:064}")).collect::<Vec<_>>().iter()) {
            world.client().get(&format!("{path}{code}")).send().await.fails(400, "LP-Email-Invalid-Code");
        }
        for (path, code) in [
            ("/api/user/verifyNewEmail".to_owned(), "LP-Invalid-Body"),
            (format!("/api/user/verifyNewEmail?user={user}"), "LP-Invalid-Body"),
            (format!("/api/user/verifyNewEmail?code={code}"), "LP-Invalid-Body"),
            (format!("/api/user/verifyNewEmail?user=&code={code}"), "LP-Invalid-Body"),
            (format!("/api/user/verifyNewEmail?user=1-1-1-1-1&code={code}"), "LP-Invalid-Body"),
            (format!("/api/user/verifyNewEmail?user={user}&code=x&code={code}"), "LP-Invalid-Body"),
        ] {
            world.client().get(&path).send().await.fails(400, code);
        }
        let other = format!("/api/user/verifyNewEmail?user=00000000-0000-4000-8000-000000000000&code={code}");
        world.client().get(&other).send().await.fails(404, "LP-User-404");
        let other = world.settle(&bob()).await;
        let theirs = format!("/api/user/verifyNewEmail?user={other}&code={code}");
        world.client().get(&theirs).send().await.fails(404, "LP-User-404");
        drop(before);
        let before = world.state(&user).await;
        for method in ["HEAD", "OPTIONS", "POST"] {
            assert_ne!(world.client().request(method, &right).build().method(), "GET");
            drop(world.app.handle(world.client().request(method, &right).build()).await);
        }
        for (name, value) in [("purpose", "prefetch"), ("sec-purpose", "prefetch;prerender")] {
            world.client().get(&right).header(name, value).send().await.fails(503, "LP-Invalid-Body");
        }
        assert_eq!(world.state(&user).await, before);
        world.open_link(NEW).await.redirects();
        world.belongs_to(&user, &new, 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_vault_that_was_changed_since_is_not_overwritten() {
    // Weakness 5: the stored batch is older than the vault.
    for edit in 0..3 {
        on_both(|world| async move {
            let (old, new, user) = settled(&world).await;
            world.ask_for(&user, &old, &new).await.is_empty();
            let newer = sealed(&old, "newer");
            let done = match edit {
                0 => world.edit(&user, &[(id(1), newer.clone())], &[]).await,
                1 => world.edit(&user, &[(id(7), newer.clone())], &[]).await,
                _ => world.edit(&user, &[], &[id(1)]).await,
            };
            assert!(matches!(done, EditOutcome::Done { .. }));
            let before = world.state(&user).await;
            for _ in 0..2 {
                world.open_link(NEW).await.fails(400, "LP-Missing-Cipher");
            }
            assert_eq!(world.state(&user).await, before, "edit {edit}");
            // Requested once more, it works.
            world.ask_for(&user, &old, &new).await.is_empty();
            world.open_link(NEW).await.redirects();
            let secrets = world.secrets(&user, &new).await;
            assert_eq!(secrets.contains(&"newer".to_owned()), edit < 2);
        })
        .await;
    }
}

#[tokio::test]
async fn a_second_factor_that_was_set_up_since_voids_the_link() {
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    world.ask_for(&user, &old, &new).await.is_empty();
    world.enrol(&user, &[7; 20]).await;
    let before = world.state(&user).await;
    world.open_link(NEW).await.fails(400, "LP-Email-Invalid-Code");
    assert_eq!(world.state(&user).await, before);
}

#[tokio::test]
async fn a_waiting_change_keeps_the_address_from_nobody() {
    // Weakness 14: no squatting. And the loser keeps what they had.
    on_both(|world| async move {
        let (old, new, user) = settled(&world).await;
        world.ask_for(&user, &old, &new).await.is_empty();
        let other = world.settle(&bob_at(NEW)).await;
        let link = world.host.mails_to(NEW).into_iter().find(|mail| mail.text.contains("verifyNewEmail")).unwrap();
        let path = link.link().unwrap().strip_prefix(super::support::PUBLIC).unwrap().to_owned();
        let before = world.state(&user).await;
        let waiting = |state: &super::vaults::State| format!("{state:?}").matches("PendingAddress").count();
        for _ in 0..2 {
            world.client().get(&path).send().await.fails(400, "LP-Duplicated");
            assert_eq!(waiting(&world.state(&user).await), waiting(&before), "the row stays");
        }
        world.belongs_to(&user, &old, 3).await;
        world.belongs_to(&other, &bob_at(NEW), 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_deleted_account_leaves_no_link_behind() {
    // Weakness 14: upstream answers 500, and keeps the address blocked.
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    world.ask_for(&user, &old, &new).await.is_empty();
    world.step(user.account(), |draft| draft.erase(&[])).await;
    world.open_link(NEW).await.fails(404, "LP-User-404");
    world.settle(&bob_at(NEW)).await;
}

#[tokio::test]
async fn mails_to_addresses_of_ones_choice_are_ten_a_day() {
    let world = World::new().await;
    let (old, _, user) = settled(&world).await;
    let client = world.client_of(&old).await;
    for n in 0..10 {
        let new = with_address(&old, &format!("a.{n}@example.com"));
        client.change_address(&world.address_body(&user, &old, &new).await).await.is_empty();
        world.clock.advance(60);
    }
    let new = with_address(&old, NEW);
    let body = world.address_body(&user, &old, &new).await;
    assert!(client.is_in().await, "and its last use is written");
    let before = world.state(&user).await;
    client.change_address(&body).await.waits(DAY - 600);
    assert_eq!(world.state(&user).await, before);
    world.clock.advance(DAY - 600);
    client.change_address(&world.address_body(&user, &old, &new).await).await.is_empty();
    world.open_link(NEW).await.redirects();
    world.belongs_to(&user, &new, 3).await;
}

/// A clock that ran ahead and was corrected: the wait of a day that is then reported ends when it
/// was announced to end.
#[tokio::test]
async fn a_day_of_asks_ends_when_it_was_told_after_the_clock_went_back() {
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    let start = UnixSeconds::new(world.now()).unwrap();
    world.clock.advance(10 * 365 * DAY);
    let client = world.client_of(&old).await;
    for _ in 0..10 {
        client.change_address(&world.address_body(&user, &old, &new).await).await.is_empty();
    }
    world.clock.set(start);
    let ask = async || {
        let client = world.client_of(&old).await;
        client.change_address(&world.address_body(&user, &old, &new).await).await
    };
    ask().await.waits(DAY);
    world.clock.advance(DAY - 1);
    ask().await.waits(1);
    world.clock.advance(1);
    ask().await.is_empty();
}

#[tokio::test]
async fn without_verification_it_is_done_at_once() {
    on_both(|world| async move {
        let world = world.ruled_by(policy().verify_email(false), 2).await;
        let (old, new, user) = settled(&world).await;
        let client = world.client_of(&old).await;
        client.change_address(&world.address_body(&user, &old, &new).await).await.is_empty();
        assert!(!client.is_in().await);
        world.belongs_to(&user, &new, 3).await;
        assert!(world.host.mails_to(NEW).is_empty());
        assert_eq!(world.host.mails_to(&old.email).last().unwrap().subject, "Your e-mail address was changed");
        world.log_in(&old).await.fails(404, "LP-User-404");
        // The old one is free, the new one is not.
        let other = world.settle(&old).await;
        let body = world.address_body(&other, &old, &new).await;
        world.client_of(&old).await.change_address(&body).await.fails(400, "LP-Duplicated");
        world.belongs_to(&other, &old, 0).await;
        world.belongs_to(&user, &new, 3).await;
    })
    .await;
}

#[tokio::test]
async fn the_policy_that_asks_for_a_click_asks_for_it_here() {
    let world = World::with(policy().mailed_links(keywright_librepass::MailedLinks::Confirm)).await;
    let old = alice();
    world.register(&old).await.is(201, json!({}));
    let path = world.path_to(&old.email);
    world.client().post(&path).send().await.redirects();
    let user = world.user_of(&old).await;
    let new = with_address(&old, NEW);
    world.ask_for(&user, &old, &new).await.is_empty();
    assert_eq!(world.open_link(NEW).await.status, 200);
    world.belongs_to(&user, &old, 0).await;
    let path = world.path_to(NEW);
    world.client().post(&path).send().await.redirects();
    world.belongs_to(&user, &new, 0).await;
}

#[tokio::test]
async fn no_code_and_no_address_is_stored_in_clear() {
    // Weakness 12: the codes.
    let world = World::new().await;
    let (old, new, user) = settled(&world).await;
    world.ask_for(&user, &old, &new).await.is_empty();
    let code = world.path_to(NEW).split_once("&code=").unwrap().1.to_owned();
    for scanned in world.scan().await {
        let text = String::from_utf8_lossy(&scanned.body).into_owned();
        assert!(!text.contains(&code) && !text.contains(NEW), "{}", scanned.slot);
        assert!(!format!("{scanned:?}").contains(NEW));
    }
}
