//! Mailed codes.

use keywright_confirm::policy::{MAILED_CODE, MAILED_GENERATION};
use keywright_confirm::{ConfirmPolicy, SLOTS};
use keywright_core::{Client, ClientAdmission, ClientTag, SessionId, UnixSeconds};
use keywright_store::{Draft, guess};

use crate::support::{DELETE, Delete, Epoch, Export, Mailed, Outcome, World, denied, wrong};

#[tokio::test]
async fn nist_3_1_3_2_a_mailed_code_is_accepted_once_within_ten_minutes() {
    for (age, expected) in [(0, Outcome::Granted), (599, Outcome::Granted), (600, Outcome::Denied)] {
        let world = World::new().await;
        let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
        world.advance(age);
        assert_eq!(world.mailed(DELETE, SessionId::new("s"), &code).await, expected);
        assert_eq!(world.mailed(DELETE, SessionId::new("s"), &code).await, Outcome::Denied);
        let reason = if expected == Outcome::Granted { "replayed" } else { "expired" };
        assert_eq!(world.denials().await.last(), Some(&denied(reason)));
    }
}

#[tokio::test]
async fn nist_4_2_1_2_a_policy_may_give_a_day() {
    let policy = ConfirmPolicy::builder().mailed_seconds(86_400).build().unwrap();
    let world = World::with(policy, 1).await;
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    world.advance(86_399);
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
}

/// Wrong codes are charged to the confirmation and to the guess ledger; a new code gives nothing
/// back.
#[tokio::test]
async fn nist_3_1_3_2_a_fresh_code_does_not_reset_the_failure_count() {
    let world = World::new().await;
    let first = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    for streak in 1..=4 {
        assert_eq!(world.mailed(DELETE, SessionId::new("s"), &wrong(&first)).await, Outcome::Charged(streak, false));
    }
    world.advance(60);
    let second = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &wrong(&second)).await, Outcome::Charged(5, true));
    assert_eq!(
        world.mailed(DELETE, SessionId::new("s"), &second).await,
        Outcome::Refused(30),
        "the wait of all mailed codes"
    );
    world.advance(60);
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &second).await, Outcome::Denied, "the code is dead");
    assert_eq!(
        world.begin_mailed(&DELETE, SessionId::new("s")).await,
        Mailed::Exhausted(540),
        "until the code would have expired"
    );
    world.advance(540);
    let third = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &third).await, Outcome::Granted);
}

/// No other action, session or style gives back the attempts of an invalidated confirmation, nor do
/// eight others that evict it.
#[tokio::test]
async fn re_asking_refills_nothing() {
    let world = World::new().await;
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    for _ in 0..5 {
        world.mailed(DELETE, SessionId::new("s"), &wrong(&code)).await;
    }
    world.advance(60);
    assert_eq!(
        world.begin_mailed(&Delete { target: "another", ..DELETE }, SessionId::new("s")).await,
        Mailed::Exhausted(540)
    );
    world.begin_code(&DELETE, SessionId::new("s")).await;
    assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::Exhausted(540));
    for session in 0..8_u8 {
        world.begin_code(&DELETE, SessionId::new([session])).await;
    }
    assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::Exhausted(540));
}

#[tokio::test]
async fn a_new_session_meets_the_same_wait() {
    let world = World::new().await;
    for session in 0..5_u8 {
        let code = world.begin_mailed(&DELETE, SessionId::new([session])).await.sent();
        let streak = u16::from(session) + 1;
        assert_eq!(
            world.mailed(DELETE, SessionId::new([session]), &wrong(&code)).await,
            Outcome::Charged(streak, false)
        );
    }
    let code = world.begin_mailed(&DELETE, SessionId::new([9])).await.sent();
    assert_eq!(world.mailed(DELETE, SessionId::new([9]), &code).await, Outcome::Refused(30));
    let before = world.revision().await;
    assert_eq!(world.mailed(DELETE, SessionId::new([9]), &code).await, Outcome::Refused(30));
    assert_eq!(
        world.mailed(DELETE, SessionId::new([77]), "123456").await,
        Outcome::Refused(30),
        "also where nothing is pending"
    );
    assert_eq!(world.revision().await, before, "a refusal writes nothing");
    world.advance(30);
    assert_eq!(world.mailed(DELETE, SessionId::new([9]), &code).await, Outcome::Granted);
}

