//! Real concurrency, in memory and on SQLite: nothing is granted twice, no budget is outrun, and the owner gets in.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_rocketchat::RocketChatPolicy;
use keywright_sqlite::SqliteStore;
use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{ADMIN, Answer, TARGET, USER, World};

/// Runs a test on both stores.
async fn on_both<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    test(World::new().await).await;
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
    test(World::on(store, RocketChatPolicy::default()).await).await;
}

/// Runs all requests concurrently and returns their answers, in no order.
async fn at_once<F>(many: usize, act: impl Fn(usize) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let start = Arc::new(Barrier::new(many));
    let mut set = JoinSet::new();
    for n in 0..many {
        let (start, act) = (Arc::clone(&start), act(n));
        set.spawn(async move {
            start.wait().await;
            act.await
        });
    }
    set.join_all().await
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// 64 requests for another's account, each with one of these codes.
async fn grants(world: &World, codes: &[String]) -> usize {
    let client = world.client(ADMIN);
    let answers = at_once(64, |n| client.reset_of(TARGET.id).code(&codes[n % codes.len()]).send()).await;
    // Granted, and told to try again because the target's keys were being removed.
    let (granted, late) = (with_status(&answers, 200), with_status(&answers, 503));
    assert_eq!(with_status(&answers, 400), 64 - granted - late, "{granted} {late}");
    assert!(granted >= 1);
    assert_eq!((world.host.removals(), world.host.notices()), (granted, granted + late));
    granted + late
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_requests_with_one_totp_code_one_is_granted() {
    on_both(async |world: World| {
        assert_eq!(grants(&world, &[world.totp(ADMIN)]).await, 1);
        assert_eq!(world.count_events(ADMIN, "totp_accepted").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn weakness_3_of_sixty_four_with_one_recovery_code_one_is_granted() {
    on_both(async |world: World| {
        assert_eq!(grants(&world, &[ADMIN.recovery_code(0)]).await, 1);
        assert_eq!(world.codes_left(ADMIN).await, Some(11));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn weakness_3_of_sixty_four_with_two_recovery_codes_two_are_granted() {
    on_both(async |world: World| {
        assert_eq!(grants(&world, &[ADMIN.recovery_code(0), ADMIN.recovery_code(1)]).await, 2);
        assert_eq!(world.codes_left(ADMIN).await, Some(10), "neither comes back to life");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_own_resets_with_one_code_one_is_granted() {
    on_both(async |world: World| {
        let (client, code) = (world.client(USER), world.totp(USER));
        let answers = at_once(64, |_| client.reset().code(&code).send()).await;
        assert_eq!((with_status(&answers, 200), world.host.removals()), (1, 1));
        // Busy: the first one's removal is still under way.
        let others = [400, 401, 503].map(|status| with_status(&answers, status));
        assert_eq!(others.iter().sum::<usize>(), 63, "{others:?}");
        assert!(!client.is_in().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_with_one_mailed_code_one_is_granted() {
    on_both(async |world: World| {
        let world = world.without_totp(ADMIN).await.with_email(ADMIN).await;
        let client = world.client(ADMIN);
        // One mail for 64 requests: the others are told that it is on its way.
        let asked = at_once(64, |_| client.reset_of(TARGET.id).send()).await;
        assert_eq!((with_status(&asked, 400), world.host.codes()), (64, 1));
        assert_eq!(grants(&world, &[world.host.last_code()]).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_log_ins_with_one_totp_code_one_is_granted() {
    on_both(async |world: World| {
        let code = world.totp(ADMIN);
        let mut granted = 0;
        // At most four passwords are with the host at a time: the others are told to try again.
        for _ in 0..8 {
            let answers = at_once(64, |_| world.log_in_with(ADMIN, &code).send()).await;
            let passed = with_status(&answers, 200);
            assert_eq!(passed + with_status(&answers, 401) + with_status(&answers, 503), 64, "{answers:?}");
            granted += passed;
        }
        assert_eq!((granted, world.host.issued()), (1, 1));
        assert_eq!(world.count_events(ADMIN, "totp_accepted").await, 1);
        assert_eq!(world.charged(ADMIN, "totp").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_with_one_login_code_one_is_granted() {
    on_both(async |world: World| {
        let code = world.app.create_login_code(&ADMIN.account()).await.unwrap();
        let body = json!({"code": code.expose()});
        let answers = at_once(64, |_| world.call("loginCode.redeem", &body).send()).await;
        let others = with_status(&answers, 400) + with_status(&answers, 503);
        assert_eq!((with_status(&answers, 200), others), (1, 63), "{answers:?}");
        assert_eq!((world.host.issued(), world.host.tokens_of(ADMIN.id)), (1, 2));
    })
    .await;
}

/// Each with a recovery code of its own: the challenge lets in once, and one code is spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_with_one_challenge_one_is_granted() {
    on_both(async |world: World| {
        let challenge = world.app.create_challenge(&ADMIN.account()).await.unwrap().unwrap();
        let answers = at_once(64, |n| {
            let body = json!({"challengeId": challenge.id.expose(), "code": ADMIN.recovery_code(n % 12)});
            world.call("twoFactorChallenges.verifyChallenge", &body).send()
        })
        .await;
        let others = with_status(&answers, 400) + with_status(&answers, 503);
        assert_eq!((with_status(&answers, 200), others), (1, 63), "{answers:?}");
        assert_eq!((world.host.issued(), world.codes_left(ADMIN).await), (1, Some(11)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_with_one_mailed_code_of_a_challenge_one_is_granted() {
    on_both(async |world: World| {
        let world = world.with_email(ADMIN).await;
        let challenge = world.app.create_challenge(&ADMIN.account()).await.unwrap().unwrap();
        let id = challenge.id.expose();
        world.call("twoFactorChallenges.sendEmailCode", &json!({"challengeId": id})).send().await.succeeds();
        let body = json!({"challengeId": id, "code": world.host.last_code()});
        let answers = at_once(64, |_| world.call("twoFactorChallenges.verifyChallenge", &body).send()).await;
        assert_eq!((with_status(&answers, 200), world.host.issued()), (1, 1), "{answers:?}");
    })
    .await;
}

/// 1,000 guesses at the password of a log-in: as few are looked at as of a login.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_wrong_passwords_five_are_compared() {
    on_both(async |world: World| {
        for name in [ADMIN.name, "nobody"] {
            let body = json!({"user": name, "password": "wrong"});
            let answers = at_once(1_000, |_| world.call("login", &body).send()).await;
            let late = with_status(&answers, 429) + with_status(&answers, 503);
            assert_eq!((with_status(&answers, 401), late), (5, 995));
        }
        assert_eq!(world.host.count(|call| matches!(call, crate::support::Call::NobodysPassword)), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_right_passwords_all_pass() {
    on_both(async |world: World| {
        let world = world.without_totp(ADMIN).await;
        let client = world.client(ADMIN);
        let mut granted = 0;
        let mut rounds = 0;
        // At most four are with the host at a time: the others are told to try again in a second,
        // and none waits for long.
        while granted < 64 {
            let answers = at_once(64 - granted, |_| client.reset_of(TARGET.id).code(&ADMIN.password()).send()).await;
            let passed = with_status(&answers, 200);
            assert!(passed >= 1, "{answers:?}");
            assert_eq!(with_status(&answers, 503), 64 - granted - passed, "{answers:?}");
            (granted, rounds) = (granted + passed, rounds + 1);
        }
        assert!(rounds <= 64);
        assert_eq!((world.host.removals(), world.charged(ADMIN, "login-password").await), (64, 0));
    })
    .await;
}

/// 1,000 wrong codes by a stolen login, the owner on a known login in the middle of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_wrong_guesses_at_once_a_few_are_looked_at_and_the_owner_gets_in() {
    on_both(async |world: World| {
        let owner = world.client(ADMIN);
        owner.reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
        world.clock.advance(30);
        let (thief, wrong, right) = (world.other_client(ADMIN, 1), world.wrong_totp(ADMIN), world.totp(ADMIN));
        let answers = at_once(1_000, |n| {
            let (client, code) = if n == 500 { (&owner, &right) } else { (&thief, &wrong) };
            client.reset_of(TARGET.id).code(code).send()
        })
        .await;
        // The owner's right code ends the streak of at most four that came before it.
        let wrong = with_status(&answers, 400);
        assert_eq!(((5..=9).contains(&wrong), with_status(&answers, 200)), (true, 1), "{wrong}");
        // A bounded number of unknown clients waits; the others are told to try again.
        assert_eq!(with_status(&answers, 429) + with_status(&answers, 503), 999 - wrong);
        assert_eq!(world.charged(ADMIN, "totp").await, u64::try_from(wrong).unwrap());
        assert_eq!(world.count_events(ADMIN, "guess_denied").await, 1);
        thief.reset_of(TARGET.id).code(&right).send().await.waits(30);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_wrong_digests_five_are_compared() {
    on_both(async |world: World| {
        let world = world.without_totp(ADMIN).await;
        let client = world.client(ADMIN);
        let answers = at_once(1_000, |_| client.reset().code(&USER.password()).send()).await;
        let late = with_status(&answers, 429) + with_status(&answers, 503);
        assert_eq!((with_status(&answers, 400), late), (5, 995));
        client.reset().code(&ADMIN.password()).send().await.waits(30);
        let compared = world.host.count(|call| matches!(call, crate::support::Call::Password(_)));
        assert_eq!(compared, 5);
    })
    .await;
}

/// Both codes are right, and the first of the two ends the login that the second came with: it is looked up again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_own_resets_with_two_right_codes_one_acts() {
    for _ in 0..8 {
        on_both(async |world: World| {
            let client = world.client(USER);
            let answers = at_once(8, |n| client.reset().code(&USER.recovery_code(n)).send()).await;
            let others = with_status(&answers, 401) + with_status(&answers, 503);
            assert_eq!((with_status(&answers, 200), others), (1, 7), "{answers:?}");
            assert_eq!((world.host.removals(), world.codes_left(USER).await), (1, Some(11)));
            assert_eq!(world.count_events(USER, "end_to_end_keys_reset").await, 1);
        })
        .await;
    }
}

/// The same by construction: the first is in the middle of its commit when the second has found its login.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_ended_while_it_waited_does_not_act() {
    on_both(async |world: World| {
        let partition = keywright_store::Partition::account(&USER.account());
        let gate = world.hooked.hold_commit_of(partition);
        let request = |n| tokio::spawn(world.client(USER).reset().code(&USER.recovery_code(n)).send());
        let first = request(0);
        gate.reached().await;
        let second = request(1);
        while world.host.logins() < 4 {
            tokio::task::yield_now().await;
        }
        gate.release();
        first.await.unwrap().succeeds();
        // Busy: the first one's removal is still under way.
        assert!(matches!(second.await.unwrap().status, 401 | 503));
        assert_eq!(world.host.removals(), 1);
        assert!(!world.client(USER).is_in().await);
        assert_eq!(world.codes_left(USER).await, Some(11), "the other code is not spent");
    })
    .await;
}

/// Another server does the whole reset between the look-up and the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_another_server_ended_does_not_act() {
    on_both(async |world: World| {
        let other = world.restarted(2);
        let gate = world.hooked.hold_commit_of(keywright_store::Partition::account(&USER.account()));
        let late = tokio::spawn(world.client(USER).reset().code(&USER.recovery_code(0)).send());
        gate.reached().await;
        other.client(USER).reset().code(&USER.recovery_code(1)).send().await.succeeds();
        gate.release();
        assert_eq!((late.await.unwrap().status, world.host.removals()), (401, 1));
        assert_eq!(world.codes_left(USER).await, Some(11), "the other code is not spent");
    })
    .await;
}

/// The same for a login that only reads: answers are given only to a login that is still valid.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_another_server_ended_is_told_nothing() {
    on_both(async |world: World| {
        let other = world.restarted(2);
        let count = || world.client(USER).request("GET", "users.totpCodesRemaining");
        count().send().await.is(200, json!({"success": true, "remaining": 12}));
        world.host.permission_hangs.store(true, Ordering::SeqCst);
        let late = tokio::spawn(count().send());
        world.host.hanging.notified().await;
        other.client(USER).reset().code(&USER.recovery_code(1)).send().await.succeeds();
        world.host.go.notify_one();
        assert_eq!(late.await.unwrap().status, 401);
    })
    .await;
}

/// Two administrators reset each other: neither waits for the other's account while holding their
/// own. The second one has lost its login, or gets "busy" while the first one's reset is still
/// under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resets_in_a_circle_do_not_hold_each_other_up() {
    on_both(async |world: World| {
        world.host.permit(&USER.account(), keywright_rocketchat::Permission::EditOtherUserE2ee);
        let clients = [(world.client(ADMIN), USER, ADMIN), (world.client(USER), ADMIN, USER)];
        let answers = at_once(2, |n| {
            let (client, target, caller) = &clients[n];
            client.reset_of(target.id).code(&caller.recovery_code(0)).send()
        })
        .await;
        let granted = with_status(&answers, 200);
        let refused = with_status(&answers, 401) + with_status(&answers, 503);
        assert!(granted >= 1 && granted + refused == 2, "{answers:?}");
    })
    .await;
}
