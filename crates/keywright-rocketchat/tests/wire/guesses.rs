//! How many guesses there are, for whom, and what the request limit has to do with it: nothing.

use keywright_core::UnixSeconds;
use serde_json::json;

use crate::support::{ADMIN, START, TARGET, USER, World};

#[tokio::test]
async fn weakness_1_a_code_works_once_and_a_replay_costs_nothing() {
    let world = World::new().await;
    let (client, code) = (world.client(ADMIN), world.totp(ADMIN));
    client.reset_of(TARGET.id).code(&code).send().await.succeeds();
    for _ in 0..10 {
        client.reset_of(TARGET.id).code(&code).send().await.fails("totp-invalid");
    }
    assert_eq!(world.host.removals(), 1);
    assert_eq!((world.replayed(ADMIN, "totp").await, world.charged(ADMIN, "totp").await), (10, 0));
    assert_eq!(world.count_events(ADMIN, "guess_denied").await, 1, "told once an hour");
    world.clock.advance(30);
    client.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
}

/// `docs/decisions.md` 27a: for privileged callers too, and with the request limits off.
#[tokio::test]
async fn weakness_2_the_fifth_wrong_code_begins_a_wait_that_no_permission_lifts() {
    let world = World::new().await;
    let client = world.client(ADMIN);
    world.guess_wrong(&client, ADMIN, 5).await;
    let before = world.scan().await;
    for _ in 0..20 {
        for code in [world.totp(ADMIN), world.wrong_totp(ADMIN)] {
            let answer = client.reset_of(TARGET.id).code(&code).send().await;
            answer.waits(30);
            assert_eq!(answer.header("x-ratelimit-reset"), Some("1800000030000"));
            assert_eq!(answer.header("x-ratelimit-limit"), None, "nobody counted it");
        }
    }
    assert_eq!(world.scan().await, before, "a refusal writes nothing");
    world.clock.advance(29);
    client.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.waits(1);
    world.clock.advance(1);
    client.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
}

#[tokio::test]
async fn a_wait_is_said_before_a_body_is_acted_on_and_after_its_shape() {
    let world = World::new().await;
    let client = world.client(USER);
    world.guess_wrong(&client, USER, 5).await;
    let code = world.totp(USER);
    client.post("users.resetE2EKey").json(&json!({"x": 1})).code(&code).send().await.fails("invalid-params");
    // The wait comes before "no such user" and before "not allowed".
    client.reset_of("nobody").code(&code).send().await.waits(30);
    for path in ["users.disableTotp", "users.regenerateTotpCodes"] {
        client.post(path).json(&json!({"code": code})).send().await.waits(30);
    }
    assert_eq!(client.request("GET", "users.totpCodesRemaining").send().await.json()["remaining"], 12);
}

#[tokio::test]
async fn the_recovery_code_is_the_way_in_and_a_client_is_told_to_ask_for_it() {
    let world = World::new().await;
    let client = world.client(ADMIN);
    world.guess_wrong(&client, ADMIN, 5).await;
    client.reset_of(TARGET.id).send().await.fails("totp-required");
    client.reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.succeeds();
    client.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
    // The login has ten tries for an hour. With both kinds refused, no client is asked for a code
    // that would not be checked.
    world.clock.advance(3_600);
    world.guess_wrong(&client, ADMIN, 5).await;
    for _ in 0..5 {
        client.reset().code("AAAAAAAA").send().await.fails("totp-invalid");
    }
    client.reset().code(&ADMIN.recovery_code(1)).send().await.waits(30);
    client.reset().send().await.waits(30);
    world.clock.advance(30);
    client.reset().send().await.fails("totp-required");
}

/// A wait that was reported without being written would start again at every read, and never end.
#[tokio::test]
async fn a_wait_that_begins_anew_after_the_clock_went_back_ends() {
    let both_kinds = World::new().await;
    let client = both_kinds.client(ADMIN);
    both_kinds.guess_wrong(&client, ADMIN, 5).await;
    for _ in 0..5 {
        client.reset().code("AAAAAAAA").send().await.fails("totp-invalid");
    }
    let password = World::password_only().await;
    for _ in 0..5 {
        password.client(ADMIN).reset().code(&TARGET.password()).send().await.fails("totp-invalid");
    }
    let email = World::email_only().await;
    email.client(ADMIN).reset().send().await.fails("totp-required");
    for n in 0..5 {
        let answer = email.client(ADMIN).reset().code("000000").send().await;
        answer.fails(if n < 4 { "totp-invalid" } else { "totp-max-attempts" });
    }
    // A client without a code waits for the next mail too: its hour starts again as well.
    for (world, mails) in [(both_kinds, 0), (password, 0), (email, 3_570)] {
        let client = world.client(ADMIN);
        world.clock.set(UnixSeconds::new(START - 10_000).unwrap());
        for left in [30, 20, 10] {
            client.reset().send().await.waits(left + mails);
            world.clock.advance(10);
        }
        client.reset().code("123").send().await.fails("totp-invalid");
    }
}

#[tokio::test]
async fn strangers_do_not_hold_up_a_login_that_has_passed() {
    let world = World::new().await;
    let known = world.client(ADMIN);
    known.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
    world.clock.advance(30);
    let thief = world.other_client(ADMIN, 1);
    world.guess_wrong(&thief, ADMIN, 5).await;
    thief.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.waits(30);
    known.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
}