#[tokio::test]
async fn mails_are_sixty_seconds_apart_and_five() {
    let world = World::new().await;
    let mut last = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    for _ in 0..4 {
        let before = world.revision().await;
        assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::NotYet(60));
        world.advance(59);
        assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::NotYet(1));
        assert_eq!(world.revision().await, before, "a refusal writes nothing");
        world.advance(1);
        let fresh = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
        assert_ne!(fresh, last);
        assert!(
            matches!(world.mailed(DELETE, SessionId::new("s"), &last).await, Outcome::Charged(..)),
            "the one before is void"
        );
        last = fresh;
    }
    world.advance(60);
    assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::Exhausted(540));
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &last).await, Outcome::Granted, "the last stays valid");
}

#[tokio::test]
async fn ten_mails_a_day_and_account() {
    let world = World::new().await;
    for nth in 0..10_u8 {
        let sent = if nth % 2 == 0 {
            world.begin_mailed(&DELETE, SessionId::new([nth])).await
        } else {
            world.begin_mailed(&Export(DELETE), SessionId::new([nth])).await
        };
        sent.sent();
    }
    assert_eq!(world.begin_mailed(&DELETE, SessionId::new([200])).await, Mailed::Exhausted(86_400));
    world.move_epoch(Epoch::Credential).await;
    assert_eq!(
        world.begin_mailed(&DELETE, SessionId::new([201])).await,
        Mailed::Exhausted(86_400),
        "an epoch refills nothing"
    );
    assert!(world.confirmations.resend::<Delete>(&world.account, None).await.unwrap().is_none());
    world.advance(86_400);
    world.begin_mailed(&DELETE, SessionId::new([202])).await.sent();
}

#[tokio::test]
async fn the_days_count_survives_an_erase_that_keeps_the_counts() {
    let world = World::new().await;
    for nth in 0..10_u8 {
        world.begin_mailed(&DELETE, SessionId::new([nth])).await.sent();
    }
    world.erase().await;
    assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::Exhausted(86_400));
}

#[tokio::test]
async fn malformed_input_is_never_charged_nor_written() {
    let world = World::new().await;
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    let before = world.revision().await;
    for text in ["", "12345", "1234567", "12345a", &format!("{code}."), &format!("+{code}"), "١٢٣٤٥٦", "123-45"] {
        assert_eq!(world.mailed(DELETE, SessionId::new("s"), text).await, Outcome::Denied, "{text:?}");
    }
    assert_eq!(world.revision().await, before);
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
}

/// `docs/decisions.md` 67: characters that pasting and phones add to a code cost no attempt.
#[tokio::test]
async fn blanks_and_hyphens_carry_nothing() {
    for change in [
        |code: &str| format!(" {code}\r\n"),
        |code: &str| format!("{}-{}", &code[..3], &code[3..]),
        |code: &str| format!("{}\u{a0}{}", &code[..3], &code[3..]),
        |code: &str| format!("{}\u{2011}{}\u{200b}", &code[..3], &code[3..]),
    ] {
        let world = World::new().await;
        let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
        assert_eq!(
            world.mailed(DELETE, SessionId::new("s"), &change(&wrong(&code))).await,
            Outcome::Charged(1, false),
            "still judged"
        );
        assert_eq!(
            world.mailed(DELETE, SessionId::new("s"), &change(&code)).await,
            Outcome::Granted,
            "{:?}",
            change(&code)
        );
        assert_eq!(world.mailed(DELETE, SessionId::new("s"), &change(&code)).await, Outcome::Denied);
        assert_eq!(world.denials().await.last(), Some(&denied("replayed")), "as a replay of the code");
    }
}

