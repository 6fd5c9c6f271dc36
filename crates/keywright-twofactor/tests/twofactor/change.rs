//! A change of factors takes a proof, and checks in its commit that the proof is still valid.

use keywright_core::{ActionName, SessionId};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{
    Attested, CHANGE_FACTORS, Demand, EnrolmentOutcome, EnrolmentStart, FactorChange, Method, RenameOutcome, Rule,
    StepUp, StepUpPolicy, TwoFactorError, TwoFactorPolicy, VerifyOutcome,
};

use crate::support::{Epoch, OTHER, SEED, SESSION, START, UNKNOWN, World, code};

const ALL: [Method; 4] = [Method::Totp, Method::Recovery, Method::Mailed, Method::Password];

/// A rule that is too weak for a change of factors, even if a host sets it for that action.
async fn weak() -> World {
    let step_up = StepUpPolicy::builder().default_rule(Rule::any_enrolled_of(&ALL).remembered(900)).build().unwrap();
    World::with(TwoFactorPolicy::builder().step_up(step_up).build().unwrap()).await
}

async fn proof(world: &World, action: &ActionName) -> StepUp {
    let typed = code(SEED, world.now());
    let verdict =
        world.service.step_up_totp(&world.account, action, SessionId::new(SESSION), &typed, UNKNOWN).await.unwrap();
    world.advance(30);
    let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
    proof
}

async fn attested(world: &World, by: Attested) -> Option<StepUp> {
    world.service.step_up_attested(&world.account, &CHANGE_FACTORS, SessionId::new(SESSION), by).await.unwrap()
}

fn first(world: &World) -> FactorChange {
    FactorChange::first_factor(world.account.clone(), SessionId::new(SESSION))
}

/// No change of factors happens with this authorization.
async fn opens_nothing(world: &World, mut change: impl AsyncFnMut(&World) -> FactorChange) {
    let service = &world.service;
    let before = (service.enrolled(&world.account).await.unwrap(), world.factor_epoch().await);
    let refused = |error| matches!(error, TwoFactorError::NotProven);
    assert!(refused(service.begin_with(change(world).await, "new", None).await.unwrap_err()));
    assert!(refused(service.set_email(change(world).await, true).await.unwrap_err()));
    assert!(refused(service.make_recovery(change(world).await, Liveness::Now, UNKNOWN).await.unwrap_err()));
    let id = before.0.devices.first().map(|device| device.id);
    if let (Some(id), FactorChange::StepUp(proof)) = (id, change(world).await) {
        assert!(refused(service.remove_device(proof, id, UNKNOWN).await.unwrap_err()));
    }
    if let FactorChange::StepUp(proof) = change(world).await {
        assert!(refused(service.remove_all(proof, UNKNOWN).await.unwrap_err()));
    }
    assert_eq!((service.enrolled(&world.account).await.unwrap(), world.factor_epoch().await), before);
}

#[tokio::test]
async fn asvs_7_5_1_a_change_takes_a_proof_of_what_is_enrolled() {
    let world = World::new().await;
    let service = &world.service;
    let EnrolmentStart::Begun(pending) = service.begin_with(first(&world), "phone", None).await.unwrap() else {
        panic!("full")
    };
    let seed = pending.secret().expose().to_vec();
    let typed = code(&seed, START);
    assert!(matches!(
        service.confirm_without_codes(&world.account, SessionId::new(SESSION), &typed, UNKNOWN).await.unwrap(),
        EnrolmentOutcome::Active(_)
    ));
    world.import("other", SEED).await;
    let id = service.enrolled(&world.account).await.unwrap().devices[0].id;
    let codes = service.make_recovery(proof(&world, &CHANGE_FACTORS).await, Liveness::Now, UNKNOWN).await.unwrap();
    assert_eq!(codes.iter().count(), 10);
    assert!(service.set_email(proof(&world, &CHANGE_FACTORS).await, true).await.unwrap());
    assert!(service.remove_device(proof(&world, &CHANGE_FACTORS).await, id, UNKNOWN).await.unwrap());
    assert!(service.remove_all(proof(&world, &CHANGE_FACTORS).await, UNKNOWN).await.unwrap());
}

#[tokio::test]
async fn the_authorization_of_a_first_factor_ends_with_the_first_factor() {
    let world = World::new().await;
    let early = first(&world);
    world.import("phone", SEED).await;
    assert!(matches!(world.service.set_email(early, true).await, Err(TwoFactorError::NotProven)));
    opens_nothing(&world, async |world| first(world)).await;
    let world = World::new().await;
    assert!(world.service.set_email(first(&world), true).await.unwrap());
    opens_nothing(&world, async |world| first(world)).await;
    let world = World::new().await;
    let _codes = world.service.make_recovery(first(&world), Liveness::Now, UNKNOWN).await.unwrap();
    opens_nothing(&world, async |world| first(world)).await;
}

#[tokio::test]
async fn a_proof_for_something_else_opens_no_change_of_factors() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    opens_nothing(&world, async |world| proof(world, &ActionName::new("vault.delete")).await.into()).await;
}

