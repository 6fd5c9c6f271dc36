//! Devices with other than six digits, which come from elsewhere: checked by their own number of
//! digits. That a policy enrols none is a test of the policy.

use keywright_twofactor::{Algorithm, DeviceImport, ImportedDevice, Parameters, TotpSecret};

use crate::support::{ADMIN, TARGET, World};

/// A recovery code of nothing but digits.
const DIGITS: &str = "23456789";

/// The admin with a device of so many digits and two recovery codes.
async fn world(digits: u8) -> World {
    let world = World::new().await.without_totp(ADMIN).await;
    let parameters = Parameters::new(Algorithm::Sha1, digits, 30).unwrap();
    world
        .step(ADMIN, |draft| {
            let secret = TotpSecret::from_slice(&ADMIN.secret()).unwrap();
            let device = ImportedDevice::new("app", secret).with_parameters(parameters);
            let imported = world.factors().import_device_in(draft, &device)?;
            assert!(matches!(imported, DeviceImport::Imported(_)));
            world.factors().import_recovery_in(draft, &[DIGITS, &ADMIN.recovery_code(0)]).unwrap();
            Ok(())
        })
        .await;
    world
}

fn code(world: &World, digits: u8, steps: u64) -> String {
    let device = totp_rs::Builder::new().with_secret(ADMIN.secret()).with_digits(digits).build_noncompliant();
    device.generate(world.now() + steps * 30).to_string()
}

/// Wrong guesses at time-based codes and at recovery codes.
async fn charged(world: &World) -> (u64, u64) {
    (world.charged(ADMIN, "totp").await, world.charged(ADMIN, "recovery").await)
}

#[tokio::test]
async fn a_device_from_elsewhere_is_judged_by_its_own_digits() {
    for digits in [6, 7, 8] {
        let world = world(digits).await;
        let client = world.client(ADMIN);
        client.reset_of(TARGET.id).code(&code(&world, digits, 0)).send().await.succeeds();
        // Used: denied, not charged.
        client.reset_of(TARGET.id).code(&code(&world, digits, 0)).send().await.fails("totp-invalid");
        assert_eq!(charged(&world).await, (0, 0));
        // Any other number of digits is not a guess at it; eight are still a guess at the recovery
        // codes.
        let before = world.scan().await;
        for other in [6, 7, 8].into_iter().filter(|other| *other != digits && *other != 8) {
            client.reset_of(TARGET.id).code(&code(&world, other, 1)).send().await.fails("totp-invalid");
        }
        assert_eq!(world.scan().await, before, "{digits}");
        client.reset_of(TARGET.id).code(&code(&world, digits, 1)).send().await.succeeds();
        client.reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.succeeds();
        client.reset_of(TARGET.id).code(DIGITS).send().await.succeeds();
        assert_eq!(charged(&world).await, (0, 0));
    }
}

/// What could be both is charged once, as a time-based code: no guess is free, and the recovery codes stay the way in.
#[tokio::test]
async fn eight_wrong_digits_are_charged_as_a_time_based_code() {
    let world = world(8).await;
    let client = world.client(ADMIN);
    let wrong = |n: u32| format!("9999{n:04}");
    for n in 0..5 {
        client.reset_of(TARGET.id).code(&wrong(n)).send().await.fails("totp-invalid");
        assert_eq!(charged(&world).await, (u64::from(n) + 1, 0));
    }
    // Nothing of eight digits is checked now.
    for code in [wrong(6), code(&world, 8, 0), DIGITS.into()] {
        client.reset_of(TARGET.id).code(&code).send().await.waits(30);
    }
    client.reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.succeeds();
    assert_eq!(world.codes_left(ADMIN).await, Some(1));
    world.clock.advance(30);
    client.reset_of(TARGET.id).code(DIGITS).send().await.succeeds();
    // Spent: a guess like any other now.
    client.reset_of(TARGET.id).code(DIGITS).send().await.fails("totp-invalid");
    assert_eq!(charged(&world).await, (6, 0));
}

/// Without a device of eight digits they are recovery codes and nothing else.
#[tokio::test]
async fn eight_digits_are_a_recovery_code_where_no_device_shows_them() {
    let world = world(6).await;
    let client = world.client(ADMIN);
    for _ in 0..5 {
        client.reset_of(TARGET.id).code("99999999").send().await.fails("totp-invalid");
    }
    assert_eq!(charged(&world).await, (0, 5));
    client.reset_of(TARGET.id).code(DIGITS).send().await.waits(30);
    client.reset_of(TARGET.id).code(&code(&world, 6, 0)).send().await.succeeds();
}