/// ASVS 6.6.2: a code is bound to the request for which it was made. A guess is compared with one
/// pending code, never with any of several.
#[tokio::test]
async fn asvs_6_6_2_a_code_is_compared_with_its_own_pending_only() {
    let world = World::new().await;
    let here = world.begin_mailed(&DELETE, SessionId::new("here")).await.sent();
    let there = world.begin_mailed(&DELETE, SessionId::new("there")).await.sent();
    let export = world.begin_mailed(&Export(DELETE), SessionId::new("here")).await.sent();
    assert!(matches!(world.mailed(DELETE, SessionId::new("here"), &there).await, Outcome::Charged(..)));
    assert!(matches!(world.mailed(DELETE, SessionId::new("here"), &export).await, Outcome::Charged(..)));
    assert_eq!(world.mailed(DELETE, SessionId::new("here"), &here).await, Outcome::Granted);
    assert_eq!(world.mailed(Export(DELETE), SessionId::new("here"), &export).await, Outcome::Granted);
}

#[tokio::test]
async fn owasp_txauth_2_6_a_right_code_for_other_data_is_a_wrong_try() {
    let world = World::new().await;
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    let changed = Delete { target: "vault-8", ..DELETE };
    assert_eq!(world.mailed(changed, SessionId::new("s"), &code).await, Outcome::Charged(1, false));
    let guess = "guess_denied (secret: mailed, reason: wrong, purpose: test.delete)".to_owned();
    assert_eq!(world.denials().await, [guess, denied("unbound")]);
}

#[tokio::test]
async fn a_resend_without_login_only_repeats_what_was_asked_for() {
    let world = World::new().await;
    let resend = async |session: Option<SessionId>| {
        let sent = world.confirmations.resend::<Delete>(&world.account, session).await.unwrap();
        sent.map(|code| code.expose().to_owned())
    };
    let before = world.revision().await;
    assert_eq!(resend(None).await, None, "nobody asked");
    assert_eq!(world.revision().await, before);

    let first = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    world.begin_mailed(&Export(DELETE), SessionId::new("s")).await.sent();
    assert_eq!(resend(None).await, None, "too soon");
    world.advance(60);
    assert_eq!(resend(Some(SessionId::new(b"other"))).await, None, "another session asked for nothing");
    let second = resend(None).await.expect("a minute later");
    assert!(matches!(world.mailed(DELETE, SessionId::new("s"), &first).await, Outcome::Charged(1, false)));
    world.advance(60);
    let third = resend(Some(SessionId::new("s"))).await.expect("by its session");
    assert!(matches!(world.mailed(DELETE, SessionId::new("s"), &second).await, Outcome::Charged(2, false)));
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &third).await, Outcome::Granted);
    world.advance(60);
    assert_eq!(resend(None).await, None, "spent");
}

/// Otherwise anybody who knows a name could keep a code pending indefinitely.
#[tokio::test]
async fn a_resend_prolongs_nothing() {
    let world = World::new().await;
    let asked = world.now();
    world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    world.advance(540);
    let again = world.confirmations.resend::<Delete>(&world.account, None).await.unwrap().expect("a minute is over");
    assert_eq!(again.expires().get(), asked + 600);
    world.advance(60);
    assert_eq!(
        world.mailed(DELETE, SessionId::new("s"), again.expose()).await,
        Outcome::Denied,
        "it ended with the first"
    );
    assert!(world.confirmations.resend::<Delete>(&world.account, None).await.unwrap().is_none());
}

/// Three of the day's ten, whatever they are sent for.
#[tokio::test]
async fn requests_without_login_use_up_a_part_of_the_days_mails() {
    let world = World::new().await;
    let mut resent = 0;
    let mut asked = 0;
    for nth in 0..7_u8 {
        world.begin_mailed(&DELETE, SessionId::new([nth])).await.sent();
        asked += 1;
        world.advance(60);
        resent += usize::from(world.confirmations.resend::<Delete>(&world.account, None).await.unwrap().is_some());
        world.advance(60);
    }
    assert_eq!((asked, resent), (7, 3));
    assert!(matches!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::Exhausted(_)), "ten in all");
}

