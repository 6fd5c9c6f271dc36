//! The verifier of hashed recovery codes is set once, for whatever runs on the store.

use std::sync::Arc;

use keywright::core::Client;
use keywright::store::{Draft, MemoryStore, Partition};
use keywright::twofactor::import::{ImportOutcome, ImportedUser};
use keywright::twofactor::recovery::ImportedCodes;
use keywright::twofactor::{SLOTS, TwoFactorError, TwoFactorPolicy, VerifyOutcome};
use keywright::{Keywright, Purpose, Store};
use keywright_testing::PlainHashes;

use crate::{account, keyring};

const CODES: [&str; 3] = ["1a2b3c4d5e6f7a8b", "ffeeddccbbaa9988", "0123456789abcdef"];
const PURPOSE: Purpose = Purpose::new("log-in");

#[tokio::test]
async fn every_service_and_every_step_has_the_verifier_of_the_builder() {
    let (store, alice) = (Arc::new(MemoryStore::new()) as Arc<dyn Store>, account("alice"));
    let builder = Keywright::builder_shared(store.clone()).keyring(keyring(&[1]));
    let keywright = builder.code_verifier(Arc::new(PlainHashes::default())).open().await.unwrap();
    let user = ImportedUser::new().recovery(ImportedCodes::hashes(CODES.map(PlainHashes::hash_of)));
    let imported = keywright.two_factor().import_user(&alice, &user).await.unwrap();
    assert!(matches!(imported, ImportOutcome::Imported(_)), "{imported:?}");

    let other = keywright.two_factor_with(TwoFactorPolicy::builder().end_other_logins(false).build().unwrap()).unwrap();
    for (service, code) in [(keywright.two_factor(), CODES[0]), (other, CODES[1])] {
        let verdict = service.verify(&alice, code, &PURPOSE, Client::unknown()).await.unwrap();
        assert!(matches!(verdict, VerifyOutcome::Granted(_)), "{verdict:?}");
    }
    // As a protocol does it: a step among others, in one commit.
    let steps = keywright.two_factor();
    let step = |draft: &mut Draft<'_>| steps.steps().verify_code_in(draft, CODES[2], &PURPOSE, Client::unknown());
    let verdict = keywright.driver().run(&Partition::account(&alice), SLOTS, step).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::Granted(_)), "{verdict:?}");

    // A server without one says so.
    let bare = Keywright::builder_shared(store).keyring(keyring(&[1])).open().await.unwrap();
    let error = bare.two_factor().verify(&alice, "another-code", &PURPOSE, Client::unknown()).await.unwrap_err();
    assert!(matches!(error, TwoFactorError::NoCodeVerifier), "{error:?}");
}