#[tokio::test]
async fn weakness_6_what_is_not_six_digits_is_no_guess() {
    let world = World::new().await;
    let (client, code, before) = (world.client(ADMIN), world.totp(ADMIN), world.scan().await);
    let full_width: String = code.chars().map(|c| char::from_u32(0xFF10 + c.to_digit(10).unwrap()).unwrap()).collect();
    let long = "1".repeat(10_000);
    let odd = [
        format!("+{code}"),
        format!("{code}x"),
        code[1..].into(),
        format!("0{code}00"),
        format!("{}.0", &code[..4]),
        full_width,
        long,
        "-1".into(),
    ];
    for code in &odd {
        for _ in 0..6 {
            client.reset().code(code).send().await.fails("totp-invalid");
        }
    }
    client.reset().header("x-2fa-code", [0xff, 0xfe]).send().await.fails("totp-invalid");
    assert_eq!(world.scan().await, before, "nothing charged, nothing written");
    client.reset().code(&code).send().await.succeeds();
}

/// People type codes in groups, and copy blanks along.
#[tokio::test]
async fn blanks_and_hyphens_of_a_typed_code_are_dropped() {
    let world = World::new().await;
    let client = world.client(ADMIN);
    type Form = fn(&str) -> String;
    let forms: [Form; 4] = [
        |code| format!("{} {}", &code[..3], &code[3..]),
        |code| format!("{}-{}", &code[..3], &code[3..]),
        |code| format!(" {code}"),
        |code| format!("{code} "),
    ];
    for form in forms {
        client.reset_of(TARGET.id).code(&form(&world.totp(ADMIN))).send().await.succeeds();
        world.clock.advance(30);
    }
}

#[tokio::test]
async fn leading_zeros_count() {
    let world = World::new().await;
    let zero = (0..10_000).find(|_| {
        world.clock.advance(30);
        world.totp(ADMIN).starts_with('0')
    });
    assert!(zero.is_some());
    let code = world.totp(ADMIN);
    world.client(ADMIN).reset_of(TARGET.id).code(code.trim_start_matches('0')).send().await.fails("totp-invalid");
    world.client(ADMIN).reset_of(TARGET.id).code(&code).send().await.succeeds();
}

#[tokio::test]
async fn ten_calls_a_minute_for_an_address_and_an_endpoint() {
    let world = World::new().await.limited();
    let client = world.client(USER);
    world.clock.advance(18);
    for left in (0..10).rev() {
        let answer = client.reset().send().await;
        answer.fails("totp-required");
        assert_eq!(answer.header("x-ratelimit-limit"), Some("10"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
        assert_eq!(answer.header("x-ratelimit-reset"), Some("1800000060000"));
        assert_eq!(answer.header("retry-after"), None);
    }
    // The eleventh is refused; the right code is not checked.
    client.reset().code(&world.totp(USER)).send().await.waits(42);
    client.reset().header("x-forwarded-for", "192.0.2.1").send().await.fails("totp-required");
    assert!(client.is_in().await, "another endpoint");
    world.client(ADMIN).reset().send().await.fails("totp-required");
    assert_eq!(world.client(ADMIN).reset().send().await.header("x-ratelimit-limit"), None, "not counted");
    world.clock.advance(42);
    client.reset().code(&world.totp(USER)).send().await.succeeds();
}

#[tokio::test]
async fn failed_logins_and_misshapen_bodies_are_not_counted() {
    let world = World::new().await.limited();
    let mut stranger = world.client(USER);
    stranger.token = "wrong".into();
    for _ in 0..20 {
        assert_eq!(stranger.reset().send().await.status, 401);
        world.client(USER).post("users.resetE2EKey").json(&json!([])).send().await.fails("invalid-params");
    }
    let answer = world.client(USER).reset().send().await;
    assert_eq!(answer.fails("totp-required").header("x-ratelimit-remaining"), Some("9"));
    world.client(USER).reset().code(&world.totp(USER)).send().await.succeeds();
}

#[tokio::test]
async fn a_guesss_wait_within_a_counted_call_has_the_waits_own_end() {
    let world = World::new().await.limited();
    let client = world.client(USER);
    world.guess_wrong(&client, USER, 5).await;
    let answer = client.reset().code(&world.totp(USER)).send().await;
    answer.waits(30);
    assert_eq!(answer.header("x-ratelimit-limit"), Some("10"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("4"), "the calls of the minute are not used up");
    assert_eq!(answer.header("x-ratelimit-reset"), Some("1800000030000"));
}

#[tokio::test]
async fn recovery_codes_work_once_each_and_the_last_are_told_of() {
    let world = World::new().await;
    let client = world.client(ADMIN);
    for (n, code) in ADMIN.recovery_codes().iter().enumerate() {
        client.reset_of(TARGET.id).code(code).method("totp").send().await.succeeds();
        assert_eq!(world.codes_left(ADMIN).await, Some(u8::try_from(11 - n).unwrap()));
        client.reset_of(TARGET.id).code(code).method("totp").send().await.fails("totp-invalid");
    }
    assert_eq!(world.count_events(ADMIN, "recovery_codes_low").await, 3);
    assert_eq!(world.count_events(ADMIN, "recovery_codes_exhausted").await, 1);
    assert_eq!(world.host.removals(), 12);
}

#[tokio::test]
async fn a_login_stays_known_when_recovery_codes_are_made_anew() {
    let world = World::new().await;
    let known = world.client(ADMIN);
    known.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
    let made = known.post("users.regenerateTotpCodes").json(&json!({"code": ADMIN.recovery_code(0)})).send().await;
    assert_eq!(made.status, 200);
    world.clock.advance(30);
    world.guess_wrong(&world.other_client(ADMIN, 1), ADMIN, 5).await;
    let other = world.other_client(ADMIN, 2);
    other.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.waits(30);
    known.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
}
