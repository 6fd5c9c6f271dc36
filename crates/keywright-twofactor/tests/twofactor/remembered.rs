//! Remembered devices: what stands in for the second factor of a log-in, and when it ends.

use std::sync::Arc;

use keywright_core::{Purpose, SessionId, UnixSeconds};
use keywright_store::{Draft, MemoryStore, RecordStore as _, SlotName};
use keywright_testing::HookedStore;
use keywright_twofactor::{
    CHANGE_FACTORS, EnrolmentStart, Proven, RememberedId, StepUp, TrustToken, TwoFactor, TwoFactorPolicy,
    VerifyOutcome, events,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{SEED, SESSION, START, UNKNOWN, World, code};

const LOGIN: Purpose = Purpose::new("login");
const DAY: u64 = 86_400;

/// Proves the device's next code.
async fn proven(world: &World) -> Proven {
    world.clock.advance(30);
    let typed = code(SEED, world.now());
    let verdict = world.service.verify(&world.account, &typed, &LOGIN, UNKNOWN).await.unwrap();
    let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
    proof
}

async fn trusted(world: &World, name: &str) -> TrustToken {
    let proof = proven(world).await;
    world.service.trust(&proof, name).await.unwrap().expect("nothing has changed")
}

async fn is_recognized(world: &World, token: &str) -> bool {
    world.service.recognize(&world.account, token, &LOGIN).await.unwrap().is_some()
}

async fn enrolled(world: &World) {
    world.import("phone", SEED).await;
}

fn token_of(world: &World) -> impl Future<Output = TrustToken> + '_ {
    trusted(world, "Firefox on Linux")
}

/// A proof that lets the account's factors be changed.
async fn change(world: &World) -> StepUp {
    world.clock.advance(30);
    let (session, typed) = (SessionId::new(SESSION), code(SEED, world.now()));
    let verdict = world.service.step_up_totp(&world.account, &CHANGE_FACTORS, session, &typed, UNKNOWN).await.unwrap();
    let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
    proof
}

#[tokio::test]
async fn a_browser_is_recognized_until_it_expires() {
    let world = World::with(TwoFactorPolicy::builder().remember_days(2).build().unwrap()).await;
    enrolled(&world).await;
    let token = token_of(&world).await;
    let added = world.now();
    let [device] = &*world.service.remembered_devices(&world.account).await.unwrap() else { panic!("not listed") };
    let at = |seconds| UnixSeconds::new(seconds).unwrap();
    assert_eq!((device.id, &*device.name, device.added), (token.id(), "Firefox on Linux", at(added)));
    assert_eq!(device.expires, at(added + 2 * DAY));

    world.clock.advance(2 * DAY - 1);
    let recognized = world.service.recognize(&world.account, token.expose(), &LOGIN).await.unwrap().expect("in time");
    assert_eq!((recognized.account(), recognized.device(), recognized.purpose()), (&world.account, token.id(), &LOGIN));
    let listed = world.service.remembered_devices(&world.account).await.unwrap();
    assert_eq!(listed[0].last_used, at(world.now()), "using it does not prolong it");
    world.clock.advance(1);
    assert!(!is_recognized(&world, token.expose()).await);
    assert!(world.service.remembered_devices(&world.account).await.unwrap().is_empty());
    let kinds = world.change_kinds().await;
    for kind in ["device_remembered", "device_recognized"] {
        assert_eq!(kinds.iter().filter(|one| *one == kind).count(), 1, "{kind}: {kinds:?}");
    }
}