#[tokio::test]
async fn what_is_pending_is_told_with_its_end() {
    let world = World::new().await;
    let pending = async |action: Delete, session: SessionId| {
        let look = |draft: &mut Draft<'_>| world.confirmations.steps().mailed_pending_in(draft, &action, session);
        let end = world.driver.observe(&world.partition(), SLOTS, look).await.unwrap();
        end.map(UnixSeconds::get)
    };
    assert_eq!(pending(DELETE, SessionId::new("s")).await, None);
    let (code, end) = (world.begin_mailed(&DELETE, SessionId::new("s")).await.sent(), world.now() + 600);
    assert_eq!(pending(DELETE, SessionId::new("s")).await, Some(end));
    assert_eq!(pending(Delete { target: "vault-8", ..DELETE }, SessionId::new("s")).await, None);
    assert_eq!(pending(DELETE, SessionId::new("other")).await, None);
    world.advance(599);
    assert_eq!(pending(DELETE, SessionId::new("s")).await, Some(end));
    world.advance(1);
    assert_eq!(pending(DELETE, SessionId::new("s")).await, None, "expired");
    world.set(end - 1);
    assert_eq!(world.mailed(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
    assert_eq!(pending(DELETE, SessionId::new("s")).await, None, "spent");
    world.begin_mailed(&DELETE, SessionId::new("t")).await.sent();
    world.move_epoch(Epoch::Factor).await;
    assert_eq!(pending(DELETE, SessionId::new("t")).await, None, "void");
    world.begin_code(&DELETE, SessionId::new("u")).await;
    assert_eq!(pending(DELETE, SessionId::new("u")).await, None, "another style");
}

/// [`guess::refuse`]: a wait that is reported without being stored would begin again at every call.
#[tokio::test]
async fn a_wait_begins_anew_once_after_the_clock_went_back() {
    let world = World::new().await;
    for session in 0..5_u8 {
        let code = world.begin_mailed(&DELETE, SessionId::new([session])).await.sent();
        world.mailed(DELETE, SessionId::new([session]), &wrong(&code)).await;
    }
    world.set(world.now() - 1_000);
    for left in [30, 20, 10] {
        assert_eq!(
            world.mailed(DELETE, SessionId::new([77]), "123456").await,
            Outcome::Refused(left),
            "where nothing is pending"
        );
        world.advance(10);
    }
    assert_eq!(world.mailed(DELETE, SessionId::new([77]), "123456").await, Outcome::Denied);
}

#[tokio::test]
async fn a_resend_does_not_carry_over_a_moved_epoch() {
    let world = World::new().await;
    world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    world.advance(60);
    world.move_epoch(Epoch::Factor).await;
    assert!(world.confirmations.resend::<Delete>(&world.account, None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_known_client_is_not_held_up_by_others() {
    let world = World::new().await;
    let owner = world.client(b"the owner's token");
    let code = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    assert_eq!(world.mailed_from(owner, DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
    let other = world.begin_mailed(&Export(DELETE), SessionId::new("x")).await.sent();
    for _ in 0..5 {
        world.mailed(Export(DELETE), SessionId::new("x"), &wrong(&other)).await;
    }
    world.advance(20);
    let steps = world.confirmations.steps();
    let refusal = async |client: Client| {
        let step = |draft: &mut Draft<'_>| steps.refuse_mailed_in(draft, client);
        let refusal = world.driver.transact(&world.partition(), SLOTS, step).await.unwrap();
        refusal.map(|refusal| refusal.retry_after())
    };
    assert_eq!(refusal(Client::unknown()).await, Some(10));
    assert_eq!(refusal(world.client(b"another token")).await, Some(10));
    assert_eq!(refusal(owner).await, None);
    world.advance(40);
    let code = world.begin_mailed(&DELETE, SessionId::new("t")).await.sent();
    assert_eq!(world.mailed_from(owner, DELETE, SessionId::new("t"), &code).await, Outcome::Granted);
}

/// Locks mailed codes for unknown clients by fifty wrong ones, which take more than a day.
async fn shut(world: &World) {
    let (mut looked_at, mut session) = (0_u8, 0_u32);
    let begun = world.now();
    loop {
        session += 1;
        let code = match world.begin_mailed(&DELETE, SessionId::new(session.to_be_bytes())).await {
            Mailed::Sent(code) => code,
            Mailed::NotYet(seconds) | Mailed::Exhausted(seconds) => {
                world.advance(seconds);
                continue;
            }
        };
        for _ in 0..5 {
            match world.mailed(DELETE, SessionId::new(session.to_be_bytes()), &wrong(&code)).await {
                Outcome::Charged(..) => looked_at += 1,
                Outcome::Refused(86_400) => {
                    assert_eq!(looked_at, 50);
                    assert!(world.now() - begun >= 39 * 3_600);
                    return;
                }
                Outcome::Refused(seconds) => world.advance(seconds),
                // The code expired during the wait.
                Outcome::Denied => break,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A client types the correct code, in a session of its own.
async fn right(world: &World, client: Client) -> Outcome {
    loop {
        let session = world.now().to_be_bytes();
        match world.begin_mailed(&DELETE, SessionId::new(session)).await {
            Mailed::Sent(code) => return world.mailed_from(client, DELETE, SessionId::new(session), &code).await,
            Mailed::NotYet(seconds) | Mailed::Exhausted(seconds) => world.advance(seconds),
        }
    }
}

/// `docs/security.md` § 6: an owner whom others have locked out gets in by a known client, by an
/// admission, or by the operator.
#[tokio::test]
async fn ways_in_for_an_owner_whom_others_have_shut_out() {
    let world = World::new().await;
    let known = world.client(b"a token that was right before");
    assert_eq!(right(&world, known).await, Outcome::Granted);
    shut(&world).await;
    let fresh: ClientTag = world.driver.client_tag(&world.account, b"a new token");
    assert_eq!(right(&world, Client::credential(fresh)).await, Outcome::Refused(86_400));
    assert_eq!(right(&world, known).await, Outcome::Granted, "a known client");

    let world = World::new().await;
    shut(&world).await;
    let (ledger, partition) = ([guess::LEDGER.name()], world.partition());
    let admit = |draft: &mut Draft<'_>| guess::admit_client(draft, MAILED_CODE, MAILED_GENERATION, fresh);
    let admission = world.driver.transact(&partition, &ledger, admit).await.unwrap();
    assert!(matches!(admission, ClientAdmission::Admitted { .. }));
    let session = b"admitted";
    let code = match world.begin_mailed(&DELETE, SessionId::new(session)).await {
        Mailed::Sent(code) => code,
        Mailed::NotYet(seconds) | Mailed::Exhausted(seconds) => {
            world.advance(seconds);
            let admission = world.driver.transact(&partition, &ledger, admit).await.unwrap();
            assert!(matches!(admission, ClientAdmission::Admitted { .. }));
            world.begin_mailed(&DELETE, SessionId::new(session)).await.sent()
        }
    };
    assert_eq!(
        world.mailed_from(Client::credential(fresh), DELETE, SessionId::new(session), &code).await,
        Outcome::Granted,
        "admitted"
    );

    let world = World::new().await;
    shut(&world).await;
    let unlock = |draft: &mut Draft<'_>| guess::unlock(draft, MAILED_CODE, MAILED_GENERATION);
    assert!(world.driver.transact(&world.partition(), &ledger, unlock).await.unwrap());
    assert_eq!(right(&world, Client::unknown()).await, Outcome::Granted, "unlocked");
}
