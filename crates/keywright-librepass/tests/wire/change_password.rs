//! `PATCH user/password`: everything is changed, or nothing.

use keywright_rekey::EditOutcome;
use serde_json::{Value, json};

use super::support::{World, alice, bob, on_both, policy};
use super::vaults::{id, sealed, with_address, with_password};

#[tokio::test]
async fn the_whole_vault_is_under_the_new_key_and_every_login_ends() {
    on_both(|world| async move {
        let (old, new) = (alice(), with_password(&alice(), "new"));
        let user = world.settle(&old).await;
        world.fill(&user, &old, 5).await;
        let (client, other) = (world.client_of(&old).await, world.client_of(&old).await);
        let body = world.password_body(&user, &old, &new).await;
        client.change_password(&body).await.is_empty();

        assert!(!client.is_in().await && !other.is_in().await, "weakness 13: every session ends, the caller's too");
        world.belongs_to(&user, &new, 5).await;
        world.log_in(&old).await.fails(400, "LP-Invalid-Shared-Secret");
        let texts = world.ciphers(&user).await;
        for cipher in body["ciphers"].as_array().unwrap() {
            assert_eq!(texts[cipher["id"].as_str().unwrap()], cipher["data"], "read back byte for byte");
        }
        let parameters = world.client().get("/api/auth/preLogin?email=alice@example.com").send().await.ok();
        assert_eq!((&parameters["parallelism"], &parameters["memory"]), (&json!(2), &json!(65_535)));
        world.client().get("/api/auth/passwordHint?email=alice@example.com").send().await.is_empty();
        let mails = world.host.mails_to("alice@example.com");
        assert!(mails.last().unwrap().text.contains("a new hint"));
        let notice = mails.iter().find(|mail| mail.subject == "Your password was changed").unwrap();
        assert_eq!(notice.link(), None);
        for kind in ["vault_swapped", "credential_changed"] {
            assert_eq!(world.count_events(&user, kind).await, 1, "{kind} in {:?}", world.events(&user).await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_hint_that_is_not_sent_is_cleared() {
    let world = World::new().await;
    let (old, new, newer) = (alice(), with_password(&alice(), "new"), with_password(&alice(), "newer"));
    let user = world.settle(&old).await;
    let body = world.password_body(&user, &old, &new).await;
    world.client_of(&old).await.change_password(&body).await.is_empty();
    let mut body = world.password_body(&user, &new, &newer).await;
    // What another client sends in its place is unknown, and ignored.
    let hint = body.as_object_mut().unwrap().remove("newPasswordHint").unwrap();
    body["passwordHint"] = hint;
    body["newEmail"] = json!(7);
    world.client_of(&new).await.change_password(&body).await.is_empty();
    world.client().get("/api/auth/passwordHint?email=alice@example.com").send().await;
    assert!(!world.host.mails().last().unwrap().text.contains("a new hint"));
}

/// Bodies that are refused with nothing written, and how.
fn bad_bodies(good: &Value) -> Vec<(String, &'static str)> {
    let mut bad = Vec::new();
    let mut with = |name: &str, value: Value, code| {
        let mut body = good.clone();
        body[name] = value;
        bad.push((body.to_string(), code));
    };
    const BODY: &str = "LP-Invalid-Body";
    const KEY: &str = "LP-Invalid-Shared-Secret";
    for name in ["oldSharedKey", "newSharedKey", "newPublicKey"] {
        for value in [json!(null), json!(7), json!([]), json!({"a": "b"}), json!(true)] {
            with(name, value, BODY);
        }
        for value in ["", "0", "zz", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"ż".repeat(32)] {
            with(name, json!(value), KEY);
        }
    }
    // Weakness 9: declared limits hold.
    for (name, low, high) in [("parallelism", 0, 11), ("memory", 20_479, 153_601), ("iterations", 0, 11)] {
        for value in [json!(low), json!(high), json!(-1), json!(3.0), json!("3"), json!(null), json!(1e30), json!([3])]
        {
            with(name, value, BODY);
        }
    }
    with("newPasswordHint", json!("x".repeat(101)), BODY);
    with("newPasswordHint", json!(7), BODY);
    // Weakness 3 and protocol § 8.
    for value in [json!(null), json!("x"), json!({}), json!(7)] {
        with("ciphers", value, BODY);
    }
    with("ciphers", json!([]), "LP-Missing-Cipher");
    with("ciphers", json!([7, null, "x", [], {}]), BODY);
    with(
        "ciphers",
        json!([{"id": "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a", "data": "00".repeat(28)}]),
        "LP-Missing-Cipher",
    );
    for name in good.as_object().unwrap().keys().filter(|name| *name != "newPasswordHint") {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        bad.push((body.to_string(), BODY));
        // There twice, alike or not.
        let text = good.to_string();
        bad.push((format!("{{\"{name}\":{},{}", good[name], &text[1..]), BODY));
    }
    let text = good.to_string();
    let cut = &text[..text.len() - 1];
    for broken in ["", "null", "7", "[]", "\"x\"", "{", "{}", cut, &format!("{text}x"), &format!("{text}{text}")] {
        bad.push((broken.to_owned(), BODY));
    }
    bad.push((format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), BODY));
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    bad.push((text.replacen("\"ciphers\":[", &format!("\"ciphers\":[{deep},"), 1), BODY));
    bad.push((text.replacen("\"id\":", &format!("\"data\":{deep},\"id\":"), 1), "LP-Invalid-Cipher"));
    for huge in ["99999999999999999999", &"9".repeat(10_000), "1e999"] {
        bad.push((text.replacen("\"parallelism\":2", &format!("\"parallelism\":{huge}"), 1), BODY));
    }
    bad
}

#[tokio::test]
async fn what_is_no_body_is_refused_before_it_is_charged_and_nothing_is_written() {
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    world.fill(&user, &old, 3).await;
    let client = world.client_of(&old).await;
    let body = world.password_body(&user, &old, &new).await;
    let before = world.state(&user).await;
    for (bad, code) in bad_bodies(&body) {
        let shown: String = bad.chars().take(300).collect();
        let answer = client.request("PATCH", "/api/user/password").raw(bad).send().await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some(code)), "{shown}");
        assert_eq!(world.state(&user).await, before, "{shown}");
    }
    client.change_password(&body).await.is_empty();
}

#[tokio::test]
async fn an_entry_that_is_wrong_keeps_all_others_from_being_written() {
    // Weakness 4: no first entries under the new key.
    on_both(|world| async move {
        let (old, new) = (alice(), with_password(&alice(), "new"));
        let user = world.settle(&old).await;
        world.fill(&user, &old, 5).await;
        let client = world.client_of(&old).await;
        let body = world.password_body(&user, &old, &new).await;
        let before = world.state(&user).await;
        let unchanged = world.ciphers(&user).await[&keywright_rekey::id_text(id(4))].clone();
        let another = body["ciphers"][0]["data"].as_str().unwrap();
        let reused = format!("{}{}", &another[..24], "00".repeat(30));
        let missing = "LP-Missing-Cipher";
        let cipher = "LP-Invalid-Cipher";
        for (name, value, code) in [
            ("data", json!(null), "LP-Invalid-Body"),
            ("data", json!(12_345_678), "LP-Invalid-Body"),
            ("id", json!(null), "LP-Invalid-Body"),
            ("data", json!(""), cipher),
            ("data", json!("0".repeat(57)), cipher),
            ("data", json!("00".repeat(27)), cipher),
            ("data", json!("zz".repeat(28)), cipher),
            ("data", json!("00".repeat(32_769)), cipher),
            ("data", json!(unchanged), cipher),
            ("data", json!(reused), cipher),
            ("id", json!("1-1-1-1-1"), cipher),
            ("id", body["ciphers"][0]["id"].clone(), cipher),
            ("id", json!("00000000-0000-4000-8000-000000000000"), missing),
        ] {
            let mut bad = body.clone();
            bad["ciphers"][4][name] = value;
            client.change_password(&bad).await.fails(400, code);
            assert_eq!(world.state(&user).await, before, "{name}");
        }
        // One left out: it could never be decrypted again.
        let mut bad = body.clone();
        bad["ciphers"].as_array_mut().unwrap().remove(2);
        client.change_password(&bad).await.fails(400, missing);
        // One too many.
        bad = body.clone();
        bad["ciphers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"id": keywright_rekey::id_text(id(9)), "data": sealed(&new, "x")}));
        client.change_password(&bad).await.fails(400, missing);
        assert_eq!(world.state(&user).await, before);
        world.belongs_to(&user, &old, 5).await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_old_key_is_charged_and_waited_for_and_a_wrong_new_one_is_not() {
    on_both(|world| async move {
        let (old, new, wrong) = (alice(), with_password(&alice(), "new"), bob());
        let user = world.settle(&old).await;
        world.fill(&user, &old, 2).await;
        let client = world.client_of(&old).await;
        let right = world.password_body(&user, &old, &new).await;
        let server = world.server_key().await;
        let mut no_pair = right.clone();
        no_pair["newSharedKey"] = json!(wrong.shared(&server));
        let before = world.state(&user).await;
        for _ in 0..20 {
            client.change_password(&no_pair).await.fails(400, "LP-Invalid-Shared-Secret");
        }
        assert_eq!(world.state(&user).await, before);

        let mut bad = right.clone();
        bad["oldSharedKey"] = json!(wrong.shared(&server));
        // The batch is not checked before the key: it reveals nothing to a client that has only the
        // token.
        bad["ciphers"] = json!([]);
        let mut seen = 0;
        while client.change_password(&bad).await.status != 429 {
            seen += 1;
            assert!(seen < 50, "guesses are limited");
        }
        assert!(seen >= 4, "a typo or two are free: {seen}");
        // Not even the right one is checked now.
        client.change_password(&right).await.fails(429, "LP-RateLimit");
        let retry_after = client.change_password(&right).await.header("retry-after").unwrap().parse().unwrap();
        world.clock.advance(retry_after);
        client.change_password(&world.password_body(&user, &old, &new).await).await.is_empty();
        world.belongs_to(&user, &new, 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_public_key_of_low_order_is_refused() {
    // Weakness 10: its product is all zero, and so is the shared key.
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    let client = world.client_of(&old).await;
    let before = world.state(&user).await;
    let one = format!("01{}", "00".repeat(31));
    let twist = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    for public in ["00".repeat(32).as_str(), &one, twist] {
        let mut body = world.password_body(&user, &old, &new).await;
        body["newPublicKey"] = json!(public);
        body["newSharedKey"] = json!("00".repeat(32));
        client.change_password(&body).await.fails(400, "LP-Invalid-Shared-Secret");
    }
    assert_eq!(world.state(&user).await, before);
}

#[tokio::test]
async fn a_shared_key_is_worth_nothing_once_the_servers_pair_has_gone() {
    // Weakness 11: captured once, it does not replay until the next restart.
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    let client = world.client_of(&old).await;
    let body = world.password_body(&user, &old, &new).await;
    world.clock.advance(25 * 60 * 60);
    client.change_password(&body).await.fails(400, "LP-Invalid-Shared-Secret");
    client.change_password(&world.password_body(&user, &old, &new).await).await.is_empty();
}

#[tokio::test]
async fn a_login_that_waits_for_its_second_factor_changes_nothing() {
    // Weakness 1.
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    world.enrol(&user, &[7; 20]).await;
    let token = world.log_in(&old).await.ok()["apiKey"].as_str().unwrap().to_owned();
    let client = world.client().with_token(&token);
    let before = world.state(&user).await;
    client.change_password(&world.password_body(&user, &old, &new).await).await.fails(401, "LP-Invalid-Token");
    let moved = with_address(&old, "a.new@example.com");
    client.change_address(&world.address_body(&user, &old, &moved).await).await.fails(401, "LP-Invalid-Token");
    assert_eq!(world.state(&user).await, before);
}

#[tokio::test]
async fn a_token_is_looked_at_before_the_body() {
    let world = World::new().await;
    let client = world.client().with_token(&format!("lp_{}", "0".repeat(64)));
    client.request("PATCH", "/api/user/password").raw("{").send().await.fails(401, "LP-Invalid-Token");
    client.request("PATCH", "/api/user/email").raw("{").send().await.fails(401, "LP-Invalid-Token");
}

#[tokio::test]
async fn a_change_drops_what_waits_for_a_link() {
    // Weakness 5: a stored batch of the old password never comes back.
    on_both(|world| async move {
        let (old, new) = (alice(), with_password(&alice(), "new"));
        let user = world.settle(&old).await;
        world.fill(&user, &old, 3).await;
        world.ask_for(&user, &old, &with_address(&old, "a.new@example.com")).await.is_empty();
        let body = world.password_body(&user, &old, &new).await;
        world.client_of(&old).await.change_password(&body).await.is_empty();
        assert_eq!(world.count_events(&user, "vault_dropped").await, 1);
        world.open_link("a.new@example.com").await.fails(404, "LP-User-404");
        world.belongs_to(&user, &new, 3).await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_vault_has_a_password_too() {
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    let body = world.password_body(&user, &old, &new).await;
    world.client_of(&old).await.change_password(&body).await.is_empty();
    world.belongs_to(&user, &new, 0).await;
}

#[tokio::test]
async fn a_cipher_that_was_written_before_the_batch_arrives_is_not_lost() {
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    world.fill(&user, &old, 3).await;
    let client = world.client_of(&old).await;
    let body = world.password_body(&user, &old, &new).await;
    assert!(matches!(world.edit(&user, &[(id(3), sealed(&old, "secret 3"))], &[]).await, EditOutcome::Done { .. }));
    client.change_password(&body).await.fails(400, "LP-Missing-Cipher");
    world.belongs_to(&user, &old, 4).await;
}

#[tokio::test]
async fn a_batch_of_an_older_vault_than_the_token_has_read_is_refused() {
    // `docs/decisions.md` 28: the ids are all there, but one cipher was edited by another device.
    on_both(|world| async move {
        let (old, new) = (alice(), with_password(&alice(), "new"));
        let user = world.settle(&old).await;
        world.fill(&user, &old, 3).await;
        let (client, never_read) = (world.client_of(&old).await, world.client_of(&old).await);
        client.sync().await.ok();
        let body = world.password_body(&user, &old, &new).await;
        let moved = world.address_body(&user, &old, &with_address(&old, "a.new@example.com")).await;
        assert!(matches!(world.edit(&user, &[(id(1), sealed(&old, "newer"))], &[]).await, EditOutcome::Done { .. }));
        let before = world.state(&user).await;
        client.change_password(&body).await.fails(400, "LP-Missing-Cipher");
        client.change_address(&moved).await.fails(400, "LP-Missing-Cipher");
        assert_eq!(world.state(&user).await, before);
        client.sync().await.ok();
        let body = world.password_body(&user, &old, &new).await;
        client.change_password(&body).await.is_empty();
        assert_eq!(world.secrets(&user, &new).await, ["secret 0", "newer", "secret 2"]);
        assert!(!never_read.is_in().await);

        // Nothing is known of a token that never read the vault: only the exact cover is required.
        let newer = with_password(&alice(), "newer");
        let body = world.password_body(&user, &new, &newer).await;
        world.client_of(&new).await.change_password(&body).await.is_empty();
    })
    .await;
}

#[tokio::test]
async fn a_vault_beyond_the_present_limit_is_changed_like_any_other() {
    let world = World::with(policy().vault_limit(2)).await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    world.fill(&user, &old, 6).await;
    let body = world.password_body(&user, &old, &new).await;
    world.client_of(&old).await.change_password(&body).await.is_empty();
    world.belongs_to(&user, &new, 6).await;
}

#[tokio::test]
async fn a_mail_server_that_is_down_keeps_nobody_from_changing_a_password() {
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    let client = world.client_of(&old).await;
    let body = world.password_body(&user, &old, &new).await;
    world.host.outbox.set_down(true);
    client.change_password(&body).await.is_empty();
    world.host.outbox.set_down(false);
    world.clock.advance(keywright_store::due::CLAIM_LASTS);
    assert!(world.client_of(&new).await.is_in().await);
    assert_eq!(world.host.mails_to(&old.email).last().unwrap().subject, "Your password was changed");
}

#[tokio::test]
async fn keys_are_hex_of_either_case_and_escapes_are_read() {
    let world = World::new().await;
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    world.fill(&user, &old, 2).await;
    let mut body = world.password_body(&user, &old, &new).await;
    for name in ["oldSharedKey", "newSharedKey", "newPublicKey"] {
        body[name] = json!(body[name].as_str().unwrap().to_uppercase());
    }
    let upper = body["ciphers"][0]["id"].as_str().unwrap().to_uppercase();
    body["ciphers"][0]["id"] = json!(upper);
    let data = body["ciphers"][1]["data"].as_str().unwrap().to_owned();
    let escaped = format!("\\u{:04x}{}", u32::from(data.as_bytes()[0]), &data[1..]);
    let text = body.to_string().replace(&data, &escaped).replace("newSharedKey", "new\\u0053haredKey");
    world.client_of(&old).await.request("PATCH", "/api/user/password").raw(text).send().await.is_empty();
    world.belongs_to(&user, &new, 2).await;
}