/// A host's rule may accept less for other actions.
#[tokio::test]
async fn a_mailed_code_takes_no_device_away_whatever_the_rule_says() {
    let world = weak().await;
    world.set_email(true).await.unwrap();
    world.import("phone", SEED).await;
    assert!(attested(&world, Attested::Mailed).await.is_none());
    let demand = world.service.demand(&world.account, &CHANGE_FACTORS, SessionId::new(SESSION), true).await.unwrap();
    assert!(matches!(demand, Demand::Required(methods) if methods == [Method::Totp]));
    // For another action it is enough, and what the session remembers of it changes no factor.
    let delete = ActionName::new("vault.delete");
    let session = SessionId::new(SESSION);
    let other = world.service.step_up_attested(&world.account, &delete, session, Attested::Mailed).await.unwrap();
    let other = other.unwrap();
    let demand = world.service.demand(&world.account, &CHANGE_FACTORS, session, true).await.unwrap();
    assert!(matches!(demand, Demand::Required(methods) if methods == [Method::Totp]));
    assert!(matches!(world.service.remove_all(other, UNKNOWN).await, Err(TwoFactorError::NotProven)));
    world.remove_all().await.unwrap();
    // It is the strongest method that is enrolled now, and the password is not.
    assert!(attested(&world, Attested::Password).await.is_none());
    assert!(world.service.set_email(attested(&world, Attested::Mailed).await.unwrap(), false).await.unwrap());
    assert!(world.service.set_email(attested(&world, Attested::Password).await.unwrap(), true).await.unwrap());
}

/// A name authenticates nobody, so what was proven before a renaming is still valid after it.
#[tokio::test]
async fn a_new_name_takes_a_proof_and_ends_nothing() {
    let world = World::new().await;
    let id = world.import("phone", SEED).await;
    let service = &world.service;
    let epoch = world.factor_epoch().await;
    let weak = proof(&world, &ActionName::new("vault.delete")).await;
    assert!(matches!(service.rename_device(weak, id, "tablet").await, Err(TwoFactorError::NotProven)));
    for (name, outcome) in [
        ("", RenameOutcome::BadName),
        ("a\nb", RenameOutcome::BadName),
        (&"x".repeat(65), RenameOutcome::BadName),
        ("tablet", RenameOutcome::Renamed),
    ] {
        let renamed = service.rename_device(proof(&world, &CHANGE_FACTORS).await, id, name).await.unwrap();
        assert_eq!(renamed, outcome, "{name:?}");
    }
    let enrolled = service.enrolled(&world.account).await.unwrap();
    assert_eq!((enrolled.devices[0].name.as_str(), world.factor_epoch().await), ("tablet", epoch));
    assert!(world.change_kinds().await.contains(&"factor_renamed".to_owned()));
    let held = proof(&world, &CHANGE_FACTORS).await;
    let renamed = service.rename_device(proof(&world, &CHANGE_FACTORS).await, id, "phone").await.unwrap();
    assert_eq!(renamed, RenameOutcome::Renamed);
    assert!(service.remove_device(held, id, UNKNOWN).await.unwrap());
    let gone = service.rename_device(first(&world), id, "phone").await.unwrap();
    assert_eq!(gone, RenameOutcome::UnknownDevice);
}

#[tokio::test]
async fn a_proof_from_before_an_epoch_moved_is_void() {
    for change in [Epoch::Credential, Epoch::Factor] {
        let world = World::new().await;
        world.import("phone", SEED).await;
        let held = proof(&world, &CHANGE_FACTORS).await;
        world.move_epoch(change).await;
        assert!(matches!(world.service.remove_all(held, UNKNOWN).await, Err(TwoFactorError::NotProven)));
        assert!(world.service.enrolled(&world.account).await.unwrap().has_totp());
    }
}

/// There are two proofs, and the first change voids the second.
#[tokio::test]
async fn what_was_proven_together_is_not_used_one_after_the_other() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let (one, two) = (proof(&world, &CHANGE_FACTORS).await, proof(&world, &CHANGE_FACTORS).await);
    let EnrolmentStart::Begun(_) = world.service.begin_with(one, "next", None).await.unwrap() else { panic!("full") };
    assert!(world.service.set_email(two, true).await.unwrap(), "nothing has moved yet");
    let three = proof(&world, &CHANGE_FACTORS).await;
    world.import("other", OTHER).await;
    assert!(matches!(world.service.remove_all(three, UNKNOWN).await, Err(TwoFactorError::NotProven)));
}

/// An authorization is valid for its own account only, even where steps are composed.
#[tokio::test]
async fn an_authorization_of_another_account_is_not_valid() {
    let world = World::new().await;
    let other = keywright_core::AccountId::new("user-2").unwrap();
    let valid = async |change: &FactorChange| {
        let look = |draft: &mut keywright_store::Draft<'_>| change.is_valid_in(draft);
        world.driver.observe(&world.partition(), keywright_twofactor::SLOTS, look).await.unwrap()
    };
    assert!(valid(&first(&world)).await);
    assert!(!valid(&FactorChange::first_factor(other, SessionId::new(SESSION))).await);
}