#[tokio::test]
async fn any_other_text_is_not_recognized_and_writes_nothing() {
    let world = World::new().await;
    enrolled(&world).await;
    let token = token_of(&world).await;
    let other = token_of(&world).await;
    let before = world.revision().await;
    // The id of one and the secret of the other, each character changed, and texts of any form.
    let mixed = format!("{}{}", &token.expose()[..11], &other.expose()[11..]);
    for text in
        ["", "x", &mixed, &token.expose()[..53], &format!("{}A", token.expose()), &token.expose().to_uppercase()]
    {
        assert!(!is_recognized(&world, text).await, "{text}");
    }
    for at in 0..54 {
        let mut changed = token.expose().to_owned();
        let new = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
        changed.replace_range(at..=at, new);
        assert!(!is_recognized(&world, &changed).await, "{at}");
    }
    assert_eq!(world.revision().await, before);
    assert!(is_recognized(&world, token.expose()).await);
}

#[tokio::test]
async fn a_token_is_of_its_account() {
    let world = World::new().await;
    enrolled(&world).await;
    let token = token_of(&world).await;
    let other = keywright_core::AccountId::new("somebody-else").unwrap();
    world.driver.ensure_account(&other).await.unwrap();
    assert!(world.service.recognize(&other, token.expose(), &LOGIN).await.unwrap().is_none());
}

#[tokio::test]
async fn a_change_of_factors_and_the_end_of_all_sessions_forget_every_browser() {
    let world = World::new().await;
    enrolled(&world).await;
    // Another device, also where other log-ins are kept.
    let kept = World::with(TwoFactorPolicy::builder().end_other_logins(false).build().unwrap()).await;
    enrolled(&kept).await;
    for world in [&world, &kept] {
        let token = token_of(world).await;
        let session = SessionId::new(SESSION);
        let begun = world.service.begin_with(change(world).await, "tablet", None).await.unwrap();
        let EnrolmentStart::Begun(pending) = begun else { panic!("{begun:?}") };
        assert!(is_recognized(world, token.expose()).await, "nothing has changed yet");
        let typed = code(pending.secret().expose(), world.now());
        let _ = world.service.confirm(&world.account, session, &typed, UNKNOWN).await.unwrap();
        assert!(!is_recognized(world, token.expose()).await);
    }
    // A credential.
    let token = token_of(&world).await;
    let end = |draft: &mut Draft<'_>| {
        draft.event(&events::FACTOR_REMOVED);
        draft.move_credential_epoch()
    };
    world.run(end).await.unwrap();
    assert!(!is_recognized(&world, token.expose()).await);
    // The keyring's fence, after a backup was restored.
    let token = token_of(&world).await;
    let restored = world.another_server(7, world.now() + 1);
    world.clock.advance(1);
    assert!(restored.recognize(&world.account, token.expose(), &LOGIN).await.unwrap().is_none());
}

