//! Step-up: which methods authorize which action, for how long, and never a weaker method than the
//! strongest that is enrolled.

use keywright_core::{AccountId, ActionName, Purpose, SessionId};
use keywright_store::{Draft, StepError};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{
    Attested, Demand, Method, Rule, StepUp, StepUpPolicy, StepUps, TwoFactorPolicy, VerifyOutcome, events,
};

use crate::support::{Epoch, SEED, START, UNKNOWN, World, code, step_error, wrong};

const ALL: [Method; 4] = [Method::Totp, Method::Recovery, Method::Mailed, Method::Password];

fn policy() -> TwoFactorPolicy {
    let step_up = StepUpPolicy::builder()
        .default_rule(Rule::strongest_of(&ALL).remembered(900))
        .rule(ActionName::new("never"), Rule::strongest_of(&ALL))
        .rule(ActionName::new("any"), Rule::any_enrolled_of(&ALL).remembered(60))
        .build()
        .unwrap();
    TwoFactorPolicy::builder().step_up(step_up).build().unwrap()
}

async fn by_totp(world: &World, action: &'static str, session: SessionId, typed: &str) -> VerifyOutcome<StepUp> {
    world.service.step_up_totp(&world.account, &ActionName::new(action), session, typed, UNKNOWN).await.unwrap()
}

async fn attest(world: &World, action: &'static str, attested: Attested) -> bool {
    world
        .service
        .step_up_attested(&world.account, &ActionName::new(action), SessionId::new("s"), attested)
        .await
        .unwrap()
        .is_some()
}

/// `None` if a proof is remembered; otherwise the methods that are required.
async fn demand(world: &World, action: &'static str, session: SessionId) -> Option<Vec<Method>> {
    match world.service.demand(&world.account, &ActionName::new(action), session, true).await.unwrap() {
        Demand::Remembered(proof) => {
            assert!(proof.was_remembered());
            None
        }
        Demand::Required(methods) => Some(methods),
        Demand::NothingEnrolled => Some(Vec::new()),
    }
}

#[tokio::test]
async fn asvs_7_5_3_a_code_opens_an_action_and_the_proof_says_which() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    assert_eq!(demand(&world, "vault.delete", SessionId::new("s")).await, Some(vec![Method::Totp]));
    let VerifyOutcome::Granted(proof) = by_totp(&world, "vault.delete", SessionId::new("s"), &code(SEED, START)).await
    else {
        panic!("no")
    };
    assert_eq!(
        (proof.account(), proof.action(), proof.session()),
        (&world.account, &ActionName::new("vault.delete"), SessionId::new("s"))
    );
    assert_eq!((proof.method(), proof.was_remembered()), (Method::Totp, false));
    let changes = world.changes().await;
    let granted = changes.iter().find(|event| event.is(&events::STEP_UP_GRANTED)).unwrap();
    assert_eq!(granted.text("action"), Some("vault.delete"));
}

#[tokio::test]
async fn owasp_2_9_a_window_ends_and_belongs_to_its_session() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    assert!(matches!(by_totp(&world, "a", SessionId::new("s"), &code(SEED, START)).await, VerifyOutcome::Granted(_)));
    let before = world.revision().await;
    for at in [START, START + 1, START + 899] {
        world.set(at);
        assert_eq!(demand(&world, "b", SessionId::new("s")).await, None, "{at}");
    }
    assert_eq!(world.revision().await, before, "a grant inside a window only asks");
    assert!(demand(&world, "b", SessionId::new("other")).await.is_some(), "another session");
    assert!(demand(&world, "never", SessionId::new("s")).await.is_some(), "an action that is never remembered");
    world.set(START + 60);
    assert!(demand(&world, "any", SessionId::new("s")).await.is_some(), "its own window is shorter");
    world.set(START + 900);
    assert!(demand(&world, "b", SessionId::new("s")).await.is_some(), "too old");
}

#[tokio::test]
async fn what_is_never_remembered_leaves_no_window() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    assert!(matches!(
        by_totp(&world, "never", SessionId::new("s"), &code(SEED, START)).await,
        VerifyOutcome::Granted(_)
    ));
    assert!(demand(&world, "a", SessionId::new("s")).await.is_some());
}

