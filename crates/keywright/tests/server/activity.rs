//! What an owner is shown of the log, and what an operator does for an owner.

use std::sync::Arc;

use keywright::core::Severity;
use keywright::store::Draft;
use keywright::twofactor::{
    DeviceImport, Enrolment, EnrolmentStart, ImportedDevice, TotpSecret, TwoFactorError, TwoFactorPolicy,
    TwoFactorPolicyError, VerifyOutcome, Window,
};
use keywright::{
    AccountId, Clock, Event, EventKind, Keywright, ManualClock, MemoryStore, Purpose, SessionId, StartError,
    UnixSeconds,
};

use crate::{account, keyring, memory, open};

static PARCEL: EventKind = EventKind::change("parcel_sent", Severity::Info, "a parcel was sent");

/// Returns the kinds and the names of devices, newest first.
async fn shown(keywright: &Keywright) -> Vec<(String, Option<String>)> {
    let activity = keywright.activity(&account("alice"), 50).await.unwrap();
    activity.iter().map(|one| (one.kind().to_owned(), one.device().map(str::to_owned))).collect()
}

#[tokio::test]
async fn an_owner_reads_sentences_and_the_names_of_devices() {
    let clock = Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)));
    let builder = Keywright::builder(MemoryStore::new()).keyring(keyring(&[1])).clock(clock.clone());
    let keywright = builder.event_kinds(&[&PARCEL]).open().await.unwrap();
    let alice = account("alice");
    keywright.ensure_account(&alice).await.unwrap();
    let (two_factor, session) = (keywright.two_factor(), SessionId::new("session-1"));
    let EnrolmentStart::Begun(pending) = two_factor.begin(&alice, session, "phone").await.unwrap() else {
        panic!("not begun")
    };
    let key = pending.key_text();
    assert_eq!(key.expose().replace(' ', ""), pending.base32().expose());
    assert!(key.expose().split(' ').all(|group| group.len() == 4), "32 symbols are eight groups");
    let app = totp_rs::Builder::new().with_secret(pending.secret().expose()).build_noncompliant();
    let code = app.generate(clock.now().unwrap().get()).to_string();
    let client = keywright.client(&alice, b"the cookie");
    let confirmed = two_factor.confirm(&alice, session, &code, client).await.unwrap();
    assert!(matches!(confirmed, Enrolment::Active { recovery_codes: Some(_), .. }), "{confirmed:?}");
    let refused = two_factor.begin(&alice, session, "tablet").await.unwrap_err();
    assert!(matches!(refused, TwoFactorError::NotProven), "there is a factor now: {refused:?}");

    let send = |draft: &mut Draft<'_>| {
        draft.event(Event::new(&PARCEL).with("purpose", "delivery"));
        Ok(())
    };
    keywright.driver().transact(&(&alice).into(), &[], send).await.unwrap();
    let newest = keywright.activity(&alice, 1).await.unwrap().remove(0);
    assert_eq!((newest.text(), newest.severity()), ("a parcel was sent", Severity::Info));
    assert_eq!((newest.purpose(), newest.client(), newest.at()), (Some("delivery"), None, clock.now().unwrap()));

    let added = ("factor_added".to_owned(), Some("phone".to_owned()));
    assert!(shown(&keywright).await.contains(&added));
    assert!(keywright.operator().reset_two_factor(&alice).await.unwrap());
    assert!(!keywright.operator().reset_two_factor(&alice).await.unwrap(), "nothing is left");
    assert!(shown(&keywright).await.contains(&("factor_added".to_owned(), None)), "its name is gone with it");
    keywright.operator().erase_account(&alice).await.unwrap();
    assert!(shown(&keywright).await.contains(&("account_erased".to_owned(), None)), "the log outlives the account");
}

/// What the log says of the sender: a mark of its credential, and for what it was denied.
#[tokio::test]
async fn an_event_names_the_client_the_purpose_and_the_device() {
    let clock = Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)));
    let builder = Keywright::builder(MemoryStore::new()).keyring(keyring(&[1])).clock(clock.clone());
    let keywright = builder.open().await.unwrap();
    let (alice, bob) = (account("alice"), account("bob"));
    let (two_factor, purpose) = (keywright.two_factor(), Purpose::new("login"));
    for one in [&alice, &bob] {
        keywright.ensure_account(one).await.unwrap();
        let device = ImportedDevice::new("phone", TotpSecret::from_slice(&[7; 20]).unwrap());
        assert!(matches!(two_factor.import_device(one, &device).await.unwrap(), DeviceImport::Imported(_)));
    }
    let app = totp_rs::Builder::new().with_secret([7; 20]).build_noncompliant();
    let code = app.generate(clock.now().unwrap().get()).to_string();
    let wrong = format!("{:06}", (code.parse::<u32>().unwrap() + 500_000) % 1_000_000);
    let browser = keywright.client(&alice, b"the cookie");
    let newest = async |who: &AccountId| {
        clock.advance(1); // of events of one second, either chain can come first
        keywright.activity(who, 1).await.unwrap().remove(0)
    };
    clock.advance(1);

    let _ = two_factor.verify(&alice, &wrong, &purpose, browser).await.unwrap();
    let denied = newest(&alice).await;
    assert_eq!((denied.kind(), denied.severity()), ("guess_denied", Severity::Warning));
    assert_eq!((denied.purpose(), denied.device(), denied.client()), (Some("login"), None, browser.mark()));

    assert!(matches!(two_factor.verify(&alice, &code, &purpose, browser).await.unwrap(), VerifyOutcome::Granted(_)));
    let granted = newest(&alice).await;
    assert_eq!((granted.kind(), granted.client()), ("totp_accepted", browser.mark()));
    assert_eq!((granted.purpose(), granted.device()), (Some("login"), Some("phone")));

    // A used code belongs to a device. This sender presents no credential.
    let network = keywright.network_client(&alice, std::net::Ipv4Addr::new(192, 0, 2, 7).into());
    let _ = two_factor.verify(&alice, &code, &purpose, network).await.unwrap();
    let replayed = newest(&alice).await;
    assert_eq!((replayed.event().text("reason"), replayed.device()), (Some("replayed"), Some("phone")));
    assert_eq!((replayed.purpose(), replayed.client()), (Some("login"), None));

    // The same cookie has another mark in another account.
    let same = keywright.client(&bob, b"the cookie");
    let _ = two_factor.verify(&bob, &code, &purpose, same).await.unwrap();
    let elsewhere = newest(&bob).await;
    assert_eq!(elsewhere.client(), same.mark());
    assert_ne!(elsewhere.client(), granted.client());
}