#[tokio::test]
async fn a_proof_from_before_a_change_remembers_nothing() {
    let world = World::new().await;
    enrolled(&world).await;
    let proof = proven(&world).await;
    world.set_email(true).await.unwrap();
    assert!(world.service.trust(&proof, "browser").await.unwrap().is_none());
    assert!(world.service.remembered_devices(&world.account).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_clock_that_goes_back_forgets_for_as_long() {
    let world = World::new().await;
    enrolled(&world).await;
    let token = token_of(&world).await;
    let now = world.now();
    world.clock.set(UnixSeconds::new(START).unwrap());
    assert!(!is_recognized(&world, token.expose()).await, "its age is unknown");
    world.clock.set(UnixSeconds::new(now).unwrap());
    assert!(is_recognized(&world, token.expose()).await);
}

#[tokio::test]
async fn an_owner_names_and_forgets_them() {
    let world = World::new().await;
    enrolled(&world).await;
    let (one, two) = (token_of(&world).await, trusted(&world, " \u{7}\n ").await);
    let (service, account) = (&world.service, &world.account);
    let names = async || {
        let listed = service.remembered_devices(account).await.unwrap();
        listed.into_iter().map(|device| device.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["Firefox on Linux", "browser"]);
    assert!(service.rename_remembered(account, two.id(), &"ä".repeat(80)).await.unwrap());
    assert_eq!(names().await, ["Firefox on Linux", &"ä".repeat(64)]);
    let nobody = RememberedId::parse("0123456789abcdef").unwrap();
    assert!(!service.rename_remembered(account, nobody, "x").await.unwrap());
    assert!(!service.forget_remembered(account, nobody).await.unwrap());

    assert!(service.forget_remembered(account, one.id()).await.unwrap());
    assert!(!is_recognized(&world, one.expose()).await && is_recognized(&world, two.expose()).await);
    assert_eq!(service.forget_all_remembered(account).await.unwrap(), 1);
    assert_eq!(service.forget_all_remembered(account).await.unwrap(), 0);
    assert!(!is_recognized(&world, two.expose()).await);
    let kinds = world.change_kinds().await;
    assert_eq!(kinds.iter().filter(|kind| **kind == *events::DEVICE_FORGOTTEN.name()).count(), 2, "{kinds:?}");
}

#[tokio::test]
async fn of_eleven_the_one_that_was_used_longest_ago_is_forgotten() {
    let world = World::new().await;
    enrolled(&world).await;
    let mut tokens = Vec::new();
    for n in 0..10 {
        tokens.push(trusted(&world, &format!("browser {n}")).await);
    }
    world.clock.advance(1);
    assert!(is_recognized(&world, tokens[0].expose()).await);
    tokens.push(trusted(&world, "one more").await);
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(is_recognized(&world, token.expose()).await, n != 1, "{n}");
    }
}

/// Four servers at once. A browser that was forgotten before a log-in began is never recognized, and no
/// token is lost that was handed out, up to the bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_forgotten_is_not_recognized_by_any_server() {
    for world in [World::new().await, World::sqlite().await] {
        enrolled(&world).await;
        let token = token_of(&world).await;
        let servers: Vec<TwoFactor> = (0..4).map(|_| world.another_server(world.next_seed(), 0)).collect();
        let barrier = Arc::new(Barrier::new(33));
        let mut running = JoinSet::new();
        for n in 0..32 {
            let (server, barrier) = (servers[n % 4].clone(), barrier.clone());
            let (account, text) = (world.account.clone(), token.expose().to_owned());
            running.spawn(async move {
                barrier.wait().await;
                server.recognize(&account, &text, &LOGIN).await
            });
        }
        barrier.wait().await;
        // A server that is too busy forgets nothing, and says so.
        while world.service.forget_remembered(&world.account, token.id()).await.is_err() {}
        let after = world.service.recognize(&world.account, token.expose(), &LOGIN).await.unwrap();
        assert!(after.is_none(), "an acknowledged end holds on every server");
        for server in &servers {
            assert!(server.recognize(&world.account, token.expose(), &LOGIN).await.unwrap().is_none());
        }
        // Whatever the others were told, nothing of it brings the browser back.
        let _outcomes = running.join_all().await;
        assert!(world.service.remembered_devices(&world.account).await.unwrap().is_empty());
    }
}

/// Who can write to the database, but lacks the keyring, cannot bring a browser back or make one.
#[tokio::test]
async fn a_row_that_is_put_back_denies() {
    let store = HookedStore::memory();
    let world = World::over(store.clone(), TwoFactorPolicy::default()).await;
    enrolled(&world).await;
    let token = token_of(&world).await;
    let slot = SlotName::parse("remembered-devices").unwrap();
    let inner: &MemoryStore = store.inner();
    let older = inner.load(&world.partition(), &[slot]).await.unwrap().records[0].clone();
    assert!(world.service.forget_remembered(&world.account, token.id()).await.unwrap());
    store.after_loads(move |_, slots, snapshot| {
        for (at, record) in slots.iter().zip(&mut snapshot.records) {
            if *at == slot {
                record.clone_from(&older);
            }
        }
    });
    assert!(world.service.recognize(&world.account, token.expose(), &LOGIN).await.is_err());
}