#[tokio::test]
async fn a_window_is_void_when_epochs_move_in_the_future_and_before_the_fence() {
    for change in [Epoch::Credential, Epoch::Factor] {
        let world = World::with(policy()).await;
        world.import("phone", SEED).await;
        assert!(matches!(
            by_totp(&world, "a", SessionId::new("s"), &code(SEED, START)).await,
            VerifyOutcome::Granted(_)
        ));
        world.move_epoch(change).await;
        assert!(demand(&world, "a", SessionId::new("s")).await.is_some());
    }
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    assert!(matches!(by_totp(&world, "a", SessionId::new("s"), &code(SEED, START)).await, VerifyOutcome::Granted(_)));
    world.set(START - 1);
    assert!(demand(&world, "a", SessionId::new("s")).await.is_some(), "made in the future");
    world.set(START);
    assert_eq!(demand(&world, "a", SessionId::new("s")).await, None);
    let fenced = world.another_server(9, START + 1);
    let demanded = fenced.demand(&world.account, &ActionName::new("a"), SessionId::new("s"), true).await.unwrap();
    assert!(matches!(demanded, Demand::Required(_)));
}

/// Code that spends a proof checks, in the commit that acts, that it is still valid.
#[tokio::test]
async fn a_proof_holds_for_its_account_until_an_epoch_moves() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    let other = AccountId::new("user-2").unwrap();
    world.driver.ensure_account(&other).await.unwrap();
    let holds = async |proof: &StepUp, account: &AccountId| {
        let look = |draft: &mut Draft<'_>| proof.is_valid_in(draft);
        world.driver.observe(&account.into(), &[], look).await.unwrap()
    };
    for (turn, change) in (0..).zip([Epoch::Credential, Epoch::Factor]) {
        world.set(START + 30 * turn);
        let granted = by_totp(&world, "vault.delete", SessionId::new("s"), &code(SEED, world.now())).await;
        let VerifyOutcome::Granted(proof) = granted else { panic!("{granted:?}") };
        assert!(holds(&proof, &world.account).await && !holds(&proof, &other).await);
        world.move_epoch(change).await;
        assert!(!holds(&proof, &world.account).await);
    }
}

/// A password or mailed code authorizes nothing where a factor is enrolled, whatever the client
/// names.
#[tokio::test]
async fn owasp_2_2_the_server_enforces_the_method() {
    let world = World::with(policy()).await;
    assert_eq!(demand(&world, "a", SessionId::new("s")).await, Some(vec![Method::Password]));
    assert!(attest(&world, "a", Attested::Password).await);
    assert!(!attest(&world, "a", Attested::Mailed).await, "not enrolled");
    world.set_email(true).await.unwrap();
    assert_eq!(demand(&world, "a", SessionId::new("s")).await, Some(vec![Method::Mailed]));
    assert!(!attest(&world, "a", Attested::Password).await);
    assert!(attest(&world, "a", Attested::Mailed).await);
    world.import("phone", SEED).await;
    assert_eq!(demand(&world, "a", SessionId::new("s")).await, Some(vec![Method::Totp]));
    assert!(!attest(&world, "a", Attested::Password).await);
    assert!(!attest(&world, "a", Attested::Mailed).await);
    // The wire protocol lets its clients choose among the enrolled methods.
    assert_eq!(demand(&world, "any", SessionId::new("s")).await, Some(vec![Method::Totp, Method::Mailed]));
    assert!(attest(&world, "any", Attested::Mailed).await);
    assert!(!attest(&world, "any", Attested::Password).await);
    // A mailed code does not authorize an action that requires more.
    assert_eq!(demand(&world, "any", SessionId::new("s")).await, None);
    assert_eq!(demand(&world, "a", SessionId::new("s")).await, Some(vec![Method::Totp]));
}

#[tokio::test]
async fn a_wrong_code_is_charged_and_opens_nothing() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    let denied = by_totp(&world, "a", SessionId::new("s"), &wrong(&[SEED], START)).await;
    assert!(matches!(denied, VerifyOutcome::Denied(denial) if denial.charge().is_some()));
    assert!(demand(&world, "a", SessionId::new("s")).await.is_some());
}

/// A method that does not authorize the action is not checked, so its code is not spent.
#[tokio::test]
async fn a_code_that_would_open_nothing_is_not_spent() {
    let step_up = StepUpPolicy::builder().default_rule(Rule::strongest_of(&[Method::Recovery])).build().unwrap();
    let world = World::with(TwoFactorPolicy::builder().step_up(step_up).build().unwrap()).await;
    world.import("phone", SEED).await;
    assert!(matches!(by_totp(&world, "a", SessionId::new("s"), &code(SEED, START)).await, VerifyOutcome::NotEnrolled));
    assert!(world.totp(&code(SEED, START)).await.granted());
}