/// Denials that were only counted may have come from anybody, so their sum names nobody.
#[tokio::test]
async fn a_sum_of_denials_names_no_client() {
    let clock = Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)));
    let builder = Keywright::builder(MemoryStore::new()).keyring(keyring(&[1])).clock(clock.clone());
    let keywright = builder.open().await.unwrap();
    let (alice, purpose) = (account("alice"), Purpose::new("login"));
    keywright.ensure_account(&alice).await.unwrap();
    let two_factor = keywright.two_factor();
    let device = ImportedDevice::new("phone", TotpSecret::from_slice(&[7; 20]).unwrap());
    assert!(matches!(two_factor.import_device(&alice, &device).await.unwrap(), DeviceImport::Imported(_)));
    let app = totp_rs::Builder::new().with_secret([7; 20]).build_noncompliant();
    let code = |at: u64| app.generate(at).to_string();
    let wrong = |at: u64| format!("{:06}", (code(at).parse::<u32>().unwrap() + 500_000) % 1_000_000);
    let now = clock.now().unwrap().get();
    for cookie in [b"one", b"two"] {
        let _ = two_factor.verify(&alice, &wrong(now), &purpose, keywright.client(&alice, cookie)).await.unwrap();
    }
    clock.set(UnixSeconds::EPOCH.plus(now + 3_600));
    let owner = keywright.client(&alice, b"owner");
    let verdict = two_factor.verify(&alice, &code(now + 3_600), &purpose, owner).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::Granted(_)), "{verdict:?}");
    let shown = keywright.activity(&alice, 50).await.unwrap();
    let denials: Vec<_> = shown.iter().filter(|one| one.kind() == "guess_denied").collect();
    let clients: Vec<_> = denials.iter().map(|one| (one.event().count("earlier"), one.client())).collect();
    assert_eq!(clients, [(Some(1), None), (None, keywright.client(&alice, b"one").mark())]);
}

/// A kind that was not declared is shown by its name.
#[tokio::test]
async fn an_unknown_kind_is_shown_all_the_same() {
    let keywright = open(&memory(), &[1]).await.unwrap();
    let alice = account("alice");
    keywright.ensure_account(&alice).await.unwrap();
    let send = |draft: &mut Draft<'_>| {
        draft.event(&PARCEL);
        Ok(())
    };
    keywright.driver().transact(&(&alice).into(), &[], send).await.unwrap();
    let newest = keywright.activity(&alice, 1).await.unwrap().remove(0);
    assert_eq!((newest.text(), newest.severity()), ("parcel_sent", Severity::Notice));
}

/// The service cannot fail later, because the policies were compared at the start.
#[tokio::test]
async fn a_policy_that_the_ledger_does_not_protect_is_refused_at_the_start() {
    let open = async |policy: TwoFactorPolicy| {
        Keywright::builder(MemoryStore::new()).keyring(keyring(&[1])).two_factor_policy(policy).open().await
    };
    let weak = TwoFactorPolicy::builder().window(Window::new(2, 2)).build().unwrap();
    let refused = open(weak).await.unwrap_err();
    assert!(matches!(refused, StartError::TwoFactor(TwoFactorPolicyError::Guessable(_))), "{refused:?}");
    let own = TwoFactorPolicy::builder().devices(1).build().unwrap();
    let keywright = open(own.clone()).await.unwrap();
    assert_eq!(keywright.two_factor().steps().policy(), &own);
    let alice = account("alice");
    keywright.ensure_account(&alice).await.unwrap();
    let device = ImportedDevice::new("phone", TotpSecret::from_slice(&[7; 20]).unwrap());
    let imported = keywright.two_factor().import_device(&alice, &device).await.unwrap();
    assert!(matches!(imported, DeviceImport::Imported(_)));
}
