//! A device that another protocol enrolled: stock applications of this one, which may have no field
//! for its codes, are not locked out.

use keywright_core::Client as Guesser;
use keywright_nextcloud::NextcloudPolicy;
use keywright_store::{Draft, Partition};
use keywright_twofactor::{DeviceImport, ImportedDevice, Origin, RequiredFactors, SLOTS, TotpSecret, TwoFactorPolicy};
use serde_json::{Value, json};

use super::{SEED, code, enrol, factors, opened};
use crate::support::{World, alice, salts, secret};

async fn enrol_elsewhere(world: &World) {
    let steps = factors(world).steps().clone().through(Origin::new("elsewhere"));
    let device = ImportedDevice::new("phone", TotpSecret::from_slice(&SEED).unwrap());
    let import = |draft: &mut Draft<'_>| steps.import_device_in(draft, &device);
    let imported = world.driver.run(&Partition::account(&alice()), SLOTS, import).await.unwrap();
    assert!(matches!(imported, DeviceImport::Imported(_)));
}

#[tokio::test]
async fn another_protocols_device_is_not_asked_for() {
    let world = World::new().await;
    world.with_challenge().await;
    enrol_elsewhere(&world).await;
    let mut laptop = world.token("laptop");
    let challenge = json!({"salts": salts(1), "type": "PWDv1r1"});
    laptop.get("session/request").await.is(200, json!({"challenge": challenge}));
    laptop.open_with(&secret(1), Value::Null).await.is(200, opened());
    // What a client sends unasked is not looked at, so it is no place to guess.
    world.token("t1").open_totp(&secret(1), "000000").await.is(200, opened());
    assert_eq!(world.charged("totp").await, 0);
}

#[tokio::test]
async fn with_a_device_of_the_library_each_device_will_do() {
    let world = World::new().await;
    world.with_challenge().await;
    enrol_elsewhere(&world).await;
    super::import(&factors(&world), "the library's", &[7; 20]).await;
    let mut laptop = world.token("laptop");
    laptop.open_with(&secret(1), Value::Null).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(1), &code(0)).await.is(200, opened());
    // Without it, the other one is not asked for again.
    let steps = factors(&world).steps().clone();
    let ours = factors(&world).enrolled(&alice()).await.unwrap().devices[1].id;
    let remove = |draft: &mut Draft<'_>| steps.remove_device_in(draft, ours, Guesser::unknown());
    world.driver.transact(&Partition::account(&alice()), SLOTS, remove).await.unwrap();
    world.token("t1").open_with(&secret(1), Value::Null).await.is(200, opened());
}

#[tokio::test]
async fn all_factors_are_a_choice() {
    let two_factor = TwoFactorPolicy::builder().required(RequiredFactors::All).build().unwrap();
    let world = World::with(NextcloudPolicy::builder().two_factor(two_factor).build().unwrap()).await;
    world.with_challenge().await;
    enrol_elsewhere(&world).await;
    world.token("laptop").open_with(&secret(1), Value::Null).await.fails(401, "c0980e3c");
    world.token("laptop").open_totp(&secret(1), &code(0)).await.is(200, opened());
    // The library's own device is required under both.
    let world = World::new().await;
    world.with_challenge().await;
    enrol(&world).await;
    world.token("laptop").open_with(&secret(1), Value::Null).await.fails(401, "c0980e3c");
}