/// The last recovery code is enrolled until it is spent, and still authorizes the action.
#[tokio::test]
async fn every_recovery_code_opens_the_last_one_too() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    let codes = world.make_recovery(Liveness::Now).await.unwrap();
    for typed in codes.iter() {
        let verdict = world
            .service
            .step_up_recovery(&world.account, &ActionName::new("never"), SessionId::new("s"), typed, UNKNOWN)
            .await
            .unwrap();
        assert!(matches!(verdict, VerifyOutcome::Granted(_)));
    }
    assert_eq!(demand(&world, "never", SessionId::new("s")).await, Some(vec![Method::Totp]));
}

/// A proof of one purpose is no step-up for another.
#[tokio::test]
async fn asvs_6_6_2_a_code_is_bound_to_its_action() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    let steps = world.service.steps().clone();
    let typed = code(SEED, START);
    let step = |draft: &mut Draft<'_>| match steps.verify_totp_in(draft, &typed, &Purpose::new("login"), UNKNOWN)? {
        VerifyOutcome::Granted(proof) => {
            steps.step_ups().grant_in(draft, &ActionName::new("vault.delete"), SessionId::new("s"), proof)
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(step_error(world.run(step).await), StepError::Misuse(_)));
    assert!(world.totp(&typed).await.granted(), "nothing was spent");
}

#[tokio::test]
async fn a_session_that_ends_forgets() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    assert!(matches!(by_totp(&world, "a", SessionId::new("s"), &code(SEED, START)).await, VerifyOutcome::Granted(_)));
    let slots = [StepUps::slot(SessionId::new("s"))];
    let steps = world.service.steps().clone();
    for there in [true, false] {
        let forget = |draft: &mut Draft<'_>| steps.step_ups().forget_in(draft, SessionId::new("s"));
        assert_eq!(world.driver.transact(&world.partition(), &slots, forget).await.unwrap(), there);
    }
    assert!(demand(&world, "a", SessionId::new("s")).await.is_some());
}

/// Sixteen sessions are remembered; one more replaces a void one, or the one that was authenticated
/// longest ago, and no session is refused.
#[tokio::test]
async fn windows_are_bounded_and_the_oldest_makes_room() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    let open = async |nth: u8| {
        world.advance(30);
        let verdict = by_totp(&world, "a", SessionId::new([nth; 3]), &code(SEED, world.now())).await;
        assert!(matches!(verdict, VerifyOutcome::Granted(_)), "{nth}");
    };
    let remembered = async |nth: u8| demand(&world, "a", SessionId::new([nth; 3])).await.is_none();
    for nth in 0..16 {
        open(nth).await;
    }
    open(0).await; // again: it is the youngest now
    open(16).await;
    assert!(!remembered(1).await, "the oldest");
    assert!(remembered(0).await && remembered(2).await && remembered(16).await);
    for nth in 17..40 {
        open(nth).await;
        assert!(remembered(nth).await);
    }
    assert!(!remembered(0).await && remembered(25).await);
    // All are void because the clock went back, and a new record can still be made.
    world.move_epoch(Epoch::Credential).await;
    assert!(!remembered(39).await);
    world.advance(60);
    open(50).await;
    world.set(START - 1_000);
    assert!(!remembered(50).await);
    let seed = b"a seed for before it";
    world.import("other", seed).await;
    for nth in 60..80 {
        world.advance(30);
        let verdict = by_totp(&world, "a", SessionId::new([nth; 3]), &code(seed, world.now())).await;
        assert!(matches!(verdict, VerifyOutcome::Granted(_)), "{nth}");
        assert!(remembered(nth).await, "{nth}");
    }
}

/// OWASP 2.9: a jump of the clock neither revives a remembered proof nor prolongs one.
#[tokio::test]
async fn a_window_from_the_future_is_never_fresh() {
    let world = World::with(policy()).await;
    world.import("phone", SEED).await;
    world.set(START + 86_400);
    assert!(matches!(
        by_totp(&world, "a", SessionId::new("s"), &code(SEED, world.now())).await,
        VerifyOutcome::Granted(_)
    ));
    for at in [START, START + 86_399] {
        world.set(at);
        assert!(demand(&world, "a", SessionId::new("s")).await.is_some(), "{at}");
    }
}
