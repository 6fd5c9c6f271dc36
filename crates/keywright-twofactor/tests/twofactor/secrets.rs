//! No output reveals a secret, a code or a session, and no stored byte does.

use keywright_core::{ActionName, Purpose, SessionId};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{
    EnrolmentStart, FactorChange, KeyUri, Method, Parameters, Rule, SLOTS, StepUpPolicy, StepUps, TotpSecret,
    TwoFactorPolicy,
};

use crate::support::{SESSION, START, UNKNOWN, World, code, wrong};

const PLANTED: &[u8] = b"PLANTED-SECRET-20-by";

#[tokio::test]
async fn asvs_16_2_5_no_debug_and_no_stored_byte_shows_a_secret() {
    let rule = Rule::strongest_of(&[Method::Totp]).remembered(60);
    let world = World::with(
        TwoFactorPolicy::builder()
            .step_up(StepUpPolicy::builder().default_rule(rule).build().unwrap())
            .build()
            .unwrap(),
    )
    .await;
    let (service, account) = (&world.service, &world.account);
    let secret = TotpSecret::from_slice(PLANTED).unwrap();
    let base32 = secret.to_base32();
    world.import("phone", PLANTED).await;
    let EnrolmentStart::Begun(pending) = world.begin_enrolment(SessionId::new(SESSION), "next", None).await.unwrap()
    else {
        panic!("full")
    };
    let drawn = [pending.base32(), pending.uri("Issuer", "account").unwrap()];
    let right = code(PLANTED, START);
    let uri = KeyUri::new(Some("Issuer"), "account", secret.duplicate(), Parameters::default()).unwrap();
    let mut shown = format!("{secret:?} {base32:?} {pending:?} {drawn:?} {uri:?} {service:?} {:?}", service.steps());
    for outcome in [
        format!(
            "{:?}",
            service.verify_totp(account, &wrong(&[PLANTED], START), &Purpose::new("p"), UNKNOWN).await.unwrap()
        ),
        format!(
            "{:?}",
            service
                .step_up_totp(account, &ActionName::new("act"), SessionId::new("SESSION-PLANTED"), &right, UNKNOWN)
                .await
                .unwrap()
        ),
        format!(
            "{:?}",
            service.demand(account, &ActionName::new("act"), SessionId::new("SESSION-PLANTED"), false).await.unwrap()
        ),
        format!("{:?}", service.verify_totp(account, &right, &Purpose::new("p"), UNKNOWN).await.unwrap()),
        format!(
            "{:?}",
            service.confirm_without_codes(account, SessionId::new(SESSION), "PLANTED", UNKNOWN).await.unwrap()
        ),
        format!("{:?}", service.enrolled(account).await.unwrap()),
        format!(
            "{:?} {:?}",
            TotpSecret::from_base32("PLANTED!"),
            KeyUri::parse("otpauth://totp/PLANTED?secret=PLANTED")
        ),
        format!("{:?}", TwoFactorPolicy::builder().min_secret_bits(7).build()),
        format!("{:?}", FactorChange::first_factor(account.clone(), SessionId::new("SESSION-PLANTED"))),
        format!("{:?}", Liveness::OnAcknowledgement { session: SessionId::new("SESSION-PLANTED") }),
        format!("{:?}", keywright_twofactor::TotpVerifier::new(&secret, Parameters::default())),
        format!("{:?} {:?}", world.changes().await, world.denials().await),
    ] {
        shown.push_str(&outcome);
    }
    assert!(shown.contains("StepUp(act)"), "{shown}");
    let slots = [SLOTS[0], SLOTS[2], StepUps::slot(SessionId::new("SESSION-PLANTED"))];
    let stored = world.store.load(&world.partition(), &slots).await.unwrap();
    let root = stored.root.map(|root| root.body);
    let bodies: Vec<_> = stored.records.into_iter().chain([root]).flatten().collect();
    assert_eq!(bodies.len(), 4);
    let planted = ["PLANTED", base32.expose(), &right, drawn[0].expose(), "80, 76, 65, 78"];
    for secret in planted {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!bodies.iter().any(|body| body.windows(secret.len()).any(|window| window == secret.as_bytes())));
    }
}

/// RFC 6238 § 3 R6: every device has a key of its own, drawn at random.
#[tokio::test]
async fn rfc_6238_r5_r6_every_secret_is_its_own() {
    let world = World::new().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        assert!(seen.insert(world.begin("phone", None).await));
    }
}
