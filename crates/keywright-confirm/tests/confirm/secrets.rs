//! No output reveals a code, a token or the contents of an action, and no stored byte reveals a
//! code.

use keywright_confirm::{Action, CancelToken, ConfirmPolicy, SLOTS, SendOutcome};
use keywright_core::{Client, SessionId};

use crate::support::World;

struct Secretive;
impl Action for Secretive {
    const NAME: &'static str = "test.secretive";
    fn target(&self) -> &'static str {
        "PLANTED-target"
    }
    fn parameters(&self) -> Vec<u8> {
        b"PLANTED-parameters".to_vec()
    }
}

#[tokio::test]
async fn asvs_16_2_5_no_debug_and_no_stored_byte_shows_a_secret() {
    let world = World::new().await;
    let (service, account, client) = (&world.confirmations, &world.account, Client::unknown());
    let typed = service.begin_code(account, &Secretive, SessionId::new("PLANTED-1")).await.unwrap();
    let wait = service.begin_wait(account, &Secretive, SessionId::new("PLANTED-2")).await.unwrap();
    let sending = service.begin_mailed(account, &Secretive, SessionId::new("PLANTED-3")).await.unwrap();
    let mut shown = format!("{typed:?} {wait:?} {sending:?} {service:?} {:?}", service.steps());
    let SendOutcome::Send(mailed) = sending else { panic!("no mail") };
    let tokens = [typed.cancel_token(), wait.cancel_token(), mailed.cancel_token()].map(CancelToken::to_hex);

    let outcomes = [
        format!(
            "{:?}",
            service.confirm_mailed(account, Secretive, SessionId::new("PLANTED-3"), "000000", client).await.unwrap()
        ),
        format!(
            "{:?}",
            service
                .confirm_mailed(account, Secretive, SessionId::new("PLANTED-3"), mailed.expose(), client)
                .await
                .unwrap()
        ),
        format!(
            "{:?}",
            service.confirm_code(account, Secretive, SessionId::new("PLANTED-1"), typed.expose()).await.unwrap()
        ),
        format!("{:?}", service.confirm_wait(account, Secretive, SessionId::new("PLANTED-2")).await.unwrap()),
        format!("{:?}", service.confirm_code(account, Secretive, SessionId::new([]), typed.expose()).await),
        format!("{:?} {:?}", mailed, typed.cancel_token()),
        format!("{:?}", CancelToken::parse("PLANTED")),
        format!("{:?} {:?}", ConfirmPolicy::builder(), ConfirmPolicy::builder().pending(9).build()),
        format!("{:?}", world.stored_events().await),
    ];
    for outcome in outcomes {
        shown.push_str(&outcome);
    }
    assert!(shown.contains("Confirmed(test.secretive)"), "{shown}");
    let stored = world.store.load(&world.partition(), SLOTS).await.unwrap();
    let mut bodies = stored.root.unwrap().body.to_vec();
    for body in stored.records.into_iter().map(|body| body.expect("each of the records was written")) {
        bodies.extend_from_slice(&body);
    }
    for event in world.stored_events().await {
        bodies.extend_from_slice(&event.json);
    }
    let secrets =
        [typed.expose(), mailed.expose(), tokens[0].expose(), tokens[1].expose(), tokens[2].expose(), "PLANTED"];
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!bodies.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}
