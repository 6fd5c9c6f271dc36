//! What an owner is shown of the log, and what an operator does for an owner.

use std::sync::Arc;

use keywright::core::Severity;
use keywright::store::Draft;
use keywright::twofactor::{
    DeviceImport, Enrolment, EnrolmentStart, ImportedDevice, TotpSecret, TwoFactorError, TwoFactorPolicy,
    TwoFactorPolicyError, Window,
};
use keywright::{Clock, Event, EventKind, Keywright, ManualClock, MemoryStore, SessionId, StartError, UnixSeconds};

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
